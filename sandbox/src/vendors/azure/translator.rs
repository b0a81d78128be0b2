//! Translator 3.0: `translate`, `detect`, `languages`, at the global address and under `/translator/text/v3.0`. Version
//! 2026-06-06 has the same `translate` in another dialect: targets in the body, and `value` around the answer.

use serde_json::{Map, Value, json};

use super::{answer, errors};
use crate::{
    answer::Answer,
    answers::{
        language,
        text::{self, Span},
        translation::{self, Translated},
    },
    call::Call,
};

/// Most texts in a call: to be translated, and to be recognised.
const TEXTS: usize = 1000;
const DETECTED: usize = 100;
/// Most characters in a call, counted once for each target.
const CHARACTERS: usize = 50_000;

/// Codes beside the plain ones, with their names.
const SCRIPTS: [(&str, &str); 4] = [
    ("fr-CA", "French (Canada)"),
    ("pt-PT", "Portuguese (Portugal)"),
    ("zh-Hans", "Chinese Simplified"),
    ("zh-Hant", "Chinese Traditional"),
];

/// What a path asks for; `None` if it is no path of the translator.
pub(super) fn verb(path: &str) -> Option<&'static str> {
    let own = ["/translator/text/v3.0", "/translator/text/v2026-06-06"];
    let rest = own.iter().find_map(|own| path.strip_prefix(own));
    let rest = rest.unwrap_or(path);
    let verbs = ["translate", "detect", "languages"];
    let name = rest.strip_prefix('/')?;
    verbs
        .into_iter()
        .find(|verb| verb.eq_ignore_ascii_case(name))
}

/// Whether a path is the global address's.
pub(super) fn global(path: &str) -> bool {
    !path.starts_with("/translator/")
}

/// Codes and English names of what is offered.
fn offered() -> impl Iterator<Item = (&'static str, &'static str)> {
    let plain = language::NAMES.iter().filter(|(code, _)| *code != "zh");
    plain.chain(&SCRIPTS).copied()
}

fn known(code: &str) -> bool {
    offered().any(|(known, _)| known.eq_ignore_ascii_case(code))
}

/// A detected language as the vendor names it.
fn code(detected: &str) -> &str {
    match detected {
        "zh" => "zh-Hans",
        other => other,
    }
}

/// Answers a call of the translator.
pub(super) fn serve(call: &Call) -> Result<Answer, Answer> {
    match (call.query("api-version").as_deref(), verb(&call.path)) {
        (Some("3.0"), Some("translate")) => translate(call),
        (Some("3.0"), Some("detect")) => detect(call),
        (Some("3.0" | "2026-06-06"), Some("languages")) => languages(call),
        (Some("2026-06-06"), Some("translate")) => translate_inputs(call),
        _ => {
            let message = "The API version parameter is missing or invalid.";
            Err(errors::translator(call, 400_021, message))
        }
    }
}

/// The list in the body, which must not be empty and have at most so many elements.
fn list(call: &Call, most: usize, find: fn(Value) -> Option<Value>) -> Result<Vec<Value>, Answer> {
    let refused = |code: u32, message: &str| errors::translator(call, code, message);
    if call.media_type() != "application/json" {
        let message = "The Content-Type header is missing or invalid.";
        return Err(refused(415_000, message));
    }
    let invalid = || refused(400_074, "The body of the request is not valid JSON.");
    let body = call.json().map_err(|_| invalid())?;
    let Some(Value::Array(list)) = find(body) else {
        return Err(invalid());
    };
    if list.is_empty() {
        return Err(refused(400_005, "An input text is missing or invalid."));
    }
    if list.len() > most {
        let message = "The array of input text has too many elements.";
        return Err(refused(400_072, message));
    }
    Ok(list)
}

/// The texts of the body, at most so many.
fn texts(call: &Call, most: usize) -> Result<Vec<String>, Answer> {
    let list = list(call, most, Some)?;
    let text = |element: &Value| {
        let fields = element.as_object()?;
        let mut fields = fields.iter();
        let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case("text"))?;
        value.as_str().map(str::to_owned)
    };
    let texts: Option<Vec<_>> = list.iter().map(text).collect();
    let message = "One of the elements in the array of input text is not valid.";
    texts.ok_or_else(|| errors::translator(call, 400_020, message))
}

/// Counts the characters, within the limit.
fn counted(call: &Call, texts: &[String], times: usize) -> Result<usize, Answer> {
    let lengths = texts.iter().map(|text| text.chars().count());
    if lengths.clone().any(|length| length > CHARACTERS) {
        return Err(errors::translator(
            call,
            400_050,
            "The input text is too long.",
        ));
    }
    let characters = lengths.sum::<usize>() * times.max(1);
    if characters > CHARACTERS {
        let message = "The maximum request size has been exceeded.";
        return Err(errors::translator(call, 400_077, message));
    }
    Ok(characters)
}

fn translate(call: &Call) -> Result<Answer, Answer> {
    let refused = |code: u32, message: &str| errors::translator(call, code, message);
    let targets: Vec<String> = call
        .query_pairs()
        .into_iter()
        .filter_map(|(name, value)| (name == "to").then_some(value))
        .collect();
    if targets.is_empty() || !targets.iter().all(|target| known(target)) {
        return Err(refused(400_036, "The target language is not valid."));
    }
    let source = call.query("from").filter(|source| !source.is_empty());
    if source.as_deref().is_some_and(|source| !known(source)) {
        return Err(refused(400_035, "The source language is not valid."));
    }
    let html = match call.query("textType").as_deref() {
        None | Some("plain") => false,
        Some("html") => true,
        Some(_) => return Err(refused(400_071, "The value is not valid for TextType.")),
    };
    if call
        .query("category")
        .is_some_and(|category| category != "general")
    {
        let message = "The custom system for this language pair does not exist.";
        return Err(refused(400_079, message));
    }
    let actions = ["NoAction", "Marked", "Deleted"];
    let action = call.query("profanityAction");
    if action.is_some_and(|action| !actions.contains(&action.as_str())) {
        return Err(refused(
            400_042,
            "One of the options specified is not valid.",
        ));
    }
    let texts = texts(call, TEXTS)?;
    let characters = counted(call, &texts, targets.len())?;
    let one = |given: &String| {
        let mut detected = None;
        let translations: Vec<_> = targets
            .iter()
            .map(|target| {
                let source = source.as_deref();
                let done = translated(given, source, target, html);
                let mut told = Map::new();
                told.insert("text".to_owned(), json!(done.text));
                told.insert("to".to_owned(), json!(target));
                if call.query_flag("includeAlignment") {
                    told.insert("alignment".to_owned(), json!({ "proj": "" }));
                }
                if call.query_flag("includeSentenceLength") {
                    let lengths = json!({
                        "srcSentLen": lengths(given),
                        "transSentLen": lengths(&done.text),
                    });
                    told.insert("sentLen".to_owned(), lengths);
                }
                detected = done.confidence.map(|score| (done.source, score));
                Value::Object(told)
            })
            .collect();
        item(detected, translations)
    };
    let body: Vec<_> = texts.iter().map(one).collect();
    Ok(answer(call, 200, &json!(body))
        .header("x-metered-usage", characters.to_string())
        .header("x-mt-system", "Microsoft")
        .fact("characters", characters))
}

/// The newer dialect: each text has its own source and targets.
fn translate_inputs(call: &Call) -> Result<Answer, Answer> {
    let refused = |code: u32, message: &str| errors::translator(call, code, message);
    let inputs = list(call, TEXTS, |body| body.get("inputs").cloned())?;
    let mut characters = 0;
    let mut value = Vec::new();
    for input in &inputs {
        let field = |name: &str| input.get(name).and_then(Value::as_str);
        let message = "One of the elements in the array of input text is not valid.";
        let given = field("text").ok_or_else(|| refused(400_020, message))?;
        let source = field("language").filter(|source| !source.is_empty());
        if source.is_some_and(|source| !known(source)) {
            return Err(refused(400_035, "The source language is not valid."));
        }
        let html = match field("textType") {
            None | Some("Plain") => false,
            Some("Html") => true,
            Some(_) => return Err(refused(400_071, "The value is not valid for TextType.")),
        };
        let targets = input.get("targets").and_then(Value::as_array);
        let targets = targets.map(Vec::as_slice).unwrap_or_default();
        let targets: Option<Vec<&str>> = targets
            .iter()
            .map(|target| target.get("language")?.as_str().filter(|code| known(code)))
            .collect();
        let targets = targets.filter(|targets| !targets.is_empty());
        let message = "The target language is not valid.";
        let targets = targets.ok_or_else(|| refused(400_036, message))?;
        characters += counted(call, &[given.to_owned()], targets.len())?;
        let mut detected = None;
        let mut translations = Vec::new();
        for target in targets {
            let done = translated(given, source, target, html);
            translations.push(json!({
                "language": target,
                "sourceCharacters": given.chars().count(),
                "text": done.text,
            }));
            detected = done.confidence.map(|score| (done.source, score));
        }
        value.push(item(detected, translations));
    }
    if characters > CHARACTERS {
        let message = "The maximum request size has been exceeded.";
        return Err(refused(400_077, message));
    }
    let body = json!({ "value": value });
    Ok(answer(call, 200, &body).fact("characters", characters))
}

fn translated(given: &str, source: Option<&str>, target: &str, html: bool) -> Translated {
    if html {
        translation::translate_html(given, source, target, str::to_owned)
    } else {
        translation::translate(given, source, target)
    }
}

/// One text's answer, with its language if that was detected.
fn item(detected: Option<(String, f64)>, translations: Vec<Value>) -> Value {
    let mut told = Map::new();
    let language =
        detected.map(|(source, score)| json!({ "language": code(&source), "score": score }));
    told.extend(language.map(|language| ("detectedLanguage".to_owned(), language)));
    told.insert("translations".to_owned(), Value::Array(translations));
    Value::Object(told)
}

/// Characters of each sentence, with the space up to the next one.
fn lengths(given: &str) -> Vec<usize> {
    let sentences = text::sentences(given);
    let ends = sentences.iter().skip(1).map(|next| next.offset);
    let ends = ends.chain([given.chars().count()]);
    let mut start = 0;
    let length = |(_, end): (&Span, usize)| {
        let length = end - start;
        start = end;
        length
    };
    sentences.iter().zip(ends).map(length).collect()
}

fn detect(call: &Call) -> Result<Answer, Answer> {
    let texts = texts(call, DETECTED)?;
    let characters = counted(call, &texts, 1)?;
    let told = |found: &language::Detected| {
        json!({
            "language": code(found.code),
            "score": found.confidence,
            "isTranslationSupported": true,
            "isTransliterationSupported": false,
        })
    };
    let one = |text: &String| {
        let mut found = language::detect(text).into_iter();
        let mut best = found.next().as_ref().map(told).unwrap_or_default();
        let others: Vec<_> = found.map(|found| told(&found)).collect();
        if let Some(best) = best.as_object_mut()
            && !others.is_empty()
        {
            best.insert("alternatives".to_owned(), json!(others));
        }
        best
    };
    let body: Vec<_> = texts.iter().map(one).collect();
    Ok(answer(call, 200, &json!(body)).fact("characters", characters))
}

fn languages(call: &Call) -> Result<Answer, Answer> {
    let scopes = ["translation", "transliteration", "dictionary"];
    let wanted = call.query("scope").unwrap_or_else(|| scopes.join(","));
    let wanted: Vec<_> = wanted.split(',').map(str::trim).collect();
    if !wanted.iter().all(|scope| scopes.contains(scope)) {
        let message = "The scope parameter is invalid.";
        return Err(errors::translator(call, 400_001, message));
    }
    let one = |(code, name): (&str, &str)| {
        let right = ["ar", "he"].contains(&code);
        let told =
            json!({ "name": name, "nativeName": name, "dir": if right { "rtl" } else { "ltr" } });
        (code.to_owned(), told)
    };
    let translation: Map<_, _> = offered().map(one).collect();
    let mut body = Map::new();
    for scope in wanted {
        let group = match scope {
            "translation" => translation.clone(),
            _ => Map::new(),
        };
        body.insert(scope.to_owned(), Value::Object(group));
    }
    Ok(answer(call, 200, &Value::Object(body)).header("etag", "\"languages\""))
}
