//! Envoy, one worker: the key is asked for by its RBAC filter, the rate limited by its local limiter.

use serde_json::{Value, json};

use super::{PATHS, Wanted, others};
use crate::load::BEARER;

pub(super) fn configuration(wanted: &Wanted<'_>, features: bool) -> Value {
    let mut listener = json!({
        "name": "front",
        "address": address(wanted.address),
        "tcp_backlog_size": 4096,
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager(wanted, features),
        }] }],
    });
    if let (Some(tls), Some(chain)) = (wanted.tls, listener.pointer_mut("/filter_chains/0")) {
        chain["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_certificates": [{
                        "certificate_chain": { "filename": tls.certificate },
                        "private_key": { "filename": tls.key },
                    }],
                },
            },
        });
    }
    json!({ "static_resources": {
        "listeners": [listener],
        "clusters": [{
            "name": "origin",
            "type": "STATIC",
            "connect_timeout": "5s",
            "load_assignment": {
                "cluster_name": "origin",
                "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(wanted.upstream) } }] }],
            },
        }],
    } })
}

fn address(address: std::net::SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } })
}

fn manager(wanted: &Wanted<'_>, features: bool) -> Value {
    let route = |prefix: &str| json!({ "match": { "prefix": prefix }, "route": { "cluster": "origin", "timeout": "0s" } });
    let routes: Vec<_> = if features {
        let others = others(wanted).map(|prefix| route(&prefix));
        others.chain(PATHS.map(route)).collect()
    } else {
        vec![route("/")]
    };
    let mut filters = Vec::new();
    if features {
        filters.extend([key(), limit()]);
    }
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    }));
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "codec_type": "AUTO",
        "stream_idle_timeout": "0s",
        "access_log": if features { json!([log()]) } else { json!([]) },
        "http_filters": filters,
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }] },
    })
}

fn key() -> Value {
    json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": { "action": "ALLOW", "policies": { "client": {
                "permissions": [{ "any": true }],
                "principals": [{ "header": { "name": "authorization", "string_match": { "exact": BEARER } } }],
            } } },
        },
    })
}

fn limit() -> Value {
    let always = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    json!({
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "limit",
            "token_bucket": { "max_tokens": 1_000_000_000, "tokens_per_fill": 1_000_000_000, "fill_interval": "1s" },
            "filter_enabled": always,
            "filter_enforced": always,
        },
    })
}

fn log() -> Value {
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "access.log",
            "log_format": { "json_format": {
                "time": "%START_TIME%",
                "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
                "method": "%REQ(:METHOD)%",
                "path": "%REQ(:PATH)%",
                "status": "%RESPONSE_CODE%",
                "bytes": "%BYTES_SENT%",
                "milliseconds": "%DURATION%",
                "upstream": "%UPSTREAM_HOST%",
            } },
        },
    })
}
