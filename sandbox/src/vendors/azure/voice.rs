//! Voices: `POST /cognitiveservices/v1` with SSML, `GET /cognitiveservices/voices/list`.

use serde_json::json;

use super::errors;
use crate::{
    answer::Answer,
    answers::{language, markup, voice},
    call::Call,
};

/// Name and gender of each voice; its locale stands in its name.
const VOICES: [(&str, &str); 16] = [
    ("de-DE-KatjaNeural", "Female"),
    ("de-DE-ConradNeural", "Male"),
    ("en-GB-SoniaNeural", "Female"),
    ("en-GB-RyanNeural", "Male"),
    ("en-US-JennyNeural", "Female"),
    ("en-US-GuyNeural", "Male"),
    ("es-ES-ElviraNeural", "Female"),
    ("es-ES-AlvaroNeural", "Male"),
    ("fr-FR-DeniseNeural", "Female"),
    ("fr-FR-HenriNeural", "Male"),
    ("it-IT-ElsaNeural", "Female"),
    ("ja-JP-NanamiNeural", "Female"),
    ("zh-CN-XiaoxiaoNeural", "Female"),
    ("zh-CN-YunxiNeural", "Male"),
    ("en-US-AndrewMultilingualNeural", "Male"),
    ("en-US-AvaMultilingualNeural", "Female"),
];

/// What may be asked for in `X-Microsoft-OutputFormat`.
const FORMATS: [&str; 18] = [
    "raw-8khz-16bit-mono-pcm",
    "raw-16khz-16bit-mono-pcm",
    "raw-24khz-16bit-mono-pcm",
    "raw-48khz-16bit-mono-pcm",
    "riff-8khz-16bit-mono-pcm",
    "riff-16khz-16bit-mono-pcm",
    "riff-24khz-16bit-mono-pcm",
    "riff-48khz-16bit-mono-pcm",
    "audio-16khz-32kbitrate-mono-mp3",
    "audio-16khz-64kbitrate-mono-mp3",
    "audio-16khz-128kbitrate-mono-mp3",
    "audio-24khz-48kbitrate-mono-mp3",
    "audio-24khz-96kbitrate-mono-mp3",
    "audio-24khz-160kbitrate-mono-mp3",
    "audio-48khz-96kbitrate-mono-mp3",
    "audio-48khz-192kbitrate-mono-mp3",
    "ogg-16khz-16bit-mono-opus",
    "ogg-24khz-16bit-mono-opus",
];

/// `POST /cognitiveservices/v1`.
pub(super) fn synthesize(call: &Call) -> Result<Answer, Answer> {
    let refused = |message: &str| errors::plain(call, 400, message);
    if call.media_type() != "application/ssml+xml" {
        return Err(errors::plain(
            call,
            415,
            "The content type must be application/ssml+xml.",
        ));
    }
    let format = call.header("x-microsoft-outputformat").unwrap_or_default();
    if !FORMATS.contains(&format) {
        return Err(refused("The output format is missing or not supported."));
    }
    let agent = call.header("user-agent").unwrap_or_default();
    if agent.is_empty() || agent.len() > 255 {
        return Err(refused("User-Agent is missing or too long."));
    }
    let source = std::str::from_utf8(&call.body).map_err(|_| refused("The body is not UTF-8."))?;
    let document = markup::document(source)
        .filter(|document| document.root() == "speak")
        .ok_or_else(|| refused("The SSML is not valid."))?;
    if document.attribute("speak", "xml:lang").is_none() {
        return Err(refused("The SSML has no xml:lang."));
    }
    let name = document.attribute("voice", "name").unwrap_or_default();
    if !VOICES.iter().any(|(known, _)| *known == name) {
        return Err(refused(&format!("Unsupported voice {name}.")));
    }
    let text = document.text.as_str();
    if text.is_empty() {
        return Err(refused("There is nothing to speak."));
    }
    let mut parts = format.split('-');
    let kind = parts.next().unwrap_or_default();
    let kilohertz = parts.next().and_then(|part| part.strip_suffix("khz"));
    let rate = kilohertz.and_then(|rate| rate.parse::<u32>().ok());
    let rate = rate.unwrap_or(24) * 1000;
    let (content_type, bytes) = match kind {
        "raw" => ("audio/basic", voice::samples(text, rate)),
        "riff" => ("audio/x-wav", voice::wav(text, rate)),
        "ogg" => ("audio/ogg", voice::coded(text, "ogg")),
        _ => ("audio/mpeg", voice::coded(text, "mp3")),
    };
    let told = Answer::bytes(200, content_type, bytes).header("x-requestid", call.uuid("request"));
    let characters = text.chars().count();
    Ok(told.fact("voice", name).fact("characters", characters))
}

/// `GET /cognitiveservices/voices/list`.
pub(super) fn list() -> Answer {
    let voices = VOICES.iter().map(|(name, gender)| {
        let mut parts = name.splitn(3, '-');
        let (code, region) = (parts.next().unwrap_or_default(), parts.next());
        let locale = format!("{code}-{}", region.unwrap_or_default());
        let short = parts.next().unwrap_or_default();
        let short = short.trim_end_matches("Neural");
        json!({
            "Name": format!("Microsoft Server Speech Text to Speech Voice ({locale}, {short}Neural)"),
            "DisplayName": short,
            "LocalName": short,
            "ShortName": name,
            "Gender": gender,
            "Locale": locale,
            "LocaleName": language::name(code),
            "SampleRateHertz": "24000",
            "VoiceType": "Neural",
            "Status": "GA",
            "WordsPerMinute": "150",
        })
    });
    let voices: Vec<_> = voices.collect();
    Answer::json(200, &json!(voices)).header("content-type", "application/json; charset=utf-8")
}
