//! Amazon Polly.

use serde_json::{Value, json};

use super::{constraint, failure, required};
use crate::{answer::Answer, answers::voice, call::Call, vendor::Operation};

/// Voices: id, language, its name, gender, engines.
const VOICES: [(&str, &str, &str, &str, &[&str]); 14] = [
    (
        "Joanna",
        "en-US",
        "US English",
        "Female",
        &["standard", "neural"],
    ),
    (
        "Matthew",
        "en-US",
        "US English",
        "Male",
        &["standard", "neural", "generative"],
    ),
    (
        "Ruth",
        "en-US",
        "US English",
        "Female",
        &["neural", "long-form", "generative"],
    ),
    (
        "Ivy",
        "en-US",
        "US English",
        "Female",
        &["standard", "neural"],
    ),
    (
        "Amy",
        "en-GB",
        "British English",
        "Female",
        &["standard", "neural", "generative"],
    ),
    (
        "Brian",
        "en-GB",
        "British English",
        "Male",
        &["standard", "neural"],
    ),
    ("Celine", "fr-FR", "French", "Female", &["standard"]),
    ("Lea", "fr-FR", "French", "Female", &["standard", "neural"]),
    ("Hans", "de-DE", "German", "Male", &["standard"]),
    (
        "Vicki",
        "de-DE",
        "German",
        "Female",
        &["standard", "neural"],
    ),
    (
        "Lucia",
        "es-ES",
        "Castilian Spanish",
        "Female",
        &["standard", "neural"],
    ),
    (
        "Bianca",
        "it-IT",
        "Italian",
        "Female",
        &["standard", "neural"],
    ),
    (
        "Camila",
        "pt-BR",
        "Brazilian Portuguese",
        "Female",
        &["standard", "neural"],
    ),
    (
        "Zhiyu",
        "cmn-CN",
        "Chinese Mandarin",
        "Female",
        &["standard", "neural"],
    ),
];
const ENGINES: [&str; 4] = ["standard", "neural", "long-form", "generative"];
const MARKS: [&str; 4] = ["sentence", "ssml", "viseme", "word"];
/// Most characters that are billed, and most with the marks of SSML.
const MOST: (usize, usize) = (3000, 6000);

pub(super) fn operation(call: &Call) -> Operation {
    if call.path == "/v1/speech" {
        Operation::new("SynthesizeSpeech", "speech.synthesize")
    } else {
        Operation::other("DescribeVoices")
    }
}

pub(super) fn serve(call: &Call) -> Result<Answer, Answer> {
    match (call.method.as_str(), call.path.as_str()) {
        ("POST", "/v1/speech") => synthesize(call),
        ("GET", "/v1/voices") => voices(call),
        _ => Err(failure(
            call,
            404,
            "UnknownOperationException",
            "Unknown operation",
        )),
    }
}

fn one_of(call: &Call, field: &str, value: &Value, values: &[&str]) -> Result<(), Answer> {
    if value.as_str().is_some_and(|value| values.contains(&value)) {
        return Ok(());
    }
    let rule = format!(
        "Member must satisfy enum value set: [{}]",
        values.join(", ")
    );
    Err(constraint(call, field, value, &rule))
}

fn synthesize(call: &Call) -> Result<Answer, Answer> {
    let Ok(Value::Object(input)) = call.json() else {
        return Err(failure(
            call,
            400,
            "SerializationException",
            "The body is not a JSON object.",
        ));
    };
    let text = required(call, &input, "Text")?;
    let format = required(call, &input, "OutputFormat")?;
    let name = required(call, &input, "VoiceId")?;
    let formats = [
        "json",
        "mp3",
        "ogg_opus",
        "ogg_vorbis",
        "pcm",
        "mulaw",
        "alaw",
    ];
    one_of(call, "outputFormat", &json!(format), &formats)?;
    let names: Vec<_> = VOICES.iter().map(|(id, ..)| *id).collect();
    one_of(call, "voiceId", &json!(name), &names)?;
    let engine = input
        .get("Engine")
        .and_then(Value::as_str)
        .unwrap_or("standard");
    one_of(call, "engine", &json!(engine), &ENGINES)?;
    let Some((_, language, _, _, engines)) = VOICES.iter().find(|(id, ..)| *id == name) else {
        return Err(failure(call, 400, "ValidationException", "Unknown voice."));
    };
    if !engines.contains(&engine) {
        return Err(failure(
            call,
            400,
            "ValidationException",
            "This voice does not support the selected engine.",
        ));
    }
    if input
        .get("LanguageCode")
        .and_then(Value::as_str)
        .is_some_and(|code| code != *language)
    {
        return Err(failure(
            call,
            400,
            "LanguageNotSupportedException",
            "This voice does not support the selected language.",
        ));
    }
    let spoken = spoken(call, text, input.get("TextType"))?;
    let characters = spoken.chars().count();
    if characters > MOST.0 || text.chars().count() > MOST.1 {
        let message = format!(
            "Maximum text length has been exceeded: {} characters of which {} may be billed.",
            MOST.1, MOST.0
        );
        return Err(failure(call, 400, "TextLengthExceededException", &message));
    }
    let rate = rate(call, &input, format, engine)?;
    let marks: Vec<&str> = input
        .get("SpeechMarkTypes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for mark in &marks {
        one_of(call, "speechMarkTypes", &json!(mark), &MARKS)?;
    }
    if marks.is_empty() == (format == "json") {
        let message =
            "Speech marks are given for the output format json only, and are required there.";
        return Err(failure(
            call,
            400,
            "MarksNotSupportedForFormatException",
            message,
        ));
    }
    let (kind, bytes) = match format {
        "json" => (
            "application/x-json-stream",
            speech_marks(&spoken, &marks).into_bytes(),
        ),
        "mp3" => ("audio/mpeg", voice::coded(&spoken, "mp3")),
        "ogg_vorbis" | "ogg_opus" => ("audio/ogg", voice::coded(&spoken, "ogg")),
        "pcm" => ("audio/pcm", voice::samples(&spoken, rate)),
        other => (
            if other == "mulaw" {
                "audio/mulaw"
            } else {
                "audio/alaw"
            },
            voice::samples(&spoken, rate),
        ),
    };
    let answer = Answer::bytes(200, kind, bytes)
        .header("x-amzn-requestid", call.uuid("request"))
        .header("x-amzn-requestcharacters", characters.to_string());
    Ok(answer
        .fact("characters", characters)
        .fact("voice", name)
        .fact("engine", engine))
}

/// The text that is heard: SSML without its marks.
fn spoken(call: &Call, text: &str, kind: Option<&Value>) -> Result<String, Answer> {
    let kind = kind.and_then(Value::as_str).unwrap_or("text");
    one_of(call, "textType", &json!(kind), &["ssml", "text"])?;
    if kind == "text" {
        return Ok(text.to_owned());
    }
    let invalid = || failure(call, 400, "InvalidSsmlException", "Invalid SSML request");
    let trimmed = text.trim();
    if !(trimmed.starts_with("<speak") && trimmed.ends_with("</speak>")) {
        return Err(invalid());
    }
    let mut open: Vec<String> = Vec::new();
    let mut heard = String::new();
    let mut rest = trimmed;
    while let Some((before, after)) = rest.split_once('<') {
        heard.push_str(before);
        let (tag, behind) = after.split_once('>').ok_or_else(invalid)?;
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/', '\n'])
            .next()
            .unwrap_or_default()
            .to_owned();
        if tag.starts_with('/') {
            if open.pop().as_ref() != Some(&name) {
                return Err(invalid());
            }
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = behind;
    }
    if open.is_empty() && rest.is_empty() {
        Ok(heard)
    } else {
        Err(invalid())
    }
}

fn rate(
    call: &Call,
    input: &serde_json::Map<String, Value>,
    format: &str,
    engine: &str,
) -> Result<u32, Answer> {
    let (offered, usual): (&[u32], u32) = match format {
        "pcm" => (&[8000, 16_000], 16_000),
        "ogg_opus" => (&[48_000], 48_000),
        "mulaw" | "alaw" => (&[8000], 8000),
        _ if engine == "standard" => (&[8000, 16_000, 22_050, 24_000, 44_100, 48_000], 22_050),
        _ => (&[8000, 16_000, 22_050, 24_000, 44_100, 48_000], 24_000),
    };
    match input.get("SampleRate") {
        None => Ok(usual),
        Some(value) => {
            // The rate travels as text.
            let given = value
                .as_str()
                .and_then(|text| text.parse().ok())
                .filter(|rate| offered.contains(rate));
            given.ok_or_else(|| {
                failure(
                    call,
                    400,
                    "InvalidSampleRateException",
                    "The specified sample rate is not valid for this format.",
                )
            })
        }
    }
}

/// One JSON object a line: times in milliseconds, places in bytes.
fn speech_marks(text: &str, marks: &[&str]) -> String {
    let mut lines = String::new();
    let mut push = |kind: &str, at: usize, start: usize, value: &str| {
        let mark = json!({ "time": at, "type": kind, "start": start, "end": start + value.len(), "value": value });
        lines.push_str(&mark.to_string());
        lines.push('\n');
    };
    if marks.contains(&"sentence") {
        push("sentence", 0, 0, text);
    }
    if marks.contains(&"word") {
        let mut from = 0;
        for word in text.split_whitespace() {
            let start = text
                .get(from..)
                .and_then(|rest| rest.find(word))
                .map_or(from, |at| from + at);
            from = start + word.len();
            let letters = text.get(..start).map_or(0, |before| before.chars().count());
            push(
                "word",
                letters * 40,
                start,
                word.trim_matches(|letter: char| letter.is_ascii_punctuation()),
            );
        }
    }
    lines
}

fn voices(call: &Call) -> Result<Answer, Answer> {
    let engine = call.query("Engine");
    if let Some(engine) = &engine {
        one_of(call, "engine", &json!(engine), &ENGINES)?;
    }
    let language = call.query("LanguageCode");
    let fits = |voice: &&(&str, &str, &str, &str, &[&str])| {
        language.as_deref().is_none_or(|code| code == voice.1)
            && engine
                .as_deref()
                .is_none_or(|engine| voice.4.contains(&engine))
    };
    let one = |(id, code, name, gender, engines): &(&str, &str, &str, &str, &[&str])| json!({ "Gender": gender, "Id": id, "LanguageCode": code, "LanguageName": name, "Name": id, "SupportedEngines": engines });
    let voices: Vec<_> = VOICES.iter().filter(fits).map(one).collect();
    let answer = Answer::json(200, &json!({ "Voices": voices }));
    Ok(answer.header("x-amzn-requestid", call.uuid("request")))
}
