//! Translation between languages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    capability::About,
    draft::{Draft, Fields, Kind::Value, promised},
    language,
    projection::Misread,
    tree::Tree,
};

/// A text to be translated.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Translate {
    /// The text.
    #[schemars(length(min = 1))]
    pub text: String,
    /// BCP 47 tag of the language wanted.
    pub to: String,
    /// BCP 47 tag of the text's language; left out, the vendor detects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `text` (the default) or `html`, whose markup is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How formal the translation is to be, for vendors that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formality: Option<Formality>,
    /// Name or id of a glossary at the vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glossary: Option<String>,
    /// What the text is about; helps, and is not translated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// `auto`, `VENDOR/MODEL`, or a model's name, which only vendors that know it are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// What a text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Plain text.
    Text,
    /// HTML.
    Html,
}

/// How formal a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Formality {
    /// More formal.
    More,
    /// Less formal.
    Less,
}

/// A translated text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Translation {
    /// The translation.
    pub text: String,
    /// BCP 47 tag of the language wanted, as the caller said it.
    pub to: String,
    /// BCP 47 tag of the text's language, detected or as the caller said it.
    pub from: Option<String>,
    /// 0 to 1: how sure the detection is.
    pub from_confidence: Option<f64>,
    /// Characters that the vendor says it bills, which the answer's usage tells.
    #[serde(skip)]
    pub billed: Option<f64>,
}

/// Fields of `returns` for `translation.translate`.
pub(crate) static TRANSLATION: Draft = Draft {
    fields: &[
        ("text", Value),
        ("from", Value),
        ("from_confidence", Value),
        ("index", Value),
        ("id", Value),
        ("billed", Value),
    ],
};

pub(crate) fn translation(
    fields: &mut Fields<'_, '_>,
    about: &About<'_>,
) -> Result<Translation, Misread> {
    let text = promised(fields.string(0), "text")?;
    let asked = |name: &str| {
        about
            .input
            .get(name)
            .and_then(|tag| tag.as_str())
            .map(language::canonical)
    };
    Ok(Translation {
        text,
        to: asked("to").unwrap_or_default(),
        from: fields
            .text(1)
            .filter(|tag| !tag.is_empty())
            .map(|tag| language::canonical(&tag))
            .or_else(|| asked("from")),
        from_confidence: fields.number(2).map(|value| value.clamp(0.0, 1.0)),
        billed: fields.number(5).filter(|billed| *billed >= 0.0),
    })
}

/// One document of an answer.
pub(crate) fn document(tree: Tree<'_>, about: &About<'_>) -> Result<Translation, Misread> {
    translation(&mut Fields::of(tree), about)
}
