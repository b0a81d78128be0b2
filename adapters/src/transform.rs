//! What may follow `|` in a mapping: a fixed set, shared by all vendors. The next wish is a hook.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{language, tree::Tree};

/// A table of a manifest: vendor's words to ours, or ours to the vendor's; `_` is anything else. `*` at the start or
/// the end of a word is any text there, for words that are not listed as they are.
pub(crate) type Table = Arc<BTreeMap<String, String>>;

/// One transform.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Transform {
    /// Seconds from a number or a text such as `1.2s`.
    Seconds,
    /// Seconds from milliseconds.
    Milliseconds,
    /// Seconds from units of 100 ns.
    Ticks,
    /// Seconds from units of 10 ms.
    Centiseconds,
    /// Seconds from an ISO 8601 duration such as `PT1.2S`.
    IsoDuration,
    /// A number from a text.
    Number,
    /// A text from a number or boolean.
    Text,
    /// `e` to the power of it: a probability from its logarithm.
    Exp,
    /// 0..1 from 0..100.
    Percent,
    /// 0..1 from a number that is a percentage if it is above 1.
    Probability,
    /// Nothing where 0 means unknown.
    NonZero,
    /// Nothing where it is this word.
    Unless(String),
    Lower,
    Upper,
    Trim,
    /// BCP 47 from whatever the vendor calls a language.
    Language,
    /// The vendor's word for a language: the exact tag's, else the primary one's.
    ToLanguage(Table),
    /// A word for a word.
    Map(Table),
    /// In place of nothing.
    Default(Value),
    /// Texts put together with this between them.
    Join(String),
    /// First item of a list.
    First,
    /// The value that a JSON text holds.
    ParseJson,
    /// The JSON text of a value.
    Json,
    /// Bytes from base64.
    FromBase64,
    /// Base64 of a text's UTF-8.
    Base64,
    /// Percent-encoded.
    UrlEncode,
    /// Escaped for XML.
    Xml,
    /// What comes before the first of these; all of it where there is none.
    Before(String),
    /// As much from the start as fits in so many bytes of UTF-8.
    Cut(usize),
}

/// Why a transform has no result: what it got is not what it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit(pub(crate) &'static str);

/// Why something behind `|` is no transform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    /// There is none of this name that takes what it is given.
    #[error("`{0}` is not a transform")]
    Transform(String),
    /// It names a table that is not there.
    #[error("there is no table `{0}`")]
    Table(String),
    /// What it is given is not what it takes.
    #[error("{0}")]
    Argument(String),
}

impl Transform {
    /// Names, for messages and the reference, with their arguments.
    pub(crate) const NAMES: [&'static str; 29] = [
        "seconds",
        "milliseconds",
        "ticks",
        "centiseconds",
        "iso_duration",
        "number",
        "text",
        "exp",
        "percent",
        "probability",
        "nonzero",
        "unless(WORD)",
        "lower",
        "upper",
        "trim",
        "language",
        "language(TABLE)",
        "map(TABLE)",
        "default(VALUE)",
        "join(TEXT)",
        "first",
        "parse_json",
        "json",
        "from_base64",
        "base64",
        "urlencode",
        "xml",
        "before(TEXT)",
        "cut(BYTES)",
    ];

    /// Reads one transform as written: `name` or `name(argument)`.
    pub(crate) fn parse(text: &str, tables: &BTreeMap<String, Table>) -> Result<Self, Unknown> {
        let (name, argument) = match text.split_once('(') {
            Some((name, rest)) => {
                let argument = rest
                    .strip_suffix(')')
                    .ok_or_else(|| Unknown::Argument(format!("`{text}` has no `)` at its end")))?;
                (name.trim(), Some(argument.trim()))
            }
            None => (text.trim(), None),
        };
        let table = |named: &str| {
            tables
                .get(named)
                .cloned()
                .ok_or_else(|| Unknown::Table(named.to_owned()))
        };
        Ok(match (name, argument) {
            ("seconds", None) => Self::Seconds,
            ("milliseconds", None) => Self::Milliseconds,
            ("ticks", None) => Self::Ticks,
            ("centiseconds", None) => Self::Centiseconds,
            ("iso_duration", None) => Self::IsoDuration,
            ("number", None) => Self::Number,
            ("text", None) => Self::Text,
            ("exp", None) => Self::Exp,
            ("percent", None) => Self::Percent,
            ("probability", None) => Self::Probability,
            ("nonzero", None) => Self::NonZero,
            ("unless", Some(word)) => Self::Unless(unquoted(word).to_owned()),
            ("lower", None) => Self::Lower,
            ("upper", None) => Self::Upper,
            ("trim", None) => Self::Trim,
            ("language", None) => Self::Language,
            ("language", Some(named)) => Self::ToLanguage(table(named)?),
            ("map", Some(named)) => Self::Map(table(named)?),
            ("default", Some(literal)) => Self::Default(literal_value(literal)),
            ("join", Some(literal)) => match literal_value(literal) {
                Value::String(between) => Self::Join(between),
                _ => {
                    return Err(Unknown::Argument(
                        "`join` takes a text: `join(', ')`".to_owned(),
                    ));
                }
            },
            ("first", None) => Self::First,
            ("parse_json", None) => Self::ParseJson,
            ("json", None) => Self::Json,
            ("from_base64", None) => Self::FromBase64,
            ("base64", None) => Self::Base64,
            ("urlencode", None) => Self::UrlEncode,
            ("xml", None) => Self::Xml,
            ("before", Some(literal)) => match literal_value(literal) {
                Value::String(mark) if !mark.is_empty() => Self::Before(mark),
                _ => {
                    return Err(Unknown::Argument(
                        "`before` takes a text in quotes".to_owned(),
                    ));
                }
            },
            ("cut", Some(bytes)) => Self::Cut(
                bytes
                    .parse()
                    .map_err(|_| Unknown::Argument("`cut` takes a number of bytes".to_owned()))?,
            ),
            _ => {
                let forms = Self::NAMES
                    .iter()
                    .filter(|form| form.split('(').next() == Some(name));
                let forms: Vec<String> = forms.map(|form| format!("`{form}`")).collect();
                return Err(if forms.is_empty() {
                    Unknown::Transform(name.to_owned())
                } else {
                    Unknown::Argument(format!("`{text}` is written {}", forms.join(" or ")))
                });
            }
        })
    }

    /// Applies it. Nothing stays nothing, but for `default`.
    pub(crate) fn apply<'a>(&self, value: Tree<'a>) -> Result<Tree<'a>, Unfit> {
        if value.is_absent() {
            return Ok(match self {
                Self::Default(value) => Tree::owned(value.clone()),
                _ => Tree::Absent,
            });
        }
        Ok(match self {
            Self::Default(_) => value,
            Self::Seconds => Tree::Number(match &value {
                Tree::Text(text) => text
                    .trim_end_matches('s')
                    .trim()
                    .parse()
                    .map_err(|_| Unfit("a time in seconds"))?,
                other => other.number().ok_or(Unfit("a time in seconds"))?,
            }),
            Self::Milliseconds => Tree::Number(value.number().ok_or(Unfit("milliseconds"))? / 1e3),
            Self::Ticks => Tree::Number(value.number().ok_or(Unfit("units of 100 ns"))? / 1e7),
            Self::Centiseconds => {
                Tree::Number(value.number().ok_or(Unfit("units of 10 ms"))? / 1e2)
            }
            Self::IsoDuration => match &value {
                Tree::Text(text) => {
                    Tree::Number(iso_duration(text).ok_or(Unfit("an ISO 8601 duration"))?)
                }
                _ => return Err(Unfit("an ISO 8601 duration")),
            },
            Self::Number => Tree::Number(value.number().ok_or(Unfit("a number"))?),
            Self::Text => Tree::Text(value.text().ok_or(Unfit("a scalar"))?),
            Self::Exp => Tree::Number(value.number().ok_or(Unfit("a number"))?.exp()),
            Self::Percent => Tree::Number(value.number().ok_or(Unfit("a number"))? / 1e2),
            Self::Probability => Tree::Number(match value.number().ok_or(Unfit("a number"))? {
                percent if percent > 1.0 => percent / 1e2,
                share => share,
            }),
            Self::Unless(word) => match &value {
                Tree::Text(text) if text == word => Tree::Absent,
                _ => value,
            },
            Self::NonZero => match value.number() {
                Some(0.0) => Tree::Absent,
                _ => value,
            },
            Self::Lower => mapped(value, |text| text.to_lowercase())?,
            Self::Upper => mapped(value, |text| text.to_uppercase())?,
            Self::Trim => match value {
                Tree::Text(Cow::Borrowed(text)) => Tree::Text(Cow::Borrowed(text.trim())),
                other => mapped(other, |text| text.trim().to_owned())?,
            },
            Self::Language => mapped(value, language::canonical)?,
            Self::ToLanguage(table) => {
                let tag = value.text().ok_or(Unfit("a language"))?;
                language::lookup(table, &tag)
                    .map_or(Tree::Absent, |word| Tree::Text(Cow::Owned(word.to_owned())))
            }
            Self::Map(table) => {
                let word = value.text().ok_or(Unfit("a word"))?;
                let found = table
                    .get(word.as_ref())
                    .or_else(|| alike(table, &word))
                    .or_else(|| table.get("_"));
                found.map_or(Tree::Absent, |word| Tree::Text(Cow::Owned(word.clone())))
            }
            Self::Join(between) => {
                let items = value.items().ok_or(Unfit("a list"))?;
                let texts: Vec<Cow<'_, str>> = items.into_iter().filter_map(Tree::text).collect();
                Tree::Text(Cow::Owned(texts.join(between)))
            }
            Self::First => value
                .items()
                .ok_or(Unfit("a list"))?
                .into_iter()
                .next()
                .unwrap_or(Tree::Absent),
            Self::ParseJson => {
                let text = value.text().ok_or(Unfit("a JSON text"))?;
                Tree::owned(serde_json::from_str(&text).map_err(|_| Unfit("a JSON text"))?)
            }
            Self::Json => Tree::Text(Cow::Owned(value.json().to_string())),
            Self::Base64 => mapped(value, |text| STANDARD.encode(text))?,
            Self::FromBase64 => {
                let text = value.text().ok_or(Unfit("base64"))?;
                let bytes = STANDARD
                    .decode(text.as_bytes())
                    .map_err(|_| Unfit("base64"))?;
                Tree::Bytes(Box::new(bytes.into()))
            }
            Self::UrlEncode => mapped(value, crate::template::encode)?,
            Self::Xml => mapped(value, xml)?,
            Self::Before(mark) => mapped(value, |text| {
                text.split(mark.as_str())
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            })?,
            Self::Cut(bytes) => mapped(value, |text| {
                text.get(..text.floor_char_boundary(*bytes))
                    .unwrap_or_default()
                    .to_owned()
            })?,
        })
    }
}

fn mapped<'a>(value: Tree<'a>, change: impl Fn(&str) -> String) -> Result<Tree<'a>, Unfit> {
    let text = value.text().ok_or(Unfit("a text"))?;
    Ok(Tree::Text(Cow::Owned(change(&text))))
}

/// What a table says of the first pattern that a word fits: `*:fx` or `Auth*`.
fn alike<'t>(table: &'t Table, word: &str) -> Option<&'t String> {
    let fits = |pattern: &str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => word.ends_with(end),
        (None, Some(start)) => word.starts_with(start),
        (None, None) => false,
    };
    table
        .iter()
        .find(|(pattern, _)| fits(pattern))
        .map(|(_, found)| found)
}

/// A text without the quotes around it.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .unwrap_or(text)
}

/// `'text'`, a number, `true`, `false`, or a bare word.
fn literal_value(text: &str) -> Value {
    if let Some(inside) = text
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    {
        return Value::String(inside.to_owned());
    }
    match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
        _ => Value::String(text.to_owned()),
    }
}

fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // XML 1.0 has no way to write these.
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// Seconds of an ISO 8601 duration of days, hours, minutes and seconds.
fn iso_duration(text: &str) -> Option<f64> {
    let rest = text.strip_prefix('P')?;
    let mut seconds = 0.0;
    let mut number = String::new();
    for c in rest.chars() {
        match c {
            'T' if number.is_empty() => {}
            '0'..='9' | '.' => number.push(c),
            _ => {
                let unit = match c {
                    'D' => 86_400.0,
                    'H' => 3_600.0,
                    'M' => 60.0,
                    'S' => 1.0,
                    _ => return None,
                };
                seconds += number.parse::<f64>().ok()? * unit;
                number.clear();
            }
        }
    }
    number.is_empty().then_some(seconds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(transform: &str, input: Value, expected: Value) {
        let table: Table = Arc::new(
            [
                ("PER".to_owned(), "person".to_owned()),
                ("_".to_owned(), "other".to_owned()),
            ]
            .into(),
        );
        let languages: Table = Arc::new(
            [("en", "en-US"), ("en-GB", "en-GB"), ("zh", "cmn")]
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .into(),
        );
        let tables = [
            ("types".to_owned(), table),
            ("languages".to_owned(), languages),
        ]
        .into();
        let transform = Transform::parse(transform, &tables).unwrap();
        assert_eq!(
            transform.apply(Tree::of(&input)).map(Tree::json),
            Ok(expected),
            "{transform:?} of {input}"
        );
    }

    #[test]
    fn times_become_seconds_whatever_they_were_counted_in() {
        check("seconds", json!("1.200s"), json!(1.2));
        check("seconds", json!("0.479"), json!(0.479));
        check("seconds", json!(2), json!(2));
        check("milliseconds", json!(80), json!(0.08));
        check("ticks", json!(12_000_000), json!(1.2));
        check("centiseconds", json!(53), json!(0.53));
        check("iso_duration", json!("PT1H2M1.5S"), json!(3721.5));
    }

    #[test]
    fn words_are_looked_up_and_texts_put_together() {
        check("map(types)", json!("PER"), json!("person"));
        check("map(types)", json!("X"), json!("other"));
        check("language(languages)", json!("en-AU"), json!("en-US"));
        check("language(languages)", json!("en-gb"), json!("en-GB"));
        check("language(languages)", json!("fr"), json!(null));
        check("join(' ')", json!(["a", "b"]), json!("a b"));
        check("first", json!([1, 2]), json!(1));
        check("parse_json", json!("{\"a\":1}"), json!({ "a": 1 }));
        check(
            "xml",
            json!("a<b & 'c'"),
            json!("a&lt;b &amp; &apos;c&apos;"),
        );
        check("urlencode", json!("a b/ü"), json!("a%20b%2F%C3%BC"));
        check("before('.')", json!("work.movie.old"), json!("work"));
        check("before('.')", json!("person"), json!("person"));
        check("cut(4)", json!("aüüü"), json!("aü"));
        check("cut(80)", json!("short"), json!("short"));
    }

    #[test]
    fn a_table_may_tell_words_by_how_they_begin_or_end() {
        let table: Table = Arc::new(
            [
                ("*:fx", "free"),
                ("trial-*", "trial"),
                ("trial-0:fx", "odd"),
                ("_", "paid"),
            ]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .into(),
        );
        let tables = [("plans".to_owned(), table)].into();
        let transform = Transform::parse("map(plans)", &tables).unwrap();
        for (key, plan) in [
            ("a-key:fx", "free"),
            ("trial-7", "trial"),
            ("trial-0:fx", "odd"),
            ("a-key", "paid"),
            (":fx-", "paid"),
            ("*:fx", "free"),
        ] {
            assert_eq!(
                transform.apply(Tree::Text(key.into())),
                Ok(Tree::Text(plan.into())),
                "{key}"
            );
        }
    }

    #[test]
    fn probabilities_are_between_nothing_and_one() {
        check("probability", json!(0.6), json!(0.6));
        check("probability", json!(1), json!(1));
        check("probability", json!(90.0), json!(0.9));
        check("percent", json!(0.5), json!(0.005));
        check("exp", json!(0), json!(1));
    }

    #[test]
    fn nothing_stays_nothing_but_for_a_default() {
        check("seconds", json!(null), json!(null));
        check("default(en)", json!(null), json!("en"));
        check("default('')", json!(null), json!(""));
        check("default(5)", json!(null), json!(5));
        check("default(5)", json!(1), json!(1));
        check("nonzero", json!("0.0"), json!(null));
        check("nonzero", json!(0.5), json!(0.5));
        check("unless(UU)", json!("UU"), json!(null));
        check("unless('UU')", json!("S1"), json!("S1"));
        check("unless(0)", json!(0), json!(0));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        for (transform, input) in [
            ("seconds", json!("soon")),
            ("number", json!([])),
            ("from_base64", json!("@")),
            ("join(' ')", json!(1)),
        ] {
            let transform = Transform::parse(transform, &BTreeMap::new()).unwrap();
            assert!(
                transform.apply(Tree::of(&input)).is_err(),
                "{transform:?} of {input}"
            );
        }
        for text in [
            "seconds(1)",
            "map(nope)",
            "nope",
            "join(' '",
            "join(1)",
            "before('')",
            "before(1)",
            "cut(-1)",
            "cut(few)",
        ] {
            assert!(Transform::parse(text, &BTreeMap::new()).is_err(), "{text}");
        }
    }
}
