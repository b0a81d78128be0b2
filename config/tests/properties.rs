//! What holds for any text: checking ends, points into the file, and finds what was put in.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use std::{
    fmt::Write as _,
    io,
    path::Path,
    time::{Duration, Instant},
};

use isobar_config::{Config, Environment, Expression, JsonPath, Report, Source, check};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

struct Outside;

impl Environment for Outside {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "SET").then(|| "a-secret-that-must-not-show".to_owned())
    }

    fn file(&self, _: &Path) -> io::Result<String> {
        Ok("a-secret-that-must-not-show\n".to_owned())
    }
}

fn checked(text: &str) -> (Option<Config>, Report) {
    let source = Source {
        name: "isobar.yaml".to_owned(),
        text: text.to_owned(),
    };
    check(&[source], &Outside)
}

/// The lines of a text as YAML counts them.
fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(['\n', '\r']) {
        lines.push(&rest[..end]);
        let broken = if rest[end..].starts_with("\r\n") {
            2
        } else {
            1
        };
        rest = &rest[end + broken..];
    }
    lines.push(rest);
    lines
}

/// Checks a text and what its report promises, whatever is in it.
fn sound(text: &str) -> Report {
    let (config, report) = checked(text);
    assert_eq!(config.is_some(), !report.has_errors());
    let lines = lines(text).into_iter();
    let widths: Vec<usize> = lines.map(|line| line.chars().count()).collect();
    for found in report.diagnostics() {
        let at = report.location(found);
        let width = widths.get(at.line as usize - 1);
        let width = *width.unwrap_or_else(|| panic!("{at} is below the file: {found}"));
        let inside = at.column >= 1 && at.column as usize <= width + 1;
        assert!(inside, "{at} is beside its line of {width}: {found}");
        assert!(found.help.is_some(), "no next step: {found}");
        assert!(!found.message.contains("must-not-show"), "{found}");
    }
    let shown = report.text(false);
    assert_eq!(shown.is_empty(), report.is_empty());
    assert!(!shown.contains("must-not-show"), "{shown}");
    let wide = shown.lines().any(|line| line.chars().count() > 1_000);
    assert!(!wide, "a line that nobody reads");
    let listed = report.json()["diagnostics"].as_array().unwrap().len();
    assert_eq!(listed, report.diagnostics().len());
    report
}

/// Pieces that YAML and the checker react to.
fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            4 => prop::sample::select(vec![
                "\n", "\n  ", "\n    ", "\n- ", ": ", "- ", "{ ", " }", "[", "]", ", ", "\"", "'", "#", "|\n", ">\n",
                "&a ", "*a", "!!str ", "---\n", "\t", "\r\n", "\r", "\u{feff}", "é", "世", "🙂", "\0", "? ", "<<: ", "~",
            ]).prop_map(str::to_owned),
            4 => prop::sample::select(vec![
                "isobar: 1\n", "listen:", "http", "upstreams:", "routes:", "match", "forward", "respond", "clients",
                "pools", "members", "policy", "limits", "rate", "auth", "bearer", "url", "anonymous: true", "accounts",
                "\nlisten: [ { http: 127.0.0.1:1 } ]\n", "\nupstreams: { a: http://h }\n", "[a]", "/*",
            ]).prop_map(str::to_owned),
            2 => prop::sample::select(vec![
                "${SET}", "${", "${NOT}", "file(x)", "$.a", "$.a[", "$[?@.a]", "= request.path", "= 1 +", "1e999", "0",
                "-1", ".nan", "1_000", "0x10", "true", "yes", "2s", "10MB", "9223372036854775808", "sha256:00", "@", "%",
            ]).prop_map(str::to_owned),
            1 => "[ -~]{0,12}",
        ],
        0..40,
    )
    .prop_map(|pieces| pieces.concat())
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_-]{0,8}"
}

fn time() -> impl Strategy<Value = String> {
    prop_oneof![
        (1..2_000_u32).prop_map(|number| format!("{number}ms")),
        (1..60_u32).prop_map(|number| format!("{number}s")),
        (1..5_u32).prop_map(|number| format!("{number}m30s")),
    ]
}

fn rate() -> impl Strategy<Value = Value> {
    prop_oneof![
        (1..1_000_u32).prop_map(|number| json!(format!("{number}/s"))),
        (1..1_000_u32, 1..99_u32)
            .prop_map(|(number, burst)| json!(format!("{number}/m burst {burst}"))),
        (1..1_000_u32, time()).prop_map(|(number, per)| json!({ "requests": number, "per": per })),
    ]
}

/// A member of a map that may be left out.
fn perhaps(
    key: &'static str,
    value: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<Option<(&'static str, Value)>> {
    prop::option::of(value.prop_map(move |value| (key, value))).boxed()
}

fn map(
    members: Vec<BoxedStrategy<Option<(&'static str, Value)>>>,
) -> impl Strategy<Value = Map<String, Value>> {
    members.prop_map(|members| {
        members
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    })
}

fn auth() -> impl Strategy<Value = Value> {
    let secret = || prop::sample::select(vec!["${SET}", "file(key)"]).prop_map(Value::from);
    prop_oneof![
        secret().prop_map(|secret| json!({ "bearer": secret })),
        secret().prop_map(|secret| json!({ "basic": { "user": "us", "password": secret } })),
        secret().prop_map(|secret| json!({ "header": { "name": "X-Key", "value": secret } })),
        secret().prop_map(|secret| json!({ "query": { "name": "key", "value": secret } })),
    ]
}

fn upstream() -> impl Strategy<Value = Value> {
    let url = || {
        prop::sample::select(vec![
            "http://127.0.0.1:9001",
            "https://example.com/base",
            "http://[::1]:9002/",
        ])
        .prop_map(Value::from)
    };
    let settings = map(vec![
        perhaps("auth", auth()),
        perhaps("connect_timeout", time().prop_map(Value::from)),
        perhaps("keep_alive", time().prop_map(Value::from)),
        perhaps("permits", (1..5_000).prop_map(Value::from)),
        perhaps(
            "breaker",
            (1..9, time())
                .prop_map(|(failures, time)| json!({ "failures": failures, "open_for": time })),
        ),
        perhaps(
            "probe",
            time().prop_map(|every| json!({ "path": "/healthz", "every": every })),
        ),
    ]);
    prop_oneof![
        url(),
        (url(), settings).prop_map(|(url, mut settings)| {
            settings.insert("url".to_owned(), url);
            Value::Object(settings)
        }),
    ]
}

/// Settings of a pool; `weighted` ones allow weights.
fn pool() -> impl Strategy<Value = (Map<String, Value>, bool)> {
    let policy = prop_oneof![
        Just((json!("order"), false)),
        Just((json!("fastest"), false)),
        Just((json!("weighted"), true)),
        Just((json!({ "sticky": "$.request.headers['x-user']" }), true)),
        Just((json!({ "sticky": "= request.path" }), true)),
    ];
    let settings = map(vec![
        perhaps(
            "retry",
            (1..9, 0..9).prop_map(
                |(attempts, reserve)| json!({ "attempts": attempts, "reserve": reserve }),
            ),
        ),
        perhaps(
            "outlier",
            (1..=100, time()).prop_map(
                |(percent, time)| json!({ "failure_percent": percent, "eject_for": time }),
            ),
        ),
    ]);
    (policy, settings).prop_map(|((policy, weighted), mut settings)| {
        settings.insert("policy".to_owned(), policy);
        (settings, weighted)
    })
}

/// Limits whose attempt is within the deadline and whose replay is within the body.
fn limits() -> impl Strategy<Value = Value> {
    (1..50_u32, 1..50_u32, 1..1_000_u32, prop::option::of(rate())).prop_map(
        |(attempt, more, kib, rate)| {
            let mut limits = json!({
                "attempt": format!("{attempt}s"), "deadline": format!("{}s", attempt + more),
                "replay": format!("{kib}KiB"), "body": format!("{}KiB", kib * 2), "idle": "1m",
            });
            if let Some(rate) = rate {
                limits["rate"] = json!({ "client": rate, "ip": "5/s" });
            }
            limits
        },
    )
}

/// A route's action over pools and upstreams that are all used elsewhere.
fn action(names: Vec<String>) -> impl Strategy<Value = Value> {
    let list = prop::sample::subsequence(names, 1..=3);
    prop_oneof![
        Just(json!({ "forward": "main" })),
        list.clone()
            .prop_map(|members| json!({ "forward": members })),
        (list, pool()).prop_map(|(members, (mut settings, weighted))| {
            let members: Vec<Value> = members
                .into_iter()
                .map(|name| {
                    if weighted {
                        json!({ "use": name, "weight": 2 })
                    } else {
                        json!(name)
                    }
                })
                .collect();
            settings.insert("members".to_owned(), members.into());
            settings.insert("path".to_owned(), json!("/new/{id}"));
            settings.insert(
                "request_headers".to_owned(),
                json!({ "set": { "x-a": "$$.5" }, "remove": ["x-b"] }),
            );
            json!({ "forward": settings })
        }),
        (200..599_u16, "[ -~]{0,20}").prop_map(|(status, body)| {
            json!({ "respond": { "status": status, "body": body.replace("${", "") } })
        }),
    ]
}

/// A configuration without a mistake, and without anything that a warning is for.
fn valid() -> impl Strategy<Value = Value> {
    let parts = (
        prop::collection::btree_map(name(), upstream(), 3..6),
        prop::collection::btree_map(name(), prop::option::of(rate()), 1..4),
        pool(),
        prop::option::of(limits()),
        prop::option::of(auth()),
    );
    parts
        .prop_flat_map(|(upstreams, clients, pool, limits, account)| {
            let names: Vec<String> = upstreams.keys().cloned().collect();
            let routes = prop::collection::vec(
                (action(names), prop::option::of(self::limits()), 0..3_u8),
                1..5,
            );
            (Just((upstreams, clients, pool, limits, account)), routes)
        })
        .prop_map(|((upstreams, clients, (mut pool, weighted), limits, account), routes)| {
            let mut members: Vec<Value> = upstreams.keys().map(|name| json!(name)).collect();
            let mut whole = json!({
                "isobar": 1,
                "listen": [{ "http": "0.0.0.0:8080" }, { "http": "[::1]:0" }],
                "admin": "127.0.0.1:9090",
                "log": { "access": "off" },
            });
            if let Some(auth) = account {
                let first = members[0].clone();
                whole["accounts"] = json!({ "Account.1": { "upstream": first, "auth": auth } });
                members.push(if weighted { json!({ "use": "Account.1", "weight": 3 }) } else { json!("Account.1") });
            }
            let only: Vec<String> = clients.keys().take(1).cloned().collect();
            let routes: Vec<Value> = routes
                .into_iter()
                .enumerate()
                .map(|(index, (mut route, limits, access))| {
                    route["match"] = json!(format!("GET /{index}/{{id}}/*"));
                    if let Some(limits) = limits {
                        route["limits"] = limits;
                    }
                    match access {
                        0 => route["anonymous"] = json!(true),
                        1 => route["clients"] = json!(only),
                        _ => {}
                    }
                    route
                })
                .chain([json!({ "match": { "path": "/*", "host": "*.example.com" }, "forward": "main" })])
                .collect();
            pool.insert("members".to_owned(), members.into());
            whole["pools"] = json!({ "main": pool });
            whole["upstreams"] = upstreams.into_iter().collect::<Map<String, Value>>().into();
            whole["clients"] = clients
                .into_iter()
                .enumerate()
                .map(|(index, (name, rate))| {
                    let mut client = json!({ "key": format!("sha256:{index:064x}") });
                    if let Some(rate) = rate {
                        client["rate"] = rate;
                    }
                    (name, client)
                })
                .collect::<Map<String, Value>>()
                .into();
            whole["routes"] = routes.into();
            if let Some(limits) = limits {
                whole["limits"] = limits;
            }
            whole
        })
}

/// Writes a value as block YAML, one key or item a line, texts quoted.
fn write(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, value) in members {
                let _ = write!(out, "\n{pad}{key}:");
                write(value, indent + 2, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(out, "\n{pad}-");
                write(item, indent + 2, out);
            }
        }
        scalar => {
            let _ = write!(out, " {scalar}");
        }
    }
}

fn yaml(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text.trim_start().to_owned()
}

/// Puts a key into the `which`-th map of the table's (maps from names take any name), and says whether there was one.
fn put(value: &mut Value, which: &mut usize, key: &str, free: bool) -> bool {
    match value {
        Value::Object(members) => {
            if !free {
                if *which == 0 {
                    members.insert(key.to_owned(), json!(1));
                    return true;
                }
                *which -= 1;
            }
            members.iter_mut().any(|(name, value)| {
                let names = ["upstreams", "accounts", "pools", "clients", "set"];
                put(value, which, key, !free && names.contains(&name.as_str()))
            })
        }
        Value::Array(items) => items.iter_mut().any(|item| put(item, which, key, false)),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_checked(text in "\\PC{0,200}|[ -~\n\r\t]{0,200}") {
        sound(&text);
    }

    #[test]
    fn any_bytes_are_checked(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        sound(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn anything_like_yaml_is_checked(text in pieces()) {
        sound(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_valid_configuration_raises_nothing(value in valid()) {
        for text in [yaml(&value), value.to_string()] {
            let report = sound(&text);
            prop_assert!(report.is_empty(), "{}\n{}", text, report.text(false));
        }
    }

    #[test]
    fn an_unknown_key_is_found_in_any_map_on_its_own_line(mut value in valid(), which in any::<prop::sample::Index>()) {
        // Counts the maps by putting the key further and further on.
        let maps = (0..10_000).take_while(|which| put(&mut value.clone(), &mut { *which }, "unheard_of", false)).count();
        put(&mut value, &mut which.index(maps), "unheard_of", false);
        let text = yaml(&value);
        let line = text.lines().position(|line| line.trim_start_matches(['-', ' ']).starts_with("unheard_of:")).unwrap();
        let report = sound(&text);
        let found: Vec<u32> = report
            .diagnostics()
            .iter()
            .filter(|found| found.code == "E0201" && found.message.contains("`unheard_of`"))
            .map(|found| report.location(found).line)
            .collect();
        prop_assert_eq!(found, [u32::try_from(line).unwrap() + 1], "{}\n{}", text, report.text(false));
    }

    #[test]
    fn a_broken_line_never_hides_where_it_is(value in valid(), at in any::<prop::sample::Index>(), with in pieces()) {
        let text = yaml(&value);
        let lines: Vec<&str> = text.lines().collect();
        let at = at.index(lines.len());
        let mut broken = lines[..at].to_vec();
        broken.push(&with);
        broken.extend(&lines[at + 1..]);
        sound(&broken.join("\n"));
    }

    #[test]
    fn any_expression_is_compiled_or_refused(text in "[-+*/%!<>=&|?:.,()\\[\\]{} a-c0-9'\"]{0,60}") {
        if let Ok(expression) = Expression::parse(&text) {
            let _ = expression.holds(&json!({ "request": { "a": [1] }, "client": {} }));
        }
        let _ = JsonPath::parse(&format!("${text}"));
    }
}

/// Debug builds on a busy machine are slow; what this is about would take minutes, or for ever.
const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn no_text_takes_long() {
    let start = "isobar: 1\nlisten: [ { http: 127.0.0.1:1 } ]\nupstreams: { a: http://h }\n";
    let many =
        |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<String>();
    let hostile = [
        ("brackets", "[".repeat(900_000)),
        ("braces", "{a: ".repeat(200_000)),
        ("dashes", "- ".repeat(400_000)),
        (
            "one long text",
            format!("isobar: {}", "x".repeat(1_000_000)),
        ),
        ("one long key", format!("{}: 1", "x".repeat(900_000))),
        (
            "unknown keys",
            format!(
                "{start}{}",
                many(10_000, &|number| format!("key{number}: 1\n"))
            ),
        ),
        (
            "unknown keys of one map on one line",
            format!(
                "{start}limits: {{ {} }}",
                many(10_000, &|number| format!("key{number}: 1, "))
            ),
        ),
        (
            "unknown members",
            format!(
                "{start}routes: [ {} ]",
                many(3_000, &|number| format!(
                    "{{ match: /{number}, forward: [x{number}] }}, "
                ))
            ),
        ),
        (
            "equal routes",
            format!(
                "{start}routes: [ {} ]",
                many(3_000, &|_| "{ match: /*, forward: [a] }, ".to_owned())
            ),
        ),
        (
            "routes of one path",
            format!(
                "{start}routes: [ {} ]",
                many(3_000, &|number| format!(
                    "{{ match: {{ path: /*, host: h{number} }}, forward: [a] }}, "
                ))
            ),
        ),
        (
            "listeners that loop",
            format!(
                "isobar: 1\nlisten: [ {} ]\nupstreams: {{ {} }}\nroutes: [ {{ match: /*, respond: {{}} }} ]\n",
                many(3_000, &|number| format!(
                    "{{ http: 127.0.{}.{}:80 }}, ",
                    number / 250,
                    number % 250
                )),
                many(3_000, &|number| format!(
                    "u{number}: http://127.1.{}.{}, ",
                    number / 250,
                    number % 250
                )),
            ),
        ),
        (
            "members",
            format!(
                "{start}pools: {{ p: [ {} ] }}\nroutes: [ {{ match: /*, forward: p }} ]",
                "a, ".repeat(30_000)
            ),
        ),
        (
            "clients",
            format!(
                "{start}clients: {{ {} }}\nroutes: [ {{ match: /*, forward: [a] }} ]",
                many(3_000, &|number| format!(
                    "c{number}: {{ key: \"sha256:{number:064x}\" }}, "
                ))
            ),
        ),
        (
            "clients that are none",
            format!(
                "{start}clients: {{ {} }}\nroutes: [ {{ match: /*, forward: [a], clients: [ {} ] }} ]",
                many(4_000, &|number| format!(
                    "c{number}: {{ key: \"sha256:{number:064x}\" }}, "
                )),
                many(5_000, &|number| format!("d{number}, "))
            ),
        ),
        (
            "rules",
            format!(
                "{start}pools: {{ p: {{ members: [a], rules: [ {} ] }} }}\nroutes: [ {{ match: /*, forward: p }} ]",
                many(500, &|number| format!(
                    "{{ when: \"= request.path == '/{number}'\", members: [a] }}, "
                ))
            ),
        ),
        (
            "an expression in brackets",
            format!(
                "{start}pools: {{ p: {{ members: [a], rules: [ {{ when: \"={}1\" }} ] }} }}",
                "(".repeat(4_000)
            ),
        ),
        (
            "an expression of signs",
            format!(
                "{start}pools: {{ p: {{ members: [a], rules: [ {{ when: \"={}1\" }} ] }} }}",
                "!".repeat(4_000)
            ),
        ),
        (
            "an expression of choices",
            format!(
                "{start}pools: {{ p: {{ members: [a], rules: [ {{ when: \"={}1\" }} ] }} }}",
                "1?1:".repeat(1_000)
            ),
        ),
        (
            "aliases of aliases",
            format!(
                "a: &a [{}]\nb: &b [{}]\nc: [{}]",
                "x,".repeat(1_000),
                "*a,".repeat(60),
                "*b,".repeat(60)
            ),
        ),
        (
            "variables",
            format!("{start}state: \"{}\"", "${SET}".repeat(100_000)),
        ),
        (
            "quotes",
            format!("{start}state: \"{}", "\\\"".repeat(400_000)),
        ),
        (
            "a long path",
            format!(
                "{start}routes: [ {{ match: \"{}\" }} ]",
                "/{a}".repeat(200_000)
            ),
        ),
        (
            "a long rewrite",
            format!(
                "{start}routes: [ {{ match: /, forward: {{ members: [a], path: \"{}\" }} }} ]",
                "/{a}".repeat(200_000)
            ),
        ),
        (
            "comments",
            format!("{start}{}", "# nothing\n".repeat(30_000)),
        ),
    ];
    for (what, text) in hostile {
        let began = Instant::now();
        sound(&text);
        let took = began.elapsed();
        assert!(took < PATIENCE, "{what} took {took:?}");
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_told() {
    for text in [
        "isobar: 1\nlisten: [ { http: \"${SET}\" } ]\nadmin: file(x)\n",
        "isobar: 1\nlisten: []\nupstreams: { a: \"${SET}\", b: { url: \"http://u:must-not-show@h\" } }\n",
        "isobar: 1\nlisten: []\nupstreams: { a: { url: \"http://h?key=must-not-show\" } }\n",
        "isobar: 1\nlisten: []\nclients: { a: { key: must-not-show-this-key } }\nlimit: 1\n",
        "isobar: 1\nlisten: []\nupstreams:\n  a: { url: http://h, auth: { bearer: must-not-show } }\nlimit: 1\n",
        "isobar: 1\nlisten: []\nroutes: [ { match: \"${SET}\", forward: [a], limits: { deadline: \"${SET}\" } } ]\n",
        // Broken YAML, of which nothing is known but the names of keys.
        "upstreams: { a: { url: http://u:must-not-show@h, auth: { bearer: must-not-show, } }\n",
        "clients:\n  a: { keys: [ must-not-show ] }\n  b: { \"key\": \"must-not-show\n",
        "auth:\n  password: must-not-show\n  value : 'must-not-show'\n\t- x\n",
    ] {
        assert!(!sound(text).is_empty(), "{text}");
    }
}
