//! The bytes of a connection, to a whole gateway: heads, bodies, forms, JSON, pipelined requests.
//!
//! A panic that the gateway would catch ends the program: libFuzzer's hook comes first.

use std::{net::SocketAddr, sync::LazyLock, time::Duration};

use isobar::Host;
use isobar_compositions::{Known, check};
use isobar_config::{Nothing, Source, check_with};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
};

/// Longest that a connection may stay silent. Far above what an answer takes, far below libFuzzer's limit.
const PATIENCE: Duration = Duration::from_secs(5);

struct Door {
    runtime: Runtime,
    address: SocketAddr,
    _host: Host,
}

static DOOR: LazyLock<Door> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let state = tempfile::tempdir().expect("a folder").keep();
    let text = format!(
        "isobar: 1
listen: [ {{ http: \"127.0.0.1:0\" }} ]
log: {{ access: \"off\" }}
state: {}
accounts: {{ local: {{ vendor: local, address: \"http://127.0.0.1:9\" }} }}
upstreams: {{ nobody: {{ url: \"http://127.0.0.1:9\", breaker: {{ failures: 1000000 }} }} }}
limits: {{ deadline: 1s, attempt: 500ms, header_timeout: 1s, body: 1MiB }}
routes:
  - {{ match: \"/ok\", respond: {{ body: ok }}, anonymous: true }}
  - {{ match: \"/v1/items/{{id}}/*\", forward: [nobody], anonymous: true }}
  - {{ match: \"GET /kept/*\", forward: [nobody], anonymous: true, cache: {{}} }}
",
        state.display()
    );
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let (vendors, _) = isobar_adapters::built_in();
    let (config, report) = check_with(
        &[source("isobar.yaml", &text)],
        &Nothing,
        &isobar::catalog(vendors),
    );
    let config = config.unwrap_or_else(|| panic!("{}", report.text(false)));
    let all = "composition: all
expose: POST /v1/all/{path}
input:
  path: string
  text: string
  count: integer?
  list: { type: list(string), default: [] }
  tier: { type: string?, from: header, name: X-Tier }
  page: { type: integer, default: 1, from: query }
  order: { type: object, default: {} }
steps: { tongue: { use: text.language, with: { text: $.input.text } } }
headers: { x-tier: $.input.tier, x-path: $.input.path }
output: { language: $.tongue.language, count: $.input.count, list: $.input.list, page: $.input.page, order: $.input.order }
";
    let file = "composition: file
expose: POST /v1/file
input: { file: blob(1MB), note: string?, count: integer? }
steps: { heard: { use: speech.transcribe, with: { audio: $.input.file } } }
output: { text: $.heard.text, note: $.input.note, count: $.input.count }
";
    let sources = [source("all.yaml", all), source("file.yaml", file)];
    let (plans, report) = check(&sources, &Known::default(), &Nothing);
    assert!(!report.has_errors(), "{}", report.text(false));
    let checked = isobar::compositions::with(config, plans);
    let host = runtime
        .block_on(Box::pin(Host::start(checked, None)))
        .expect("the gateway starts");
    Door {
        address: host.addresses()[0],
        runtime,
        _host: host,
    }
});

/// Sends the bytes, closes that side, and reads to the end: what comes is HTTP, and never an internal error.
pub(crate) fn connection(data: &[u8]) {
    let door = &*DOOR;
    door.runtime.block_on(async {
        let mut stream = TcpStream::connect(door.address)
            .await
            .expect("a connection");
        // It may be closed while we write.
        let _ = stream.write_all(data).await;
        let _ = stream.shutdown().await;
        let mut seen = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut seen)).await;
        assert!(read.is_ok(), "the connection hangs");
        assert!(
            seen.is_empty() || seen.starts_with(b"HTTP/1.1 ") || seen.starts_with(b"\0\0"),
            "no answer of HTTP: {:?}",
            String::from_utf8_lossy(&seen)
        );
        assert!(!seen.starts_with(b"HTTP/1.1 500"), "an internal error");
    });
}
