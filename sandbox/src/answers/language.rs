//! Which language a text is in: by its script, and for Latin script by its commonest words.

use super::audio::{as_f64, rounded};

/// A language that a text may be in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Detected {
    /// ISO 639-1; `zh` for both Chinese scripts.
    pub(crate) code: &'static str,
    /// English name.
    pub(crate) name: &'static str,
    /// 0 to 1.
    pub(crate) confidence: f64,
}

/// Codes and English names known here.
pub(crate) const NAMES: [(&str, &str); 27] = [
    ("ar", "Arabic"),
    ("bg", "Bulgarian"),
    ("cs", "Czech"),
    ("da", "Danish"),
    ("de", "German"),
    ("el", "Greek"),
    ("en", "English"),
    ("es", "Spanish"),
    ("fi", "Finnish"),
    ("fr", "French"),
    ("he", "Hebrew"),
    ("hi", "Hindi"),
    ("hu", "Hungarian"),
    ("id", "Indonesian"),
    ("it", "Italian"),
    ("ja", "Japanese"),
    ("ko", "Korean"),
    ("nl", "Dutch"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("ro", "Romanian"),
    ("ru", "Russian"),
    ("sv", "Swedish"),
    ("th", "Thai"),
    ("tr", "Turkish"),
    ("uk", "Ukrainian"),
    ("zh", "Chinese"),
];

/// English name of a code; regions and scripts behind a hyphen or underscore are ignored.
pub(crate) fn name(code: &str) -> Option<&'static str> {
    let primary = code.split(['-', '_']).next().unwrap_or_default();
    let found = NAMES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(primary));
    found.map(|(_, name)| *name)
}

/// Words that are frequent in one of the languages and rare in the others.
const COMMON: [(&str, &[&str]); 7] = [
    (
        "en",
        &[
            "the", "and", "is", "of", "to", "was", "for", "with", "are", "this", "that", "it",
            "you", "my", "not", "have", "very", "we", "i", "hello", "world", "good", "please",
        ],
    ),
    (
        "fr",
        &[
            "le", "la", "les", "et", "est", "des", "une", "un", "je", "vous", "nous", "pas", "du",
            "au", "dans", "pour", "très", "avec", "bonjour", "monde", "c'est", "ce",
        ],
    ),
    (
        "de",
        &[
            "der", "die", "das", "und", "ist", "nicht", "ich", "ein", "eine", "mit", "für", "sehr",
            "wir", "sie", "den", "von", "zu", "auf", "hallo", "welt", "heute", "wetter",
        ],
    ),
    (
        "es",
        &[
            "el", "los", "las", "y", "es", "no", "una", "que", "por", "con", "para", "muy", "está",
            "yo", "del", "hola", "mundo", "hoy", "pero", "se", "su",
        ],
    ),
    (
        "it",
        &[
            "il", "gli", "di", "e", "è", "non", "una", "che", "per", "con", "molto", "sono",
            "della", "deve", "essere", "ha", "ciao", "oggi", "ogni", "alla", "ed",
        ],
    ),
    (
        "pt",
        &[
            "o", "os", "as", "e", "é", "não", "uma", "um", "que", "para", "com", "muito", "está",
            "do", "da", "em", "olá", "mundo", "hoje", "eu",
        ],
    ),
    (
        "nl",
        &[
            "de", "het", "een", "en", "is", "niet", "ik", "van", "met", "voor", "zeer", "wij",
            "dit", "dat", "op", "hallo", "wereld", "zijn",
        ],
    ),
];

/// Best first, never empty; the confidences add up to at most 1. Text without letters is English with 0.
pub(crate) fn detect(text: &str) -> Vec<Detected> {
    if let Some(code) = by_script(text) {
        return vec![detected(code, 0.99)];
    }
    let words: Vec<String> = text
        .split(|letter: char| !letter.is_alphanumeric() && letter != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let mut counts: Vec<(&'static str, usize)> = COMMON
        .iter()
        .map(|(code, common)| {
            (
                *code,
                words
                    .iter()
                    .filter(|word| common.contains(&word.as_str()))
                    .count(),
            )
        })
        .filter(|(_, count)| *count > 0)
        .collect();
    // Stable: of equals, the one written first.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    if total == 0 {
        let letters = text.chars().any(char::is_alphabetic);
        return vec![detected("en", if letters { 0.5 } else { 0.0 })];
    }
    let share = |count: usize| rounded(as_f64(count) / as_f64(total) * 0.99);
    counts
        .iter()
        .take(3)
        .map(|(code, count)| detected(code, share(*count)))
        .collect()
}

fn detected(code: &'static str, confidence: f64) -> Detected {
    Detected {
        code,
        name: name(code).unwrap_or("English"),
        confidence,
    }
}

/// The language, if the script alone tells: the most frequent script other than Latin, with at least half the letters.
fn by_script(text: &str) -> Option<&'static str> {
    let (mut letters, mut kana, mut ukrainian) = (0_usize, 0_usize, 0_usize);
    let mut counts = [
        ("zh", 0_usize),
        ("ko", 0),
        ("ru", 0),
        ("ar", 0),
        ("hi", 0),
        ("el", 0),
        ("he", 0),
        ("th", 0),
    ];
    for letter in text.chars().filter(|letter| letter.is_alphabetic()) {
        letters += 1;
        let code = match letter {
            '\u{3040}'..='\u{30ff}' => {
                kana += 1;
                "zh"
            }
            '\u{3400}'..='\u{9fff}' => "zh",
            '\u{ac00}'..='\u{d7af}' | '\u{1100}'..='\u{11ff}' => "ko",
            '\u{0400}'..='\u{04ff}' => {
                ukrainian += usize::from("іїєґІЇЄҐ".contains(letter));
                "ru"
            }
            '\u{0600}'..='\u{06ff}' => "ar",
            '\u{0900}'..='\u{097f}' => "hi",
            '\u{0370}'..='\u{03ff}' => "el",
            '\u{0590}'..='\u{05ff}' => "he",
            '\u{0e00}'..='\u{0e7f}' => "th",
            _ => continue,
        };
        if let Some((_, count)) = counts.iter_mut().find(|(known, _)| *known == code) {
            *count += 1;
        }
    }
    let (code, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    if count == 0 || count * 2 < letters {
        return None;
    }
    Some(match code {
        "zh" if kana > 0 => "ja",
        "ru" if ukrainian > 0 => "uk",
        code => code,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_by_script_and_by_common_words() {
        for (text, code) in [
            ("The weather is very good and we are happy", "en"),
            (
                "Bonjour, je suis très content de vous voir dans le jardin",
                "fr",
            ),
            ("Das Wetter ist heute nicht sehr gut", "de"),
            ("Hola, el tiempo está muy bueno hoy", "es"),
            (
                "Ogni individuo ha diritto all'istruzione. L'istruzione deve essere gratuita",
                "it",
            ),
            ("O tempo não está muito bom hoje", "pt"),
            ("Het weer is vandaag niet goed", "nl"),
            ("今天天气很好", "zh"),
            ("今日は天気がいいです", "ja"),
            ("오늘 날씨가 좋다", "ko"),
            ("Сегодня хорошая погода", "ru"),
            ("Сьогодні гарна погода і сонце", "uk"),
            ("مرحبا بالعالم", "ar"),
            ("12 345", "en"),
        ] {
            assert_eq!(detect(text)[0].code, code, "{text}");
        }
        assert!(detect("12 345")[0].confidence < 0.01);
    }
}
