//! What operators see.

use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{Gateway, Seen, see};

async fn behind() -> (Upstream, Upstream, Gateway) {
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    let gateway = Gateway::start(&format!(
        "admin: \"127.0.0.1:0\"\nupstreams: {{ a: {{ url: \"{}\", breaker: {{ failures: 1, open_for: 1h }} }}, b: \"{}\" }}\n\
         routes: [ {{ match: \"/*\", name: main, forward: [a, b], anonymous: true, limits: {{ rate: 5/h }} }} ]\n",
        a.url(),
        b.url()
    ))
    .await;
    (a, b, gateway)
}

async fn admin(gateway: &Gateway, method: &str, path: &str) -> Seen {
    let address = gateway.host.admin().unwrap();
    let client = reqwest::Client::new();
    see(client.request(method.parse().unwrap(), format!("http://{address}{path}"))).await
}

#[tokio::test]
async fn metrics_tell_requests_attempts_breakers_and_limits() {
    let (a, _b, gateway) = behind().await;
    a.script([Fault::status(500)]);
    for _ in 0..6 {
        gateway.get("/").await;
    }
    let page = admin(&gateway, "GET", "/metrics").await;
    assert!(
        page.header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    // A request is counted when its last byte is handed over, which the client may see first.
    let mut text = page.text();
    let idle = isobar_tests::eventually(std::time::Duration::from_secs(10), async || {
        text = admin(&gateway, "GET", "/metrics").await.text();
        text.contains("\nisobar_request_seconds_count{route=\"main\"} 6\n")
            && text.contains("\nisobar_requests_in_flight 0\n")
    });
    assert!(idle.await);
    for line in [
        "isobar_requests_total{route=\"main\",status=\"2xx\"} 5",
        "isobar_requests_total{route=\"main\",status=\"4xx\"} 1",
        "isobar_attempts_total{account=\"a\",pool=\"main\",verdict=\"failed\"} 1",
        "isobar_attempts_total{account=\"b\",pool=\"main\",verdict=\"ok\"} 5",
        "isobar_breaker_state{account=\"a\",operation=\"main\"} 2",
        "isobar_breaker_state{account=\"b\",operation=\"main\"} 0",
        "isobar_limited_total{route=\"main\",scope=\"client\"} 1",
        "isobar_request_seconds_count{route=\"main\"} 6",
        "isobar_requests_in_flight 0",
        "isobar_config_generation 1",
    ] {
        assert!(
            text.lines().any(|known| known == line),
            "{line} is missing from:\n{text}"
        );
    }
}

#[tokio::test]
async fn every_promised_metric_is_there_from_the_start_and_has_its_kind() {
    let (_a, _b, gateway) = behind().await;
    let text = admin(&gateway, "GET", "/metrics").await.text();
    for (name, kind) in [
        ("isobar_requests_total", "counter"),
        ("isobar_request_seconds", "histogram"),
        ("isobar_requests_in_flight", "gauge"),
        ("isobar_bytes_total", "counter"),
        ("isobar_attempts_total", "counter"),
        ("isobar_attempt_seconds", "histogram"),
        ("isobar_answers_cut_total", "counter"),
        ("isobar_breaker_state", "gauge"),
        ("isobar_account_in_flight", "gauge"),
        ("isobar_account_available", "gauge"),
        ("isobar_account_latency_ms", "gauge"),
        ("isobar_limited_total", "counter"),
        ("isobar_connections", "gauge"),
        ("isobar_connections_refused_total", "counter"),
        ("isobar_reloads_total", "counter"),
        ("isobar_config_generation", "gauge"),
        ("isobar_body_bytes", "gauge"),
        ("isobar_panics_total", "counter"),
        ("isobar_access_log_dropped", "gauge"),
    ] {
        let kind = format!("# TYPE {name} {kind}");
        assert!(text.lines().any(|line| line == kind), "{kind} is missing");
        let help = format!("# HELP {name} ");
        assert!(
            text.lines().any(|line| line.starts_with(&help)),
            "{help} is missing"
        );
        let sample = |line: &str| line.starts_with(name) && !line.starts_with('#');
        assert!(
            text.lines().any(sample),
            "{name} has no sample before the first request"
        );
    }
}

#[tokio::test]
async fn what_no_route_takes_is_counted_too() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "admin: \"127.0.0.1:0\"\nupstreams: {{ a: \"{}\" }}\n\
         routes: [ {{ match: /known, name: main, forward: [a], anonymous: true }} ]\n",
        a.url()
    ))
    .await;
    gateway.get("/elsewhere").await;
    gateway
        .raw(
            "GET /known HTTP/1.1\r\n\r\n",
            std::time::Duration::from_secs(10),
        )
        .await;
    see(gateway.request("POST", "/known").body("four")).await;
    // The last bytes are on their way before they are counted.
    let counted = isobar_tests::eventually(std::time::Duration::from_secs(10), async || {
        let text = admin(&gateway, "GET", "/metrics").await.text();
        [
            "isobar_requests_total{route=\"unrouted\",status=\"4xx\"} 2",
            "isobar_requests_total{route=\"main\",status=\"2xx\"} 1",
            "isobar_bytes_total{direction=\"in\",route=\"main\"} 4",
        ]
        .iter()
        .all(|wanted| text.lines().any(|line| line == *wanted))
    });
    assert!(counted.await);
}

#[tokio::test]
async fn status_config_and_health_say_how_it_stands() {
    let (a, _b, gateway) = behind().await;
    a.script([Fault::status(500)]);
    gateway.get("/").await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(admin(&gateway, "GET", path).await.status, 200, "{path}");
    }
    let status = admin(&gateway, "GET", "/status").await.json();
    assert_eq!(
        (&status["state"], &status["generation"]),
        (&"serving".into(), &1.into())
    );
    assert_eq!(status["accounts"]["a"]["breakers"]["main"], "open");
    assert_eq!(status["accounts"]["b"]["breakers"]["main"], "closed");
    let config = admin(&gateway, "GET", "/config").await.json();
    assert_eq!(config["routes"][0]["name"], "main");
}

#[tokio::test]
async fn a_reload_by_admin_call_is_done_or_refused_with_diagnostics() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("isobar.yaml");
    let text = |body: &str| {
        format!(
            "{}admin: \"127.0.0.1:0\"\nroutes: [ {{ match: /, respond: {{ body: {body} }}, anonymous: true }} ]\n",
            isobar_tests::HEAD
        )
    };
    std::fs::write(&file, text("one")).unwrap();
    let loaded = isobar_config::load(&file).unwrap();
    let origin = isobar::Origin {
        path: file.clone(),
        files: loaded.files,
    };
    let gateway = Gateway::around(
        isobar::Host::start(loaded.config, Some(origin))
            .await
            .unwrap(),
    );
    std::fs::write(&file, text("two").replace("anonymous", "anonimous")).unwrap();
    let refused = admin(&gateway, "POST", "/reload").await;
    assert_eq!(refused.status, 422);
    let diagnostic = &refused.json()["diagnostics"][0];
    assert_eq!(
        (&diagnostic["code"], &diagnostic["line"]),
        (&"E0201".into(), &5.into()),
        "{diagnostic}"
    );
    assert_eq!(gateway.get("/").await.text(), "one");
    let status = admin(&gateway, "GET", "/status").await.json();
    assert!(
        status["reload"]["refused"]["why"]
            .as_str()
            .is_some_and(|why| why.contains("E0201")),
        "{status}"
    );
    std::fs::write(&file, text("two")).unwrap();
    let done = admin(&gateway, "POST", "/reload").await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(gateway.get("/").await.text(), "two");
    assert_eq!(admin(&gateway, "GET", "/reload").await.status, 405);
}
