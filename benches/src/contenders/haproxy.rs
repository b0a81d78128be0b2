//! `HAProxy`. It logs to standard output, which is a file here; events do not wait for others (`http-no-delay`).

use std::fmt::Write as _;

use super::{PATHS, Wanted, others};
use crate::load::BEARER;

/// The file of its routes: prefixes and what they lead to, searched as a tree.
pub(super) fn routes(wanted: &Wanted<'_>) -> String {
    let mut text = String::new();
    for prefix in others(wanted).chain(PATHS.map(str::to_owned)) {
        let _ = writeln!(text, "{prefix} origin");
    }
    text
}

pub(super) fn configuration(wanted: &Wanted<'_>, features: bool) -> String {
    let Wanted {
        address,
        upstream,
        threads,
        ..
    } = wanted;
    let tls = wanted.tls.map_or_else(String::new, |tls| {
        format!(" ssl crt {} alpn h2,http/1.1", tls.both.display())
    });
    let (log, guard) = if features {
        (
            "  log global\n  option httplog\n",
            format!(
                "  http-request deny deny_status 401 unless {{ req.hdr(authorization) -m str \"{BEARER}\" }}\n\
                 \x20 stick-table type string len 64 size 10k store http_req_rate(1s)\n\
                 \x20 http-request track-sc0 req.hdr(authorization)\n\
                 \x20 http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 1000000000 }}\n\
                 \x20 use_backend %[path,map_beg(routes.map)]\n"
            ),
        )
    } else {
        ("", "  default_backend origin\n".to_owned())
    };
    format!(
        "global\n  nbthread {threads}\n  no strict-limits\n  maxconn {}\n  log stdout format raw local0\n\
         defaults\n  mode http\n  option http-no-delay\n{log}  timeout connect 5s\n  timeout client 300s\n  timeout server 60s\n  http-reuse always\n\
         frontend front\n  bind {address}{tls} backlog 4096\n{guard}\
         backend origin\n  server s {upstream}\n",
        wanted.connections + 64,
    )
}
