//! Answers of capabilities as the client asked to see them: the contract's JSON, the `OpenAI` dialect, subtitles, a
//! recording.

use std::fmt::Write as _;

use bytes::Bytes;
use isobar_adapters::{Content, Failure, Output, capabilities::speech, dialects::subtitles};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    capability::{Asked, Shape},
    problem::{Kind, Problem},
};
use crate::serve::capability::{Answered, Served};

/// An answer, ready to be written.
pub(crate) struct Written {
    pub(crate) media_type: &'static str,
    pub(crate) body: Bytes,
}

/// Writes answers as the client asked to see them.
pub(crate) fn write(asked: &Asked, served: &Served) -> Result<Written, Problem> {
    if asked.many {
        return Ok(json_body(&list(served)));
    }
    let answered = match served.first() {
        Some(Ok(answered)) => answered,
        _ => {
            return Err(Problem::new(
                500,
                Kind::Internal,
                "there is no answer to write",
            ));
        }
    };
    let Content::Transcript(transcript) = &answered.output.content else {
        if let (Shape::Audio, Content::Speech(speech)) = (asked.shape, &answered.output.content) {
            let body = speech
                .audio
                .to_bytes()
                .map_err(|_| Problem::new(500, Kind::Internal, "the recording cannot be read"))?;
            let known = [
                "audio/mpeg",
                "audio/wav",
                "audio/ogg",
                "audio/flac",
                "audio/aac",
                "audio/pcm",
            ];
            let media_type = known
                .into_iter()
                .find(|known| *known == speech.audio.media_type());
            return Ok(Written {
                media_type: media_type.unwrap_or("application/octet-stream"),
                body,
            });
        }
        return Ok(json_body(&Full::of(answered)));
    };
    let plain = |media_type, text: String| Written {
        media_type,
        body: text.into(),
    };
    let cues = || {
        let whole = [subtitles::Spoken {
            start: 0.0,
            end: transcript.duration.unwrap_or(1.0),
            text: &transcript.text,
            speaker: None,
        }];
        if !transcript.words.is_empty() {
            subtitles::cues(
                transcript.words.iter().map(spoken_word),
                transcript.duration,
            )
        } else if !transcript.segments.is_empty() {
            subtitles::cues(
                transcript.segments.iter().map(spoken_segment),
                transcript.duration,
            )
        } else {
            subtitles::cues(whole, transcript.duration)
        }
    };
    Ok(match asked.shape {
        Shape::Full | Shape::Audio => json_body(&Full::of(answered)),
        Shape::Json => {
            json_body(&json!({ "text": transcript.text, "usage": usage(&answered.output) }))
        }
        Shape::Text => plain(
            "text/plain; charset=utf-8",
            format!("{}\n", transcript.text),
        ),
        Shape::Srt => plain(
            "application/x-subrip; charset=utf-8",
            subtitles::srt(&cues()),
        ),
        Shape::Vtt => plain("text/vtt; charset=utf-8", subtitles::vtt(&cues())),
        Shape::Verbose => json_body(&verbose(answered)),
        Shape::Diarized => json_body(&diarized(answered)),
        Shape::Events => plain("text/event-stream", events(answered)),
    })
}

fn spoken_word(word: &speech::Word) -> subtitles::Spoken<'_> {
    subtitles::Spoken {
        start: word.start,
        end: word.end,
        text: &word.text,
        speaker: word.speaker.as_deref(),
    }
}

fn spoken_segment(segment: &speech::Segment) -> subtitles::Spoken<'_> {
    subtitles::Spoken {
        start: segment.start,
        end: segment.end,
        text: &segment.text,
        speaker: segment.speaker.as_deref(),
    }
}

/// An answer with who gave it.
#[derive(Serialize)]
struct Full<'a> {
    #[serde(flatten)]
    output: &'a Output,
    vendor: &'a str,
}

impl<'a> Full<'a> {
    fn of(answered: &'a Answered) -> Self {
        Self {
            output: &answered.output,
            vendor: answered.account.name(),
        }
    }
}

/// Many answers: those that are there, and why the others are not.
fn list(served: &Served) -> Value {
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for (index, served) in served.iter().enumerate() {
        match served {
            Ok(answered) => {
                let mut result = serde_json::to_value(Full::of(answered)).unwrap_or_default();
                if let Some(fields) = result.as_object_mut() {
                    fields.insert("index".to_owned(), json!(index));
                }
                results.push(result);
            }
            Err(failure) => errors.push(error_of(index, failure)),
        }
    }
    json!({ "results": results, "errors": errors })
}

fn error_of(index: usize, failure: &Failure) -> Value {
    json!({ "index": index, "kind": failure.kind.name(), "code": failure.code, "message": failure.message })
}

fn usage(output: &Output) -> Value {
    json!({ "type": "duration", "seconds": output.usage.quantity })
}

/// `OpenAI`'s `verbose_json`.
fn verbose(answered: &Answered) -> Value {
    let Content::Transcript(transcript) = &answered.output.content else {
        return Value::Null;
    };
    let segments = transcript.segments.iter().enumerate().map(|(id, segment)| {
        json!({
            "id": id, "start": segment.start, "end": segment.end, "text": segment.text, "speaker": segment.speaker,
            "confidence": segment.confidence, "avg_logprob": segment.confidence.map(f64::ln), "no_speech_prob": null,
            "seek": 0, "tokens": [], "temperature": 0.0, "compression_ratio": null,
        })
    });
    let words = transcript.words.iter().map(|word| {
        json!({ "word": word.text, "start": word.start, "end": word.end, "confidence": word.confidence, "speaker": word.speaker })
    });
    json!({
        "task": "transcribe", "language": transcript.language, "duration": transcript.duration, "text": transcript.text,
        "segments": segments.collect::<Vec<_>>(), "words": words.collect::<Vec<_>>(), "usage": usage(&answered.output),
        "provider": { "name": answered.account.name(), "model": answered.output.model, "cost_estimate_usd": answered.output.usage.cost_usd },
        "extra": answered.output.extra,
    })
}

/// `OpenAI`'s `diarized_json`.
fn diarized(answered: &Answered) -> Value {
    let Content::Transcript(transcript) = &answered.output.content else {
        return Value::Null;
    };
    let segments = transcript.segments.iter().enumerate().map(|(id, segment)| {
        json!({ "type": "transcript.text.segment", "id": format!("seg_{id:03}"), "start": segment.start, "end": segment.end, "text": segment.text, "speaker": segment.speaker })
    });
    json!({
        "task": "transcribe", "duration": transcript.duration, "text": transcript.text,
        "segments": segments.collect::<Vec<_>>(), "usage": usage(&answered.output),
    })
}

/// The dialect's events: a delta for each segment, then all of it. Vendors answer when they are done, so these come together.
fn events(answered: &Answered) -> String {
    let Content::Transcript(transcript) = &answered.output.content else {
        return String::new();
    };
    let mut text = String::new();
    let mut send = |event: &Value| {
        let _ = write!(text, "data: {event}\n\n");
    };
    let deltas: Vec<&str> = if transcript.segments.is_empty() {
        vec![&transcript.text]
    } else {
        transcript
            .segments
            .iter()
            .map(|segment| segment.text.as_str())
            .collect()
    };
    for (index, delta) in deltas.iter().enumerate() {
        let delta = if index == 0 {
            (*delta).to_owned()
        } else {
            format!(" {delta}")
        };
        send(&json!({ "type": "transcript.text.delta", "delta": delta }));
    }
    send(
        &json!({ "type": "transcript.text.done", "text": transcript.text, "usage": usage(&answered.output) }),
    );
    text
}

fn json_body(value: &impl Serialize) -> Written {
    Written {
        media_type: "application/json",
        body: serde_json::to_vec(value).unwrap_or_default().into(),
    }
}
