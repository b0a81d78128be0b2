//! What the page on security says is shown is shown by a test that there is.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Names of functions that the line before makes tests.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if line.starts_with("#[") {
                    is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                    continue;
                }
                if let Some((_, rest)) = line.split_once("fn ")
                    && is_test
                {
                    let name = rest.split('(').next().unwrap_or_default();
                    found.insert(name.to_owned());
                }
                is_test = false;
            }
        }
    }
}

/// Words in code that are names of tests: long, and of small letters and underscores.
fn named(page: &str) -> BTreeSet<&str> {
    let words = page.split('`').skip(1).step_by(2);
    let is_name = |word: &&str| {
        word.len() > 20
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    words.filter(is_name).collect()
}

#[test]
fn every_test_that_the_page_on_security_names_exists() {
    let mut known = BTreeSet::new();
    for folder in [
        "adapters/src",
        "compositions/src",
        "config",
        "proxy",
        "sandbox/src",
        "tests",
    ] {
        tests_below(&root().join(folder), &mut known);
    }
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let named = named(&page);
    assert!(named.len() > 60, "only {} tests are named", named.len());
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !known.contains(**name))
        .collect();
    assert!(missing.is_empty(), "there is no test {missing:?}");
    // Each kind of attack names something that shows it.
    let rows = page
        .split_once("| attack | what becomes of it | tests |")
        .map_or("", |(_, rows)| rows);
    let rows = rows.lines().filter(|line| line.starts_with("| ")).skip(1);
    for row in rows {
        let shown = row.trim_end_matches('|').rsplit('|').next();
        assert!(shown.is_some_and(|shown| shown.contains('`')), "{row}");
    }
}

#[test]
fn keys_are_compared_in_constant_time() {
    let text = fs::read_to_string(root().join("proxy/src/edge/auth.rs")).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    assert!(code.contains("ConstantTimeEq") || code.contains("ct_eq"));
    // A digest is never compared otherwise.
    let compared = code
        .lines()
        .filter(|line| line.contains("digest") && line.contains("=="));
    assert_eq!(compared.collect::<Vec<_>>(), [] as [&str; 0]);
}
