//! Compositions through the binary: the commands about them, files that change while it serves, and a process that is
//! killed in the middle of a run.

use std::{fs, path::Path, process::Output, time::Duration};

use isobar_sandbox::{Sandbox, WEATHER};
use isobar_tests::{eventually, see};
use serde_json::{Value, json};

use super::{
    binary::{PATIENCE, Place, Running, client},
    commands::run,
    effects::Shop,
};

/// From the guide's five minutes.
const TONE: &str = "composition: tone
about: How a text feels, also if it is not English
expose: POST /v1/tone
anonymous: true
input: { text: string }
steps:
  tongue: { use: text.language, with: { text: $.input.text } }
  english: { use: translation.translate, when: \"= tongue.language != 'en'\", with: { text: $.input.text, to: en } }
  mood: { use: text.sentiment, with: { text: \"= has(english.text) ? english.text : input.text\" } }
output: { language: $.tongue.language, mood: $.mood.label, score: $.mood.score }
";

/// A folder with a configuration that names accounts of a sandbox and a folder of compositions.
struct Stand {
    folder: tempfile::TempDir,
    sandbox: Sandbox,
}

impl Stand {
    async fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        fs::create_dir(folder.path().join("compositions")).unwrap();
        let stand = Self { folder, sandbox };
        let head = "isobar: 1\nlisten: [ { http: \"127.0.0.1:0\" } ]\n";
        let text = format!(
            "{head}state: \"{}\"\ncompositions: ./compositions\n{}",
            stand.at("state"),
            accounts(&stand.sandbox, &["deepgram", "azure", "google", "deepl"])
        );
        fs::write(stand.at("isobar.yaml"), text).unwrap();
        for (name, text) in files {
            fs::write(stand.at(&format!("compositions/{name}")), text).unwrap();
        }
        stand
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn config(&self) -> String {
        self.at("isobar.yaml")
    }
}

fn accounts(sandbox: &Sandbox, vendors: &[&str]) -> String {
    let printed = sandbox.print_config();
    let wanted = |line: &&str| {
        vendors
            .iter()
            .any(|vendor| line.starts_with(&format!("  {vendor}:")))
    };
    let lines: Vec<&str> = printed.lines().filter(wanted).collect();
    assert_eq!(lines.len(), vendors.len());
    format!("accounts:\n{}\n", lines.join("\n"))
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[tokio::test]
async fn a_composition_is_run_from_the_command_line() {
    let stand = Stand::new(&[("tone.yaml", TONE)]).await;
    let config = stand.config();
    let text = "text=Das gefällt mir sehr.";
    let ran = run(&["run", "tone", "-c", &config, "--input", text]).await;
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let answer = parsed(&ran);
    assert_eq!(answer["language"], json!("de"));
    assert!(answer["mood"].is_string(), "{answer}");
    let progress = err(&ran);
    for part in ["✓ tongue", "text.language", "✓ english", "✓ mood", " ms "] {
        assert!(progress.contains(part), "{part}: {progress}");
    }

    let ran = run(&["run", "tone", "-c", &config, "--input", text, "--json"]).await;
    let told = parsed(&ran);
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
    assert_eq!(told["status"], json!(200));
    assert_eq!(told["output"]["language"], json!("de"));
    assert_eq!(told["steps"][0]["step"], json!("tongue"));
    assert_eq!(told["steps"][0]["outcome"], json!("done"));

    let file = stand.at("answer.json");
    let ran = run(&["run", "tone", "-c", &config, "-i", text, "-o", &file]).await;
    assert!(ran.status.success() && ran.stdout.is_empty(), "{ran:?}");
    let kept: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(kept["language"], json!("de"));

    for (arguments, part) in [
        (
            vec!["run", "tune", "-c", &config],
            "there is no composition `tune`; known are tone",
        ),
        (
            vec!["run", "tone", "-c", &config],
            "the input `text` is missing",
        ),
        (
            vec!["run", "tone", "-c", &config, "-i", "text"],
            "is not NAME=VALUE",
        ),
        (
            vec!["run", "tone", "-c", &config, "-i", "audio=@/nonexistent"],
            "cannot be read",
        ),
    ] {
        let ran = run(&arguments).await;
        assert_eq!(ran.status.code(), Some(1), "{ran:?}");
        assert!(err(&ran).contains(part) && ran.stdout.is_empty(), "{ran:?}");
    }
}

#[tokio::test]
async fn a_recording_goes_in_and_one_comes_out() {
    let stand = Stand::new(&[]).await;
    let library = include_str!("../../../compositions/library/dub.yaml");
    fs::write(stand.at("compositions/dub.yaml"), library).unwrap();
    fs::write(stand.at("weather.wav"), WEATHER).unwrap();
    let (config, audio) = (
        stand.config(),
        format!("audio=@{}", stand.at("weather.wav")),
    );
    let file = stand.at("dubbed.mp3");
    let ran = run(&[
        "run", "dub", "-c", &config, "-i", &audio, "-i", "to=de", "-o", &file,
    ])
    .await;
    assert!(ran.status.success(), "{ran:?}");
    assert!(fs::metadata(&file).unwrap().len() > 100);
}

#[tokio::test]
async fn a_run_that_fails_says_so_and_takes_back_what_it_did() {
    let shop = Shop::start().await;
    shop.breaks("/mails");
    let stand = Stand::new(&[("order.yaml", &order(&shop))]).await;
    let config = stand.config();
    let ran = run(&["run", "order", "-c", &config, "-i", "sku=a"]).await;
    assert_eq!(ran.status.code(), Some(1));
    let told = err(&ran);
    assert!(told.contains("step `told` failed"), "{told}");
    assert!(told.contains("what `held` did: undone"), "{told}");
    assert_eq!(shop.standing(), 0, "{:?}", shop.log());
    let ran = run(&["run", "order", "-c", &config, "-i", "sku=a", "--json"]).await;
    let told = parsed(&ran);
    assert_eq!(
        (ran.status.code(), &told["error"]["step"]),
        (Some(1), &json!("told"))
    );
    assert_eq!(told["undone"].as_array().unwrap().len(), 2, "{told}");
}

#[tokio::test]
async fn a_composition_is_explained() {
    let stand = Stand::new(&[("tone.yaml", TONE)]).await;
    let config = stand.config();
    let text = out(&run(&["explain", "tone", "-c", &config]).await);
    for part in [
        "tongue",
        "english",
        "text.sentiment",
        "azure",
        "google",
        "deepl",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let told = parsed(&run(&["explain", "tone", "-c", &config, "--json"]).await);
    assert!(told.to_string().contains("\"tongue\""), "{told}");

    let mermaid = out(&run(&["explain", "tone", "-c", &config, "--mermaid"]).await);
    assert!(
        mermaid.starts_with("flowchart") || mermaid.starts_with("graph"),
        "{mermaid}"
    );
    for step in ["tongue", "english", "mood"] {
        assert!(mermaid.contains(step), "{mermaid}");
    }
    assert!(mermaid.contains("-->"), "{mermaid}");

    let svg = out(&run(&["explain", "tone", "-c", &config, "--svg"]).await);
    assert!(svg.starts_with("<svg") || svg.starts_with("<?xml"), "{svg}");
    well_formed(&svg);
    let missing = run(&["explain", "tune", "-c", &config]).await;
    assert_eq!(missing.status.code(), Some(1));
}

/// Whether every element of an XML text ends where it should, and nothing is left that XML does not have.
fn well_formed(text: &str) {
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let between = &rest[..start];
        assert!(!between.contains('>'), "{between}");
        for entity in between.split('&').skip(1) {
            let name = entity.split(';').next().unwrap();
            assert!(
                ["lt", "gt", "amp", "quot", "apos"].contains(&name) || name.starts_with('#'),
                "&{entity}"
            );
        }
        let end = start + rest[start..].find('>').expect("a tag does not end");
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<'), "{tag}");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{text}");
        } else if !tag.ends_with('/') && !tag.starts_with('?') && !tag.starts_with('!') {
            open.push(tag.split_whitespace().next().unwrap().to_owned());
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
}

#[tokio::test]
async fn compositions_are_checked_alone_together_and_beside_a_configuration() {
    let stand = Stand::new(&[("tone.yaml", TONE)]).await;
    let (file, folder) = (stand.at("compositions/tone.yaml"), stand.at("compositions"));
    let checked = run(&["check", &file]).await;
    assert!(checked.status.success(), "{checked:?}");
    assert!(
        out(&checked).contains("tone at POST /v1/tone, 3 steps"),
        "{checked:?}"
    );

    let user = "composition: user\ninput: { text: string }\nsteps: { a: { use: composition.tone, with: { text: $.input.text } } }\noutput: $.a.mood\n";
    fs::write(stand.at("compositions/user.yaml"), user).unwrap();
    let alone = run(&["check", &stand.at("compositions/user.yaml")]).await;
    assert_eq!(alone.status.code(), Some(1));
    assert!(out(&alone).contains("E1004"), "{alone:?}");
    let together = run(&["check", &folder]).await;
    assert!(
        together.status.success() && out(&together).contains("user"),
        "{together:?}"
    );

    let pooled = TONE.replace(
        "use: text.sentiment,",
        "use: text.sentiment, pool: [asure],",
    );
    fs::write(&file, pooled).unwrap();
    let beside = run(&["check", &file, "-c", &stand.config(), "--json"]).await;
    let told = parsed(&beside);
    assert_eq!(beside.status.code(), Some(1), "{told}");
    assert_eq!(told["diagnostics"][0]["code"], json!("E1005"), "{told}");
    assert!(
        told["diagnostics"][0]["help"]
            .as_str()
            .unwrap()
            .contains("azure"),
        "{told}"
    );
}

#[tokio::test]
async fn cases_are_tried_and_told_to_people_programs_and_build_servers() {
    let cases = "cases:
  German is translated first:
    input: { text: Das gefällt mir. }
    answers: { tongue: { language: de }, english: { text: I like it. }, mood: { label: positive } }
    expect: { output: { mood: positive }, sent: { mood: { text: I like it. } } }
  English & <others>:
    input: { text: I like it. }
    answers: { tongue: { language: en }, mood: { label: positive, score: 0.9 } }
    expect: { output: { mood: negative }, skipped: [] }
";
    let stand = Stand::new(&[("tone.yaml", TONE), ("tone.test.yaml", cases)]).await;
    let folder = stand.at("compositions");
    let tried = run(&["test", &folder]).await;
    let text = out(&tried);
    assert_eq!(tried.status.code(), Some(1), "{tried:?}");
    for part in [
        "✓ German is translated first",
        "✗ English & <others>",
        "`output.mood` is \"positive\", not \"negative\"",
        "`skipped` is [english], not []",
        "tone.test.yaml:6",
        "no case where `tongue` fails over",
        "2 cases, 1 failed",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let junit = stand.at("junit.xml");
    let tried = run(&["test", &folder, "--json", "--junit", &junit]).await;
    let told = parsed(&tried);
    assert_eq!((tried.status.code(), &told["ok"]), (Some(1), &json!(false)));
    assert_eq!(told["cases"][0]["ok"], json!(true));
    assert_eq!(told["cases"][1]["line"], json!(6));
    assert_eq!(told["coverage"][0]["composition"], json!("tone"));
    let report = fs::read_to_string(&junit).unwrap();
    well_formed(&report);
    assert!(report.contains("tests=\"2\" failures=\"1\""), "{report}");
    assert!(report.contains("English &amp; &lt;others&gt;"), "{report}");

    let one = run(&[
        "test",
        &stand.at("compositions/tone.yaml"),
        "--only",
        "German",
    ])
    .await;
    assert!(
        one.status.success() && out(&one).contains("1 case, 0 failed"),
        "{one:?}"
    );
    // Accounts of the configuration, all of them simulated.
    let sandboxed = "cases:
  it fails over:
    sandbox: true
    faults: [ { vendor: azure, operation: text.sentiment, fault: { status: { code: 503 } } } ]
    input: { text: I like it. }
    expect: { vendors: { mood: google } }
";
    fs::write(stand.at("compositions/tone.test.yaml"), sandboxed).unwrap();
    let tried = run(&["test", "-c", &stand.config()]).await;
    assert!(tried.status.success(), "{tried:?}");

    fs::write(
        stand.at("compositions/tone.test.yaml"),
        "cases: { x: { inputt: {} } }",
    )
    .unwrap();
    let broken = run(&["test", &folder]).await;
    assert_eq!(broken.status.code(), Some(1));
    assert!(err(&broken).contains("did you mean `input`?"), "{broken:?}");
    fs::remove_file(stand.at("compositions/tone.test.yaml")).unwrap();
    let none = run(&["test", &folder]).await;
    assert_eq!(none.status.code(), Some(1));
    assert!(err(&none).contains("there are no cases"), "{none:?}");
}

/// The guide's blocks of this kind, in order.
fn of_the_guide(kind: &str) -> Vec<&'static str> {
    let guide = include_str!("../../../docs/guide/compositions.md");
    let start = format!("```{kind}\n");
    let blocks = guide.split(start.as_str()).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

#[tokio::test]
async fn the_guides_five_minutes_and_its_cases_work() {
    let composition = of_the_guide("yaml composition")[0];
    let cases = of_the_guide("yaml cases")[0];
    let stand = Stand::new(&[("tone.yaml", composition), ("tone.test.yaml", cases)]).await;
    let (config, folder) = (stand.config(), stand.at("compositions"));
    let lines: Vec<&str> = of_the_guide("sh")
        .into_iter()
        .flat_map(str::lines)
        .collect();
    let mut tried = 0;
    for line in lines {
        let line = line
            .replace("config/compositions", &folder)
            .replace("-c config", &format!("-c {config}"));
        // What serves does not end, and what asks it is no command of ours.
        let ends = ["check", "explain", "run", "test"]
            .iter()
            .any(|word| line.starts_with(&format!("isobar {word}")));
        if !ends {
            continue;
        }
        let words: Vec<String> = line
            .replace(
                "text=\"Das gefällt mir sehr.\"",
                "text=Das_gefällt_mir_sehr.",
            )
            .split(' ')
            .skip(1)
            .map(|word| word.replace('_', " "))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = run(&words).await;
        assert!(ran.status.success(), "{line}: {ran:?}");
        tried += 1;
    }
    assert!(tried >= 4, "{tried}");
}

#[tokio::test]
async fn every_composition_of_the_library_passes_its_cases() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compositions/library");
    let tried = run(&["test", &library.display().to_string(), "--json"]).await;
    let told = parsed(&tried);
    let cases = told["cases"].as_array().unwrap_or_else(|| panic!("{told}"));
    let wrong: Vec<&Value> = cases
        .iter()
        .filter(|case| case["ok"] != json!(true))
        .collect();
    assert!(tried.status.success() && wrong.is_empty(), "{wrong:#?}");
    let covered = told["coverage"].as_array().unwrap();
    assert_eq!(covered.len(), isobar_compositions::library().len());
    for (name, _) in isobar_compositions::library() {
        let own = cases
            .iter()
            .filter(|case| case["composition"] == json!(name));
        assert!(own.count() >= 4, "{name}");
        let one = covered
            .iter()
            .find(|one| one["composition"] == json!(name))
            .unwrap();
        assert!(one["percent"].as_u64().unwrap() >= 60, "{one:#}");
    }
}

#[tokio::test]
async fn what_is_served_is_described() {
    let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let rest = format!(
        "compositions: library\n{}",
        accounts(&sandbox, &["deepgram", "azure", "deepl"])
    );
    let mut place = Place::new(&rest);
    let config = place.config().display().to_string();
    let printed = parsed(&run(&["openapi", "-c", &config]).await);
    assert!(
        printed["openapi"].as_str().unwrap().starts_with("3.1"),
        "{printed}"
    );
    let paths = printed["paths"].as_object().unwrap();
    assert!(paths.contains_key("/v1/voice/insights"), "{paths:?}");
    assert!(
        paths["/v1/archive/calls/{id}"]["post"].is_object(),
        "{paths:?}"
    );
    refers_to_what_is_there(&printed, &printed);
    let page = out(&run(&["openapi", "-c", &config, "--html"]).await);
    assert!(
        page.contains("/v1/voice/insights") && page.contains("</html>"),
        "{page}"
    );

    let running = place.start().await;
    let served = see(client().get(running.url("/openapi.json"))).await;
    assert_eq!(served.status, 200);
    let served = served.json();
    assert_eq!(served["paths"].as_object().unwrap().len(), paths.len());
    let page = see(client().get(running.url("/docs"))).await;
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(text.contains("/v1/voice/insights"), "{text}");
    // Nothing is fetched from elsewhere.
    for elsewhere in ["src=\"http", "href=\"http", "url(http", "@import"] {
        assert!(!text.contains(elsewhere), "{elsewhere}");
    }
    let status = running.admin("GET", "/status").await.json();
    let told = &status["compositions"]["voice-insights"];
    assert_eq!(told["expose"], json!("POST /v1/voice/insights"), "{status}");
    assert_eq!(status["effects"], json!({ "open": 0, "review": 0 }));
}

fn refers_to_what_is_there(value: &Value, document: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                let pointer = target.strip_prefix('#').expect("it refers to itself alone");
                assert!(document.pointer(pointer).is_some(), "{target}");
            }
            for member in members.values() {
                refers_to_what_is_there(member, document);
            }
        }
        Value::Array(items) => {
            for item in items {
                refers_to_what_is_there(item, document);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn a_composition_that_changes_is_in_force_and_a_broken_one_changes_nothing() {
    let fixed = |answer: &str| {
        format!(
            "composition: a\nexpose: GET /v1/a\nanonymous: true\nhosts: [\"127.0.0.1:1\"]\nsteps: {{ s: {{ http: \"GET http://127.0.0.1:1/\", otherwise: {{}} }} }}\noutput: {{ says: {answer}, s: $.s.status }}\n"
        )
    };
    let mut place = Place::new("compositions: ./compositions\n");
    fs::create_dir(place.path("compositions")).unwrap();
    let file = place.path("compositions/a.yaml");
    fs::write(&file, fixed("one")).unwrap();
    let running = place.start().await;
    let says = async |path: &str| {
        let seen = see(client().get(running.url(path))).await;
        if seen.status == 200 {
            seen.json()["says"].clone()
        } else {
            Value::Null
        }
    };
    assert_eq!(says("/v1/a").await, json!("one"));

    fs::write(&file, fixed("two")).unwrap();
    assert!(
        eventually(PATIENCE, async || says("/v1/a").await == json!("two")).await,
        "{}",
        running.said()
    );

    fs::write(&file, fixed("$.nobody.knows")).unwrap();
    let refused = async || {
        let status = running.admin("GET", "/status").await.json();
        status["reload"]["refused"]["why"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        eventually(PATIENCE, async || refused().await.contains("E1001")).await,
        "{}",
        running.said()
    );
    assert!(refused().await.contains("a.yaml:6"), "{}", refused().await);
    assert_eq!(says("/v1/a").await, json!("two"));

    // One more is taken up, too, and mended ones are.
    fs::write(&file, fixed("three")).unwrap();
    let another = fixed("four")
        .replace("composition: a", "composition: b")
        .replace("/v1/a", "/v1/b");
    fs::write(place.path("compositions/b.yaml"), another).unwrap();
    assert!(
        eventually(PATIENCE, async || says("/v1/b").await == json!("four")).await,
        "{}",
        running.said()
    );
    assert_eq!(says("/v1/a").await, json!("three"));
    fs::remove_file(place.path("compositions/b.yaml")).unwrap();
    assert!(
        eventually(PATIENCE, async || says("/v1/b").await == Value::Null).await,
        "{}",
        running.said()
    );
}

/// A hold that is taken back by its answer, a payment that is taken back by the run, and a mail.
fn order(shop: &Shop) -> String {
    format!(
        "composition: order
expose: POST /v1/orders
anonymous: true
hosts: [ \"{host}\" ]
input: {{ sku: string }}
steps:
  held:
    http: {{ method: POST, url: \"http://{host}/holds\", json: {{ sku: $.input.sku }}, key: Idempotency-Key, returns: {{ id: string }} }}
    undo: {{ http: {{ method: DELETE, url: \"http://{host}/holds/{{id}}\", path: {{ id: $.held.body.id }} }} }}
  paid:
    http: {{ method: PUT, url: \"http://{host}/payments/{{run}}\", path: {{ run: $.run.id }}, json: {{ hold: $.held.body.id }} }}
    undo: {{ http: {{ method: DELETE, url: \"http://{host}/payments/{{run}}\", path: {{ run: $.run.id }} }} }}
  told:
    http: {{ method: POST, url: \"http://{host}/mails\", json: {{ hold: $.held.body.id, paid: $.paid.status }} }}
output: {{ hold: $.held.body.id, told: $.told.status }}
",
        host = shop.host()
    )
}

/// Orders at a gateway that is killed as soon as the shop has seen `moment`, and started again.
async fn killed_at(shop: &Shop, moment: &str) -> (Place, Running) {
    let mut place = Place::new("compositions: ./compositions\n");
    fs::create_dir(place.path("compositions")).unwrap();
    fs::write(place.path("compositions/order.yaml"), order(shop)).unwrap();
    let running = place.start().await;
    let request = client().post(running.url("/v1/orders"));
    let request = request
        .header("content-type", "application/json")
        .body("{\"sku\":\"a\"}");
    let asking = tokio::spawn(request.send());
    assert!(
        eventually(PATIENCE, async || shop.count(moment) > 0).await,
        "{:?}",
        shop.log()
    );
    // The answer, where there is one, has come, and the journal has it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    running.kill().await;
    let _ = asking.await;
    let running = place.start().await;
    (place, running)
}

#[tokio::test]
async fn what_a_killed_process_did_is_taken_back_by_the_next() {
    for (slow, moment, order) in [
        // The payment is under way: whether it stands is not known, and it is taken back blindly.
        (
            "PUT /payments",
            "PUT /payments",
            ["DELETE /payments", "DELETE /holds"],
        ),
        // Both stand, and the mail is under way.
        (
            "/mails",
            "POST /mails",
            ["DELETE /payments", "DELETE /holds"],
        ),
    ] {
        let shop = Shop::start().await;
        shop.slow(slow, Duration::from_secs(30));
        let (_place, running) = killed_at(&shop, moment).await;
        let back = async || shop.standing() == 0 && shop.count("DELETE") >= 2;
        assert!(
            eventually(PATIENCE, back).await,
            "{slow}: {:?}\n{}",
            shop.log(),
            running.said()
        );
        let log = shop.log();
        let deletes: Vec<&String> = log
            .iter()
            .filter(|line| line.starts_with("DELETE"))
            .collect();
        for (line, start) in deletes.iter().zip(order) {
            assert!(line.starts_with(start), "{log:?}");
        }
        assert_eq!(
            (shop.count("POST /holds"), shop.count("PUT")),
            (1, 1),
            "nothing is done again"
        );
        let settled = async || {
            let status = running.admin("GET", "/status").await.json();
            status["effects"] == json!({ "open": 0, "review": 0 })
        };
        assert!(eventually(PATIENCE, settled).await, "{}", running.said());
    }
}

#[tokio::test]
async fn an_undo_that_was_under_way_is_finished_by_the_next_process() {
    let shop = Shop::start().await;
    shop.breaks("/mails");
    shop.breaks("DELETE /payments");
    // The first try fails; the process dies before the next.
    let mut place = Place::new("compositions: ./compositions\n");
    fs::create_dir(place.path("compositions")).unwrap();
    fs::write(place.path("compositions/order.yaml"), order(&shop)).unwrap();
    let running = place.start().await;
    let request = client().post(running.url("/v1/orders"));
    let request = request
        .header("content-type", "application/json")
        .body("{\"sku\":\"a\"}");
    let asking = tokio::spawn(request.send());
    assert!(
        eventually(PATIENCE, async || shop.count("DELETE /payments") > 0).await,
        "{:?}",
        shop.log()
    );
    running.kill().await;
    let _ = asking.await;
    shop.mends("DELETE /payments");
    let running = place.start().await;
    assert!(
        eventually(PATIENCE, async || shop.standing() == 0).await,
        "{:?}\n{}",
        shop.log(),
        running.said()
    );
}

#[tokio::test]
async fn an_effect_of_which_nobody_knows_waits_for_a_person() {
    let shop = Shop::start().await;
    shop.slow("POST /holds", Duration::from_secs(30));
    let (place, running) = killed_at(&shop, "POST /holds").await;
    let review = async |count: u64| {
        let status = running.admin("GET", "/status").await.json();
        status["effects"] == json!({ "open": 0, "review": count })
    };
    assert!(
        eventually(PATIENCE, async || review(1).await).await,
        "{}",
        running.said()
    );
    assert_eq!(shop.count("DELETE"), 0, "{:?}", shop.log());
    assert!(
        running.said().contains("a person must look at: 1"),
        "{}",
        running.said()
    );
    // The person looks, and says so.
    let config = place.config().display().to_string();
    let effects = async |arguments: &[&str]| {
        let ran = run(&[&["effects"], arguments, &["-c", &config]].concat()).await;
        (
            ran.status.success(),
            String::from_utf8(ran.stdout).unwrap(),
            String::from_utf8(ran.stderr).unwrap(),
        )
    };
    let (_, listed, _) = effects(&["--review", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["composition"], "order");
    assert_eq!(listed[0]["state"], "needs_review");
    let id = listed[0]["run"].as_str().unwrap();
    let number = listed[0]["number"].to_string();
    assert!(effects(&[]).await.1.contains("needs review"));
    let (worked, _, said) = effects(&["settle", "no-such-run", "0"]).await;
    assert!(!worked && said.contains("is open"), "{said}");
    assert!(effects(&["settle", id, &number]).await.0);
    assert_eq!(effects(&[]).await.1, "No effect is open.\n");
    assert!(
        eventually(PATIENCE, async || review(0).await).await,
        "{}",
        running.said()
    );
}

#[tokio::test]
async fn what_ended_well_before_the_kill_stays() {
    let shop = Shop::start().await;
    let (_place, running) = killed_at(&shop, "POST /mails").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        (shop.standing(), shop.count("DELETE")),
        (2, 0),
        "{:?}\n{}",
        shop.log(),
        running.said()
    );
}
