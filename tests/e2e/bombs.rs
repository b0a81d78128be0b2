//! Files that are small and would be large when they are read: each is refused quickly, whatever kind of file it is.

use std::{
    io,
    time::{Duration, Instant},
};

use isobar_adapters::{Files, Vendors};
use isobar_compositions::{Known, cases, check};
use isobar_config::{Nothing, Report, Source};

/// What is put below a file's first line.
fn bombs() -> Vec<(&'static str, String)> {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        laughs += &format!("a{level}: &a{level} [{before}]\n");
    }
    let mut merged = "b0: &b0 { k: x }\n".to_owned();
    for level in 1..40 {
        let before = level - 1;
        merged += &format!("b{level}: &b{level} {{ l: *b{before}, r: *b{before} }}\n");
    }
    vec![
        ("billion laughs", laughs),
        ("doubled maps", merged),
        ("an alias of itself", "c: &c [ *c ]\n".to_owned()),
        (
            "aliases by the thousand",
            format!("d: &d x\ne: [ {} ]\n", "*d, ".repeat(200_000)),
        ),
        ("lists in lists", format!("f: {}\n", "[".repeat(20_000))),
        ("maps in maps", format!("g: {}\n", "{a: ".repeat(20_000))),
        (
            "deep by indentation",
            (0..3_000)
                .map(|depth| format!("{}k:\n", " ".repeat(depth)))
                .collect(),
        ),
        (
            "a million keys",
            (0..1_000_000).map(|key| format!("k{key}: 0\n")).collect(),
        ),
        ("a long line", format!("h: {}\n", "x".repeat(2 << 20))),
        ("documents by the thousand", "---\na: 1\n".repeat(100_000)),
    ]
}

#[test]
fn yaml_bombs_in_any_file_are_refused_quickly() {
    let source = |name: &str, text: String| Source {
        name: name.to_owned(),
        text,
    };
    let outside = cases::Outside {
        file: &|_| Err(io::ErrorKind::NotFound.into()),
        fault: &|_| Ok(()),
        accounts: &[],
    };
    let (plans, _) = check(
        &isobar::compositions::shipped(),
        &Known::default(),
        &Nothing,
    );
    assert!(!plans.is_empty());
    let readers: [(&str, &str, &dyn Fn(String) -> Report); 4] = [
        ("a configuration", "isobar: 1\n", &|text| {
            isobar_config::check(&[source("isobar.yaml", text)], &Nothing).1
        }),
        ("a manifest", "vendor: x\n", &|text| {
            let files = Files {
                folder: "x".to_owned(),
                sources: vec![source("x/vendor.yaml", text)],
            };
            Vendors::default().with(&[files]).1
        }),
        ("a composition", "composition: x\n", &|text| {
            check(&[source("x.yaml", text)], &Known::default(), &Nothing).1
        }),
        (
            "a file of cases",
            "composition: voice-insights\n",
            &|text| cases::read(&source("x.test.yaml", text), &plans, &outside).1,
        ),
    ];
    for (kind, first, read) in readers {
        for (name, bomb) in bombs() {
            let began = Instant::now();
            let report = read(format!("{first}{bomb}"));
            assert!(report.has_errors(), "{kind}: {name}");
            // Told in a few lines, not in a million.
            let told = report.text(false);
            let took = began.elapsed();
            assert!(told.len() < 1 << 20, "{kind}: {name}: {} bytes", told.len());
            assert!(took < Duration::from_secs(20), "{kind}: {name}: {took:?}");
        }
    }
}
