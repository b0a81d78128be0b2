//! The same reading of a transcription by hand: one vendor's answer as typed structs, and ours made of it.

use isobar_adapters::capabilities::speech::{Transcript, Word};
use serde::Deserialize;

#[derive(Deserialize)]
struct Answer<'a> {
    metadata: Metadata,
    #[serde(borrow)]
    results: Results<'a>,
}

#[derive(Deserialize)]
struct Metadata {
    duration: f64,
}

#[derive(Deserialize)]
struct Results<'a> {
    #[serde(borrow)]
    channels: Vec<Channel<'a>>,
}

#[derive(Deserialize)]
struct Channel<'a> {
    #[serde(borrow)]
    alternatives: Vec<Alternative<'a>>,
    detected_language: Option<String>,
}

#[derive(Deserialize)]
struct Alternative<'a> {
    transcript: String,
    confidence: f64,
    #[serde(borrow)]
    words: Vec<Heard<'a>>,
}

#[derive(Deserialize)]
struct Heard<'a> {
    #[serde(borrow)]
    word: std::borrow::Cow<'a, str>,
    start: f64,
    end: f64,
    confidence: f64,
    punctuated_word: Option<String>,
    speaker: Option<u32>,
}

/// Reads an answer.
pub fn transcript(body: &[u8]) -> Option<Transcript> {
    let answer: Answer<'_> = serde_json::from_slice(body).ok()?;
    let channel = answer.results.channels.into_iter().next()?;
    let heard = channel.alternatives.into_iter().next()?;
    let words = heard.words.into_iter().map(|word| Word {
        text: word
            .punctuated_word
            .unwrap_or_else(|| word.word.into_owned()),
        start: word.start,
        end: word.end,
        confidence: Some(word.confidence),
        speaker: word
            .speaker
            .map(|speaker| format!("speaker_{}", speaker + 1)),
    });
    Some(Transcript {
        text: heard.transcript,
        language: channel.detected_language,
        confidence: Some(heard.confidence),
        duration: Some(answer.metadata.duration),
        words: words.collect(),
        segments: Vec::new(),
    })
}
