//! Text to speech v1: `text:synthesize` and `voices`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    answer, errors,
    fields::{self, Field, Kind},
};
use crate::{
    answer::Answer,
    answers::{markup, voice},
    call::Call,
};

/// Most bytes that are spoken.
const BYTES: usize = 5000;

const ENCODINGS: &[&str] = &[
    "AUDIO_ENCODING_UNSPECIFIED",
    "LINEAR16",
    "MP3",
    "OGG_OPUS",
    "MULAW",
    "ALAW",
    "PCM",
    "M4A",
];
const GENDERS: &[&str] = &["SSML_VOICE_GENDER_UNSPECIFIED", "MALE", "FEMALE", "NEUTRAL"];
const INPUT: &[Field] = &[
    ("text", Kind::Text),
    ("ssml", Kind::Text),
    ("markup", Kind::Text),
    ("prompt", Kind::Text),
    ("multiSpeakerMarkup", Kind::Any),
    ("customPronunciations", Kind::Any),
];
const VOICE: &[Field] = &[
    ("languageCode", Kind::Text),
    ("name", Kind::Text),
    ("ssmlGender", Kind::One(GENDERS)),
    ("modelName", Kind::Text),
    ("customVoice", Kind::Any),
    ("voiceClone", Kind::Any),
    ("multiSpeakerVoiceConfig", Kind::Any),
];
const AUDIO: &[Field] = &[
    ("audioEncoding", Kind::One(ENCODINGS)),
    ("speakingRate", Kind::Number),
    ("pitch", Kind::Number),
    ("volumeGainDb", Kind::Number),
    ("sampleRateHertz", Kind::Whole),
    ("effectsProfileId", Kind::List(&Kind::Text)),
];
const SYNTHESIZE: &[Field] = &[
    ("input", Kind::Message(INPUT)),
    ("voice", Kind::Message(VOICE)),
    ("audioConfig", Kind::Message(AUDIO)),
    ("advancedVoiceOptions", Kind::Any),
];

/// Name, language and gender of each voice.
const VOICES: [(&str, &str, &str); 20] = [
    ("cmn-CN-Standard-A", "cmn-CN", "FEMALE"),
    ("cmn-CN-Standard-B", "cmn-CN", "MALE"),
    ("de-DE-Neural2-F", "de-DE", "FEMALE"),
    ("de-DE-Neural2-B", "de-DE", "MALE"),
    ("en-GB-Neural2-A", "en-GB", "FEMALE"),
    ("en-GB-Neural2-B", "en-GB", "MALE"),
    ("en-US-Neural2-C", "en-US", "FEMALE"),
    ("en-US-Neural2-D", "en-US", "MALE"),
    ("en-US-Standard-B", "en-US", "MALE"),
    ("en-US-Standard-C", "en-US", "FEMALE"),
    ("es-ES-Neural2-A", "es-ES", "FEMALE"),
    ("es-ES-Neural2-F", "es-ES", "MALE"),
    ("fr-FR-Neural2-A", "fr-FR", "FEMALE"),
    ("fr-FR-Neural2-B", "fr-FR", "MALE"),
    ("it-IT-Neural2-A", "it-IT", "FEMALE"),
    ("it-IT-Neural2-C", "it-IT", "MALE"),
    ("ja-JP-Neural2-B", "ja-JP", "FEMALE"),
    ("ja-JP-Neural2-C", "ja-JP", "MALE"),
    ("pt-BR-Neural2-A", "pt-BR", "FEMALE"),
    ("pt-BR-Neural2-B", "pt-BR", "MALE"),
];

/// Whether a voice speaks a language: `en` means every region.
fn speaks(language: &str, wanted: &str) -> bool {
    let primary = language.split('-').next().unwrap_or_default();
    language.eq_ignore_ascii_case(wanted) || primary.eq_ignore_ascii_case(wanted)
}

/// `GET /v1/voices`.
pub(super) fn list(call: &Call) -> Answer {
    let wanted = call.query("languageCode").filter(|code| !code.is_empty());
    let voices = VOICES.iter().filter(|(_, language, _)| {
        wanted
            .as_deref()
            .is_none_or(|wanted| speaks(language, wanted))
    });
    let voices: Vec<_> = voices
        .map(|(name, language, gender)| {
            json!({
                "languageCodes": [language],
                "name": name,
                "ssmlGender": gender,
                "naturalSampleRateHertz": 24_000,
            })
        })
        .collect();
    if voices.is_empty() {
        return answer(&json!({}));
    }
    answer(&json!({ "voices": voices }))
}

/// `POST /v1/text:synthesize`.
pub(super) fn synthesize(call: &Call) -> Result<Answer, Answer> {
    let request = fields::read(call, SYNTHESIZE)?;
    let wrong = |field: &str, message: &str| errors::invalid(call, field, message);
    let input = request.message("input");
    let (given, spoken) = match (input.text("text"), input.text("ssml")) {
        (Some(text), None) => (text, text.to_owned()),
        (None, Some(ssml)) => {
            let document = markup::document(ssml).filter(|document| document.root() == "speak");
            let message = "Invalid SSML. Newer voices require valid SSML.";
            (
                ssml,
                document.ok_or_else(|| wrong("input.ssml", message))?.text,
            )
        }
        _ => {
            let message = "Exactly one of input.text and input.ssml must be set.";
            return Err(wrong("input", message));
        }
    };
    if given.len() > BYTES {
        let message = format!(
            "Either `input.text` or `input.ssml` is longer than the limit of {BYTES} bytes."
        );
        return Err(wrong("input", &message));
    }
    let wanted = request.message("voice");
    let language = wanted
        .text("languageCode")
        .ok_or_else(|| wrong("voice.language_code", "Language code is required."))?;
    let name = if let Some(name) = wanted.text("name") {
        let known = VOICES.iter().find(|(known, _, _)| *known == name);
        let message = format!("Voice '{name}' does not exist. Is it misspelled?");
        let (_, spoken, _) = known.ok_or_else(|| wrong("voice.name", &message))?;
        if !speaks(spoken, language) {
            let message = format!(
                "Requested language code '{language}' doesn't match the voice '{name}''s language code '{spoken}'."
            );
            return Err(wrong("voice.language_code", &message));
        }
        name
    } else {
        let gender = wanted.text("ssmlGender");
        let fits = VOICES
            .iter()
            .filter(|(_, spoken, _)| speaks(spoken, language));
        let liked = fits.clone().find(|(_, _, known)| Some(*known) == gender);
        let message = format!("Language '{language}' is not supported.");
        let found = liked.or(fits.clone().next());
        let (name, _, _) = found.ok_or_else(|| wrong("voice.language_code", &message))?;
        name
    };
    let config = request.message("audioConfig");
    for (field, range) in [
        ("speakingRate", 0.25..=2.0),
        ("pitch", -20.0..=20.0),
        ("volumeGainDb", -96.0..=16.0),
    ] {
        let number = config.number(field);
        // Zero counts as absent.
        if number.abs() > 0.0 && !range.contains(&number) {
            let message = format!(
                "{field} must be within {} and {}.",
                range.start(),
                range.end()
            );
            return Err(wrong("audio_config", &message));
        }
    }
    let rate = match config.whole("sampleRateHertz") {
        0 => Some(24_000),
        rate => u32::try_from(rate)
            .ok()
            .filter(|rate| (8000..=48_000).contains(rate)),
    };
    let message = "The sample rate is not supported for this encoding.";
    let rate = rate.ok_or_else(|| wrong("audio_config.sample_rate_hertz", message))?;
    let audio = match config.text("audioEncoding") {
        Some("LINEAR16" | "MULAW" | "ALAW") => voice::wav(&spoken, rate),
        Some("PCM") => voice::samples(&spoken, rate),
        Some("MP3") => voice::coded(&spoken, "mp3"),
        Some("OGG_OPUS") => voice::coded(&spoken, "opus"),
        Some("M4A") => {
            let message = "This audio encoding is not supported for this voice.";
            return Err(wrong("audio_config.audio_encoding", message));
        }
        _ => {
            let message = "Audio encoding is required.";
            return Err(wrong("audio_config.audio_encoding", message));
        }
    };
    let told = answer(&json!({ "audioContent": STANDARD.encode(audio) }));
    let characters = given.chars().count();
    Ok(told.fact("voice", name).fact("characters", characters))
}
