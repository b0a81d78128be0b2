//! The guide's page about manifests says what the code does: its examples are read, its tables compared.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use isobar_config::{Environment, Report, Source, catalog};

use super::{Files, operation, vendor};
use crate::{
    capability::{CONTRACTS, Contract},
    draft::{Draft, Kind},
    engine::ENGINES,
    failure,
    media::Format,
    template::BlobFact,
    transform::Transform,
    vendors::Vendors,
};

const PAGE: &str = "../docs/guide/add-a-vendor.md";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)
}

fn page() -> String {
    fs::read_to_string(path()).unwrap()
}

/// The page's blocks: what stands behind the three marks, and the text.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = page.split("```").collect();
    let blocks = parts.iter().skip(1).step_by(2);
    blocks.filter_map(|block| block.split_once('\n')).collect()
}

struct Anything;

impl Environment for Anything {
    fn variable(&self, _: &str) -> Option<String> {
        Some("a-key-of-some-length".to_owned())
    }

    fn file(&self, _: &Path) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// What a configuration may name with these vendors.
fn catalog_of(vendors: &Vendors) -> catalog::Catalog {
    let field = |field: &crate::Field| catalog::Field {
        name: field.name.clone(),
        secret: field.secret,
        required: field.required,
        doc: field.doc.clone(),
    };
    let vendors = vendors.iter().map(|vendor| catalog::Vendor {
        name: vendor.name.clone(),
        fields: vendor.fields.iter().map(field).collect(),
        operations: vendor
            .operations
            .iter()
            .map(|operation| operation.contract.name.to_owned())
            .collect(),
    });
    let operations = CONTRACTS.iter().map(|contract| catalog::Operation {
        name: contract.name.to_owned(),
        front: contract.front.to_owned(),
    });
    catalog::Catalog {
        vendors: vendors.collect(),
        operations: operations.collect(),
    }
}

/// The vendor whose manifest a block is.
fn load(text: &str) -> (String, Vendors, Report) {
    let name = text.lines().next().unwrap().strip_prefix("# ").unwrap();
    let folder = name
        .strip_prefix("adapters/")
        .and_then(|rest| rest.split('/').next());
    let folder = folder.unwrap_or_else(|| panic!("{name} is not in a vendor's folder"));
    let source = Source {
        name: format!("./{name}"),
        text: text.to_owned(),
    };
    let files = Files {
        folder: folder.to_owned(),
        sources: vec![source],
    };
    let (vendors, report) = Vendors::default().with(&[files]);
    (folder.to_owned(), vendors, report)
}

#[test]
fn every_manifest_of_the_guide_is_as_it_is_said_to_be() {
    let page = page();
    let blocks = blocks(&page);
    let mut good = BTreeSet::new();
    let mut configuration = None;
    for (at, (info, text)) in blocks.iter().enumerate() {
        assert!(
            !info.starts_with("yaml") || *info == "yaml manifest",
            "{text}"
        );
        if *info != "yaml manifest" {
            continue;
        }
        if text.starts_with("# isobar.yaml\n") {
            configuration = Some((*text).to_owned());
            continue;
        }
        let (folder, vendors, report) = load(text);
        let told = blocks.get(at + 1).filter(|(info, _)| *info == "text");
        let told = told.map_or("", |(_, text)| text);
        assert_eq!(report.text(false).trim(), told.trim());
        if let Some(vendor) = vendors.get(&folder)
            && !vendor.operations.is_empty()
        {
            good.insert(folder);
            let text = configuration.take().into_iter().collect::<String>();
            if !text.is_empty() {
                let source = Source {
                    name: "isobar.yaml".to_owned(),
                    text,
                };
                let catalog = catalog_of(&vendors);
                let (config, report) = isobar_config::check_with(&[source], &Anything, &catalog);
                assert!(
                    config.is_some() && report.is_empty(),
                    "{}",
                    report.text(false)
                );
            }
        }
    }
    assert!(configuration.is_none(), "the configuration was not checked");
    assert!(good.len() >= 3, "{good:?}");
}

#[test]
fn the_vendor_of_the_guide_is_asked_and_understood_as_shown() {
    use crate::{Account, Blob, Call, Content, Job, Request, Response, Tokens, Transport};
    use std::sync::Mutex;

    struct Canned(String, Mutex<Vec<Request>>);

    #[async_trait::async_trait]
    impl Transport for Canned {
        async fn send(
            &self,
            request: Request,
            _: std::time::Duration,
        ) -> Result<Response, crate::Evidence> {
            self.1.lock().unwrap().push(request);
            Ok(Response {
                status: http::StatusCode::OK,
                headers: http::HeaderMap::new(),
                body: self.0.clone().into(),
            })
        }

        async fn pause(&self, _: std::time::Duration) {}
    }

    let page = page();
    let blocks = blocks(&page);
    let shown: Vec<&str> = blocks
        .iter()
        .filter(|(info, _)| *info == "json")
        .map(|(_, text)| *text)
        .collect();
    let [asked, answered] = shown[..] else {
        panic!("a request and an answer are shown")
    };
    let manifests = blocks
        .iter()
        .filter(|(_, text)| text.starts_with("# adapters/babel/"));
    let mut worked = 0;
    for (_, text) in manifests {
        let (_, vendors, _) = load(text);
        let Some(vendor) = vendors.get("babel") else {
            continue;
        };
        let Some(operation) = vendor.operation("translation.translate") else {
            continue;
        };
        let key = ("key".to_owned(), isobar_config::Secret::new("…"));
        let account = Account::new("babel".to_owned(), vendor.clone(), None, vec![key]);
        let input = serde_json::json!({ "text": "Good morning.", "to": "fr" });
        let job = Job {
            input: operation
                .contract
                .check(input.as_object().unwrap().clone())
                .unwrap(),
            blobs: Vec::<(&str, Blob)>::new(),
        };
        let transport = Canned(answered.to_owned(), Mutex::default());
        let call = Call {
            account: &account,
            operation,
            transport: &transport,
            tokens: &Tokens::default(),
            deadline: std::time::Instant::now() + std::time::Duration::from_secs(9),
            id: "1",
            extra: false,
        };
        let mut outputs = futures_util::FutureExt::now_or_never(call.perform(&[job])).unwrap();
        let output = outputs.remove(0).unwrap();
        let Content::Translation(translation) = output.content else {
            panic!("{output:?}")
        };
        assert_eq!(translation.text, "Bonjour.");
        let sent = transport.1.lock().unwrap().remove(0);
        let sent: serde_json::Value =
            serde_json::from_slice(&sent.body.to_bytes().unwrap()).unwrap();
        assert_eq!(
            sent,
            serde_json::from_str::<serde_json::Value>(asked).unwrap()
        );
        worked += 1;
    }
    assert_eq!(worked, 2, "the first that works, and the good one");
}

/// Code words in the first column of the first table after a heading.
fn listed(page: &str, heading: &str) -> BTreeSet<String> {
    let section = page.split(&format!("\n{heading}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("there is no `{heading}`"));
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let cell = row.trim_start_matches('|').split(" | ").next().unwrap();
        let words: Vec<String> = cell
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        words
    })
    .collect()
}

fn set<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_tables_of_the_guide_have_every_key() {
    let page = page();
    let check = |heading: &str, known: BTreeSet<String>| {
        assert_eq!(
            listed(&page, heading),
            known,
            "`{heading}`: the page on the left, the code on the right"
        );
    };
    check(
        "## vendor.yaml",
        set(vendor::KEYS.into_iter().chain(vendor::capabilities())),
    );
    check("### Fields of an account", set(vendor::FIELD));
    check("### Ways to authenticate", set(vendor::SCHEMES));
    check("### Errors", set(vendor::ERRORS));
    check("## Operations", set(operation::OPERATION));
    check("### Requests", set(operation::REQUEST));
    check("### Jobs", set(operation::POLL));
    check("### Sockets", set(operation::SOCKET));
    check("### Batches", set(operation::BATCH));
    check("## Returns", set(operation::ROOTS));
    check("## Limits", set(operation::LIMITS));
    check("## Prices", set(operation::PRICE));
    check("## Transforms", set(Transform::NAMES));
    // Further tables of a section, by the name of their first column.
    let after = |mark: &str, known: BTreeSet<String>| {
        let part = page.replacen(
            &format!("\n| {mark} |"),
            &format!("\n#### {mark}\n| {mark} |"),
            1,
        );
        assert_eq!(listed(&part, &format!("#### {mark}")), known, "{mark}");
    };
    after("row", set(vendor::ROW));
    after("kind", set(failure::Kind::NAMED.map(|(name, _)| name)));
    after("body", set(operation::BODY));
    for word in set(BlobFact::NAMES.map(|(name, _)| name))
        .into_iter()
        .chain(Format::ALL.map(|format| format.name().to_owned()))
        .chain(operation::ENGINE.map(str::to_owned))
        .chain(set(vendor::SERVICE))
    {
        assert!(page.contains(&format!("`{word}`")), "{word}");
    }
    assert!(!ENGINES.is_empty());
}

#[test]
fn the_guide_says_what_each_status_means() {
    let page = page();
    for (name, kind) in failure::Kind::NAMED {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")));
        let statuses = row.unwrap().rsplit('|').nth(1).unwrap();
        for status in statuses
            .split(", ")
            .filter_map(|status| status.trim().parse().ok())
        {
            assert_eq!(failure::Kind::of_status(status), kind, "{status}");
        }
    }
}

/// Fields with those of their items: `words` of `text`, `start` …
fn fields(draft: &Draft, promised: &[&str]) -> String {
    let mut text = String::new();
    for (name, kind) in draft.fields {
        let separator = if text.is_empty() { "" } else { ", " };
        let shown = if promised.contains(name) {
            format!("**`{name}`**")
        } else {
            format!("`{name}`")
        };
        let _ = match kind {
            Kind::Value => write!(text, "{separator}{shown}"),
            Kind::Items(inner) => write!(text, "{separator}{shown} ({})", fields(inner, &[])),
        };
    }
    text
}

fn row(contract: &Contract) -> String {
    let input = |(name, required): &(String, bool)| {
        if *required {
            format!("**`{name}`**")
        } else {
            format!("`{name}`")
        }
    };
    let blobs = contract.blobs.iter().map(|blob| format!("**`{blob}`**"));
    let inputs: Vec<String> = blobs.chain(contract.fields().iter().map(input)).collect();
    let batch = if contract.batch { "yes" } else { "" };
    format!(
        "| `{}` | {} | {} | {batch} |\n",
        contract.name,
        inputs.join(", "),
        fields(contract.draft, contract.promised)
    )
}

#[test]
fn the_guide_has_every_input_and_field() {
    const BEGIN: &str = "<!-- generated: cargo test -p isobar-adapters guide -->\n";
    const END: &str = "<!-- end -->";
    let mut table =
        "\n| operation | inputs | fields of `returns` | `batch` |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for contract in &CONTRACTS {
        table.push_str(&row(contract));
    }
    table.push('\n');
    let page = page();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    if shown != table && std::env::var_os("ISOBAR_WRITE").is_some() {
        fs::write(path(), format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, table, "ISOBAR_WRITE=1 writes it anew");
}
