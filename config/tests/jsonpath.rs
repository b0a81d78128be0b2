//! JSONPath means what RFC 9535 says: the compliance suite, when it is there, and what it does not ask.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use std::{
    env, fs,
    path::Path,
    time::{Duration, Instant},
};

use isobar_config::{Hop, JsonPath, Template};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Cases of the compliance suite, when `ISOBAR_CONTRACTS` names the folder beside it.
fn suite() -> Option<Vec<Value>> {
    let Some(contracts) = env::var_os("ISOBAR_CONTRACTS") else {
        eprintln!(
            "skipped: ISOBAR_CONTRACTS is not set, so the JSONPath compliance suite is not run"
        );
        return None;
    };
    let path = Path::new(&contracts).join("../reference/cts/jsonpath-cts.json");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let suite: Value = serde_json::from_str(&text).unwrap();
    Some(suite["tests"].as_array().unwrap().clone())
}

/// The lists of values that a case allows.
fn allowed(case: &Value) -> Vec<Value> {
    match (case.get("result"), case.get("results")) {
        (Some(one), _) => vec![one.clone()],
        (None, Some(several)) => several.as_array().unwrap().clone(),
        (None, None) => panic!("{case} expects nothing"),
    }
}

#[test]
fn paths_pass_the_compliance_suite() {
    let Some(cases) = suite() else { return };
    assert!(
        cases.len() >= 700,
        "{} cases are not the suite",
        cases.len()
    );
    let mut wrong = Vec::new();
    for case in &cases {
        let selector = case["selector"].as_str().unwrap();
        let parsed = JsonPath::parse(selector);
        if case["invalid_selector"] == json!(true) {
            if parsed.is_ok() {
                wrong.push(format!("{}: `{selector}` should be refused", case["name"]));
            }
            continue;
        }
        let document = &case["document"];
        let found = match parsed {
            Ok(path) => path
                .select(document)
                .unwrap()
                .into_iter()
                .cloned()
                .collect::<Value>(),
            Err(error) => {
                wrong.push(format!(
                    "{}: `{selector}` is refused: {error}",
                    case["name"]
                ));
                continue;
            }
        };
        if !allowed(case).contains(&found) {
            wrong.push(format!("{}: `{selector}` selects {found}", case["name"]));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// A template is a reference when it starts with `$.` or `$[`; then it is the value of a path that selects one at most,
/// and the list of any other.
#[test]
fn templates_pass_the_compliance_suite() {
    let Some(cases) = suite() else { return };
    let mut references = 0;
    for case in &cases {
        let selector = case["selector"].as_str().unwrap();
        if !selector.starts_with("$.") && !selector.starts_with("$[") {
            assert_eq!(Template::parse(selector).unwrap().literal(), Some(selector));
            continue;
        }
        references += 1;
        if case["invalid_selector"] == json!(true) {
            assert!(Template::parse(selector).is_err(), "{selector}");
            continue;
        }
        let found = Template::parse(selector)
            .unwrap()
            .render(&case["document"])
            .unwrap();
        let single = JsonPath::parse(selector).unwrap().is_singular();
        let expected = allowed(case).into_iter().any(|list| match &found {
            None => list == json!([]),
            Some(value) if single => list == json!([value]),
            Some(value) => list == *value,
        });
        assert!(expected, "{selector} is {found:?}");
    }
    assert!(references >= 690, "{references} references");
}

fn check(path: &str, document: &Value, expected: &Value) {
    let path = JsonPath::parse(path).unwrap();
    let found = path
        .select(document)
        .unwrap()
        .into_iter()
        .cloned()
        .collect::<Value>();
    assert_eq!(found, *expected, "{}", path.source());
}

#[test]
fn what_the_library_evaluates_differently_is_right_here() {
    check(
        "$..['a','d']",
        &json!([{ "a": 1, "d": 2 }, { "d": 4, "a": 3 }]),
        &json!([1, 2, 3, 4]),
    );
    check(
        "$[?@[?@>1]]",
        &json!([[1], [0, 2], [], 3]),
        &json!([[0, 2]]),
    );
    check(
        "$[?@.a[?@.b == $.x]]",
        &json!({ "x": 7, "y": { "a": [{ "b": 7 }] }, "z": { "a": [{ "b": 8 }] } }),
        &json!([{ "a": [{ "b": 7 }] }]),
    );
    // Numbers are equal when they are, not when they are near; and whole ones keep all their digits.
    check("$[?@ == 0.0]", &json!([1e-20, 0, -0.0]), &json!([0, -0.0]));
    check(
        "$[?@ == $[0]]",
        &json!([9_007_199_254_740_993_u64, 9_007_199_254_740_992_u64]),
        &json!([9_007_199_254_740_993_u64]),
    );
    check(
        "$[?@ == 1e2]",
        &json!([100, 100.0, "100"]),
        &json!([100, 100.0]),
    );
}

#[test]
fn what_the_library_accepts_against_the_rfc_is_refused() {
    for (path, reason) in [
        (
            "$.user name",
            "a name with blanks is written in quotes: `['a name']`",
        ),
        (
            "$[?@.user name]",
            "a name with blanks is written in quotes: `['a name']`",
        ),
        (
            "$.a\u{3000}",
            "a name with blanks is written in quotes: `['a name']`",
        ),
        ("$[?@. a == 1]", "a blank stands after a dot"),
        (
            "$[?count(@.*)]",
            "`count(…)` is no condition; compare it, as in `count(…) > 1`",
        ),
        (
            "$[?length(@.a)]",
            "`length(…)` is no condition; compare it, as in `length(…) > 1`",
        ),
        (
            "$[?value(@.a)]",
            "`value(…)` is no condition; compare it, as in `value(…) > 1`",
        ),
        (
            "$[?length(@.*) < 3]",
            "a function takes one value here, and the path in it may select several",
        ),
        (
            "$[?in(@.a, @.b)]",
            "there is no function `in`; `length`, `count`, `value`, `match` and `search` are known",
        ),
        ("$[?@.a == 1e999]", "a number in it is too large"),
        (
            r"$[?match(@.a, '\\d')]",
            r"`\d` is not a pattern of RFC 9485: there is no `\d`; write `[0-9]`",
        ),
    ] {
        let error = JsonPath::parse(path).unwrap_err();
        assert_eq!(error.to_string(), reason, "{path}");
    }
}

#[test]
fn a_broken_path_is_shown_where_it_breaks() {
    for (path, reason) in [
        ("$.", "it ends too early"),
        ("$.a[", "it ends too early"),
        ("$.a[?]", "it makes no sense from `]` on"),
        ("$.a..", "it ends too early"),
        (
            "$.a b",
            "a name with blanks is written in quotes: `['a name']`",
        ),
        ("$.a[?@.b = 1]", "it makes no sense from `= 1]` on"),
        ("$.b['a', 'b'", "it makes no sense from `['a', 'b'` on"),
        (
            "$.a-b",
            "it makes no sense from `-b` on; a name with `-` is written in quotes: `['a-name']`",
        ),
        (
            "$[?match(@.a, 'a') == true]",
            "`match` and `search` are conditions, and have no value to use",
        ),
    ] {
        let error = JsonPath::parse(path).unwrap_err();
        assert_eq!(error.to_string(), reason, "{path}");
    }
}

/// The time that `work` takes at most; debug builds on a busy machine are slow, and what this is about takes for ever.
fn within(limit: Duration, what: &str, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    assert!(start.elapsed() < limit, "{what} took {:?}", start.elapsed());
}

#[test]
fn no_path_takes_long_to_parse() {
    let nested = |open: &str, close: &str, times: usize| {
        format!("$[?{}@{}]", open.repeat(times), close.repeat(times))
    };
    for path in [
        nested("(", ")", 30),
        nested("@[?", "]", 30),
        nested("length(", ")", 8),
        nested("length(", "", 8),
        nested("count(@[?", "])", 8),
        nested("match(@[?", "], 'a')", 8),
        nested("match(@[?", "], 'a')", 500),
        nested("(", ")", 2_000),
        nested("!(", ")", 30),
        format!("$[?{}@]", "@.a&&".repeat(700)),
        format!("${}", "..*".repeat(1_300)),
        format!("${}", "['a']".repeat(800)),
    ] {
        within(Duration::from_secs(5), &path, || {
            drop(JsonPath::parse(&path));
        });
    }
}

#[test]
fn no_path_takes_long_to_evaluate() {
    let items = (0..10_000).map(|number| json!({ "n": number, "t": "a".repeat(100) }));
    let wide: Value = items.collect();
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner, inner.as_u64()]));
    for path in [
        "$..[?@..*]",
        "$..*..*..*..*",
        "$[?$ == $]",
        "$[?count($..*) > 1]",
        "$[?@[?$[?$[?@.n > 1]]]]",
        "$[?search(@.t, $[0].t)]",
        "$[?match(@.t, '(a*)*(a*)*(a*)*b')]",
    ] {
        let path = JsonPath::parse(path).unwrap();
        for document in [&wide, &deep] {
            within(Duration::from_secs(10), path.source(), || {
                drop(path.select(document));
            });
        }
    }
    let path = JsonPath::parse("$[?$ == $]").unwrap();
    assert!(path.select(&wide).is_err(), "a path without a limit");
}

/// Small documents, whose names and values paths below speak of.
fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        (-3_i32..3).prop_map(|number| json!(f64::from(number) / 2.0)),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[abc]", inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}

/// Everything below a value, itself first, as the RFC orders it; written again here, to compare with.
fn below<'v>(value: &'v Value, all: &mut Vec<&'v Value>) {
    all.push(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| below(item, all)),
        Value::Object(members) => members.values().for_each(|member| below(member, all)),
        _ => {}
    }
}

#[test]
fn every_segment_goes_somewhere() {
    let check = |path: &str, expected: &[Hop]| {
        let path = JsonPath::parse(path).unwrap();
        assert_eq!(path.hops(), expected, "{}", path.source());
    };
    let name = |name: &str| Hop::Name(name.to_owned());
    check("$", &[]);
    check("$.a['b'][-1]", &[name("a"), name("b"), Hop::Index(-1)]);
    check("$.a[*].b", &[name("a"), Hop::Several, name("b")]);
    check("$[1:2][?@.x]", &[Hop::Several, Hop::Several]);
    check("$..a", &[Hop::Deep]);
    check("$['a', 'b']", &[Hop::Deep]);
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(text in "\\$?[-\\[\\].*?@$!&|=<>() 'a\"1,:\\\\u{}é]{0,40}") {
        if let Ok(path) = JsonPath::parse(&text) {
            let document = json!({ "a": [1, { "a": "1" }], "1": null });
            let _ = path.select(&document);
        }
    }

    #[test]
    fn every_value_is_found_below_the_root_once(document in documents()) {
        let mut all = Vec::new();
        below(&document, &mut all);
        let path = JsonPath::parse("$..*").unwrap();
        let mut found = path.select(&document).unwrap();
        prop_assert_eq!(found.len(), all.len() - 1);
        // The same values, whatever their order; they are compared by where they are.
        let place = |value: &&Value| std::ptr::from_ref(*value);
        found.sort_by_key(place);
        all.remove(0);
        all.sort_by_key(place);
        prop_assert!(found.iter().zip(&all).all(|(one, other)| std::ptr::eq(*one, *other)));
    }

    #[test]
    fn a_filter_and_its_opposite_part_the_children(
        document in documents(),
        filter in prop::sample::select(vec![
            "@.a", "@ == 1", "@.a < @.b", "@[?@ > 0]", "length(@) > 1", "match(@, '[ab]+')",
            "@.a == $.a || @[0] != 'a'", "count(@..*) >= 2 && @.b", "value(@..c) == null",
        ]),
    ) {
        let select = |text: String| JsonPath::parse(&text).unwrap().select(&document).unwrap().len();
        let children = select("$.*".to_owned());
        prop_assert_eq!(select(format!("$[?{filter}]")) + select(format!("$[?!({filter})]")), children);
    }

    #[test]
    fn a_slice_is_what_python_makes_of_it(
        length in 0_i64..7,
        start in prop::option::of(-9_i64..9),
        end in prop::option::of(-9_i64..9),
        step in prop::option::of(-3_i64..4),
    ) {
        let document: Value = (0..length).collect();
        let part = |bound: Option<i64>| bound.map_or(String::new(), |bound| bound.to_string());
        let path = format!("$[{}:{}:{}]", part(start), part(end), part(step));
        let found = JsonPath::parse(&path).unwrap().select(&document).unwrap();
        // An item is in a slice if it lies between the bounds and whole steps from the first.
        let step = step.unwrap_or(1);
        let counted = |bound: i64| if bound < 0 { bound + length } else { bound };
        let expected: Vec<i64> = match step {
            1.. => {
            let (low, high) = (start.map_or(0, counted).max(0), end.map_or(length, counted).min(length));
            (0..length).filter(|item| *item >= low && *item < high && (item - low) % step == 0).collect()
            }
            ..0 => {
            let high = start.map_or(length - 1, counted).min(length - 1);
            let low = end.map_or(-1, counted);
            (0..length).rev().filter(|item| *item <= high && *item > low && (high - item) % -step == 0).collect()
            }
            0 => Vec::new(),
        };
        let found: Vec<i64> = found.into_iter().filter_map(Value::as_i64).collect();
        prop_assert_eq!(found, expected, "{}", path);
    }
}
