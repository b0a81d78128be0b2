//! A gateway in front of the sandbox, and the vendors that offer an operation.

use std::time::Duration;

use isobar::Host;
use isobar_adapters::{Account, Job};
use isobar_config::{Nothing, Source, check_with};
use isobar_sandbox::Sandbox;
use isobar_tests::Seen;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

/// Vendors that offer an operation and are simulated. The local engines have no simulator: they are real.
pub(crate) fn vendors(operation: &str) -> Vec<String> {
    let (vendors, report) = isobar_adapters::built_in();
    assert!(report.is_empty(), "{}", report.text(false));
    let offering = vendors
        .iter()
        .filter(|vendor| vendor.operation(operation).is_some());
    offering
        .map(|vendor| vendor.name.clone())
        .filter(|name| name != "local")
        .collect()
}

/// One trial for each vendor that offers the operation.
pub(crate) fn for_each<F, R>(operation: &'static str, name: &'static str, test: F) -> Vec<Trial>
where
    F: Fn(Stand) -> R + Copy + Send + 'static,
    R: Future<Output = ()>,
{
    let capability = operation.split('.').next().unwrap_or_default();
    let trial = |vendor: String| {
        let title = format!("{capability}::{name}::{vendor}");
        Trial::test(title, move || {
            run(async move { test(Stand::start(operation, &[&vendor]).await).await })
        })
    };
    vendors(operation).into_iter().map(trial).collect()
}

/// Runs one trial; a panic in it is its failure.
pub(crate) fn run(test: impl Future<Output = ()>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(test);
    Ok(())
}

/// A gateway whose accounts are the sandbox's.
pub(crate) struct Stand {
    pub(crate) sandbox: Sandbox,
    pub(crate) operation: &'static str,
    /// The vendor under test.
    pub(crate) vendor: String,
    host: Host,
    client: reqwest::Client,
}

impl Stand {
    /// Accounts in this order; `NAME-2` is a vendor's second account.
    pub(crate) async fn start(operation: &'static str, accounts: &[&str]) -> Self {
        Self::with(operation, accounts, "").await
    }

    /// The same with more of a configuration.
    pub(crate) async fn with(operation: &'static str, accounts: &[&str], more: &str) -> Self {
        let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let written = sandbox.print_config();
        let mut text = isobar_tests::HEAD.to_owned();
        text.push_str("accounts:\n");
        for account in accounts {
            text.push_str(&line(&written, account));
        }
        text.push_str(more);
        let (vendors, _) = isobar_adapters::built_in();
        let source = Source {
            name: "suite.yaml".to_owned(),
            text,
        };
        let (config, report) = check_with(&[source], &Nothing, &isobar::catalog(vendors));
        let config = config.unwrap_or_else(|| panic!("{}", report.text(false)));
        let host = Host::start(config, None).await.unwrap();
        let vendor = accounts
            .first()
            .map_or("", |name| name.trim_end_matches("-2"))
            .to_owned();
        Self {
            sandbox,
            operation,
            vendor,
            host,
            client: reqwest::Client::new(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host.addresses()[0])
    }

    /// Sends a JSON input to the operation's front.
    pub(crate) async fn json(&self, input: &Value) -> Seen {
        let path = self.front();
        let request = self.client.post(self.url(&path)).bearer_auth("any");
        seen(
            request
                .header("content-type", "application/json")
                .body(input.to_string()),
        )
        .await
    }

    /// Sends a recording as a form.
    pub(crate) async fn form(&self, audio: &[u8], fields: &[(&str, &str)]) -> Seen {
        let boundary = "frontier-of-the-form";
        let mut body = Vec::new();
        for (name, value) in fields {
            body.extend_from_slice(format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes());
        }
        body.extend_from_slice(format!("--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\ncontent-type: audio/wav\r\n\r\n").as_bytes());
        body.extend_from_slice(audio);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let request = self.client.post(self.url(&self.front())).bearer_auth("any");
        seen(
            request
                .header(
                    "content-type",
                    format!("multipart/form-data; boundary={boundary}"),
                )
                .body(body),
        )
        .await
    }

    /// The simplest input of the operation.
    pub(crate) async fn simplest(&self) -> Seen {
        match self.operation {
            "speech.transcribe" => self.form(WEATHER, &[("response_format", "full"), ("language", "en")]).await,
            "speech.synthesize" => self.json(&serde_json::json!({ "text": "Good morning." })).await,
            "translation.translate" => self.json(&serde_json::json!({ "text": "The weather is good.", "from": "en", "to": "fr" })).await,
            "text.language" | "translation.detect" => self.json(&serde_json::json!({ "text": LONG })).await,
            _ => {
                let Texts { long, language, .. } = self.texts();
                self.json(&serde_json::json!({ "text": long, "language": language })).await
            }
        }
    }

    /// English, unless the vendor does not read it.
    pub(crate) fn texts(&self) -> &'static Texts {
        let (vendors, _) = isobar_adapters::built_in();
        let vendor = vendors.get(&self.vendor).unwrap();
        let account = Account::new(String::new(), vendor.clone(), None, Vec::new());
        let input = serde_json::json!({ "text": "Good.", "language": "en" });
        let job = Job {
            input: input.as_object().unwrap().clone(),
            blobs: Vec::new(),
        };
        let gap = vendor
            .operation(self.operation)
            .unwrap()
            .gap(&job, &account);
        if gap.is_some_and(|gap| gap.contains("`language`")) {
            &CHINESE
        } else {
            &ENGLISH
        }
    }

    fn front(&self) -> String {
        let contract = isobar_adapters::contract(self.operation).unwrap();
        contract.front.split_once(' ').unwrap().1.to_owned()
    }
}

/// "The weather in London is sunny today. Please call me back at three o'clock."
pub(crate) const WEATHER: &[u8] = include_bytes!("../../sandbox/fixtures/weather.wav");
/// Texts in a language that a vendor reads.
pub(crate) struct Texts {
    pub(crate) language: &'static str,
    /// Two that feel good, with one that feels bad between them.
    pub(crate) moods: [&'static str; 3],
    pub(crate) long: &'static str,
    /// A place that the long one names.
    pub(crate) place: &'static str,
}

const ENGLISH: Texts = Texts {
    language: "en",
    moods: [
        "The food was great and the staff were wonderful, I love this place.",
        "The room was dirty and terrible, and I hate the awful noise.",
        "I love the wonderful food.",
    ],
    long: LONG,
    place: "Berlin",
};

const CHINESE: Texts = Texts {
    language: "zh",
    moods: [
        "这家酒店很好，我很喜欢。",
        "房间很差，我很失望。",
        "我很开心，感谢优质的服务。",
    ],
    long: "昨天玛丽亚在北京开了一家新酒店，大家都很开心：食物很好，服务优质，客人非常满意。今天她从上海回来。",
    place: "北京",
};

/// Long enough for vendors that want twenty words, with a person, a place and a feeling in it.
pub(crate) const LONG: &str = "Last week Anna Schmidt opened a new office in Berlin, and everybody was happy: \
    the food was great, the music was wonderful and the weather was good enough for a party on the roof.";

/// The account's line of the printed configuration.
fn line(written: &str, account: &str) -> String {
    let (vendor, second) = match account.strip_suffix("-2") {
        Some(vendor) => (vendor, true),
        None => (account, false),
    };
    let start = format!("  {vendor}:");
    let found = written.lines().find(|line| line.starts_with(&start));
    let found = found.unwrap_or_else(|| panic!("`{vendor}` is not simulated"));
    if !second {
        return format!("{found}\n");
    }
    // The second account has the same credentials with `-2` behind.
    let mut line = found.replacen(&start, &format!("  {account}:"), 1);
    for field in [
        "key",
        "api_key",
        "api_secret",
        "secret_key",
        "secret_id",
        "access_key_id",
        "secret_access_key",
    ] {
        let mark = format!(" {field}: ");
        if let Some(at) = line.find(&mark) {
            let from = at + mark.len();
            let end = line[from..]
                .find([',', ' '])
                .map_or(line.len(), |end| from + end);
            line.insert_str(end, "-2");
        }
    }
    format!("{line}\n")
}

async fn seen(request: reqwest::RequestBuilder) -> Seen {
    let answer = request
        .timeout(Duration::from_mins(1))
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let body = answer.bytes().await.unwrap();
    Seen {
        status,
        headers,
        body,
        whole: true,
        took: Duration::ZERO,
    }
}

/// Words without case and punctuation.
pub(crate) fn words(text: &str) -> Vec<String> {
    let clean = |word: &str| {
        word.chars()
            .filter(|c| c.is_alphanumeric())
            .collect::<String>()
            .to_lowercase()
    };
    text.split_whitespace()
        .map(clean)
        .filter(|word| !word.is_empty())
        .collect()
}
