//! `ElevenLabs`: recordings as a form, voices in the path, and failures told apart by `detail.status`, not by the code.
//!
//! `POST /v1/speech-to-text`, `GET` and `DELETE /v1/speech-to-text/transcripts/{id}`, `POST /v1/text-to-speech/{voice}`
//! and `/with-timestamps`, `/stream`, `/stream/with-timestamps` behind it, `GET /v1/models`, `/v1/voices`,
//! `/v2/voices`. Key in `xi-api-key`. A spent quota is 401, overload is 429. Files at URLs are not fetched, and nothing
//! is posted to webhooks.

mod listen;
mod speak;

use serde_json::{Value, json};

use crate::{
    answer::Answer,
    auth::Keys,
    call::Call,
    jobs::Jobs,
    vendor::{Class, Operation, Vendor},
};

const KEYS: Keys = Keys {
    vendor: "elevenlabs",
};
const TRANSCRIBE: Operation = Operation::new("speech-to-text", "speech.transcribe");
const TRANSCRIPT: Operation = Operation::other("transcript");
const SPEAK: Operation = Operation::new("text-to-speech", "speech.synthesize");
const MODELS: Operation = Operation::other("models");
const VOICES: Operation = Operation::other("voices");
const UNKNOWN: Operation = Operation::other("unknown");

/// Most bytes of a body. The vendor takes 3 GB; this is what a simulator holds in memory.
const BODY: usize = 128 * 1024 * 1024;

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct ElevenLabs {
    transcripts: Jobs<Kept>,
}

/// A transcript that may be asked for again.
#[derive(Debug, Clone)]
struct Kept {
    body: Value,
    account: String,
}

impl Vendor for ElevenLabs {
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
        match segments.as_slice() {
            ["v1", "speech-to-text"] => TRANSCRIBE,
            ["v1", "speech-to-text", "transcripts", _] => TRANSCRIPT,
            ["v1", "text-to-speech", _]
            | ["v1", "text-to-speech", _, "with-timestamps" | "stream"]
            | ["v1", "text-to-speech", _, "stream", "with-timestamps"] => SPEAK,
            ["v1", "models"] => MODELS,
            ["v1" | "v2", "voices"] => VOICES,
            _ => UNKNOWN,
        }
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        match call.header("xi-api-key") {
            Some(key) => KEYS
                .owner(key)
                .ok_or_else(|| self.error(call, Class::Auth, "Invalid API key")),
            None => Err(failure(401, "unauthorized", "Authentication required.")),
        }
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        let operation = self.operation(call);
        let allowed: &[&str] = match operation.call {
            "speech-to-text" | "text-to-speech" => &["POST"],
            "transcript" => &["GET", "DELETE"],
            "unknown" => return Err(Answer::json(404, &json!({ "detail": "Not Found" }))),
            _ => &["GET"],
        };
        if !allowed.contains(&call.method.as_str()) {
            return Err(Answer::json(
                405,
                &json!({ "detail": "Method Not Allowed" }),
            ));
        }
        match operation.call {
            "speech-to-text" => self.listen(call),
            "transcript" => self.transcript(call),
            "text-to-speech" => speak::speak(call),
            "models" => Ok(speak::models()),
            _ => Ok(speak::voices(call)),
        }
    }

    fn error(&self, _call: &Call, class: Class, message: &str) -> Answer {
        let (status, word) = match class {
            Class::Auth => (401, "invalid_api_key"),
            Class::Quota => (401, "quota_exceeded"),
            Class::Rate => (429, "too_many_concurrent_requests"),
            Class::Invalid => {
                return invalid(&["body"], "value_error", message);
            }
            Class::TooLarge => (413, "file_too_large"),
            Class::Unsupported => (400, "unsupported_language"),
            Class::NotFound => (404, "not_found_error"),
            Class::Internal => (500, "internal_server_error"),
            Class::Unavailable => (429, "system_busy"),
        };
        failure(status, word, message)
    }

    fn reset(&self) {
        self.transcripts.clear();
    }
}

impl ElevenLabs {
    /// Keeps a transcript for later.
    fn keep(&self, call: &Call, id: &str, body: &Value) {
        let kept = Kept {
            body: body.clone(),
            account: call.account.clone(),
        };
        self.transcripts.submit(id, kept, false);
    }

    fn transcript(&self, call: &Call) -> Result<Answer, Answer> {
        let segments = call.segments();
        let id = segments.last().map(String::as_str).unwrap_or_default();
        let found = self.transcripts.peek(id).map(|(_, kept)| kept);
        let found = found.filter(|kept| kept.account == call.account);
        if call.method.as_str() == "DELETE" {
            if found.is_some() {
                self.transcripts.remove(id);
            }
            let body = json!({ "message": "Delete completed successfully." });
            return Ok(Answer::json(200, &body));
        }
        found
            .map(|kept| Answer::json(200, &kept.body))
            .ok_or_else(|| self.error(call, Class::NotFound, "Transcript not found."))
    }
}

fn failure(status: u16, word: &str, message: &str) -> Answer {
    let body = json!({ "detail": { "status": word, "message": message } });
    Answer::json(status, &body)
}

/// A 422 about the value at a place of the request.
fn invalid(place: &[&str], kind: &str, message: &str) -> Answer {
    let body = json!({ "detail": [{ "loc": place, "msg": message, "type": kind }] });
    Answer::json(422, &body)
}

/// A 422 about a field of the body that is not there.
fn missing(name: &str) -> Answer {
    invalid(&["body", name], "missing", "Field required")
}
