//! What the user wrote, every value with its place.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location as YamlPlace, Spanned};

use crate::{diagnostic::Diagnostic, place::Span};

/// Largest file, in bytes.
const LARGEST: usize = 1024 * 1024;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands.
    pub at: Span,
}

/// What YAML can say.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order written.
    Map(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The key itself.
    pub text: String,
    /// Where it stands.
    pub at: Span,
}

impl Node {
    /// The value under `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|(known, _)| known.text == key)
            .map(|(_, node)| node)
    }

    /// The entries, if this is a map.
    pub fn entries(&self) -> &[(Key, Self)] {
        if let Value::Map(entries) = &self.value {
            entries
        } else {
            &[]
        }
    }

    /// The items, if this is a list.
    pub fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value {
            items
        } else {
            &[]
        }
    }

    /// The text, if this is one.
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value {
            Some(text)
        } else {
            None
        }
    }

    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    fn stamp(&mut self, source: usize, text: &str) {
        stamp(&mut self.at, source, text);
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.stamp(source, text)),
            Value::Map(entries) => {
                for (key, node) in entries {
                    stamp(&mut key.at, source, text);
                    node.stamp(source, text);
                }
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
            }
        }
    }
}

/// Says which source a span is of, and cuts it to its first line: excerpts are easier to read.
fn stamp(span: &mut Span, source: usize, text: &str) {
    span.source = source;
    let rest = text.get(span.offset..).unwrap_or_default();
    let line = rest.find('\n').unwrap_or(rest.len());
    span.length = span.length.min(line);
    let trimmed = rest
        .get(..span.length)
        .map_or(0, |shown| shown.trim_end().len());
    span.length = trimmed;
}

/// Reads one source.
pub fn parse(text: &str, source: usize) -> Result<Node, Diagnostic> {
    let start = Span {
        source,
        line: 1,
        column: 1,
        offset: 0,
        length: 0,
    };
    if text.len() > LARGEST {
        return Err(
            Diagnostic::error("E0102", start, "the file is larger than 1 MiB")
                .help("split it into several files of one folder"),
        );
    }
    let budget = serde_saphyr::budget! {
        max_depth: 32,
        max_nodes: 100_000,
        max_events: 300_000,
        max_aliases: 64,
        max_anchors: 64,
        flow_nesting_limit: 32,
    };
    let options = serde_saphyr::options! { budget: budget, strict_booleans: true };
    match serde_saphyr::from_str_with_options::<Spanned<Content>>(text, options) {
        Ok(spanned) => {
            let mut node = node(spanned);
            node.stamp(source, text);
            Ok(node)
        }
        Err(error) => Err(explain(&error, text, source, start)),
    }
}

fn explain(error: &serde_saphyr::Error, text: &str, source: usize, start: Span) -> Diagnostic {
    let mut at = error.location().map_or(start, |place| span(&place));
    stamp(&mut at, source, text);
    let full = error.without_snippet().to_string();
    let said = full.lines().next().unwrap_or_default();
    let said = said.split(" at line ").next().unwrap_or(said).to_owned();
    let lower = full.to_lowercase();
    if lower.contains("duplicate") {
        Diagnostic::error("E0103", at, said).help("remove one of the two, or merge them")
    } else if lower.contains("budget")
        || lower.contains("limit")
        || lower.contains("depth")
        || lower.contains("nest")
    {
        Diagnostic::error("E0102", at, said)
            .help("a configuration needs no such size, depth or number of aliases")
    } else {
        Diagnostic::error("E0101", at, said)
            .help("check the indentation, and quote texts that have `: `, `#`, `{` or `[` in them")
    }
}

fn node(spanned: Spanned<Content>) -> Node {
    Node {
        at: span(&spanned.referenced),
        value: spanned.value.0,
    }
}

fn span(place: &YamlPlace) -> Span {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let size = |number: Option<u64>| {
        number
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or_default()
    };
    Span {
        source: 0,
        line: small(place.line()).max(1),
        column: small(place.column()).max(1),
        offset: size(place.span().byte_offset()),
        length: size(place.span().byte_len()),
    }
}

/// A value as serde hands it over.
struct Content(Value);

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any YAML value")
            }

            fn visit_unit<E>(self) -> Result<Content, E> {
                Ok(Content(Value::Null))
            }

            fn visit_none<E>(self) -> Result<Content, E> {
                Ok(Content(Value::Null))
            }

            fn visit_some<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Content, D::Error> {
                deserializer.deserialize_any(self)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
                Ok(Content(Value::Bool(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
                Ok(Content(Value::Integer(value)))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
                Ok(Content(i64::try_from(value).map_or_else(
                    |_| Value::Text(value.to_string()),
                    Value::Integer,
                )))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
                Ok(Content(Value::Float(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Content, E> {
                Ok(Content(Value::Text(value.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element::<Spanned<Content>>()? {
                    list.push(node(item));
                }
                Ok(Content(Value::List(list)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
                let mut map = Vec::new();
                while let Some(key) = entries.next_key::<Spanned<String>>()? {
                    let key = Key {
                        at: span(&key.referenced),
                        text: key.value,
                    };
                    map.push((key, node(entries.next_value::<Spanned<Content>>()?)));
                }
                Ok(Content(Value::Map(map)))
            }
        }

        deserializer.deserialize_any(AnyValue)
    }
}
