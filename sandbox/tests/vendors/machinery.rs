//! Faults, ledger and control, seen through one vendor.

use std::time::{Duration, Instant};

use isobar_sandbox::faults::{Class, Fault, Rule};
use serde_json::json;

use crate::support::{Bench, WEATHER, send};

fn listen(bench: &Bench) -> reqwest::RequestBuilder {
    bench
        .post("/v1/listen?model=nova-3")
        .header("authorization", "Token sandbox-deepgram-key")
        .body(WEATHER)
}

#[tokio::test]
async fn a_fault_strikes_the_calls_it_names_and_the_ledger_says_what_was_executed() {
    let bench = Bench::new("deepgram").await;
    bench
        .sandbox
        .faults()
        .set([Rule::at("deepgram", Fault::status(503))
            .during("speech.transcribe")
            .nth(2)]);
    for status in [200, 503, 200] {
        send(listen(&bench)).await.expect(status);
    }
    let entries = bench.sandbox.ledger().entries(Some("deepgram"));
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (entry.n, entry.status, entry.executed))
        .collect();
    assert_eq!(
        seen,
        [
            (1, Some(200), true),
            (2, Some(503), false),
            (3, Some(200), true)
        ]
    );
    assert_eq!(entries[0].account.as_deref(), Some("deepgram"));
    assert_eq!(entries[0].bytes, WEATHER.len());
    assert_eq!(entries[0].facts["model"], "nova-3");
    assert_eq!(bench.sandbox.ledger().executed("deepgram", "listen"), 2);
    assert!(bench.sandbox.ledger().entries(Some("aws")).is_empty());
}

#[tokio::test]
async fn dropped_connections_answer_nothing_and_differ_in_what_was_executed() {
    let bench = Bench::new("deepgram").await;
    for (fault, executed) in [(Fault::Refuse, false), (Fault::Reset, true)] {
        bench.fault(fault);
        let error = listen(&bench).send().await.unwrap_err();
        assert!(!error.is_connect() && !error.is_timeout(), "{error:?}");
        let entry = bench.last();
        assert_eq!((entry.status, entry.executed), (None, executed));
    }
}

#[tokio::test]
async fn bodies_can_be_cut_spoilt_slow_and_huge() {
    let bench = Bench::new("deepgram").await;
    let whole = send(listen(&bench)).await.body.len();

    bench.fault(Fault::Truncated);
    let response = listen(&bench).send().await.unwrap();
    let announced: usize = response.headers()["content-length"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!((response.status().as_u16(), announced), (200, whole));
    assert!(response.bytes().await.is_err());

    bench.fault(Fault::Malformed);
    let got = send(listen(&bench)).await.expect(200);
    assert!(serde_json::from_slice::<serde_json::Value>(&got.body).is_err());

    bench.fault(Fault::WrongShape);
    assert_eq!(
        send(listen(&bench)).await.expect(200).json(),
        json!({ "unexpected": true })
    );

    bench.fault(Fault::Slow {
        pause: Duration::from_millis(10),
    });
    let start = Instant::now();
    let got = send(listen(&bench)).await.expect(200);
    assert_eq!(got.body.len(), whole);
    assert!(
        start.elapsed() >= Duration::from_millis(150),
        "{:?}",
        start.elapsed()
    );

    bench.fault(Fault::Huge { bytes: 3_000_000 });
    let got = send(listen(&bench)).await.expect(200);
    assert_eq!(got.json().as_str().unwrap().len(), 3_000_000 - 2);
    assert!(
        bench
            .sandbox
            .ledger()
            .entries(None)
            .iter()
            .all(|entry| entry.executed)
    );
}

#[tokio::test]
async fn delays_rates_and_failures_after_the_work() {
    let bench = Bench::new("deepgram").await;
    bench.fault(Fault::Delay(Duration::from_millis(80)));
    let start = Instant::now();
    send(listen(&bench)).await.expect(200);
    assert!(start.elapsed() >= Duration::from_millis(80));

    bench.fault(Fault::busy(7));
    let got = send(listen(&bench)).await.expect(429);
    assert_eq!(got.header("retry-after"), "7");
    assert!(!bench.last().executed);

    bench.fault(Fault::Status {
        code: 502,
        executed: true,
    });
    send(listen(&bench)).await.expect(502);
    assert!(bench.last().executed);

    bench
        .sandbox
        .faults()
        .set([Rule::at("deepgram", Fault::error(Class::Quota)).with("deepgram-2")]);
    send(listen(&bench)).await.expect(200);
    let second = bench
        .post("/v1/listen")
        .header("authorization", "Token sandbox-deepgram-key-2")
        .body(WEATHER);
    send(second).await.expect(402);
}

#[tokio::test]
async fn faults_ledger_and_reset_work_over_the_wire() {
    let bench = Bench::new("deepgram").await;
    let control = |path: &str| format!("{}/_control/{path}", bench.sandbox.url());
    let script = "- { vendor: deepgram, operation: listen, calls: first 1, fault: { rate: { retry_after: 1 } } }";
    let set = send(bench.client.post(control("faults")).body(script))
        .await
        .expect(200);
    assert_eq!(set.json(), json!({ "rules": 1 }));
    send(listen(&bench)).await.expect(429);
    send(listen(&bench)).await.expect(200);
    let rules = send(bench.client.get(control("faults"))).await.json();
    assert_eq!(rules[0]["matched"], 2);
    assert_eq!(
        rules[0]["rule"]["fault"],
        json!({ "rate": { "retry_after": 1 } })
    );
    let wrong = send(
        bench
            .client
            .post(control("faults"))
            .body("- { fault: explode }"),
    )
    .await
    .expect(400);
    assert!(
        wrong.json()["error"].as_str().unwrap().contains("explode"),
        "{}",
        wrong.text()
    );
    let entries = send(bench.client.get(control("ledger?vendor=deepgram")))
        .await
        .json();
    assert_eq!(
        (
            entries[0]["fault"].as_str(),
            entries[1]["executed"].as_bool()
        ),
        (Some("rate"), Some(true))
    );
    assert_eq!(
        send(bench.client.get(control("ledger?vendor=aws")))
            .await
            .json(),
        json!([])
    );
    send(bench.client.post(control("reset"))).await.expect(204);
    assert_eq!(
        send(bench.client.get(control("ledger"))).await.json(),
        json!([])
    );
    let got = send(
        bench
            .client
            .get(format!("{}/nobody/v1", bench.sandbox.url())),
    )
    .await
    .expect(404);
    assert!(
        got.json()["vendors"]
            .as_array()
            .unwrap()
            .contains(&json!("deepgram"))
    );
}

#[tokio::test]
async fn a_body_beyond_the_vendor_s_limit_is_refused_in_its_own_words() {
    let bench = Bench::new("openai").await;
    let request = bench
        .post("/v1/audio/transcriptions")
        .header("authorization", "Bearer sandbox-openai-key");
    let got = send(request.body(vec![0; 27 * 1024 * 1024]))
        .await
        .expect(413);
    assert!(got.json()["error"]["message"].is_string());
    let entry = bench.last();
    assert_eq!(
        (entry.status, entry.executed, entry.bytes),
        (Some(413), false, 0)
    );
}

#[tokio::test]
async fn after_a_reset_everything_is_as_at_the_start() {
    let bench = Bench::new("deepgram").await;
    let first = send(listen(&bench)).await;
    bench.fault(Fault::Refuse);
    bench.sandbox.reset();
    let again = send(listen(&bench)).await.expect(200);
    assert_eq!(again.header("dg-request-id"), first.header("dg-request-id"));
    assert_eq!(bench.sandbox.ledger().entries(None).len(), 1);
}

#[tokio::test]
async fn the_printed_accounts_name_every_vendor_at_this_address() {
    let bench = Bench::new("deepgram").await;
    let text = bench.sandbox.print_config();
    let line = format!(
        "  deepgram: {{ vendor: deepgram, base: \"{}\", key: sandbox-deepgram-key }}",
        bench.url("")
    );
    assert!(
        text.starts_with("accounts:\n") && text.contains(&line),
        "{text}"
    );
}

#[tokio::test]
async fn dropping_it_closes_its_address() {
    let bench = Bench::new("deepgram").await;
    let address = bench.sandbox.address();
    drop(bench);
    let closed = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), closed)
        .await
        .unwrap();
}
