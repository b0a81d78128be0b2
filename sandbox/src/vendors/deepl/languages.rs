//! What can be translated, and in which tone.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};

/// `fixtures/deepl.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    variants: Vec<String>,
    variant_needed: Vec<String>,
    unlisted: Vec<String>,
    formality: Vec<String>,
    glossary: Vec<String>,
    /// Code, English name, phrase.
    languages: Vec<(String, String, String)>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    // A test reads it too; a broken table knows no language.
    serde_saphyr::from_str(include_str!("../../../fixtures/deepl.yaml")).unwrap_or_default()
});

fn among(list: &[String], code: &str) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(code))
}

fn known(code: &str) -> Option<&'static (String, String, String)> {
    let found = |(known, _, _): &&(String, String, String)| known.eq_ignore_ascii_case(code);
    TABLE.languages.iter().find(found)
}

/// Whether texts in it are taken: variants are only targets.
pub(super) fn is_source(code: &str) -> bool {
    known(code).is_some() && !among(&TABLE.variants, code)
}

/// Whether texts come out in it: English and Portuguese need their variant.
pub(super) fn is_target(code: &str) -> bool {
    known(code).is_some() && !among(&TABLE.variant_needed, code)
}

/// Whether a target can be more or less formal.
pub(super) fn has_formality(target: &str) -> bool {
    among(&TABLE.formality, target)
}

/// The code under which glossaries know a language, if they do; variants share the language's.
pub(super) fn of_glossary(code: &str) -> Option<&'static str> {
    let primary = code.split('-').next().unwrap_or_default();
    let known = |known: &&String| known.eq_ignore_ascii_case(primary);
    TABLE.glossary.iter().find(known).map(String::as_str)
}

/// The source whose phrase this is; of several, a listed one.
pub(super) fn of_phrase(text: &str) -> Option<&'static str> {
    let speaks = |(code, _, phrase): &&(String, String, String)| {
        is_source(code) && phrase.eq_ignore_ascii_case(text)
    };
    let mut found: Vec<_> = TABLE.languages.iter().filter(speaks).collect();
    found.sort_by_key(|(code, _, _)| (!among(&TABLE.glossary, code), code.len()));
    found.first().map(|(code, _, _)| code.as_str())
}

/// The phrase in a language.
pub(super) fn phrase(code: &str) -> Option<&'static str> {
    known(code).map(|(_, _, phrase)| phrase.as_str())
}

/// What `GET /v2/languages` answers.
pub(super) fn sources() -> Value {
    listed(is_source)
        .map(|(code, name, _)| json!({ "language": code.to_uppercase(), "name": name }))
        .collect()
}

/// What `GET /v2/languages?type=target` answers.
pub(super) fn targets() -> Value {
    let one = |(code, name, _): &(String, String, String)| json!({ "language": code.to_uppercase(), "name": name, "supports_formality": has_formality(code) });
    listed(is_target).map(one).collect()
}

fn listed(offered: fn(&str) -> bool) -> impl Iterator<Item = &'static (String, String, String)> {
    let unlisted = |code: &str| among(&TABLE.unlisted, code);
    let languages = TABLE.languages.iter();
    languages.filter(move |(code, _, _)| offered(code) && !unlisted(code))
}

/// What `GET /v2/glossary-language-pairs` answers: each with each other.
pub(super) fn pairs() -> Value {
    let all = TABLE.glossary.iter().flat_map(|source| {
        let others = TABLE
            .glossary
            .iter()
            .filter(move |target| *target != source);
        others.map(move |target| json!({ "source_lang": source, "target_lang": target }))
    });
    json!({ "supported_languages": all.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_and_tells_sources_from_targets() {
        assert_eq!(TABLE.languages.len(), 121);
        for (code, source, target, formality) in [
            ("EN", true, false, false),
            ("en-us", false, true, false),
            ("DE", true, true, true),
            ("pt-BR", false, true, true),
            ("ZH-HANT", false, true, false),
            ("yue", true, true, false),
            ("xx", false, false, false),
        ] {
            let got = (is_source(code), is_target(code), has_formality(code));
            assert_eq!(got, (source, target, formality), "{code}");
        }
    }

    #[test]
    fn a_phrase_tells_its_language() {
        assert_eq!(of_phrase("Proton beam"), Some("en"));
        assert_eq!(of_phrase("Protonenstrahl"), Some("de"), "not Luxembourgish");
        assert_eq!(of_phrase("質子束"), Some("yue"));
        assert_eq!(of_phrase("beam"), None);
    }
}
