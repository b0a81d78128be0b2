//! Transcriptions, in every form that they can be asked for.

use serde_json::{Value, json};

use super::{FILE, error_body, missing, model, tokens, wrong};
use crate::{
    answer::Answer,
    answers::{
        audio::{self, Unreadable, rounded},
        language,
        speech::{self, Transcript, Word},
        subtitles,
    },
    call::{Call, Part},
    vendors::openai_dialect::{Form, timed},
};

const FORMATS: [&str; 10] = [
    "flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm",
];
/// Names of form fields, without `[…]` behind them.
const FIELDS: [&str; 14] = [
    "file",
    "model",
    "language",
    "languages",
    "keywords",
    "prompt",
    "response_format",
    "temperature",
    "include",
    "timestamp_granularities",
    "stream",
    "chunking_strategy",
    "known_speaker_names",
    "known_speaker_references",
];

pub(super) fn transcribe(call: &Call) -> Result<Answer, Answer> {
    let form = read(call)?;
    let name = form.text("model").ok_or_else(|| missing("model"))?;
    let model = model(&name, "listen")?;
    let file = form.part("file").ok_or_else(|| missing("file"))?;
    let format = form
        .text("response_format")
        .unwrap_or_else(|| "json".to_owned());
    check(&form, model, &format)?;
    let heard = hear(file)?;
    let streamed =
        form.text("stream").is_some_and(|stream| stream == "true") && model != "whisper-1";
    let answer = if streamed {
        Answer::events(events(&heard, &format))
    } else {
        render(&form, model, &format, &heard)
    };
    Ok(answer
        .fact("model", model)
        .fact("seconds", heard.duration)
        .fact("format", format))
}

fn read(call: &Call) -> Result<Form, Answer> {
    let form = Form::read(call).map_err(|mistake| {
        let message = format!("Could not parse multipart form: {mistake}");
        Answer::json(
            400,
            &error_body(&message, "invalid_request_error", None, None),
        )
    })?;
    if let Some(name) = form.unknown(&FIELDS) {
        let message = format!("Unknown parameter: '{name}'.");
        return Err(wrong(name, "unknown_parameter", &message));
    }
    Ok(form)
}

fn check(form: &Form, model: &str, format: &str) -> Result<(), Answer> {
    let offered: &[&str] = match model {
        "whisper-1" => &["json", "text", "srt", "verbose_json", "vtt"],
        "gpt-4o-transcribe-diarize" => &["json", "text", "diarized_json"],
        _ => &["json", "text"],
    };
    if !offered.contains(&format) {
        let message = format!("response_format '{format}' is not compatible with model '{model}'.");
        return Err(wrong("response_format", "unsupported_value", &message));
    }
    let granularities = form.all("timestamp_granularities");
    if !granularities.is_empty() && format != "verbose_json" {
        let message = "timestamp_granularities requires response_format 'verbose_json'.";
        return Err(wrong("timestamp_granularities", "invalid_value", message));
    }
    if let Some(value) = granularities
        .iter()
        .find(|value| !["word", "segment"].contains(&value.as_str()))
    {
        let message =
            format!("Invalid value: '{value}'. Supported values are: 'word' and 'segment'.");
        return Err(wrong("timestamp_granularities", "invalid_value", &message));
    }
    if let Some(code) = form
        .text("language")
        .filter(|code| !code.is_empty() && language::name(code).is_none())
    {
        let message = format!(
            "Invalid language '{code}'. Language parameter must be specified in ISO-639-1 format."
        );
        return Err(wrong("language", "invalid_language_format", &message));
    }
    let temperature = form.text("temperature").map(|text| text.parse::<f64>());
    if temperature.is_some_and(|parsed| !parsed.is_ok_and(|value| (0.0..=1.0).contains(&value))) {
        return Err(wrong(
            "temperature",
            "invalid_value",
            "Invalid value for 'temperature': expected a number from 0 to 1.",
        ));
    }
    Ok(())
}

fn hear(file: &Part) -> Result<Transcript, Answer> {
    if file.body.len() > FILE {
        let message = format!(
            "Maximum content size limit ({FILE}) exceeded ({} bytes read)",
            file.body.len()
        );
        return Err(Answer::json(
            413,
            &error_body(&message, "server_error", None, None),
        ));
    }
    if !Form::extension(file).is_some_and(|extension| FORMATS.contains(&extension.as_str())) {
        let message =
            format!("Invalid file format. Supported formats: {FORMATS:?}").replace('"', "'");
        return Err(Answer::json(
            400,
            &error_body(&message, "invalid_request_error", None, None),
        ));
    }
    let audio = audio::probe(&file.body).map_err(|reason| match reason {
        Unreadable::Empty => wrong(
            "file",
            "invalid_value",
            "Audio file is too short. Minimum audio length is 0.1 seconds.",
        ),
        Unreadable::Unknown => wrong(
            "file",
            "invalid_value",
            "Audio file might be corrupted or unsupported",
        ),
    })?;
    if audio.duration < 0.1 {
        let message = "Audio file is too short. Minimum audio length is 0.1 seconds.";
        return Err(wrong("file", "audio_too_short", message));
    }
    Ok(speech::transcribe(&file.body, &audio))
}

fn render(form: &Form, model: &str, format: &str, heard: &Transcript) -> Answer {
    let text = heard.text();
    match format {
        "text" => Answer::text(200, "text/plain; charset=utf-8", format!("{text}\n")),
        "srt" => Answer::text(200, "text/plain; charset=utf-8", subtitles::srt(heard)),
        "vtt" => Answer::text(200, "text/plain; charset=utf-8", subtitles::vtt(heard)),
        "verbose_json" => Answer::json(200, &verbose(form, heard)),
        "diarized_json" => Answer::json(
            200,
            &json!({
                "task": "transcribe",
                "duration": heard.duration,
                "text": text,
                "segments": diarized(heard),
                "usage": { "type": "duration", "seconds": heard.duration.ceil() },
            }),
        ),
        _ => {
            let mut body = json!({ "text": text });
            let usage = if model == "whisper-1" {
                json!({ "type": "duration", "seconds": heard.duration.ceil() })
            } else {
                usage(heard)
            };
            if let Some(body) = body.as_object_mut() {
                if model == "gpt-transcribe" {
                    body.insert("languages".to_owned(), json!([{ "code": heard.language }]));
                }
                if model.contains("4o") && form.all("include").iter().any(|item| item == "logprobs")
                {
                    body.insert("logprobs".to_owned(), logprobs(&heard.words));
                }
                body.insert("usage".to_owned(), usage);
            }
            Answer::json(200, &body)
        }
    }
}

/// Ten tokens of sound for each second.
fn usage(heard: &Transcript) -> Value {
    let mut sound = 0_u64;
    while rounded(f64::from(u32::try_from(sound).unwrap_or(u32::MAX)) / 10.0) < heard.duration {
        sound += 1;
    }
    let output = tokens(&heard.text());
    let total = sound + u64::try_from(output).unwrap_or_default();
    json!({
        "type": "tokens",
        "input_tokens": sound,
        "input_token_details": { "text_tokens": 0, "audio_tokens": sound },
        "output_tokens": output,
        "total_tokens": total,
    })
}

fn logprobs(words: &[Word]) -> Value {
    let one = |(at, word): (usize, &Word)| {
        let token = if at == 0 {
            word.text.clone()
        } else {
            format!(" {}", word.text)
        };
        json!({ "token": token, "logprob": rounded(word.confidence.ln()), "bytes": token.as_bytes() })
    };
    words.iter().enumerate().map(one).collect()
}

fn verbose(form: &Form, heard: &Transcript) -> Value {
    let mut body = json!({
        "task": "transcribe",
        "language": speech::english_name(&heard.language).to_lowercase(),
        "duration": heard.duration,
        "text": heard.text(),
    });
    if let Some(body) = body.as_object_mut() {
        body.extend(timed(form, heard));
        body.insert(
            "usage".to_owned(),
            json!({ "type": "duration", "seconds": heard.duration.ceil() }),
        );
    }
    body
}

/// `A`, `B` …
fn speaker(number: u32) -> String {
    let letter = u8::try_from(number % 26).unwrap_or_default() + b'A';
    char::from(letter).to_string()
}

fn diarized(heard: &Transcript) -> Vec<Value> {
    let one = |(id, words): (usize, &[Word])| {
        json!({
            "type": "transcript.text.segment",
            "id": format!("seg_{:03}", id + 1),
            "start": words.first().map(|word| word.start),
            "end": words.last().map(|word| word.end),
            "text": speech::joined(words),
            "speaker": words.first().map(|word| speaker(word.speaker)),
        })
    };
    heard.sentences().into_iter().enumerate().map(one).collect()
}

fn events(heard: &Transcript, format: &str) -> Vec<String> {
    let event = |value: &Value| format!("data: {value}\n\n");
    let mut events = Vec::new();
    for (at, word) in heard.words.iter().enumerate() {
        let delta = if at == 0 {
            word.text.clone()
        } else {
            format!(" {}", word.text)
        };
        events.push(event(
            &json!({ "type": "transcript.text.delta", "delta": delta }),
        ));
    }
    if format == "diarized_json" {
        events.extend(diarized(heard).iter().map(event));
    }
    events.push(event(
        &json!({ "type": "transcript.text.done", "text": heard.text(), "usage": usage(heard) }),
    ));
    events
}
