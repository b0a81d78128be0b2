//! Broken compositions, one mistake each: the code and the place stand in the file's first line, and what a person sees
//! beside it. And compositions that raise nothing, each beside the outline of its plan.
//!
//! A folder is one case of several files, of which the first line of the first says what is raised. Cases whose names start
//! with `known-` are checked with a configuration at hand, all others alone.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use isobar_compositions::{
    Known, KnownAccount, KnownPool, Plan, check, is_composition, library, plan::Given, schema,
};
use isobar_config::{Environment, Report, Source};
use serde_json::Value;

struct Fixed;

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "STORE_KEY").then(|| "a-secret-from-the-environment".to_owned())
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        if path == Path::new("store.key") {
            Ok("a-secret-of-a-file\n".to_owned())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/compositions")
        .join(name)
}

fn pages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors")
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

fn yaml(path: &Path) -> Source {
    Source {
        name: format!("{}.yaml", stem(path)),
        text: fs::read_to_string(path).unwrap(),
    }
}

/// The cases of a folder: each is a file, or a folder of them.
fn cases(name: &str) -> Vec<(String, Vec<Source>)> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let files = fs::read_dir(&path).unwrap();
            let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
            files.sort();
            let sources = files.iter().map(|file| yaml(file)).collect();
            cases.push((stem(&path), sources));
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            cases.push((stem(&path), vec![yaml(&path)]));
        }
    }
    cases.sort_by(|one, two| one.0.cmp(&two.0));
    cases
}

/// A configuration with two accounts and two pools.
fn known() -> Known {
    let offered = |operations: &[&str]| operations.iter().map(ToString::to_string).collect();
    let account = |name: &str, operations: &[&str]| KnownAccount {
        name: name.to_owned(),
        operations: offered(operations),
    };
    let pool = |name: &str, operations: &[&str]| KnownPool {
        name: name.to_owned(),
        operations: offered(operations),
    };
    Known {
        pools: Some(vec![
            pool("ears", &["speech.transcribe"]),
            pool("readers", &["text.sentiment", "text.entities"]),
        ]),
        accounts: Some(vec![
            account("acme", &["speech.transcribe", "text.sentiment"]),
            account("zenith", &["speech.transcribe"]),
        ]),
        routes: vec![
            "POST /v1/translate".to_owned(),
            "/v1/items/{name}".to_owned(),
        ],
    }
}

fn checked(name: &str, sources: &[Source]) -> (Vec<Arc<Plan>>, Report) {
    let known = if name.starts_with("known-") {
        known()
    } else {
        Known::default()
    };
    check(sources, &known, &Fixed)
}

#[test]
fn every_mistake_is_found_alone_at_its_place() {
    let mut wrong = Vec::new();
    for (name, sources) in cases("invalid") {
        let expected = sources[0].text.lines().next().unwrap();
        let expected = expected.trim_start_matches("# ");
        let (plans, report) = checked(&name, &sources);
        let found: Vec<String> = report
            .diagnostics()
            .iter()
            .map(|diagnostic| {
                let at = report.location(diagnostic);
                let file = if sources.len() > 1 {
                    format!("{}:", at.file)
                } else {
                    String::new()
                };
                format!("{} at {file}{}:{}", diagnostic.code, at.line, at.column)
            })
            .collect();
        if found != [expected] {
            wrong.push(format!(
                "{name}: expected {expected}, found {found:?}\n{}",
                report.text(false)
            ));
        }
        if plans.is_empty() == name.starts_with("warning-") {
            wrong.push(format!("{name}: {} plans", plans.len()));
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

fn snapshot(place: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder(place));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn every_mistake_reads_well() {
    for (name, sources) in cases("invalid") {
        let (_, report) = checked(&name, &sources);
        snapshot("invalid", &name, &report.text(false));
    }
}

#[test]
fn no_snapshot_is_left_over() {
    for place in ["invalid", "valid"] {
        let mut known: BTreeSet<String> = cases(place).into_iter().map(|(name, _)| name).collect();
        if place == "valid" {
            known.extend(library().iter().map(|(name, _)| format!("library-{name}")));
        }
        for entry in fs::read_dir(folder(place)).unwrap() {
            let path = entry.unwrap().path();
            assert!(known.contains(&stem(&path)), "{}", path.display());
        }
    }
}

#[test]
fn there_are_enough_of_them() {
    let (bad, good) = (cases("invalid").len(), cases("valid").len());
    assert!(bad >= 110, "{bad}");
    assert!(good + library().len() >= 15, "{good}");
}

/// What a reader wants to see of a plan at a glance.
fn outline(plan: &Plan) -> String {
    let mut text = plan.name.clone();
    if let Some(expose) = &plan.expose {
        let _ = write!(text, " at {}", expose.text);
    }
    let _ = writeln!(text, ", {:?}, {:?}", plan.deadline, plan.limits);
    for input in &plan.inputs {
        let default = input.default.as_ref();
        let default = default.map_or(String::new(), |value| format!(", else {value}"));
        let _ = writeln!(
            text,
            "input {} from {:?} {}: {}{default}",
            input.name, input.from, input.named, input.shape
        );
    }
    for step in &plan.steps {
        let named = |index: &usize| plan.steps[*index].name.as_str();
        let needs: Vec<&str> = step.needs.iter().map(named).collect();
        let _ = write!(
            text,
            "step {} does {} ({:?}), needs {needs:?}",
            step.name,
            step.work.label(),
            step.effect
        );
        if let Some(twin) = &step.twin {
            let _ = write!(text, ", as {}", named(twin));
        }
        if !step.needed {
            let _ = write!(text, ", for its effect");
        }
        if let Some(undo) = &step.undo {
            let blind = if undo.blind { "" } else { " when it is known" };
            let _ = write!(text, ", undone by {}{blind}", undo.work.label());
        }
        let _ = writeln!(text, ": {}", step.shape);
    }
    let _ = writeln!(text, "output: {}", plan.output.shape);
    text
}

#[test]
fn good_compositions_raise_nothing() {
    let shipped = library().iter().map(|(name, text)| {
        let source = Source {
            name: format!("{name}.yaml"),
            text: (*text).to_owned(),
        };
        (format!("library-{name}"), vec![source])
    });
    for (name, sources) in cases("valid").into_iter().chain(shipped) {
        let (plans, report) = checked(&name, &sources);
        assert!(report.is_empty(), "{name}:\n{}", report.text(false));
        assert_eq!(plans.len(), sources.len(), "{name}");
        assert!(sources.iter().all(|source| is_composition(&source.text)));
        let outlines: Vec<String> = plans.iter().map(|plan| outline(plan)).collect();
        snapshot("valid", &name, &outlines.join("\n"));
    }
}

#[test]
fn the_library_can_be_used_together() {
    let sources: Vec<Source> = library()
        .iter()
        .map(|(name, text)| Source {
            name: format!("{name}.yaml"),
            text: (*text).to_owned(),
        })
        .collect();
    let (plans, report) = check(&sources, &known(), &Fixed);
    assert!(report.is_empty(), "{}", report.text(false));
    for (plan, (name, _)) in plans.iter().zip(library()) {
        assert_eq!(plan.name, *name);
    }
}

/// Collects every `"E1001"` of the sources.
fn codes(folder: &Path, used: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes(&path, used);
            continue;
        }
        for word in fs::read_to_string(&path).unwrap().split('"') {
            let digits = word.strip_prefix("E10").filter(|rest| rest.len() == 2);
            if digits.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())) {
                used.insert(word.to_owned());
            }
        }
    }
}

#[test]
fn every_code_has_an_example_and_a_page() {
    let of_ours = |code: &String| code.starts_with("E10");
    let shown: BTreeSet<String> = cases("invalid")
        .into_iter()
        .map(|(_, sources)| sources[0].text[2..7].to_owned())
        .filter(of_ours)
        .collect();
    let written: BTreeSet<String> = fs::read_dir(pages())
        .unwrap()
        .map(|entry| stem(&entry.unwrap().path()))
        .filter(of_ours)
        .collect();
    let mut used = BTreeSet::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    codes(&sources, &mut used);
    assert_eq!(used, shown, "codes in the source, and in examples");
    assert_eq!(used, written, "codes in the source, and pages");
    for code in &written {
        let page = fs::read_to_string(pages().join(format!("{code}.md"))).unwrap();
        assert!(page.starts_with(&format!("# {code}")), "{code}");
        let lines = page.lines().count();
        assert!((15..=60).contains(&lines), "{code} has {lines} lines");
    }
}

/// Examples are what matters of a composition: the rest is put in front or behind.
fn completed(example: &str) -> String {
    let has = |key: &str| {
        example
            .lines()
            .any(|line| line.starts_with(&format!("{key}:")))
    };
    let mut text = String::new();
    if !has("composition") {
        text.push_str("composition: example\n");
    }
    if !has("input") {
        text.push_str("input: { text: string }\n");
    }
    text.push_str(example);
    if !has("steps") {
        text.push_str("steps: { mood: { use: text.sentiment, with: { text: $.input.text } } }\n");
    }
    if !has("output") {
        text.push_str("output: { mood: $.mood.label }\n");
    }
    text
}

#[test]
fn every_page_shows_the_mistake_and_what_mends_it() {
    let mut wrong = Vec::new();
    for entry in fs::read_dir(pages()).unwrap() {
        let path = entry.unwrap().path();
        let code = stem(&path);
        if !code.starts_with("E10") {
            continue;
        }
        let page = fs::read_to_string(&path).unwrap();
        let examples: Vec<&str> = page
            .split("```yaml\n")
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap())
            .collect();
        let [bad, good] = examples.as_slice() else {
            wrong.push(format!("{code} has {} examples", examples.len()));
            continue;
        };
        for (example, expected) in [
            (bad, BTreeSet::from([code.as_str()])),
            (good, BTreeSet::new()),
        ] {
            // Several files are separated as YAML separates documents.
            let sources: Vec<Source> = example
                .split("---\n")
                .enumerate()
                .map(|(index, text)| Source {
                    name: format!("{code}-{index}.yaml"),
                    text: completed(text),
                })
                .collect();
            let known = match code.as_str() {
                "E1005" | "E1006" | "E1018" => known(),
                _ => Known::default(),
            };
            let (_, report) = check(&sources, &known, &Fixed);
            let found: BTreeSet<&str> = report
                .diagnostics()
                .iter()
                .map(|found| found.code)
                .collect();
            if found != expected {
                wrong.push(format!("{code} raises {found:?}:\n{}", report.text(false)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn references_are_relative_to_whose_value_they_are() {
    let text = "composition: x\ninput: { audio: blob, tags: list(string) }\nsteps:\n  said: { use: speech.synthesize, with: { text: hello } }\n  heard: { use: speech.transcribe, with: { audio: $.said.audio, keywords: $.input.tags } }\noutput: { a: \"$['heard'].words[*].text\", b: $.input.audio, c: $.said.audio.bytes, d: $.heard, e: $.run.id }\n";
    let source = Source {
        name: "x.yaml".to_owned(),
        text: text.to_owned(),
    };
    let (plans, report) = check(&[source], &Known::default(), &Fixed);
    assert!(report.is_empty(), "{}", report.text(false));
    let Given::Map(members) = &plans[0].output.body else {
        panic!("{:?}", plans[0].output.body);
    };
    let seen: Vec<String> = members
        .iter()
        .map(|(name, given)| match given {
            Given::Reference(reference) => format!(
                "{name}: {:?} {} {:?}",
                reference.root,
                reference.path.source(),
                reference.blob
            ),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        seen,
        [
            "a: Step(1) $.words[*].text None",
            "b: Input $.audio Some(\"audio\")",
            "c: Step(0) $.audio.bytes None",
            "d: Step(1) $ None",
            "e: Run $.id None",
        ]
    );
}

#[test]
fn every_mistake_is_told_at_once() {
    let text = "composition: many\nsteps:\n  a: { use: text.sentimen }\n  b: { use: text.entities, with: { text: $.heard.text } }\n  c: { use: text.entities }\noutput: { x: $.b.entity, y: \"= b.language + 1\" }\n";
    let source = Source {
        name: "many.yaml".to_owned(),
        text: text.to_owned(),
    };
    let (_, report) = check(&[source], &Known::default(), &Fixed);
    let found: Vec<&str> = report
        .diagnostics()
        .iter()
        .map(|found| found.code)
        .collect();
    assert_eq!(
        found,
        ["E1003", "E1001", "E1009", "E1002", "E1010", "E1039"]
    );
}

#[test]
fn whatever_is_broken_is_told_and_nothing_else_happens() {
    let shipped = library().iter().map(|(_, text)| (*text).to_owned());
    let texts = cases("valid").into_iter().flat_map(|(_, sources)| sources);
    for text in texts.map(|source| source.text).chain(shipped) {
        let lines: Vec<&str> = text.lines().collect();
        let mut broken: Vec<String> = (0..lines.len())
            .map(|gone| {
                let kept = lines.iter().enumerate().filter(|(index, _)| *index != gone);
                kept.map(|(_, line)| format!("{line}\n")).collect()
            })
            .collect();
        let ends = (0..text.len()).step_by(101);
        broken.extend(ends.filter_map(|end| text.get(..end).map(str::to_owned)));
        for (from, to) in [
            ("$", ""),
            ("= ", "=("),
            (": ", ": $."),
            ("text", "input"),
            ("[", "[["),
            ("input", "item"),
        ] {
            broken.push(text.replace(from, to));
        }
        for text in broken {
            let source = Source {
                name: "broken.yaml".to_owned(),
                text,
            };
            let (plans, report) = check(&[source], &known(), &Fixed);
            assert!(plans.is_empty() == report.has_errors());
        }
    }
}

#[test]
fn the_largest_compositions_are_checked_in_no_time() {
    let mut text = "composition: large\ninput: { text: string }\nsteps:\n".to_owned();
    for index in 0..10_000 {
        let before = if index == 0 {
            "input.text".to_owned()
        } else {
            format!("s{}.language", index - 1)
        };
        let _ = writeln!(
            text,
            "  s{index}: {{ use: text.language, with: {{ text: $.{before} }} }}"
        );
    }
    text.truncate(1_000_000);
    text.truncate(text.rfind('\n').unwrap());
    text.push_str("\noutput: $.s0.language\n");
    let source = Source {
        name: "large.yaml".to_owned(),
        text,
    };
    let start = std::time::Instant::now();
    let (plans, _) = check(&[source], &Known::default(), &Fixed);
    assert!(plans.is_empty());
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn compositions_are_told_from_other_files() {
    assert!(is_composition("composition: x\nsteps: {}\n"));
    assert!(is_composition("composition: x\nsteps: { [\n"));
    assert!(!is_composition("isobar: 1\nroutes: []\n"));
    assert!(!is_composition("steps: { composition: x }\n"));
}

/// Names of keys that the schema knows.
fn vocabulary(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            fields.values().for_each(|field| vocabulary(field, keys));
        }
        Value::Array(items) => items.iter().for_each(|item| vocabulary(item, keys)),
        _ => {}
    }
}

#[test]
fn good_compositions_fit_the_schema_and_bad_ones_often_do_not() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let texts = cases("valid").into_iter().flat_map(|(name, sources)| {
        sources
            .into_iter()
            .map(move |source| (name.clone(), source.text))
    });
    let shipped = library()
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let mut spoken = String::new();
    for (name, text) in texts.chain(shipped) {
        let document: Value = serde_saphyr::from_str(&text).unwrap();
        let misfits: Vec<String> = validator
            .iter_errors(&document)
            .map(|misfit| format!("{name}: {misfit} at {}", misfit.instance_path()))
            .collect();
        assert!(misfits.is_empty(), "{}", misfits.join("\n"));
        spoken.push_str(&text);
    }
    let mut keys = BTreeSet::new();
    vocabulary(&schema, &mut keys);
    assert!(keys.len() > 50, "{}", keys.len());
    let own = [
        "composition",
        "each",
        "undo",
        "race",
        "stream",
        "hedge",
        "bearer",
        "failed",
        "idempotency",
    ];
    assert!(own.iter().all(|key| keys.contains(*key)));
    for bad in [
        "key-unknown",
        "operation-unknown",
        "with-missing",
        "with-unknown",
        "type-unknown",
        "step-twofold",
    ] {
        let text = fs::read_to_string(folder("invalid").join(format!("{bad}.yaml"))).unwrap();
        let document: Value = serde_saphyr::from_str(&text).unwrap();
        assert!(!validator.is_valid(&document), "{bad}");
    }
}

/// The case files that come with the program, and the examples of the guide.
fn case_files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(root.join("library")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let mut found: Vec<(String, String)> = files
        .filter(|path| path.to_string_lossy().ends_with(".test.yaml"))
        .map(|path| (stem(&path), fs::read_to_string(&path).unwrap()))
        .collect();
    assert_eq!(found.len(), library().len());
    let guide = fs::read_to_string(root.join("../docs/guide/compositions.md")).unwrap();
    let examples = guide.split("```yaml cases\n").skip(1);
    found.extend(examples.map(|rest| {
        let example = rest.split("```").next().unwrap();
        ("the guide".to_owned(), example.to_owned())
    }));
    assert!(found.len() > library().len());
    found
}

#[test]
fn case_files_fit_their_schema_and_broken_ones_do_not() {
    let validator = jsonschema::validator_for(&isobar_compositions::cases::schema()).unwrap();
    let misfits = |text: &str| -> Vec<String> {
        let document: Value = serde_saphyr::from_str(text).unwrap();
        let found = validator.iter_errors(&document);
        found
            .map(|misfit| format!("{misfit} at {}", misfit.instance_path()))
            .collect()
    };
    for (name, text) in case_files() {
        assert_eq!(misfits(&text), [""; 0], "{name}");
    }
    let case = |case: &str| format!("composition: a\ncases:\n  it: {{ {case} }}\n");
    for good in [
        "input: { text: hi }, answers: { mood: { label: x, $takes: 5ms }, held: ~, moods: [ {}, [ { $fails: 503 } ] ] }",
        "sandbox: [deepgram], faults: [ { vendor: deepgram, calls: [1, 3], fault: reset } ]",
        "sandbox: true, expect: { output: ~, holds: \"status == 200\", calls: { \"undo(held)\": 0 }, within: 1m30s }",
        "expect: { error: { step: mood, status: 503, kind: x, reason: slow }, undone: [held], pending: [], review: [] }",
    ] {
        assert_eq!(misfits(&case(good)), [""; 0], "{good}");
    }
    for bad in [
        "expectt: {}",
        "input: [a]",
        "answers: { mood: positive }",
        "answers: { mood: { $fail: 503 } }",
        "answers: { mood: { $fails: 200 } }",
        "answers: { mood: [ { $takes: soon } ] }",
        "answers: { mood: { $unknown: perhaps } }",
        "sandbox: deepgram",
        "faults: { vendor: deepgram }",
        "faults: [ { vendor: deepgram } ]",
        "expect: { satus: 200 }",
        "expect: { status: 42 }",
        "expect: { degraded: mood }",
        "expect: { calls: { mood: -1 } }",
        "expect: { attempts: { mood: many } }",
        "expect: { vendors: [openai] }",
        "expect: { error: { status: 200 } }",
        "expect: { error: { stp: mood } }",
        "expect: { within: 2 }",
    ] {
        assert_ne!(misfits(&case(bad)), [""; 0], "{bad}");
    }
    for bad in [
        "composition: a",
        "cases: {}",
        "cases: { it: {} }\nsteps: {}",
        "cases: [ {} ]",
    ] {
        assert_ne!(misfits(bad), [""; 0], "{bad}");
    }
}
