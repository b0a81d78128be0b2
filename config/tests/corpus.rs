//! Broken configurations, one mistake each: the code and the place stand in the file's first line, and what a person
//! sees beside it. And configurations that raise nothing.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::SystemTime,
};

use isobar_config::{
    Environment, Report, Source,
    catalog::{Catalog, Field, Operation, Vendor},
    check_with,
};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;

struct Fixed;

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "SET" => Some("a-secret-from-the-environment".to_owned()),
            "VENDOR_KEY" | "OTHER_VENDOR_KEY" | "PASSWORD" => Some("a-vendors-secret".to_owned()),
            "SHOP_KEY" | "LAB_KEY" => Some(format!("a-long-key-of-{name}")),
            "SHORT" | "SHOP_PIN" => Some("short".to_owned()),
            "HOST" => Some("127.0.0.1".to_owned()),
            _ => None,
        }
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        let name = path.to_str().unwrap();
        if name == "vendor.key" {
            return Ok("a-vendors-secret\n".to_owned());
        }
        let known = certificates().iter().find(|(known, _)| *known == name);
        known.map_or_else(
            || Err(io::ErrorKind::NotFound.into()),
            |(_, text)| Ok(text.clone()),
        )
    }

    fn now(&self) -> Option<SystemTime> {
        Some(SystemTime::now())
    }
}

/// Certificates and keys, by file.
fn certificates() -> &'static [(&'static str, String)] {
    static MADE: OnceLock<Vec<(&str, String)>> = OnceLock::new();
    MADE.get_or_init(|| {
        let make = |names: &[&str], until| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let mut params = CertificateParams::new(names).unwrap();
            params.not_after = date_time_ymd(until, 1, 1);
            let key = KeyPair::generate().unwrap();
            let cert = params.self_signed(&key).unwrap().pem();
            (cert, key.serialize_pem())
        };
        let site = make(&["api.example.com"], 2999);
        let org = make(&["*.example.org"], 2999);
        let old = make(&["api.example.com"], 2020);
        let nameless = make(&[], 2999);
        vec![
            ("tls/site.pem", site.0),
            ("tls/site.key", site.1),
            ("tls/org.pem", org.0.clone()),
            ("tls/org.key", org.1),
            ("tls/clients.pem", org.0),
            ("tls/old.pem", old.0),
            ("tls/old.key", old.1),
            ("tls/nameless.pem", nameless.0),
            ("tls/nameless.key", nameless.1),
        ]
    })
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/config")
        .join(name)
}

fn files(name: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Two vendors that there are not, and two operations.
fn catalog() -> Catalog {
    let field = |name: &str, secret, required| Field {
        name: name.to_owned(),
        secret,
        required,
        doc: "from the vendor's console".to_owned(),
    };
    let vendor = |name: &str, operations: &[&str]| Vendor {
        name: name.to_owned(),
        fields: vec![field("key", true, true), field("region", false, false)],
        operations: operations.iter().map(ToString::to_string).collect(),
    };
    let operation = |name: &str, front: &str| Operation {
        name: name.to_owned(),
        front: front.to_owned(),
    };
    Catalog {
        vendors: vec![
            vendor("acme", &["speech.transcribe", "text.sentiment"]),
            vendor("zenith", &["speech.transcribe"]),
        ],
        operations: vec![
            operation("speech.transcribe", "POST /v1/audio/transcriptions"),
            operation("text.sentiment", "POST /v1/text/sentiment"),
            operation("translation.translate", "POST /v1/translate"),
        ],
    }
}

fn report(name: &str, text: &str) -> (bool, Report) {
    let source = Source {
        name: format!("{name}.yaml"),
        text: text.to_owned(),
    };
    let (config, report) = check_with(&[source], &Fixed, &catalog());
    (config.is_some(), report)
}

#[test]
fn every_mistake_is_found_alone_at_its_place() {
    let mut wrong = Vec::new();
    for (name, text) in files("invalid") {
        let expected = text.lines().next().unwrap().trim_start_matches("# ");
        let (usable, report) = report(&name, &text);
        let found: Vec<String> = report
            .diagnostics()
            .iter()
            .map(|diagnostic| {
                let at = report.location(diagnostic);
                format!("{} at {}:{}", diagnostic.code, at.line, at.column)
            })
            .collect();
        if found != [expected] {
            wrong.push(format!(
                "{name}: expected {expected}, found {found:?}\n{}",
                report.text(false)
            ));
        }
        if usable != name.starts_with("warning-") {
            wrong.push(format!("{name}: usable is {usable}"));
        }
        if report
            .diagnostics()
            .iter()
            .any(|diagnostic| diagnostic.help.is_none())
        {
            wrong.push(format!("{name}: no next step"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mistake_reads_well() {
    for (name, text) in files("invalid") {
        let (_, report) = report(&name, &text);
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(folder("invalid"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name.as_str(), report.text(false)));
    }
}

#[test]
fn no_snapshot_is_left_over() {
    let known: BTreeSet<String> = files("invalid").into_iter().map(|(name, _)| name).collect();
    for entry in fs::read_dir(folder("invalid")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(known.contains(name), "{}", path.display());
    }
}

#[test]
fn there_are_enough_of_them() {
    let files = files("invalid");
    assert!(files.len() >= 150, "{}", files.len());
}

/// Codes of manifests and compositions, which other crates raise and test.
fn of_others(code: &str) -> bool {
    code.starts_with("E09") || code.starts_with("E10")
}

#[test]
fn every_code_has_an_example_and_a_page() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors");
    let shown: BTreeSet<String> = files("invalid")
        .into_iter()
        .map(|(_, text)| text[2..7].to_owned())
        // Needs two files, or none that can be read; both are tested beside the code.
        .chain(["E0104".to_owned(), "E0305".to_owned()])
        .collect();
    let written: BTreeSet<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .filter(|name| name.starts_with('E') && !of_others(name))
        .collect();
    assert_eq!(shown, written, "examples on the left, pages on the right");
    let mut used = BTreeSet::new();
    codes(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut used,
    );
    assert_eq!(
        used, written,
        "codes in the source on the left, pages on the right"
    );
    for code in &written {
        let page = fs::read_to_string(pages.join(format!("{code}.md"))).unwrap();
        assert!(page.starts_with(&format!("# {code}")), "{code}");
        assert!(page.contains("```yaml"), "{code} shows no example");
        let lines = page.lines().count();
        assert!((15..=40).contains(&lines), "{code} has {lines} lines");
    }
}

/// What the examples of the pages leave out.
const USUAL: [(&str, &str); 4] = [
    ("isobar", "isobar: 1"),
    ("listen", "listen: [ { http: \"127.0.0.1:8080\" } ]"),
    (
        "upstreams",
        "upstreams: { north: \"http://127.0.0.1:9001\", south: \"http://127.0.0.1:9002\" }",
    ),
    (
        "routes",
        "routes: [ { match: \"/*\", forward: [north, south], anonymous: true } ]",
    ),
];

/// An example with what it leaves out, unless there is nothing in it.
fn completed(example: &str) -> String {
    let mut text = example.to_owned();
    let has = |key: &str| {
        example
            .lines()
            .any(|line| line.starts_with(&format!("{key}:")))
    };
    if example.lines().any(|line| !line.starts_with('#')) {
        for (key, usual) in USUAL {
            if !has(key) {
                text.push_str(usual);
                text.push('\n');
            }
        }
    }
    text
}

#[test]
fn every_page_shows_the_mistake_and_what_mends_it() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors");
    let mut wrong = Vec::new();
    for entry in fs::read_dir(&pages).unwrap() {
        let path = entry.unwrap().path();
        let code = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if !code.starts_with('E') || of_others(&code) {
            continue;
        }
        let page = fs::read_to_string(&path).unwrap();
        let examples: Vec<&str> = page
            .split("```yaml\n")
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap())
            .collect();
        // One cannot be shown in a file, the other needs two; their tests are beside the code.
        if code == "E0104" || code == "E0305" {
            continue;
        }
        let [bad, good] = examples.as_slice() else {
            wrong.push(format!("{code} has {} examples", examples.len()));
            continue;
        };
        let (_, raised) = report(&code, &completed(bad));
        let codes: BTreeSet<&str> = raised
            .diagnostics()
            .iter()
            .map(|found| found.code)
            .collect();
        if codes != BTreeSet::from([code.as_str()]) {
            wrong.push(format!("{code} raises {codes:?}:\n{}", raised.text(false)));
        }
        let (usable, raised) = report(&code, &completed(good));
        if !usable || !raised.is_empty() {
            wrong.push(format!("{code} is not mended:\n{}", raised.text(false)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_index_lists_every_page_by_its_title() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors");
    let index = fs::read_to_string(pages.join("README.md")).unwrap();
    let listed: BTreeSet<String> = index
        .lines()
        .filter_map(|line| line.strip_prefix("| [E"))
        .map(|line| line.split(" | ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let written: BTreeSet<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("README.md"))
        .map(|path| {
            let page = fs::read_to_string(path).unwrap();
            let title = page
                .lines()
                .next()
                .unwrap()
                .trim_start_matches("# E")
                .to_owned();
            let (digits, title) = title.split_once(' ').unwrap();
            format!("{digits}](E{digits}.md) {title}")
        })
        .collect();
    assert_eq!(
        listed, written,
        "the index on the left, the pages on the right"
    );
}

/// Collects every `"E0123"` of the sources.
fn codes(folder: &Path, used: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes(&path, used);
            continue;
        }
        for word in fs::read_to_string(&path).unwrap().split('"') {
            let digits = word.strip_prefix("E0").filter(|rest| rest.len() == 3);
            if digits.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())) {
                used.insert(word.to_owned());
            }
        }
    }
}

#[test]
fn good_configurations_raise_nothing() {
    let files = files("valid");
    assert!(files.len() >= 15, "{}", files.len());
    for (name, text) in files {
        let (usable, report) = report(&name, &text);
        assert!(
            usable && report.is_empty(),
            "{name}:\n{}",
            report.text(false)
        );
    }
}

/// What the schema knows: names of keys, and words of choices.
fn vocabulary(schema: &Value, keys: &mut BTreeSet<String>, words: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            if let Some(Value::Array(choices)) = fields.get("enum") {
                words.extend(choices.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            fields
                .values()
                .for_each(|field| vocabulary(field, keys, words));
        }
        Value::Array(items) => items.iter().for_each(|item| vocabulary(item, keys, words)),
        _ => {}
    }
}

/// Keys and texts of a document.
fn spoken(document: &Value, keys: &mut BTreeSet<String>, words: &mut BTreeSet<String>) {
    match document {
        Value::Object(fields) => {
            for (key, value) in fields {
                keys.insert(key.clone());
                spoken(value, keys, words);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| spoken(item, keys, words)),
        Value::String(text) => {
            words.extend(text.split([' ', ',']).map(str::to_owned));
        }
        _ => {}
    }
}

#[test]
fn good_configurations_use_every_key_and_fit_the_schema() {
    let schema = isobar_config::schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let (mut keys, mut words) = (BTreeSet::new(), BTreeSet::new());
    for (name, text) in files("valid") {
        let document: Value = serde_saphyr::from_str(&text).unwrap();
        let misfits: Vec<String> = validator
            .iter_errors(&document)
            .map(|misfit| format!("{name}: {misfit} at {}", misfit.instance_path()))
            .collect();
        assert!(misfits.is_empty(), "{}", misfits.join("\n"));
        spoken(&document, &mut keys, &mut words);
    }
    let (mut known_keys, mut known_words) = (BTreeSet::new(), BTreeSet::new());
    vocabulary(&schema, &mut known_keys, &mut known_words);
    assert!(known_keys.len() > 60 && known_words.len() > 15);
    let unused: Vec<&String> = known_keys.difference(&keys).collect();
    assert!(unused.is_empty(), "keys that no example has: {unused:?}");
    let unsaid: Vec<&String> = known_words.difference(&words).collect();
    assert!(unsaid.is_empty(), "choices that no example has: {unsaid:?}");
}
