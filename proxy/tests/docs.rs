//! What the documentation says is true: made files are current, examples pass the checker, names are those of the code,
//! commands exist and links lead somewhere.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helper may fail the test"
)]

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use isobar_config::{Environment, Source};
use isobar_tests::tls::{Authority, Pair};

/// What a fragment of a configuration is put beside.
const REST: &str = "isobar: 1\n\
    listen: [ { http: \"127.0.0.1:8080\" } ]\n\
    upstreams: { a: \"http://127.0.0.1:9001\", b: \"http://127.0.0.1:9002\" }\n\
    routes: [ { match: /rest, forward: [a, b], anonymous: true } ]\n";

/// What is promised to a newcomer, to the letter.
const SHORTEST: &str = r#"isobar: 1
listen: [ { http: "127.0.0.1:8080" } ]
upstreams: { a: "http://127.0.0.1:9001", b: "http://127.0.0.1:9002" }
routes: [ { match: "/*", forward: [a, b], anonymous: true } ]
"#;

#[test]
fn the_configuration_reference_is_current() {
    assert_current("docs/guide/configuration.md", &["schema", "--reference"]);
}

#[test]
fn the_schema_is_current() {
    assert_current("docs/schema/isobar.schema.json", &["schema"]);
}

#[test]
fn the_schema_of_compositions_is_current() {
    assert_current(
        "docs/schema/isobar-composition.schema.json",
        &["schema", "--composition"],
    );
}

#[test]
fn the_schema_of_cases_is_current() {
    assert_current(
        "docs/schema/isobar-cases.schema.json",
        &["schema", "--cases"],
    );
}

fn assert_current(file: &str, arguments: &[&str]) {
    let (kept, made) = (read(file), isobar(arguments));
    let differing = kept
        .lines()
        .zip(made.lines())
        .position(|(kept, made)| kept != made)
        .unwrap_or_else(|| kept.lines().count().min(made.lines().count()));
    assert!(
        kept == made,
        "{file} is not what `isobar {}` prints, from line {}; run `just generate`",
        arguments.join(" "),
        differing + 1
    );
}

#[test]
fn the_page_of_vendors_is_current() {
    assert_current("docs/guide/vendors.md", &["vendors", "--markdown"]);
}

/// Checks sources with every vendor that is built in.
fn check(sources: &[Source]) -> (Option<isobar_config::Config>, isobar_config::Report) {
    let (vendors, _) = isobar_adapters::built_in();
    isobar_config::check_with(sources, &Anything, &isobar::catalog(vendors))
}

#[test]
fn every_configuration_in_the_guide_is_good() {
    let mut whole = 0;
    for page in pages()
        .iter()
        .filter(|page| !page.starts_with("docs/errors"))
    {
        for block in blocks(&read(page)) {
            let fragment = match block.info.as_str() {
                "yaml" => false,
                "yaml fragment" => true,
                // Vendors' manifests, and what names them: the adapters' tests read them.
                "yaml manifest" => continue,
                // Looked at below.
                "yaml composition" | "yaml cases" => continue,
                other => {
                    assert!(!other.starts_with("yaml"), "{page}: what is `{other}`?");
                    continue;
                }
            };
            let mut sources = vec![Source {
                name: format!("{page}, the block in line {}", block.line),
                text: block.text,
            }];
            if fragment {
                sources.insert(0, source("the rest", REST));
            } else {
                whole += 1;
            }
            let (config, report) = check(&sources);
            assert!(
                config.is_some() && report.is_empty(),
                "{page}\n{}",
                report.text(false)
            );
        }
    }
    assert!(whole > 5, "only {whole} whole configurations were found");
}

/// A fragment of a composition, with what makes it whole: keys that it does not have itself.
fn completed(fragment: &str) -> String {
    let mut text = fragment.to_owned();
    for (key, rest) in [
        ("composition:", "composition: example\n"),
        ("hosts:", "hosts: [archive.example.com]\n"),
        (
            "input:",
            "input: { audio: blob, text: string, sku: string }\n",
        ),
        (
            "steps:",
            "steps: { mood: { use: text.sentiment, with: { text: hello } } }\n",
        ),
        ("output:", "output: { id: $.run.id }\n"),
    ] {
        if !text.lines().any(|line| line.starts_with(key)) {
            text.push_str(rest);
        }
    }
    text
}

#[test]
fn every_composition_in_the_guide_is_good_and_its_cases_are() {
    let (mut compositions, mut cases) = (0, 0);
    let account = |name: &str| isobar_compositions::KnownAccount {
        name: name.to_owned(),
        operations: vec!["text.sentiment".to_owned()],
    };
    let known = isobar_compositions::Known {
        accounts: Some(vec![account("azure"), account("google")]),
        ..isobar_compositions::Known::default()
    };
    for page in pages() {
        let blocks = blocks(&read(&page));
        let wholes: Vec<Source> = blocks
            .iter()
            .filter(|block| block.info == "yaml composition" && is_whole(&block.text))
            .map(|block| {
                let place = format!("{page}, the block in line {}", block.line);
                source(&place, &block.text)
            })
            .collect();
        let (plans, report) = isobar_compositions::check(&wholes, &known, &Anything);
        assert!(report.is_empty(), "{}", report.text(false));
        for block in &blocks {
            let place = format!("{page}, the block in line {}", block.line);
            match block.info.as_str() {
                "yaml composition" => compositions += 1,
                "yaml cases" => {
                    let accounts = isobar::trying::accounts(None).unwrap();
                    let file = Path::new(&place);
                    let (read, report) =
                        isobar::trying::cases(file, block.text.clone(), &plans, &accounts);
                    assert!(report.is_empty(), "{}", report.text(false));
                    cases += read.unwrap().cases.len();
                    continue;
                }
                _ => continue,
            }
            if is_whole(&block.text) {
                continue;
            }
            let mut sources = vec![source(&place, &completed(&block.text))];
            if !block.text.contains("composition: tone") {
                sources.extend(wholes.iter().cloned());
            }
            // A part leaves much unused, which is only warned of.
            let (_, report) = isobar_compositions::check(&sources, &known, &Anything);
            assert!(!report.has_errors(), "{}", report.text(false));
        }
    }
    assert!(compositions > 4 && cases > 3, "{compositions}, {cases}");
}

fn is_whole(text: &str) -> bool {
    ["composition:", "steps:", "output:"]
        .iter()
        .all(|key| text.lines().any(|line| line.starts_with(key)))
}

#[test]
fn the_shortest_configuration_is_the_first_thing_shown() {
    for page in ["README.md", "docs/guide/quick-start.md"] {
        let blocks = blocks(&read(page));
        let first = blocks.iter().find(|block| block.info == "yaml").unwrap();
        assert_eq!(first.text, SHORTEST, "{page}");
    }
}

#[test]
fn a_bad_example_would_be_noticed() {
    let (config, report) = check(&[
        source("the rest", REST),
        source("bad", "limits: { bodi: 1 }"),
    ]);
    assert!(config.is_none() && report.text(false).contains("did you mean `body`?"));
}

#[test]
fn the_metrics_in_the_guide_are_those_that_there_are() {
    let code = quoted(&read("proxy/src/admin/metrics.rs"));
    let code: BTreeSet<&str> = code
        .iter()
        .map(String::as_str)
        .filter(|text| text.starts_with("isobar_"))
        .collect();
    let page = read("docs/guide/operations.md");
    let told: BTreeSet<&str> = page
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("isobar_"))
        .collect();
    assert!(code.len() > 10, "{code:?}");
    assert_eq!(told, code);
}

#[test]
fn the_fields_of_the_access_log_are_told() {
    let code = read("proxy/src/edge/access_log.rs");
    let line = between(&code, "pub(crate) struct Line", "\n}");
    let page = read("docs/guide/operations.md");
    let table = between(&page, "## Access log", "## Limits");
    let mut fields = 0;
    for field in line.lines().filter_map(|line| {
        let (name, _) = line.trim().strip_prefix("pub(crate) ")?.split_once(':')?;
        Some(name)
    }) {
        fields += 1;
        assert!(
            table.contains(&format!("`{field}`")),
            "`{field}` is missing"
        );
    }
    assert!(fields > 10, "{line}");
}

#[test]
fn problems_verdicts_and_reasons_in_the_guide_are_those_that_there_are() {
    let page = read("docs/guide/failover.md");
    let problems = read("proxy/src/edge/problem.rs");
    let kinds: BTreeSet<String> = quoted(between(&problems, "fn name(self)", "fn title"))
        .into_iter()
        .collect();
    let rows: BTreeSet<String> = between(&page, "| status | type |", "\n\n")
        .lines()
        .skip(2)
        .filter_map(|line| Some(line.split('`').nth(1)?.to_owned()))
        .collect();
    assert_eq!(rows, kinds);

    let table = read("adapters/src/verdict.rs");
    let picker = read("proxy/src/pool/picker.rs");
    let tried = read("proxy/src/serve/tried.rs");
    for (text, least) in [
        (between(&table, "impl Fault", "is_timeout"), 10),
        (between(&picker, "fn name(self)", "\n    }"), 5),
        (between(&tried, "fn name(self)", "\n    }"), 2),
    ] {
        let words = quoted(text);
        assert!(words.len() >= least, "{words:?}");
        for word in words {
            assert!(page.contains(&format!("`{word}`")), "`{word}` is missing");
        }
    }
    for verdict in isobar_adapters::Verdict::ALL {
        // No plain HTTP answer is a retryable rejection yet.
        if verdict != isobar_adapters::Verdict::RejectedRetryable {
            let name = verdict.name();
            assert!(page.contains(&format!("`{name}`")), "`{name}` is missing");
        }
    }
}

#[test]
fn the_commands_in_the_guide_exist() {
    let help = isobar(&["--help"]);
    let known: Vec<&str> = between(&help, "Commands:\n", "\n\n")
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|word| !word.is_empty())
        .collect();
    assert!(known.len() > 5, "{help}");
    let mut seen = 0;
    for page in pages() {
        for block in blocks(&read(&page)) {
            if !["sh", "console"].contains(&block.info.as_str()) {
                continue;
            }
            for line in block.text.lines() {
                let line = line.strip_prefix("$ ").unwrap_or(line);
                let Some(rest) = line.strip_prefix("isobar ") else {
                    continue;
                };
                let word = rest.split(' ').next().unwrap();
                let version = word.starts_with(|c: char| c.is_ascii_digit());
                let good = version || word.starts_with('-') || known.contains(&word);
                assert!(good, "{page}: no command is called `{word}`");
                seen += usize::from(!version);
            }
        }
    }
    assert!(seen > 5, "only {seen} commands were found");
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for page in pages() {
        let text = read(&page);
        let folder = Path::new(&page).parent().unwrap().to_owned();
        for target in links(&text) {
            if target.contains("://") {
                continue;
            }
            seen += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() {
                PathBuf::from(&page)
            } else {
                folder.join(file)
            };
            let path = root().join(&file);
            assert!(path.exists(), "{page}: `{target}` leads nowhere");
            if !anchor.is_empty() {
                let headings = anchors(&fs::read_to_string(&path).unwrap());
                assert!(
                    headings.contains(anchor),
                    "{page}: `{target}` names no heading"
                );
            }
        }
    }
    assert!(seen > 50, "only {seen} links were found");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn isobar(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_isobar"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn source(name: &str, text: &str) -> Source {
    Source {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

/// Every Markdown page, relative to the root.
fn pages() -> Vec<String> {
    fn collect(folder: &Path, deep: bool, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && deep {
                collect(&path, deep, found);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(&root(), false, &mut found);
    collect(&root().join("docs"), true, &mut found);
    let mut pages: Vec<String> = found
        .iter()
        .map(|path| {
            let page = path.strip_prefix(root()).unwrap();
            page.display().to_string()
        })
        .collect();
    pages.sort();
    pages
}

struct Block {
    /// What stands after the opening fence.
    info: String,
    line: usize,
    text: String,
}

/// The fenced blocks of a page.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block {
                    info: info.trim().to_owned(),
                    line: index + 1,
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block does not end");
    blocks
}

/// Targets of a page's links, outside of code.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut fenced = false;
    for line in page.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every second piece between backticks is code.
        let plain: String = line.split('`').step_by(2).collect();
        for after in plain.split("](").skip(1) {
            links.extend(after.split_once(')').map(|(target, _)| target.to_owned()));
        }
    }
    links
}

/// What the headings of a page are called in links, as code hosts do it.
fn anchors(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
            let text = line.trim_start_matches('#').trim().to_lowercase();
            text.chars()
                .filter(kept)
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, after) = text
        .split_once(start)
        .unwrap_or_else(|| panic!("`{start}` is not there"));
    after.split_once(end).map_or(after, |(inside, _)| inside)
}

/// The string literals of a piece of code that has no escapes in them.
fn quoted(code: &str) -> Vec<String> {
    code.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Variables and files that an example names: a text of their own each.
struct Anything;

impl Environment for Anything {
    fn variable(&self, name: &str) -> Option<String> {
        Some(format!("{name}-0123456789abcdef"))
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        static PAIR: LazyLock<Pair> = LazyLock::new(|| Authority::new().issue(&["example.com"]));
        if path.starts_with("tls") {
            let is_key = path.extension().is_some_and(|ending| ending == "key");
            return Ok(if is_key { &PAIR.key } else { &PAIR.cert }.clone());
        }
        Ok(format!("{}-0123456789abcdef", path.display()))
    }
}
