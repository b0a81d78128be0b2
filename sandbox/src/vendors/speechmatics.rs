//! `Speechmatics`: one form with a configuration and a recording makes a job; its transcript is asked for by id.
//!
//! `POST` and `GET /v2/jobs`, `GET` and `DELETE /v2/jobs/{id}`, `GET /v2/jobs/{id}/transcript` as `json-v2`, `txt` or
//! `srt`. Key behind the word `Bearer`. A transcript that is asked for too early is 404, once as a job in progress and
//! once as a transcription that is not ready; `wait` in the query skips both, without waiting. Recordings at URLs are
//! not fetched: such a job is rejected. The vendor's list of error texts is closed, so a spent quota is `Forbidden`.

use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    answers::{
        audio, language,
        speech::{self, Transcript, Word},
        subtitles,
    },
    auth::Keys,
    call::Call,
    jobs::{Jobs, Stage},
    vendor::{Class, Operation, Vendor},
};

const KEYS: Keys = Keys {
    vendor: "speechmatics",
};
const SUBMIT: Operation = Operation::new("submit", "speech.transcribe");
const STATUS: Operation = Operation::new("status", "speech.transcribe");
const TRANSCRIPT: Operation = Operation::new("transcript", "speech.transcribe");
const LIST: Operation = Operation::other("list");
const DELETE: Operation = Operation::other("delete");
const UNKNOWN: Operation = Operation::other("unknown");

/// Most bytes of a body. This is what a simulator holds in memory.
const BODY: usize = 128 * 1024 * 1024;
const MODELS: [&str; 3] = ["standard", "enhanced", "melia-1"];
const DIARIZATIONS: [&str; 3] = ["none", "speaker", "channel"];

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct Speechmatics {
    jobs: Jobs<Job>,
}

#[derive(Debug, Clone)]
struct Job {
    account: String,
    created: String,
    name: String,
    config: Value,
    /// What was heard, or why nothing can be.
    outcome: Result<Transcript, String>,
}

impl Vendor for Speechmatics {
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
            ("POST", ["v2", "jobs"]) => SUBMIT,
            ("GET", ["v2", "jobs"]) => LIST,
            ("GET", ["v2", "jobs", _]) => STATUS,
            ("DELETE", ["v2", "jobs", _]) => DELETE,
            ("GET", ["v2", "jobs", _, "transcript"]) => TRANSCRIPT,
            _ => UNKNOWN,
        }
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        let owner = KEYS.authorization(call, "Bearer");
        owner.ok_or_else(|| self.error(call, Class::Auth, "no valid key was sent"))
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        match self.operation(call).call {
            "submit" => self.submit(call),
            "list" => Ok(self.list(call)),
            "status" => self.status(call),
            "transcript" => self.transcript(call),
            "delete" => self.delete(call),
            _ => Err(not_found()),
        }
    }

    fn error(&self, _call: &Call, class: Class, message: &str) -> Answer {
        let (status, text) = match class {
            Class::Auth => (401, "Permission Denied"),
            Class::Quota => (403, "Forbidden"),
            Class::Rate => (429, "Max concurrent running jobs exceeded"),
            Class::Invalid => (400, "Bad Request"),
            Class::TooLarge => (413, "Malformed request"),
            Class::Unsupported => (400, "Job rejected"),
            Class::NotFound => (404, "Job not found"),
            Class::Internal => (500, "Internal Server Error"),
            Class::Unavailable => (503, "Internal Server Error"),
        };
        let detail = match class {
            Class::Unsupported => "lang pack [xx] is not supported",
            _ => message,
        };
        failure(status, text, detail)
    }

    fn reset(&self) {
        self.jobs.clear();
    }
}

/// `text` is one of the vendor's closed list.
fn failure(status: u16, text: &str, detail: &str) -> Answer {
    let body = json!({ "code": status, "error": text, "detail": detail });
    Answer::json(status, &body)
}

fn not_found() -> Answer {
    failure(404, "Job not found", "there is no such job")
}

fn rejected(detail: &str) -> Answer {
    failure(400, "Job rejected", detail)
}

/// Whether the caller wants to wait for the end. Nothing here takes time, so waiting is not needed.
fn waits(call: &Call) -> bool {
    let seconds = call.query("wait").and_then(|wait| wait.parse::<u32>().ok());
    seconds.is_some_and(|seconds| seconds > 0)
}

impl Speechmatics {
    fn submit(&self, call: &Call) -> Result<Answer, Answer> {
        let parts = call
            .multipart()
            .map_err(|mistake| failure(400, "Malformed request", &mistake))?;
        let part = |name: &str| parts.iter().find(|part| part.name == name);
        let config = part("config").and_then(|part| serde_json::from_slice(&part.body).ok());
        let config: Value = config.ok_or_else(|| rejected("Job config JSON is invalid"))?;
        check(&config)?;
        let url = config.pointer("/fetch_data/url").and_then(Value::as_str);
        let (name, outcome) = match (part("data_file"), url) {
            (Some(file), None) => {
                let heard = hear(&file.body)?;
                (file.filename.clone().unwrap_or_default(), Ok(heard))
            }
            (None, Some(url)) => {
                let name = url.rsplit('/').next().unwrap_or_default();
                let reason = "Audio fetch error, the host could not be reached";
                (name.to_owned(), Err(reason.to_owned()))
            }
            (None, None) => {
                let detail = "neither data_file nor fetch_data is there";
                return Err(failure(400, "Missing data_file", detail));
            }
            _ => return Err(rejected("data_file and fetch_data exclude each other")),
        };
        let id = call.hex_id("job", 10);
        let seconds = outcome.as_ref().map_or(0.0, |heard| heard.duration);
        let failed = call.fail_job || outcome.is_err();
        let job = Job {
            account: call.account.clone(),
            created: call.timestamp(),
            name,
            config,
            outcome,
        };
        self.jobs.submit(&id, job.clone(), failed);
        let mut body = json!({ "id": id });
        if waits(call)
            && let Some(body) = body.as_object_mut()
        {
            self.finish(&id);
            let status = if failed { "rejected" } else { "done" };
            body.insert("status".to_owned(), json!(status));
            if !failed {
                let format = call.query("format").unwrap_or_else(|| "json-v2".to_owned());
                let shown = job.rendered(call, &id, &format)?;
                body.insert(format, shown);
            }
        }
        let model = job.model().to_owned();
        let answer = Answer::json(201, &body);
        Ok(answer.fact("model", model).fact("seconds", seconds))
    }

    /// Asks after a job until it has ended.
    fn finish(&self, id: &str) {
        while let Some((Stage::Queued | Stage::Running, _)) = self.jobs.peek(id) {
            self.jobs.poll(id);
        }
    }

    /// A job of the account that asks, as it was before it is asked after.
    fn job(&self, call: &Call) -> Result<(String, Stage, Job), Answer> {
        let id = call.segments().into_iter().nth(2).unwrap_or_default();
        if call.fail_job {
            self.jobs.fail(&id);
        }
        if waits(call) {
            self.finish(&id);
        }
        let found = self.jobs.peek(&id);
        let own = found.filter(|(_, job)| job.account == call.account);
        let (stage, job) = own.ok_or_else(not_found)?;
        Ok((id, stage, job))
    }

    fn status(&self, call: &Call) -> Result<Answer, Answer> {
        let (id, _, job) = self.job(call)?;
        let stage = self
            .jobs
            .poll(&id)
            .map_or(Stage::Failed, |(stage, _)| stage);
        let mut details = job.details(&id, stage, call);
        if let Some(details) = details.as_object_mut() {
            details.insert("config".to_owned(), job.config);
        }
        Ok(Answer::json(200, &json!({ "job": details })))
    }

    fn list(&self, call: &Call) -> Answer {
        let all = self.jobs.all().into_iter();
        let own = all.filter(|(_, _, job)| job.account == call.account);
        let jobs = own.map(|(id, stage, job)| job.details(&id, stage, call));
        Answer::json(200, &json!({ "jobs": jobs.collect::<Vec<_>>() }))
    }

    fn transcript(&self, call: &Call) -> Result<Answer, Answer> {
        let (id, stage, job) = self.job(call)?;
        match stage {
            Stage::Done => {}
            Stage::Failed => return Err(failure(404, "Job rejected", &job.reason())),
            early => {
                self.jobs.poll(&id);
                let text = if early == Stage::Queued {
                    "Job In Progress"
                } else {
                    "Transcription not ready"
                };
                return Err(failure(404, text, "ask again later"));
            }
        }
        let format = call.query("format").unwrap_or_else(|| "json-v2".to_owned());
        let shown = job.rendered(call, &id, &format)?;
        Ok(match shown {
            Value::String(text) => Answer::text(200, "text/plain; charset=utf-8", text),
            shown => Answer::json(200, &shown),
        })
    }

    fn delete(&self, call: &Call) -> Result<Answer, Answer> {
        let (id, stage, job) = self.job(call)?;
        let running = matches!(stage, Stage::Queued | Stage::Running);
        if running && !call.query_flag("force") {
            return Err(failure(423, "Resource Locked", "the job is running"));
        }
        self.jobs.remove(&id);
        let mut details = job.details(&id, Stage::Done, call);
        if let Some(details) = details.as_object_mut() {
            details.insert("status".to_owned(), json!("deleted"));
        }
        Ok(Answer::json(200, &json!({ "job": details })))
    }
}

fn check(config: &Value) -> Result<(), Answer> {
    let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str);
    if text("/type") != Some("transcription") {
        return Err(rejected("type must be transcription"));
    }
    let code = text("/transcription_config/language").filter(|code| !code.is_empty());
    let Some(code) = code else {
        let detail = "transcription_config has no language";
        return Err(failure(400, "No language selected", detail));
    };
    if code != "auto" && language::name(code).is_none() {
        return Err(rejected(&format!("lang pack [{code}] is not supported")));
    }
    for (field, allowed) in [
        ("model", &MODELS[..]),
        ("operating_point", &MODELS[..]),
        ("diarization", &DIARIZATIONS[..]),
    ] {
        let value = config.pointer(&format!("/transcription_config/{field}"));
        let known = |value: &Value| value.as_str().is_some_and(|value| allowed.contains(&value));
        if value.is_some_and(|value| !known(value)) {
            let detail = format!("transcription_config.{field} must be one of {allowed:?}");
            return Err(rejected(&detail));
        }
    }
    Ok(())
}

fn hear(file: &[u8]) -> Result<Transcript, Answer> {
    let audio = audio::probe(file).map_err(|_| {
        let detail = "the file is no audio, or it is corrupted";
        failure(400, "Job rejected due to invalid audio", detail)
    })?;
    Ok(speech::transcribe(file, &audio))
}

impl Job {
    fn option(&self, name: &str) -> Option<&str> {
        let options = self.config.get("transcription_config")?;
        options.get(name)?.as_str()
    }

    fn model(&self) -> &str {
        let model = self.option("model").or(self.option("operating_point"));
        model.unwrap_or("standard")
    }

    fn reason(&self) -> String {
        let scripted = "The recognizer failed.".to_owned();
        self.outcome.as_ref().err().cloned().unwrap_or(scripted)
    }

    /// Whole seconds, as the vendor counts them.
    fn seconds(&self) -> Value {
        let seconds = self.outcome.as_ref().map_or(0.0, |heard| heard.duration);
        json!(std::time::Duration::from_secs_f64(seconds.ceil()).as_secs())
    }

    fn details(&self, id: &str, stage: Stage, call: &Call) -> Value {
        let status = match stage {
            Stage::Queued | Stage::Running => "running",
            Stage::Done => "done",
            Stage::Failed => "rejected",
        };
        let mut details = json!({ "created_at": self.created, "data_name": self.name, "duration": self.seconds(), "id": id, "status": status });
        if stage == Stage::Failed
            && let Some(details) = details.as_object_mut()
        {
            let errors = json!([{ "timestamp": call.timestamp(), "message": self.reason() }]);
            details.insert("errors".to_owned(), errors);
        }
        details
    }

    /// The transcript: an object for `json-v2`, a string for the others.
    fn rendered(&self, call: &Call, id: &str, format: &str) -> Result<Value, Answer> {
        let silence = || Transcript {
            language: "en".to_owned(),
            duration: 0.0,
            confidence: 0.0,
            words: Vec::new(),
        };
        let heard = self.outcome.clone().unwrap_or_else(|_| silence());
        match format {
            "json-v2" => Ok(self.object(call, id, &heard)),
            "txt" => Ok(json!(heard.text())),
            "srt" => Ok(json!(subtitles::srt(&heard))),
            _ => Err(failure(
                404,
                "Format Not Supported",
                "formats are json-v2, txt and srt",
            )),
        }
    }

    fn object(&self, call: &Call, id: &str, heard: &Transcript) -> Value {
        let asked = self.option("language").unwrap_or("auto");
        let code = if asked == "auto" {
            &heard.language
        } else {
            asked
        };
        let spoken = speech::english_name(code);
        let mut job = json!({ "created_at": self.created, "data_name": self.name, "duration": self.seconds(), "id": id });
        if let (Some(job), Some(tracking)) = (job.as_object_mut(), self.config.get("tracking")) {
            job.insert("tracking".to_owned(), tracking.clone());
        }
        let mut metadata = json!({
            "created_at": call.timestamp(),
            "type": "transcription",
            "transcription_config": self.config.get("transcription_config"),
            "language_pack_info": { "adapted": false, "itn": true, "language_description": spoken, "word_delimiter": " ", "writing_direction": "left-to-right" },
        });
        if asked == "auto"
            && let Some(metadata) = metadata.as_object_mut()
        {
            let guess = json!({ "language": heard.language, "confidence": 0.98 });
            let found = json!({ "results": [{ "alternatives": [guess], "start_time": 0.0, "end_time": heard.duration }] });
            metadata.insert("language_identification".to_owned(), found);
        }
        let results = heard.words.iter().flat_map(|word| self.items(word, code));
        json!({
            "format": "2.9",
            "job": job,
            "metadata": metadata,
            "results": results.collect::<Vec<_>>(),
        })
    }

    /// A word, and the punctuation behind it as an item of its own.
    fn items(&self, word: &Word, code: &str) -> Vec<Value> {
        let alternative = |content: &str, confidence: f64| {
            let mut one = Map::new();
            one.insert("confidence".to_owned(), json!(confidence));
            one.insert("content".to_owned(), json!(content));
            one.insert("language".to_owned(), json!(code));
            if self.option("diarization") == Some("speaker") {
                let speaker = format!("S{}", word.speaker + 1);
                one.insert("speaker".to_owned(), json!(speaker));
            }
            json!([one])
        };
        let spoken = json!({
            "alternatives": alternative(word.unpunctuated(), word.confidence),
            "end_time": word.end,
            "start_time": word.start,
            "type": "word",
        });
        let mark = word.mark();
        if mark.is_empty() {
            return vec![spoken];
        }
        let punctuation = json!({
            "alternatives": alternative(mark, 1.0),
            "attaches_to": "previous",
            "end_time": word.end,
            "is_eos": mark.contains(['.', '?', '!']),
            "start_time": word.end,
            "type": "punctuation",
        });
        vec![spoken, punctuation]
    }
}
