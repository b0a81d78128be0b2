//! `isobar check` as a person and a pipeline run it: what it prints, and how it exits.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

const GOOD: &str = "isobar: 1\nlisten: [ { http: 127.0.0.1:0 } ]\nroutes: [ { match: /, respond: {}, anonymous: true } ]\n";
const BAD: &str = "isobar: 1\nlisten: [ { http: localhost } ]\nroutes: [ { match: /, respond: {}, anonymos: true } ]\n";

/// Runs `isobar check` in `folder`; its exit code and what it printed.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_isobar"))
        .arg("check")
        .args(arguments)
        .current_dir(folder)
        .env_remove("ISOBAR_CONFIG")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("isobar.yaml"), GOOD).unwrap();
    fs::write(folder.path().join("bad.yaml"), BAD).unwrap();
    folder
}

#[test]
fn a_good_file_exits_with_0_and_a_bad_one_with_1() {
    let folder = folder();
    let (code, said) = run(folder.path(), &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("isobar.yaml: 1 route"), "{said}");
    let (code, said) = run(folder.path(), &["bad.yaml"]);
    assert_eq!(code, 1, "{said}");
    for part in [
        "E0405",
        "bad.yaml:2:19",
        "E0201",
        "bad.yaml:3:36",
        "did you mean `anonymous`?",
        "2 errors",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}

#[test]
fn json_is_all_that_is_printed() {
    let folder = folder();
    let (code, said) = run(folder.path(), &["--json", "-c", "bad.yaml"]);
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &json["ok"]), (1, &json!(false)));
    let places: Vec<String> = json["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| {
            format!(
                "{} {}:{}:{}",
                found["code"], found["file"], found["line"], found["column"]
            )
        })
        .collect();
    assert_eq!(
        places,
        ["\"E0405\" \"bad.yaml\":2:19", "\"E0201\" \"bad.yaml\":3:36"]
    );
    let (code, said) = run(folder.path(), &["--json"]);
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, json), (0, json!({ "ok": true, "diagnostics": [] })));
}

#[test]
fn sarif_is_all_that_is_printed() {
    let folder = folder();
    let (code, said) = run(folder.path(), &["--sarif", "bad.yaml"]);
    let sarif: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &sarif["version"]), (1, &json!("2.1.0")));
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    let place = &results[1]["locations"][0]["physicalLocation"];
    let expected = json!({
        "artifactLocation": { "uri": "bad.yaml" },
        "region": { "startLine": 3, "startColumn": 36, "endColumn": 44 },
    });
    assert_eq!(*place, expected);
    let (code, said) = run(folder.path(), &["--sarif"]);
    let sarif: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &sarif["runs"][0]["results"]), (0, &json!([])));
}

#[test]
fn one_form_is_printed_and_a_missing_file_is_a_diagnostic() {
    let folder = folder();
    assert_eq!(run(folder.path(), &["--json", "--sarif"]).0, 2);
    let (code, said) = run(folder.path(), &["--json", "none.yaml"]);
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &json["diagnostics"][0]["code"]),
        (1, &json!("E0104"))
    );
}
