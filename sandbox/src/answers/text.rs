//! What a text says: mood, names, phrases and kinds, by small word lists. Offsets count Unicode code points.

use super::audio::{as_f64, rounded};

/// A mood. The four parts add up to 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mood {
    /// The strongest, by [`Mood::label`]'s rules.
    pub(crate) label: Label,
    /// 0 to 1.
    pub(crate) positive: f64,
    /// 0 to 1.
    pub(crate) negative: f64,
    /// 0 to 1.
    pub(crate) neutral: f64,
    /// 0 to 1.
    pub(crate) mixed: f64,
    /// -1 to 1.
    pub(crate) score: f64,
    /// From 0; grows with the number of words that carry a mood.
    pub(crate) magnitude: f64,
}

/// A mood in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    /// Good.
    Positive,
    /// Bad.
    Negative,
    /// Neither.
    Neutral,
    /// Both.
    Mixed,
}

impl Label {
    /// In lower case.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
            Self::Neutral => "neutral",
            Self::Mixed => "mixed",
        }
    }
}

/// A stretch of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// What stands there.
    pub(crate) text: String,
    /// Code points before it.
    pub(crate) offset: usize,
    /// Code points in it.
    pub(crate) length: usize,
}

/// Something named in a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entity {
    /// Where, and how it is written there.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) kind: Kind,
    /// 0 to 1.
    pub(crate) confidence: f64,
}

/// What an entity is; each vendor has its own names for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A human.
    Person,
    /// A company, an office, a club.
    Organization,
    /// A place.
    Location,
    /// A date or a time.
    DateTime,
    /// A number.
    Quantity,
    /// A sum of money.
    Money,
    /// An e-mail address.
    Email,
    /// A link.
    Url,
    /// Something with a name.
    Other,
}

/// A kind of text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Category {
    /// A path as Google's second scheme writes it: `/Travel & Transportation/Hotels & Accommodations`.
    pub(crate) path: &'static str,
    /// 0 to 1.
    pub(crate) confidence: f64,
}

const GOOD: &[&str] = &[
    "good",
    "great",
    "excellent",
    "wonderful",
    "love",
    "loved",
    "happy",
    "helpful",
    "satisfied",
    "best",
    "sunny",
    "nice",
    "amazing",
    "fantastic",
    "perfect",
    "thank",
    "thanks",
    "beautiful",
    "friendly",
    "enjoyed",
    "delicious",
    "pleased",
    "recommend",
    "bon",
    "bonne",
    "excellente",
    "merveilleux",
    "heureux",
    "gut",
    "schön",
    "wunderbar",
    "glücklich",
    "bueno",
    "buena",
    "excelente",
    "feliz",
    "maravilloso",
    "buono",
    "ottimo",
    "felice",
    "bom",
    "ótimo",
    "goed",
    "хорошо",
    "отлично",
];
const BAD: &[&str] = &[
    "bad",
    "terrible",
    "awful",
    "hate",
    "hated",
    "sad",
    "poor",
    "worst",
    "broken",
    "disappointed",
    "disappointing",
    "slow",
    "rude",
    "dirty",
    "horrible",
    "angry",
    "expensive",
    "late",
    "problem",
    "problems",
    "failed",
    "never",
    "mauvais",
    "horrible",
    "triste",
    "schlecht",
    "schrecklich",
    "traurig",
    "malo",
    "mala",
    "terrible",
    "cattivo",
    "pessimo",
    "ruim",
    "péssimo",
    "slecht",
    "плохо",
    "ужасно",
];
/// Chinese and Japanese have no spaces: these are looked for anywhere.
const GOOD_ANYWHERE: &[&str] = &[
    "很好",
    "喜欢",
    "满意",
    "优秀",
    "开心",
    "感谢",
    "优质",
    "乐于助人",
    "素晴らしい",
    "良い",
    "嬉しい",
];
const BAD_ANYWHERE: &[&str] = &[
    "很差",
    "讨厌",
    "失望",
    "糟糕",
    "难过",
    "悪い",
    "ひどい",
    "悲しい",
];
const TURNING: &[&str] = &[
    "not", "no", "never", "isn't", "wasn't", "don't", "didn't", "pas", "nicht", "no", "non", "não",
    "niet",
];

/// The mood of a whole text.
pub(crate) fn mood(text: &str) -> Mood {
    let (mut good, mut bad) = (0_usize, 0_usize);
    let words: Vec<String> = words(text)
        .into_iter()
        .map(|span| span.text.to_lowercase())
        .collect();
    for (at, word) in words.iter().enumerate() {
        let before = |back: usize| at.checked_sub(back).and_then(|place| words.get(place));
        let turned = [1, 2]
            .into_iter()
            .filter_map(before)
            .any(|word| TURNING.contains(&word.as_str()));
        let (is_good, is_bad) = (GOOD.contains(&word.as_str()), BAD.contains(&word.as_str()));
        match (is_good, is_bad && !TURNING.contains(&word.as_str()), turned) {
            (true, _, false) | (false, true, true) => good += 1,
            (true, _, true) | (false, true, false) => bad += 1,
            _ => {}
        }
    }
    let anywhere = |list: &[&str]| {
        list.iter()
            .map(|word| text.matches(word).count())
            .sum::<usize>()
    };
    weigh(good + anywhere(GOOD_ANYWHERE), bad + anywhere(BAD_ANYWHERE))
}

fn weigh(good: usize, bad: usize) -> Mood {
    let (good_count, bad_count) = (as_f64(good), as_f64(bad));
    let both = good_count.min(bad_count);
    let (p, n, m) = (good_count - both * 0.8, bad_count - both * 0.8, both * 1.6);
    // One neutral vote stands against the words; less than a vote when there are many.
    let neutral = if good + bad == 0 { 1.0 } else { 0.15 };
    let floor = 0.01;
    let total = p + n + m + neutral + floor * 4.0;
    let part = |votes: f64| rounded((votes + floor) / total);
    let (positive, negative, mixed) = (part(p), part(n), part(m));
    let label = match (good, bad) {
        (0, 0) => Label::Neutral,
        (_, 0) => Label::Positive,
        (0, _) => Label::Negative,
        (good, bad) if good > 2 * bad => Label::Positive,
        (good, bad) if bad > 2 * good => Label::Negative,
        _ => Label::Mixed,
    };
    Mood {
        label,
        positive,
        negative,
        mixed,
        neutral: rounded(1.0 - positive - negative - mixed),
        score: rounded((good_count - bad_count) / (good_count + bad_count).max(1.0) * 0.9),
        magnitude: rounded((good_count + bad_count) * 0.9),
    }
}

/// Sentences, without the space around them.
pub(crate) fn sentences(text: &str) -> Vec<Span> {
    let letters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut start = 0;
    for (at, letter) in letters.iter().enumerate() {
        let wide = "。！？".contains(*letter);
        let ends =
            ".!?".contains(*letter) && letters.get(at + 1).is_none_or(|next| next.is_whitespace());
        if wide || ends || *letter == '\n' || at + 1 == letters.len() {
            found.extend(span(&letters, start, at + 1));
            start = at + 1;
        }
    }
    found
}

/// The letters from `start` to `end` without white space around them; `None` if nothing is left.
fn span(letters: &[char], start: usize, end: usize) -> Option<Span> {
    let slice = letters.get(start..end)?;
    let skipped = slice
        .iter()
        .take_while(|letter| letter.is_whitespace())
        .count();
    let kept = slice.get(skipped..)?;
    let tail = kept
        .iter()
        .rev()
        .take_while(|letter| letter.is_whitespace())
        .count();
    let kept = kept.get(..kept.len() - tail)?;
    (!kept.is_empty()).then(|| Span {
        text: kept.iter().collect(),
        offset: start + skipped,
        length: kept.len(),
    })
}

/// Words: runs of letters, digits and the marks that stand inside words, addresses and numbers.
fn words(text: &str) -> Vec<Span> {
    let letters: Vec<char> = text.chars().collect();
    let inner = |at: usize| {
        let beside = |place: Option<usize>| {
            place
                .and_then(|place| letters.get(place))
                .is_some_and(|letter| letter.is_alphanumeric())
        };
        let mark = letters
            .get(at)
            .is_some_and(|letter| "'’.-@,:/_%".contains(*letter));
        mark && beside(at.checked_sub(1)) && beside(Some(at + 1))
    };
    let part = |at: usize| {
        letters
            .get(at)
            .is_some_and(|letter| letter.is_alphanumeric() || "$€£".contains(*letter))
            || inner(at)
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let start = at;
        while at < letters.len() && part(at) {
            at += 1;
        }
        found.extend(span(&letters, start, at));
        at = at.max(start + 1);
    }
    found
}

const PLACES: &[&str] = &[
    "london",
    "paris",
    "berlin",
    "rome",
    "madrid",
    "tokyo",
    "beijing",
    "shanghai",
    "seattle",
    "chicago",
    "hawaii",
    "honolulu",
    "illinois",
    "england",
    "france",
    "germany",
    "italy",
    "spain",
    "japan",
    "china",
    "america",
    "europe",
    "new york",
    "united states",
    "united kingdom",
    "san francisco",
];
const PEOPLE: &[&str] = &[
    "barack", "maria", "john", "anna", "peter", "mary", "michael", "sarah", "david", "satya",
    "tim", "marie", "hans", "luc", "alice", "bob",
];
const ORGANIZATIONS: &[&str] = &[
    "amazon",
    "google",
    "microsoft",
    "apple",
    "university",
    "inc",
    "corp",
    "corporation",
    "ltd",
    "gmbh",
    "company",
    "bank",
    "party",
    "school",
    "senate",
    "institute",
];
const DATES: &[&str] = &[
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "today",
    "tomorrow",
    "yesterday",
    "o'clock",
];
/// Words that begin a sentence in capitals without naming anything.
const PLAIN: &[&str] = &[
    "the", "a", "an", "i", "he", "she", "it", "we", "you", "they", "this", "that", "please",
    "thank", "thanks", "first", "overall", "is", "are", "was", "in", "on", "at", "my", "our",
    "your", "his", "her", "and", "but", "or", "not", "no", "yes", "there", "if", "when", "what",
    "where", "why", "how", "who", "hello", "dear", "for", "to", "of", "with", "from", "by", "as",
    "so", "le", "la", "les", "il", "elle", "je", "der", "die", "das", "ich", "wir", "el", "los",
    "las", "un", "una",
];

/// Chinese has no capitals: these are looked for anywhere.
const NAMED_ANYWHERE: &[(&str, Kind)] = &[
    ("北京", Kind::Location),
    ("上海", Kind::Location),
    ("伦敦", Kind::Location),
    ("巴黎", Kind::Location),
    ("中国", Kind::Location),
    ("玛丽亚", Kind::Person),
    ("李明", Kind::Person),
    ("腾讯", Kind::Organization),
    ("百度", Kind::Organization),
    ("阿里巴巴", Kind::Organization),
    ("今天", Kind::DateTime),
    ("明天", Kind::DateTime),
    ("昨天", Kind::DateTime),
    ("三点", Kind::DateTime),
];

/// Everything named in a text, in order, without overlaps.
pub(crate) fn entities(text: &str) -> Vec<Entity> {
    let mut found = by_capitals(text);
    let mut anywhere = by_list(text);
    let apart = |one: &Span, other: &Span| {
        one.offset + one.length <= other.offset || other.offset + other.length <= one.offset
    };
    anywhere.retain(|named| found.iter().all(|known| apart(&named.span, &known.span)));
    found.append(&mut anywhere);
    found.sort_by_key(|entity| entity.span.offset);
    found
}

fn by_list(text: &str) -> Vec<Entity> {
    let mut found = Vec::new();
    for (name, kind) in NAMED_ANYWHERE {
        for (at, _) in text.match_indices(name) {
            let before = text.get(..at).unwrap_or_default();
            found.push(Entity {
                span: Span {
                    text: (*name).to_owned(),
                    offset: before.chars().count(),
                    length: name.chars().count(),
                },
                kind: *kind,
                confidence: 0.95,
            });
        }
    }
    found
}

fn by_capitals(text: &str) -> Vec<Entity> {
    let letters: Vec<char> = text.chars().collect();
    let words = words(text);
    let starts: Vec<usize> = sentences(text)
        .iter()
        .map(|sentence| sentence.offset)
        .collect();
    let mut found: Vec<Entity> = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if let Some(kind) = plain_kind(&word.text) {
            found.push(Entity {
                span: word.clone(),
                kind,
                confidence: 0.95,
            });
            at += 1;
            continue;
        }
        let mut end = at;
        while let Some(next) = words.get(end) {
            let joined = end == at || touches(&letters, words.get(end - 1), next);
            if !(joined && capital(&next.text) && plain_kind(&next.text).is_none()) {
                break;
            }
            end += 1;
        }
        let mut start = at;
        // A sentence's first word has its capital anyway.
        if end > start
            && starts.contains(&word.offset)
            && PLAIN.contains(&word.text.to_lowercase().as_str())
        {
            start += 1;
        }
        let named = words.get(start..end).unwrap_or_default();
        if let (Some(first), Some(last)) = (named.first(), named.last())
            && !(named.len() == 1 && PLAIN.contains(&first.text.to_lowercase().as_str()))
            && let Some(span) = span(&letters, first.offset, last.offset + last.length)
        {
            let kind = kind_of(&span.text, starts.contains(&first.offset));
            found.extend(kind.map(|(kind, confidence)| Entity {
                span,
                kind,
                confidence,
            }));
        }
        at = end.max(at + 1);
    }
    found
}

/// Whether nothing but one space stands between two words.
fn touches(letters: &[char], one: Option<&Span>, next: &Span) -> bool {
    let end = one.map_or(0, |one| one.offset + one.length);
    letters.get(end..next.offset) == Some(&[' '])
}

fn capital(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_uppercase)
}

/// What a single word is by its form, or as a date.
fn plain_kind(word: &str) -> Option<Kind> {
    let lower = word.to_lowercase();
    if word.contains('@') && word.contains('.') {
        return Some(Kind::Email);
    }
    if lower.starts_with("www.") || lower.starts_with("http:") || lower.starts_with("https:") {
        return Some(Kind::Url);
    }
    if lower.starts_with(['$', '€', '£']) && lower.chars().any(|letter| letter.is_ascii_digit())
    {
        return Some(Kind::Money);
    }
    if lower.starts_with(|letter: char| letter.is_ascii_digit()) {
        let year = lower.len() == 4
            && lower
                .parse::<u32>()
                .is_ok_and(|year| (1000..2200).contains(&year));
        let dated = year || lower.matches(['-', '/', ':']).count() >= 1;
        return Some(if dated {
            Kind::DateTime
        } else {
            Kind::Quantity
        });
    }
    // "may" and "march" are mostly other words unless written with a capital.
    let dated = DATES.contains(&lower.as_str())
        && (capital(word) || !["may", "march"].contains(&lower.as_str()));
    dated.then_some(Kind::DateTime)
}

fn kind_of(text: &str, first: bool) -> Option<(Kind, f64)> {
    let lower = text.to_lowercase();
    let has = |list: &[&str]| lower.split(' ').any(|word| list.contains(&word));
    if PLACES.contains(&lower.as_str()) {
        return Some((Kind::Location, 0.98));
    }
    if has(ORGANIZATIONS) {
        return Some((Kind::Organization, 0.96));
    }
    if has(PEOPLE) {
        return Some((Kind::Person, 0.97));
    }
    if has(PLACES) {
        return Some((Kind::Location, 0.9));
    }
    // One unknown word at the beginning of a sentence is most likely just a word.
    let several = lower.contains(' ');
    match (several, first) {
        (true, _) => Some((Kind::Person, 0.7)),
        (false, true) => None,
        (false, false) => Some((Kind::Other, 0.6)),
    }
}

/// Phrases that carry the meaning: runs of words that are not [`PLAIN`] or the like, longest text first met first.
pub(crate) fn key_phrases(text: &str) -> Vec<(Span, f64)> {
    const IDLE: &[&str] = &[
        "be", "been", "were", "am", "me", "us", "them", "him", "very", "more", "most", "has",
        "have", "had", "do", "does", "did", "will", "would", "can", "could", "who", "which",
        "whom", "served", "call", "back", "than", "then", "also", "about", "est", "sont", "ist",
        "sind", "es", "et", "und", "y", "de", "du", "des", "von", "del", "que", "sehr", "très",
        "muy",
    ];
    let letters: Vec<char> = text.chars().collect();
    let words = words(text);
    let idle = |word: &str| {
        let lower = word.to_lowercase();
        PLAIN.contains(&lower.as_str()) || IDLE.contains(&lower.as_str())
    };
    let mut found: Vec<(Span, f64)> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let start = at;
        while let Some(word) = words.get(at) {
            let joined = at == start || touches(&letters, words.get(at - 1), word);
            if !joined || idle(&word.text) || at - start >= 4 {
                break;
            }
            at += 1;
        }
        let run = words.get(start..at).unwrap_or_default();
        if let (Some(first), Some(last)) = (run.first(), run.last())
            && let Some(span) = span(&letters, first.offset, last.offset + last.length)
            && !found.iter().any(|(known, _)| known.text == span.text)
        {
            let score = rounded((0.7 + as_f64(run.len()) * 0.08).min(0.99));
            found.push((span, score));
        }
        at = at.max(start + 1);
    }
    found
}

const CATEGORIES: [(&str, &[&str]); 7] = [
    (
        "/News/Weather",
        &[
            "weather",
            "sunny",
            "rain",
            "storm",
            "forecast",
            "temperature",
            "snow",
        ],
    ),
    (
        "/Travel & Transportation/Hotels & Accommodations",
        &[
            "hotel", "room", "flight", "travel", "trip", "airport", "beach",
        ],
    ),
    (
        "/Law & Government/Government",
        &[
            "president",
            "senator",
            "senate",
            "government",
            "election",
            "politician",
            "law",
        ],
    ),
    (
        "/Computers & Electronics/Software",
        &[
            "computer", "software", "code", "server", "cloud", "internet", "app", "proxy",
        ],
    ),
    (
        "/Business & Industrial/Finance",
        &[
            "money", "bank", "price", "market", "stock", "invoice", "payment", "company",
        ],
    ),
    (
        "/Food & Drink/Restaurants",
        &[
            "food",
            "restaurant",
            "coffee",
            "delicious",
            "dinner",
            "lunch",
            "cook",
        ],
    ),
    (
        "/Shopping/Consumer Resources",
        &[
            "product", "amazon", "order", "delivery", "shop", "refund", "quality", "service",
        ],
    ),
];

/// Kinds of a text, best first; empty when nothing fits.
pub(crate) fn categories(text: &str) -> Vec<Category> {
    let words: Vec<String> = words(text)
        .into_iter()
        .map(|span| span.text.to_lowercase())
        .collect();
    let counted = CATEGORIES.iter().map(|(path, list)| {
        let count = words
            .iter()
            .filter(|word| list.contains(&word.as_str()))
            .count();
        (*path, count)
    });
    let mut counted: Vec<_> = counted.filter(|(_, count)| *count > 0).collect();
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let confidence = |count: usize| rounded(1.0 - 0.5 / as_f64(count + 1) - 0.1);
    let category = |(path, count): (&'static str, usize)| Category {
        path,
        confidence: confidence(count),
    };
    counted.into_iter().map(category).collect()
}

/// How well each of the caller's labels fits, best first; the parts add up to 1. A label fits by its own words, by the
/// mood if it names one, and by the words of a category that it names.
pub(crate) fn among(text: &str, labels: &[String]) -> Vec<(String, f64)> {
    let lower = text.to_lowercase();
    let mood = mood(text);
    let weight = |label: &String| {
        let label = label.to_lowercase();
        let named = label
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| word.len() > 2);
        let mut weight = 0.1;
        for word in named {
            weight += as_f64(lower.matches(word).count());
            weight += match word {
                "positive" => mood.positive * 2.0,
                "negative" | "complaint" => mood.negative * 2.0,
                "neutral" => mood.neutral * 2.0,
                _ => 0.0,
            };
            for (path, list) in &CATEGORIES {
                let close = path.to_lowercase().contains(word) || list.contains(&word);
                if close && list.iter().any(|known| lower.contains(known)) {
                    weight += 1.5;
                }
            }
        }
        weight
    };
    let mut weighed: Vec<_> = labels
        .iter()
        .map(|label| (label.clone(), weight(label)))
        .collect();
    let total: f64 = weighed.iter().map(|(_, weight)| weight).sum();
    for (_, weight) in &mut weighed {
        *weight = rounded(*weight / total.max(0.1));
    }
    weighed.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    weighed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moods_follow_the_words() {
        for (text, label) in [
            (
                "The hotel was wonderful and the staff friendly.",
                Label::Positive,
            ),
            ("A terrible, dirty room.", Label::Negative),
            ("It was not good.", Label::Negative),
            ("The room was good but the food was bad.", Label::Mixed),
            ("The train leaves at nine.", Label::Neutral),
            ("这家酒店很好", Label::Positive),
            ("", Label::Neutral),
        ] {
            let mood = mood(text);
            assert_eq!(mood.label, label, "{text} {mood:?}");
            let sum = mood.positive + mood.negative + mood.neutral + mood.mixed;
            assert!((sum - 1.0).abs() < 1e-6, "{text} {mood:?}");
            assert!(
                mood.neutral >= 0.0 && (-1.0..=1.0).contains(&mood.score),
                "{mood:?}"
            );
        }
    }

    #[test]
    fn entities_stand_where_they_say() {
        let text = "😀 Barack Hussein Obama met Maria in London on Monday. The Acme Corp paid $300 in 2009 to a@b.com.";
        let letters: Vec<char> = text.chars().collect();
        let found = entities(text);
        for entity in &found {
            let slice: String = letters
                [entity.span.offset..entity.span.offset + entity.span.length]
                .iter()
                .collect();
            assert_eq!(slice, entity.span.text);
        }
        let named: Vec<_> = found
            .iter()
            .map(|entity| (entity.span.text.as_str(), entity.kind))
            .collect();
        assert_eq!(
            named,
            [
                ("Barack Hussein Obama", Kind::Person),
                ("Maria", Kind::Person),
                ("London", Kind::Location),
                ("Monday", Kind::DateTime),
                ("Acme Corp", Kind::Organization),
                ("$300", Kind::Money),
                ("2009", Kind::DateTime),
                ("a@b.com", Kind::Email),
            ]
        );
    }

    #[test]
    fn chinese_names_are_found_without_capitals() {
        let found = entities("今天玛丽亚从北京去 London。");
        let named: Vec<_> = found
            .iter()
            .map(|entity| (entity.span.text.as_str(), entity.span.offset, entity.kind))
            .collect();
        assert_eq!(
            named,
            [
                ("今天", 0, Kind::DateTime),
                ("玛丽亚", 2, Kind::Person),
                ("北京", 6, Kind::Location),
                ("London", 10, Kind::Location),
            ]
        );
    }

    #[test]
    fn sentences_and_phrases_are_found() {
        let text = "The weather is sunny. 今天很好。Call me!";
        let sentences: Vec<_> = sentences(text)
            .into_iter()
            .map(|span| (span.text, span.offset))
            .collect();
        assert_eq!(
            sentences,
            [
                ("The weather is sunny.".to_owned(), 0),
                ("今天很好。".to_owned(), 22),
                ("Call me!".to_owned(), 27)
            ]
        );
        let phrases: Vec<_> = key_phrases("The wonderful service at the hotel in Paris.")
            .into_iter()
            .map(|(span, _)| span.text)
            .collect();
        assert_eq!(phrases, ["wonderful service", "hotel", "Paris"]);
    }

    #[test]
    fn kinds_of_text_are_found() {
        assert_eq!(
            categories("The weather is sunny, no rain")[0].path,
            "/News/Weather"
        );
        assert!(categories("Hm.").is_empty());
        let labels = ["sports".to_owned(), "weather".to_owned()];
        let fits = among("The weather is sunny", &labels);
        assert_eq!(fits[0].0, "weather");
        assert!((fits.iter().map(|(_, part)| part).sum::<f64>() - 1.0).abs() < 0.01);
    }
}
