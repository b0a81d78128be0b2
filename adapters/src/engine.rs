//! Engines that run in this process: no key, no network, and honest about what they are.

use std::{fmt, sync::OnceLock};

use vader_sentiment::SentimentIntensityAnalyzer;

use crate::{
    capabilities::text::{Feeling, Guess, Language, Sentiment},
    capability::{About, Content},
    failure::{Failure, Kind},
    language,
};

/// A function from an input to an answer.
#[derive(Clone, Copy)]
pub(crate) struct Engine {
    /// What an answer's `model` says.
    pub(crate) model: &'static str,
    pub(crate) run: for<'a> fn(&About<'a>) -> Result<Content, Failure>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.model)
    }
}

/// Every engine, by the name that manifests use.
pub(crate) const ENGINES: [(&str, Engine); 2] = [
    (
        "vader",
        Engine {
            model: "vader-sentiment",
            run: vader,
        },
    ),
    (
        "whatlang",
        Engine {
            model: "whatlang",
            run: whatlang,
        },
    ),
];

/// Confidence below which a detected language is a guess not worth acting on.
const RELIABLE: f64 = 0.5;

fn text<'a>(about: &'a About<'_>) -> &'a str {
    about
        .input
        .get("text")
        .and_then(|text| text.as_str())
        .unwrap_or_default()
}

/// VADER's compound score: English, by lexicon and rules (Hutto and Gilbert 2014).
fn vader(about: &About<'_>) -> Result<Content, Failure> {
    static ANALYZER: OnceLock<SentimentIntensityAnalyzer<'static>> = OnceLock::new();
    let language = about
        .input
        .get("language")
        .and_then(|tag| tag.as_str())
        .map(language::canonical);
    if let Some(tag) = &language
        && language::primary(tag) != "en"
    {
        return Err(Failure::new(
            Kind::Unsupported,
            "the local engine reads English only",
        ));
    }
    let scores = ANALYZER
        .get_or_init(SentimentIntensityAnalyzer::new)
        .polarity_scores(text(about));
    let score = scores.get("compound").copied().unwrap_or_default();
    let label = if score >= 0.05 {
        Feeling::Positive
    } else if score <= -0.05 {
        Feeling::Negative
    } else {
        Feeling::Neutral
    };
    Ok(Content::Sentiment(Sentiment {
        label,
        score: (score * 1e3).round() / 1e3,
        // Its other numbers are shares of words, not probabilities.
        probabilities: None,
        magnitude: None,
        language: Some(language.unwrap_or_else(|| "en".to_owned())),
        sentences: Vec::new(),
    }))
}

fn whatlang(about: &About<'_>) -> Result<Content, Failure> {
    let Some(info) = whatlang::detect(text(about)) else {
        return Ok(Content::Language(Language {
            language: "und".to_owned(),
            confidence: None,
            languages: Vec::new(),
        }));
    };
    let guess = Guess {
        code: language::canonical(info.lang().code()),
        confidence: Some((info.confidence() * 1e3).round() / 1e3),
    };
    Ok(Content::Language(Language {
        // Short texts are guessed wrong more often than right: the guess is shown, and not passed off as the answer.
        language: if info.confidence() < RELIABLE {
            "und".to_owned()
        } else {
            guess.code.clone()
        },
        confidence: guess.confidence,
        languages: vec![guess],
    }))
}

/// The language of a text, where one can be told with some confidence.
pub(crate) fn detect(text: &str) -> Option<String> {
    let info = whatlang::detect(text)?;
    (info.confidence() >= RELIABLE).then(|| language::canonical(info.lang().code()))
}
