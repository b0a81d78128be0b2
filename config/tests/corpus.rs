//! Broken configurations, one mistake each: the code and the place stand in the file's first line, and what a person
//! sees beside it. And configurations that raise nothing.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use isobar_config::{Environment, Report, Source, check};

struct Fixed;

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "SET" => Some("a-secret-from-the-environment".to_owned()),
            "SHORT" => Some("short".to_owned()),
            _ => None,
        }
    }

    fn file(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
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

fn report(name: &str, text: &str) -> (bool, Report) {
    let source = Source {
        name: format!("{name}.yaml"),
        text: text.to_owned(),
    };
    let (config, report) = check(&[source], &Fixed);
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
fn there_are_enough_of_them() {
    let files = files("invalid");
    assert!(files.len() >= 60, "{}", files.len());
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
        .filter(|name| name.starts_with('E'))
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
    }
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
    assert!(!files.is_empty());
    for (name, text) in files {
        let (usable, report) = report(&name, &text);
        assert!(
            usable && report.is_empty(),
            "{name}:\n{}",
            report.text(false)
        );
    }
}
