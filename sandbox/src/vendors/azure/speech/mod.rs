//! Transcription: fast (multipart, milliseconds), short audio (raw, ticks), and batch (`batch.rs`).

pub(super) mod batch;

use serde_json::{Map, Value, json};

use super::{answer, errors};
use crate::{
    answer::Answer,
    answers::{
        audio::{self, rounded},
        language,
        speech::{self, Word},
    },
    call::Call,
    vendor::Class,
};

/// Most seconds of audio: of short audio and in fast transcription.
const SHORT: f64 = 60.0;
const FAST: f64 = 7200.0;

/// Versions of fast transcription.
const VERSIONS: [&str; 3] = ["2025-10-15", "2024-11-15", "2024-05-15-preview"];
const FILTERS: [&str; 4] = ["None", "Removed", "Tags", "Masked"];

/// Whether a locale such as `en-US` is offered; a language without a region is not.
fn offered(locale: &str) -> bool {
    locale.contains('-') && language::name(locale).is_some()
}

/// Hundreds of nanoseconds.
#[expect(clippy::cast_possible_truncation, reason = "recordings are short")]
fn ticks(seconds: f64) -> i64 {
    (seconds * 10_000_000.0).round() as i64
}

fn milliseconds(seconds: f64) -> i64 {
    ticks(seconds) / 10_000
}

/// First word's begin and the time to the last one's end, in seconds.
fn extent(words: &[Word]) -> (f64, f64) {
    let start = words.first().map_or(0.0, |word| word.start);
    let end = words.last().map_or(0.0, |word| word.end);
    (start, rounded(end - start))
}

/// As it was spoken: lower case, no punctuation.
fn lexical(words: &[Word]) -> String {
    let words: Vec<_> = words.iter().map(Word::bare).collect();
    words.join(" ")
}

/// As it was spoken, with names as they are written, no punctuation.
fn normalised(words: &[Word]) -> String {
    let words: Vec<_> = words.iter().map(Word::unpunctuated).collect();
    words.join(" ")
}

/// `POST /speechtotext/transcriptions:transcribe`.
pub(super) fn fast(call: &Call) -> Result<Answer, Answer> {
    let invalid = |message: &str, inner: &str| {
        errors::speech(call, 400, "InvalidArgument", message, Some(inner))
    };
    let version = call.query("api-version").unwrap_or_default();
    if !VERSIONS.contains(&version.as_str()) {
        let message = "The api-version is missing or not supported.";
        return Err(invalid(message, "InvalidParameterValue"));
    }
    let parts = call
        .multipart()
        .map_err(|error| invalid(&error, "InvalidRequestBodyFormat"))?;
    let part = |name: &str| parts.iter().find(|part| part.name == name);
    let definition = part("definition")
        .ok_or_else(|| invalid("The definition is missing.", "InvalidPayload"))?;
    let definition: Value = serde_json::from_slice(&definition.body)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| invalid("The definition is not a JSON object.", "InvalidPayload"))?;
    let locales = locales(call, &definition)?;
    let filter = definition.get("profanityFilterMode");
    if filter.is_some_and(|filter| !filter.as_str().is_some_and(|name| FILTERS.contains(&name))) {
        let message = "The profanityFilterMode is not valid.";
        return Err(invalid(message, "InvalidPayload"));
    }
    let speakers = speakers(call, &definition)?;
    let Some(file) = part("audio") else {
        let message = match definition.get("audioUrl") {
            Some(_) => "The audio file could not be downloaded.",
            None => "The audio is missing.",
        };
        return Err(invalid(message, "InvalidPayload"));
    };
    // 422 is what becomes of files that cannot be understood.
    let audio = audio::probe(&file.body).map_err(|_| {
        let message = "The audio file could not be decoded.";
        errors::speech(
            call,
            422,
            "UnprocessableEntity",
            message,
            Some("InvalidPayload"),
        )
    })?;
    if audio.duration > FAST {
        let message = "The audio is longer than two hours.";
        return Err(errors::class(call, Class::TooLarge, message));
    }
    let channels = channels(call, &definition, audio.channels)?;
    let heard = speech::transcribe(&file.body, &audio);
    let locale = locales
        .iter()
        .find(|locale| locale.starts_with(&heard.language))
        .or(locales.first())
        .map_or("en-US", String::as_str);
    let mut combined = Vec::new();
    let mut phrases = Vec::new();
    for channel in &channels {
        let mut whole = Map::new();
        whole.extend(channel.map(|channel| ("channel".to_owned(), json!(channel))));
        whole.insert("text".to_owned(), json!(heard.text()));
        if !heard.words.is_empty() {
            combined.push(Value::Object(whole));
        }
        for sentence in heard.sentences() {
            phrases.push(phrase(sentence, *channel, speakers, locale));
        }
    }
    let body = json!({
        "durationMilliseconds": milliseconds(heard.duration),
        "combinedPhrases": combined,
        "phrases": phrases,
    });
    Ok(answer(call, 200, &body).fact("seconds", heard.duration))
}

/// The locales that are asked for; none means that all are tried.
fn locales(call: &Call, definition: &Value) -> Result<Vec<String>, Answer> {
    let list = definition.get("locales").and_then(Value::as_array);
    let list = list.map(Vec::as_slice).unwrap_or_default();
    let locales = list.iter().map(|locale| {
        let text = locale.as_str().filter(|locale| offered(locale));
        text.map(str::to_owned).ok_or_else(|| {
            let message = format!("The locale {locale} is not supported.");
            errors::class(call, Class::Unsupported, &message)
        })
    });
    locales.collect()
}

/// Whether speakers are to be told apart.
fn speakers(call: &Call, definition: &Value) -> Result<bool, Answer> {
    let diarization = definition.get("diarization");
    let most = diarization.and_then(|told| told.get("maxSpeakers"));
    let fits = |most: &Value| most.as_u64().is_some_and(|most| (2..=35).contains(&most));
    if most.is_some_and(|most| !fits(most)) {
        let message = "The value of maxSpeakers must be between 2 and 35.";
        return Err(errors::speech(
            call,
            400,
            "InvalidArgument",
            message,
            Some("InvalidPayload"),
        ));
    }
    // The official client only ever says how many.
    let enabled = |told: &Value| told.get("enabled").and_then(Value::as_bool).unwrap_or(true);
    Ok(diarization.is_some_and(enabled))
}

/// The channels to be told apart; one unnamed channel if none are asked for.
fn channels(call: &Call, definition: &Value, held: u16) -> Result<Vec<Option<u64>>, Answer> {
    let Some(list) = definition.get("channels").and_then(Value::as_array) else {
        return Ok(vec![None]);
    };
    let channels: Vec<_> = list.iter().map(Value::as_u64).collect();
    let known = |channel: &Option<u64>| channel.is_some_and(|channel| channel < u64::from(held));
    if channels.is_empty() || channels.len() > 2 || !channels.iter().all(known) {
        let message = "The channels are not in the audio.";
        return Err(errors::speech(
            call,
            400,
            "InvalidArgument",
            message,
            Some("InvalidChannels"),
        ));
    }
    Ok(channels)
}

fn phrase(sentence: &[Word], channel: Option<u64>, speakers: bool, locale: &str) -> Value {
    let (start, length) = extent(sentence);
    let words = sentence.iter().map(|word| {
        json!({
            "text": word.text,
            "offsetMilliseconds": milliseconds(word.start),
            "durationMilliseconds": milliseconds(word.end - word.start),
        })
    });
    let mut told = Map::new();
    told.extend(channel.map(|channel| ("channel".to_owned(), json!(channel))));
    let speaker = sentence.first().filter(|_| speakers);
    told.extend(speaker.map(|word| ("speaker".to_owned(), json!(word.speaker))));
    told.insert("offsetMilliseconds".to_owned(), json!(milliseconds(start)));
    told.insert(
        "durationMilliseconds".to_owned(),
        json!(milliseconds(length)),
    );
    told.insert("text".to_owned(), json!(speech::joined(sentence)));
    told.insert("words".to_owned(), words.collect());
    told.insert("locale".to_owned(), json!(locale));
    told.insert("confidence".to_owned(), json!(speech::confidence(sentence)));
    Value::Object(told)
}

/// `POST /speech/recognition/{mode}/cognitiveservices/v1`. What is not understood is a status inside a 200.
pub(super) fn short(call: &Call) -> Result<Answer, Answer> {
    let refused = |message: &str| errors::plain(call, 400, message);
    let modes = ["conversation", "interactive", "dictation"];
    let segments = call.segments();
    let known = match segments.as_slice() {
        [_, _, mode, service, version] => {
            modes.contains(&mode.as_str()) && service == "cognitiveservices" && version == "v1"
        }
        _ => false,
    };
    if !known {
        return Err(errors::plain(call, 404, "Resource not found"));
    }
    let locale = call.query("language").unwrap_or_default();
    if !offered(&locale) {
        return Err(refused("The language is missing or not supported."));
    }
    let format = call.query("format").unwrap_or_else(|| "simple".to_owned());
    if !["simple", "detailed"].contains(&format.as_str()) {
        return Err(refused("The format must be simple or detailed."));
    }
    let wanted = match call.media_type().as_str() {
        "audio/wav" => "wav",
        "audio/ogg" => "ogg",
        _ => {
            return Err(errors::plain(
                call,
                415,
                "The content type is not supported.",
            ));
        }
    };
    let audio = audio::probe(&call.body).ok();
    let audio = audio.filter(|audio| audio.format == wanted);
    let audio = audio.ok_or_else(|| refused("The audio is not valid."))?;
    if audio.duration > SHORT {
        return Err(refused("The audio is longer than 60 seconds."));
    }
    let heard = speech::transcribe(&call.body, &audio);
    let (start, length) = extent(&heard.words);
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    if heard.words.is_empty() {
        put("RecognitionStatus", json!("InitialSilenceTimeout"));
        put("Offset", json!(ticks(heard.duration)));
        put("Duration", json!(0));
    } else {
        put("RecognitionStatus", json!("Success"));
        put("Offset", json!(ticks(start)));
        put("Duration", json!(ticks(length)));
        if format == "detailed" {
            let mut best = json!({
                "Confidence": heard.confidence,
                "Lexical": lexical(&heard.words),
                "ITN": normalised(&heard.words),
                "MaskedITN": normalised(&heard.words),
                "Display": heard.text(),
            });
            if call.query_flag("wordLevelTimestamps")
                && let Some(best) = best.as_object_mut()
            {
                let words = heard.words.iter().map(|word| {
                    json!({
                        "Word": word.bare(),
                        "Offset": ticks(word.start),
                        "Duration": ticks(word.end - word.start),
                    })
                });
                best.insert("Words".to_owned(), words.collect());
            }
            put("NBest", json!([best]));
        }
        put("DisplayText", json!(heard.text()));
    }
    let told = answer(call, 200, &Value::Object(body));
    Ok(told.fact("seconds", heard.duration))
}
