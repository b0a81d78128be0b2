//! Language: mood of a text, its words and names, and corrections of sentences.

use serde_json::{Value, json};

use super::{
    Action, Tencent, failure,
    params::{Kind, Params, must},
    success,
};
use crate::{
    answer::Answer,
    answers::{
        audio::rounded,
        text::{self, Kind as Named},
        tokens::{self, Class, Token},
    },
    call::Call,
    vendor::Operation,
};

const SERVICE: &str = "nlp";
const VERSION: &str = "2019-04-08";
/// Most characters of a text whose mood is asked for.
const MOOD: usize = 200;
/// Most characters of a text that is taken apart.
const PARSED: usize = 500;
/// Sentences that are corrected at once: fewer than this.
const SENTENCES: usize = 30;

/// The mood of a text, in three probabilities.
pub(super) const ANALYZE_SENTIMENT: Action = Action {
    service: SERVICE,
    version: VERSION,
    operation: Operation::new("AnalyzeSentiment", "text.sentiment"),
    fields: &[must("Text", Kind::Text)],
    serve: sentiment,
};

/// Words, longer words and names; offsets count code points.
pub(super) const PARSE_WORDS: Action = Action {
    service: SERVICE,
    version: VERSION,
    operation: Operation::new("ParseWords", "text.entities"),
    fields: &[must("Text", Kind::Text)],
    serve: words,
};

/// Mistakes in sentences.
pub(super) const SENTENCE_CORRECTION: Action = Action {
    service: SERVICE,
    version: VERSION,
    operation: Operation::other("SentenceCorrection"),
    fields: &[must("TextList", Kind::Texts)],
    serve: corrections,
};

/// A text that is neither empty nor too long.
fn checked<'a>(call: &Call, params: &'a Params, most: usize) -> Result<&'a str, Answer> {
    let text = params.text("Text");
    if text.trim().is_empty() {
        let message = "The text must not be empty.";
        return Err(failure(call, "InvalidParameterValue.Text", message));
    }
    if text.chars().count() > most {
        let message = format!("The text must have at most {most} characters.");
        return Err(failure(call, "InvalidParameterValue.TextTooLong", &message));
    }
    Ok(text)
}

fn sentiment(_: &Tencent, call: &Call, params: &Params) -> Result<Answer, Answer> {
    let text = checked(call, params, MOOD)?;
    let mood = text::mood(text);
    // There is no fourth class: what is good and bad at once counts as neither.
    let neutral = rounded(mood.neutral + mood.mixed);
    let parts = [
        ("neutral", neutral),
        ("positive", mood.positive),
        ("negative", mood.negative),
    ];
    let mut strongest = ("neutral", neutral);
    for part in parts {
        if part.1 > strongest.1 {
            strongest = part;
        }
    }
    let members = json!({
        "Positive": mood.positive,
        "Neutral": neutral,
        "Negative": mood.negative,
        "Sentiment": strongest.0,
    });
    Ok(success(call, members).fact("characters", text.chars().count()))
}

fn words(_: &Tencent, call: &Call, params: &Params) -> Result<Answer, Answer> {
    let text = checked(call, params, PARSED)?;
    let all = tokens::compound(text);
    let basic: Vec<_> = tokens::basic(text).iter().map(participle).collect();
    let compound: Vec<_> = all.iter().map(|(token, _)| participle(token)).collect();
    let entities: Vec<_> = all.iter().filter_map(|(token, _)| entity(token)).collect();
    let members = json!({
        "NormalText": text,
        "BasicParticiples": basic,
        "CompoundParticiples": compound,
        "Entities": entities,
    });
    Ok(success(call, members).fact("characters", text.chars().count()))
}

fn participle(token: &Token) -> Value {
    let part_of_speech = match token.class {
        Class::Named(Named::DateTime) => "NT",
        Class::Named(Named::Quantity | Named::Money) | Class::Number => "CD",
        Class::Named(Named::Url | Named::Email) => "URL",
        Class::Named(_) => "NR",
        Class::Mark => "PU",
        Class::Pronoun => "PN",
        Class::Word => "NN",
    };
    json!({
        "Word": token.span.text,
        "BeginOffset": token.span.offset,
        "Length": token.span.length,
        "Pos": part_of_speech,
    })
}

fn entity(token: &Token) -> Option<Value> {
    let Class::Named(kind) = token.class else {
        return None;
    };
    let (standard, name) = match kind {
        Named::Person => ("person.generic", "人"),
        Named::Organization => ("org.generic", "机构"),
        Named::Location => ("loc.generic", "地点"),
        Named::DateTime => ("time.generic", "时间"),
        Named::Quantity => ("quantity.generic", "数量"),
        Named::Money => ("quantity.money", "金额"),
        Named::Email => ("contact.email", "邮箱"),
        Named::Url => ("contact.url", "网址"),
        Named::Other => ("other.generic", "其他"),
    };
    Some(json!({
        "Word": token.span.text,
        "BeginOffset": token.span.offset,
        "Length": token.span.length,
        "Type": standard,
        "Name": name,
    }))
}

/// Words that are wrong wherever they stand, and the right ones.
const MISTAKES: [(&str, &str); 6] = [
    ("recieve", "receive"),
    ("teh", "the"),
    ("definately", "definitely"),
    ("seperate", "separate"),
    ("锅加", "国家"),
    ("害啪", "害怕"),
];

fn corrections(_: &Tencent, call: &Call, params: &Params) -> Result<Answer, Answer> {
    let sentences = params.texts("TextList");
    if sentences.is_empty() || sentences.iter().any(|sentence| sentence.trim().is_empty()) {
        let message = "Every sentence must have text.";
        return Err(failure(call, "InvalidParameterValue.Text", message));
    }
    if sentences.len() >= SENTENCES {
        let message = format!("The list must have fewer than {SENTENCES} sentences.");
        return Err(failure(
            call,
            "InvalidParameterValue.TextNumTooMuch",
            &message,
        ));
    }
    let long = |sentence: &&str| {
        let words = sentence.split_whitespace().count();
        words > 100 || (words <= 1 && sentence.chars().count() > 150)
    };
    if sentences.iter().any(long) {
        let message = "A sentence is longer than 150 characters or 100 words.";
        return Err(failure(call, "InvalidParameterValue.TextTooLong", message));
    }
    let mut found = Vec::new();
    for (number, sentence) in sentences.iter().enumerate() {
        for (wrong, right) in MISTAKES {
            for (at, _) in sentence.match_indices(wrong) {
                let before = sentence.get(..at).unwrap_or_default();
                found.push(json!({
                    // Sentences are counted from 1, letters from 0.
                    "Order": number + 1,
                    "BeginOffset": before.chars().count(),
                    "Len": wrong.chars().count(),
                    "Word": wrong,
                    "CorrectWord": [right],
                    "CorrectionType": 0,
                    "Confidence": 0,
                    "DescriptionZh": null,
                    "DescriptionEn": null,
                }));
            }
        }
    }
    Ok(success(call, json!({ "CorrectionList": found })).fact("sentences", sentences.len()))
}
