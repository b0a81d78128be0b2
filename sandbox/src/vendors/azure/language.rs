//! Language: `POST /language/:analyze-text`, one kind of analysis over a batch of documents.
//!
//! A document that cannot be analysed is an entry in `errors` inside a 200; offsets count graphemes unless told
//! otherwise.

use serde_json::{Map, Value, json};

use super::{answer, errors};
use crate::{
    answer::Answer,
    answers::{
        audio::as_f64,
        language, private,
        text::{self, Label, Mood, Span},
        units::{Ruler, Unit},
    },
    call::Call,
};

/// Most text elements of a document.
const ELEMENTS: usize = 5120;
const VERSIONS: [&str; 3] = ["2022-05-01", "2023-04-01", "2024-11-01"];
const MODELS: [&str; 4] = ["latest", "2022-11-01", "2023-02-01", "2023-09-01"];
const MODEL: &str = "2023-09-01";

/// What is asked of the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sentiment,
    Entities,
    KeyPhrases,
    Language,
    Private,
    Linking,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::Sentiment, "SentimentAnalysis"),
    (Kind::Entities, "EntityRecognition"),
    (Kind::KeyPhrases, "KeyPhraseExtraction"),
    (Kind::Language, "LanguageDetection"),
    (Kind::Private, "PiiEntityRecognition"),
    (Kind::Linking, "EntityLinking"),
];

impl Kind {
    /// The kind that the body of a call names.
    pub(super) fn of(call: &Call) -> Option<Self> {
        let body = call.json().ok()?;
        let name = body.get("kind")?.as_str()?;
        let found = KINDS.iter().find(|(_, known)| *known == name);
        found.map(|(kind, _)| *kind)
    }

    /// Its name in requests; answers have `Results` behind it.
    pub(super) fn name(self) -> &'static str {
        let found = KINDS.iter().find(|(kind, _)| *kind == self);
        found.map_or("", |(_, name)| *name)
    }

    pub(super) fn operation(self) -> Option<&'static str> {
        match self {
            Self::Sentiment => Some("text.sentiment"),
            Self::Entities => Some("text.entities"),
            Self::KeyPhrases => Some("text.key_phrases"),
            Self::Language => Some("text.language"),
            Self::Private | Self::Linking => None,
        }
    }

    /// Most documents in a call.
    fn most(self) -> usize {
        match self {
            Self::Sentiment | Self::KeyPhrases => 10,
            Self::Entities | Self::Private | Self::Linking => 5,
            Self::Language => 1000,
        }
    }
}

/// One document, and what it is analysed by.
struct Document<'a> {
    id: &'a str,
    text: &'a str,
    ruler: Ruler,
    elements: usize,
}

impl Document<'_> {
    /// Offset and length, in the unit that was asked for.
    fn place(&self, span: &Span) -> [(String, Value); 2] {
        let (offset, length) = self.ruler.span(span);
        [
            ("offset".to_owned(), json!(offset)),
            ("length".to_owned(), json!(length)),
        ]
    }

    /// A stretch with its text.
    fn span(&self, span: &Span) -> Map<String, Value> {
        let mut told = Map::new();
        told.insert("text".to_owned(), json!(span.text));
        told.extend(self.place(span));
        told
    }

    /// Text records that are charged.
    fn transactions(&self) -> usize {
        self.elements.div_ceil(1000)
    }
}

/// Why a document is not analysed: inner code and sentence.
type Refusal = (&'static str, String);

/// `POST /language/:analyze-text`.
pub(super) fn analyze(call: &Call) -> Result<Answer, Answer> {
    let refused = |inner: &str, message: &str| {
        errors::language(
            call,
            400,
            "InvalidRequest",
            "Invalid request.",
            Some((inner, message)),
        )
    };
    let version = call.query("api-version").unwrap_or_default();
    if !VERSIONS.contains(&version.as_str()) {
        let message = "The api-version is missing or not supported.";
        return Err(refused("InvalidParameterValue", message));
    }
    if call.media_type() != "application/json" {
        let message = "The content type must be application/json.";
        return Err(errors::language(call, 415, "InvalidRequest", message, None));
    }
    let body = call
        .json()
        .map_err(|error| refused("InvalidRequestBodyFormat", &error))?;
    let kind = Kind::of(call).ok_or_else(|| {
        refused(
            "InvalidRequestBodyFormat",
            "The kind is missing or unknown.",
        )
    })?;
    let parameters = body.get("parameters").cloned().unwrap_or_default();
    let unit = unit(&parameters)
        .ok_or_else(|| refused("InvalidParameterValue", "The stringIndexType is not valid."))?;
    let model = parameters.get("modelVersion").and_then(Value::as_str);
    if model.is_some_and(|model| !MODELS.contains(&model)) {
        return Err(refused(
            "ModelVersionIncorrect",
            "The model version is not known.",
        ));
    }
    let documents = body
        .get("analysisInput")
        .and_then(|input| input.get("documents"));
    let documents = documents.and_then(Value::as_array);
    let documents = documents.map(Vec::as_slice).unwrap_or_default();
    if documents.is_empty() {
        return Err(refused("MissingInputDocuments", "There are no documents."));
    }
    if documents.len() > kind.most() {
        let message = format!(
            "Batch request contains too many documents. At most {} are permitted.",
            kind.most()
        );
        return Err(refused("InvalidDocumentBatch", &message));
    }
    let mut ids: Vec<&str> = Vec::new();
    let mut done = Vec::new();
    let mut failed = Vec::new();
    let (mut elements, mut transactions) = (0, 0);
    for document in documents {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let (Some(id), Some(content)) = (text("id").filter(|id| !id.is_empty()), text("text"))
        else {
            let message = "A document has no id or no text.";
            return Err(refused("InvalidRequestBodyFormat", message));
        };
        if ids.contains(&id) {
            let message = "Two documents have the same id.";
            return Err(refused("InvalidDocument", message));
        }
        ids.push(id);
        let read = Document {
            id,
            text: content,
            ruler: Ruler::new(content, unit),
            elements: Ruler::new(content, Unit::Graphemes).length(),
        };
        if let Some((code, message)) = refusal(kind, &read, document) {
            let said = "Invalid document in request.";
            let error = errors::language_error("InvalidArgument", said, Some((code, &message)));
            failed.push(json!({ "id": id, "error": error }));
            continue;
        }
        elements += read.elements;
        transactions += read.transactions();
        let mut told = Map::new();
        told.insert("id".to_owned(), json!(id));
        told.extend(analysed(kind, &read, document, &parameters, done.len()));
        if call.query_flag("showStats") {
            let statistics = json!({
                "charactersCount": read.elements,
                "transactionsCount": read.transactions(),
            });
            told.insert("statistics".to_owned(), statistics);
        }
        told.insert("warnings".to_owned(), json!([]));
        done.push(Value::Object(told));
    }
    let nothing = done.is_empty();
    let count = done.len();
    let mut results = Map::new();
    if call.query_flag("showStats") {
        let statistics = json!({
            "documentsCount": documents.len(),
            "validDocumentsCount": count,
            "erroneousDocumentsCount": failed.len(),
            "transactionsCount": transactions,
        });
        results.insert("statistics".to_owned(), statistics);
    }
    results.insert("documents".to_owned(), json!(done));
    results.insert("errors".to_owned(), json!(failed));
    results.insert("modelVersion".to_owned(), json!(MODEL));
    let body = json!({ "kind": format!("{}Results", kind.name()), "results": results });
    let told = answer(call, 200, &body)
        .fact("documents", count)
        .fact("characters", elements);
    Ok(if nothing { told.not_executed() } else { told })
}

fn unit(parameters: &Value) -> Option<Unit> {
    match parameters.get("stringIndexType").map(Value::as_str) {
        None | Some(Some("TextElements_v8")) => Some(Unit::Graphemes),
        Some(Some("UnicodeCodePoint")) => Some(Unit::CodePoints),
        Some(Some("Utf16CodeUnit")) => Some(Unit::Utf16),
        Some(_) => None,
    }
}

fn refusal(kind: Kind, read: &Document<'_>, document: &Value) -> Option<Refusal> {
    if read.text.trim().is_empty() {
        return Some(("InvalidDocument", "Document text is empty.".to_owned()));
    }
    if read.elements > ELEMENTS {
        let message = format!(
            "The document {} is too large: at most {ELEMENTS} text elements.",
            read.id
        );
        return Some(("InvalidDocument", message));
    }
    if kind == Kind::Language {
        let hint = document.get("countryHint").and_then(Value::as_str);
        let hint = hint.unwrap_or_default();
        let code = hint.len() == 2 && hint.chars().all(|letter| letter.is_ascii_alphabetic());
        if !(code || hint.is_empty() || hint.eq_ignore_ascii_case("none")) {
            let message = "Country hint is not a two letter country code.".to_owned();
            return Some(("InvalidCountryHint", message));
        }
        return None;
    }
    let code = document.get("language").and_then(Value::as_str);
    let code = code.filter(|code| !code.is_empty()).unwrap_or("en");
    if language::name(code).is_none() {
        let message = format!("Invalid language code {code}.");
        return Some(("UnsupportedLanguageCode", message));
    }
    None
}

/// What a document says; `place` is its number among those that succeed.
fn analysed(
    kind: Kind,
    read: &Document<'_>,
    document: &Value,
    parameters: &Value,
    place: usize,
) -> Map<String, Value> {
    let told = match kind {
        Kind::Sentiment => {
            let opinions = parameters.get("opinionMining").and_then(Value::as_bool);
            sentiment(read, opinions.unwrap_or_default(), place)
        }
        Kind::Entities => json!({ "entities": entities(read) }),
        Kind::KeyPhrases => {
            let phrases = text::key_phrases(read.text).into_iter();
            json!({ "keyPhrases": phrases.map(|(span, _)| span.text).collect::<Vec<_>>() })
        }
        Kind::Language => json!({ "detectedLanguage": detected(read.text) }),
        Kind::Private => private_things(read, parameters),
        Kind::Linking => json!({ "entities": linked(read, document) }),
    };
    told.as_object().cloned().unwrap_or_default()
}

/// A probability with the two decimals that the vendor gives.
fn hundredths(part: f64) -> f64 {
    (part * 100.0).round() / 100.0
}

/// Probabilities of the three classes; what is mixed goes to both sides.
fn scores(mood: &Mood) -> [f64; 3] {
    let positive = hundredths(mood.positive + mood.mixed / 2.0);
    let negative = hundredths(mood.negative + mood.mixed / 2.0);
    [
        positive,
        hundredths((1.0 - positive - negative).max(0.0)),
        negative,
    ]
}

fn told_scores([positive, neutral, negative]: [f64; 3]) -> Value {
    json!({ "positive": positive, "neutral": neutral, "negative": negative })
}

/// A sentence's label: there is none for mixed ones.
fn label(mood: &Mood, [positive, _, negative]: [f64; 3]) -> &'static str {
    match mood.label {
        Label::Mixed if positive > negative => "positive",
        Label::Mixed if positive < negative => "negative",
        Label::Mixed => "neutral",
        label => label.name(),
    }
}

fn sentiment(read: &Document<'_>, opinions: bool, place: usize) -> Value {
    let letters: Vec<char> = read.text.chars().collect();
    let found = text::sentences(read.text);
    let mut sentences = Vec::new();
    let mut labels = Vec::new();
    let mut sums = [0.0; 3];
    for (number, sentence) in found.iter().enumerate() {
        // A sentence goes on to the next one.
        let end = found.get(number + 1).map(|next| next.offset);
        let end = end.unwrap_or(sentence.offset + sentence.length);
        let whole = Span {
            text: letters
                .get(sentence.offset..end)
                .unwrap_or_default()
                .iter()
                .collect(),
            offset: sentence.offset,
            length: end - sentence.offset,
        };
        let mood = text::mood(&sentence.text);
        let scores = scores(&mood);
        let label = label(&mood, scores);
        labels.push(label);
        for (sum, score) in sums.iter_mut().zip(scores) {
            *sum += score;
        }
        let mut told = Map::new();
        told.insert("sentiment".to_owned(), json!(label));
        told.insert("confidenceScores".to_owned(), told_scores(scores));
        told.extend(read.span(&whole));
        if opinions {
            let (targets, assessments) = minded(read, sentence, place, number);
            told.insert("targets".to_owned(), json!(targets));
            told.insert("assessments".to_owned(), json!(assessments));
        }
        sentences.push(Value::Object(told));
    }
    let count = as_f64(sentences.len().max(1));
    let mean = sums.map(|sum| hundredths(sum / count));
    let has = |label: &str| labels.contains(&label);
    let whole = match (has("positive"), has("negative")) {
        (true, true) => "mixed",
        (true, false) => "positive",
        (false, true) => "negative",
        (false, false) => "neutral",
    };
    json!({ "sentiment": whole, "confidenceScores": told_scores(mean), "sentences": sentences })
}

/// Words that judge, and what they judge: the last word of each phrase beside them.
fn minded(
    read: &Document<'_>,
    sentence: &Span,
    place: usize,
    number: usize,
) -> (Vec<Value>, Vec<Value>) {
    let mut assessments = Vec::new();
    let mut targets = Vec::new();
    let mut mood = None;
    let moved = |span: &Span| Span {
        text: span.text.clone(),
        offset: sentence.offset + span.offset,
        length: span.length,
    };
    let judged = |told: &mut Map<String, Value>, label: Label| {
        let positive = label == Label::Positive;
        let scores = json!({ "positive": f64::from(positive), "negative": f64::from(!positive) });
        told.insert("sentiment".to_owned(), json!(label.name()));
        told.insert("confidenceScores".to_owned(), scores);
    };
    let mut at = 0;
    let letters: Vec<char> = sentence.text.chars().collect();
    for run in letters.chunk_by(|one, next| one.is_alphanumeric() == next.is_alphanumeric()) {
        let word = Span {
            text: run.iter().collect(),
            offset: at,
            length: run.len(),
        };
        at += run.len();
        let label = text::mood(&word.text).label;
        if ![Label::Positive, Label::Negative].contains(&label) {
            continue;
        }
        mood = mood.or(Some(label));
        let mut told = Map::new();
        judged(&mut told, label);
        told.extend(read.span(&moved(&word)));
        told.insert("isNegated".to_owned(), json!(false));
        assessments.push(Value::Object(told));
    }
    for (phrase, _) in text::key_phrases(&sentence.text) {
        let Some(label) = mood else { break };
        if text::mood(&phrase.text).label != Label::Neutral {
            continue;
        }
        let mut told = Map::new();
        judged(&mut told, label);
        told.extend(read.span(&moved(&phrase)));
        let relations: Vec<_> = (0..assessments.len())
            .map(|one| {
                let pointer = format!("#/documents/{place}/sentences/{number}/assessments/{one}");
                json!({ "relationType": "assessment", "ref": pointer })
            })
            .collect();
        told.insert("relations".to_owned(), json!(relations));
        targets.push(Value::Object(told));
    }
    (targets, assessments)
}

fn entities(read: &Document<'_>) -> Vec<Value> {
    let told = |entity: text::Entity| {
        let written = entity.span.text.as_str();
        let (category, subcategory) = match entity.kind {
            text::Kind::Person => ("Person", None),
            text::Kind::Organization => ("Organization", None),
            text::Kind::Location => ("Location", Some("GPE")),
            text::Kind::DateTime if written.contains(':') || written == "o'clock" => {
                ("DateTime", Some("Time"))
            }
            text::Kind::DateTime => ("DateTime", Some("Date")),
            text::Kind::Quantity if written.ends_with('%') => ("Quantity", Some("Percentage")),
            text::Kind::Quantity => ("Quantity", Some("Number")),
            text::Kind::Money => ("Quantity", Some("Currency")),
            text::Kind::Email => ("Email", None),
            text::Kind::Url => ("URL", None),
            // What cannot be told to be anything is not told.
            text::Kind::Other => return None,
        };
        let mut told = Map::new();
        told.insert("text".to_owned(), json!(written));
        told.insert("category".to_owned(), json!(category));
        told.extend(subcategory.map(|name| ("subcategory".to_owned(), json!(name))));
        told.extend(read.place(&entity.span));
        told.insert("confidenceScore".to_owned(), json!(entity.confidence));
        Some(Value::Object(told))
    };
    let found = text::entities(read.text).into_iter();
    found.filter_map(told).collect()
}

fn detected(text: &str) -> Value {
    let best = language::detect(text).into_iter().next();
    match best.filter(|best| best.confidence > 0.0) {
        // The vendor's own names for the two scripts.
        Some(best) if best.code == "zh" => json!({
            "name": "Chinese_Simplified",
            "iso6391Name": "zh_chs",
            "confidenceScore": best.confidence,
        }),
        Some(best) => json!({
            "name": best.name,
            "iso6391Name": best.code,
            "confidenceScore": best.confidence,
        }),
        None => json!({ "name": "(Unknown)", "iso6391Name": "(Unknown)", "confidenceScore": 0.0 }),
    }
}

fn private_category(kind: private::Kind) -> &'static str {
    match kind {
        private::Kind::Person => "Person",
        private::Kind::Organization => "Organization",
        private::Kind::DateTime => "DateTime",
        private::Kind::Email => "Email",
        private::Kind::Url => "URL",
        private::Kind::Phone => "PhoneNumber",
        private::Kind::Ip => "IPAddress",
        private::Kind::SocialSecurity => "USSocialSecurityNumber",
        private::Kind::Card => "CreditCardNumber",
    }
}

fn private_things(read: &Document<'_>, parameters: &Value) -> Value {
    let wanted = parameters.get("piiCategories").and_then(Value::as_array);
    let wanted = wanted.filter(|wanted| !wanted.is_empty());
    let asked = |found: &private::Private| {
        let name = private_category(found.kind);
        wanted.is_none_or(|wanted| wanted.iter().any(|one| one == name))
    };
    let mut found = private::found(read.text);
    found.retain(asked);
    let entities = found.iter().map(|one| {
        let mut told = read.span(&one.span);
        told.insert("category".to_owned(), json!(private_category(one.kind)));
        told.insert("confidenceScore".to_owned(), json!(one.confidence));
        Value::Object(told)
    });
    json!({
        "redactedText": private::redacted(read.text, &found),
        "entities": entities.collect::<Vec<_>>(),
    })
}

/// Names that an encyclopaedia would know, each with its places.
fn linked(read: &Document<'_>, document: &Value) -> Vec<Value> {
    let code = document.get("language").and_then(Value::as_str);
    let code = code.filter(|code| !code.is_empty()).unwrap_or("en");
    let mut names: Vec<(String, Vec<Value>)> = Vec::new();
    for entity in text::entities(read.text) {
        let known = [
            text::Kind::Person,
            text::Kind::Organization,
            text::Kind::Location,
        ];
        if !known.contains(&entity.kind) {
            continue;
        }
        let mut told = read.span(&entity.span);
        told.insert("confidenceScore".to_owned(), json!(entity.confidence));
        let name = entity.span.text;
        match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, matches)) => matches.push(Value::Object(told)),
            None => names.push((name, vec![Value::Object(told)])),
        }
    }
    let told = |(name, matches): &(String, Vec<Value>)| {
        let page = name.replace(' ', "_");
        json!({
            "name": name,
            "matches": matches,
            "language": code,
            "id": name,
            "url": format!("https://{code}.wikipedia.org/wiki/{page}"),
            "dataSource": "Wikipedia",
        })
    };
    names.iter().map(told).collect()
}
