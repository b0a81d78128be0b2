//! Requests against the descriptions that the vendors themselves publish, of many kinds: each is turned into JSON Schema
//! in which whatever is not described is a mistake.
//!
//! The descriptions are not part of this repository. `ISOBAR_CONTRACTS` names the folder that has them.

mod aws;
mod discovery;
mod openapi;
mod schema;
mod tccli;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

use serde_json::Value;

use crate::exchange::Sent;

/// How a description is written.
#[derive(Clone, Copy)]
enum Kind {
    /// `OpenAPI` 3, or Swagger 2.
    OpenApi,
    /// AWS's own, as botocore has it.
    Botocore,
    /// Google's.
    Discovery,
    /// Tencent's, as its command line has it.
    Tccli,
}

/// What describes the requests of a vendor to an address; `*` stands for a piece of the host.
struct Described {
    vendor: &'static str,
    address: &'static str,
    kind: Kind,
    file: &'static str,
}

const fn by(
    vendor: &'static str,
    address: &'static str,
    kind: Kind,
    file: &'static str,
) -> Described {
    Described {
        vendor,
        address,
        kind,
        file,
    }
}

const DESCRIBED: &[Described] = &[
    by(
        "assemblyai",
        "api.assemblyai.com/",
        Kind::OpenApi,
        "speech/assemblyai.openapi.json",
    ),
    by(
        "aws",
        "s3.*.amazonaws.com/",
        Kind::Botocore,
        "storage/s3/service-2.trimmed.json",
    ),
    by(
        "aws",
        "polly.*.amazonaws.com/",
        Kind::Botocore,
        "speech/aws-polly.botocore.json",
    ),
    by(
        "aws",
        "transcribe.*.amazonaws.com/",
        Kind::Botocore,
        "speech/aws-transcribe.botocore.json",
    ),
    by(
        "aws",
        "comprehend.*.amazonaws.com/",
        Kind::Botocore,
        "language/aws-comprehend.botocore.json",
    ),
    by(
        "aws",
        "translate.*.amazonaws.com/",
        Kind::Botocore,
        "translation/aws-translate.botocore.json",
    ),
    // Made from the names in the vendor's own client: it publishes no file for this version.
    by(
        "azure",
        "*.api.cognitive.microsoft.com/speechtotext/",
        Kind::OpenApi,
        "speech/azure-transcription-2025-10-15.derived.json",
    ),
    by(
        "azure",
        "*.api.cognitive.microsoft.com/language/",
        Kind::OpenApi,
        "language/azure-language-2023-04-01.swagger.json",
    ),
    by(
        "azure",
        "api.cognitive.microsofttranslator.com/",
        Kind::OpenApi,
        "translation/azure-translator-v3.0.swagger.json",
    ),
    by(
        "deepgram",
        "api.deepgram.com/",
        Kind::OpenApi,
        "speech/deepgram.openapi.json",
    ),
    by(
        "deepl",
        "api.deepl.com/",
        Kind::OpenApi,
        "translation/deepl.openapi.json",
    ),
    by(
        "deepl",
        "api-free.deepl.com/",
        Kind::OpenApi,
        "translation/deepl.openapi.json",
    ),
    by(
        "elevenlabs",
        "api.elevenlabs.io/",
        Kind::OpenApi,
        "speech/elevenlabs.openapi.json",
    ),
    by(
        "gladia",
        "api.gladia.io/",
        Kind::OpenApi,
        "speech/gladia.openapi.json",
    ),
    by(
        "google",
        "speech.googleapis.com/v1/",
        Kind::Discovery,
        "speech/google-speech.v1.discovery.json",
    ),
    by(
        "google",
        "texttospeech.googleapis.com/v1/",
        Kind::Discovery,
        "speech/google-texttospeech.v1.discovery.json",
    ),
    by(
        "google",
        "language.googleapis.com/v1/",
        Kind::Discovery,
        "language/google-language.v1.discovery.json",
    ),
    by(
        "google",
        "language.googleapis.com/v2/",
        Kind::Discovery,
        "language/google-language.v2.discovery.json",
    ),
    by(
        "google",
        "translation.googleapis.com/language/translate/v2",
        Kind::Discovery,
        "translation/google-translate.v2.discovery.json",
    ),
    by(
        "groq",
        "api.groq.com/",
        Kind::OpenApi,
        "speech/groq-audio.openapi.json",
    ),
    by(
        "libretranslate",
        "libretranslate.com/",
        Kind::OpenApi,
        "translation/libretranslate.openapi.json",
    ),
    // The sidecar speaks OpenAI's dialect.
    by(
        "local",
        "127.0.0.1:8178/",
        Kind::OpenApi,
        "speech/openai-audio.openapi.json",
    ),
    by(
        "openai",
        "api.openai.com/v1/audio/",
        Kind::OpenApi,
        "speech/openai-audio.openapi.json",
    ),
    by(
        "openai",
        "api.openai.com/v1/chat/",
        Kind::OpenApi,
        "chat/openai.openapi.json",
    ),
    by(
        "speechmatics",
        "*.asr.api.speechmatics.com/",
        Kind::OpenApi,
        "speech/speechmatics-batch.swagger.json",
    ),
    by(
        "tencent",
        "asr.tencentcloudapi.com/",
        Kind::Tccli,
        "speech/tencent-asr.tccli.json",
    ),
    by(
        "tencent",
        "tts.tencentcloudapi.com/",
        Kind::Tccli,
        "speech/tencent-tts.tccli.json",
    ),
    by(
        "tencent",
        "nlp.tencentcloudapi.com/",
        Kind::Tccli,
        "language/tencent-nlp.tccli.json",
    ),
    by(
        "tencent",
        "tmt.tencentcloudapi.com/",
        Kind::Tccli,
        "translation/tencent-tmt.tccli.json",
    ),
];

/// Addresses that no vendor's file describes, and why.
const UNDESCRIBED: &[(&str, &str, &str)] = &[
    (
        "azure",
        "*.tts.speech.microsoft.com/",
        "synthesis takes SSML, and its page is prose",
    ),
    (
        "baidu",
        "aip.baidubce.com/",
        "the vendor publishes pages in prose",
    ),
    (
        "baidu",
        "vop.baidu.com/",
        "the vendor publishes pages in prose",
    ),
    (
        "baidu",
        "tsn.baidu.com/",
        "the vendor publishes pages in prose",
    ),
    (
        "google",
        "oauth2.googleapis.com/",
        "the token call is RFC 7523's, and its assertion has a test of its own",
    ),
    (
        "iflytek",
        "iat-api.xfyun.cn/",
        "the vendor publishes pages in prose",
    ),
];

/// The vendors' descriptions, read once.
pub(crate) struct Contracts {
    folder: PathBuf,
    read: Mutex<BTreeMap<&'static str, &'static Value>>,
}

/// The folder of descriptions; says so when there is none here.
pub(crate) fn contracts() -> Option<&'static Contracts> {
    static CONTRACTS: OnceLock<Option<Contracts>> = OnceLock::new();
    let found = CONTRACTS.get_or_init(|| {
        let Some(folder) = std::env::var_os("ISOBAR_CONTRACTS") else {
            eprintln!("skipped: ISOBAR_CONTRACTS does not say where the vendors' descriptions are");
            return None;
        };
        Some(Contracts {
            folder: folder.into(),
            read: Mutex::default(),
        })
    });
    found.as_ref()
}

impl Contracts {
    /// What a vendor's own description says against a request; nothing where it has none, and is excused.
    pub(crate) fn mistakes(&self, vendor: &str, sent: &Sent) -> Vec<String> {
        let address = address(sent);
        let excused =
            |(known, pattern, _): &&(&str, &str, &str)| *known == vendor && fits(pattern, &address);
        if UNDESCRIBED.iter().any(|entry| excused(&entry)) || is_signed_address(sent) {
            return Vec::new();
        }
        let found = DESCRIBED
            .iter()
            .find(|described| described.vendor == vendor && fits(described.address, &address));
        let Some(described) = found else {
            return vec![format!("{address}: neither described nor excused")];
        };
        let document = self.document(described.file);
        let mistakes = match described.kind {
            Kind::OpenApi => openapi::mistakes(document, sent),
            Kind::Botocore => aws::mistakes(document, sent),
            Kind::Discovery => discovery::mistakes(document, sent),
            Kind::Tccli => tccli::mistakes(document, sent),
        };
        let place = format!("{} {}", sent.method, address);
        mistakes
            .into_iter()
            .map(|mistake| format!("{place}: {mistake}"))
            .collect()
    }

    fn document(&self, file: &'static str) -> &'static Value {
        let mut read = self.read.lock().unwrap();
        read.entry(file).or_insert_with(|| {
            let bytes =
                fs::read(self.folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            Box::leak(Box::new(serde_json::from_slice(&bytes).unwrap()))
        })
    }
}

/// Every vendor has entries above, and every description that is named is there.
pub(crate) fn covers_every_vendor() {
    let (vendors, _) = isobar_adapters::built_in();
    let listed: BTreeSet<&str> = DESCRIBED
        .iter()
        .map(|described| described.vendor)
        .chain(UNDESCRIBED.iter().map(|(vendor, _, _)| *vendor))
        .collect();
    let known: BTreeSet<&str> = vendors.iter().map(|vendor| vendor.name.as_str()).collect();
    assert_eq!(
        listed, known,
        "vendors that are listed here, and vendors that there are"
    );
    if let Some(contracts) = contracts() {
        for described in DESCRIBED {
            assert!(
                Path::new(&contracts.folder).join(described.file).is_file(),
                "{}",
                described.file
            );
        }
    }
}

/// Host and path.
fn address(sent: &Sent) -> String {
    format!("{}{}", sent.uri.authority().unwrap(), sent.uri.path())
}

/// An address that the vendor signed, and that is fetched as it is.
fn is_signed_address(sent: &Sent) -> bool {
    let query = sent.uri.query().unwrap_or_default();
    sent.method == http::Method::GET && query.contains("X-Amz-Signature=")
}

/// Whether an address begins so.
fn fits(pattern: &str, address: &str) -> bool {
    let Some((start, end)) = pattern.split_once('*') else {
        return address.starts_with(pattern);
    };
    let Some(rest) = address.strip_prefix(start) else {
        return false;
    };
    let host = rest.split('/').next().unwrap_or_default();
    let mut ends = host.match_indices(end.split('/').next().unwrap_or_default());
    ends.any(|(at, _)| at > 0 && rest[at..].starts_with(end))
}

/// Whether a path is one of a template's: `{id}` is a piece without slashes, `{+name}` and `{name+}` may have some.
fn is_of(template: &str, path: &str) -> bool {
    let Some((literal, rest)) = template.split_once('{') else {
        return template == path;
    };
    let (Some((name, rest)), Some(path)) = (rest.split_once('}'), path.strip_prefix(literal))
    else {
        return false;
    };
    let many = name.starts_with('+') || name.ends_with('+');
    let ends = path.char_indices().map(|(at, c)| at + c.len_utf8());
    ends.into_iter()
        .take_while(|end| many || !path[..*end].contains('/'))
        .any(|end| is_of(rest, &path[end..]))
}

/// What the comparison of paths promises.
pub(crate) fn tells_paths_apart() {
    for (template, path, expected) in [
        ("/v1/listen", "/v1/listen", true),
        ("/v1/listen", "/v1/listen/", false),
        ("/v2/{id}/x", "/v2/a-b/x", true),
        ("/v2/{id}/x", "/v2//x", false),
        ("/v2/{id}/x", "/v2/a/b/x", false),
        ("/{Bucket}/{Key+}", "/b/k/l", true),
        ("/{Bucket}/{Key+}", "/b", false),
        (
            "v3/{+parent}:translateText",
            "v3/projects/p/locations/l:translateText",
            true,
        ),
        ("/x/{a}:b", "/x/y:c", false),
    ] {
        assert_eq!(is_of(template, path), expected, "{template} {path}");
    }
}
