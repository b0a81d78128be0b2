//! Amazon Transcribe: a job named by the caller, over a file in S3.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{ACCOUNT, Aws, constraint, epoch, failure, required, storage, success};
use crate::{
    answer::Answer,
    answers::{
        audio::{self, Unreadable},
        speech::{self, Transcript, Word},
    },
    call::Call,
    jobs::Stage,
    vendor::Operation,
};

const LANGUAGES: [&str; 117] = [
    "af-ZA", "ar-AE", "ar-SA", "am-ET", "cy-GB", "da-DK", "de-CH", "de-DE", "en-AB", "en-AU",
    "en-GB", "en-IE", "en-IN", "en-US", "en-WL", "es-ES", "es-MX", "es-US", "fa-AF", "fa-IR",
    "fr-CA", "fr-FR", "ga-IE", "gd-GB", "he-IL", "hi-IN", "ht-HT", "id-ID", "it-IT", "ja-JP",
    "jv-ID", "km-KH", "ko-KR", "my-MM", "ms-MY", "nl-NL", "pt-BR", "pt-PT", "ru-RU", "ta-IN",
    "te-IN", "tr-TR", "zh-CN", "zh-TW", "th-TH", "en-ZA", "en-NZ", "vi-VN", "sv-SE", "ab-GE",
    "ast-ES", "az-AZ", "ba-RU", "be-BY", "bg-BG", "bn-IN", "bs-BA", "ca-ES", "ckb-IQ", "ckb-IR",
    "cs-CZ", "cy-WL", "el-GR", "et-EE", "et-ET", "eu-ES", "fi-FI", "gl-ES", "gu-IN", "ha-NG",
    "hr-HR", "hu-HU", "hy-AM", "is-IS", "ka-GE", "kab-DZ", "kk-KZ", "kn-IN", "ky-KG", "lg-IN",
    "lt-LT", "lv-LV", "mhr-RU", "mi-NZ", "mk-MK", "ml-IN", "mn-MN", "mr-IN", "mt-MT", "no-NO",
    "ne-NP", "or-IN", "pa-IN", "pl-PL", "ps-AF", "ro-RO", "rw-RW", "si-LK", "sk-SK", "sl-SI",
    "so-SO", "sq-AL", "sr-RS", "su-ID", "sw-BI", "sw-KE", "sw-RW", "sw-TZ", "sw-UG", "tl-PH",
    "tt-RU", "ug-CN", "uk-UA", "uz-UZ", "wo-SN", "zh-HK", "zu-ZA",
];
const FORMATS: [&str; 8] = ["mp3", "mp4", "wav", "flac", "ogg", "amr", "webm", "m4a"];

/// A job, and what will come of it.
#[derive(Debug, Clone)]
pub(super) struct Job {
    name: String,
    account: String,
    asked: Map<String, Value>,
    created: Value,
    /// Where the transcript lies, or why there is none.
    outcome: Result<Place, String>,
    language: String,
}

#[derive(Debug, Clone)]
enum Place {
    /// Behind a presigned URL; the key.
    Ours(String),
    /// In a bucket of the caller's; the URL.
    Theirs(String),
}

pub(super) fn operation(action: &str) -> Operation {
    const PART: &str = "speech.transcribe";
    match action {
        "StartTranscriptionJob" => Operation::new("StartTranscriptionJob", PART),
        "GetTranscriptionJob" => Operation::new("GetTranscriptionJob", PART),
        "DeleteTranscriptionJob" => Operation::new("DeleteTranscriptionJob", PART),
        "ListTranscriptionJobs" => Operation::other("ListTranscriptionJobs"),
        _ => Operation::other("UnknownTranscribe"),
    }
}

impl Aws {
    pub(super) fn transcribe(
        &self,
        call: &Call,
        input: &Map<String, Value>,
    ) -> Result<Answer, Answer> {
        match operation(
            call.header("x-amz-target")
                .and_then(|target| target.split_once('.'))
                .map_or("", |(_, action)| action),
        )
        .call
        {
            "StartTranscriptionJob" => self.start(call, input),
            "GetTranscriptionJob" => {
                let id = job_id(call, input)?;
                if call.fail_job {
                    self.jobs.fail(&id);
                }
                let (stage, job) = self.jobs.poll(&id).ok_or_else(|| {
                    failure(call, 404, "NotFoundException", "The requested job couldn't be found. Check the job name and try your request again.")
                })?;
                let body = json!({ "TranscriptionJob": render(call, stage, &job) });
                Ok(success(call, &body).fact("job", job.name.as_str()))
            }
            "DeleteTranscriptionJob" => {
                let id = job_id(call, input)?;
                let job = self.jobs.remove(&id);
                job.ok_or_else(|| failure(call, 400, "BadRequestException", "The requested job couldn't be found. Check the job name and try your request again."))?;
                Ok(Answer::empty(200)
                    .header("content-type", "application/x-amz-json-1.1")
                    .header("x-amzn-requestid", call.uuid("request")))
            }
            "ListTranscriptionJobs" => Ok(self.list(call, input)),
            _ => Err(failure(call, 400, "UnknownOperationException", "")),
        }
    }

    fn list(&self, call: &Call, input: &Map<String, Value>) -> Answer {
        let text = |name: &str| input.get(name).and_then(Value::as_str);
        let own = self
            .jobs
            .all()
            .into_iter()
            .filter(|(_, _, job)| job.account == call.account);
        let named = own.filter(|(_, _, job)| {
            text("JobNameContains").is_none_or(|part| job.name.contains(part))
        });
        let listed = named.map(|(_, stage, job)| {
            let body = render(call, stage, &job);
            let part = |name: &str| body.get(name).cloned().unwrap_or_default();
            json!({
                "TranscriptionJobName": job.name,
                "CreationTime": job.created,
                "LanguageCode": part("LanguageCode"),
                "TranscriptionJobStatus": part("TranscriptionJobStatus"),
                "OutputLocationType": if job.asked.contains_key("OutputBucketName") { "CUSTOMER_BUCKET" } else { "SERVICE_BUCKET" },
            })
        });
        let fits = |job: &Value| {
            text("Status")
                .is_none_or(|status| job.get("TranscriptionJobStatus") == Some(&json!(status)))
        };
        let most = input.get("MaxResults").and_then(Value::as_u64).unwrap_or(5);
        let jobs: Vec<_> = listed
            .filter(fits)
            .take(usize::try_from(most).unwrap_or(5))
            .collect();
        success(call, &json!({ "TranscriptionJobSummaries": jobs }))
    }

    fn start(&self, call: &Call, input: &Map<String, Value>) -> Result<Answer, Answer> {
        let id = job_id(call, input)?;
        let uri = media(call, input)?;
        let language = language(call, input)?;
        settings(call, input)?;
        let bad = |message: &str| failure(call, 400, "BadRequestException", message);
        let key = object_key(uri).ok_or_else(|| bad("The S3 URI that you provided isn't valid. Check the URI and try your request again."))?;
        let (_, object) = self.objects.peek(&key).ok_or_else(|| {
            bad("The S3 URI that you provided can't be accessed. Make sure that you have read permission and try your request again.")
        })?;
        let bucket = input.get("OutputBucketName").and_then(Value::as_str);
        if bucket.is_some_and(|bucket| bucket != super::BUCKET) {
            return Err(bad(
                "The specified S3 bucket can't be accessed. Make sure that you have write permission and try your request again.",
            ));
        }
        if self.jobs.peek(&id).is_some() {
            return Err(failure(
                call,
                409,
                "ConflictException",
                "The requested job name already exists. Use a different job name.",
            ));
        }
        let heard = hear(
            &object.body,
            input.get("MediaFormat").and_then(Value::as_str),
        );
        let seconds = heard.as_ref().map_or(0.0, |heard| heard.duration);
        let name = input
            .get("TranscriptionJobName")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let outcome = heard.map(|heard| {
            let language = language.clone().unwrap_or_else(|| spoken(&heard));
            let text = output(&name, input, &language, &heard).to_string();
            let place = self.place(call, input, &name, text);
            (place, language)
        });
        let (outcome, language) = match outcome {
            Ok((place, language)) => (Ok(place), language),
            Err(reason) => (Err(reason), language.unwrap_or_default()),
        };
        let job = Job {
            name,
            account: call.account.clone(),
            asked: input.clone(),
            created: epoch(call),
            outcome,
            language,
        };
        // The service starts at once: a new job is already in progress.
        let body = json!({ "TranscriptionJob": render(call, Stage::Running, &job) });
        let answer = success(call, &body)
            .fact("job", job.name.as_str())
            .fact("seconds", seconds);
        self.jobs.submit(&id, job, call.fail_job);
        Ok(answer)
    }

    /// Puts the transcript where it was ordered to.
    fn place(&self, call: &Call, input: &Map<String, Value>, name: &str, text: String) -> Place {
        let object = storage::Object::new(Bytes::from(text), "application/json");
        let Some(bucket) = input.get("OutputBucketName").and_then(Value::as_str) else {
            let key = storage::transcript_key(name, &call.uuid("transcript"));
            self.store(&key, object);
            return Place::Ours(key);
        };
        let key = match input.get("OutputKey").and_then(Value::as_str) {
            Some(folder) if folder.ends_with('/') => format!("{folder}{name}.json"),
            Some(key) => key.to_owned(),
            None => format!("{name}.json"),
        };
        self.store(&format!("{bucket}/{key}"), object);
        Place::Theirs(format!("{}/{bucket}/{key}", call.base))
    }
}

/// The caller's name for the job, made unique among accounts.
fn job_id(call: &Call, input: &Map<String, Value>) -> Result<String, Answer> {
    let name = required(call, input, "TranscriptionJobName")?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if name.len() > 200 || !name.chars().all(plain) {
        let rule = "Member must satisfy regular expression pattern: ^[0-9a-zA-Z._-]+";
        return Err(constraint(call, "transcriptionJobName", &json!(name), rule));
    }
    Ok(format!("{}/{name}", call.account))
}

fn media<'a>(call: &Call, input: &'a Map<String, Value>) -> Result<&'a str, Answer> {
    let media = input.get("Media").and_then(Value::as_object);
    let media =
        media.ok_or_else(|| constraint(call, "media", &Value::Null, "Member must not be null"))?;
    let uri = media.get("MediaFileUri").and_then(Value::as_str);
    let uri = uri.ok_or_else(|| {
        failure(
            call,
            400,
            "BadRequestException",
            "The media file URI is missing.",
        )
    })?;
    let format = input.get("MediaFormat");
    if format.is_some_and(|format| {
        !format
            .as_str()
            .is_some_and(|format| FORMATS.contains(&format))
    }) {
        let rule = format!(
            "Member must satisfy enum value set: [{}]",
            FORMATS.join(", ")
        );
        return Err(constraint(
            call,
            "mediaFormat",
            format.unwrap_or(&Value::Null),
            &rule,
        ));
    }
    Ok(uri)
}

/// The language that is spoken, `None` to find out.
fn language(call: &Call, input: &Map<String, Value>) -> Result<Option<String>, Answer> {
    let code = input.get("LanguageCode").filter(|code| !code.is_null());
    let flag = |name: &str| input.get(name) == Some(&json!(true));
    let identify = flag("IdentifyLanguage") || flag("IdentifyMultipleLanguages");
    match code {
        Some(_) if identify => Err(failure(
            call,
            400,
            "BadRequestException",
            "You can't use LanguageCode together with IdentifyLanguage or IdentifyMultipleLanguages.",
        )),
        Some(code) => {
            let known = code.as_str().filter(|code| LANGUAGES.contains(code));
            let rule = || {
                format!(
                    "Member must satisfy enum value set: [{}]",
                    LANGUAGES.join(", ")
                )
            };
            let known = known.ok_or_else(|| constraint(call, "languageCode", code, &rule()))?;
            Ok(Some(known.to_owned()))
        }
        None if identify => Ok(None),
        None => Err(failure(
            call,
            400,
            "BadRequestException",
            "You must specify a LanguageCode, or set IdentifyLanguage or IdentifyMultipleLanguages to true.",
        )),
    }
}

fn settings(call: &Call, input: &Map<String, Value>) -> Result<(), Answer> {
    let Some(settings) = input.get("Settings").and_then(Value::as_object) else {
        return Ok(());
    };
    let most = settings.get("MaxSpeakerLabels");
    let labelled = settings.get("ShowSpeakerLabels") == Some(&json!(true));
    if labelled != most.is_some() {
        let message = "ShowSpeakerLabels and MaxSpeakerLabels must be used together.";
        return Err(failure(call, 400, "BadRequestException", message));
    }
    if let Some(most) =
        most.filter(|most| !most.as_u64().is_some_and(|most| (2..=30).contains(&most)))
    {
        let rule = "Member must have value less than or equal to 30 and greater than or equal to 2";
        return Err(constraint(call, "settings.maxSpeakerLabels", most, rule));
    }
    if labelled && settings.get("ChannelIdentification") == Some(&json!(true)) {
        let message = "You can't use speaker partitioning together with channel identification.";
        return Err(failure(call, 400, "BadRequestException", message));
    }
    Ok(())
}

/// `BUCKET/KEY` of `s3://BUCKET/KEY`, or of an https URL in path style.
fn object_key(uri: &str) -> Option<String> {
    if let Some(key) = uri.strip_prefix("s3://") {
        return Some(key.to_owned());
    }
    let path = uri.split_once("://")?.1.split_once('/')?.1;
    // A path under this server begins with the vendor's name.
    Some(path.strip_prefix("aws/").unwrap_or(path).to_owned())
}

/// What is said, or the failure's reason.
fn hear(bytes: &[u8], format: Option<&str>) -> Result<Transcript, String> {
    let audio = audio::probe(bytes).map_err(|reason| match reason {
        Unreadable::Empty => "The media file that you provided is empty. Check the file and try your request again.",
        Unreadable::Unknown => "The media format that you specified doesn't match the detected media format. Check the media format and try your request again.",
    })?;
    let same = |format: &str| format == audio.format || (format == "m4a" && audio.format == "mp4");
    if format.is_some_and(|format| !same(format)) {
        return Err("The media format that you specified doesn't match the detected media format. Check the media format and try your request again.".to_owned());
    }
    if audio.duration < 0.5 {
        return Err("Your audio file is too short. The minimum audio duration is 0.5 seconds. Check the length of the file and try your request again.".to_owned());
    }
    Ok(speech::transcribe(bytes, &audio))
}

/// The code of the language that was found.
fn spoken(heard: &Transcript) -> String {
    let start = format!("{}-", heard.language);
    let usual = ["en-US", "de-DE", "es-ES", "fr-FR", "pt-BR", "zh-CN"];
    let found = usual
        .iter()
        .chain(&LANGUAGES)
        .find(|code| code.starts_with(&start));
    (*found.unwrap_or(&"en-US")).to_owned()
}

/// The job as it is at this stage.
fn render(call: &Call, stage: Stage, job: &Job) -> Value {
    let (status, outcome) = match (stage, &job.outcome) {
        (Stage::Queued, _) => ("QUEUED", None),
        (Stage::Running, _) => ("IN_PROGRESS", None),
        (Stage::Done, Ok(place)) => ("COMPLETED", Some(Ok(place))),
        (Stage::Done, Err(reason)) => ("FAILED", Some(Err(reason.clone()))),
        (Stage::Failed, _) => (
            "FAILED",
            Some(Err("Internal failure. Try your request again.".to_owned())),
        ),
    };
    let mut body = json!({
        "TranscriptionJobName": job.name,
        "TranscriptionJobStatus": status,
        "Media": job.asked.get("Media"),
        "StartTime": job.created,
        "CreationTime": job.created,
        "Transcript": {},
    });
    let Some(body_map) = body.as_object_mut() else {
        return body;
    };
    for name in [
        "MediaFormat",
        "MediaSampleRateHertz",
        "Settings",
        "IdentifyLanguage",
        "LanguageOptions",
        "Tags",
    ] {
        if let Some(value) = job.asked.get(name) {
            body_map.insert(name.to_owned(), value.clone());
        }
    }
    if job.asked.contains_key("LanguageCode") || outcome.is_some() {
        body_map.insert("LanguageCode".to_owned(), json!(job.language));
    }
    match outcome {
        None => {
            body_map.remove("Transcript");
        }
        Some(result) => {
            body_map.insert("CompletionTime".to_owned(), epoch(call));
            if job.asked.get("IdentifyLanguage") == Some(&json!(true)) {
                body_map.insert("IdentifiedLanguageScore".to_owned(), json!(0.99));
            }
            match result {
                Ok(Place::Ours(key)) => {
                    body_map.insert(
                        "Transcript".to_owned(),
                        json!({ "TranscriptFileUri": storage::presigned(call, key) }),
                    );
                }
                Ok(Place::Theirs(url)) => {
                    body_map.insert("Transcript".to_owned(), json!({ "TranscriptFileUri": url }));
                }
                Err(reason) => {
                    body_map.remove("Transcript");
                    body_map.insert("FailureReason".to_owned(), json!(reason));
                }
            }
        }
    }
    body
}

/// The transcript file: every number is a string, and punctuation stands alone.
fn output(name: &str, input: &Map<String, Value>, language: &str, heard: &Transcript) -> Value {
    let settings = input.get("Settings");
    let labelled =
        settings.and_then(|settings| settings.get("ShowSpeakerLabels")) == Some(&json!(true));
    let mut items = Vec::new();
    for word in &heard.words {
        let mut item = json!({
            "id": items.len(),
            "type": "pronunciation",
            "alternatives": [{ "confidence": format!("{:.3}", word.confidence), "content": said(word) }],
            "start_time": number(word.start),
            "end_time": number(word.end),
        });
        label(&mut item, labelled, word);
        items.push(item);
        if !word.mark().is_empty() {
            let mut item = json!({
                "id": items.len(),
                "type": "punctuation",
                "alternatives": [{ "confidence": "0.0", "content": word.mark() }],
            });
            label(&mut item, labelled, word);
            items.push(item);
        }
    }
    let mut results = json!({
        "transcripts": [{ "transcript": heard.text() }],
        "items": items,
    });
    if let Some(results) = results.as_object_mut() {
        if input.get("IdentifyLanguage") == Some(&json!(true)) {
            results.insert("language_code".to_owned(), json!(language));
            results.insert(
                "language_identification".to_owned(),
                json!([{ "score": "0.99", "code": language }]),
            );
        }
        if labelled {
            results.insert("speaker_labels".to_owned(), speakers(heard));
        }
    }
    json!({ "jobName": name, "accountId": ACCOUNT, "status": "COMPLETED", "results": results })
}

/// The word without the punctuation behind it.
fn said(word: &Word) -> &str {
    word.text.strip_suffix(word.mark()).unwrap_or(&word.text)
}

fn label(item: &mut Value, labelled: bool, word: &Word) {
    if labelled && let Some(item) = item.as_object_mut() {
        item.insert(
            "speaker_label".to_owned(),
            json!(format!("spk_{}", word.speaker)),
        );
    }
}

fn speakers(heard: &Transcript) -> Value {
    let segments = heard.sentences().into_iter().map(|words| {
        let speaker = words.first().map(|word| format!("spk_{}", word.speaker));
        let item = |word: &Word| json!({ "speaker_label": speaker, "start_time": number(word.start), "end_time": number(word.end) });
        json!({
            "start_time": words.first().map(|word| number(word.start)),
            "end_time": words.last().map(|word| number(word.end)),
            "speaker_label": speaker,
            "items": words.iter().map(item).collect::<Vec<_>>(),
        })
    });
    json!({ "segments": segments.collect::<Vec<_>>(), "channel_label": "ch_0", "speakers": heard.speakers() })
}

/// Seconds as text, with one decimal at least.
fn number(seconds: f64) -> String {
    format!("{seconds:?}")
}
