//! `Groq`: `OpenAI`'s audio dialect under `/openai`, with models, limits and refusals of its own.
//!
//! `POST /openai/v1/audio/transcriptions`, `/openai/v1/audio/translations`, `/openai/v1/audio/speech`,
//! `GET /openai/v1/models`. Key behind the word `Bearer`. Refusals have no `param`, and a `code` only where the vendor
//! gives one. Files at URLs are not fetched. Its plans have no credit that is used up: a spending limit takes its place.

use serde_json::{Value, json};

use crate::{
    answer::Answer,
    answers::{
        audio::{self, Unreadable},
        speech::{self, Transcript},
        voice,
    },
    auth::Keys,
    call::{Call, Part},
    vendor::{Class, Operation, Vendor},
    vendors::openai_dialect::{Form, timed},
};

const KEYS: Keys = Keys { vendor: "groq" };
const TRANSCRIBE: Operation = Operation::new("audio.transcriptions", "speech.transcribe");
const TRANSLATE: Operation = Operation::other("audio.translations");
const SPEAK: Operation = Operation::new("audio.speech", "speech.synthesize");
const MODELS: Operation = Operation::other("models");
const UNKNOWN: Operation = Operation::other("unknown");

/// Most bytes of a request with a recording: what goes without a paid plan.
const BODY: usize = 25 * 1024 * 1024;
const LISTENING: [&str; 2] = ["whisper-large-v3", "whisper-large-v3-turbo"];
const SPEAKING: [&str; 2] = ["playai-tts", "playai-tts-arabic"];
const FORMATS: [&str; 10] = [
    "flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "opus", "wav", "webm",
];
const ANSWERS: [&str; 3] = ["json", "text", "verbose_json"];
/// Names of form fields, without `[…]` behind them.
const FIELDS: [&str; 8] = [
    "file",
    "url",
    "model",
    "language",
    "prompt",
    "response_format",
    "temperature",
    "timestamp_granularities",
];
/// Most characters of a prompt.
const PROMPT: usize = 896;
/// Most characters that are spoken.
const INPUT: usize = 10_000;
const LANGUAGES: [&str; 100] = [
    "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv", "it",
    "id", "hi", "fi", "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no", "th", "ur",
    "hr", "bg", "lt", "la", "mi", "ml", "cy", "sk", "te", "fa", "lv", "bn", "sr", "az", "sl", "kn",
    "et", "mk", "br", "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw", "gl", "mr", "pa", "si",
    "km", "sn", "yo", "so", "af", "oc", "ka", "be", "tg", "sd", "gu", "am", "yi", "lo", "uz", "fo",
    "ht", "ps", "tk", "nn", "mt", "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln",
    "ha", "ba", "jv", "su", "yue",
];

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct Groq;

impl Vendor for Groq {
    fn name(&self) -> &'static str {
        KEYS.vendor
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![("base", base.to_owned()), ("key", KEYS.first())]
    }

    fn body_limit(&self) -> usize {
        // The fields and boundaries of a form come on top.
        BODY + 65_536
    }

    fn operation(&self, call: &Call) -> Operation {
        match call.path.as_str() {
            "/openai/v1/audio/transcriptions" => TRANSCRIBE,
            "/openai/v1/audio/translations" => TRANSLATE,
            "/openai/v1/audio/speech" => SPEAK,
            "/openai/v1/models" => MODELS,
            _ => UNKNOWN,
        }
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        let owner = KEYS.authorization(call, "Bearer");
        owner.ok_or_else(|| self.error(call, Class::Auth, ""))
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        let operation = self.operation(call);
        let expected = if operation == MODELS { "GET" } else { "POST" };
        if operation == UNKNOWN || call.method.as_str() != expected {
            return Err(self.error(call, Class::NotFound, ""));
        }
        let answer = match operation.call {
            "audio.transcriptions" => hear(call, "transcribe"),
            "audio.translations" => hear(call, "translate"),
            "audio.speech" => speak(call),
            _ => Ok(models()),
        };
        answer
            .map(|answer| finish(call, answer))
            .map_err(|refusal| finish(call, refusal))
    }

    fn error(&self, call: &Call, class: Class, message: &str) -> Answer {
        let answer = match class {
            Class::Auth => failure(401, "Invalid API Key", Some("invalid_api_key")),
            Class::Quota => failure(
                400,
                "API access is blocked: the organization has reached its spending limit.",
                Some("blocked_api_access"),
            ),
            Class::Rate => limited(),
            Class::Invalid => bad(message),
            Class::TooLarge => failure(413, "Request Entity Too Large", Some("request_too_large")),
            Class::Unsupported => bad(&wrong_language("xx")),
            Class::NotFound => {
                let message = format!("Unknown request URL: {} {}.", call.method, call.full_path);
                failure(404, &message, Some("unknown_url"))
            }
            Class::Internal => broken(500, "Internal Server Error"),
            Class::Unavailable => broken(503, "Service Unavailable"),
        };
        finish(call, answer)
    }
}

fn error_body(message: &str, kind: &str, code: Option<&str>) -> Value {
    let mut error = json!({ "message": message, "type": kind });
    if let (Some(error), Some(code)) = (error.as_object_mut(), code) {
        error.insert("code".to_owned(), json!(code));
    }
    json!({ "error": error })
}

fn failure(status: u16, message: &str, code: Option<&str>) -> Answer {
    Answer::json(status, &error_body(message, "invalid_request_error", code))
}

fn broken(status: u16, message: &str) -> Answer {
    Answer::json(status, &error_body(message, "internal_server_error", None))
}

fn bad(message: &str) -> Answer {
    failure(400, message, None)
}

fn limited() -> Answer {
    let message = "Rate limit reached for model `whisper-large-v3` in organization `org_sandbox` on seconds of audio per hour (ASPH): Limit 7200, Used 7198, Requested 10. Please try again in 4s.";
    let body = error_body(message, "seconds", Some("rate_limit_exceeded"));
    Answer::json(429, &body)
        .header("retry-after", "4")
        .header("x-ratelimit-limit-requests", "2000")
        .header("x-ratelimit-remaining-requests", "1999")
        .header("x-ratelimit-reset-requests", "43.2s")
}

fn wrong_language(code: &str) -> String {
    format!("unsupported language `{code}`: an ISO-639-1 code is wanted")
}

fn request_id(call: &Call) -> String {
    format!("req_{}", call.hex_id("request", 26))
}

/// Headers that every answer has.
fn finish(call: &Call, answer: Answer) -> Answer {
    answer
        .header("x-request-id", request_id(call))
        .header("x-groq-region", "sandbox")
}

/// A model that does what is wanted, or the refusal.
fn model<'a>(name: &'a str, known: &[&str]) -> Result<&'a str, Answer> {
    if known.contains(&name) {
        return Ok(name);
    }
    if LISTENING.contains(&name) || SPEAKING.contains(&name) {
        let message = format!("The model `{name}` does not support this endpoint.");
        return Err(bad(&message));
    }
    let message = format!("The model `{name}` does not exist or you do not have access to it.");
    Err(failure(404, &message, Some("model_not_found")))
}

/// Text from a recording; `task` is `transcribe`, or `translate` for English whatever is spoken.
fn hear(call: &Call, task: &str) -> Result<Answer, Answer> {
    let form = Form::read(call).map_err(|mistake| bad(&mistake))?;
    if let Some(name) = form.unknown(&FIELDS) {
        return Err(bad(&format!("unknown param `{name}`")));
    }
    let name = form.text("model").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| bad("model must be provided"))?;
    let model = model(&name, &LISTENING)?;
    let format = form.text("response_format");
    let format = format.unwrap_or_else(|| "json".to_owned());
    check(&form, &format)?;
    let file = match (form.part("file"), form.part("url")) {
        (Some(file), None) => file,
        (None, Some(_)) => return Err(bad("failed to retrieve media: the host is unreachable")),
        _ => return Err(bad("one of file or url must be provided")),
    };
    let heard = heard(file)?;
    let id = json!({ "id": request_id(call) });
    let answer = match format.as_str() {
        "text" => Answer::text(200, "text/plain; charset=utf-8", heard.text()),
        "verbose_json" => {
            let mut body = json!({
                "task": task,
                "language": speech::english_name(&heard.language),
                "duration": heard.duration,
                "text": heard.text(),
                "x_groq": id,
            });
            if let Some(body) = body.as_object_mut() {
                body.extend(timed(&form, &heard));
            }
            Answer::json(200, &body)
        }
        _ => Answer::json(200, &json!({ "text": heard.text(), "x_groq": id })),
    };
    Ok(answer
        .fact("model", model)
        .fact("seconds", heard.duration)
        .fact("format", format))
}

fn check(form: &Form, format: &str) -> Result<(), Answer> {
    if !ANSWERS.contains(&format) {
        let known = ANSWERS.join(" ");
        return Err(bad(&format!("response_format must be one of [{known}]")));
    }
    let granularities = form.all("timestamp_granularities");
    if !granularities.is_empty() && format != "verbose_json" {
        let message = "timestamp_granularities needs response_format verbose_json";
        return Err(bad(message));
    }
    let known = |value: &String| ["word", "segment"].contains(&value.as_str());
    if !granularities.iter().all(known) {
        return Err(bad("timestamp_granularities must be of [word segment]"));
    }
    let code = form.text("language").filter(|code| !code.is_empty());
    if let Some(code) = code.filter(|code| !LANGUAGES.contains(&code.as_str())) {
        return Err(bad(&wrong_language(&code)));
    }
    let prompt = form.text("prompt").unwrap_or_default().chars().count();
    if prompt > PROMPT {
        let message = format!(
            "prompt length must be {PROMPT} characters or fewer, but provided prompt contains {prompt} characters"
        );
        return Err(bad(&message));
    }
    let temperature = form.text("temperature").map(|text| text.parse::<f64>());
    if temperature.is_some_and(|parsed| !parsed.is_ok_and(|value| (0.0..=1.0).contains(&value))) {
        return Err(bad("temperature must be a number from 0 to 1"));
    }
    Ok(())
}

fn heard(file: &Part) -> Result<Transcript, Answer> {
    if file.body.len() > BODY {
        let message = "Request Entity Too Large";
        return Err(failure(413, message, Some("request_too_large")));
    }
    let extension = Form::extension(file);
    if !extension.is_some_and(|extension| FORMATS.contains(&extension.as_str())) {
        let known = FORMATS.join(" ");
        let message = format!("file must be one of the following types: [{known}]");
        return Err(bad(&message));
    }
    let audio = audio::probe(&file.body).map_err(|reason| match reason {
        Unreadable::Empty => bad("file is empty"),
        Unreadable::Unknown => bad("could not process file - is it a valid media file?"),
    })?;
    if audio.duration < 0.01 {
        let message = "Audio file is too short. Minimum audio length is 0.01 seconds.";
        return Err(bad(message));
    }
    Ok(speech::transcribe(&file.body, &audio))
}

fn speak(call: &Call) -> Result<Answer, Answer> {
    let body = call.json().map_err(|mistake| bad(&mistake))?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let wanted = |name: &str| text(name).ok_or_else(|| bad(&format!("{name} must be provided")));
    let model = model(wanted("model")?, &SPEAKING)?;
    let input = wanted("input")?;
    let characters = input.chars().count();
    if characters == 0 || characters > INPUT {
        let message = format!("input must have from 1 to {INPUT} characters");
        return Err(bad(&message));
    }
    if !wanted("voice")?.ends_with("-PlayAI") {
        return Err(bad("voice must be one of the voices of the model"));
    }
    let speed = body.get("speed").map_or(Some(1.0), Value::as_f64);
    if !speed.is_some_and(|speed| (0.5..=5.0).contains(&speed)) {
        return Err(bad("speed must be a number from 0.5 to 5"));
    }
    let rate = body.get("sample_rate").map_or(Some(48_000), Value::as_u64);
    let rate = rate.and_then(|rate| u32::try_from(rate).ok());
    let Some(rate @ (8000 | 16_000 | 22_050 | 24_000 | 32_000 | 44_100 | 48_000)) = rate else {
        return Err(bad("sample_rate is not offered"));
    };
    let format = text("response_format").unwrap_or("mp3");
    let (content_type, bytes) = match format {
        "wav" => ("audio/wav", voice::wav(input, rate)),
        "mulaw" => {
            // One byte a sample: the high one is loud enough for a tone.
            let samples = voice::samples(input, rate);
            let high = samples.iter().skip(1).step_by(2).copied();
            ("audio/basic", high.collect())
        }
        "flac" => ("audio/flac", voice::coded(input, format)),
        "mp3" => ("audio/mpeg", voice::coded(input, format)),
        "ogg" => ("audio/ogg", voice::coded(input, format)),
        _ => {
            let message = "response_format must be one of [flac mp3 mulaw ogg wav]";
            return Err(bad(message));
        }
    };
    Ok(Answer::bytes(200, content_type, bytes)
        .fact("model", model)
        .fact("characters", characters)
        .fact("format", format))
}

fn models() -> Answer {
    let one = |name: &&str| json!({ "id": name, "object": "model", "created": 1_693_721_698, "owned_by": "sandbox", "active": true, "context_window": 448 });
    let all = LISTENING.iter().chain(&SPEAKING).map(one);
    let body = json!({ "object": "list", "data": all.collect::<Vec<_>>() });
    Answer::json(200, &body)
}
