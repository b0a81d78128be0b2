//! Isobar with its whole pipeline on: key, limits, routes, metrics, access log.

use std::fmt::Write as _;

use super::{Wanted, others};
use crate::load::KEY;

/// Its configuration. `mode` is how the routes that are asked for are served.
pub fn gateway(wanted: &Wanted<'_>, mode: &str) -> String {
    let key = isobar_config::hash_key(KEY);
    let Wanted {
        address, upstream, ..
    } = wanted;
    let listener = match wanted.tls {
        None => format!("http: \"{address}\""),
        Some(tls) => format!(
            "https: \"{address}\", certificates: [ {{ cert: \"file({})\", key: \"file({})\" }} ]",
            tls.certificate.display(),
            tls.key.display()
        ),
    };
    let mut text = format!(
        "isobar: 1\nlisten: [ {{ {listener} }} ]\nlog: {{ access: \"file:./access.log\" }}\n\
         clients: {{ bench: {{ key: \"{key}\" }} }}\nupstreams: {{ origin: \"http://{upstream}\" }}\npools: {{ main: [origin] }}\n\
         limits: {{ rate: 1000000000/s, body: 128MiB, replay: 2MiB, connections: {}, connections_per_ip: {} }}\nroutes:\n",
        wanted.connections.max(10_000),
        wanted.connections.max(10_000),
    );
    for prefix in others(wanted) {
        let _ = writeln!(text, "  - {{ match: \"{prefix}{{id}}/*\", forward: main }}");
    }
    for path in ["/v1/items/{id}", "/bytes/{n}", "/events/{n}/{gap}"] {
        let _ = writeln!(
            text,
            "  - {{ match: \"{path}\", forward: {{ pool: main, mode: {mode} }} }}"
        );
    }
    text
}
