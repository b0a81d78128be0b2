//! Batch transcription, version 3.2 (and `transcriptions:submit` of its successor): a job over audio in storage, its
//! files, and their contents behind URLs of their own.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{FILTERS, extent, lexical, normalised, offered, ticks};
use crate::{
    answer::Answer,
    answers::{
        audio,
        speech::{self, Transcript, Word},
    },
    call::Call,
    jobs::{Jobs, Stage},
    vendor::Class,
    vendors::azure::{
        answer, errors,
        storage::{self, Blobs},
    },
};

/// Most recordings of a job.
const MOST: usize = 1000;
/// Seconds to wait before asking again.
const AGAIN: &str = "10";
const PUNCTUATION: [&str; 4] = ["None", "Dictated", "Automatic", "DictatedAndAutomatic"];

/// A transcription.
#[derive(Debug, Clone)]
pub(in crate::vendors::azure) struct Job {
    owner: String,
    /// What was asked for, with the defaults, and the links.
    told: Map<String, Value>,
    /// Each recording's URL, and what it says, or why it could not be read.
    heard: Vec<(String, Result<Transcript, &'static str>)>,
}

/// What a path is about; ids as they are in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::vendors::azure) enum Route {
    /// All transcriptions.
    Create,
    /// One.
    Job(String),
    /// Its files.
    Files(String),
    /// One of them.
    File(String, String),
}

/// Reads a path; `None` if it is no path of these.
pub(in crate::vendors::azure) fn route(call: &Call) -> Option<Route> {
    let rest = call.path.strip_prefix("/speechtotext/")?;
    if rest == "transcriptions:submit" {
        return Some(Route::Create);
    }
    let rest = rest.strip_prefix("v3.2/").unwrap_or(rest);
    let segments: Vec<_> = rest.split('/').collect();
    match segments.as_slice() {
        ["transcriptions"] if call.path.contains("/v3.2/") => Some(Route::Create),
        ["transcriptions", job] => Some(Route::Job((*job).to_owned())),
        ["transcriptions", job, "files"] => Some(Route::Files((*job).to_owned())),
        ["transcriptions", job, "files", file] => {
            Some(Route::File((*job).to_owned(), (*file).to_owned()))
        }
        _ => None,
    }
}

/// Answers a call of batch transcription.
pub(in crate::vendors::azure) fn serve(
    call: &Call,
    jobs: &Jobs<Job>,
    blobs: &Blobs,
) -> Result<Answer, Answer> {
    let missing = || errors::class(call, Class::NotFound, "The transcription does not exist.");
    if !call.path.contains("/v3.2/") && call.query("api-version").as_deref() != Some("2024-11-15") {
        let message = "The api-version is missing or not supported.";
        return Err(errors::class(call, Class::Invalid, message));
    }
    let owned = |id: &str| {
        let job = jobs.peek(id).map(|(_, job)| job);
        let job = job.filter(|job| job.owner == call.account);
        job.ok_or_else(missing)
    };
    match route(call).ok_or_else(missing)? {
        Route::Create => create(call, jobs, blobs),
        Route::Job(id) => {
            owned(&id)?;
            if call.method.as_str() == "DELETE" {
                jobs.remove(&id);
                return Ok(Answer::empty(204));
            }
            if call.fail_job {
                jobs.fail(&id);
            }
            let (stage, job) = jobs.poll(&id).ok_or_else(missing)?;
            let told = answer(call, 200, &job.state(call, stage)).fact("job", id);
            Ok(match stage {
                Stage::Queued | Stage::Running => told.header("retry-after", AGAIN),
                Stage::Done | Stage::Failed => told,
            })
        }
        Route::Files(id) => {
            owned(&id)?;
            let (stage, job) = jobs.peek(&id).ok_or_else(missing)?;
            let files = job.files(call, &id, stage, blobs);
            Ok(answer(call, 200, &json!({ "values": files })))
        }
        Route::File(id, file) => {
            owned(&id)?;
            let (stage, job) = jobs.peek(&id).ok_or_else(missing)?;
            let named = |found: &Value| {
                let link = found
                    .get("self")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                link.split('?').next().unwrap_or_default().ends_with(&file)
            };
            let files = job.files(call, &id, stage, blobs);
            let found = files.into_iter().find(named).ok_or_else(missing)?;
            Ok(answer(call, 200, &found))
        }
    }
}

/// Where a transcription is, and something of it.
fn link(call: &Call, id: &str, behind: &str) -> String {
    if call.path.contains("/v3.2/") {
        format!(
            "{}/speechtotext/v3.2/transcriptions/{id}{behind}",
            call.base
        )
    } else {
        format!(
            "{}/speechtotext/transcriptions/{id}{behind}?api-version=2024-11-15",
            call.base
        )
    }
}

fn create(call: &Call, jobs: &Jobs<Job>, blobs: &Blobs) -> Result<Answer, Answer> {
    let invalid = |message: &str, inner: &str| {
        errors::speech(call, 400, "InvalidRequest", message, Some(inner))
    };
    let body = call
        .json()
        .ok()
        .and_then(|body| body.as_object().cloned())
        .ok_or_else(|| invalid("The body is not a JSON object.", "InvalidPayload"))?;
    let text = |name: &str| {
        let text = body.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    let locale = text("locale").ok_or_else(|| invalid("locale is required.", "InvalidPayload"))?;
    if !offered(locale) {
        let message = format!("The specified locale {locale} is not supported.");
        return Err(errors::class(call, Class::Unsupported, &message));
    }
    let name =
        text("displayName").ok_or_else(|| invalid("displayName is required.", "InvalidPayload"))?;
    let urls = match (body.get("contentUrls"), text("contentContainerUrl")) {
        (Some(Value::Array(list)), None) => {
            let urls = list.iter().map(|url| url.as_str().map(str::to_owned));
            let urls: Option<Vec<_>> = urls.collect();
            urls.ok_or_else(|| invalid("A content URL is not a text.", "InvalidPayload"))?
        }
        (None, Some(container)) => blobs.within(call, container),
        _ => {
            let message = "Exactly one of contentUrls and contentContainerUrl is required.";
            return Err(invalid(message, "OnlyOneOfUrlsOrContainerOrDataset"));
        }
    };
    if urls.len() > MOST {
        let message = format!("At most {MOST} recordings are allowed.");
        return Err(invalid(&message, "ExceededNumberOfRecordingsUris"));
    }
    if urls.is_empty() || !urls.iter().all(|url| url.starts_with("http")) {
        let message = "There are no recordings, or their URLs are not valid.";
        return Err(invalid(message, "InvalidRecordingsUri"));
    }
    let properties = properties(call, body.get("properties"))?;
    let heard = urls.into_iter().map(|url| {
        let heard = hear(call, blobs, &url);
        (url, heard)
    });
    let id = call.uuid("job");
    let mut told = Map::new();
    let mut put = |name: &str, value: Value| told.insert(name.to_owned(), value);
    put("self", json!(link(call, &id, "")));
    put("links", json!({ "files": link(call, &id, "/files") }));
    put("properties", Value::Object(properties));
    put("createdDateTime", json!(call.timestamp()));
    put("locale", json!(locale));
    put("displayName", json!(name));
    for field in ["description", "customProperties", "model"] {
        if let Some(value) = body.get(field) {
            put(field, value.clone());
        }
    }
    let job = Job {
        owner: call.account.clone(),
        told,
        heard: heard.collect(),
    };
    let state = job.state(call, Stage::Queued);
    let seconds = job.seconds();
    jobs.submit(&id, job, call.fail_job);
    let told = answer(call, 201, &state).header("location", link(call, &id, ""));
    Ok(told.fact("job", id).fact("seconds", seconds))
}

/// What is asked for, with the defaults.
fn properties(call: &Call, given: Option<&Value>) -> Result<Map<String, Value>, Answer> {
    let mut properties = Map::new();
    let defaults = json!({
        "diarizationEnabled": false,
        "wordLevelTimestampsEnabled": false,
        "displayFormWordLevelTimestampsEnabled": false,
        "channels": [0, 1],
        "punctuationMode": "DictatedAndAutomatic",
        "profanityFilterMode": "Masked",
    });
    properties.extend(defaults.as_object().cloned().unwrap_or_default());
    let given = given.and_then(Value::as_object).cloned();
    properties.extend(given.unwrap_or_default());
    let flags = [
        "diarizationEnabled",
        "wordLevelTimestampsEnabled",
        "displayFormWordLevelTimestampsEnabled",
    ];
    let one_of = |name: &str, list: &[&str]| {
        let text = properties.get(name).and_then(Value::as_str);
        text.is_some_and(|text| list.contains(&text))
    };
    let flag = |name: &&str| properties.get(*name).is_some_and(Value::is_boolean);
    if flags.iter().all(flag)
        && one_of("punctuationMode", &PUNCTUATION)
        && one_of("profanityFilterMode", &FILTERS)
    {
        Ok(properties)
    } else {
        let message = "A property has a value that is not valid.";
        Err(errors::speech(
            call,
            400,
            "InvalidRequest",
            message,
            Some("InvalidPayload"),
        ))
    }
}

fn hear(call: &Call, blobs: &Blobs, url: &str) -> Result<Transcript, &'static str> {
    let content = blobs.open(call, url);
    let content = content.ok_or("The recordings URI could not be read.")?;
    let audio = audio::probe(&content).map_err(|_| "The recording contains invalid data.")?;
    Ok(speech::transcribe(&content, &audio))
}

impl Job {
    fn seconds(&self) -> f64 {
        let heard = self.heard.iter();
        heard
            .filter_map(|(_, heard)| heard.as_ref().ok())
            .map(|heard| heard.duration)
            .sum()
    }

    /// A job of which nothing could be read fails; otherwise its report says what could not.
    fn failure(&self, stage: Stage) -> Option<(&'static str, &'static str)> {
        let unread = self.heard.iter().all(|(_, heard)| heard.is_err());
        match stage {
            Stage::Failed => Some(("InternalServerError", "An internal error occurred.")),
            Stage::Done if unread => {
                Some(("InvalidData", "The recordings URI contains invalid data."))
            }
            _ => None,
        }
    }

    fn state(&self, call: &Call, stage: Stage) -> Value {
        let mut told = self.told.clone();
        let failure = self.failure(stage);
        let status = match stage {
            Stage::Queued => "NotStarted",
            Stage::Running => "Running",
            _ if failure.is_some() => "Failed",
            _ => "Succeeded",
        };
        told.insert("status".to_owned(), json!(status));
        told.insert("lastActionDateTime".to_owned(), json!(call.timestamp()));
        if let Some(properties) = told.get_mut("properties").and_then(Value::as_object_mut) {
            match failure {
                Some((code, message)) => {
                    let error = json!({ "code": code, "message": message });
                    properties.insert("error".to_owned(), error);
                }
                None if stage == Stage::Done => {
                    let length = duration(self.seconds());
                    properties.insert("duration".to_owned(), json!(length));
                }
                None => {}
            }
        }
        Value::Object(told)
    }

    fn flag(&self, name: &str) -> bool {
        let properties = self.told.get("properties");
        let flag = properties.and_then(|properties| properties.get(name));
        flag.and_then(Value::as_bool).unwrap_or_default()
    }

    /// One file for each recording that was read, and a report on all; nothing before the end.
    fn files(&self, call: &Call, id: &str, stage: Stage, blobs: &Blobs) -> Vec<Value> {
        if stage != Stage::Done || self.failure(stage).is_some() {
            return Vec::new();
        }
        let created = self.told.get("createdDateTime").cloned();
        let created = created.unwrap_or_default();
        let file = |number: usize, kind: &str, name: &str, content: &Value| {
            let content = Bytes::from(content.to_string());
            let size = content.len();
            let path = format!("transcription-results/{id}/{number}.json");
            blobs.put(&path, content);
            json!({
                "self": link(call, id, &format!("/files/{number}")),
                "name": name,
                "kind": kind,
                "properties": { "size": size },
                "createdDateTime": created,
                "links": { "contentUrl": storage::url(call, &path) },
            })
        };
        let read = self.heard.iter().enumerate();
        let mut files: Vec<_> = read
            .filter_map(|(number, (url, heard))| {
                let content = self.result(call, url, heard.as_ref().ok()?);
                let name = format!("contenturl_{number}.json");
                Some(file(number, "Transcription", &name, &content))
            })
            .collect();
        let report = self.report();
        let number = self.heard.len();
        files.push(file(number, "TranscriptionReport", "report.json", &report));
        files
    }

    fn report(&self) -> Value {
        let detail = |(url, heard): &(String, Result<Transcript, &str>)| match heard {
            Ok(_) => json!({ "sourceUrl": url, "status": "Succeeded" }),
            Err(message) => json!({
                "sourceUrl": url,
                "status": "Failed",
                "errorMessage": message,
                "errorKind": "InvalidData",
            }),
        };
        let good = self.heard.iter().filter(|(_, heard)| heard.is_ok()).count();
        json!({
            "successfulTranscriptionsCount": good,
            "failedTranscriptionsCount": self.heard.len() - good,
            "details": self.heard.iter().map(detail).collect::<Vec<_>>(),
        })
    }

    /// What one recording says.
    fn result(&self, call: &Call, url: &str, heard: &Transcript) -> Value {
        let phrases = heard.sentences().into_iter();
        json!({
            "source": url,
            "timestamp": call.timestamp(),
            "durationInTicks": ticks(heard.duration),
            "duration": duration(heard.duration),
            "combinedRecognizedPhrases": [{
                "channel": 0,
                "lexical": lexical(&heard.words),
                "itn": normalised(&heard.words),
                "maskedITN": normalised(&heard.words),
                "display": self.display(&heard.words),
            }],
            "recognizedPhrases": phrases.map(|words| self.phrase(words)).collect::<Vec<_>>(),
        })
    }

    fn display(&self, words: &[Word]) -> String {
        let properties = self.told.get("properties");
        let mode = properties.and_then(|properties| properties.get("punctuationMode"));
        if mode.and_then(Value::as_str) == Some("None") {
            normalised(words)
        } else {
            speech::joined(words)
        }
    }

    fn phrase(&self, words: &[Word]) -> Value {
        let (start, length) = extent(words);
        let mut best = json!({
            "confidence": speech::confidence(words),
            "lexical": lexical(words),
            "itn": normalised(words),
            "maskedITN": normalised(words),
            "display": self.display(words),
        });
        let mut told = Map::new();
        told.insert("recognitionStatus".to_owned(), json!("Success"));
        told.insert("channel".to_owned(), json!(0));
        let speaker = words.first().filter(|_| self.flag("diarizationEnabled"));
        told.extend(speaker.map(|word| ("speaker".to_owned(), json!(word.speaker + 1))));
        told.extend(placed(start, length));
        if let Some(best) = best.as_object_mut() {
            if self.flag("wordLevelTimestampsEnabled") {
                let words = words.iter().map(|word| {
                    let mut told = Map::new();
                    told.insert("word".to_owned(), json!(word.bare()));
                    told.extend(placed(word.start, word.end - word.start));
                    told.insert("confidence".to_owned(), json!(word.confidence));
                    Value::Object(told)
                });
                best.insert("words".to_owned(), words.collect());
            }
            if self.flag("displayFormWordLevelTimestampsEnabled") {
                let words = words.iter().map(|word| {
                    let mut told = Map::new();
                    told.insert("displayText".to_owned(), json!(word.text));
                    told.extend(placed(word.start, word.end - word.start));
                    Value::Object(told)
                });
                best.insert("displayWords".to_owned(), words.collect());
            }
        }
        told.insert("nBest".to_owned(), json!([best]));
        Value::Object(told)
    }
}

/// Begin and length in both ways of writing. The ticks carry a fraction of zero, as the vendor's do.
fn placed(start: f64, length: f64) -> [(String, Value); 4] {
    let whole = |seconds: f64| json!((seconds * 10_000_000.0).round());
    [
        ("offset".to_owned(), json!(duration(start))),
        ("duration".to_owned(), json!(duration(length))),
        ("offsetInTicks".to_owned(), whole(start)),
        ("durationInTicks".to_owned(), whole(length)),
    ]
}

/// `PT4.185S`.
fn duration(seconds: f64) -> String {
    format!("PT{}S", audio::rounded(seconds))
}
