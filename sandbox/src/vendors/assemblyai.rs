//! `AssemblyAI`: audio is uploaded, a transcript is ordered, and asked after until it is done.
//!
//! `POST /v2/upload`, `POST /v2/transcript`, `GET /v2/transcript`, `GET` and `DELETE /v2/transcript/{id}`, and
//! `/sentences`, `/paragraphs`, `/srt`, `/vtt` behind it. The key is the whole of `Authorization`. Only what was
//! uploaded here can be heard: an order for any other URL ends in the vendor's download error.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    answers::{
        audio, language,
        speech::{self, Transcript, Word},
        subtitles, text,
    },
    auth::Keys,
    call::Call,
    jobs::{Jobs, Stage},
    vendor::{Class, Operation, Vendor},
};

const KEYS: Keys = Keys {
    vendor: "assemblyai",
};
const UPLOAD: Operation = Operation::new("upload", "speech.transcribe");
const SUBMIT: Operation = Operation::new("submit", "speech.transcribe");
const GET: Operation = Operation::new("get", "speech.transcribe");
const LIST: Operation = Operation::other("list");
const DELETE: Operation = Operation::other("delete");
const UNKNOWN: Operation = Operation::other("unknown");

const MODELS: [&str; 8] = [
    "best",
    "nano",
    "slam-1",
    "universal",
    "universal-2",
    "universal-3-pro",
    "universal-3-5-pro",
    "conformer-2",
];
/// Most bytes of an upload. The vendor takes 2.2 GB; this is what a simulator holds in memory.
const BODY: usize = 128 * 1024 * 1024;
const SCHEMA: &str = "Invalid endpoint schema, please refer to documentation for examples.";

/// What may be ordered, with the JSON type of each field.
const FIELDS: [(&str, &str); 46] = [
    ("audio_url", "string"),
    ("audio_end_at", "integer"),
    ("audio_start_from", "integer"),
    ("auto_chapters", "boolean"),
    ("auto_highlights", "boolean"),
    ("content_safety", "boolean"),
    ("content_safety_confidence", "integer"),
    ("custom_spelling", "array"),
    ("custom_topics", "boolean"),
    ("disfluencies", "boolean"),
    ("entity_detection", "boolean"),
    ("filter_profanity", "boolean"),
    ("format_text", "boolean"),
    ("iab_categories", "boolean"),
    ("keyterms_prompt", "array"),
    ("language_code", "string"),
    ("language_codes", "array"),
    ("language_confidence_threshold", "number"),
    ("language_detection", "boolean"),
    ("language_detection_options", "object"),
    ("multichannel", "boolean"),
    ("prompt", "string"),
    ("punctuate", "boolean"),
    ("redact_pii", "boolean"),
    ("redact_pii_audio", "boolean"),
    ("redact_pii_audio_options", "object"),
    ("redact_pii_audio_quality", "string"),
    ("redact_pii_policies", "array"),
    ("redact_pii_sub", "string"),
    ("remove_audio_tags", "string"),
    ("sentiment_analysis", "boolean"),
    ("speaker_labels", "boolean"),
    ("speaker_options", "object"),
    ("speakers_expected", "integer"),
    ("speech_model", "string"),
    ("speech_models", "array"),
    ("speech_threshold", "number"),
    ("speech_understanding", "object"),
    ("summarization", "boolean"),
    ("summary_model", "string"),
    ("summary_type", "string"),
    ("temperature", "number"),
    ("topics", "array"),
    ("webhook_auth_header_name", "string"),
    ("webhook_auth_header_value", "string"),
    ("webhook_url", "string"),
];

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct AssemblyAi {
    uploads: Jobs<Bytes>,
    orders: Jobs<Order>,
}

/// What was ordered, and what will come of it.
#[derive(Debug, Clone)]
struct Order {
    asked: Map<String, Value>,
    outcome: Result<Transcript, String>,
    account: String,
    created: String,
}

impl Vendor for AssemblyAi {
    fn name(&self) -> &'static str {
        KEYS.vendor
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![("base", base.to_owned()), ("key", KEYS.first())]
    }

    fn body_limit(&self) -> usize {
        BODY
    }

    fn operation(&self, call: &Call) -> Operation {
        let segments = call.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        match (call.method.as_str(), segments.as_slice()) {
            ("POST", ["v2", "upload"]) => UPLOAD,
            ("POST", ["v2", "transcript"]) => SUBMIT,
            ("GET", ["v2", "transcript"]) => LIST,
            ("GET", ["v2", "transcript", _] | ["v2", "transcript", _, _]) => GET,
            ("DELETE", ["v2", "transcript", _]) => DELETE,
            _ => UNKNOWN,
        }
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        let owner = KEYS.header(call, "authorization");
        let message = "Authentication error, API token missing/invalid";
        owner.ok_or_else(|| self.error(call, Class::Auth, message))
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        match self.operation(call).call {
            "upload" => self.upload(call),
            "submit" => self.submit(call),
            "get" => self.get(call),
            "list" => Ok(self.list(call)),
            "delete" => self.delete(call),
            _ => Err(self.error(call, Class::NotFound, "Not Found")),
        }
    }

    fn error(&self, _call: &Call, class: Class, message: &str) -> Answer {
        let (status, message) = match class {
            Class::Auth => (401, "Authentication error, API token missing/invalid"),
            Class::Quota => (
                400,
                "Your current account balance is negative. Please top up to continue using the API.",
            ),
            Class::Rate => (429, "Too Many Requests"),
            Class::Invalid | Class::Unsupported => (400, message),
            Class::TooLarge => (413, "Request Entity Too Large"),
            Class::NotFound => (404, message),
            Class::Internal => (500, "Internal Server Error"),
            Class::Unavailable => (503, "Service Unavailable"),
        };
        let answer = Answer::json(status, &json!({ "error": message }));
        if class == Class::Rate {
            return answer
                .header("retry-after", "1")
                .header("x-ratelimit-limit", "20000")
                .header("x-ratelimit-remaining", "0")
                .header("x-ratelimit-reset", "1");
        }
        answer
    }

    fn reset(&self) {
        self.uploads.clear();
        self.orders.clear();
    }
}

impl AssemblyAi {
    fn wrong(&self, call: &Call, message: &str) -> Answer {
        self.error(call, Class::Invalid, message)
    }

    fn upload(&self, call: &Call) -> Result<Answer, Answer> {
        if call.body.is_empty() {
            return Err(self.wrong(call, "Upload failed, please try again. The body is empty."));
        }
        let id = call.uuid("upload");
        self.uploads.submit(&id, call.body.clone(), false);
        let answer = Answer::json(
            200,
            &json!({ "upload_url": format!("{}/upload/{id}", call.base) }),
        );
        Ok(answer.fact("bytes", call.body.len()))
    }

    fn submit(&self, call: &Call) -> Result<Answer, Answer> {
        let Ok(Value::Object(asked)) = call.json() else {
            return Err(self.wrong(call, SCHEMA));
        };
        self.check(call, &asked)?;
        let url = asked
            .get("audio_url")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let id = call.uuid("transcript");
        let order = Order {
            outcome: self.hear(url),
            asked: asked.clone(),
            account: call.account.clone(),
            created: call.timestamp().trim_end_matches('Z').to_owned(),
        };
        let seconds = order.outcome.as_ref().map_or(0.0, |heard| heard.duration);
        let answer = Answer::json(200, &render(&id, Stage::Queued, &order));
        self.orders.submit(&id, order, call.fail_job);
        Ok(answer.fact("job", id).fact("seconds", seconds))
    }

    fn check(&self, call: &Call, asked: &Map<String, Value>) -> Result<(), Answer> {
        for (name, value) in asked {
            let Some((_, kind)) = FIELDS.iter().find(|(known, _)| known == name) else {
                return Err(self.wrong(call, SCHEMA));
            };
            let fits = match *kind {
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                "array" => value.is_array(),
                _ => value.is_object(),
            };
            if !(fits || value.is_null()) {
                return Err(self.wrong(call, SCHEMA));
            }
        }
        let url = asked.get("audio_url").and_then(Value::as_str);
        if !url.is_some_and(|url| url.starts_with("https://") || url.starts_with("http://")) {
            return Err(self.wrong(call, "audio_url should start with http"));
        }
        let listed = asked.get("speech_models").and_then(Value::as_array);
        let single = asked.get("speech_model").filter(|model| !model.is_null());
        let models: Vec<_> = listed.into_iter().flatten().chain(single).collect();
        let known = |model: &&Value| model.as_str().is_some_and(|model| MODELS.contains(&model));
        if models.is_empty() || !models.iter().all(known) {
            let message = "\"speech_models\" must be a non-empty list containing one or more of the available speech models";
            return Err(self.wrong(call, message));
        }
        let code = asked.get("language_code").and_then(Value::as_str);
        let detect = asked.get("language_detection") == Some(&json!(true));
        if detect && code.is_some() {
            return Err(self.wrong(
                call,
                "language_detection is not available when language_code is specified.",
            ));
        }
        if code.is_some_and(|code| language::name(code).is_none()) {
            return Err(self.wrong(call, "The requested language_code is not supported."));
        }
        Ok(())
    }

    /// What an uploaded file says. The host of its URL does not matter: callers know this server by several names.
    fn hear(&self, url: &str) -> Result<Transcript, String> {
        let id = url.split_once("/upload/").map(|(_, id)| id);
        let (_, bytes) = id.and_then(|id| self.uploads.peek(id)).ok_or_else(|| {
            format!("Download error, unable to download {url}. Please make sure the file exists and is accessible from the internet.")
        })?;
        let audio = audio::probe(&bytes).map_err(|_| {
            "Transcoding failed. File does not appear to contain audio. File type is application/octet-stream (data).".to_owned()
        })?;
        Ok(speech::transcribe(&bytes, &audio))
    }

    /// The order of that id, if it is the caller's own.
    fn order(&self, call: &Call, id: &str) -> Result<Order, Answer> {
        let found = self.orders.peek(id).map(|(_, order)| order);
        let own = found.filter(|order| order.account == call.account);
        own.ok_or_else(|| {
            self.error(
                call,
                Class::NotFound,
                "Transcript lookup error, transcript id not found",
            )
        })
    }

    fn get(&self, call: &Call) -> Result<Answer, Answer> {
        let segments = call.segments();
        let id = segments.get(2).map(String::as_str).unwrap_or_default();
        self.order(call, id)?;
        if call.fail_job {
            self.orders.fail(id);
        }
        let Some(part) = segments.get(3) else {
            let (stage, order) = self.orders.poll(id).ok_or_else(|| Answer::empty(404))?;
            let body = render(id, stage, &order);
            let status = body.get("status").cloned().unwrap_or_default();
            return Ok(Answer::json(200, &body)
                .fact("job", id)
                .fact("status", status));
        };
        let Some((
            Stage::Done,
            Order {
                outcome: Ok(heard), ..
            },
        )) = self.orders.peek(id)
        else {
            return Err(self.wrong(call, "This transcript is not completed yet."));
        };
        let ids =
            json!({ "id": id, "confidence": heard.confidence, "audio_duration": seconds(&heard) });
        let list = |name: &str, groups: Vec<Value>| {
            let mut body = ids.clone();
            if let Some(body) = body.as_object_mut() {
                body.insert(name.to_owned(), json!(groups));
            }
            Answer::json(200, &body)
        };
        let sentences = heard.sentences();
        match part.as_str() {
            "sentences" => Ok(list(
                "sentences",
                sentences.iter().map(|words| passage(words, true)).collect(),
            )),
            "paragraphs" => Ok(list("paragraphs", vec![paragraph(&heard.words)])),
            "srt" => Ok(Answer::text(
                200,
                "text/plain; charset=utf-8",
                subtitles::srt(&heard),
            )),
            "vtt" => Ok(Answer::text(
                200,
                "text/plain; charset=utf-8",
                subtitles::vtt(&heard),
            )),
            _ => Err(self.error(call, Class::NotFound, "Not Found")),
        }
    }

    /// The caller's own orders, newest first, on one page.
    fn list(&self, call: &Call) -> Answer {
        let limit = call
            .query("limit")
            .and_then(|limit| limit.parse::<usize>().ok());
        let limit = limit.unwrap_or(10).clamp(1, 200);
        let wanted = call.query("status");
        let own = self
            .orders
            .all()
            .into_iter()
            .filter(|(_, _, order)| order.account == call.account);
        let rendered = own.map(|(id, stage, order)| {
            let body = render(&id, stage, &order);
            let part = |name: &str| body.get(name).cloned().unwrap_or_default();
            json!({
                "id": id,
                "resource_url": format!("{}/v2/transcript/{id}", call.base),
                "status": part("status"),
                "created": order.created,
                "completed": (part("status") == "completed").then_some(&order.created),
                "audio_url": part("audio_url"),
                "error": part("error"),
            })
        });
        let fits = |item: &Value| {
            wanted
                .as_deref()
                .is_none_or(|wanted| item.get("status") == Some(&json!(wanted)))
        };
        let items: Vec<_> = rendered.filter(fits).take(limit).collect();
        let page = json!({
            "limit": limit,
            "result_count": items.len(),
            "current_url": format!("{}{}", call.base, call.path),
            "prev_url": null,
            "next_url": null,
        });
        Answer::json(200, &json!({ "page_details": page, "transcripts": items }))
    }

    fn delete(&self, call: &Call) -> Result<Answer, Answer> {
        let segments = call.segments();
        let id = segments.get(2).map(String::as_str).unwrap_or_default();
        let mut order = self.order(call, id)?;
        self.orders.remove(id);
        let gone = json!("http://deleted_by_user");
        order.asked.insert("audio_url".to_owned(), gone);
        let mut body = render(id, Stage::Queued, &order);
        if let Some(body) = body.as_object_mut() {
            body.insert("status".to_owned(), json!("completed"));
            body.insert("text".to_owned(), json!("Deleted by user."));
        }
        Ok(Answer::json(200, &body))
    }
}

/// Whole seconds, rounded up.
#[expect(
    clippy::cast_possible_truncation,
    reason = "recordings are far shorter than 2^53 seconds"
)]
fn seconds(heard: &Transcript) -> i64 {
    heard.duration.ceil() as i64
}

/// Milliseconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "recordings are far shorter than 2^53 milliseconds"
)]
fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

fn speaker(number: u32) -> String {
    let letter = u8::try_from(number % 26).unwrap_or_default() + b'A';
    char::from(letter).to_string()
}

fn word(word: &Word, labelled: bool) -> Value {
    json!({
        "text": word.text,
        "start": millis(word.start),
        "end": millis(word.end),
        "confidence": word.confidence,
        "speaker": labelled.then(|| speaker(word.speaker)),
    })
}

fn passage(words: &[Word], labelled: bool) -> Value {
    json!({
        "text": speech::joined(words),
        "start": words.first().map(|word| millis(word.start)),
        "end": words.last().map(|word| millis(word.end)),
        "confidence": speech::confidence(words),
        "words": words.iter().map(|each| word(each, labelled)).collect::<Vec<_>>(),
        "speaker": words.first().filter(|_| labelled).map(|word| speaker(word.speaker)),
    })
}

/// The same, without saying who speaks.
fn paragraph(words: &[Word]) -> Value {
    let mut passage = passage(words, true);
    if let Some(passage) = passage.as_object_mut() {
        passage.remove("speaker");
    }
    passage
}

/// The transcript resource, as far as it is at this stage.
fn render(id: &str, stage: Stage, order: &Order) -> Value {
    let asked = |name: &str| order.asked.get(name).cloned().unwrap_or_default();
    let flag = |name: &str| order.asked.get(name) == Some(&json!(true));
    let outcome = match (stage, &order.outcome) {
        (Stage::Done, Ok(heard)) => Some(Ok(heard)),
        (Stage::Done, Err(reason)) => Some(Err(reason.clone())),
        (Stage::Failed, _) => Some(Err("Server error, developers have been alerted".to_owned())),
        (Stage::Queued | Stage::Running, _) => None,
    };
    let status = match (&outcome, stage) {
        (Some(Ok(_)), _) => "completed",
        (Some(Err(_)), _) => "error",
        (None, Stage::Running) => "processing",
        (None, _) => "queued",
    };
    let heard = outcome
        .as_ref()
        .and_then(|outcome| outcome.as_ref().ok().copied());
    let detected = flag("language_detection")
        .then(|| heard.map(|heard| heard.language.clone()))
        .flatten();
    let code = detected
        .clone()
        .map_or_else(|| asked("language_code"), Value::from);
    let labelled = flag("speaker_labels");
    let mut body = json!({
        "id": id,
        "language_model": "assemblyai_default",
        "acoustic_model": "assemblyai_default",
        "language_code": if code.is_null() { json!("en_us") } else { code },
        "status": status,
        "audio_url": asked("audio_url"),
        "text": heard.map(Transcript::text),
        "words": heard.map(|heard| heard.words.iter().map(|each| word(each, labelled)).collect::<Vec<_>>()),
        "utterances": heard.filter(|_| labelled).map(utterances),
        "confidence": heard.map(|heard| heard.confidence),
        "audio_duration": heard.map(seconds),
        "punctuate": order.asked.get("punctuate").unwrap_or(&json!(true)),
        "format_text": order.asked.get("format_text").unwrap_or(&json!(true)),
        "webhook_url": asked("webhook_url"),
        "webhook_status_code": null,
        "webhook_auth": !asked("webhook_auth_header_name").is_null(),
        "webhook_auth_header_name": asked("webhook_auth_header_name"),
        "auto_highlights": flag("auto_highlights"),
        "auto_highlights_result": heard.filter(|_| flag("auto_highlights")).map(highlights),
        "redact_pii": flag("redact_pii"),
        "summarization": flag("summarization"),
        "summary": heard.filter(|_| flag("summarization")).and_then(|heard| heard.sentences().first().map(|words| speech::joined(words))),
        "speaker_labels": labelled,
        "speakers_expected": asked("speakers_expected"),
        "language_detection": flag("language_detection"),
        "language_confidence": detected.map(|_| 0.99),
        "language_confidence_threshold": asked("language_confidence_threshold"),
        "speech_model": asked("speech_model"),
        "speech_models": asked("speech_models"),
        "entity_detection": flag("entity_detection"),
        "entities": heard.filter(|_| flag("entity_detection")).map(entities),
        "sentiment_analysis": flag("sentiment_analysis"),
        "sentiment_analysis_results": heard.filter(|_| flag("sentiment_analysis")).map(|heard| sentiments(heard, labelled)),
        "throttled": false,
        "multichannel": flag("multichannel"),
    });
    if let Some(body) = body.as_object_mut() {
        let models = asked("speech_models");
        let used = models
            .get(0)
            .cloned()
            .or_else(|| Some(asked("speech_model")).filter(|model| !model.is_null()));
        if let (Some(_), Some(used)) = (heard, used) {
            body.insert("speech_model_used".to_owned(), used);
        }
        if let Some(Err(reason)) = outcome {
            body.insert("error".to_owned(), json!(reason));
        }
    }
    body
}

/// Passages of one speaker each.
fn utterances(heard: &Transcript) -> Vec<Value> {
    let same = |one: &Word, next: &Word| one.speaker == next.speaker;
    heard
        .words
        .chunk_by(same)
        .map(|words| passage(words, true))
        .collect()
}

fn highlights(heard: &Transcript) -> Value {
    let found = text::key_phrases(&heard.text()).into_iter().map(|(span, score)| {
        let words = heard.words_in(&span);
        let times = json!({ "start": words.first().map_or(0, |word| millis(word.start)), "end": words.last().map_or(0, |word| millis(word.end)) });
        json!({ "count": 1, "rank": score, "text": span.text, "timestamps": [times] })
    });
    json!({ "status": "success", "results": found.collect::<Vec<_>>() })
}

fn entities(heard: &Transcript) -> Vec<Value> {
    let named = |kind| match kind {
        text::Kind::Person => Some("person_name"),
        text::Kind::Organization => Some("organization"),
        text::Kind::Location => Some("location"),
        text::Kind::DateTime => Some("date"),
        text::Kind::Money => Some("money_amount"),
        text::Kind::Email => Some("email_address"),
        text::Kind::Url => Some("url"),
        text::Kind::Quantity | text::Kind::Other => None,
    };
    let found = text::entities(&heard.text()).into_iter().filter_map(|entity| {
        let words = heard.words_in(&entity.span);
        let (start, end) = (words.first()?.start, words.last()?.end);
        Some(json!({ "entity_type": named(entity.kind)?, "text": entity.span.text, "start": millis(start), "end": millis(end) }))
    });
    found.collect()
}

fn sentiments(heard: &Transcript, labelled: bool) -> Vec<Value> {
    let one = |words: &[Word]| {
        let mood = text::mood(&speech::joined(words));
        let (label, confidence) = match mood.label {
            text::Label::Positive => ("POSITIVE", mood.positive),
            text::Label::Negative => ("NEGATIVE", mood.negative),
            text::Label::Neutral => ("NEUTRAL", mood.neutral),
            text::Label::Mixed => ("NEUTRAL", mood.mixed),
        };
        json!({
            "text": speech::joined(words),
            "start": words.first().map(|word| millis(word.start)),
            "end": words.last().map(|word| millis(word.end)),
            "sentiment": label,
            "confidence": confidence,
            "speaker": words.first().filter(|_| labelled).map(|word| speaker(word.speaker)),
        })
    };
    heard.sentences().into_iter().map(one).collect()
}
