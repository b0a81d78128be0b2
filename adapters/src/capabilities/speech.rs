//! Speech: recordings to text, and text to recordings.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    blob::Blob,
    capability::{About, round},
    draft::{
        Draft, Fields,
        Kind::{Items, Value},
        promised,
    },
    language,
    projection::Misread,
    tree::Tree,
};

/// A recording to be written down.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transcribe {
    /// BCP 47 tag of the language spoken; left out, the vendor detects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// `auto`, `VENDOR/MODEL`, or a model's name, which only vendors that know it are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What was said before, or what the recording is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Words that are likely to come up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keywords: Option<Vec<String>>,
    /// Whether each word with its times is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<bool>,
    /// Whether speakers are to be told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speakers: Option<bool>,
    /// Most speakers that there can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub speakers_max: Option<u32>,
    /// 0 to 1; higher is freer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub temperature: Option<f64>,
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Transcript {
    /// All of it; empty when nothing was said.
    pub text: String,
    /// BCP 47 tag, if the vendor tells or the caller said.
    pub language: Option<String>,
    /// 0 to 1; not to be compared across vendors.
    pub confidence: Option<f64>,
    /// Length of the recording, in seconds.
    pub duration: Option<f64>,
    /// Words in order of time; empty where the vendor gives none.
    pub words: Vec<Word>,
    /// Sentences or turns in order of time; empty where the vendor gives none.
    pub segments: Vec<Segment>,
}

/// One word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Word {
    /// The word, with the punctuation that follows it where the vendor writes any.
    pub text: String,
    /// Seconds from the start of the recording.
    pub start: f64,
    /// Seconds from the start of the recording; where the vendor does not tell, the start of the next word.
    pub end: f64,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// `speaker_1`, `speaker_2` … in order of first appearance.
    pub speaker: Option<String>,
}

/// A sentence or a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// Its text.
    pub text: String,
    /// Seconds from the start of the recording.
    pub start: f64,
    /// Seconds from the start of the recording.
    pub end: f64,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// `speaker_1`, `speaker_2` … in order of first appearance.
    pub speaker: Option<String>,
}

const WORD: [(&str, crate::draft::Kind); 8] = [
    ("text", Value),
    ("start", Value),
    ("end", Value),
    ("duration", Value),
    ("confidence", Value),
    ("speaker", Value),
    // `punctuation` is put after the word before it; anything else is a word.
    ("kind", Value),
    // `next` puts punctuation before the word after it instead, as Spanish opens a question.
    ("attaches", Value),
];
static WORDS: Draft = Draft { fields: &WORD };
static SEGMENTS: Draft = Draft {
    fields: &[
        ("text", Value),
        ("start", Value),
        ("end", Value),
        ("duration", Value),
        ("confidence", Value),
        ("speaker", Value),
        ("words", Items(&WORDS)),
    ],
};
/// Fields of `returns` for `speech.transcribe`. Words may stand in their segments instead.
pub(crate) static TRANSCRIPT: Draft = Draft {
    fields: &[
        ("text", Value),
        ("language", Value),
        ("confidence", Value),
        ("duration", Value),
        ("words", Items(&WORDS)),
        ("segments", Items(&SEGMENTS)),
        // What stands between words, where the vendor gives no text: a blank unless it says otherwise.
        ("delimiter", Value),
    ],
};

/// Makes the transcript from what a manifest returns.
pub(crate) fn transcript(tree: Tree<'_>, about: &About<'_>) -> Result<Transcript, Misread> {
    let mut fields = Fields::of(tree);
    let text = fields.string(0);
    let delimiter = fields.string(6).unwrap_or_else(|| " ".to_owned());
    let mut heard = Words::default();
    let mut told = fields.items(4);
    heard.spoken.reserve_exact(told.left());
    while let Some(word) = told.next_record() {
        heard.push(word, None)?;
    }
    let own_words = !heard.spoken.is_empty();
    let mut segments: Vec<Segment> = Vec::new();
    let mut told = fields.items(5);
    while let Some(mut segment) = told.next_record() {
        let speaker = segment
            .text(5)
            .and_then(|label| heard.speakers.name(&label));
        let (first, mut more) = (heard.spoken.len(), segment.items(6));
        if !own_words {
            while let Some(word) = more.next_record() {
                heard.push(word, speaker.as_deref())?;
            }
        }
        let inside = heard.spoken.get(first..).unwrap_or_default();
        let before = || segments.last().map(|segment| segment.end);
        let start = segment
            .number(1)
            .or(inside.first().map(|word| word.start))
            .or_else(before)
            .unwrap_or_default();
        let end = segment
            .number(2)
            .or_else(|| segment.number(3).map(|length| start + length))
            .or(inside
                .last()
                .map(|word| word.end)
                .filter(|end| end.is_finite()));
        segments.push(Segment {
            text: segment.text(0).map_or_else(
                || sentence(inside, &delimiter),
                |text| text.trim().to_owned(),
            ),
            start: round(start),
            end: round(end.unwrap_or(start).max(start)),
            confidence: probability(segment.number(4)),
            speaker,
        });
    }
    let mut words = heard.spoken;
    words.sort_by(|a, b| a.start.total_cmp(&b.start));
    let media = about
        .blobs
        .iter()
        .find(|(name, _)| *name == "audio")
        .and_then(|(_, blob)| blob.media().duration);
    let duration = fields.number(3).or(media).map(round);
    end_words(&mut words, duration);
    segments.sort_by(|a, b| a.start.total_cmp(&b.start));
    let text = match text {
        Some(text) => text.trim().to_owned(),
        None if !segments.is_empty() => segments
            .iter()
            .map(|segment| segment.text.as_str())
            .collect::<Vec<_>>()
            .join(&delimiter),
        None if !words.is_empty() => sentence(&words, &delimiter),
        None => return promised(None, "text"),
    };
    let language = fields.text(1).map(|tag| language::canonical(&tag));
    let asked = || {
        about
            .input
            .get("language")
            .and_then(|tag| tag.as_str())
            .map(language::canonical)
    };
    Ok(Transcript {
        text,
        language: language.or_else(asked),
        confidence: probability(fields.number(2)),
        duration,
        words,
        segments,
    })
}

/// The words so far, and punctuation that waits for the word after it.
#[derive(Default)]
struct Words {
    spoken: Vec<Word>,
    speakers: Speakers,
    opening: String,
}

impl Words {
    fn push(&mut self, mut word: Fields<'_, '_>, inherited: Option<&str>) -> Result<(), Misread> {
        let text = promised(word.text(0), "words.text")?;
        let text = text.trim();
        if word.text(6).is_some_and(|kind| kind == "punctuation") {
            if word.text(7).is_some_and(|to| to == "next") {
                self.opening.push_str(text);
            } else if let Some(last) = self.spoken.last_mut() {
                last.text.push_str(text);
            }
            return Ok(());
        }
        if text.is_empty() {
            return Ok(());
        }
        // Vendors that leave zeros out mean a start of 0.
        let start = word.number(1).unwrap_or_default();
        let end = word
            .number(2)
            .or_else(|| word.number(3).map(|length| start + length))
            .unwrap_or(f64::INFINITY);
        let spoken = match self.opening.as_str() {
            "" => text.to_owned(),
            _ => std::mem::take(&mut self.opening) + text,
        };
        self.spoken.push(Word {
            text: spoken,
            start: round(start),
            end: round(end.max(start)),
            confidence: probability(word.number(4)),
            speaker: word
                .text(5)
                .and_then(|label| self.speakers.name(&label))
                .or_else(|| inherited.map(str::to_owned)),
        });
        Ok(())
    }
}

/// Where no end was told, a word lasts until the next one begins, and the last one until the recording ends.
fn end_words(words: &mut [Word], duration: Option<f64>) {
    let mut next = duration;
    for word in words.iter_mut().rev() {
        if !word.end.is_finite() {
            word.end = next.map_or(word.start, |next| next.max(word.start));
        }
        next = Some(word.start);
    }
}

fn probability(value: Option<f64>) -> Option<f64> {
    value
        .filter(|value| value.is_finite())
        .map(|value| value.clamp(0.0, 1.0))
}

fn sentence(words: &[Word], delimiter: &str) -> String {
    words
        .iter()
        .map(|word| word.text.as_str())
        .collect::<Vec<_>>()
        .join(delimiter)
}

/// Vendors' labels for speakers, each with its name: `speaker_1` and on in order of first appearance.
#[derive(Default)]
struct Speakers(HashMap<String, String>);

impl Speakers {
    fn name(&mut self, label: &str) -> Option<String> {
        if label.is_empty() {
            return None;
        }
        if let Some(name) = self.0.get(label) {
            return Some(name.clone());
        }
        let name = format!("speaker_{}", self.0.len() + 1);
        self.0.insert(label.to_owned(), name.clone());
        Some(name)
    }
}

/// A text to be spoken.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Synthesize {
    /// What to say.
    #[schemars(length(min = 1, max = 10000))]
    pub text: String,
    /// `female`, `male`, or `VENDOR/VOICE`; left out, the vendor's default for the language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// BCP 47 tag; left out, `en-US`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// `mp3` (the default), `wav`, `opus`, `flac`, `aac` or `pcm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<AudioFormat>,
    /// 0.25 to 4; 1 is normal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.25, max = 4.0))]
    pub speed: Option<f64>,
    /// How to say it, for models that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// `auto`, `VENDOR/MODEL`, or a model's name, which only vendors that know it are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// How audio is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AudioFormat {
    /// MPEG audio layer III.
    Mp3,
    /// 16-bit PCM in a WAV file.
    Wav,
    /// Opus in Ogg.
    Opus,
    /// Lossless.
    Flac,
    /// AAC.
    Aac,
    /// 16-bit PCM without a header.
    Pcm,
}

impl AudioFormat {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Wav => "audio/wav",
            Self::Opus => "audio/ogg",
            Self::Flac => "audio/flac",
            Self::Aac => "audio/aac",
            Self::Pcm => "audio/pcm",
        }
    }
}

/// Spoken text.
#[derive(Debug, Clone)]
pub struct Speech {
    /// The recording.
    pub audio: Blob,
}

/// Fields of `returns` for `speech.synthesize`.
pub(crate) static SPEECH: Draft = Draft {
    fields: &[("audio", Value)],
};

/// Makes the recording from what a manifest returns.
pub(crate) fn speech(tree: Tree<'_>, about: &About<'_>) -> Result<Speech, Misread> {
    let audio = promised(
        Fields::of(tree).bytes(0).filter(|bytes| !bytes.is_empty()),
        "audio",
    )?;
    let format = about
        .input
        .get("format")
        .and_then(|format| serde_json::from_value(format.clone()).ok())
        .unwrap_or(AudioFormat::Mp3);
    Ok(Speech {
        audio: Blob::of_type(audio, format.media_type(), "speech"),
    })
}
