//! Speech from text.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{missing, model, tokens, wrong};
use crate::{answer::Answer, answers::voice, call::Call};

const FIELDS: [&str; 7] = [
    "model",
    "input",
    "voice",
    "instructions",
    "response_format",
    "speed",
    "stream_format",
];
const VOICES: [&str; 13] = [
    "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse",
    "marin", "cedar",
];
/// Most characters of an input.
const INPUT: usize = 4096;
/// Samples per second of what is not compressed.
const RATE: u32 = 24_000;

pub(super) fn speak(call: &Call) -> Result<Answer, Answer> {
    let body = super::chat::object(call)?;
    if let Some(name) = body.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(wrong(
            name,
            "unknown_parameter",
            &format!("Unknown parameter: '{name}'."),
        ));
    }
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let model = model(text("model").ok_or_else(|| missing("model"))?, "speak")?;
    let input = text("input").ok_or_else(|| missing("input"))?;
    let characters = input.chars().count();
    if input.is_empty() {
        return Err(wrong(
            "input",
            "string_too_short",
            "Invalid 'input': the string is empty.",
        ));
    }
    if characters > INPUT {
        let message = format!(
            "Invalid 'input': string too long. Expected a string with maximum length {INPUT}, but got a string with length {characters} instead."
        );
        return Err(wrong("input", "string_above_max_length", &message));
    }
    let voice = body.get("voice").ok_or_else(|| missing("voice"))?;
    let custom = voice.get("id").is_some_and(Value::is_string);
    if !custom && !voice.as_str().is_some_and(|voice| VOICES.contains(&voice)) {
        let message = format!(
            "Invalid value: {voice}. Supported values are: {}.",
            VOICES.join(", ")
        );
        return Err(wrong("voice", "invalid_value", &message));
    }
    let speed = body.get("speed").map_or(Some(1.0), Value::as_f64);
    if !speed.is_some_and(|speed| (0.25..=4.0).contains(&speed)) {
        return Err(wrong(
            "speed",
            "invalid_value",
            "Invalid 'speed': expected a number from 0.25 to 4.",
        ));
    }
    let format = text("response_format").unwrap_or("mp3");
    let (content_type, bytes) = match format {
        "wav" => ("audio/wav", voice::wav(input, RATE)),
        "pcm" => ("audio/pcm", voice::samples(input, RATE)),
        "mp3" => ("audio/mpeg", voice::coded(input, format)),
        "opus" => ("audio/opus", voice::coded(input, format)),
        "aac" => ("audio/aac", voice::coded(input, format)),
        "flac" => ("audio/flac", voice::coded(input, format)),
        _ => {
            let message = format!(
                "Invalid value: '{format}'. Supported values are: 'mp3', 'opus', 'aac', 'flac', 'wav', and 'pcm'."
            );
            return Err(wrong("response_format", "invalid_value", &message));
        }
    };
    let answer = match text("stream_format").unwrap_or("audio") {
        "audio" => Answer::bytes(200, content_type, bytes),
        "sse" if !model.starts_with("tts-1") => Answer::events(events(input, &bytes)),
        "sse" => {
            let message = format!("stream_format 'sse' is not supported with model '{model}'.");
            return Err(wrong("stream_format", "unsupported_value", &message));
        }
        _ => {
            return Err(wrong(
                "stream_format",
                "invalid_value",
                "Invalid value. Supported values are: 'sse' and 'audio'.",
            ));
        }
    };
    Ok(answer
        .fact("model", model)
        .fact("characters", characters)
        .fact("format", format))
}

fn events(input: &str, bytes: &[u8]) -> Vec<String> {
    let delta = |piece: &[u8]| {
        let event = json!({ "type": "speech.audio.delta", "audio": STANDARD.encode(piece) });
        format!("data: {event}\n\n")
    };
    let mut events: Vec<_> = bytes.chunks(4096).map(delta).collect();
    let (heard, spoken) = (tokens(input), bytes.len().div_ceil(1024));
    let usage =
        json!({ "input_tokens": heard, "output_tokens": spoken, "total_tokens": heard + spoken });
    events.push(format!(
        "data: {}\n\n",
        json!({ "type": "speech.audio.done", "usage": usage })
    ));
    events
}
