//! Texts, one by one and in order.

use serde_json::{Value, json};

use super::{DeepL, Fields, TEXTS, bad, languages, missing, not_supported};
use crate::{
    answer::Answer,
    answers::{language, markup, translation},
    call::Call,
    vendor::{Class, Vendor as _},
};

/// Most texts of one call.
const COUNT: usize = 50;
const FORMALITIES: [&str; 5] = ["default", "more", "less", "prefer_more", "prefer_less"];
const MODELS: [&str; 3] = [
    "quality_optimized",
    "prefer_quality_optimized",
    "latency_optimized",
];

/// What was asked for, found to be right.
struct Order {
    source: Option<String>,
    target: String,
    terms: Vec<(String, String)>,
    tags: bool,
    kept: Vec<String>,
    version: Option<String>,
    model: Option<String>,
    billed: bool,
}

impl DeepL {
    pub(super) fn translate(&self, call: &Call) -> Result<Answer, Answer> {
        if call.body.len() > TEXTS {
            let message = format!("the body has more than {TEXTS} bytes");
            return Err(self.error(call, Class::TooLarge, &message));
        }
        let fields = Fields::read(call)?;
        let texts = fields.texts("text").ok_or_else(|| missing("text"))?;
        let order = self.order(call, &fields)?;
        if texts.is_empty() || texts.len() > COUNT {
            let message = format!(
                "Bad request. Reason: from 1 to {COUNT} texts are translated in one request"
            );
            return Err(bad(&message));
        }
        let counts: Vec<_> = texts.iter().map(|text| order.characters(text)).collect();
        let characters = counts.iter().sum();
        self.spend(call, characters)?;
        let answers = texts.iter().zip(&counts);
        let translations: Vec<_> = answers
            .map(|(text, count)| order.translate(text, *count))
            .collect();
        let answer = Answer::json(200, &json!({ "translations": translations }));
        Ok(answer
            .fact("texts", texts.len())
            .fact("characters", characters)
            .fact("target", order.target))
    }

    fn order(&self, call: &Call, fields: &Fields) -> Result<Order, Answer> {
        let target = fields
            .text("target_lang")
            .ok_or_else(|| missing("target_lang"))?;
        if !languages::is_target(&target) {
            return Err(not_supported("target_lang"));
        }
        let source = fields.text("source_lang").filter(|code| !code.is_empty());
        if source
            .as_deref()
            .is_some_and(|code| !languages::is_source(code))
        {
            return Err(not_supported("source_lang"));
        }
        let formality = fields.one_of("formality", &FORMALITIES)?;
        let strict = matches!(formality.as_deref(), Some("more" | "less"));
        if strict && !languages::has_formality(&target) {
            return Err(bad("'formality' is not supported for given 'target_lang'."));
        }
        fields.one_of("split_sentences", &["0", "1", "nonewlines"])?;
        let tags = fields.one_of("tag_handling", &["xml", "html"])?.is_some();
        let version = fields.one_of("tag_handling_version", &["v1", "v2"])?;
        let kept = fields.texts("ignore_tags").unwrap_or_default();
        let kept = kept.iter().flat_map(|names| names.split(','));
        Ok(Order {
            terms: self.terms(call, fields, source.as_deref(), &target)?,
            source: source.map(|code| code.to_lowercase()),
            tags,
            kept: kept.map(str::to_owned).collect(),
            version: tags.then(|| version.unwrap_or_else(|| "v1".to_owned())),
            model: fields.one_of("model_type", &MODELS)?,
            billed: fields.flag("show_billed_characters"),
            target,
        })
    }
}

impl Order {
    /// Code points that are billed: tags are not.
    fn characters(&self, text: &str) -> usize {
        if self.tags {
            markup::without_tags(text).chars().count()
        } else {
            text.chars().count()
        }
    }

    fn translate(&self, text: &str, characters: usize) -> Value {
        let source = self
            .source
            .clone()
            .unwrap_or_else(|| detect(text, self.tags));
        let translated = if self.tags {
            markup::between_tags(text, &self.kept, |text| self.plain(text, &source))
        } else {
            self.plain(text, &source)
        };
        let mut answer =
            json!({ "detected_source_language": source.to_uppercase(), "text": translated });
        if let Some(answer) = answer.as_object_mut() {
            if self.billed {
                answer.insert("billed_characters".to_owned(), json!(characters));
            }
            if let Some(model) = &self.model {
                let used = model.trim_start_matches("prefer_");
                answer.insert("model_type_used".to_owned(), json!(used));
            }
            if let Some(version) = &self.version {
                answer.insert("tag_handling_version".to_owned(), json!(version));
            }
        }
        answer
    }

    /// The phrase line by line where each line is it; everything else like any vendor's, with the glossary's terms put in.
    fn plain(&self, text: &str, source: &str) -> String {
        let phrase = languages::phrase(source).unwrap_or_default();
        let is_phrase = |line: &str| line.trim().eq_ignore_ascii_case(phrase);
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let mut lines = lines.peekable();
        if lines.peek().is_some() && lines.all(is_phrase) {
            let wanted = self
                .term(phrase)
                .or_else(|| languages::phrase(&self.target));
            return replaced(text, phrase, wanted.unwrap_or_default());
        }
        if let Some(term) = self.term(text.trim()) {
            return text.replace(text.trim(), term);
        }
        let translated = translation::translate(text, Some(source), &self.target).text;
        let terms = self.terms.iter();
        terms.fold(translated, |text, (from, to)| text.replace(from, to))
    }

    fn term(&self, text: &str) -> Option<&str> {
        let found = self.terms.iter().find(|(from, _)| from == text);
        found.map(|(_, to)| to.as_str())
    }
}

/// Every line's content by another, its white space kept.
fn replaced(text: &str, phrase: &str, wanted: &str) -> String {
    let line = |line: &str| {
        let content = line.trim();
        if content.eq_ignore_ascii_case(phrase) {
            line.replace(content, wanted)
        } else {
            line.to_owned()
        }
    };
    text.split_inclusive('\n').map(line).collect()
}

/// The language of a text, in lower case.
fn detect(text: &str, tags: bool) -> String {
    let bare = if tags {
        markup::without_tags(text)
    } else {
        text.to_owned()
    };
    let first = bare.lines().map(str::trim).find(|line| !line.is_empty());
    if let Some(code) = first.and_then(languages::of_phrase) {
        return code.to_owned();
    }
    let found = language::detect(&bare).into_iter().next();
    found.map_or("en", |detected| detected.code).to_owned()
}
