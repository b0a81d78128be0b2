//! `OpenAI`: speech both ways, and chat as far as structured answers about a text need it.
//!
//! `POST /v1/audio/transcriptions`, `/v1/audio/speech`, `/v1/chat/completions`, `/v1/responses`, `GET /v1/models`.
//! Key behind the word `Bearer`.

mod analyst;
mod chat;
mod listen;
mod speak;

use serde_json::{Value, json};

use crate::{
    answer::Answer,
    auth::Keys,
    call::Call,
    vendor::{Class, Operation, Vendor},
};

const KEYS: Keys = Keys { vendor: "openai" };
const TRANSCRIBE: Operation = Operation::new("audio.transcriptions", "speech.transcribe");
const SPEAK: Operation = Operation::new("audio.speech", "speech.synthesize");
const MODELS: Operation = Operation::other("models");
const UNKNOWN: Operation = Operation::other("unknown");

/// Most bytes of a recording.
const FILE: usize = 26_214_400;

/// Models that exist here, each with what it does.
const KNOWN: [(&str, &str); 15] = [
    ("whisper-1", "listen"),
    ("gpt-transcribe", "listen"),
    ("gpt-4o-transcribe", "listen"),
    ("gpt-4o-mini-transcribe", "listen"),
    ("gpt-4o-mini-transcribe-2025-12-15", "listen"),
    ("gpt-4o-transcribe-diarize", "listen"),
    ("tts-1", "speak"),
    ("tts-1-hd", "speak"),
    ("gpt-4o-mini-tts", "speak"),
    ("gpt-4o-mini-tts-2025-12-15", "speak"),
    ("gpt-4o", "chat"),
    ("gpt-4o-mini", "chat"),
    ("gpt-4.1-mini", "chat"),
    ("gpt-5-mini", "chat"),
    ("gpt-5-nano", "chat"),
];

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct OpenAi;

impl Vendor for OpenAi {
    fn name(&self) -> &'static str {
        KEYS.vendor
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![("base", base.to_owned()), ("key", KEYS.first())]
    }

    fn body_limit(&self) -> usize {
        // The fields and boundaries of a form come on top.
        FILE + 65_536
    }

    fn operation(&self, call: &Call) -> Operation {
        match call.path.as_str() {
            "/v1/audio/transcriptions" => TRANSCRIBE,
            "/v1/audio/speech" => SPEAK,
            "/v1/chat/completions" => analyst::operation(call, "chat.completions"),
            "/v1/responses" => analyst::operation(call, "responses"),
            path if path == "/v1/models" || path.starts_with("/v1/models/") => MODELS,
            _ => UNKNOWN,
        }
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        let given = call.header("authorization").unwrap_or_default();
        let message = if given.is_empty() {
            "You didn't provide an API key. Send it in an Authorization header using Bearer auth."
        } else {
            "Incorrect API key provided."
        };
        let owner = KEYS.authorization(call, "Bearer");
        owner.ok_or_else(|| self.error(call, Class::Auth, message))
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        let operation = self.operation(call);
        if operation == UNKNOWN {
            let message = format!("Invalid URL ({} {})", call.method, call.path);
            return Err(self.error(call, Class::NotFound, &message));
        }
        let expected = if operation == MODELS { "GET" } else { "POST" };
        if call.method.as_str() != expected {
            let message = format!("Not allowed to {} on {}.", call.method, call.path);
            let body = error_body(
                &message,
                "invalid_request_error",
                None,
                Some("method_not_supported"),
            );
            return Err(finish(call, Answer::json(405, &body)));
        }
        let answer = match operation.call {
            "audio.transcriptions" => listen::transcribe(call),
            "audio.speech" => speak::speak(call),
            "chat.completions" => chat::completions(call),
            "responses" => chat::responses(call),
            _ => models(call),
        };
        answer
            .map(|answer| finish(call, answer))
            .map_err(|refusal| finish(call, refusal))
    }

    fn error(&self, call: &Call, class: Class, message: &str) -> Answer {
        let invalid = "invalid_request_error";
        let (status, kind, code) = match class {
            Class::Auth => (401, invalid, Some("invalid_api_key")),
            Class::Quota => (429, "insufficient_quota", Some("insufficient_quota")),
            Class::Rate => (429, "requests", Some("rate_limit_exceeded")),
            Class::Invalid => (400, invalid, None),
            Class::TooLarge => (413, "server_error", None),
            Class::Unsupported => (400, invalid, Some("unsupported_value")),
            Class::NotFound => (404, invalid, None),
            Class::Internal => (500, "server_error", None),
            Class::Unavailable => (503, "server_error", None),
        };
        let mut answer = Answer::json(status, &error_body(message, kind, None, code));
        if class == Class::Rate {
            answer = answer
                .header("retry-after", "1")
                .header("retry-after-ms", "1000")
                .header("x-ratelimit-limit-requests", "500")
                .header("x-ratelimit-remaining-requests", "0")
                .header("x-ratelimit-reset-requests", "1s");
        }
        finish(call, answer)
    }
}

fn error_body(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
}

/// A 400 about one parameter.
fn wrong(param: &str, code: &str, message: &str) -> Answer {
    Answer::json(
        400,
        &error_body(message, "invalid_request_error", Some(param), Some(code)),
    )
}

/// A 400 about a parameter that is not there.
fn missing(param: &str) -> Answer {
    let message = format!("Missing required parameter: '{param}'.");
    wrong(param, "missing_required_parameter", &message)
}

/// A model that does what is wanted, or the refusal.
fn model<'a>(name: &'a str, wanted: &str) -> Result<&'a str, Answer> {
    let found = KNOWN.iter().find(|(known, _)| *known == name);
    // Chat models come and go; dated ones and reasoning ones are taken by their beginnings.
    let chat = ["gpt-4", "gpt-5", "gpt-3.5", "o1", "o3", "o4", "chatgpt"]
        .iter()
        .any(|start| name.starts_with(start));
    match found {
        Some((_, does)) if *does == wanted => Ok(name),
        None if wanted == "chat" && chat => Ok(name),
        Some(_) => {
            let message = format!("The model `{name}` does not support this endpoint.");
            Err(wrong("model", "unsupported_model", &message))
        }
        None => {
            let message =
                format!("The model `{name}` does not exist or you do not have access to it.");
            let body = error_body(
                &message,
                "invalid_request_error",
                None,
                Some("model_not_found"),
            );
            Err(Answer::json(404, &body))
        }
    }
}

/// Headers that every answer has.
fn finish(call: &Call, answer: Answer) -> Answer {
    answer
        .header(
            "x-request-id",
            format!("req_{}", call.hex_id("request", 32)),
        )
        .header("openai-version", "2020-10-01")
        .header("openai-organization", "sandbox")
        .header("openai-processing-ms", "12")
}

fn models(call: &Call) -> Result<Answer, Answer> {
    let one = |name: &str| json!({ "id": name, "object": "model", "created": 1_700_000_000, "owned_by": "openai" });
    let segments = call.segments();
    if let Some(name) = segments.get(2) {
        let known = KNOWN.iter().any(|(known, _)| known == name);
        return if known {
            Ok(Answer::json(200, &one(name)))
        } else {
            model(name, "").map(|_| Answer::empty(404))
        };
    }
    let all: Vec<_> = KNOWN.iter().map(|(name, _)| one(name)).collect();
    Ok(Answer::json(200, &json!({ "object": "list", "data": all })))
}

/// Roughly the tokens of a text: one for each four letters, at least one for each word.
fn tokens(text: &str) -> usize {
    text.split_whitespace()
        .map(|word| word.chars().count().div_ceil(4))
        .sum()
}
