//! What vendors that speak `OpenAI`'s audio dialect have in common: the form, and words and segments in seconds. What
//! they offer, and how they refuse, is each vendor's own.

use serde_json::{Map, Value, json};

use crate::{
    answers::{
        audio::rounded,
        speech::{self, Transcript, Word},
    },
    call::{Call, Part},
};

/// The parts of a form; those of a list have brackets behind their name.
pub(super) struct Form(Vec<Part>);

impl Form {
    /// The error is a sentence.
    pub(super) fn read(call: &Call) -> Result<Self, String> {
        call.multipart().map(Self)
    }

    /// The name of the first part that is none of these.
    pub(super) fn unknown(&self, fields: &[&str]) -> Option<&str> {
        let names = self.0.iter().map(|part| part.name.as_str());
        names.into_iter().find(|name| !fields.contains(&bare(name)))
    }

    pub(super) fn part(&self, name: &str) -> Option<&Part> {
        self.0.iter().find(|part| part.name == name)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.part(name).map(Part::text)
    }

    /// Every part of a list.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|part| bare(&part.name) == name)
            .map(Part::text)
            .collect()
    }

    /// What stands behind the last full stop of a file's name, in lower case.
    pub(super) fn extension(file: &Part) -> Option<String> {
        let name = file.filename.as_deref()?;
        name.rsplit_once('.')
            .map(|(_, extension)| extension.to_lowercase())
    }
}

/// `timestamp_granularities[]` without its brackets.
fn bare(name: &str) -> &str {
    name.split('[').next().unwrap_or_default()
}

/// `segments` and `words`, as the form's `timestamp_granularities` want them; segments if they want nothing.
pub(super) fn timed(form: &Form, heard: &Transcript) -> Map<String, Value> {
    let granularities = form.all("timestamp_granularities");
    let asked = |name: &str| granularities.iter().any(|value| value == name);
    let mut timed = Map::new();
    if granularities.is_empty() || asked("segment") {
        timed.insert("segments".to_owned(), segments(heard));
    }
    if asked("word") {
        let words = heard.words.iter().map(
            |word| json!({ "word": word.unpunctuated(), "start": word.start, "end": word.end }),
        );
        timed.insert("words".to_owned(), words.collect());
    }
    timed
}

fn segments(heard: &Transcript) -> Value {
    let one = |(id, words): (usize, &[Word])| {
        let text = speech::joined(words);
        json!({
            "id": id,
            "seek": 0,
            "start": words.first().map(|word| word.start),
            "end": words.last().map(|word| word.end),
            "text": format!(" {text}"),
            "tokens": text.bytes().step_by(4).map(|byte| 50_000 + u32::from(byte)).collect::<Vec<_>>(),
            "temperature": 0.0,
            "avg_logprob": rounded(speech::confidence(words).ln()),
            "compression_ratio": 0.9,
            "no_speech_prob": 0.01,
        })
    };
    heard.sentences().into_iter().enumerate().map(one).collect()
}
