//! Text analysis: sentiment, entities, key phrases, language, classification.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    capability::About,
    draft::{
        Draft, Fields,
        Kind::{Items, Value},
        promised,
    },
    language,
    projection::Misread,
    tree::Tree,
};

/// A text to be analysed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Analyse {
    /// The text.
    #[schemars(length(min = 1))]
    pub text: String,
    /// BCP 47 tag of its language; left out, it is detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// `auto`, `VENDOR/MODEL`, or a model's name, which only vendors that know it are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A text to be put under labels.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Classify {
    /// The text.
    #[schemars(length(min = 1))]
    pub text: String,
    /// BCP 47 tag of its language; left out, it is detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Labels to choose from; left out, the vendor's own scheme is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// `auto`, `VENDOR/MODEL`, or a model's name, which only vendors that know it are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A text whose language is asked for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// The text.
    #[schemars(length(min = 1))]
    pub text: String,
    /// `auto`, `VENDOR/MODEL`, or a model's name, which only vendors that know it are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// How a text feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Feeling {
    /// Mostly good.
    Positive,
    /// Mostly bad.
    Negative,
    /// Neither.
    Neutral,
    /// Both.
    Mixed,
}

/// How a text feels, on one scale for all vendors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sentiment {
    /// In one word.
    pub label: Feeling,
    /// -1 (bad) to 1 (good). Where a vendor gives probabilities, good less bad.
    pub score: f64,
    /// What the vendor gives each label, where it gives any.
    pub probabilities: Option<Probabilities>,
    /// 0 and up: how much feeling there is in all of the text, either way; grows with its length.
    pub magnitude: Option<f64>,
    /// BCP 47 tag.
    pub language: Option<String>,
    /// The same of each sentence; empty where the vendor gives none.
    pub sentences: Vec<Sentence>,
}

/// 0 to 1 each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Probabilities {
    /// Good.
    pub positive: f64,
    /// Bad.
    pub negative: f64,
    /// Neither; `null` where the vendor has no such class.
    pub neutral: Option<f64>,
    /// Both; `null` where the vendor has no such class.
    pub mixed: Option<f64>,
}

/// How one sentence feels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sentence {
    /// Its text.
    pub text: String,
    /// Where it starts, in Unicode code points.
    pub offset: Option<usize>,
    /// How long it is, in Unicode code points.
    pub length: Option<usize>,
    /// In one word.
    pub label: Feeling,
    /// -1 to 1.
    pub score: f64,
}

/// The named things in a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entities {
    /// One for each mention, in order.
    pub entities: Vec<Entity>,
    /// BCP 47 tag.
    pub language: Option<String>,
}

/// One mention of a named thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entity {
    /// As it stands in the text.
    pub name: String,
    /// `person`, `person_type`, `organization`, `location`, `address`, `event`, `product`, `work`, `datetime`, `quantity`,
    /// `money`, `phone`, `email`, `url`, `ip`, `skill` or `other`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The vendor's own word for the type: the table of types loses something.
    pub vendor_type: Option<String>,
    /// Where it starts, in Unicode code points.
    pub offset: Option<usize>,
    /// How long it is, in Unicode code points.
    pub length: Option<usize>,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// 0 to 1: how much the text is about it.
    pub salience: Option<f64>,
    /// Its page in Wikipedia.
    pub wikipedia_url: Option<String>,
}

/// What a text is about, in its own words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeyPhrases {
    /// Best first where the vendor scores them, else in its order.
    pub phrases: Vec<Phrase>,
    /// BCP 47 tag.
    pub language: Option<String>,
}

/// Some words of a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Phrase {
    /// As they stand in the text.
    pub text: String,
    /// Where they start, in Unicode code points.
    pub offset: Option<usize>,
    /// How long they are, in Unicode code points.
    pub length: Option<usize>,
    /// 0 to 1.
    pub score: Option<f64>,
}

/// The language of a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Language {
    /// BCP 47 tag of the best guess; `und` when there is none.
    pub language: String,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// Every guess, best first.
    pub languages: Vec<Guess>,
}

/// A guess at a language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Guess {
    /// BCP 47 tag.
    pub code: String,
    /// 0 to 1.
    pub confidence: Option<f64>,
}

/// The labels of a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Classification {
    /// The best label, if any fits.
    pub label: Option<String>,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// Every label that fits, best first.
    pub categories: Vec<Category>,
    /// Whose labels they are: `custom` for the caller's own.
    pub scheme: String,
}

/// One label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Category {
    /// The label.
    pub label: String,
    /// 0 to 1.
    pub confidence: Option<f64>,
}

static SENTENCES: Draft = Draft {
    fields: &[
        ("text", Value),
        ("offset", Value),
        ("length", Value),
        ("end", Value),
        ("label", Value),
        ("score", Value),
        ("positive", Value),
        ("negative", Value),
        ("magnitude", Value),
    ],
};
/// Fields of `returns` for `text.sentiment`: a score, or probabilities to make one from.
pub(crate) static SENTIMENT: Draft = Draft {
    fields: &[
        ("label", Value),
        ("score", Value),
        ("positive", Value),
        ("negative", Value),
        ("neutral", Value),
        ("mixed", Value),
        ("magnitude", Value),
        ("language", Value),
        ("sentences", Items(&SENTENCES)),
        ("index", Value),
        ("id", Value),
    ],
};
static MENTIONS: Draft = Draft {
    fields: &[
        ("name", Value),
        ("offset", Value),
        ("length", Value),
        ("end", Value),
        ("byte_offset", Value),
        ("confidence", Value),
        ("kind", Value),
    ],
};
static ENTITY: Draft = Draft {
    fields: &[
        ("name", Value),
        ("type", Value),
        ("vendor_type", Value),
        ("offset", Value),
        ("length", Value),
        ("end", Value),
        ("byte_offset", Value),
        ("confidence", Value),
        ("salience", Value),
        ("wikipedia_url", Value),
        ("mentions", Items(&MENTIONS)),
    ],
};
/// Fields of `returns` for `text.entities`; an entity with `mentions` becomes one for each.
pub(crate) static ENTITIES: Draft = Draft {
    fields: &[
        ("entities", Items(&ENTITY)),
        ("language", Value),
        ("index", Value),
        ("id", Value),
    ],
};
static PHRASES: Draft = Draft {
    fields: &[
        ("text", Value),
        ("offset", Value),
        ("length", Value),
        ("end", Value),
        ("score", Value),
    ],
};
/// Fields of `returns` for `text.key_phrases`.
pub(crate) static KEY_PHRASES: Draft = Draft {
    fields: &[
        ("phrases", Items(&PHRASES)),
        ("language", Value),
        ("index", Value),
        ("id", Value),
    ],
};
static GUESSES: Draft = Draft {
    fields: &[("code", Value), ("confidence", Value)],
};
/// Fields of `returns` for `text.language`.
pub(crate) static LANGUAGE: Draft = Draft {
    fields: &[
        ("languages", Items(&GUESSES)),
        ("index", Value),
        ("id", Value),
    ],
};
static CATEGORIES: Draft = Draft {
    fields: &[("label", Value), ("confidence", Value)],
};
/// Fields of `returns` for `text.classify`.
pub(crate) static CLASSIFICATION: Draft = Draft {
    fields: &[
        ("categories", Items(&CATEGORIES)),
        ("scheme", Value),
        ("index", Value),
        ("id", Value),
    ],
};

pub(crate) fn sentiment(tree: Tree<'_>, about: &About<'_>) -> Result<Sentiment, Misread> {
    let mut fields = Fields::of(tree);
    let (positive, negative) = (fields.number(2), fields.number(3));
    let probabilities = positive
        .zip(negative)
        .map(|(positive, negative)| Probabilities {
            positive: unit(positive),
            negative: unit(negative),
            neutral: fields.number(4).map(unit),
            mixed: fields.number(5).map(unit),
        });
    let score = fields
        .number(1)
        .or_else(|| probabilities.as_ref().map(|p| p.positive - p.negative));
    let magnitude = fields.number(6);
    let mut sentences: Vec<Sentence> = Vec::new();
    let mut told = fields.items(8);
    while let Some(sentence) = told.next_record() {
        sentences.push(sentence_of(sentence, about)?);
    }
    let label = feeling(fields.text(0).as_deref());
    let score = promised(score.or_else(|| label.map(by_label)), "score")?.clamp(-1.0, 1.0);
    Ok(Sentiment {
        label: label.unwrap_or_else(|| by_score(score, magnitude, sentences.len())),
        score: three(score),
        probabilities,
        magnitude: magnitude.map(three),
        language: language_of(fields.text(7), about),
        sentences,
    })
}

fn sentence_of(mut fields: Fields<'_, '_>, about: &About<'_>) -> Result<Sentence, Misread> {
    let text = promised(fields.string(0), "sentences.text")?;
    let difference = fields
        .number(6)
        .zip(fields.number(7))
        .map(|(positive, negative)| positive - negative);
    let label = feeling(fields.text(4).as_deref());
    let score = fields
        .number(5)
        .or(difference)
        .or_else(|| label.map(by_label))
        .unwrap_or_default()
        .clamp(-1.0, 1.0);
    let (offset, length) = place(
        &text,
        fields.count(1),
        fields.count(2),
        fields.count(3),
        None,
        about,
        0,
    );
    Ok(Sentence {
        label: label.unwrap_or_else(|| by_score(score, None, 1)),
        score: three(score),
        offset,
        length,
        text,
    })
}

fn feeling(word: Option<&str>) -> Option<Feeling> {
    match word?.to_ascii_lowercase().as_str() {
        "positive" => Some(Feeling::Positive),
        "negative" => Some(Feeling::Negative),
        "neutral" => Some(Feeling::Neutral),
        "mixed" => Some(Feeling::Mixed),
        _ => None,
    }
}

fn by_label(label: Feeling) -> f64 {
    match label {
        Feeling::Positive => 1.0,
        Feeling::Negative => -1.0,
        Feeling::Neutral | Feeling::Mixed => 0.0,
    }
}

/// A number alone says `mixed` only with its magnitude: much feeling over several sentences that cancels out.
fn by_score(score: f64, magnitude: Option<f64>, sentences: usize) -> Feeling {
    if score > 0.25 {
        Feeling::Positive
    } else if score < -0.25 {
        Feeling::Negative
    } else if sentences > 1 && magnitude.is_some_and(|magnitude| magnitude >= 1.5) {
        Feeling::Mixed
    } else {
        Feeling::Neutral
    }
}

pub(crate) fn entities(tree: Tree<'_>, about: &About<'_>) -> Result<Entities, Misread> {
    let mut fields = Fields::of(tree);
    let mut entities: Vec<Entity> = Vec::new();
    let mut told = fields.items(0);
    while let Some(mut entity) = told.next_record() {
        let name = promised(entity.string(0), "entities.name")?;
        let vendor_type = entity.string(2);
        let kind = entity.string(1).unwrap_or_else(|| "other".to_owned());
        let (salience, wikipedia_url, confidence) = (
            entity.number(8).map(unit),
            entity.string(9),
            entity.number(7).map(unit),
        );
        let mut mentions = entity.items(10);
        let searched = entities
            .iter()
            .filter(|known: &&Entity| known.name == name)
            .count();
        if mentions.is_empty() {
            let (offset, length) = place(
                &name,
                entity.count(3),
                entity.count(4),
                entity.count(5),
                entity.count(6),
                about,
                searched,
            );
            entities.push(Entity {
                name,
                kind,
                vendor_type,
                offset,
                length,
                confidence,
                salience,
                wikipedia_url,
            });
            continue;
        }
        while let Some(mut mention) = mentions.next_record() {
            // Common nouns are no names; other vendors leave them out.
            if mention.text(6).is_some_and(|kind| kind == "COMMON") {
                continue;
            }
            let name = mention.string(0).unwrap_or_else(|| name.clone());
            let (offset, length) = place(
                &name,
                mention.count(1),
                mention.count(2),
                mention.count(3),
                mention.count(4),
                about,
                0,
            );
            entities.push(Entity {
                name,
                kind: kind.clone(),
                vendor_type: vendor_type.clone(),
                offset,
                length,
                confidence: mention.number(5).map(unit).or(confidence),
                salience,
                wikipedia_url: wikipedia_url.clone(),
            });
        }
    }
    entities.sort_by_key(|entity| entity.offset.unwrap_or(usize::MAX));
    Ok(Entities {
        entities,
        language: language_of(fields.text(1), about),
    })
}

pub(crate) fn key_phrases(tree: Tree<'_>, about: &About<'_>) -> Result<KeyPhrases, Misread> {
    let mut fields = Fields::of(tree);
    let mut phrases = Vec::new();
    let mut told = fields.items(0);
    while let Some(mut phrase) = told.next_record() {
        let text = promised(phrase.string(0), "phrases.text")?;
        let (offset, length) = place(
            &text,
            phrase.count(1),
            phrase.count(2),
            phrase.count(3),
            None,
            about,
            0,
        );
        phrases.push(Phrase {
            text,
            offset,
            length,
            score: phrase.number(4).map(unit),
        });
    }
    if phrases.iter().all(|phrase| phrase.score.is_some()) {
        phrases.sort_by(|a, b| {
            b.score
                .unwrap_or_default()
                .total_cmp(&a.score.unwrap_or_default())
        });
    }
    Ok(KeyPhrases {
        phrases,
        language: language_of(fields.text(1), about),
    })
}

pub(crate) fn language(tree: Tree<'_>, _: &About<'_>) -> Result<Language, Misread> {
    let mut fields = Fields::of(tree);
    // A vendor that is at a loss has an empty list; without any, the answer is something else.
    let guesses = promised(fields.take(0).items(), "languages")?;
    let mut languages = Vec::new();
    for mut guess in guesses.into_iter().map(Fields::of) {
        let code = language::canonical(&promised(guess.text(0), "languages.code")?);
        languages.push(Guess {
            code,
            confidence: guess.number(1).map(unit),
        });
    }
    languages.sort_by(|a, b| {
        b.confidence
            .unwrap_or_default()
            .total_cmp(&a.confidence.unwrap_or_default())
    });
    let best = languages.first();
    Ok(Language {
        language: best.map_or_else(|| "und".to_owned(), |guess| guess.code.clone()),
        confidence: best.and_then(|guess| guess.confidence),
        languages,
    })
}

pub(crate) fn classification(tree: Tree<'_>, about: &About<'_>) -> Result<Classification, Misread> {
    let mut fields = Fields::of(tree);
    let mut categories = Vec::new();
    let mut told = fields.items(0);
    while let Some(mut category) = told.next_record() {
        categories.push(Category {
            label: promised(category.string(0), "categories.label")?,
            confidence: category.number(1).map(unit),
        });
    }
    categories.sort_by(|a, b| {
        b.confidence
            .unwrap_or_default()
            .total_cmp(&a.confidence.unwrap_or_default())
    });
    let best = categories.first();
    let own = about
        .input
        .get("labels")
        .is_some_and(|labels| !labels.is_null());
    Ok(Classification {
        label: best.map(|category| category.label.clone()),
        confidence: best.and_then(|category| category.confidence),
        scheme: if own {
            "custom".to_owned()
        } else {
            fields.string(1).unwrap_or_else(|| "vendor".to_owned())
        },
        categories,
    })
}

fn language_of(told: Option<std::borrow::Cow<'_, str>>, about: &About<'_>) -> Option<String> {
    let asked = || {
        about
            .input
            .get("language")
            .and_then(|tag| tag.as_str())
            .map(language::canonical)
    };
    told.filter(|tag| !tag.is_empty())
        .map(|tag| language::canonical(&tag))
        .or_else(asked)
}

/// Where words stand in the text, in code points: as the vendor says if the text there is really theirs, else where they
/// are found (`skip` earlier ones are taken already), else nowhere. A wrong place would be worse than none.
fn place(
    words: &str,
    offset: Option<usize>,
    length: Option<usize>,
    end: Option<usize>,
    byte_offset: Option<usize>,
    about: &About<'_>,
    skip: usize,
) -> (Option<usize>, Option<usize>) {
    let text = about
        .input
        .get("text")
        .and_then(|text| text.as_str())
        .unwrap_or_default();
    let count = words.chars().count();
    let at_byte = |byte: usize| text.get(..byte).map(|before| before.chars().count());
    let told = offset
        .or_else(|| byte_offset.and_then(at_byte))
        .or_else(|| end.and_then(|end| end.checked_sub(count)));
    if let Some(told) = told {
        let there: String = text
            .chars()
            .skip(told)
            .take(length.unwrap_or(count))
            .collect();
        if there == words {
            return (Some(told), Some(count));
        }
    }
    match text
        .match_indices(words)
        .nth(skip)
        .or_else(|| text.match_indices(words).next())
    {
        Some((byte, _)) if !words.is_empty() => (at_byte(byte), Some(count)),
        _ => (None, None),
    }
}

fn unit(value: f64) -> f64 {
    value.clamp(0.0, 1.0)
}

fn three(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
