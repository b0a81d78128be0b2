//! nginx. Bodies pass as they come, so that files are not compared with memory; streams of events are not
//! buffered.

use std::fmt::Write as _;

use super::{PATHS, Wanted, others};
use crate::load::BEARER;

pub(super) fn configuration(wanted: &Wanted<'_>, features: bool) -> String {
    let Wanted {
        address,
        upstream,
        threads,
        ..
    } = wanted;
    // A single worker needs no other process to look after it. Where there are several, they may read what they are given.
    let processes = match threads {
        1 => "master_process off".to_owned(),
        _ => format!("worker_processes {threads}; user root root"),
    };
    let (listen, tls) = match wanted.tls {
        None => ("", String::new()),
        Some(tls) => (
            " ssl http2",
            format!(
                "ssl_certificate {}; ssl_certificate_key {};\n",
                tls.certificate.display(),
                tls.key.display()
            ),
        ),
    };
    let (log, guard) = if features {
        (
            format!(
                "log_format lines escape=json '{{\"time\":\"$time_iso8601\",\"client\":\"$remote_addr\",\"method\":\"$request_method\",\
                 \"path\":\"$uri\",\"status\":$status,\"bytes\":$body_bytes_sent,\"seconds\":$request_time,\"upstream\":\"$upstream_addr\"}}';\n\
                 access_log access.log lines buffer=64k flush=1s;\n\
                 map $http_authorization $known {{ default 0; \"{BEARER}\" 1; }}\n\
                 limit_req_zone $http_authorization zone=clients:1m rate=1000000r/s;\n"
            ),
            "if ($known = 0) { return 401; }\nlimit_req zone=clients burst=1000000 nodelay;\n",
        )
    } else {
        ("access_log off;\n".to_owned(), "")
    };
    let pass = "proxy_pass http://origin;";
    let mut locations = String::new();
    if features {
        for prefix in others(wanted) {
            let _ = writeln!(locations, "location {prefix} {{ {pass} }}");
        }
        for path in PATHS.iter().take(2) {
            let _ = writeln!(locations, "location {path} {{ {pass} }}");
        }
    } else {
        let _ = writeln!(locations, "location / {{ {pass} }}");
    }
    format!(
        "daemon off; {processes}; pid nginx.pid; error_log stderr crit;\n\
         events {{ worker_connections {}; }}\n\
         http {{ client_max_body_size 0; keepalive_requests 1000000000; keepalive_timeout 300s;\n\
         proxy_request_buffering off; proxy_max_temp_file_size 0; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n\
         {log}upstream origin {{ server {upstream}; keepalive 512; keepalive_requests 1000000000; }}\n\
         server {{ listen {address}{listen} backlog=4096; {tls}{guard}{locations}location /events/ {{ {pass} proxy_buffering off; }} }} }}\n",
        // Those to the upstream count, too.
        wanted.connections + 1024,
    )
}
