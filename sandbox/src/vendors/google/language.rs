//! Natural language v1 and v2: sentiment, entities, classification, and several of them at once.

use serde_json::{Map, Value, json};

use super::{
    Service, answer, errors,
    fields::{self, Field, Kind, Message},
};
use crate::{
    answer::Answer,
    answers::{
        audio::{as_f64, rounded},
        language, markup,
        text::{self, Span},
        units::{Ruler, Unit},
    },
    call::Call,
};

/// Most bytes of a document.
const BYTES: usize = 1_000_000;
/// Fewest words that the first scheme of categories works with.
const WORDS: usize = 20;

const TYPES: &[&str] = &["TYPE_UNSPECIFIED", "PLAIN_TEXT", "HTML"];
const ENCODINGS: &[&str] = &["NONE", "UTF8", "UTF16", "UTF32"];
const VERSIONS: &[&str] = &["CONTENT_CATEGORIES_VERSION_UNSPECIFIED", "V1", "V2"];
const DOCUMENT_1: &[Field] = &[
    ("type", Kind::One(TYPES)),
    ("content", Kind::Text),
    ("gcsContentUri", Kind::Text),
    ("language", Kind::Text),
];
const DOCUMENT_2: &[Field] = &[
    ("type", Kind::One(TYPES)),
    ("content", Kind::Text),
    ("gcsContentUri", Kind::Text),
    ("languageCode", Kind::Text),
];
const ANALYZE_1: &[Field] = &[
    ("document", Kind::Message(DOCUMENT_1)),
    ("encodingType", Kind::One(ENCODINGS)),
];
const ANALYZE_2: &[Field] = &[
    ("document", Kind::Message(DOCUMENT_2)),
    ("encodingType", Kind::One(ENCODINGS)),
];
const MODEL_2: &[Field] = &[("contentCategoriesVersion", Kind::One(VERSIONS))];
const OPTIONS: &[Field] = &[("v1Model", Kind::Any), ("v2Model", Kind::Message(MODEL_2))];
const CLASSIFY_1: &[Field] = &[
    ("document", Kind::Message(DOCUMENT_1)),
    ("classificationModelOptions", Kind::Message(OPTIONS)),
];
const CLASSIFY_2: &[Field] = &[("document", Kind::Message(DOCUMENT_2))];
const FEATURES_1: &[Field] = &[
    ("extractDocumentSentiment", Kind::Flag),
    ("extractEntities", Kind::Flag),
    ("classifyText", Kind::Flag),
    ("classificationModelOptions", Kind::Message(OPTIONS)),
];
const FEATURES_2: &[Field] = &[
    ("extractDocumentSentiment", Kind::Flag),
    ("extractEntities", Kind::Flag),
    ("classifyText", Kind::Flag),
];
const ANNOTATE_1: &[Field] = &[
    ("document", Kind::Message(DOCUMENT_1)),
    ("features", Kind::Message(FEATURES_1)),
    ("encodingType", Kind::One(ENCODINGS)),
];
const ANNOTATE_2: &[Field] = &[
    ("document", Kind::Message(DOCUMENT_2)),
    ("features", Kind::Message(FEATURES_2)),
    ("encodingType", Kind::One(ENCODINGS)),
];

/// Languages of version 1 by what is asked; version 2 takes all that are known here.
const SENTIMENT_1: [&str; 14] = [
    "ar", "zh", "nl", "en", "fr", "de", "id", "it", "ja", "ko", "pl", "pt", "es", "th",
];
const ENTITIES_1: [&str; 10] = ["zh", "en", "fr", "de", "it", "ja", "ko", "pt", "ru", "es"];
const CLASSES_2: [&str; 11] = [
    "zh", "nl", "en", "fr", "de", "it", "ja", "ko", "pt", "ru", "es",
];

/// What is asked of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Sentiment,
    Entities,
    /// Classification by the first scheme, or by the second.
    Classes(u8),
}

impl Question {
    fn name(self) -> &'static str {
        match self {
            Self::Sentiment => "document_sentiment",
            Self::Entities => "entity",
            Self::Classes(_) => "classification",
        }
    }

    fn speaks(self, version: u8, code: &str) -> bool {
        let known = language::name(code).is_some();
        match (self, version) {
            (Self::Sentiment, 1) => SENTIMENT_1.contains(&code),
            (Self::Entities, 1) => ENTITIES_1.contains(&code),
            (Self::Classes(1), 1) => code == "en",
            (Self::Classes(_), _) => CLASSES_2.contains(&code),
            _ => known,
        }
    }
}

/// A document, checked.
struct Document {
    version: u8,
    /// Tags blanked.
    text: String,
    language: String,
    /// `None`: offsets are -1.
    ruler: Option<Ruler>,
}

/// `documents:analyzeSentiment`.
pub(super) fn sentiment(call: &Call) -> Result<Answer, Answer> {
    let request = read(call, ANALYZE_1, ANALYZE_2)?;
    let document = document(call, &request, &[Question::Sentiment])?;
    Ok(document.told(moods(&document)))
}

/// `documents:analyzeEntities`.
pub(super) fn entities(call: &Call) -> Result<Answer, Answer> {
    let request = read(call, ANALYZE_1, ANALYZE_2)?;
    let document = document(call, &request, &[Question::Entities])?;
    let mut body = Map::new();
    put(&mut body, "entities", found(&document));
    Ok(document.told(body))
}

/// `documents:classifyText`.
pub(super) fn classify(call: &Call) -> Result<Answer, Answer> {
    let request = read(call, CLASSIFY_1, CLASSIFY_2)?;
    let scheme = scheme(call, &request.message("classificationModelOptions"));
    let document = document(call, &request, &[Question::Classes(scheme)])?;
    let mut body = Map::new();
    put(&mut body, "categories", classes(call, &document, scheme)?);
    if document.version == 2 {
        return Ok(document.told(body));
    }
    // Alone among them it does not say the language.
    let characters = document.text.chars().count();
    Ok(answer(&Value::Object(body)).fact("characters", characters))
}

/// `documents:annotateText`.
pub(super) fn annotate(call: &Call) -> Result<Answer, Answer> {
    let request = read(call, ANNOTATE_1, ANNOTATE_2)?;
    let features = request.message("features");
    let scheme = scheme(call, &features.message("classificationModelOptions"));
    let wanted = [
        ("extractDocumentSentiment", Question::Sentiment),
        ("extractEntities", Question::Entities),
        ("classifyText", Question::Classes(scheme)),
    ];
    let wanted: Vec<_> = wanted
        .into_iter()
        .filter_map(|(name, question)| features.flag(name).then_some(question))
        .collect();
    if wanted.is_empty() {
        let message = "No features were requested.";
        return Err(errors::invalid(call, "features", message));
    }
    let document = document(call, &request, &wanted)?;
    let mut body = Map::new();
    for question in wanted {
        match question {
            Question::Sentiment => body.extend(moods(&document)),
            Question::Entities => put(&mut body, "entities", found(&document)),
            Question::Classes(scheme) => {
                put(&mut body, "categories", classes(call, &document, scheme)?);
            }
        }
    }
    Ok(document.told(body))
}

fn version(call: &Call) -> u8 {
    match Service::of(call) {
        Service::Language(version) => version,
        _ => 2,
    }
}

fn read(call: &Call, first: &'static [Field], second: &'static [Field]) -> Result<Message, Answer> {
    let fields = if version(call) == 1 { first } else { second };
    fields::read(call, fields)
}

/// Which categories: version 1 has the first scheme unless the second model is asked for, version 2 the second.
fn scheme(call: &Call, options: &Message) -> u8 {
    let model = options.message("v2Model");
    match version(call) {
        1 if !options.has("v2Model") => 1,
        1 if model.text("contentCategoriesVersion") == Some("V1") => 1,
        _ => 2,
    }
}

fn document(call: &Call, request: &Message, questions: &[Question]) -> Result<Document, Answer> {
    let version = version(call);
    let wrong = |field: &str, message: &str| errors::invalid(call, field, message);
    let document = request.message("document");
    let text = match document.text("type") {
        None | Some("TYPE_UNSPECIFIED") => {
            return Err(wrong("document.type", "The document type must be set."));
        }
        Some(kind) => match (document.text("content"), document.text("gcsContentUri")) {
            (Some(content), None) if kind == "HTML" => markup::blanked(content),
            (Some(content), None) => content.to_owned(),
            (None, Some(_)) => {
                return Err(errors::failure(
                    call,
                    404,
                    "Requested entity was not found.",
                    &[],
                ));
            }
            _ => {
                let message = "Exactly one of content and gcs_content_uri must be set.";
                return Err(wrong("document.content", message));
            }
        },
    };
    if text.len() > BYTES {
        let message = format!(
            "The document is too large: {} bytes, at most {BYTES}.",
            text.len()
        );
        return Err(wrong("document.content", &message));
    }
    let name = if version == 1 {
        "language"
    } else {
        "languageCode"
    };
    let given = document.text(name);
    let detected = language::detect(&text);
    let detected = detected.first().map_or("en", |found| found.code);
    let language = given.unwrap_or(detected).to_owned();
    let primary = crate::answers::translation::primary(&language);
    let mut silent = questions
        .iter()
        .filter(|question| !question.speaks(version, &primary));
    if let Some(question) = silent.next() {
        let message = format!(
            "The language {language} is not supported for {} analysis.",
            question.name()
        );
        let field = if version == 1 {
            "document.language"
        } else {
            "document.language_code"
        };
        return Err(wrong(field, &message));
    }
    let unit = match request.text("encodingType") {
        Some("UTF8") => Some(Unit::Bytes),
        Some("UTF16") => Some(Unit::Utf16),
        Some("UTF32") => Some(Unit::CodePoints),
        _ => None,
    };
    Ok(Document {
        version,
        ruler: unit.map(|unit| Ruler::new(&text, unit)),
        text,
        language,
    })
}

impl Document {
    /// A stretch; its offset is left out when it is zero.
    fn span(&self, span: &Span) -> Value {
        let mut told = Map::new();
        told.insert("content".to_owned(), json!(span.text));
        match self.ruler.as_ref().map(|ruler| ruler.at(span.offset)) {
            None => told.insert("beginOffset".to_owned(), json!(-1)),
            Some(0) => None,
            Some(offset) => told.insert("beginOffset".to_owned(), json!(offset)),
        };
        Value::Object(told)
    }

    /// The answer with the language, under the version's own name for it.
    fn told(&self, mut body: Map<String, Value>) -> Answer {
        if self.version == 1 {
            body.insert("language".to_owned(), json!(self.language));
        } else {
            body.insert("languageCode".to_owned(), json!(self.language));
            body.insert("languageSupported".to_owned(), json!(true));
        }
        let characters = self.text.chars().count();
        answer(&Value::Object(body)).fact("characters", characters)
    }
}

/// Adds a list unless it is empty.
fn put(body: &mut Map<String, Value>, name: &str, list: Vec<Value>) {
    if !list.is_empty() {
        body.insert(name.to_owned(), Value::Array(list));
    }
}

fn moods(document: &Document) -> Map<String, Value> {
    let mut body = Map::new();
    let whole = text::mood(&document.text);
    body.insert("documentSentiment".to_owned(), feeling(&whole));
    let sentences = text::sentences(&document.text);
    let sentences = sentences.iter().map(|sentence| {
        json!({ "text": document.span(sentence), "sentiment": feeling(&text::mood(&sentence.text)) })
    });
    put(&mut body, "sentences", sentences.collect());
    body
}

/// Score and magnitude, each left out when it is zero.
fn feeling(mood: &text::Mood) -> Value {
    let numbers = [("magnitude", mood.magnitude), ("score", mood.score)];
    let numbers = numbers.into_iter().filter(|(_, number)| number.abs() > 0.0);
    numbers
        .map(|(name, number)| (name.to_owned(), json!(number)))
        .collect::<Map<_, _>>()
        .into()
}

/// One entity with all its mentions.
struct Named {
    name: String,
    kind: &'static str,
    proper: bool,
    mentions: Vec<(Span, f64)>,
}

fn kind_of(kind: text::Kind) -> (&'static str, bool) {
    match kind {
        text::Kind::Person => ("PERSON", true),
        text::Kind::Organization => ("ORGANIZATION", true),
        text::Kind::Location => ("LOCATION", true),
        text::Kind::DateTime => ("DATE", false),
        text::Kind::Quantity => ("NUMBER", false),
        text::Kind::Money => ("PRICE", false),
        text::Kind::Email | text::Kind::Url | text::Kind::Other => ("OTHER", true),
    }
}

fn found(document: &Document) -> Vec<Value> {
    let mut all: Vec<Named> = Vec::new();
    let mut add = |name: &str, kind: &'static str, proper: bool, mention: (Span, f64)| {
        let known = all
            .iter_mut()
            .find(|known| known.name == name && known.kind == kind);
        match known {
            Some(known) => known.mentions.push(mention),
            None => all.push(Named {
                name: name.to_owned(),
                kind,
                proper,
                mentions: vec![mention],
            }),
        }
    };
    let entities = text::entities(&document.text);
    for entity in &entities {
        let (kind, proper) = kind_of(entity.kind);
        let name = entity.span.text.clone();
        add(
            &name,
            kind,
            proper,
            (entity.span.clone(), entity.confidence),
        );
    }
    // Version 1 also counts what is merely spoken of; the reader has to tell it apart by the kind of its mentions.
    if document.version == 1 {
        let within = |span: &Span| {
            entities.iter().any(|entity| {
                let (one, other) = (&entity.span, span);
                one.offset < other.offset + other.length && other.offset < one.offset + one.length
            })
        };
        for (phrase, score) in text::key_phrases(&document.text) {
            if !within(&phrase) && !phrase.text.chars().any(char::is_uppercase) {
                let name = phrase.text.clone();
                add(&name, "COMMON", false, (phrase, score));
            }
        }
    }
    let weights: Vec<f64> = all
        .iter()
        .map(|named| as_f64(named.mentions.len()) * if named.proper { 2.0 } else { 1.0 })
        .collect();
    let total: f64 = weights.iter().sum();
    all.iter()
        .zip(weights)
        .map(|(named, weight)| told(document, named, rounded(weight / total.max(1.0))))
        .collect()
}

fn told(document: &Document, named: &Named, salience: f64) -> Value {
    let common = named.kind == "COMMON";
    let mentions = named.mentions.iter().map(|(span, confidence)| {
        let mut mention = Map::new();
        mention.insert("text".to_owned(), document.span(span));
        // Dates and numbers have no kind of mention.
        let kind = if common {
            Some("COMMON")
        } else {
            named.proper.then_some("PROPER")
        };
        mention.extend(kind.map(|kind| ("type".to_owned(), json!(kind))));
        if document.version == 2 {
            mention.insert("probability".to_owned(), json!(confidence));
        }
        Value::Object(mention)
    });
    let mut entity = Map::new();
    entity.insert("name".to_owned(), json!(named.name));
    let kind = if common { "OTHER" } else { named.kind };
    entity.insert("type".to_owned(), json!(kind));
    let metadata = metadata(named);
    if !metadata.is_empty() {
        entity.insert("metadata".to_owned(), Value::Object(metadata));
    }
    if document.version == 1 && salience > 0.0 && (named.proper || common) {
        entity.insert("salience".to_owned(), json!(salience));
    }
    entity.insert("mentions".to_owned(), mentions.collect());
    Value::Object(entity)
}

/// What is known of dates, numbers and prices.
fn metadata(named: &Named) -> Map<String, Value> {
    let digits = |text: &str| -> String {
        text.chars()
            .filter(|letter| letter.is_ascii_digit() || *letter == '.')
            .collect()
    };
    let pairs: Vec<(&str, String)> = match named.kind {
        "DATE" if named.name.len() == 4 && digits(&named.name) == named.name => {
            vec![("year", named.name.clone())]
        }
        "NUMBER" => vec![("value", digits(&named.name))],
        "PRICE" => {
            let currency = match named.name.chars().next() {
                Some('€') => "EUR",
                Some('£') => "GBP",
                _ => "USD",
            };
            vec![
                ("value", digits(&named.name)),
                ("currency", currency.to_owned()),
            ]
        }
        _ => Vec::new(),
    };
    let pairs = pairs.into_iter();
    pairs
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}

/// Names of the first scheme where they differ from the second's.
const FIRST: [(&str, &str); 2] = [
    (
        "/Travel & Transportation/Hotels & Accommodations",
        "/Travel/Hotels & Accommodations",
    ),
    ("/Business & Industrial/Finance", "/Finance"),
];

fn classes(call: &Call, document: &Document, scheme: u8) -> Result<Vec<Value>, Answer> {
    if document.version == 1 && document.text.split_whitespace().count() < WORDS {
        let message = "Invalid text content: too few tokens (words) to process.";
        return Err(errors::invalid(call, "document.content", message));
    }
    let name = |path: &'static str| {
        let first = FIRST.iter().find(|(second, _)| *second == path);
        match first {
            Some((_, first)) if scheme == 1 => first,
            _ => path,
        }
    };
    let categories = text::categories(&document.text);
    Ok(categories
        .iter()
        .map(|category| json!({ "name": name(category.path), "confidence": category.confidence }))
        .collect())
}
