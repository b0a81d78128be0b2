//! Compositions over real sockets: the shipped ones in front of the sandbox, and effects at a server that records them.

use std::{sync::Arc, time::Duration};

use isobar::{Host, compositions};
use isobar_compositions::{Plan, check};
use isobar_config::{Nothing, Source, check_with};
use isobar_sandbox::{
    Sandbox,
    faults::{Class, Fault, Rule},
};
use isobar_tests::{HEAD, Seen, see};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::{
    effects::Shop,
    tokens::{self, ISSUER},
};

pub(crate) const WEATHER: &[u8] = include_bytes!("../../sandbox/fixtures/weather.wav");

/// A state folder.
fn folder() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

/// A gateway with compositions.
pub(crate) struct Stand {
    sandbox: Sandbox,
    host: Host,
    client: reqwest::Client,
    state: Arc<tempfile::TempDir>,
}

impl Stand {
    /// The library, over these vendors of the sandbox.
    async fn library(vendors: &[&str]) -> Self {
        Self::with(vendors, "", compositions::shipped()).await
    }

    /// These compositions alone.
    pub(crate) async fn of(texts: &[&str]) -> Self {
        let sources = texts.iter().map(|text| Source {
            name: "test.yaml".to_owned(),
            text: (*text).to_owned(),
        });
        Self::with(
            &["deepgram", "azure", "google", "deepl"],
            "",
            sources.collect(),
        )
        .await
    }

    pub(crate) async fn with(vendors: &[&str], more: &str, sources: Vec<Source>) -> Self {
        Self::in_state(folder(), vendors, more, sources).await
    }

    async fn in_state(
        state: Arc<tempfile::TempDir>,
        vendors: &[&str],
        more: &str,
        sources: Vec<Source>,
    ) -> Self {
        let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let printed = sandbox.print_config();
        let accounts: String = vendors
            .iter()
            .map(|vendor| {
                let start = format!("  {vendor}:");
                let line = printed.lines().find(|line| line.starts_with(&start));
                format!("{}\n", line.expect("the vendor is simulated"))
            })
            .collect();
        let text = format!(
            "{HEAD}state: {}\naccounts:\n{accounts}{more}",
            state.path().display()
        );
        let (known, _) = isobar_adapters::built_in();
        let source = Source {
            name: "isobar.yaml".to_owned(),
            text,
        };
        let (config, report) = check_with(&[source], &Nothing, &isobar::catalog(known));
        let config = config.unwrap_or_else(|| panic!("{}", report.text(false)));
        let named = compositions::known(&config).unwrap();
        let (plans, report) = check(&sources, &named, &Nothing);
        assert!(!report.has_errors(), "{}", report.text(false));
        let checked = compositions::with(config, plans);
        let host = Box::pin(Host::start(checked, None)).await.unwrap();
        Self {
            sandbox,
            host,
            client: reqwest::Client::new(),
            state,
        }
    }

    /// Changes the store behind the gateway's back, and says how many rows it was.
    async fn change_store(&self, statement: &'static str) -> u64 {
        let options = SqliteConnectOptions::new().filename(self.state.path().join("isobar.db"));
        let mut store = options.connect().await.unwrap();
        let changed = sqlx::query(statement).execute(&mut store).await.unwrap();
        store.close().await.unwrap();
        changed.rows_affected()
    }

    /// A metric without labels, from the admin port.
    async fn metric(&self, name: &str) -> u64 {
        let page = format!("http://{}/metrics", self.host.admin().unwrap());
        let text = reqwest::get(page).await.unwrap().text().await.unwrap();
        let value = text.lines().find_map(|line| {
            let (known, value) = line.split_once(' ')?;
            (known == name).then_some(value)
        });
        value.expect("the metric is there").parse().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host.addresses()[0])
    }

    pub(crate) async fn json(&self, path: &str, input: &Value) -> Seen {
        see(self.request(path, input)).await
    }

    fn request(&self, path: &str, input: &Value) -> reqwest::RequestBuilder {
        self.client
            .post(self.url(path))
            .bearer_auth("any")
            .header("content-type", "application/json")
            .body(input.to_string())
    }

    /// The metrics of the admin port, where there is one.
    pub(crate) async fn metrics(&self) -> String {
        let admin = self.host.admin().unwrap();
        let page = see(self.client.get(format!("http://{admin}/metrics"))).await;
        page.text()
    }

    /// The same with one more header.
    pub(crate) async fn with_header(
        &self,
        path: &str,
        input: &Value,
        name: &str,
        value: &str,
    ) -> Seen {
        see(self.request(path, input).header(name, value)).await
    }

    async fn audio(&self, path: &str) -> Seen {
        self.form(path, &[]).await
    }

    /// A recording, with these fields beside it.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Seen {
        let boundary = "frontier-of-the-form";
        let fields = fields.iter().map(|(name, value)| {
            format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
        });
        let mut body = fields.collect::<String>();
        body += &format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\ncontent-type: audio/wav\r\n\r\n"
        );
        let mut body = body.into_bytes();
        body.extend_from_slice(WEATHER);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let request = self.client.post(self.url(path)).bearer_auth("any");
        let kind = format!("multipart/form-data; boundary={boundary}");
        see(request.header("content-type", kind).body(body)).await
    }
}

const VENDORS: [&str; 5] = ["deepgram", "openai", "azure", "google", "deepl"];

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_becomes_insights_and_survives_the_loss_of_a_vendor() {
    let stand = Stand::library(&VENDORS).await;
    let seen = stand.audio("/v1/voice/insights").await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    let whole = seen.json();
    let text = whole["text"].as_str().unwrap();
    assert!(text.to_lowercase().contains("weather"), "{text}");
    assert!(whole["mood"]["label"].is_string(), "{whole}");
    assert!(whole["topics"].is_array(), "{whole}");
    assert!(seen.vendor().starts_with("deepgram"), "{}", seen.vendor());
    let timing = seen.header("server-timing");
    for step in ["heard;", "mood;", "people;", "topics;", "total;"] {
        assert!(timing.contains(step), "{timing}");
    }
    let rule = Rule::at("deepgram", Fault::error(Class::Unavailable));
    stand.sandbox.faults().set([rule]);
    let again = stand.audio("/v1/voice/insights").await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert!(again.vendor().starts_with("openai"), "{}", again.vendor());
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_may_be_missing_are_named_when_they_are() {
    let stand = Stand::library(&["deepgram", "azure", "google"]).await;
    let down =
        |vendor: &str| Rule::at(vendor, Fault::error(Class::Unavailable)).during("text.entities");
    stand.sandbox.faults().set([down("azure"), down("google")]);
    let seen = stand.audio("/v1/voice/insights").await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    assert_eq!(seen.header("isobar-degraded"), "people");
    assert_eq!(seen.json()["entities"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_in_another_language_is_translated_first() {
    let stand = Stand::library(&VENDORS).await;
    let german = stand
        .json(
            "/v1/feedback",
            &json!({ "text": "Die Lieferung kam zu spät und der Karton war kaputt." }),
        )
        .await;
    assert_eq!(german.status, 200, "{}", german.text());
    assert_eq!(german.json()["language"], json!("de"));
    assert!(
        german
            .header("server-timing")
            .contains("english;desc=\"translation.translate done")
    );
    let english = stand
        .json(
            "/v1/feedback",
            &json!({ "text": "I love the new colours, they are wonderful." }),
        )
        .await;
    assert_eq!(english.json()["language"], json!("en"));
    assert!(
        english
            .header("server-timing")
            .contains("english;desc=\"translation.translate skipped")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_before_anything_is_called() {
    let stand = Stand::library(&VENDORS).await;
    let raw = |kind: &'static str, body: &'static str| {
        let request = stand
            .client
            .post(stand.url("/v1/feedback"))
            .bearer_auth("any");
        see(request.header("content-type", kind).body(body))
    };
    for (kind, body, status, part) in [
        ("application/json", "{", 400, "not JSON"),
        ("application/json", "[]", 400, "not a JSON object"),
        (
            "application/json",
            "{\"text\":\"a\",\"text\":\"b\"}",
            400,
            "twice",
        ),
        ("application/json", "{\"text\":1e999}", 400, "not JSON"),
        (
            "application/json",
            "{\"text\":7}",
            400,
            "`text` is a number",
        ),
        ("application/json", "{}", 400, "`text` is missing"),
        (
            "application/json",
            "{\"text\":\"a\",\"tone\":1}",
            400,
            "no input `tone`",
        ),
        ("text/plain", "a", 415, "application/json"),
    ] {
        let seen = raw(kind, body).await;
        assert_eq!(seen.status, status, "{body}: {}", seen.text());
        assert!(seen.text().contains(part), "{body}: {}", seen.text());
    }
    let deep = format!("{{\"text\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let request = stand
        .client
        .post(stand.url("/v1/feedback"))
        .bearer_auth("any");
    assert_eq!(
        see(request
            .header("content-type", "application/json")
            .body(deep))
        .await
        .status,
        400
    );
    let seen = stand
        .json("/v1/voice/insights", &json!({ "audio": "x" }))
        .await;
    assert_eq!(seen.status, 415, "{}", seen.text());
    assert!(stand.sandbox.ledger().entries(None).is_empty());
}

fn order(shop: &Shop) -> String {
    format!(
        "composition: order
expose: POST /v1/orders
idempotency: {{ header: Idempotency-Key, keep: 1h }}
hosts: [ \"{host}\" ]
input: {{ sku: string, sentence: string? }}
steps:
  held:
    http: {{ method: POST, url: \"http://{host}/holds\", json: {{ sku: $.input.sku }}, key: Idempotency-Key, returns: {{ id: string }} }}
    undo: {{ http: {{ method: DELETE, url: \"http://{host}/holds/{{id}}\", path: {{ id: $.held.body.id }} }} }}
  paid:
    http: {{ method: PUT, url: \"http://{host}/payments/{{run}}\", path: {{ run: $.run.id }}, json: {{ hold: $.held.body.id }} }}
    undo: {{ http: {{ method: DELETE, url: \"http://{host}/payments/{{run}}\", path: {{ run: $.run.id }} }} }}
  told:
    http: {{ method: POST, url: \"http://{host}/mails\", json: {{ sku: $.input.sku, hold: $.held.body.id, paid: $.paid.status }} }}
status: 201
headers: {{ x-hold: $.held.body.id }}
output: {{ hold: $.held.body.id, told: $.told.status }}
",
        host = shop.host()
    )
}

/// The order at this shop, on a gateway with an admin port.
async fn administered(shop: &Shop) -> Stand {
    administered_in(folder(), shop).await
}

async fn administered_in(state: Arc<tempfile::TempDir>, shop: &Shop) -> Stand {
    let source = Source {
        name: "test.yaml".to_owned(),
        text: order(shop),
    };
    let more = "admin: 127.0.0.1:0\n";
    Stand::in_state(state, &["azure"], more, vec![source]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_done_whole_or_taken_back_whole() {
    let shop = Shop::start().await;
    let stand = Stand::of(&[&order(&shop)]).await;
    let seen = stand.json("/v1/orders", &json!({ "sku": "a" })).await;
    assert_eq!(seen.status, 201, "{}", seen.text());
    let hold = seen.json()["hold"].as_str().unwrap().to_owned();
    assert_eq!(seen.header("x-hold"), hold);
    assert_eq!(shop.standing(), 2);
    shop.breaks("/mails");
    let seen = stand.json("/v1/orders", &json!({ "sku": "b" })).await;
    assert_eq!(seen.status, 502, "{}", seen.text());
    assert!(
        seen.text().contains("step `told` failed"),
        "{}",
        seen.text()
    );
    assert!(
        seen.text().contains("what `held` did is taken back"),
        "{}",
        seen.text()
    );
    assert_eq!(shop.standing(), 2, "{:?}", shop.log());
    let calls = shop.log();
    let undone: Vec<&String> = calls
        .iter()
        .filter(|call| call.starts_with("DELETE"))
        .collect();
    assert!(
        undone[0].contains("/payments/") && undone[1].contains("/holds/"),
        "{undone:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_that_the_store_cannot_record() {
    // A full disk rolls back what was begun, too.
    let no_effects =
        "CREATE TRIGGER full BEFORE INSERT ON effects BEGIN SELECT RAISE(ROLLBACK, 'no room'); END";
    let no_answers =
        "CREATE TRIGGER full BEFORE INSERT ON answers BEGIN SELECT RAISE(ROLLBACK, 'no room'); END";
    for (full, keyed) in [(no_effects, false), (no_effects, true), (no_answers, true)] {
        let shop = Shop::start().await;
        let stand = administered(&shop).await;
        let input = json!({ "sku": "a" });
        assert_eq!(stand.json("/v1/orders", &input).await.status, 201);
        let before = shop.log();
        stand.change_store(full).await;
        let ask = async || {
            let mut request = stand.request("/v1/orders", &input);
            if keyed {
                request = request.header("Idempotency-Key", "k1");
            }
            see(request).await
        };
        let seen = ask().await;
        let problem = seen.json();
        assert_eq!(
            (seen.status, &problem["type"]),
            (503, &json!("urn:isobar:problem:store-unavailable")),
            "{problem}"
        );
        assert!(!seen.text().contains("no room"), "{problem}");
        assert_eq!(shop.log(), before, "{full}");
        assert!(stand.metric("isobar_store_failures_total").await > 0);
        stand.change_store("DROP TRIGGER full").await;
        for _ in 0..8 {
            let seen = ask().await;
            assert_eq!(seen.status, 201, "{full}: {}", seen.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_at_the_end_of_a_run_gets_what_it_is_owed() {
    let shop = Shop::start().await;
    let stand = administered(&shop).await;
    shop.slow("/mails", Duration::from_secs(2));
    let ask = async || {
        let request = stand.request("/v1/orders", &json!({ "sku": "a" }));
        see(request.header("Idempotency-Key", "k1")).await
    };
    let fail = async {
        while shop.count("PUT /payments") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Beyond what the run writes when its last effect has happened.
        tokio::time::sleep(Duration::from_millis(100)).await;
        stand.change_store("CREATE TRIGGER e BEFORE DELETE ON effects BEGIN SELECT RAISE(ROLLBACK, 'no room'); END").await;
        stand.change_store("CREATE TRIGGER a BEFORE DELETE ON answers BEGIN SELECT RAISE(ROLLBACK, 'no room'); END").await;
    };
    let fail = tokio::time::timeout(Duration::from_mins(1), fail);
    let (seen, failed) = tokio::join!(ask(), fail);
    failed.expect("a payment is made");
    assert_eq!(seen.status, 503, "{}", seen.text());
    assert!(seen.text().contains("what `held` did is taken back"));
    assert_eq!(shop.standing(), 0, "{:?}", shop.log());
    assert_eq!(ask().await.status, 409);
    stand.change_store("DROP TRIGGER e").await;
    stand.change_store("DROP TRIGGER a").await;
    let mut again = ask().await;
    for _ in 0..100 {
        if again.status != 409 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        again = ask().await;
    }
    assert_eq!(again.status, 201, "{}", again.text());
    // Each was taken back once, and nothing is left to look at.
    assert_eq!(shop.count("DELETE /holds"), 1, "{:?}", shop.log());
    assert_eq!(shop.count("DELETE /payments"), 1, "{:?}", shop.log());
    assert_eq!(stand.change_store("DELETE FROM effects").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_with_one_state_folder_leave_each_others_runs_alone() {
    let shop = Shop::start().await;
    let one = administered(&shop).await;
    shop.slow("/mails", Duration::from_secs(6));
    let ask = async |stand: &Stand| {
        let request = stand.request("/v1/orders", &json!({ "sku": "a" }));
        see(request.header("Idempotency-Key", "k1")).await
    };
    let meet = async {
        while shop.count("PUT /payments") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let other = administered_in(Arc::clone(&one.state), &shop).await;
        let offered = |stand: &Stand| stand.host.offer(stand.state.path());
        let offer = offered(&one).unwrap();
        let why = offered(&other).unwrap_err().to_string();
        assert!(why.contains("another running gateway"), "{why}");
        drop(offer);
        assert!(offered(&other).is_ok());
        assert_eq!(ask(&other).await.status, 409, "its key is taken");
        // It looks for what was left open every two seconds.
        while one.metric("isobar_effects_open").await < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        other
    };
    let meet = tokio::time::timeout(Duration::from_mins(1), meet);
    let (seen, other) = tokio::join!(ask(&one), meet);
    let other = other.expect("the effects are left open");
    assert_eq!(seen.status, 201, "{}", seen.text());
    assert_eq!(shop.standing(), 2, "{:?}", shop.log());
    assert_eq!(shop.count("DELETE"), 0, "{:?}", shop.log());
    let again = ask(&other).await;
    assert_eq!(
        (again.status, again.header("isobar-replayed")),
        (201, "true")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_opened_is_told_before_a_request_needs_it() {
    let shop = Shop::start().await;
    let state = folder();
    std::fs::create_dir(state.path().join("isobar.db")).unwrap();
    let stand = administered_in(state, &shop).await;
    let told = async {
        while stand.metric("isobar_store_failures_total").await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(10), told).await;
    assert!(told.is_ok(), "nobody is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_effects_is_kept_while_the_store_cannot_be_read() {
    let shop = Shop::start().await;
    let stand = administered(&shop).await;
    shop.breaks("DELETE /holds");
    shop.breaks("/mails");
    stand.json("/v1/orders", &json!({ "sku": "a" })).await;
    let reached = async |name: &str, wanted: std::ops::RangeInclusive<u64>| {
        for _ in 0..100 {
            if wanted.contains(&stand.metric(name).await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("`{name}` does not get to {wanted:?}");
    };
    reached("isobar_effects_open", 1..=1).await;
    stand
        .change_store("ALTER TABLE effects RENAME TO away")
        .await;
    // A round fails twice: when it looks what is open, and when it counts it. Then it has been through.
    reached("isobar_store_failures_total", 3..=u64::MAX).await;
    assert_eq!(stand.metric("isobar_effects_open").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_has_the_problem_of_its_step() {
    let slow = "composition: slow
expose: POST /v1/slow
deadline: 100ms
input: { text: string }
steps: { mood: { use: text.sentiment, with: { text: $.input.text } } }
output: { mood: $.mood.label }
";
    let stand = Stand::of(&[slow]).await;
    let input = json!({ "text": "I like it." });
    let late = |vendor: &str| Rule::at(vendor, Fault::Delay(Duration::from_secs(5)));
    stand.sandbox.faults().set([late("azure"), late("google")]);
    let seen = stand.json("/v1/slow", &input).await;
    let problem = seen.json();
    assert_eq!(
        (seen.status, &problem["type"]),
        (504, &json!("urn:isobar:problem:vendor-timeout")),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_gets_the_same_answer_and_does_nothing_again() {
    let shop = Shop::start().await;
    let stand = Stand::of(&[&order(&shop)]).await;
    let ask = |sku: &str, key: &str| {
        let request = stand.request("/v1/orders", &json!({ "sku": sku }));
        see(request.header("idempotency-key", key))
    };
    let first = ask("a", "k1").await;
    let again = ask("a", "k1").await;
    assert_eq!((first.status, again.status), (201, 201), "{}", again.text());
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("isobar-replayed"), "true");
    assert_eq!(shop.count("POST /holds"), 1);
    let other = ask("b", "k1").await;
    assert_eq!(
        (other.status, other.problem()),
        (422, "key-reused".to_owned())
    );
    // A run that failed and was taken back leaves its key free.
    shop.breaks("/mails");
    assert_eq!(ask("c", "k2").await.status, 502);
    shop.mends("/mails");
    assert_eq!(ask("c", "k2").await.status, 201);
    assert_eq!(shop.standing(), 4, "{:?}", shop.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_repeated_while_it_runs_is_told_so() {
    let shop = Shop::start().await;
    let stand = Stand::of(&[&order(&shop)]).await;
    shop.slow("/mails", Duration::from_millis(600));
    let ask = || {
        let request = stand.request("/v1/orders", &json!({ "sku": "a" }));
        see(request.header("idempotency-key", "k"))
    };
    let (first, second) = tokio::join!(ask(), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        ask().await
    });
    assert_eq!(
        (first.status, second.status),
        (201, 409),
        "{}",
        second.text()
    );
    assert_eq!(second.problem(), "still-running");
    assert_eq!(shop.count("POST /holds"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_stops_the_run_and_its_effects_are_taken_back() {
    let shop = Shop::start().await;
    let stand = Stand::of(&[&order(&shop)]).await;
    shop.slow("/mails", Duration::from_secs(20));
    let request = stand.request("/v1/orders", &json!({ "sku": "a" }));
    let gave_up = request.timeout(Duration::from_millis(500)).send().await;
    assert!(gave_up.is_err());
    for _ in 0..100 {
        if shop.count("DELETE /holds") == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        (shop.standing(), shop.count("DELETE /payments")),
        (0, 1),
        "{:?}",
        shop.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_fails_is_done_later() {
    let shop = Shop::start().await;
    let stand = Stand::of(&[&order(&shop)]).await;
    shop.breaks("/mails");
    shop.breaks("DELETE /holds");
    let seen = stand.json("/v1/orders", &json!({ "sku": "a" })).await;
    assert_eq!(
        (seen.status, seen.problem()),
        (502, "outcome-unknown".to_owned()),
        "{}",
        seen.text()
    );
    assert!(
        seen.text().contains("`held` did is being taken back"),
        "{}",
        seen.text()
    );
    assert_eq!(shop.standing(), 1);
    shop.mends("DELETE /holds");
    for _ in 0..100 {
        if shop.standing() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(shop.standing(), 0, "{:?}", shop.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_streamed_output_come_as_soon_as_they_are_known() {
    let shop = Shop::start().await;
    shop.slow("/b", Duration::from_millis(700));
    let text = format!(
        "composition: parts
expose: GET /v1/parts
hosts: [ \"{host}\" ]
steps:
  a: {{ http: \"GET http://{host}/a\" }}
  b: {{ http: \"GET http://{host}/b\" }}
stream: true
output: {{ a: $.a.status, b: $.b.status }}
",
        host = shop.host()
    );
    let stand = Stand::of(&[&text]).await;
    let began = std::time::Instant::now();
    let request = stand.client.get(stand.url("/v1/parts")).bearer_auth("any");
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let first = answer.chunk().await.unwrap().unwrap();
    assert_eq!(first, "event: a\ndata: 200\n\n");
    assert!(began.elapsed() < Duration::from_millis(600));
    let mut rest = Vec::new();
    while let Some(piece) = answer.chunk().await.unwrap() {
        rest.extend_from_slice(&piece);
    }
    let rest = String::from_utf8(rest).unwrap();
    assert!(
        rest.starts_with("event: b\ndata: 200\n\nevent: done\n"),
        "{rest}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_come_from_path_query_and_header() {
    let shop = Shop::start().await;
    let text = format!(
        "composition: find
expose: GET /v1/shops/{{shop}}/items
hosts: [ \"{host}\" ]
input:
  shop: string
  page: {{ type: integer, default: 1 }}
  tier: {{ type: string?, from: header, name: X-Tier }}
steps:
  found:
    http: {{ method: GET, url: \"http://{host}/found/{{shop}}\", path: {{ shop: $.input.shop }}, query: {{ page: $.input.page }}, headers: {{ x-tier: $.input.tier }} }}
output: {{ status: $.found.status, page: $.input.page, tier: $.input.tier }}
",
        host = shop.host()
    );
    let stand = Stand::of(&[&text]).await;
    let get = |path: &'static str| stand.client.get(stand.url(path)).bearer_auth("any");
    let seen = see(get("/v1/shops/a%20b/items?page=3").header("x-tier", "gold")).await;
    assert_eq!(
        seen.json(),
        json!({ "status": 200, "page": 3, "tier": "gold" }),
        "{}",
        seen.text()
    );
    assert_eq!(shop.log(), ["GET /found/a%20b?page=3"]);
    assert_eq!(see(get("/v1/shops/x/items?page=z")).await.status, 400);
    assert_eq!(see(get("/v1/shops/%2e%2e/items")).await.status / 100, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_listed_is_never_called_whatever_the_client_says() {
    let shop = Shop::start().await;
    let text = "composition: fetch
expose: POST /v1/fetch
hosts: [ \"images.example.com\", \"*.cdn.example.com\" ]
input: { url: string }
steps: { got: { http: { method: GET, url: $.input.url } } }
output: { status: $.got.status }
";
    let stand = Stand::of(&[text]).await;
    for url in [
        format!("http://{}/a", shop.host()),
        "http://images.example.com@127.0.0.1/".to_owned(),
        "http://evil.com/images.example.com".to_owned(),
        "http://images.example.com.evil.com/".to_owned(),
        "http://cdn.example.com/".to_owned(),
        "http://images.example.com:22/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://images.example.com/".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "//images.example.com/".to_owned(),
        String::new(),
    ] {
        let seen = stand.json("/v1/fetch", &json!({ "url": url })).await;
        assert!(
            (400..500).contains(&seen.status),
            "{url}: {} {}",
            seen.status,
            seen.text()
        );
    }
    assert!(shop.log().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_answer_names_step_and_path() {
    let shop = Shop::start().await;
    let text = format!(
        "composition: typed
expose: GET /v1/typed
hosts: [ \"{host}\" ]
steps: {{ got: {{ http: {{ method: GET, url: \"http://{host}/x\", returns: {{ total: integer }} }} }} }}
output: {{ total: $.got.body.total }}
",
        host = shop.host()
    );
    let stand = Stand::of(&[&text]).await;
    let request = stand.client.get(stand.url("/v1/typed")).bearer_auth("any");
    let seen = see(request).await;
    assert_eq!(
        (seen.status, seen.problem()),
        (502, "vendor-broken".to_owned()),
        "{}",
        seen.text()
    );
    assert!(
        seen.text().contains("step `got`") && seen.text().contains("`total`"),
        "{}",
        seen.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_a_client_cannot_hold_an_expression_up() {
    let shop = Shop::start().await;
    let text = format!(
        "composition: pairs
expose: POST /v1/pairs
hosts: [ \"{host}\" ]
input: {{ list: list(integer), text: string? }}
steps: {{ got: {{ http: {{ method: GET, url: \"http://{host}/x\" }} }} }}
output:
  status: $.got.status
  pairs: \"= input.list.all(a, input.list.all(b, input.list.all(c, a + b + c >= 0)))\"
  texts: \"= has(input.text) ? input.list.map(a, input.text) : []\"
",
        host = shop.host()
    );
    let stand = Stand::of(&[&text]).await;
    let list = |many: u32| (0..many).collect::<Vec<_>>();
    let few = json!({ "list": list(20), "text": "x" });
    let seen = stand.json("/v1/pairs", &few).await;
    let expected = json!({ "status": 200, "pairs": true, "texts": vec!["x"; 20] });
    assert_eq!(seen.json(), expected, "{}", seen.text());
    // A billion rounds, and fifty copies of a text of 1.5 MiB.
    for (many, why) in [
        (json!({ "list": list(1_000) }), "200000 rounds"),
        (
            json!({ "list": vec![0; 50], "text": "x".repeat(1536 * 1024) }),
            "64 MiB",
        ),
    ] {
        let asked = stand.json("/v1/pairs", &many);
        let seen = tokio::time::timeout(Duration::from_mins(1), asked).await;
        let seen = seen.expect("an answer in time");
        assert_eq!(seen.status, 422, "{}", seen.text());
        assert_eq!(seen.problem(), "expression");
        assert!(seen.text().contains(why), "{}", seen.text());
    }
}

#[test]
fn the_library_is_right() {
    let (plans, report) = check(
        &compositions::shipped(),
        &isobar_compositions::Known::default(),
        &Nothing,
    );
    assert!(report.is_empty(), "{}", report.text(false));
    let names: Vec<&str> = plans
        .iter()
        .map(|plan: &Arc<Plan>| plan.name.as_str())
        .collect();
    for name in ["voice-insights", "multilingual-feedback"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[tokio::test]
async fn compositions_and_operations_are_open_to_those_who_have_their_scopes() {
    let tone = "composition: tone\nexpose: POST /v1/tone\nscopes: [tone.read, tone.more]\ninput: { text: string }\n\
                steps: { mood: { use: text.sentiment, with: { text: $.input.text } } }\noutput: { mood: $.mood.label }\n";
    let source = Source {
        name: "tone.yaml".to_owned(),
        text: tone.to_owned(),
    };
    let keys =
        ["nobody", "half", "tone", "text"].map(|name| format!("{name}-key-0123456789abcdef"));
    let hashed = |at: usize| isobar_config::hash_key(&keys[at]);
    let more = format!(
        "clients:\n  nobody: {{ key: \"{}\" }}\n  half: {{ key: \"{}\", scopes: [tone.read] }}\n  \
         tone: {{ key: \"{}\", scopes: [tone.more, tone.read] }}\n  text: {{ key: \"{}\", scopes: [text.use] }}\n  \
         staff: {{ token: {{ issuer: \"{ISSUER}\", audience: isobar, algorithms: [EdDSA], jwks: '{}' }} }}\n\
         capabilities: {{ text: {{ scopes: [text.use] }} }}\n",
        hashed(0),
        hashed(1),
        hashed(2),
        hashed(3),
        tokens::jwks(),
    );
    let stand = Stand::with(&["azure"], &more, vec![source]).await;
    let scoped = |scopes: &str| tokens::token("EdDSA", &tokens::with(json!({ "scope": scopes })));
    let both = scoped("tone.more text.use tone.read");
    for (who, on_tone, on_text) in [
        (&keys[0], 403, 403),
        (&keys[1], 403, 403),
        (&keys[2], 200, 403),
        (&keys[3], 403, 200),
        (&scoped("tone.readmore text"), 403, 403),
        (&both, 200, 200),
    ] {
        for (path, status) in [("/v1/tone", on_tone), ("/v1/text/sentiment", on_text)] {
            let request = stand.client.post(stand.url(path)).bearer_auth(who);
            let request = request.header("content-type", "application/json");
            let seen = see(request.body(r#"{ "text": "I love it" }"#)).await;
            assert_eq!(seen.status, status, "{path} {who}: {}", seen.text());
            if status == 403 {
                assert_eq!(seen.problem(), "forbidden");
                let challenge = seen.header("www-authenticate");
                assert!(challenge.contains("insufficient_scope"), "{challenge}");
            }
        }
    }
    let asked = stand.client.get(stand.url("/openapi.json"));
    let described = see(asked.bearer_auth(&keys[0])).await.json();
    let needed = |path: &str| described["paths"][path]["post"]["security"].clone();
    assert_eq!(
        needed("/v1/tone"),
        json!([{ "key": ["tone.read", "tone.more"] }])
    );
    assert_eq!(
        needed("/v1/text/sentiment"),
        json!([{ "key": ["text.use"] }])
    );
}
