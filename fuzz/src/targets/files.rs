//! Files of people: read, checked, and every mistake shown at its place.

use std::{io, sync::LazyLock};

use isobar_adapters::{Files, Vendors};
use isobar_compositions::{Known, cases, check};
use isobar_config::{Nothing, Report, Source, catalog::Catalog, check_with};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let (vendors, _) = isobar_adapters::built_in();
    isobar::catalog(vendors)
});

fn source(name: &str, text: &str) -> Source {
    Source {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

/// Every mistake is shown, as a person and as a program sees it.
fn show(report: &Report) {
    let shown = report.text(false);
    let listed = report.json();
    assert_eq!(report.is_empty(), shown.is_empty());
    assert!(listed.is_array() || listed.is_object());
}

/// A configuration.
pub(crate) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (config, report) = check_with(&[source("isobar.yaml", text)], &Nothing, &CATALOG);
    show(&report);
    assert!(config.is_some() || report.has_errors());
    if let Some(config) = config {
        let told = isobar_config::redacted(&config);
        assert!(told.is_object());
    }
}

/// A vendor's files: the vendor's own, and after a line `%%%` what it offers.
pub(crate) fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let names = ["x/vendor.yaml", "x/speech.yaml", "x/text.yaml"];
    let parts = text.split("\n%%%\n");
    let sources = names
        .iter()
        .zip(parts)
        .map(|(name, text)| source(name, text));
    let files = Files {
        folder: "x".to_owned(),
        sources: sources.collect(),
    };
    let (_, report) = Vendors::default().with(&[files]);
    show(&report);
}

/// Compositions, one after each line `%%%`.
pub(crate) fn composition(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let parts = text.split("\n%%%\n").take(4);
    let sources: Vec<Source> = parts
        .enumerate()
        .map(|(number, text)| source(&format!("{number}.yaml"), text))
        .collect();
    let (plans, report) = check(&sources, &Known::default(), &Nothing);
    show(&report);
    for plan in plans {
        // All that is told of a plan.
        let _ = (plan.stages(), plan.worst_time());
        let _ = (plan.mermaid(), plan.svg());
        let _ = plan.accept(serde_json::Map::new(), Vec::new());
    }
}

/// Cases of the shipped compositions.
pub(crate) fn cases(data: &[u8]) {
    static PLANS: LazyLock<Vec<std::sync::Arc<isobar_compositions::Plan>>> = LazyLock::new(|| {
        let (plans, _) = check(
            &isobar::compositions::shipped(),
            &Known::default(),
            &Nothing,
        );
        plans
    });
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let outside = cases::Outside {
        file: &|_| Err(io::ErrorKind::NotFound.into()),
        fault: &|_| Ok(()),
        accounts: &[],
    };
    let (_, report) = cases::read(&source("voice-insights.test.yaml", text), &PLANS, &outside);
    show(&report);
}
