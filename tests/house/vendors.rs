//! A vendor's name stands in its own folder, in the list of vendors, in the sandbox, in fixtures, in tests and in what is
//! written for people, comments among it; in code anywhere else it is a bug. So is a vendor's host.
//!
//! A dialect is a protocol with a vendor's name that many speak; where code has to name one it is listed here, with the
//! reason. Whatever is listed and no longer there fails, too.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::code::{Word, words};

/// Where vendors' names are looked for.
const CODE: [&str; 4] = [
    "config/src",
    "adapters/src",
    "compositions/src",
    "proxy/src",
];
/// Where they may stand.
const HOMES: [&str; 2] = ["adapters/src/vendors/", "adapters/src/vendors.rs"];
/// Files, names in them, and why.
const ALLOWED: &[(&str, &str, &str)] = &[
    (
        "adapters/src/protocols/auth/key_file.rs",
        "googleapis.com",
        "key files are this vendor's format, in which the address of the token call may be left out",
    ),
    (
        "compositions/src/cases/read.rs",
        "deepgram",
        "an example in a message",
    ),
    (
        "compositions/src/cases/table.rs",
        "deepgram",
        "examples in the descriptions of keys",
    ),
    (
        "compositions/src/cases/table.rs",
        "openai",
        "examples in the descriptions of keys",
    ),
    (
        "compositions/src/check/with.rs",
        "deepgram",
        "an example in a message",
    ),
    (
        "proxy/src/cli/insights.rs",
        "deepgram",
        "the demo chooses whom it shows",
    ),
    (
        "proxy/src/cli/insights.rs",
        "openai",
        "the demo chooses whom it shows",
    ),
    (
        "proxy/src/cli/insights.rs",
        "azure",
        "the demo chooses whom it shows",
    ),
    (
        "proxy/src/cli/insights.rs",
        "google",
        "the demo chooses whom it shows",
    ),
    (
        "proxy/src/cli/insights.rs",
        "deepl",
        "the demo chooses whom it shows",
    ),
    (
        "proxy/src/cli/insights.rs",
        "local",
        "the demo chooses whom it shows",
    ),
];
/// Vendors whose names are words of every day: they count as a whole text (`"local"`) or the start of a model's name
/// (`"local/…"`), not as a word in a sentence or in a name.
const ORDINARY: [&str; 1] = ["local"];

#[test]
fn code_names_no_vendor() {
    let root = root();
    let (names, hosts) = (names(&root), hosts(&root));
    assert!(
        names.len() >= 16 && hosts.contains("deepgram.com"),
        "{names:?} {hosts:?}"
    );
    let mut allowed: BTreeSet<_> = ALLOWED
        .iter()
        .map(|(file, name, _)| (*file, *name))
        .collect();
    let mut found = Vec::new();
    for file in CODE.iter().flat_map(|folder| files(&root.join(folder))) {
        let path = file
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        if HOMES.iter().any(|home| path.starts_with(home)) || path.ends_with("/tests.rs") {
            continue;
        }
        for word in words(&fs::read_to_string(&file).unwrap()) {
            let Some(name) = named(&word, &names, &hosts) else {
                continue;
            };
            let excuse = ALLOWED
                .iter()
                .find(|(file, known, _)| *file == path && *known == name);
            match excuse {
                Some((file, name, _)) => {
                    allowed.remove(&(*file, *name));
                }
                None => found.push(format!("{path}:{}: {name}", word.line)),
            }
        }
    }
    assert!(
        found.is_empty(),
        "vendors are named in:\n{}",
        found.join("\n")
    );
    assert!(allowed.is_empty(), "allowed, and not there: {allowed:?}");
}

/// The vendor or host that a word names.
fn named<'n>(
    word: &Word,
    names: &'n BTreeSet<String>,
    hosts: &'n BTreeSet<String>,
) -> Option<&'n str> {
    let host = hosts.iter().find(|host| {
        word.text
            .match_indices(host.as_str())
            .any(|(at, _)| !word.text[..at].ends_with(|c: char| c.is_ascii_alphanumeric()))
    });
    if let Some(host) = host.filter(|_| word.quoted) {
        return Some(host);
    }
    let says = |name: &&String| {
        if ORDINARY.contains(&name.as_str()) {
            let rest = word.text.strip_prefix(name.as_str());
            return word.quoted
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        }
        word.has(name)
    };
    names.iter().find(says).map(String::as_str)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Vendors' names: their folders.
fn names(root: &Path) -> BTreeSet<String> {
    let folders = fs::read_dir(root.join("adapters/src/vendors")).unwrap();
    let folders = folders
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    folders
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// Vendors' domains, as their manifests name hosts.
fn hosts(root: &Path) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    for file in files(&root.join("adapters/src/vendors")) {
        if file.file_name().is_none_or(|name| name != "vendor.yaml") {
            continue;
        }
        // References stand for pieces of a host.
        let text = fs::read_to_string(file).unwrap();
        let pieces = text.split("{$").enumerate();
        let text: String = pieces
            .map(|(at, piece)| match piece.split_once('}') {
                Some((_, after)) if at > 0 => after,
                _ => piece,
            })
            .collect();
        let addresses = text.split("://").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-');
            &rest[..end.unwrap_or(rest.len())]
        });
        for host in addresses {
            let labels: Vec<&str> = host.rsplit('.').take(2).collect();
            let domain = labels.iter().rev().copied().collect::<Vec<_>>().join(".");
            let is_name =
                domain.contains('.') && domain.starts_with(|c: char| c.is_ascii_alphabetic());
            // An example of somebody's own host is nobody's.
            if is_name && !domain.starts_with("example.") {
                hosts.insert(domain);
            }
        }
    }
    hosts
}

/// Every Rust and YAML file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path
            .extension()
            .is_some_and(|ending| ending == "rs" || ending == "yaml")
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn words_are_told_from_their_parts() {
    let names: BTreeSet<String> = ["aws", "google", "openai", "local"]
        .map(str::to_owned)
        .into();
    let hosts: BTreeSet<String> = ["googleapis.com".to_owned()].into();
    let said = |code: &str| {
        let words = words(code);
        words
            .iter()
            .filter_map(|word| named(word, &names, &hosts))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for (code, expected) in [
        ("let aws = 1;", vec!["aws"]),
        ("fn for_openai() {}", vec!["openai"]),
        ("struct OpenAiAnswer;", vec!["openai"]),
        ("struct OpenAIAnswer;", vec!["openai"]),
        ("const GOOGLE_SCOPE: u8 = 1;", vec!["google"]),
        ("if vendor == \"google\" {}", vec!["google"]),
        ("let x = \"at google's\";", vec!["google"]),
        ("let x = r#\"a \"local\"\"#;", vec![]),
        ("let x = \"local\";", vec!["local"]),
        ("let x = \"local/model\";", vec!["local"]),
        ("let local = address.local_addr(); // \"local\"", vec![]),
        (
            "let x = \"https://oauth2.googleapis.com/token\";",
            vec!["googleapis.com"],
        ),
        ("/* aws */ let c = '\"'; // google", vec![]),
        ("/// `openai` says\nfn f() {}", vec![]),
        ("let flaws = jaws.aws4_request();", vec![]),
        (
            "fn f() {}\n#[cfg(test)]\nmod tests {\n let aws = 1;\n}",
            vec![],
        ),
    ] {
        assert_eq!(said(code), expected, "{code}");
    }
}
