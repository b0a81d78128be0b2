//! Language tags: BCP 47 inside, whatever a vendor says outside.

use std::{borrow::Cow, collections::BTreeMap};

/// The BCP 47 tag for what a vendor calls a language: `en_us` → `en-US`, `eng` → `en`, `english` → `en`.
pub(crate) fn canonical(text: &str) -> String {
    let text = text.trim();
    let mut parts = text.split(['-', '_']);
    let first = parts.next().unwrap_or_default().to_lowercase();
    let primary = match first.as_str() {
        // What vendors answer when they cannot tell.
        "(unknown)" | "unknown" => return "und".to_owned(),
        "cmn" => "zh".to_owned(),
        "iw" => "he".to_owned(),
        "jw" => "jv".to_owned(),
        "zt" => return "zh-Hant".to_owned(),
        "cht" => return "zh-Hant".to_owned(),
        known if known.len() == 3 => {
            from_three(known).map_or_else(|| known.to_owned(), str::to_owned)
        }
        word if word.len() > 3 => from_name(word).map_or_else(|| word.to_owned(), str::to_owned),
        two => two.to_owned(),
    };
    parts.fold(primary, |mut tag, part| {
        tag.push('-');
        match part.len() {
            2 => tag.push_str(&part.to_uppercase()),
            4 => {
                let mut letters = part.chars();
                tag.extend(letters.next().into_iter().flat_map(char::to_uppercase));
                tag.push_str(&letters.as_str().to_lowercase());
            }
            _ => tag.push_str(&part.to_lowercase()),
        }
        tag
    })
}

/// Whether a tag is canonical already, as nearly all are: `en`, `en-US`.
fn is_canonical(tag: &str) -> bool {
    let (language, country) = match tag.as_bytes() {
        [language @ .., b'-', a, b] => (language, [*a, *b]),
        language => (language, *b"US"),
    };
    language.len() == 2
        && language.iter().all(u8::is_ascii_lowercase)
        && country.iter().all(u8::is_ascii_uppercase)
        && !matches!(language, b"iw" | b"jw" | b"zt")
}

/// The primary subtag: `en` of `en-US`.
pub(crate) fn primary(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or(tag)
}

/// The table's word for a tag: the exact tag's, else the longest prefix of it that is there, else `_`.
pub(crate) fn lookup<'t>(table: &'t BTreeMap<String, String>, tag: &str) -> Option<&'t str> {
    let tag = if is_canonical(tag) {
        Cow::Borrowed(tag)
    } else {
        Cow::Owned(canonical(tag))
    };
    let mut prefix = &*tag;
    loop {
        if let Some(word) = table.get(prefix) {
            return Some(word);
        }
        match prefix.rsplit_once('-') {
            Some((shorter, _)) => prefix = shorter,
            None => return table.get("_").map(String::as_str),
        }
    }
}

fn from_three(code: &str) -> Option<&'static str> {
    THREE
        .iter()
        .find(|(three, ..)| *three == code)
        .map(|(_, two, _)| *two)
}

fn from_name(name: &str) -> Option<&'static str> {
    THREE
        .iter()
        .find(|(_, _, known)| *known == name)
        .map(|(_, two, _)| *two)
}

/// ISO 639-2/3, ISO 639-1 and the English name, for the languages that the vendors' services offer.
const THREE: &[(&str, &str, &str)] = &[
    ("afr", "af", "afrikaans"),
    ("ara", "ar", "arabic"),
    ("aze", "az", "azerbaijani"),
    ("bel", "be", "belarusian"),
    ("ben", "bn", "bengali"),
    ("bos", "bs", "bosnian"),
    ("bul", "bg", "bulgarian"),
    ("cat", "ca", "catalan"),
    ("ces", "cs", "czech"),
    ("cym", "cy", "welsh"),
    ("dan", "da", "danish"),
    ("deu", "de", "german"),
    ("ger", "de", "german"),
    ("ell", "el", "greek"),
    ("eng", "en", "english"),
    ("est", "et", "estonian"),
    ("eus", "eu", "basque"),
    ("fas", "fa", "persian"),
    ("fin", "fi", "finnish"),
    ("fra", "fr", "french"),
    ("fre", "fr", "french"),
    ("gle", "ga", "irish"),
    ("glg", "gl", "galician"),
    ("guj", "gu", "gujarati"),
    ("heb", "he", "hebrew"),
    ("hin", "hi", "hindi"),
    ("hrv", "hr", "croatian"),
    ("hun", "hu", "hungarian"),
    ("hye", "hy", "armenian"),
    ("ind", "id", "indonesian"),
    ("isl", "is", "icelandic"),
    ("ita", "it", "italian"),
    ("jpn", "ja", "japanese"),
    ("kan", "kn", "kannada"),
    ("kat", "ka", "georgian"),
    ("kaz", "kk", "kazakh"),
    ("khm", "km", "khmer"),
    ("kor", "ko", "korean"),
    ("lao", "lo", "lao"),
    ("lav", "lv", "latvian"),
    ("lit", "lt", "lithuanian"),
    ("mal", "ml", "malayalam"),
    ("mar", "mr", "marathi"),
    ("mkd", "mk", "macedonian"),
    ("mlt", "mt", "maltese"),
    ("mon", "mn", "mongolian"),
    ("msa", "ms", "malay"),
    ("mya", "my", "burmese"),
    ("nep", "ne", "nepali"),
    ("nld", "nl", "dutch"),
    ("dut", "nl", "dutch"),
    ("nno", "nn", "nynorsk"),
    ("nob", "nb", "bokmal"),
    ("nor", "no", "norwegian"),
    ("pan", "pa", "punjabi"),
    ("pol", "pl", "polish"),
    ("por", "pt", "portuguese"),
    ("ron", "ro", "romanian"),
    ("rus", "ru", "russian"),
    ("slk", "sk", "slovak"),
    ("slv", "sl", "slovenian"),
    ("spa", "es", "spanish"),
    ("sqi", "sq", "albanian"),
    ("srp", "sr", "serbian"),
    ("swa", "sw", "swahili"),
    ("swe", "sv", "swedish"),
    ("tam", "ta", "tamil"),
    ("tel", "te", "telugu"),
    ("tgl", "tl", "tagalog"),
    ("tha", "th", "thai"),
    ("tur", "tr", "turkish"),
    ("ukr", "uk", "ukrainian"),
    ("urd", "ur", "urdu"),
    ("uzb", "uz", "uzbek"),
    ("vie", "vi", "vietnamese"),
    ("zho", "zh", "chinese"),
    ("chi", "zh", "chinese"),
    ("yue", "yue", "cantonese"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendors_way_to_name_a_language_becomes_one() {
        for (written, tag) in [
            ("en", "en"),
            ("EN", "en"),
            ("en_us", "en-US"),
            ("EN-GB", "en-GB"),
            ("eng", "en"),
            ("english", "en"),
            ("zh-hans", "zh-Hans"),
            ("cmn-Hans-CN", "zh-Hans-CN"),
            ("zt", "zh-Hant"),
            ("pt_BR", "pt-BR"),
            ("yue", "yue"),
            ("(Unknown)", "und"),
        ] {
            assert_eq!(canonical(written), tag, "{written}");
        }
    }

    #[test]
    fn what_is_taken_as_canonical_is() {
        let letters = || (b'A'..=b'Z').chain(b'a'..=b'z').map(char::from);
        let mut taken = 0;
        for first in letters() {
            for second in letters() {
                let bare = format!("{first}{second}");
                for tag in [
                    bare.clone(),
                    format!("{bare}-US"),
                    format!("{bare}-us"),
                    format!("{bare}-Us"),
                ] {
                    if is_canonical(&tag) {
                        assert_eq!(canonical(&tag), tag);
                        taken += 1;
                    }
                }
            }
        }
        assert!(taken > 1_000, "{taken}");
        assert!(!is_canonical("é"));
    }
}
