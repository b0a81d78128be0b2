//! The files for operators name metrics, labels and alerts that there are. `deploy/check` looks at what they mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use isobar_sandbox::Upstream;
use isobar_tests::tls::Authority;
use serde_json::Value;

use super::tls::secure;

/// Metrics, each with the labels that a sample of it has.
type Exported = BTreeMap<String, BTreeSet<String>>;

fn read(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn yaml(file: &str) -> Value {
    serde_saphyr::from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What a gateway exports: the names of samples, so that a histogram has its `_bucket`, `_sum` and `_count`.
async fn exported() -> Exported {
    let a = Upstream::start("a").await.unwrap();
    let pair = Authority::new().issue(&["a.example.com"]);
    let rest = format!(
        "upstreams: {{ a: \"{}\" }}\n\
         routes: [ {{ match: \"/*\", name: main, forward: [a], anonymous: true, cache: {{}} }} ]\n",
        a.url()
    );
    let secure = secure(&[("a", &pair)], "", &rest).await;
    let url = format!("http://{}/metrics", secure.gateway.host.admin().unwrap());
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let mut exported = Exported::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series
            .split_once('{')
            .map_or((series, ""), |(name, rest)| (name, rest));
        let names = labels.split("\",").filter_map(|pair| pair.split_once('='));
        exported
            .entry(name.to_owned())
            .or_default()
            .extend(names.map(|(label, _)| label.to_owned()));
    }
    exported
}

/// The metrics in an expression, each with the labels that are asked for in braces behind it.
fn named(expression: &str) -> Vec<(String, Vec<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in expression.match_indices("isobar_") {
        if expression[..at].ends_with(is_name) {
            continue;
        }
        let rest = &expression[at..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let inside = rest
            .strip_prefix('{')
            .and_then(|rest| Some(rest.split_once('}')?.0));
        let labels = inside.into_iter().flat_map(|inside| inside.split(','));
        let labels = labels.filter_map(|pair| {
            let label = pair.trim().split(['=', '!']).next()?;
            (!label.is_empty()).then(|| label.to_owned())
        });
        found.push((name.to_owned(), labels.collect()));
    }
    found
}

/// Says what an expression names that is not there. Prometheus adds `instance` and `job` itself.
fn strangers(expression: &str, exported: &Exported) -> Vec<String> {
    let mut strangers = Vec::new();
    for (name, labels) in named(expression) {
        let Some(known) = exported.get(&name) else {
            strangers.push(name);
            continue;
        };
        let unknown = labels.into_iter().filter(|label| {
            !known.contains(label) && !matches!(label.as_str(), "instance" | "job")
        });
        strangers.extend(unknown.map(|label| format!("{name}{{{label}}}")));
    }
    strangers
}

/// Every text under this key, however deep.
fn texts<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value.as_str() {
                    Some(text) if name == key => found.push(text),
                    _ => texts(value, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        _ => {}
    }
}

fn alerts() -> Vec<Value> {
    let rules = yaml("deploy/prometheus/alerts.yaml");
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    rules.cloned().collect()
}

#[tokio::test]
async fn alert_rules_and_dashboard_name_only_what_is_exported_and_between_them_all_of_it() {
    let exported = exported().await;
    assert!(
        exported.contains_key("isobar_request_seconds_bucket"),
        "{exported:?}"
    );
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/isobar.json")).unwrap();
    let rules = yaml("deploy/prometheus/alerts.yaml");
    let mut expressions = Vec::new();
    for (file, least, value, keys) in [
        (
            "dashboard",
            30,
            &dashboard,
            ["expr", "definition"].as_slice(),
        ),
        ("alerts", 15, &rules, ["expr"].as_slice()),
    ] {
        let mut found = Vec::new();
        for key in keys {
            texts(value, key, &mut found);
        }
        assert!(found.len() >= least, "{file}: {found:?}");
        for expression in found {
            let strangers = strangers(expression, &exported);
            assert!(strangers.is_empty(), "{file}: {strangers:?}: {expression}");
            expressions.push(expression);
        }
    }
    // A metric that nobody looks at is missing from the dashboard.
    let looked_at: BTreeSet<String> = expressions
        .iter()
        .flat_map(|expression| named(expression))
        .map(|(name, _)| family(&name).to_owned())
        .collect();
    let there: BTreeSet<String> = exported
        .keys()
        .map(|name| family(name).to_owned())
        .collect();
    assert_eq!(looked_at, there);
}

/// A histogram's name, of any of its samples.
fn family(name: &str) -> &str {
    let ends = ["_bucket", "_sum", "_count"];
    ends.iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
}

#[tokio::test]
async fn a_metric_or_label_that_is_none_would_be_noticed() {
    let exported = exported().await;
    for (expression, expected) in [
        (
            "sum(rate(isobar_requests_total{route=\"a\", status=~\"5..\"}[5m]))",
            vec![],
        ),
        (
            "isobar_request_total > 0 and up",
            vec!["isobar_request_total"],
        ),
        (
            "isobar_requests_total{rout=\"a\"}",
            vec!["isobar_requests_total{rout}"],
        ),
        (
            "rate(isobar_request_seconds[5m])",
            vec!["isobar_request_seconds"],
        ),
    ] {
        assert_eq!(strangers(expression, &exported), expected, "{expression}");
    }
}

#[test]
fn every_alert_has_a_severity_a_sentence_a_test_and_a_line_in_the_guide() {
    let guide = read("docs/guide/operations.md");
    let mut rows: BTreeSet<&str> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `Isobar")?.split('`').next())
        .collect();
    let tests = yaml("deploy/prometheus/alerts.test.yaml");
    let mut fired = BTreeSet::new();
    let cases = tests["tests"].as_array().unwrap().iter();
    for case in cases.flat_map(|test| test["alert_rule_test"].as_array().unwrap()) {
        let expected = case["exp_alerts"].as_array().unwrap();
        let name = case["alertname"].as_str().unwrap();
        fired.insert((name, expected.is_empty()));
    }
    let alerts = alerts();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        let severity = alert["labels"]["severity"].as_str();
        assert!(
            matches!(severity, Some("page" | "ticket")),
            "{name}: {severity:?}"
        );
        assert!(alert["annotations"]["summary"].is_string(), "{name}");
        assert!(
            rows.remove(name.strip_prefix("Isobar").unwrap()),
            "{name} has no line in the guide"
        );
        for silent in [false, true] {
            assert!(
                fired.remove(&(name, silent)),
                "{name}: no test with silence {silent}"
            );
        }
    }
    assert!(
        rows.is_empty() && fired.is_empty(),
        "no such alerts: {rows:?} {fired:?}"
    );
}

#[test]
fn the_dashboard_can_be_laid_out() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/isobar.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let number = |value: &Value| value.as_u64().unwrap();
        let (title, at) = (&panel["title"], &panel["gridPos"]);
        assert!(ids.insert(number(&panel["id"])), "{title}");
        let (x, y) = (number(&at["x"]), number(&at["y"]));
        let (width, height) = (number(&at["w"]), number(&at["h"]));
        assert!(x + width <= 24, "{title} is too wide");
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{title} lies on another");
        }
        let is_row = panel["type"] == "row";
        let targets = panel["targets"].as_array().map_or(0, Vec::len);
        assert_eq!(targets > 0, !is_row, "{title}");
    }
}
