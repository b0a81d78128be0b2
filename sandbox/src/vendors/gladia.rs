//! `Gladia`: a recording is uploaded, a job is started on its URL, and the job is asked after until it is done.
//!
//! `POST /v2/upload`, `POST` and `GET /v2/pre-recorded`, `GET` and `DELETE /v2/pre-recorded/{id}`. Key in
//! `x-gladia-key`. Only what was uploaded here can be heard: a job on any other URL ends in an error. Of the add-ons,
//! speakers, sentences and subtitles are answered; the rest are taken and left out of the result.

use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    answers::{
        audio::{self, rounded},
        speech::{self, Transcript, Word},
        subtitles,
    },
    auth::Keys,
    call::{Call, Part},
    jobs::{Jobs, Stage},
    vendor::{Class, Operation, Vendor},
};

const KEYS: Keys = Keys { vendor: "gladia" };
const UPLOAD: Operation = Operation::new("upload", "speech.transcribe");
const SUBMIT: Operation = Operation::new("submit", "speech.transcribe");
const RESULT: Operation = Operation::new("result", "speech.transcribe");
const LIST: Operation = Operation::other("list");
const DELETE: Operation = Operation::other("delete");
const UNKNOWN: Operation = Operation::other("unknown");

/// Most bytes of a body. This is what a simulator holds in memory.
const BODY: usize = 128 * 1024 * 1024;
/// Most seconds of a recording.
const LONGEST: f64 = 135.0 * 60.0;
const MODELS: [&str; 2] = ["solaria-1", "solaria-3"];
const LANGUAGES: [&str; 99] = [
    "af", "am", "ar", "as", "az", "ba", "be", "bg", "bn", "bo", "br", "bs", "ca", "cs", "cy", "da",
    "de", "el", "en", "es", "et", "eu", "fa", "fi", "fo", "fr", "gl", "gu", "ha", "haw", "he",
    "hi", "hr", "ht", "hu", "hy", "id", "is", "it", "ja", "jw", "ka", "kk", "km", "kn", "ko", "la",
    "lb", "ln", "lo", "lt", "lv", "mg", "mi", "mk", "ml", "mn", "mr", "ms", "mt", "my", "ne", "nl",
    "nn", "no", "oc", "pa", "pl", "ps", "pt", "ro", "ru", "sa", "sd", "si", "sk", "sl", "sn", "so",
    "sq", "sr", "su", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "uk", "ur", "uz",
    "vi", "yi", "yo", "zh",
];
/// What may be ordered, with the JSON type of each field. Others are ignored.
const FIELDS: [(&str, &str); 26] = [
    ("audio_to_llm", "boolean"),
    ("audio_to_llm_config", "object"),
    ("audio_url", "string"),
    ("callback", "boolean"),
    ("callback_config", "object"),
    ("callback_url", "string"),
    ("custom_metadata", "object"),
    ("custom_spelling", "boolean"),
    ("custom_spelling_config", "object"),
    ("custom_vocabulary_config", "object"),
    ("diarization", "boolean"),
    ("diarization_config", "object"),
    ("language_config", "object"),
    ("model", "string"),
    ("named_entity_recognition", "boolean"),
    ("pii_redaction", "boolean"),
    ("pii_redaction_config", "object"),
    ("punctuation_enhanced", "boolean"),
    ("sentences", "boolean"),
    ("sentiment_analysis", "boolean"),
    ("subtitles", "boolean"),
    ("subtitles_config", "object"),
    ("summarization", "boolean"),
    ("summarization_config", "object"),
    ("translation", "boolean"),
    ("translation_config", "object"),
];

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct Gladia {
    uploads: Jobs<Upload>,
    jobs: Jobs<Job>,
}

/// An uploaded recording; what it says, not its bytes.
#[derive(Debug, Clone)]
struct Upload {
    id: String,
    name: String,
    channels: u16,
    heard: Transcript,
}

#[derive(Debug, Clone)]
struct Job {
    account: String,
    created: String,
    asked: Map<String, Value>,
    /// `None`: nothing of that URL was uploaded here.
    upload: Option<Upload>,
}

impl Vendor for Gladia {
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
            ("POST", ["v2", "pre-recorded"]) => SUBMIT,
            ("GET", ["v2", "pre-recorded"]) => LIST,
            ("GET", ["v2", "pre-recorded", _]) => RESULT,
            ("DELETE", ["v2", "pre-recorded", _]) => DELETE,
            _ => UNKNOWN,
        }
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        let owner = KEYS.header(call, "x-gladia-key");
        owner.ok_or_else(|| self.error(call, Class::Auth, "gladia key not found"))
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        match self.operation(call).call {
            "upload" => self.upload(call),
            "submit" => self.submit(call),
            "list" => Ok(self.list(call)),
            "result" => self.result(call),
            "delete" => self.delete(call),
            _ => {
                let message = format!("Cannot {} {}", call.method, call.path);
                Err(self.error(call, Class::NotFound, &message))
            }
        }
    }

    fn error(&self, call: &Call, class: Class, message: &str) -> Answer {
        let status = match class {
            Class::Auth => 401,
            Class::Quota => 402,
            Class::Rate => 429,
            Class::Invalid => 400,
            Class::TooLarge => 413,
            Class::Unsupported => 422,
            Class::NotFound => 404,
            Class::Internal => 500,
            Class::Unavailable => 503,
        };
        Answer::json(status, &failure(call, status, message))
    }

    fn reset(&self) {
        self.uploads.clear();
        self.jobs.clear();
    }
}

fn failure(call: &Call, status: u16, message: &str) -> Value {
    json!({
        "timestamp": call.timestamp(),
        "path": call.path,
        "request_id": request_id(call),
        "statusCode": status,
        "message": message,
    })
}

fn request_id(call: &Call) -> String {
    format!("G-{}", call.hex_id("request", 8))
}

impl Gladia {
    fn bad(&self, call: &Call, message: &str) -> Answer {
        self.error(call, Class::Invalid, message)
    }

    fn upload(&self, call: &Call) -> Result<Answer, Answer> {
        if call.media_type() == "application/json" {
            return Err(self.bad(call, "The file at audio_url could not be fetched."));
        }
        let parts = call
            .multipart()
            .map_err(|mistake| self.bad(call, &mistake))?;
        let file = parts.iter().find(|part| part.name == "audio");
        let file = file.ok_or_else(|| self.bad(call, "The form has no file `audio`."))?;
        let unreadable = |_| {
            let message = "The file is no audio or video, or it is corrupted.";
            self.error(call, Class::Unsupported, message)
        };
        let audio = audio::probe(&file.body).map_err(unreadable)?;
        if audio.duration > LONGEST {
            let message = "The recording is longer than 135 minutes.";
            return Err(self.error(call, Class::TooLarge, message));
        }
        let upload = Upload {
            id: call.uuid("upload"),
            name: file.filename.clone().unwrap_or_else(|| "audio".to_owned()),
            channels: audio.channels,
            heard: speech::transcribe(&file.body, &audio),
        };
        let body = json!({
            "audio_url": format!("{}/file/{}", call.base, upload.id),
            "audio_metadata": metadata(&upload, audio.format, file),
        });
        let seconds = upload.heard.duration;
        let id = upload.id.clone();
        self.uploads.submit(&id, upload, false);
        Ok(Answer::json(200, &body).fact("seconds", seconds))
    }

    fn submit(&self, call: &Call) -> Result<Answer, Answer> {
        let body = call.json().map_err(|mistake| self.bad(call, &mistake))?;
        let Value::Object(asked) = body else {
            return Err(self.bad(call, "The body is not a JSON object."));
        };
        let mistakes = mistakes(&asked);
        if !mistakes.is_empty() {
            let mut body = failure(call, 400, "Invalid parameter(s)");
            if let Some(body) = body.as_object_mut() {
                body.insert("validation_errors".to_owned(), json!(mistakes));
            }
            return Err(Answer::json(400, &body));
        }
        if let Some(message) = unsupported(&asked) {
            return Err(self.error(call, Class::Unsupported, &message));
        }
        let url = asked.get("audio_url").and_then(Value::as_str);
        // The host does not matter: callers know this server by several names.
        let id = url.and_then(|url| Some(url.split_once("/file/")?.1));
        let upload = id.and_then(|id| self.uploads.peek(id));
        let job = Job {
            account: call.account.clone(),
            created: call.timestamp(),
            upload: upload.map(|(_, upload)| upload),
            asked,
        };
        let id = call.uuid("job");
        let failed = call.fail_job || job.upload.is_none();
        let seconds = job.upload.as_ref().map(|upload| upload.heard.duration);
        self.jobs.submit(&id, job, failed);
        let url = format!("{}/v2/pre-recorded/{id}", call.base);
        let answer = Answer::json(201, &json!({ "id": id, "result_url": url }));
        Ok(answer.fact("seconds", seconds))
    }

    /// A job of the account that asks.
    fn job(&self, call: &Call) -> Result<(String, Stage, Job), Answer> {
        let id = call.segments().into_iter().nth(2).unwrap_or_default();
        let found = self.jobs.peek(&id);
        let own = found.filter(|(_, job)| job.account == call.account);
        own.map(|(stage, job)| (id, stage, job))
            .ok_or_else(|| self.error(call, Class::NotFound, "Not found"))
    }

    fn result(&self, call: &Call) -> Result<Answer, Answer> {
        let (id, _, job) = self.job(call)?;
        if call.fail_job {
            self.jobs.fail(&id);
        }
        let stage = self
            .jobs
            .poll(&id)
            .map_or(Stage::Failed, |(stage, _)| stage);
        let body = job.shown(call, &id, stage);
        let status = body.get("status").cloned().unwrap_or_default();
        Ok(Answer::json(200, &body).fact("status", status))
    }

    fn list(&self, call: &Call) -> Answer {
        let all = self.jobs.all().into_iter();
        let own = all.filter(|(_, _, job)| job.account == call.account);
        let items: Vec<_> = own
            .map(|(id, stage, job)| job.shown(call, &id, stage))
            .collect();
        let page = format!("{}/v2/pre-recorded?offset=0", call.base);
        let body = json!({ "first": page, "current": page, "next": null, "items": items });
        Answer::json(200, &body)
    }

    fn delete(&self, call: &Call) -> Result<Answer, Answer> {
        let (id, stage, _) = self.job(call)?;
        if matches!(stage, Stage::Queued | Stage::Running) {
            let body = failure(call, 403, "The job is not in a deletable state.");
            return Err(Answer::json(403, &body));
        }
        self.jobs.remove(&id);
        Ok(Answer::empty(202))
    }
}

fn metadata(upload: &Upload, format: &str, file: &Part) -> Value {
    json!({
        "id": upload.id,
        "filename": upload.name,
        "extension": format,
        "size": file.body.len(),
        "audio_duration": upload.heard.duration,
        "number_of_channels": upload.channels,
    })
}

/// What is wrong with the fields of an order, a sentence each.
fn mistakes(asked: &Map<String, Value>) -> Vec<String> {
    let fits = |value: &Value, kind: &str| match kind {
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        _ => value.is_string(),
    };
    let mut mistakes: Vec<_> = FIELDS
        .iter()
        .filter(|(name, kind)| asked.get(*name).is_some_and(|value| !fits(value, kind)))
        .map(|(name, kind)| format!("Field \"{name}\" must be a {kind}"))
        .collect();
    let url = asked.get("audio_url").and_then(Value::as_str);
    if !url.is_some_and(|url| url.starts_with("http://") || url.starts_with("https://")) {
        mistakes.push("Field \"audio_url\" must be a URL".to_owned());
    }
    mistakes
}

/// The languages of an order, in its words.
fn languages(asked: &Map<String, Value>) -> Vec<&str> {
    let list = asked
        .get("language_config")
        .and_then(|config| config.get("languages")?.as_array());
    let items = list.into_iter().flatten();
    // What is no string is no language either.
    items.map(|item| item.as_str().unwrap_or("?")).collect()
}

/// Which language or model is not offered.
fn unsupported(asked: &Map<String, Value>) -> Option<String> {
    let languages = languages(asked);
    let unknown = languages.iter().find(|code| !LANGUAGES.contains(code));
    if let Some(code) = unknown {
        return Some(format!("Language \"{code}\" is not supported"));
    }
    let model = asked.get("model").and_then(Value::as_str);
    let model = model.unwrap_or("solaria-1");
    if !MODELS.contains(&model) {
        return Some(format!("Model \"{model}\" is not supported"));
    }
    let one_wanted = model == "solaria-3" && languages.len() != 1;
    one_wanted.then(|| "Model \"solaria-3\" wants exactly one language".to_owned())
}

impl Job {
    fn wants(&self, name: &str) -> bool {
        self.asked.get(name) == Some(&json!(true))
    }

    fn shown(&self, call: &Call, id: &str, stage: Stage) -> Value {
        let ended = matches!(stage, Stage::Done | Stage::Failed);
        let status = match stage {
            Stage::Queued => "queued",
            Stage::Running => "processing",
            Stage::Done => "done",
            Stage::Failed => "error",
        };
        let heard = self.upload.as_ref().filter(|_| stage == Stage::Done);
        // A URL that cannot be fetched is the caller's mistake.
        let error = if self.upload.is_some() { 500 } else { 400 };
        let start: String = id.chars().take(8).collect();
        let mut body = json!({
            "id": id,
            "request_id": format!("G-{start}"),
            "version": 2,
            "status": status,
            "created_at": self.created,
            "completed_at": ended.then(|| call.timestamp()),
            "error_code": (stage == Stage::Failed).then_some(error),
            "kind": "pre-recorded",
            "file": self.upload.as_ref().map(file),
            "request_params": self.asked,
            "result": heard.map(|upload| self.result(upload)),
        });
        if let (Some(body), Some(own)) = (body.as_object_mut(), self.asked.get("custom_metadata")) {
            body.insert("custom_metadata".to_owned(), own.clone());
        }
        body
    }

    fn result(&self, upload: &Upload) -> Value {
        let heard = &upload.heard;
        let code = languages(&self.asked);
        let code = match code.as_slice() {
            [only] => *only,
            _ => heard.language.as_str(),
        };
        let mut before = 0;
        let utterances = heard.sentences().into_iter().map(|words| {
            let first = before == 0;
            before += words.len();
            self.utterance(words, code, first)
        });
        let mut transcription = json!({
            "full_transcript": heard.text(),
            "languages": [code],
            "utterances": utterances.collect::<Vec<_>>(),
        });
        if let Some(transcription) = transcription.as_object_mut() {
            if self.wants("sentences") {
                let sentences = heard.sentences().into_iter().map(speech::joined);
                let sentences: Vec<_> = sentences.collect();
                let addon = json!([{ "success": true, "is_empty": sentences.is_empty(), "exec_time": 0.02, "error": null, "results": sentences }]);
                transcription.insert("sentences".to_owned(), addon);
            }
            if self.wants("subtitles") {
                transcription.insert("subtitles".to_owned(), self.subtitles(heard));
            }
        }
        json!({
            "metadata": {
                "audio_duration": heard.duration,
                "number_of_distinct_channels": upload.channels,
                "billing_time": rounded(heard.duration * f64::from(upload.channels)),
                "transcription_time": 1.25,
            },
            "transcription": transcription,
        })
    }

    /// Every word but the recording's first begins with a space.
    fn utterance(&self, words: &[Word], code: &str, first: bool) -> Value {
        let render = |(number, word): (usize, &Word)| {
            let space = if first && number == 0 { "" } else { " " };
            json!({ "word": format!("{space}{}", word.text), "start": word.start, "end": word.end, "confidence": word.confidence })
        };
        let mut utterance = json!({
            "text": speech::joined(words),
            "language": code,
            "start": words.first().map(|word| word.start),
            "end": words.last().map(|word| word.end),
            "confidence": speech::confidence(words),
            "channel": 0,
            "words": words.iter().enumerate().map(render).collect::<Vec<_>>(),
        });
        if self.wants("diarization")
            && let (Some(utterance), Some(word)) = (utterance.as_object_mut(), words.first())
        {
            utterance.insert("speaker".to_owned(), json!(word.speaker));
        }
        utterance
    }

    fn subtitles(&self, heard: &Transcript) -> Value {
        let config = self.asked.get("subtitles_config");
        let formats = config.and_then(|config| config.get("formats")?.as_array());
        let formats = formats.cloned().unwrap_or_else(|| vec![json!("srt")]);
        let render = |format: &Value| match format.as_str()? {
            "srt" => Some(json!({ "format": "srt", "subtitles": subtitles::srt(heard) })),
            "vtt" => Some(json!({ "format": "vtt", "subtitles": subtitles::vtt(heard) })),
            _ => None,
        };
        formats.iter().filter_map(render).collect()
    }
}

fn file(upload: &Upload) -> Value {
    json!({
        "id": upload.id,
        "filename": upload.name,
        "source": null,
        "audio_duration": upload.heard.duration,
        "number_of_channels": upload.channels,
    })
}
