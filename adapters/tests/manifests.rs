//! Broken manifests of a user's, one mistake each: the code and the place stand in the broken file's first line, and
//! what a person sees beside it. And whatever the text is, reading it ends.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use isobar_adapters::{Files, Vendors, built_in};
use isobar_config::{Report, Source};
use proptest::prelude::*;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A file's name and text.
type File = (String, String);

fn files(folder: &Path) -> Vec<File> {
    let mut files: Vec<File> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// The vendor `acme` of these files, and of the usual ones in place of those that are not among them.
fn load(own: &[File]) -> (Vendors, Report) {
    let mut all = own.to_vec();
    for usual in files(&root("tests/manifests/usual")) {
        if !all.iter().any(|(name, _)| *name == usual.0) {
            all.push(usual);
        }
    }
    let source = |(name, text): File| Source {
        name: format!("acme/{name}"),
        text,
    };
    let files = Files {
        folder: "acme".to_owned(),
        sources: all.into_iter().map(source).collect(),
    };
    Vendors::default().with(&[files])
}

/// Every broken vendor: its name and its files, of which one is broken.
fn invalid() -> Vec<(String, PathBuf, Vec<File>)> {
    let mut cases: Vec<_> = fs::read_dir(root("tests/manifests/invalid"))
        .unwrap()
        .map(|entry| {
            let folder = entry.unwrap().path();
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let files = files(&folder);
            (name, folder, files)
        })
        .collect();
    cases.sort();
    cases
}

/// `E0902 at 5:10` of the broken file, and that file's name.
fn expected(files: &[File]) -> (String, String) {
    let mark = |(name, text): &File| {
        let line = text.lines().next()?.strip_prefix("# E")?;
        Some((format!("E{line}"), format!("acme/{name}")))
    };
    files.iter().find_map(mark).unwrap()
}

#[test]
fn every_mistake_is_found_alone_at_its_place() {
    let mut wrong = Vec::new();
    for (name, _, files) in invalid() {
        let (vendors, report) = load(&files);
        let found: Vec<(String, String)> = report
            .diagnostics()
            .iter()
            .map(|diagnostic| {
                let at = report.location(diagnostic);
                let place = format!("{} at {}:{}", diagnostic.code, at.line, at.column);
                (place, at.file.to_string())
            })
            .collect();
        let expected = expected(&files);
        if found != [expected.clone()] {
            let text = report.text(false);
            wrong.push(format!(
                "{name}: expected {expected:?}, found {found:?}\n{text}"
            ));
        }
        if vendors.get("acme").is_some() {
            wrong.push(format!("{name}: the vendor can be used"));
        }
        let lost = report
            .diagnostics()
            .iter()
            .find(|found| found.help.is_none());
        if lost.is_some() {
            wrong.push(format!("{name}: no next step"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mistake_reads_well() {
    for (_, folder, files) in invalid() {
        let (_, report) = load(&files);
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("report", report.text(false)));
    }
}

#[test]
fn the_usual_manifests_raise_nothing() {
    let (vendors, report) = load(&[]);
    assert!(report.is_empty(), "{}", report.text(false));
    assert!(vendors.get("acme").is_some());
}

#[test]
fn there_are_enough_of_them() {
    assert!(invalid().len() >= 80, "{}", invalid().len());
}

#[test]
fn no_snapshot_is_left_over() {
    for (name, folder, files) in invalid() {
        let entries = fs::read_dir(&folder).unwrap().count();
        assert_eq!(
            (files.len(), entries),
            (1, 2),
            "{name}: one broken file and its report"
        );
    }
}

#[test]
fn a_vendor_without_its_own_file_is_told_so() {
    let source = Source {
        name: "acme/text.yaml".to_owned(),
        text: "language: { engine: whatlang }\n".to_owned(),
    };
    let files = Files {
        folder: "acme".to_owned(),
        sources: vec![source],
    };
    let (vendors, report) = Vendors::default().with(&[files]);
    assert_eq!(vendors.iter().count(), 0);
    let text = report.text(false);
    assert!(
        text.contains("E0203") && text.contains("`vendor.yaml` is missing"),
        "{text}"
    );
}

#[test]
fn a_users_vendor_takes_the_place_of_one_that_is_built_in() {
    let text = "vendor: deepl\nbase: https://translate.acme.example\n".to_owned();
    let source = Source {
        name: "deepl/vendor.yaml".to_owned(),
        text,
    };
    let files = Files {
        folder: "deepl".to_owned(),
        sources: vec![source],
    };
    let (own, _) = built_in();
    let (vendors, report) = own.with(&[files]);
    assert!(report.is_empty(), "{}", report.text(false));
    assert_eq!(vendors.iter().count(), own.iter().count());
    assert!(vendors.get("deepl").unwrap().operations.is_empty());
}

/// Collects every `"E0123"` of the manifests' reader.
fn codes() -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let mut open = vec![root("adapters/src/manifest")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        for word in text.split('"').skip(1).step_by(2) {
            let digits = word.strip_prefix("E0").filter(|rest| rest.len() == 3);
            if digits.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())) {
                used.insert(word.to_owned());
            }
        }
    }
    used
}

#[test]
fn every_code_has_an_example_and_a_page() {
    let shown: BTreeSet<String> = invalid()
        .iter()
        .map(|(_, _, files)| expected(files).0[..5].to_owned())
        .collect();
    let used = codes();
    assert!(used.len() > 20, "{used:?}");
    let missing: Vec<&String> = used.difference(&shown).collect();
    assert!(missing.is_empty(), "without an example: {missing:?}");
    for code in &used {
        assert!(
            root("docs/errors").join(format!("{code}.md")).exists(),
            "{code} has no page"
        );
    }
    let own: BTreeSet<String> = used
        .into_iter()
        .filter(|code| code.starts_with("E09"))
        .collect();
    let pages: BTreeSet<String> = own_pages().into_iter().map(|(code, _)| code).collect();
    assert_eq!(own, pages, "codes on the left, pages on the right");
}

/// The pages about manifests alone.
fn own_pages() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(root("docs/errors")).unwrap() {
        let path = entry.unwrap().path();
        let code = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if code.starts_with("E09") {
            pages.push((code, fs::read_to_string(path).unwrap()));
        }
    }
    pages.sort();
    pages
}

/// The YAML of a page, and the file that its first line names: `# acme/translation.yaml`.
fn examples(page: &str) -> Vec<File> {
    page.split("```yaml\n")
        .skip(1)
        .map(|rest| {
            let text = rest.split("```").next().unwrap();
            let name = text.lines().next().unwrap().strip_prefix("# acme/");
            (
                name.unwrap_or_else(|| panic!("no file is named:\n{text}"))
                    .to_owned(),
                text.to_owned(),
            )
        })
        .collect()
}

#[test]
fn every_page_shows_the_mistake_and_what_mends_it() {
    let mut wrong = Vec::new();
    for (code, page) in own_pages() {
        if !page.starts_with(&format!("# {code}")) || !(15..=40).contains(&page.lines().count()) {
            wrong.push(format!("{code} is not of the pages' form"));
        }
        let examples = examples(&page);
        let [bad, good] = examples.as_slice() else {
            wrong.push(format!("{code} has {} examples", examples.len()));
            continue;
        };
        let (_, report) = load(std::slice::from_ref(bad));
        let raised: BTreeSet<&str> = report
            .diagnostics()
            .iter()
            .map(|found| found.code)
            .collect();
        if raised != BTreeSet::from([code.as_str()]) {
            wrong.push(format!("{code} raises {raised:?}:\n{}", report.text(false)));
        }
        let (_, report) = load(std::slice::from_ref(good));
        if !report.is_empty() {
            wrong.push(format!("{code} is not mended:\n{}", report.text(false)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Texts of manifests: the built-in ones, the usual and the broken ones.
fn corpus() -> Vec<File> {
    let mut texts = files(&root("tests/manifests/usual"));
    texts.extend(invalid().into_iter().flat_map(|(_, _, files)| files));
    for entry in fs::read_dir(root("adapters/src/vendors")).unwrap() {
        texts.extend(files(&entry.unwrap().path()));
    }
    texts
}

/// Pieces that manifests are made of, put where they do not belong.
const PIECES: [&str; 24] = [
    "$.",
    "$",
    "{$.",
    "}",
    "$$",
    "| ",
    "(",
    "')",
    "[*]",
    "[-1]",
    "[?@.a]",
    "..",
    "?",
    ": ",
    "- ",
    "{ ",
    " }",
    "[",
    "]",
    "\u{0}",
    "\u{202e}é",
    "\n  ",
    "99999999999999999999",
    "&a *a",
];

fn change(text: &mut String, at: prop::sample::Index, what: usize, piece: usize) {
    let mut place = at.index(text.len() + 1);
    while !text.is_char_boundary(place) {
        place -= 1;
    }
    let rest = text.split_off(place);
    match what {
        0 => text.push_str(&rest),
        // A piece more, a line less, or the end of it.
        1 => {
            text.push_str(PIECES[piece % PIECES.len()]);
            text.push_str(&rest);
        }
        2 => text.push_str(rest.split_once('\n').map_or("", |(_, rest)| rest)),
        3 => {
            let (line, rest) = rest.split_once('\n').unwrap_or((&rest, ""));
            text.push_str(line);
            text.push_str(PIECES[piece % PIECES.len()]);
            text.push('\n');
            text.push_str(rest);
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_spoilt_manifest_makes_the_reader_fall_over(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..5_usize, 0..PIECES.len()), 1..6),
    ) {
        let corpus = corpus();
        let (name, mut text) = which.get(&corpus).clone();
        for (at, what, piece) in changes {
            change(&mut text, at, what, piece);
        }
        let (vendors, report) = load(&[(name, text)]);
        let _ = report.text(false);
        // A vendor can be used, or it is said why not.
        prop_assert!(vendors.get("acme").is_some() || !report.is_empty());
    }

    #[test]
    fn no_text_makes_the_reader_fall_over(text in "\\PC{0,200}", name in "(vendor|speech|text|translation)\\.yaml") {
        let (_, report) = load(&[(name, text)]);
        let _ = report.text(false);
    }
}

#[test]
fn what_is_huge_or_deep_is_refused_and_does_not_hang() {
    let deep = |open: &str, close: &str| format!("{}x{}", open.repeat(2_000), close.repeat(2_000));
    let path = format!("$.body{}", ".a".repeat(100_000));
    let many = "| lower ".repeat(20_000);
    for text in [
        deep("[", "]"),
        deep("{a: ", "}"),
        format!("translate:\n  call: POST /v1\n  body: {{ json: {{ q: \"$.text {many}\", to: $.to }} }}\n  returns: {{ text: $.body.text }}\n"),
        format!("translate:\n  call: POST /v1\n  body: {{ json: [$.text, $.to] }}\n  returns: {{ text: \"{path}\" }}\n"),
        format!("translate:\n  call: POST /v1\n  body: {{ json: \"{}\" }}\n  returns: {{ text: $.body }}\n", "{$.text}".repeat(50_000)),
        format!("tables: {{ a: [{}] }}\n", "x, ".repeat(40_000)),
        "a: &a [x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: &d [*c, *c, *c, *c]\ne: [*d, *d, *d, *d, *d, *d, *d, *d]\n".to_owned(),
    ] {
        let started = std::time::Instant::now();
        let (_, report) = load(&[("translation.yaml".to_owned(), text)]);
        let _ = report.text(false);
        assert!(started.elapsed() < std::time::Duration::from_secs(20));
    }
}
