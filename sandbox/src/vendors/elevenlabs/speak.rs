//! Speech from text.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{failure, invalid, missing};
use crate::{
    answer::{Answer, Content},
    answers::{
        audio::{as_f64, rounded},
        language, voice,
    },
    call::Call,
};

/// Models that speak, each with the most characters of one call.
const MODELS: [(&str, &str, usize); 6] = [
    ("eleven_multilingual_v2", "Eleven Multilingual v2", 10_000),
    ("eleven_flash_v2_5", "Eleven Flash v2.5", 40_000),
    ("eleven_turbo_v2_5", "Eleven Turbo v2.5", 40_000),
    ("eleven_flash_v2", "Eleven Flash v2", 30_000),
    ("eleven_turbo_v2", "Eleven Turbo v2", 30_000),
    ("eleven_monolingual_v1", "Eleven English v1", 10_000),
];
/// Voices, by id and name.
const VOICES: [(&str, &str); 4] = [
    ("21m00Tcm4TlvDq8ikWAM", "Rachel"),
    ("JBFqnCBsd6RMkjVDRZzb", "George"),
    ("EXAVITQu4vr4xnSDxMaL", "Sarah"),
    ("pNInz6obpgDQGcFmaJgB", "Adam"),
];
/// Characters that travel in one piece of a stream.
const PIECE: usize = 24;

/// What was asked for, found to be right.
struct Order {
    text: String,
    model: &'static str,
    content_type: &'static str,
    bytes: Vec<u8>,
}

pub(super) fn speak(call: &Call) -> Result<Answer, Answer> {
    let segments = call.segments();
    let order = order(
        call,
        segments.get(2).map(String::as_str).unwrap_or_default(),
    )?;
    let streamed = segments.iter().any(|segment| segment == "stream");
    let timed = segments.iter().any(|segment| segment == "with-timestamps");
    let answer = match (streamed, timed) {
        (false, false) => Answer::bytes(200, order.content_type, order.bytes.clone()),
        (false, true) => Answer::json(200, &order.timed(0, order.text.chars().count())),
        (true, false) => {
            let pieces = order.bytes.chunks(4096).map(Bytes::copy_from_slice);
            in_pieces(order.content_type, pieces.collect())
        }
        (true, true) => in_pieces("application/json", order.lines()),
    };
    let characters = order.text.chars().count();
    Ok(answer
        .header("request-id", call.hex_id("request", 20))
        .header("character-cost", characters.to_string())
        .fact("model", order.model)
        .fact("characters", characters))
}

fn in_pieces(content_type: &str, pieces: Vec<Bytes>) -> Answer {
    let mut answer = Answer::empty(200).header("content-type", content_type);
    answer.content = Content::Pieces(pieces);
    answer
}

fn order(call: &Call, voice: &str) -> Result<Order, Answer> {
    let body = call.json().ok();
    let body = body.as_ref().and_then(Value::as_object);
    let body = body.ok_or_else(|| invalid(&["body"], "json_invalid", "JSON decode error"))?;
    let text = string(body, "text")?.ok_or_else(|| missing("text"))?;
    let model = string(body, "model_id")?.unwrap_or("eleven_multilingual_v2");
    string(body, "language_code")?;
    if !VOICES.iter().any(|(id, _)| *id == voice) {
        let message = format!("A voice with the voice_id {voice} was not found.");
        return Err(failure(404, "voice_not_found", &message));
    }
    let known = MODELS.iter().find(|(id, _, _)| *id == model);
    let Some((model, _, most)) = known else {
        let message = format!("A model with model ID {model} does not exist.");
        return Err(failure(400, "model_not_found", &message));
    };
    let characters = text.chars().count();
    if text.trim().is_empty() {
        let message = "The text is empty; it should have at least one character.";
        return Err(failure(400, "input_text_empty", message));
    }
    if characters > *most {
        let message = format!(
            "This request's text has {characters} characters and exceeds the character limit of {most} characters for this model."
        );
        return Err(failure(400, "max_character_limit_exceeded", &message));
    }
    let format = call.query("output_format");
    let (content_type, bytes) = sound(text, format.as_deref().unwrap_or("mp3_44100_128"))
        .ok_or_else(|| {
            let message = "Input should be one of the offered output formats";
            invalid(&["query", "output_format"], "enum", message)
        })?;
    Ok(Order {
        text: text.to_owned(),
        model,
        content_type,
        bytes,
    })
}

/// A field that is a string if it is there.
fn string<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Answer> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => {
            let message = "Input should be a valid string";
            Err(invalid(&["body", name], "string_type", message))
        }
    }
}

/// Content type and sound of `codec_rate` or `codec_rate_bitrate`.
fn sound(text: &str, format: &str) -> Option<(&'static str, Vec<u8>)> {
    const RATES: [&str; 7] = ["8000", "16000", "22050", "24000", "32000", "44100", "48000"];
    let (codec, rest) = format.split_once('_')?;
    let rate = || {
        let offered = RATES.contains(&rest);
        offered.then(|| rest.parse::<u32>().ok()).flatten()
    };
    match (codec, rest) {
        (
            "mp3",
            "22050_32" | "24000_48" | "44100_32" | "44100_64" | "44100_96" | "44100_128"
            | "44100_192",
        ) => Some(("audio/mpeg", voice::coded(text, "mp3"))),
        ("opus", "48000_32" | "48000_64" | "48000_96" | "48000_128" | "48000_192") => {
            Some(("audio/opus", voice::coded(text, "opus")))
        }
        ("pcm", _) => Some(("audio/pcm", voice::samples(text, rate()?))),
        ("wav", _) => Some(("audio/wav", voice::wav(text, rate()?))),
        ("ulaw" | "alaw", "8000") => {
            // One byte a sample: the high one is loud enough for a tone.
            let samples = voice::samples(text, 8000);
            let high = samples.iter().skip(1).step_by(2).copied();
            Some(("audio/basic", high.collect()))
        }
        _ => None,
    }
}

impl Order {
    /// The sound and the times of the characters from `start` up to `end`.
    fn timed(&self, start: usize, end: usize) -> Value {
        let letters: Vec<_> = self.text.chars().collect();
        let all = letters.len().max(1);
        let step = voice::seconds(&self.text) / as_f64(all);
        let times = |from: usize, to: usize| -> Vec<f64> {
            (from..to)
                .map(|number| rounded(as_f64(number) * step))
                .collect()
        };
        let shown = letters.get(start..end).unwrap_or_default();
        let alignment = json!({
            "characters": shown.iter().map(char::to_string).collect::<Vec<_>>(),
            "character_start_times_seconds": times(start, end),
            "character_end_times_seconds": times(start + 1, end + 1),
        });
        let cut = |number: usize| self.bytes.len() * number / all;
        let sound = self.bytes.get(cut(start)..cut(end)).unwrap_or_default();
        json!({
            "audio_base64": STANDARD.encode(sound),
            "alignment": alignment,
            "normalized_alignment": alignment,
        })
    }

    /// A JSON object on a line for every few characters.
    fn lines(&self) -> Vec<Bytes> {
        let all = self.text.chars().count();
        let starts = (0..all).step_by(PIECE);
        let line = |start: usize| {
            let piece = self.timed(start, all.min(start + PIECE));
            Bytes::from(format!("{piece}\n"))
        };
        starts.map(line).collect()
    }
}

pub(super) fn models() -> Answer {
    let languages: Vec<_> = language::NAMES
        .iter()
        .map(|(code, name)| json!({ "language_id": code, "name": name }))
        .collect();
    let model = |(id, name, most): &(&str, &str, usize)| {
        json!({
            "model_id": id,
            "name": name,
            "can_be_finetuned": true,
            "can_do_text_to_speech": true,
            "can_do_voice_conversion": false,
            "can_use_style": true,
            "can_use_speaker_boost": true,
            "serves_pro_voices": false,
            "token_cost_factor": 1.0,
            "description": format!("{name} of the sandbox."),
            "requires_alpha_access": false,
            "max_characters_request_free_user": most,
            "max_characters_request_subscribed_user": most,
            "maximum_text_length_per_request": most,
            "languages": languages,
            "model_rates": { "character_cost_multiplier": 1.0 },
            "concurrency_group": "standard",
        })
    };
    Answer::json(200, &MODELS.iter().map(model).collect())
}

pub(super) fn voices(call: &Call) -> Answer {
    let voice = |(id, name): &(&str, &str)| {
        json!({
            "voice_id": id,
            "name": name,
            "category": "premade",
            "labels": { "language": "en" },
            "available_for_tiers": [],
            "high_quality_base_model_ids": ["eleven_multilingual_v2"],
        })
    };
    let mut body = json!({ "voices": VOICES.iter().map(voice).collect::<Vec<_>>() });
    if call.path.starts_with("/v2")
        && let Some(body) = body.as_object_mut()
    {
        body.insert("has_more".to_owned(), json!(false));
        body.insert("total_count".to_owned(), json!(VOICES.len()));
        body.insert("next_page_token".to_owned(), Value::Null);
    }
    Answer::json(200, &body)
}
