//! Text from speech: known recordings by their digest, others by words drawn from it.

use std::sync::LazyLock;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    audio::{Audio, rounded},
    text::Span,
};
use crate::call::hex;

/// What is said in a recording. Times in seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Transcript {
    /// ISO 639-1.
    pub(crate) language: String,
    /// Length of the recording.
    pub(crate) duration: f64,
    /// 0 to 1; 0 when nothing is said.
    pub(crate) confidence: f64,
    /// In order.
    pub(crate) words: Vec<Word>,
}

/// One word.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word {
    /// As written, with case and punctuation.
    pub(crate) text: String,
    /// Seconds.
    pub(crate) start: f64,
    /// Seconds.
    pub(crate) end: f64,
    /// 0 to 1.
    pub(crate) confidence: f64,
    /// From 0.
    pub(crate) speaker: u32,
}

impl Word {
    /// In lower case, without punctuation at its ends.
    pub(crate) fn bare(&self) -> String {
        self.unpunctuated().to_lowercase()
    }

    /// Without punctuation at its ends.
    pub(crate) fn unpunctuated(&self) -> &str {
        self.text
            .trim_matches(|letter: char| !letter.is_alphanumeric())
    }

    /// The punctuation behind it; empty if there is none.
    pub(crate) fn mark(&self) -> &str {
        let bare = self
            .text
            .trim_end_matches(|letter: char| !letter.is_alphanumeric());
        self.text.get(bare.len()..).unwrap_or_default()
    }
}

impl Transcript {
    /// Everything said.
    pub(crate) fn text(&self) -> String {
        joined(&self.words)
    }

    /// Sentences: words up to a full stop, a question or exclamation mark, or a change of speaker.
    pub(crate) fn sentences(&self) -> Vec<&[Word]> {
        let apart = |one: &Word, next: &Word| {
            one.text.ends_with(['.', '?', '!']) || one.speaker != next.speaker
        };
        self.words.chunk_by(|one, next| !apart(one, next)).collect()
    }

    /// The words that a stretch of [`Transcript::text`] covers.
    pub(crate) fn words_in(&self, span: &Span) -> &[Word] {
        let text = self.text();
        let before: String = text.chars().take(span.offset).collect();
        let start = before.split(' ').count() - 1;
        let count = span.text.split(' ').count();
        self.words.get(start..start + count).unwrap_or_default()
    }

    /// How many speak.
    pub(crate) fn speakers(&self) -> u32 {
        self.words
            .iter()
            .map(|word| word.speaker + 1)
            .max()
            .unwrap_or_default()
    }
}

/// Words with a space between.
pub(crate) fn joined(words: &[Word]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.text.as_str()).collect();
    words.join(" ")
}

/// Mean of the words' confidences; 0 for none.
pub(crate) fn confidence(words: &[Word]) -> f64 {
    let sum: f64 = words.iter().map(|word| word.confidence).sum();
    if words.is_empty() {
        return 0.0;
    }
    rounded(sum / super::audio::as_f64(words.len()))
}

/// One entry of `fixtures/speech.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    #[cfg_attr(not(test), expect(dead_code, reason = "a test reads the file"))]
    file: String,
    sha256: String,
    samples: String,
    language: String,
    confidence: f64,
    words: Vec<(String, f64, f64, f64, u32)>,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    // A test reads it too; a broken table knows nothing.
    serde_saphyr::from_str(include_str!("../../fixtures/speech.yaml")).unwrap_or_default()
});

/// What is said. Known by the digest of the whole file or of its samples alone, so that a vendor that takes bare
/// samples hears the same. Silence says nothing. Any other recording says two to three words a second, drawn from its
/// digest, ended by a full stop.
pub(crate) fn transcribe(file: &[u8], audio: &Audio<'_>) -> Transcript {
    let samples = hex(&Sha256::digest(audio.samples));
    let whole = hex(&Sha256::digest(file));
    let known = KNOWN
        .iter()
        .find(|known| known.sha256 == whole || known.samples == samples);
    if let Some(known) = known {
        let words = known.words.iter().cloned();
        return Transcript {
            language: known.language.clone(),
            duration: audio.duration,
            confidence: known.confidence,
            words: words
                .map(|(text, start, end, confidence, speaker)| Word {
                    text,
                    start,
                    end,
                    confidence,
                    speaker,
                })
                .collect(),
        };
    }
    let words = if audio.silent {
        Vec::new()
    } else {
        drawn(audio)
    };
    Transcript {
        language: "en".to_owned(),
        duration: audio.duration,
        confidence: confidence(&words),
        words,
    }
}

/// Words that mean nothing, but are words.
const VOCABULARY: [&str; 32] = [
    "river", "market", "yellow", "seven", "quiet", "morning", "window", "paper", "garden",
    "silver", "bridge", "winter", "letter", "music", "orange", "station", "summer", "number",
    "coffee", "mountain", "simple", "island", "evening", "pencil", "harbour", "candle", "feather",
    "marble", "lantern", "meadow", "ribbon", "thunder",
];

/// Most words drawn for one recording.
const MOST: u32 = 4000;

fn drawn(audio: &Audio<'_>) -> Vec<Word> {
    let mut link: [u8; 32] = Sha256::digest(audio.samples).into();
    let mut words = Vec::new();
    let step = 0.4;
    let mut number = 0;
    while number < MOST {
        let start = rounded(f64::from(number) * step);
        let end = rounded((start + 0.32).min(audio.duration));
        if number > 0 && start + 0.32 > audio.duration {
            break;
        }
        let place = usize::try_from(number % 32).unwrap_or_default();
        if place == 0 && number > 0 {
            link = Sha256::digest(link).into();
        }
        let byte = link.get(place).copied().unwrap_or_default();
        let word = VOCABULARY
            .get(usize::from(byte % 32))
            .copied()
            .unwrap_or("silence");
        words.push(Word {
            text: word.to_owned(),
            start,
            end,
            confidence: rounded(0.8 + f64::from(byte) / 1500.0),
            speaker: 0,
        });
        number += 1;
    }
    if let Some(first) = words.first_mut() {
        let (head, tail) = first.text.split_at(1);
        first.text = format!("{}{tail}", head.to_uppercase());
    }
    if let Some(last) = words.last_mut() {
        last.text.push('.');
    }
    words
}

/// English names of the languages that recognisers name by word.
pub(crate) fn english_name(code: &str) -> &'static str {
    super::language::name(code).unwrap_or("English")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::audio::{pcm, probe};

    const WEATHER: &[u8] = include_bytes!("../../fixtures/weather.wav");

    #[test]
    fn every_known_recording_is_in_order_and_inside_its_length() {
        assert_eq!(KNOWN.len(), 2);
        for known in KNOWN.iter() {
            let path = format!("{}/fixtures/{}", env!("CARGO_MANIFEST_DIR"), known.file);
            let bytes = std::fs::read(path).unwrap();
            let heard = transcribe(&bytes, &probe(&bytes).unwrap());
            assert_eq!(known.sha256, hex(&Sha256::digest(&bytes)));
            assert_eq!(
                known.samples,
                hex(&Sha256::digest(probe(&bytes).unwrap().samples))
            );
            let mut before = 0.0;
            for word in &heard.words {
                assert!(
                    before <= word.start && word.start < word.end && word.end <= heard.duration,
                    "{word:?}"
                );
                before = word.end;
            }
        }
    }

    #[test]
    fn bare_samples_say_what_thefile_says() {
        let file = probe(WEATHER).unwrap();
        let bare = pcm(file.samples, 16_000).unwrap();
        let heard = transcribe(WEATHER, &file);
        assert_eq!(
            heard.text(),
            "The weather in London is sunny today. Please call me back at three o'clock."
        );
        assert_eq!(transcribe(file.samples, &bare), heard);
        assert_eq!(heard.sentences().len(), 2);
        assert_eq!(
            (heard.words[13].bare().as_str(), heard.words[13].mark()),
            ("o'clock", ".")
        );
    }

    #[test]
    fn an_unknown_recording_says_the_same_each_time_and_silence_nothing() {
        let tone = crate::answers::voice::wav(
            "fifty characters of text that become two seconds..",
            16_000,
        );
        let heard = transcribe(&tone, &probe(&tone).unwrap());
        assert_eq!(heard, transcribe(&tone, &probe(&tone).unwrap()));
        assert!(
            heard.words.len() >= 4 && heard.text().ends_with('.'),
            "{}",
            heard.text()
        );
        let mut silence = WEATHER[..44 + 32_000].to_vec();
        silence[44..].fill(0);
        assert!(
            transcribe(&silence, &probe(&silence).unwrap())
                .words
                .is_empty()
        );
    }
}
