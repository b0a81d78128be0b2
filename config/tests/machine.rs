//! What programs read: JSON and SARIF of a report.

use std::time::{Duration, Instant};

use isobar_config::{Nothing, Report, Source, check};
use serde_json::{Value, json};

fn report(sources: &[(&str, &str)]) -> Report {
    let sources: Vec<Source> = sources
        .iter()
        .map(|(name, text)| Source {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    check(&sources, &Nothing).1
}

/// One error in each of two files, and a warning; letters beyond ASCII before one of them.
fn mixed() -> Report {
    report(&[
        (
            "./conf/10 start.yaml",
            "isobar: 1\nlisten: [ { http: localhost } ]\nupstreams: { a: { url: http://h, auth: { bearer: in-clear } } }\n",
        ),
        (
            "/etc/isobar/20-routes.yaml",
            "routes:\n  - { match: /ä, respond: { body: \"grüße 🙂\" }, anonymus: true }\n",
        ),
    ])
}

#[test]
fn json_has_every_diagnostic_with_its_place_and_next_step() {
    let json = mixed().json();
    let expected = json!({
        "ok": false,
        "diagnostics": [
            {
                "code": "E0405", "severity": "error", "message": "`localhost` is not an address",
                "file": "./conf/10 start.yaml", "line": 2, "column": 19,
                "help": "write an IP address and a port: `127.0.0.1:8080`, `[::1]:8080`, `0.0.0.0:80`",
            },
            {
                "code": "E0604", "severity": "warning", "message": "a secret stands in the configuration file",
                "file": "./conf/10 start.yaml", "line": 3, "column": 50,
                "help": "keep it outside: `${VENDOR_KEY}` or `file(vendor.key)`",
            },
            {
                "code": "E0406", "severity": "error",
                "message": "`/ä` is not a path pattern: it has a character that a path escapes",
                "file": "/etc/isobar/20-routes.yaml", "line": 2, "column": 14,
                "help": "write `/exact`, `/users/{id}` or `/files/*`",
            },
            {
                "code": "E0201", "severity": "error", "message": "`anonymus` is not a key of a route",
                "file": "/etc/isobar/20-routes.yaml", "line": 2, "column": 48,
                "help": "did you mean `anonymous`?",
            },
        ],
    });
    assert_eq!(json, expected);
}

#[test]
fn json_of_a_good_configuration_says_so() {
    let good = report(&[(
        "isobar.yaml",
        "isobar: 1\nlisten: [ { http: 127.0.0.1:0 } ]\nroutes: [ { match: /, respond: {}, anonymous: true } ]\n",
    )]);
    assert_eq!(good.json(), json!({ "ok": true, "diagnostics": [] }));
}

#[test]
fn a_warning_alone_leaves_it_usable() {
    let warned = report(&[(
        "isobar.yaml",
        "isobar: 1\nlisten: [ { http: 127.0.0.1:0 } ]\nadmin: 0.0.0.0:1\nroutes: [ { match: /, respond: {}, anonymous: true } ]\n",
    )]);
    let json = warned.json();
    assert_eq!(json["ok"], json!(true));
    assert_eq!(json["diagnostics"][0]["severity"], json!("warning"));
    let sarif = warned.sarif();
    assert_eq!(sarif["runs"][0]["results"][0]["level"], json!("warning"));
}

/// The fields that SARIF 2.1.0 asks for and code hosts read, each of its type.
#[test]
fn sarif_has_what_code_hosts_read() {
    let sarif = mixed().sarif();
    assert_eq!(sarif["version"], json!("2.1.0"));
    assert!(
        sarif["$schema"]
            .as_str()
            .unwrap()
            .ends_with("sarif-2.1.0.json")
    );
    let runs = sarif["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1);
    let driver = &runs[0]["tool"]["driver"];
    assert_eq!(driver["name"], json!("isobar"));
    assert_eq!(driver["version"], json!(env!("CARGO_PKG_VERSION")));
    // Places are counted in characters, as the report counts them, and not in UTF-16 as SARIF takes it to be otherwise.
    assert_eq!(runs[0]["columnKind"], json!("unicodeCodePoints"));
    let rules: Vec<&str> = driver["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["id"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["E0201", "E0405", "E0406", "E0604"]);
    let results = runs[0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    for result in results {
        let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], json!(rules[rule]));
        assert!(["error", "warning"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(!uri.contains(' '), "{uri}");
        let region = &place["region"];
        let number = |key: &str| region[key].as_u64().unwrap();
        assert!(number("startLine") >= 1 && number("startColumn") >= 1);
        assert!(number("endColumn") > number("startColumn"));
    }
    let last = &results[3]["locations"][0]["physicalLocation"];
    let expected = json!({
        "artifactLocation": { "uri": "file:///etc/isobar/20-routes.yaml" },
        "region": { "startLine": 2, "startColumn": 48, "endColumn": 56 },
    });
    assert_eq!(*last, expected);
    let first = &results[0]["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(*first, json!({ "uri": "conf/10%20start.yaml" }));
}

#[test]
fn neither_has_a_secret() {
    let report = mixed();
    for value in [
        report.json(),
        report.sarif(),
        Value::String(report.text(true)),
    ] {
        assert!(!value.to_string().contains("in-clear"), "{value}");
    }
}

/// Largest file that is read, all on one line, in shapes that are looked at for secrets once they do not parse.
#[test]
fn a_long_line_that_does_not_parse_is_read_once() {
    for piece in ["{a: ", "key: ", "a://b", "{key: \"", ":[:"] {
        let text = format!(
            "isobar: 1\nx: {}",
            piece.repeat((1 << 20) / piece.len() - 8)
        );
        let began = Instant::now();
        let report = report(&[("isobar.yaml", &text)]);
        assert!(report.has_errors());
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "{piece:?}: {took:?}");
    }
}
