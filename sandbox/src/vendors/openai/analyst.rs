//! A model that does what a structured prompt asks, as far as it is about one text.
//!
//! How it decides, without understanding a word:
//! - *The text* is what stands between markers in the last user message: a pair of tags (`<text>…</text>`), else a pair
//!   of `"""` or of ```` ``` ````, else the whole message.
//! - *What is asked* is read off the schema, by the names and types of its properties: `sentiment` or `label` is the
//!   mood, `entities` a list of names, `key_phrases` a list of phrases, `languages` or `language` a detection,
//!   `categories` a classification, `translation` a translation into the language that the instructions name (`into fr`,
//!   `to French`), `sentences` a list of sentences. An enum that holds moods gets the mood; any other enum is taken as
//!   the labels of a classification. A property with no meaning here is `null` if it may be, else empty, 0 or false.
//! - What comes out is valid under the schema: only its properties, its types, its enums, all that is required.

use serde_json::{Map, Value, json};

use crate::{
    answers::{
        language::{self, Detected},
        text::{self, Entity, Kind, Label, Span},
        translation,
    },
    call::Call,
    vendor::Operation,
};

/// What was asked.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Everything but the text: system messages, and the last user message outside its markers.
    pub(super) instructions: String,
    /// What it is about.
    pub(super) text: String,
}

/// The operation that a chat call is part of: told by the schema's property names.
pub(super) fn operation(call: &Call, name: &'static str) -> Operation {
    let body = call.json().unwrap_or_default();
    let schema = body
        .pointer("/response_format/json_schema/schema")
        .or_else(|| body.pointer("/text/format/schema"));
    let of = schema.and_then(|schema| {
        let mut names = Vec::new();
        property_names(schema, &mut names, 0);
        let has = |wanted: &[&str]| names.iter().any(|name| wanted.contains(&name.as_str()));
        // From the most telling to the least: entities have a language and labels may be moods.
        [
            (
                "translation.translate",
                &["translation", "translations", "translated_text"][..],
            ),
            ("text.entities", &["entities"]),
            ("text.key_phrases", &["key_phrases", "phrases", "keywords"]),
            ("text.sentiment", &["sentiment", "positive", "mood"]),
            (
                "text.classify",
                &["categories", "category", "labels", "classification"],
            ),
            ("text.language", &["languages", "language", "language_code"]),
            ("text.sentiment", &["score", "label"]),
        ]
        .into_iter()
        .find_map(|(operation, wanted)| has(wanted).then_some(operation))
    });
    match of {
        Some(of) => Operation::new(name, of),
        None => Operation::other(name),
    }
}

const DEPTH: usize = 12;

fn property_names(schema: &Value, names: &mut Vec<String>, depth: usize) {
    if depth > DEPTH {
        return;
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, inner) in properties {
            names.push(name.to_lowercase());
            property_names(inner, names, depth + 1);
        }
    }
    if let Some(items) = schema.get("items") {
        property_names(items, names, depth + 1);
    }
}

/// Reads messages: those of the system and the user's last.
pub(super) fn request(messages: &[Value]) -> Asked {
    let role = |message: &Value| {
        message
            .get("role")
            .and_then(Value::as_str)
            .unwrap_or("user")
            .to_owned()
    };
    let told = messages
        .iter()
        .filter(|message| ["system", "developer"].contains(&role(message).as_str()));
    let mut instructions: String = told.map(|message| content(message) + "\n").collect();
    let last = messages
        .iter()
        .rev()
        .find(|message| role(message) == "user")
        .map(content)
        .unwrap_or_default();
    let (around, text) = marked(&last);
    instructions.push_str(&around);
    Asked { instructions, text }
}

/// A message's text, written as a string or as parts.
fn content(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// What stands outside the markers, and inside.
fn marked(message: &str) -> (String, String) {
    let between = |open: &str, close: &str| {
        let start = message.find(open)? + open.len();
        let end = message.rfind(close).filter(|end| *end >= start)?;
        let around = format!(
            "{}{}",
            message.get(..start - open.len())?,
            message.get(end + close.len()..)?
        );
        Some((
            around,
            message.get(start..end)?.trim_matches('\n').to_owned(),
        ))
    };
    let tag = message.match_indices('<').find_map(|(at, _)| {
        let name: String = message
            .get(at + 1..)?
            .chars()
            .take_while(|letter| letter.is_ascii_alphanumeric() || "_-".contains(*letter))
            .collect();
        let close = format!("</{name}>");
        let open = message.get(at..)?.split_inclusive('>').next()?;
        (!name.is_empty() && message.contains(&close)).then(|| (open.to_owned(), close))
    });
    tag.and_then(|(open, close)| between(&open, &close))
        .or_else(|| between("\"\"\"", "\"\"\""))
        .or_else(|| between("```", "```"))
        .unwrap_or_else(|| (String::new(), message.to_owned()))
}

/// The model's answer: an instance of the schema; without one a sentence, or an object if JSON was asked for.
pub(super) fn answer(asked: &Asked, schema: Option<&Value>, json_object: bool) -> String {
    match schema {
        Some(schema) => {
            let filler = Filler {
                asked,
                root: schema,
            };
            filler.fill(schema, "", About::Text, 0).to_string()
        }
        None if json_object => {
            let mood = text::mood(&asked.text);
            json!({ "text": asked.text, "sentiment": mood.label.name(), "score": mood.score })
                .to_string()
        }
        None => {
            let count = asked.text.split_whitespace().count();
            format!(
                "I have read {count} words; their mood is {}.",
                text::mood(&asked.text).label.name()
            )
        }
    }
}

/// Why a schema may not be used with `strict`: the vendor wants every object closed and every property required.
pub(super) fn not_strict(schema: &Value) -> Option<String> {
    fn walk(schema: &Value, path: &str, depth: usize) -> Option<String> {
        if depth > DEPTH {
            return Some("the schema is nested too deeply".to_owned());
        }
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            if schema.get("additionalProperties") != Some(&json!(false)) {
                return Some(format!(
                    "In context=({path}), 'additionalProperties' is required to be supplied and to be false."
                ));
            }
            let required = schema.get("required").and_then(Value::as_array);
            for (name, inner) in properties {
                if !required.is_some_and(|list| list.contains(&json!(name))) {
                    return Some(format!(
                        "In context=({path}), 'required' is required to be supplied and to be an array including every key in properties. Missing '{name}'."
                    ));
                }
                if let Some(mistake) = walk(inner, &format!("{path}/{name}"), depth + 1) {
                    return Some(mistake);
                }
            }
        }
        schema
            .get("items")
            .and_then(|items| walk(items, &format!("{path}/items"), depth + 1))
    }
    if schema.get("type") != Some(&json!("object")) {
        return Some("schema must be a JSON Schema of 'type: \"object\"'.".to_owned());
    }
    walk(schema, "", 0)
}

/// What a part of the answer is about.
#[derive(Debug, Clone, Copy)]
enum About<'a> {
    Text,
    Entity(&'a Entity),
    Phrase(&'a Span, f64),
    Language(&'a Detected),
    Label(&'a str, f64),
    Sentence(&'a Span),
}

struct Filler<'a> {
    asked: &'a Asked,
    root: &'a Value,
}

impl Filler<'_> {
    fn fill(&self, schema: &Value, name: &str, about: About<'_>, depth: usize) -> Value {
        if depth > DEPTH {
            return Value::Null;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let found = target
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer));
            return found.map_or(Value::Null, |found| {
                self.fill(found, name, about, depth + 1)
            });
        }
        if let Some(choices) = schema
            .get("anyOf")
            .or_else(|| schema.get("oneOf"))
            .and_then(Value::as_array)
        {
            return self.choose(choices, name, about, depth);
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return self.pick(values, about);
        }
        let types = types(schema);
        let allows = |wanted: &str| types.is_empty() || types.contains(&wanted);
        if types.contains(&"object") || schema.get("properties").is_some() {
            let properties = schema.get("properties").and_then(Value::as_object);
            let fill = |(name, inner): (&String, &Value)| {
                (name.clone(), self.fill(inner, name, about, depth + 1))
            };
            return Value::Object(
                properties
                    .into_iter()
                    .flatten()
                    .map(fill)
                    .collect::<Map<_, _>>(),
            );
        }
        if types.contains(&"array") {
            return self.list(schema, name, about, depth);
        }
        let known = self.value(name, about);
        match known {
            Some(Value::String(text)) if allows("string") => Value::String(text),
            Some(value) if value.is_i64() || value.is_u64() => {
                if allows("integer") || allows("number") {
                    value
                } else {
                    blank(&types, &value)
                }
            }
            Some(value) if value.is_f64() && allows("number") => bounded(schema, value),
            Some(Value::Bool(flag)) if allows("boolean") => Value::Bool(flag),
            _ => blank(&types, &Value::Null),
        }
    }

    /// Of several shapes, the first that gives something.
    fn choose(&self, choices: &[Value], name: &str, about: About<'_>, depth: usize) -> Value {
        let nullable = choices.iter().any(|choice| types(choice) == ["null"]);
        let filled = choices
            .iter()
            .filter(|choice| types(choice) != ["null"])
            .map(|choice| self.fill(choice, name, about, depth + 1))
            .next();
        match filled {
            Some(value) if !(nullable && is_blank(&value)) => value,
            _ if nullable => Value::Null,
            other => other.unwrap_or(Value::Null),
        }
    }

    /// One of the allowed values.
    fn pick(&self, values: &[Value], about: About<'_>) -> Value {
        let names: Vec<String> = values
            .iter()
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect();
        let spelt = |wanted: &[&str]| {
            names
                .iter()
                .find(|name| wanted.contains(&name.to_lowercase().as_str()))
                .cloned()
        };
        let chosen = match about {
            About::Entity(entity) => {
                spelt(kinds(entity.kind)).or_else(|| spelt(&["other", "unknown", "misc"]))
            }
            About::Language(detected) => spelt(&[detected.code, &detected.name.to_lowercase()]),
            About::Label(label, _) => names.iter().find(|name| *name == label).cloned(),
            About::Sentence(span) | About::Phrase(span, _) => mood_or_label(&span.text, &names),
            About::Text => mood_or_label(&self.asked.text, &names),
        };
        let fallback = || values.first().cloned().unwrap_or(Value::Null);
        chosen.map_or_else(fallback, Value::String)
    }

    fn list(&self, schema: &Value, name: &str, about: About<'_>, depth: usize) -> Value {
        let anything = json!({});
        let items = schema.get("items").unwrap_or(&anything);
        let whole = match about {
            About::Sentence(span) => span.text.as_str(),
            _ => self.asked.text.as_str(),
        };
        let name = name.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let fill = |about: About<'_>| self.fill(items, "item", about, depth + 1);
        let mut values: Vec<Value> = if has(&["entit", "mention", "people"]) {
            text::entities(whole)
                .iter()
                .map(|entity| fill(About::Entity(entity)))
                .collect()
        } else if has(&["phrase", "keyword"]) {
            text::key_phrases(whole)
                .iter()
                .map(|(span, score)| fill(About::Phrase(span, *score)))
                .collect()
        } else if has(&["language"]) {
            language::detect(whole)
                .iter()
                .map(|detected| fill(About::Language(detected)))
                .collect()
        } else if has(&["categor", "label", "topic", "class"]) {
            self.labels(items, whole)
                .iter()
                .map(|(label, confidence)| fill(About::Label(label, *confidence)))
                .collect()
        } else if has(&["sentence"]) {
            text::sentences(whole)
                .iter()
                .map(|span| fill(About::Sentence(span)))
                .collect()
        } else if has(&["translation"]) {
            vec![fill(About::Text)]
        } else {
            Vec::new()
        };
        if let Some(most) = schema.get("maxItems").and_then(Value::as_u64) {
            values.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        }
        Value::Array(values)
    }

    /// The labels of a classification: an enum in the items, else a list in the instructions (`Labels: a, b`), else
    /// the categories that this sandbox knows.
    fn labels(&self, items: &Value, whole: &str) -> Vec<(String, f64)> {
        let inner = items
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(_, inner)| inner);
        let listed = inner
            .chain([items])
            .find_map(|schema| schema.get("enum")?.as_array());
        let strings = |list: &[Value]| {
            list.iter()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect::<Vec<_>>()
        };
        let labels = listed
            .map(|list| strings(list))
            .or_else(|| self.labels_told());
        match labels {
            Some(labels) => text::among(whole, &labels),
            None => text::categories(whole)
                .into_iter()
                .map(|category| (category.path.to_owned(), category.confidence))
                .collect(),
        }
    }

    fn labels_told(&self) -> Option<Vec<String>> {
        let lower = self.asked.instructions.to_lowercase();
        let at = ["labels:", "categories:"]
            .iter()
            .find_map(|word| Some(lower.find(word)? + word.len()))?;
        let line = self
            .asked
            .instructions
            .get(at..)?
            .trim_start()
            .lines()
            .next()?;
        if let Ok(Value::Array(list)) = serde_json::from_str(line.trim_end_matches('.')) {
            return Some(
                list.iter()
                    .filter_map(|value| value.as_str().map(str::to_owned))
                    .collect(),
            );
        }
        let labels: Vec<_> = line
            .split([',', ';'])
            .map(|label| label.trim().trim_matches(['.', '"', '\'']).to_owned())
            .collect();
        Some(
            labels
                .into_iter()
                .filter(|label| !label.is_empty())
                .collect(),
        )
    }

    /// What a property of that name means for what it is about; `None` if nothing.
    fn value(&self, name: &str, about: About<'_>) -> Option<Value> {
        let name = name.to_lowercase();
        let name = name.as_str();
        match about {
            About::Entity(entity) => match name {
                "type" | "kind" | "category" | "label" => Some(json!(kinds(entity.kind).first())),
                "confidence" | "score" | "probability" => Some(json!(entity.confidence)),
                _ => place(name, &entity.span),
            },
            About::Phrase(span, score) => match name {
                "confidence" | "score" | "relevance" | "salience" => Some(json!(score)),
                _ => place(name, span),
            },
            About::Language(detected) => match name {
                "item" | "code" | "language" | "iso" | "language_code" => {
                    Some(json!(detected.code))
                }
                "name" => Some(json!(detected.name)),
                "confidence" | "score" | "probability" => Some(json!(detected.confidence)),
                _ => None,
            },
            About::Label(label, confidence) => match name {
                "item" | "label" | "name" | "path" | "category" | "topic" | "class" => {
                    Some(json!(label))
                }
                "confidence" | "score" | "probability" => Some(json!(confidence)),
                _ => None,
            },
            About::Sentence(span) => mood(name, &span.text).or_else(|| place(name, span)),
            About::Text => self.of_text(name),
        }
    }

    fn of_text(&self, name: &str) -> Option<Value> {
        let text = &self.asked.text;
        let detected = || language::detect(text).into_iter().next();
        match name {
            "translation" | "translated_text" | "translated" => Some(json!(self.translated())),
            "item" | "text" if self.target().is_some() => Some(json!(self.translated())),
            "text" => Some(json!(text)),
            "language" | "code" | "language_code" | "iso" | "source_language"
            | "detected_language" | "source" => Some(json!(detected()?.code)),
            "language_name" | "name" => Some(json!(detected()?.name)),
            "category" | "class" | "topic" => {
                let labels = self.labels(&json!({}), text);
                labels.into_iter().next().map(|(label, _)| json!(label))
            }
            "summary" => text::sentences(text)
                .into_iter()
                .next()
                .map(|span| json!(span.text)),
            _ => mood(name, text),
        }
    }

    /// The language that the instructions name as a target.
    fn target(&self) -> Option<&'static str> {
        let lower = self.asked.instructions.to_lowercase();
        let words: Vec<_> = lower
            .split(|letter: char| !letter.is_alphanumeric() && letter != '-')
            .filter(|word| !word.is_empty())
            .collect();
        if !words.iter().any(|word| word.starts_with("translat")) {
            return None;
        }
        words.windows(2).find_map(|pair| {
            let [before, word] = pair else { return None };
            let primary = word.split('-').next().unwrap_or_default();
            let told = language::NAMES
                .iter()
                .find(|(code, name)| *code == primary || name.to_lowercase() == *word);
            ["to", "into", "target", "language"]
                .contains(before)
                .then_some(told?.0)
        })
    }

    fn translated(&self) -> String {
        translation::translate(&self.asked.text, None, self.target().unwrap_or("en")).text
    }
}

/// One of the names: the mood, the language or the fitting label.
fn mood_or_label(text: &str, names: &[String]) -> Option<String> {
    let lower: Vec<_> = names.iter().map(|name| name.to_lowercase()).collect();
    let moods = ["positive", "negative"]
        .iter()
        .all(|mood| lower.iter().any(|name| name == mood));
    if moods {
        let mood = text::mood(text);
        let at = |wanted: &str| lower.iter().position(|name| name == wanted);
        let label = match mood.label {
            // Not every list of moods has this one.
            Label::Mixed => at("mixed").or_else(|| at("neutral")),
            label => at(label.name()),
        };
        return names.get(label.or_else(|| at("neutral"))?).cloned();
    }
    if lower.iter().all(|name| language::name(name).is_some()) {
        let detected = language::detect(text).into_iter().next()?;
        return names
            .iter()
            .find(|name| name.eq_ignore_ascii_case(detected.code))
            .cloned();
    }
    text::among(text, names)
        .into_iter()
        .next()
        .map(|(name, _)| name)
}

fn mood(name: &str, text: &str) -> Option<Value> {
    let mood = text::mood(text);
    match name {
        "sentiment" | "label" | "mood" => Some(json!(mood.label.name())),
        "score" | "sentiment_score" | "polarity" => Some(json!(mood.score)),
        "magnitude" => Some(json!(mood.magnitude)),
        "positive" => Some(json!(mood.positive)),
        "negative" => Some(json!(mood.negative)),
        "neutral" => Some(json!(mood.neutral)),
        "mixed" => Some(json!(mood.mixed)),
        "confidence" => Some(json!(0.9)),
        _ => None,
    }
}

fn place(name: &str, span: &Span) -> Option<Value> {
    match name {
        "item" | "text" | "name" | "phrase" | "entity" | "keyword" | "mention" => {
            Some(json!(span.text))
        }
        "offset" | "start" | "begin" | "begin_offset" => Some(json!(span.offset)),
        "length" => Some(json!(span.length)),
        "end" | "end_offset" => Some(json!(span.offset + span.length)),
        _ => None,
    }
}

/// Names that a schema may have for a kind, in lower case; the first where it is free.
fn kinds(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Person => &["person", "people", "per"],
        Kind::Organization => &["organization", "organisation", "org", "company"],
        Kind::Location => &["location", "place", "loc", "gpe"],
        Kind::DateTime => &["datetime", "date", "time", "date_time"],
        Kind::Quantity => &["quantity", "number"],
        Kind::Money => &["money", "price", "currency", "quantity"],
        Kind::Email => &["email"],
        Kind::Url => &["url"],
        Kind::Other => &["other"],
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// What is written where nothing is known.
fn blank(types: &[&str], otherwise: &Value) -> Value {
    let first = types
        .iter()
        .find(|name| **name == "null")
        .or_else(|| types.first());
    match first.copied() {
        Some("string") => json!(""),
        Some("number" | "integer") => json!(0),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        Some("object") => json!({}),
        Some(_) => Value::Null,
        None => otherwise.clone(),
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Null => true,
        _ => false,
    }
}

/// A number moved inside the schema's bounds.
fn bounded(schema: &Value, value: Value) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let Some(number) = value.as_f64() else {
        return value;
    };
    let low = bound("minimum").unwrap_or(f64::MIN);
    let high = bound("maximum").unwrap_or(f64::MAX);
    json!(number.max(low).min(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(user: &str, schema: &Value) -> Value {
        let asked = request(&[
            json!({ "role": "system", "content": "You analyse texts." }),
            json!({ "role": "user", "content": user }),
        ]);
        serde_json::from_str(&answer(&asked, Some(schema), false)).unwrap()
    }

    fn object(properties: &Value) -> Value {
        json!({ "type": "object", "properties": properties })
    }

    #[test]
    fn the_text_is_what_stands_between_markers() {
        for (message, text) in [
            ("Analyse <text>a < b</text> now", "a < b"),
            ("Analyse <document id=\"1\">\nx\n</document>", "x"),
            ("Analyse \"\"\"x y\"\"\"", "x y"),
            ("Analyse ```x```", "x"),
            ("just this", "just this"),
        ] {
            assert_eq!(marked(message).1, text, "{message}");
        }
    }

    #[test]
    fn a_schema_is_filled_by_its_names_types_and_enums() {
        let schema = object(&json!({
            "label": { "type": "string", "enum": ["positive", "negative", "neutral", "mixed"] },
            "score": { "type": "number", "minimum": -1, "maximum": 1 },
            "entities": { "type": "array", "items": object(&json!({
                "text": { "type": "string" },
                "type": { "type": "string", "enum": ["person", "location", "other"] },
                "offset": { "type": "integer" },
                "subtype": { "type": ["string", "null"] },
            })) },
            "key_phrases": { "type": "array", "items": { "type": "string" } },
            "language": { "type": "string" },
            "unheard_of": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
        }));
        let filled = ask("<text>Maria was very helpful in Paris.</text>", &schema);
        assert_eq!(filled["label"], "positive");
        assert_eq!(
            filled["entities"][0],
            json!({ "text": "Maria", "type": "person", "offset": 0, "subtype": null })
        );
        assert_eq!(filled["entities"][1]["type"], "location");
        assert_eq!(filled["key_phrases"], json!(["Maria", "helpful", "Paris"]));
        assert_eq!(
            (&filled["language"], &filled["unheard_of"]),
            (&json!("en"), &Value::Null)
        );
    }

    #[test]
    fn labels_are_taken_from_the_enum_or_the_prompt() {
        let items = object(
            &json!({ "label": { "type": "string", "enum": ["sports", "weather"] }, "confidence": { "type": "number" } }),
        );
        let listed = ask(
            "<text>The weather is sunny</text>",
            &object(&json!({ "categories": { "type": "array", "items": items } })),
        );
        assert_eq!(listed["categories"][0]["label"], "weather");
        let one = ask(
            "Labels: sports, weather\n<text>The weather is sunny</text>",
            &object(&json!({ "category": { "type": "string" } })),
        );
        assert_eq!(one["category"], "weather");
    }

    #[test]
    fn translations_go_where_the_instructions_say() {
        let schema = object(&json!({ "translation": { "type": "string" } }));
        assert_eq!(
            ask("Translate to German: <text>Hello, world!</text>", &schema)["translation"],
            "Hallo Welt!"
        );
        assert_eq!(
            ask(
                "Translate from en into fr. <text>Hello, world!</text>",
                &schema
            )["translation"],
            "Bonjour le monde !"
        );
    }

    #[test]
    fn strict_schemas_are_closed() {
        let open = object(&json!({ "a": { "type": "string" } }));
        assert!(not_strict(&open).unwrap().contains("additionalProperties"));
        let mut closed = open.clone();
        closed["additionalProperties"] = json!(false);
        assert!(not_strict(&closed).unwrap().contains("Missing 'a'"));
        closed["required"] = json!(["a"]);
        assert_eq!(not_strict(&closed), None);
        assert!(not_strict(&json!({ "type": "array" })).is_some());
    }
}
