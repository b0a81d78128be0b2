//! Speech synthesis.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Action, Tencent, failure,
    params::{Kind, Params, may, must},
    success,
};
use crate::{
    answer::Answer,
    answers::{
        audio::{self, as_f64},
        tokens, voice,
    },
    call::Call,
    vendor::Operation,
};

/// Most Chinese letters of a text.
const CHINESE: usize = 150;
/// Most letters of any other text.
const OTHER: usize = 500;

/// A short text as audio, with the times of its words on request.
pub(super) const TEXT_TO_VOICE: Action = Action {
    service: "tts",
    version: "2019-08-23",
    operation: Operation::new("TextToVoice", "speech.synthesize"),
    fields: &[
        must("Text", Kind::Text),
        must("SessionId", Kind::Text),
        may("Volume", Kind::Number),
        may("Speed", Kind::Number),
        may("ProjectId", Kind::Integer),
        may("ModelType", Kind::Integer),
        may("VoiceType", Kind::Integer),
        may("FastVoiceType", Kind::Text),
        may("PrimaryLanguage", Kind::Integer),
        may("SampleRate", Kind::Natural),
        may("Codec", Kind::Text),
        may("EnableSubtitle", Kind::Flag),
        may("SegmentRate", Kind::Natural),
        may("EmotionCategory", Kind::Text),
        may("EmotionIntensity", Kind::Integer),
    ],
    serve: speak,
};

fn speak(_: &Tencent, call: &Call, params: &Params) -> Result<Answer, Answer> {
    let bad = |name: &str, message: &str| {
        failure(call, &format!("InvalidParameterValue.{name}"), message)
    };
    let (text, session) = (params.text("Text"), params.text("SessionId"));
    if text.trim().is_empty() {
        return Err(bad("TextEmpty", "The text must not be empty."));
    }
    if session.is_empty() {
        return Err(bad("SessionId", "The session id must not be empty."));
    }
    let chinese = text
        .chars()
        .any(|letter| matches!(letter, '\u{3400}'..='\u{9fff}'));
    let most = if chinese { CHINESE } else { OTHER };
    if text.chars().count() > most {
        let message = format!("The text must have at most {most} letters.");
        return Err(failure(call, "UnsupportedOperation.TextTooLong", &message));
    }
    let within = |name: &str, low: f64, high: f64| {
        let value = params.number(name).unwrap_or_default();
        (low..=high)
            .contains(&value)
            .then_some(())
            .ok_or_else(|| bad(name, "The value is out of its range."))
    };
    within("Volume", -10.0, 10.0)?;
    within("Speed", -2.0, 6.0)?;
    if !matches!(params.integer("PrimaryLanguage"), None | Some(1 | 2)) {
        return Err(bad("PrimaryLanguage", "The language is 1 or 2."));
    }
    if params.integer("VoiceType").is_some_and(|voice| voice < 0) {
        return Err(bad("VoiceType", "There is no such voice."));
    }
    let rate = match params.integer("SampleRate").unwrap_or(16_000) {
        8000 => 8000,
        16_000 => 16_000,
        24_000 => 24_000,
        _ => return Err(bad("SampleRate", "The rate is 8000, 16000 or 24000.")),
    };
    let codec = match params.text("Codec") {
        "" => "wav",
        codec => codec,
    };
    let wav = voice::wav(text, rate);
    let spoken = match codec {
        "wav" => wav.clone(),
        "pcm" => voice::samples(text, rate),
        "mp3" => voice::coded(text, "mp3"),
        _ => return Err(bad("Codec", "The codec is wav, mp3 or pcm.")),
    };
    let subtitles = if params.flag("EnableSubtitle") {
        let length = audio::probe(&wav).map_or(0.0, |audio| audio.duration);
        subtitles(text, length)
    } else {
        Vec::new()
    };
    let members = json!({
        "Audio": STANDARD.encode(spoken),
        "SessionId": session,
        "Subtitles": subtitles,
    });
    Ok(success(call, members).fact("characters", text.chars().count()))
}

/// When each word is spoken, in milliseconds; its place in letters. The text is spoken evenly.
fn subtitles(text: &str, seconds: f64) -> Vec<Value> {
    let letters = text.chars().count().max(1);
    let at = |place: usize| super::asr::millis(seconds * as_f64(place) / as_f64(letters));
    let subtitle = |token: tokens::Token| {
        let (begin, end) = (token.span.offset, token.span.offset + token.span.length);
        json!({
            "Text": token.span.text,
            "BeginTime": at(begin),
            "EndTime": at(end),
            "BeginIndex": begin,
            "EndIndex": end,
            "Phoneme": null,
        })
    };
    let spoken = |token: &tokens::Token| token.class != tokens::Class::Mark;
    let all = tokens::basic(text).into_iter();
    all.filter(spoken).map(subtitle).collect()
}
