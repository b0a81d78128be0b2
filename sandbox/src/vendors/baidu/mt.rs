//! Translation, line by line, with language codes of the vendor's own.

use serde_json::{Value, json};

use super::{failure, number, text};
use crate::{
    answer::Answer,
    answers::{language, translation},
    call::Call,
};

/// Most characters of a text.
const TRANSLATED: usize = 6000;

/// The vendor's codes and the usual ones.
const LANGUAGES: [(&str, &str); 30] = [
    ("zh", "zh"),
    ("cht", "zh-TW"),
    ("en", "en"),
    ("jp", "ja"),
    ("kor", "ko"),
    ("fra", "fr"),
    ("spa", "es"),
    ("th", "th"),
    ("ara", "ar"),
    ("ru", "ru"),
    ("pt", "pt"),
    ("de", "de"),
    ("it", "it"),
    ("el", "el"),
    ("nl", "nl"),
    ("pl", "pl"),
    ("bul", "bg"),
    ("est", "et"),
    ("dan", "da"),
    ("fin", "fi"),
    ("cs", "cs"),
    ("rom", "ro"),
    ("slo", "sl"),
    ("swe", "sv"),
    ("hu", "hu"),
    ("vie", "vi"),
    ("tr", "tr"),
    ("ukr", "uk"),
    ("heb", "he"),
    ("id", "id"),
];

fn usual(code: &str) -> Option<&'static str> {
    let found = LANGUAGES.iter().find(|(own, _)| *own == code);
    found.map(|(_, usual)| *usual)
}

fn own(code: &str) -> &'static str {
    let found = LANGUAGES.iter().find(|(_, usual)| *usual == code);
    found.map_or("en", |(own, _)| *own)
}

pub(super) fn translate(call: &Call) -> Result<Answer, Answer> {
    let Ok(body @ Value::Object(_)) = call.json() else {
        return Err(failure(call, 282_004, "the body is not JSON"));
    };
    let required = |name: &str| {
        let value = text(&body, name).filter(|value| !value.trim().is_empty());
        value.ok_or_else(|| failure(call, 282_133, &format!("param {name} not exist")))
    };
    let (given, from, to) = (required("q")?, required("from")?, required("to")?);
    if given.chars().count() > TRANSLATED {
        return Err(failure(call, 282_131, "input text too long"));
    }
    let unknown = || failure(call, 216_100, "the language is not supported");
    let source = match from {
        "auto" => language::detect(given)
            .first()
            .map_or("en", |found| own(found.code)),
        from => from,
    };
    let (from_usual, to_usual) = (
        usual(source).ok_or_else(unknown)?,
        usual(to).ok_or_else(unknown)?,
    );
    let lines = given.lines().filter(|line| !line.trim().is_empty());
    let line = |line: &str| {
        let translated = translation::translate(line, Some(from_usual), to_usual);
        json!({ "src": line, "dst": translated.text })
    };
    let result = json!({
        "from": source,
        "to": to,
        "trans_result": lines.map(line).collect::<Vec<_>>(),
    });
    let body = json!({ "result": result, "log_id": number(call) });
    Ok(Answer::json(200, &body).fact("characters", given.chars().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_there_and_back() {
        for (ours, theirs) in [("ja", "jp"), ("ko", "kor"), ("zh", "zh"), ("fr", "fra")] {
            assert_eq!((own(ours), usual(theirs)), (theirs, Some(ours)));
        }
        assert_eq!(usual("ja"), None);
    }
}
