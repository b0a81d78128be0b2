//! What pools do for capabilities: constraints, prices, quotas, caching, partial failure.

use isobar_sandbox::faults::{Class, Fault, Rule};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Stand, WEATHER, run};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test(
            "pools::an_account_that_cannot_do_the_job_is_passed_over",
            || run(passed_over()),
        ),
        Trial::test(
            "pools::nobody_who_can_do_the_job_is_a_4xx_that_says_who_could",
            || run(nobody()),
        ),
        Trial::test("pools::the_cheapest_is_asked_first", || run(cheapest())),
        Trial::test("pools::a_model_names_its_vendor", || run(named())),
        Trial::test("pools::a_quota_moves_calls_to_the_next", || run(quota())),
        Trial::test("pools::a_spend_ceiling_moves_calls_to_the_next", || {
            run(spend())
        }),
        Trial::test("pools::equal_requests_are_answered_from_the_cache", || {
            run(cache())
        }),
        Trial::test("pools::a_batch_fails_over_only_where_it_failed", || {
            run(partial())
        }),
        Trial::test("pools::a_hedge_overtakes_a_slow_vendor", || run(hedge())),
        Trial::test(
            "pools::bad_input_is_refused_before_any_vendor_is_asked",
            || run(bad_input()),
        ),
        Trial::test("pools::extra_carries_what_the_vendor_said", || run(extra())),
        Trial::test(
            "pools::a_problem_says_how_to_start_what_does_not_run",
            || run(not_running()),
        ),
    ]
}

async fn passed_over() {
    let stand = Stand::start("speech.transcribe", &["openai", "deepgram"]).await;
    let seen = stand
        .form(
            WEATHER,
            &[("response_format", "full"), ("speakers", "true")],
        )
        .await;
    assert_eq!(
        (seen.status, seen.vendor(), seen.attempts()),
        (200, "deepgram", "1"),
        "{}",
        seen.text()
    );
    assert!(stand.sandbox.ledger().entries(Some("openai")).is_empty());
}

async fn nobody() {
    let stand = Stand::start("speech.transcribe", &["openai"]).await;
    let seen = stand
        .form(b"this is no recording at all, but some text", &[])
        .await;
    assert_eq!(seen.status, 415, "{}", seen.text());
    assert_eq!(seen.problem(), "unsupported");
    let detail = seen.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("`openai` takes flac") && detail.contains("vendors that could: "),
        "{detail}"
    );
    assert!(stand.sandbox.ledger().entries(None).is_empty());
}

async fn cheapest() {
    let more = "capabilities: { speech.transcribe: { policy: cheapest } }\n";
    // By list price, AssemblyAI is cheaper than Deepgram, and AWS dearer than both.
    let stand = Stand::with(
        "speech.transcribe",
        &["aws", "openai", "deepgram", "assemblyai"],
        more,
    )
    .await;
    let seen = stand.form(WEATHER, &[]).await;
    let prices = |name: &str| {
        let (vendors, _) = isobar_adapters::built_in();
        vendors
            .get(name)
            .unwrap()
            .operation("speech.transcribe")
            .unwrap()
            .price()
            .unwrap()
    };
    assert_eq!(seen.status, 200, "{}", seen.text());
    assert!(
        ["deepgram", "assemblyai"].contains(&seen.vendor()),
        "{} {}",
        prices("deepgram"),
        prices("assemblyai")
    );
    stand
        .sandbox
        .faults()
        .set(["deepgram", "assemblyai"].map(|vendor| Rule::at(vendor, Fault::error(Class::Rate))));
    assert_eq!(stand.form(WEATHER, &[]).await.vendor(), "openai");
}

async fn named() {
    let stand = Stand::start("speech.transcribe", &["openai", "deepgram"]).await;
    for model in ["deepgram", "deepgram/auto", "deepgram/nova-3"] {
        let seen = stand.form(WEATHER, &[("model", model)]).await;
        assert_eq!(
            (seen.status, seen.vendor()),
            (200, "deepgram"),
            "{model}: {}",
            seen.text()
        );
    }
    for model in ["whisper-1", "auto", "some-model-nobody-knows"] {
        assert_eq!(
            stand.form(WEATHER, &[("model", model)]).await.vendor(),
            "openai",
            "{model}"
        );
    }
}

async fn not_running() {
    let more = "  mine: { vendor: local, address: \"http://127.0.0.1:1\" }\n";
    let stand = Stand::with("speech.transcribe", &[], more).await;
    // From the sixth on the breaker is open, and nothing is even tried.
    for count in 0..7 {
        let seen = stand.form(WEATHER, &[("language", "en")]).await;
        assert_eq!(seen.status, 503, "{}", seen.text());
        let detail = seen.json()["detail"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            detail.contains("`mine`: its speech engine does not run")
                && detail.contains("isobar engines install")
                && detail.matches("`isobar engines`").count() == 1,
            "{count}: {detail}"
        );
    }
    // It is no matter to one who is answered, nor where another vendor is down.
    let stand = Stand::with("speech.transcribe", &["deepgram"], more).await;
    assert_eq!(stand.form(WEATHER, &[]).await.status, 200);
    let other = "  mine: { vendor: deepgram, base: \"http://127.0.0.1:1\", key: k }\n";
    let stand = Stand::with("speech.transcribe", &[], other).await;
    let seen = stand.form(WEATHER, &[]).await;
    assert!(
        seen.status == 503 && !seen.text().contains("engines"),
        "{}",
        seen.text()
    );
}

async fn quota() {
    let stand = Stand::with("text.sentiment", &["aws", "openai"], "").await;
    drop(stand);
    let more = "  local: { vendor: local, quota: 2/h }\n";
    let stand = Stand::with("text.sentiment", &[], &format!("{more}  aws: {{ vendor: aws, base: \"http://127.0.0.1:1\", access_key_id: A, secret_access_key: B }}\n")).await;
    for _ in 0..2 {
        let seen = stand
            .json(&json!({ "text": "I love it", "language": "en" }))
            .await;
        assert_eq!(
            (seen.status, seen.vendor()),
            (200, "local"),
            "{}",
            seen.text()
        );
    }
    let seen = stand
        .json(&json!({ "text": "I love it", "language": "en" }))
        .await;
    assert_eq!(seen.status, 503, "{}", seen.text());
    assert!(seen.text().contains("quota_used_up"), "{}", seen.text());
}

async fn spend() {
    let stand = Stand::with("speech.transcribe", &["deepgram"], "").await;
    let line = format!(
        "  dear: {{ vendor: openai, base: \"{}/openai\", key: sandbox-openai-key, spend: {{ usd: 0.0005, per: 1h }} }}\n",
        stand.sandbox.url()
    );
    let base = stand.sandbox.url();
    let more = format!(
        "{line}  spare: {{ vendor: deepgram, base: \"{base}/deepgram\", key: sandbox-deepgram-key }}\n"
    );
    let second = Stand::with("speech.transcribe", &[], &more).await;
    // Four seconds at 0.006 a minute are 0.00042 or 0.0005: one call fits, a second does not.
    assert_eq!(second.form(WEATHER, &[]).await.vendor(), "dear");
    assert_eq!(second.form(WEATHER, &[]).await.vendor(), "spare");
}

async fn cache() {
    let stand = Stand::with(
        "speech.transcribe",
        &["deepgram"],
        "capabilities: { speech: { cache: 1m } }\n",
    )
    .await;
    let first = stand.form(WEATHER, &[("language", "en")]).await;
    let second = stand.form(WEATHER, &[("language", "en")]).await;
    assert_eq!(
        (first.header("isobar-cache"), second.header("isobar-cache")),
        ("miss", "hit")
    );
    assert_eq!(first.body, second.body);
    assert_eq!(stand.sandbox.ledger().entries(Some("deepgram")).len(), 1);
    let other = stand
        .form(WEATHER, &[("language", "en"), ("temperature", "0.5")])
        .await;
    assert_eq!(other.header("isobar-cache"), "miss");
}

async fn partial() {
    let stand = Stand::start("text.sentiment", &["aws", "aws-2"]).await;
    let documents = json!({ "documents": (0..6).map(|at| json!({ "text": format!("I love number {at}"), "language": "en" })).collect::<Vec<_>>() });
    // The first account fails from its fourth call on.
    let rules = (4..=6).map(|nth| {
        Rule::at("aws", Fault::error(Class::Rate))
            .with("aws")
            .nth(nth)
    });
    stand.sandbox.faults().set(rules);
    let answer = stand.json(&documents).await.json();
    assert_eq!(answer["errors"], json!([]), "{answer}");
    let results = answer["results"].as_array().unwrap();
    let by = |name: &str| {
        results
            .iter()
            .filter(|result| result["vendor"] == name)
            .count()
    };
    assert_eq!(
        (results.len(), by("aws"), by("aws-2")),
        (6, 3, 3),
        "{answer}"
    );
}

async fn hedge() {
    let stand = Stand::with(
        "speech.transcribe",
        &["deepgram", "deepgram-2"],
        "capabilities: { speech: { hedge: 100ms } }\n",
    )
    .await;
    let slow = Fault::Delay(std::time::Duration::from_secs(20));
    stand
        .sandbox
        .faults()
        .set([Rule::at("deepgram", slow).with("deepgram")]);
    let seen = stand.form(WEATHER, &[]).await;
    assert_eq!(
        (seen.status, seen.vendor()),
        (200, "deepgram-2"),
        "{}",
        seen.text()
    );
}

async fn bad_input() {
    let stand = Stand::start("text.sentiment", &["aws", "openai"]).await;
    for (body, why) in [
        (json!({ "text": "" }), "`text` is empty"),
        (json!({ "txt": "x" }), "txt"),
        (json!({ "text": 5 }), "string"),
        (json!({ "documents": [] }), "1 to 25"),
        (json!({ "documents": [{ "text": "a" }, 5] }), "item 1"),
        (json!([]), "not a JSON object"),
    ] {
        let seen = stand.json(&body).await;
        assert_eq!(
            (seen.status, seen.problem().as_str()),
            (400, "bad-input"),
            "{body}: {}",
            seen.text()
        );
        assert!(seen.text().contains(why), "{why}: {}", seen.text());
    }
    assert!(stand.sandbox.ledger().entries(None).is_empty());
    let stand = Stand::start("speech.transcribe", &["deepgram"]).await;
    for (fields, status) in [
        (vec![("response_format", "pdf")], 400),
        (vec![("speakers", "maybe")], 400),
        (vec![("nonsense", "1")], 400),
        (vec![("temperature", "7")], 400),
    ] {
        assert_eq!(
            stand.form(WEATHER, &fields).await.status,
            status,
            "{fields:?}"
        );
    }
    assert_eq!(stand.form(b"", &[]).await.status, 400);
    assert!(stand.sandbox.ledger().entries(None).is_empty());
}

async fn extra() {
    let stand = Stand::start("speech.transcribe", &["deepgram"]).await;
    let answer = stand
        .form(WEATHER, &[("response_format", "full"), ("extra", "true")])
        .await
        .json();
    assert!(
        answer["extra"]["results"]["channels"].is_array(),
        "{answer}"
    );
    let answer = stand
        .form(WEATHER, &[("response_format", "full")])
        .await
        .json();
    assert!(answer.get("extra").is_none());
}
