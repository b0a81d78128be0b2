//! What can be called: every operation with its contract, once, the same for all vendors.

use std::sync::OnceLock;

use isobar_config::Effect;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    blob::Blob,
    capabilities::{speech, text, translation},
    draft::Draft,
    projection::Misread,
    tree::Tree,
};

/// One operation of a capability.
pub struct Contract {
    /// `speech.transcribe`.
    pub name: &'static str,
    /// Where it is served unless a route says otherwise.
    pub front: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// What repeating it does.
    pub effect: Effect,
    /// Names of the input's blobs, which are not in its schema.
    pub blobs: &'static [&'static str],
    /// Whether many inputs can go in one call.
    pub batch: bool,
    pub(crate) draft: &'static Draft,
    /// Fields of the draft of which an answer must have one at least.
    pub(crate) promised: &'static [&'static str],
    pub(crate) finish: for<'a> fn(Tree<'_>, &About<'a>) -> Result<Content, Misread>,
    parse: fn(Map<String, Value>) -> Result<Map<String, Value>, String>,
    input: fn() -> Schema,
    output: fn() -> Schema,
    fields: OnceLock<Vec<(String, bool)>>,
}

impl std::fmt::Debug for Contract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What an answer is about.
pub(crate) struct About<'a> {
    pub(crate) input: &'a Map<String, Value>,
    pub(crate) blobs: &'a [(&'static str, Blob)],
}

/// What an operation answers.
#[derive(Debug, Clone)]
pub enum Content {
    /// `speech.transcribe`.
    Transcript(speech::Transcript),
    /// `speech.synthesize`.
    Speech(speech::Speech),
    /// `text.sentiment`.
    Sentiment(text::Sentiment),
    /// `text.entities`.
    Entities(text::Entities),
    /// `text.key_phrases`.
    KeyPhrases(text::KeyPhrases),
    /// `text.language` and `translation.detect`.
    Language(text::Language),
    /// `text.classify`.
    Classification(text::Classification),
    /// `translation.translate`.
    Translation(translation::Translation),
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Transcript(content) => content.serialize(serializer),
            // The recording itself is a blob beside the JSON.
            Self::Speech(content) => SpeechFacts {
                media_type: content.audio.media_type(),
                bytes: content.audio.length(),
                duration: content.audio.media().duration,
            }
            .serialize(serializer),
            Self::Sentiment(content) => content.serialize(serializer),
            Self::Entities(content) => content.serialize(serializer),
            Self::KeyPhrases(content) => content.serialize(serializer),
            Self::Language(content) => content.serialize(serializer),
            Self::Classification(content) => content.serialize(serializer),
            Self::Translation(content) => content.serialize(serializer),
        }
    }
}

/// What is told of a recording beside its bytes.
#[derive(Serialize, JsonSchema)]
struct SpeechFacts<'a> {
    /// Its media type.
    media_type: &'a str,
    /// Its size.
    bytes: u64,
    /// Its length in seconds, where the file tells.
    duration: Option<f64>,
}

impl Contract {
    /// The capability: `speech` of `speech.transcribe`.
    pub fn capability(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }

    /// The verb: `transcribe` of `speech.transcribe`.
    pub fn verb(&self) -> &'static str {
        self.name
            .split_once('.')
            .map_or(self.name, |(_, verb)| verb)
    }

    /// JSON Schema of the input, without its blobs.
    pub fn input_schema(&self) -> Value {
        (self.input)().to_value()
    }

    /// JSON Schema of the output.
    pub fn output_schema(&self) -> Value {
        (self.output)().to_value()
    }

    /// Checks an input and leaves out what is not given. The error is a sentence for the caller.
    pub fn check(&self, input: Map<String, Value>) -> Result<Map<String, Value>, String> {
        (self.parse)(input)
    }

    /// Whether the input must have this field.
    pub fn requires(&self, field: &str) -> bool {
        self.fields()
            .iter()
            .any(|(name, required)| *required && name == field)
    }

    /// The input's fields and whether each must be given.
    pub(crate) fn fields(&self) -> &[(String, bool)] {
        self.fields.get_or_init(|| {
            let schema = self.input_schema();
            let required: Vec<&str> = schema
                .get("required")
                .unwrap_or(&Value::Null)
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let properties = schema.get("properties").and_then(Value::as_object);
            properties
                .into_iter()
                .flatten()
                .map(|(name, _)| (name.clone(), required.contains(&name.as_str())))
                .collect()
        })
    }
}

/// The operation of this name.
pub fn contract(name: &str) -> Option<&'static Contract> {
    CONTRACTS.iter().find(|contract| contract.name == name)
}

/// Every operation.
pub static CONTRACTS: [Contract; 9] = [
    Contract {
        name: "speech.transcribe",
        front: "POST /v1/audio/transcriptions",
        summary: "Writes down what is said in a recording",
        effect: Effect::Read,
        blobs: &["audio"],
        batch: false,
        draft: &speech::TRANSCRIPT,
        promised: &["text", "words", "segments"],
        finish: |tree, about| speech::transcript(tree, about).map(Content::Transcript),
        parse: parse::<speech::Transcribe>,
        input: || schema_for!(speech::Transcribe),
        output: || schema_for!(speech::Transcript),
        fields: OnceLock::new(),
    },
    Contract {
        name: "speech.synthesize",
        front: "POST /v1/audio/speech",
        summary: "Speaks a text",
        effect: Effect::Read,
        blobs: &[],
        batch: false,
        draft: &speech::SPEECH,
        promised: &["audio"],
        finish: |tree, about| speech::speech(tree, about).map(Content::Speech),
        parse: parse::<speech::Synthesize>,
        input: || schema_for!(speech::Synthesize),
        output: || schema_for!(SpeechFacts<'static>),
        fields: OnceLock::new(),
    },
    Contract {
        name: "text.sentiment",
        front: "POST /v1/text/sentiment",
        summary: "Tells how a text feels",
        effect: Effect::Read,
        blobs: &[],
        batch: true,
        draft: &text::SENTIMENT,
        promised: &["score", "label", "positive"],
        finish: |tree, about| text::sentiment(tree, about).map(Content::Sentiment),
        parse: parse::<text::Analyse>,
        input: || schema_for!(text::Analyse),
        output: || schema_for!(text::Sentiment),
        fields: OnceLock::new(),
    },
    Contract {
        name: "text.entities",
        front: "POST /v1/text/entities",
        summary: "Finds the named things in a text",
        effect: Effect::Read,
        blobs: &[],
        batch: true,
        draft: &text::ENTITIES,
        promised: &["entities"],
        finish: |tree, about| text::entities(tree, about).map(Content::Entities),
        parse: parse::<text::Analyse>,
        input: || schema_for!(text::Analyse),
        output: || schema_for!(text::Entities),
        fields: OnceLock::new(),
    },
    Contract {
        name: "text.key_phrases",
        front: "POST /v1/text/key_phrases",
        summary: "Finds the words that say what a text is about",
        effect: Effect::Read,
        blobs: &[],
        batch: true,
        draft: &text::KEY_PHRASES,
        promised: &["phrases"],
        finish: |tree, about| text::key_phrases(tree, about).map(Content::KeyPhrases),
        parse: parse::<text::Analyse>,
        input: || schema_for!(text::Analyse),
        output: || schema_for!(text::KeyPhrases),
        fields: OnceLock::new(),
    },
    Contract {
        name: "text.language",
        front: "POST /v1/text/language",
        summary: "Tells which language a text is in",
        effect: Effect::Read,
        blobs: &[],
        batch: true,
        draft: &text::LANGUAGE,
        promised: &["languages"],
        finish: |tree, about| text::language(tree, about).map(Content::Language),
        parse: parse::<text::Detect>,
        input: || schema_for!(text::Detect),
        output: || schema_for!(text::Language),
        fields: OnceLock::new(),
    },
    Contract {
        name: "text.classify",
        front: "POST /v1/text/classify",
        summary: "Puts a text under labels",
        effect: Effect::Read,
        blobs: &[],
        batch: true,
        draft: &text::CLASSIFICATION,
        promised: &["categories"],
        finish: |tree, about| text::classification(tree, about).map(Content::Classification),
        parse: parse::<text::Classify>,
        input: || schema_for!(text::Classify),
        output: || schema_for!(text::Classification),
        fields: OnceLock::new(),
    },
    Contract {
        name: "translation.translate",
        front: "POST /v1/translate",
        summary: "Translates a text",
        effect: Effect::Read,
        blobs: &[],
        batch: true,
        draft: &translation::TRANSLATION,
        promised: &["text"],
        finish: |tree, about| translation::document(tree, about).map(Content::Translation),
        parse: parse::<translation::Translate>,
        input: || schema_for!(translation::Translate),
        output: || schema_for!(translation::Translation),
        fields: OnceLock::new(),
    },
    Contract {
        name: "translation.detect",
        front: "POST /v1/translate/detect",
        summary: "Tells which language a text is in, as a translator sees it",
        effect: Effect::Read,
        blobs: &[],
        batch: true,
        draft: &text::LANGUAGE,
        promised: &["languages"],
        finish: |tree, about| text::language(tree, about).map(Content::Language),
        parse: parse::<text::Detect>,
        input: || schema_for!(text::Detect),
        output: || schema_for!(text::Language),
        fields: OnceLock::new(),
    },
];

/// Reads an input as its type: unknown fields and wrong types are refused, what says nothing is left out.
fn parse<T: Checked>(mut input: Map<String, Value>) -> Result<Map<String, Value>, String> {
    let typed = T::deserialize(&input).map_err(|error| error.to_string())?;
    typed.check()?;
    input.retain(|name, value| !value.is_null() && !T::says_nothing(name, value));
    Ok(input)
}

/// What a type alone cannot say of an input.
trait Checked: DeserializeOwned {
    fn check(&self) -> Result<(), String>;

    /// Whether a field with this value is as good as none.
    fn says_nothing(_name: &str, _value: &Value) -> bool {
        false
    }
}

fn within(name: &str, value: Option<f64>, least: f64, most: f64) -> Result<(), String> {
    match value {
        Some(value) if !(least..=most).contains(&value) => {
            Err(format!("`{name}` is at least {least} and at most {most}"))
        }
        _ => Ok(()),
    }
}

fn filled(name: &str, text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        Err(format!("`{name}` is empty"))
    } else {
        Ok(())
    }
}

impl Checked for speech::Transcribe {
    fn check(&self) -> Result<(), String> {
        within("temperature", self.temperature, 0.0, 1.0)?;
        within("speakers_max", self.speakers_max.map(f64::from), 1.0, 32.0)
    }

    /// Asking for nothing is not asking: a vendor need not be able to do what is not wanted.
    fn says_nothing(name: &str, value: &Value) -> bool {
        name == "speakers" && *value == Value::Bool(false)
    }
}

impl Checked for speech::Synthesize {
    fn check(&self) -> Result<(), String> {
        filled("text", &self.text)?;
        within("speed", self.speed, 0.25, 4.0)
    }
}

impl Checked for text::Analyse {
    fn check(&self) -> Result<(), String> {
        filled("text", &self.text)
    }
}

impl Checked for text::Detect {
    fn check(&self) -> Result<(), String> {
        filled("text", &self.text)
    }
}

impl Checked for text::Classify {
    fn check(&self) -> Result<(), String> {
        filled("text", &self.text)?;
        match &self.labels {
            Some(labels) if labels.is_empty() => {
                Err("`labels` is empty; leave it out for the vendor's own".to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl Checked for translation::Translate {
    fn check(&self) -> Result<(), String> {
        filled("text", &self.text)?;
        filled("to", &self.to)
    }
}

/// Seconds to the millisecond, halves away from zero.
pub(crate) fn round(seconds: f64) -> f64 {
    /// All doubles from here on are whole.
    const WHOLE: f64 = 4_503_599_627_370_496.0;

    let milliseconds = seconds * 1e3;
    // Long answers have thousands of times, and `f64::round` is a call of a library where processors may be old.
    let rounded = if (0.0..WHOLE).contains(&milliseconds) {
        #[expect(clippy::cast_possible_truncation, reason = "within bounds")]
        #[expect(clippy::cast_precision_loss, reason = "within bounds")]
        let whole = milliseconds as i64 as f64;
        if milliseconds - whole < 0.5 {
            whole
        } else {
            whole + 1.0
        }
    } else {
        milliseconds.round()
    };
    rounded / 1e3
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{contract, round};

    #[test]
    fn times_are_rounded_to_the_millisecond() {
        for (given, wanted) in [
            (0.0_f64, 0.0_f64),
            (0.0004, 0.0),
            (0.0625, 0.063),
            (1.234_499_9, 1.234),
            (1.9999, 2.0),
            (-0.0625, -0.063),
            (1e15 + 0.125, 1e15 + 0.125),
            (1e300, 1e300),
        ] {
            assert_eq!(round(given).to_bits(), wanted.to_bits(), "{given}");
        }
        assert!(round(f64::NAN).is_nan() && round(f64::INFINITY).is_infinite());
    }

    #[test]
    fn what_says_nothing_is_left_out_of_an_input() {
        let check = |input: serde_json::Value| {
            let input = input.as_object().unwrap().clone();
            let checked = contract("speech.transcribe").unwrap().check(input);
            checked.map(serde_json::Value::Object)
        };
        let given = json!({ "speakers": false, "language": null, "words": false, "model": "auto" });
        assert_eq!(check(given), Ok(json!({ "words": false, "model": "auto" })));
        assert_eq!(
            check(json!({ "speakers": true })),
            Ok(json!({ "speakers": true }))
        );
        assert!(check(json!({ "temperature": 2 })).is_err());
        assert!(check(json!({ "speaker": true })).is_err());
    }
}
