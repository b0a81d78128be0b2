//! What is asked for: the same of every vendor, less what it says that it cannot do.

use std::sync::{Arc, LazyLock};

use isobar_adapters::{Account, Blob, Job, Vendor, contract};
use serde_json::{Value, json};

/// "The weather in London is sunny today. Please call me back at three o'clock." 16 kHz, 16 bits, one channel.
const WEATHER: &[u8] = include_bytes!("../../sandbox/fixtures/weather.wav");
/// Long enough for vendors that want twenty words.
const LONG: &str = "Last week Anna Schmidt opened a new office in Berlin, and everybody was happy: the food was great, \
    the music was wonderful and the weather was good enough for a party on the roof.";
const CHINESE: &str = "昨天玛丽亚在北京开了一家新酒店，大家都很开心：食物很好，服务优质，客人非常满意。今天她从上海回来。";

/// The case whose answers serve for variations, too.
pub(crate) const USUAL: &str = "usual";

/// Inputs that are done in one call of an operation.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) jobs: Vec<Job>,
    /// A field that the account is to be without.
    pub(crate) without: Option<&'static str>,
    /// What was to be asked for as well, and why the vendor is not asked.
    pub(crate) declined: Vec<(String, String)>,
}

/// The cases of which the requests are kept.
pub(crate) fn golden(vendor: &Arc<Vendor>, operation: &str) -> Vec<Case> {
    let usual = usual(vendor, operation);
    let mut cases = vec![case(vendor, operation, USUAL, &usual, &[])];
    let bare = |drop: &str| {
        let mut bare = usual.clone();
        bare.as_object_mut().unwrap().remove(drop);
        bare
    };
    match operation {
        "speech.transcribe" => {
            cases.push(case(
                vendor,
                operation,
                "options",
                &usual,
                &[
                    ("language", json!("en-GB")),
                    ("words", json!(true)),
                    ("speakers", json!(true)),
                    ("speakers_max", json!(2)),
                    ("keywords", json!(["London", "Isobar & Co."])),
                    ("prompt", json!("About the weather.")),
                    ("temperature", json!(0.2)),
                ],
            ));
            cases.push(case(
                vendor,
                operation,
                "any_language",
                &bare("language"),
                &[],
            ));
        }
        "speech.synthesize" => cases.push(case(
            vendor,
            operation,
            "options",
            &json!({ "text": "Good <morning> & “evening”." }),
            &[
                ("language", json!("en-GB")),
                ("voice", json!("male")),
                ("format", json!("wav")),
                ("speed", json!(1.25)),
                ("instructions", json!("Softly.")),
            ],
        )),
        "translation.translate" => {
            cases.push(case(
                vendor,
                operation,
                "options",
                &json!({ "text": "<p>The <b>weather</b> is good.</p>", "to": "de" }),
                &[
                    ("from", json!("en-GB")),
                    ("to", json!("pt-BR")),
                    ("format", json!("html")),
                    ("formality", json!("more")),
                    ("context", json!("A weather report.")),
                ],
            ));
            cases.push(case(vendor, operation, "any_language", &bare("from"), &[]));
        }
        "text.classify" => cases.push(case(
            vendor,
            operation,
            "options",
            &usual,
            &[("labels", json!(["weather", "politics", "parties"]))],
        )),
        "text.sentiment" | "text.entities" | "text.key_phrases" => {
            cases.push(case(
                vendor,
                operation,
                "any_language",
                &bare("language"),
                &[],
            ));
        }
        _ => {}
    }
    if contract(operation).unwrap().batch {
        let mut batch = case(vendor, operation, "batch", &usual, &[]);
        let mut second = usual.clone();
        second["text"] = json!("“Bonjour”\n😀");
        batch.jobs.push(job(operation, &second));
        cases.push(batch);
    }
    // Where a key or a key file will do, the key is used if both are there.
    let has = |name: &str| vendor.fields.iter().any(|field| field.name == name);
    if has("key") && has("service_account") {
        let mut token = case(vendor, operation, "key_file", &usual, &[]);
        token.without = Some("key");
        cases.push(token);
    }
    // What is refused before anything is sent has no request.
    let bare = bare_account(vendor);
    cases.retain(|case| {
        let operation = vendor.operation(operation).unwrap();
        let gap = |job: &Job| operation.gap(job, &bare);
        case.name == USUAL
            || case
                .jobs
                .iter()
                .all(|job| gap(job).is_none_or(|gap| gap.contains("account")))
    });
    cases
}

/// Inputs that differ from the usual one in one thing, for all values of it that there are.
pub(crate) fn varied(vendor: &Arc<Vendor>, operation: &str) -> Vec<Job> {
    let usual = usual(vendor, operation);
    let mut inputs = Vec::new();
    let mut vary = |field: &str, value: Value| {
        let mut input = usual.clone();
        input[field] = value;
        inputs.push(input);
    };
    let languages: &[&str] = match operation {
        "speech.transcribe" | "speech.synthesize" => &["language"],
        "text.sentiment" | "text.entities" | "text.key_phrases" | "text.classify" => &["language"],
        "translation.translate" => &["from", "to"],
        _ => &[],
    };
    for field in languages {
        for tag in TAGS {
            vary(field, json!(tag));
        }
    }
    let options: &[(&str, Value)] = match operation {
        "speech.transcribe" => &[
            ("words", json!(true)),
            ("speakers", json!(true)),
            ("keywords", json!(["one"])),
            ("temperature", json!(1)),
            ("prompt", json!("A prompt, with “marks”")),
        ],
        "speech.synthesize" => &[
            ("voice", json!("female")),
            ("voice", json!("male")),
            ("format", json!("mp3")),
            ("format", json!("wav")),
            ("format", json!("opus")),
            ("format", json!("flac")),
            ("format", json!("aac")),
            ("format", json!("pcm")),
            ("speed", json!(0.75)),
            ("speed", json!(2)),
            ("instructions", json!("Softly.")),
        ],
        "translation.translate" => &[
            ("format", json!("text")),
            ("format", json!("html")),
            ("formality", json!("more")),
            ("formality", json!("less")),
            ("glossary", json!("a-glossary")),
            ("context", json!("A weather report.")),
        ],
        _ => &[],
    };
    for (field, value) in options {
        vary(field, value.clone());
    }
    let models = vendor.operation(operation).unwrap().models();
    for model in models {
        vary("model", json!(model));
    }
    let bare = bare_account(vendor);
    let offered = |job: &Job| {
        let gap = vendor.operation(operation).unwrap().gap(job, &bare);
        gap.is_none_or(|gap| gap.contains("account"))
    };
    inputs
        .iter()
        .map(|input| short_job(operation, input))
        .filter(offered)
        .collect()
}

/// English, or Chinese for vendors that read nothing else.
fn usual(vendor: &Arc<Vendor>, operation: &str) -> Value {
    let (text, language) = {
        let asked = job(
            "text.sentiment",
            &json!({ "text": "Good.", "language": "en" }),
        );
        let gap = vendor
            .operation(operation)
            .unwrap()
            .gap(&asked, &bare_account(vendor));
        let chinese = gap.is_some_and(|gap| gap.contains("`language`"));
        if chinese {
            (CHINESE, "zh")
        } else {
            (LONG, "en")
        }
    };
    match operation {
        "speech.transcribe" => json!({ "language": "en" }),
        "speech.synthesize" => json!({ "text": "Good morning." }),
        "translation.translate" => {
            json!({ "text": "The weather is good.", "from": "en", "to": "fr" })
        }
        "text.language" | "translation.detect" => json!({ "text": LONG }),
        _ => json!({ "text": text, "language": language }),
    }
}

/// An input with as many of some options as the vendor takes, added one by one.
fn case(
    vendor: &Arc<Vendor>,
    operation: &str,
    name: &'static str,
    input: &Value,
    options: &[(&str, Value)],
) -> Case {
    let bare = bare_account(vendor);
    let mut input = input.clone();
    let mut declined = Vec::new();
    for (field, value) in options {
        let mut more = input.clone();
        more[*field] = value.clone();
        let gap = vendor
            .operation(operation)
            .unwrap()
            .gap(&job(operation, &more), &bare);
        match gap.filter(|gap| !gap.contains("account")) {
            None => input = more,
            Some(gap) => declined.push((format!("{field}: {value}"), gap)),
        }
    }
    Case {
        name,
        jobs: vec![job(operation, &input)],
        without: None,
        declined,
    }
}

fn job(operation: &str, input: &Value) -> Job {
    static WHOLE: LazyLock<Blob> = LazyLock::new(|| Blob::of_bytes(WEATHER.into(), "weather.wav"));
    job_with(operation, input, &WHOLE)
}

/// The same with half a second of the recording, for where its content does not matter.
fn short_job(operation: &str, input: &Value) -> Job {
    static SHORT: LazyLock<Blob> = LazyLock::new(|| {
        let mut file = WEATHER[..44 + 16_000].to_vec();
        file[4..8].copy_from_slice(&16_036_u32.to_le_bytes());
        file[40..44].copy_from_slice(&16_000_u32.to_le_bytes());
        Blob::of_bytes(file.into(), "short.wav")
    });
    job_with(operation, input, &SHORT)
}

fn job_with(operation: &str, input: &Value, audio: &Blob) -> Job {
    let contract = contract(operation).unwrap();
    Job {
        input: contract.check(input.as_object().unwrap().clone()).unwrap(),
        blobs: contract
            .blobs
            .iter()
            .map(|name| (*name, audio.clone()))
            .collect(),
    }
}

fn bare_account(vendor: &Arc<Vendor>) -> Account {
    Account::new(vendor.name.clone(), Arc::clone(vendor), None, Vec::new())
}

/// Languages, and regions of them, that some vendor may know.
const TAGS: &[&str] = &[
    "af", "am", "ar", "ar-AE", "ar-EG", "ar-SA", "as", "ast", "az", "ba", "be", "bg", "bn",
    "bn-BD", "bo", "bs", "ca", "ceb", "cs", "cy", "da", "de", "de-AT", "de-CH", "dv", "el", "en",
    "en-AU", "en-CA", "en-GB", "en-IE", "en-IN", "en-NZ", "en-US", "en-ZA", "eo", "es", "es-419",
    "es-AR", "es-CO", "es-ES", "es-MX", "es-US", "et", "eu", "fa", "fi", "fil", "fj", "fo", "fr",
    "fr-BE", "fr-CA", "fr-CH", "ga", "gl", "gu", "ha", "he", "hi", "hr", "ht", "hu", "hy", "id",
    "ig", "is", "it", "it-CH", "ja", "jv", "ka", "kk", "km", "kn", "ko", "ku", "ky", "la", "lb",
    "ln", "lo", "lt", "lv", "mg", "mi", "mk", "ml", "mn", "mr", "ms", "mt", "my", "nb", "ne", "nl",
    "nl-BE", "nn", "no", "oc", "or", "pa", "pl", "ps", "pt", "pt-BR", "pt-PT", "ro", "ru", "sa",
    "sd", "si", "sk", "sl", "sm", "sn", "so", "sq", "sr", "sr-Cyrl", "sr-Latn", "su", "sv", "sw",
    "ta", "te", "tg", "th", "ti", "tk", "tl", "to", "tr", "tt", "ty", "ug", "uk", "ur", "uz", "vi",
    "wo", "xh", "yi", "yo", "yue", "zh", "zh-CN", "zh-HK", "zh-Hans", "zh-Hant", "zh-TW", "zu",
];
