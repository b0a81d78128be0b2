//! What the user wrote, every value with its place.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Error as Mistake, Location as YamlPlace, Spanned};

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

    /// The place of `key` itself, if this is a map that has it.
    pub fn key(&self, key: &str) -> Option<Span> {
        self.entries()
            .iter()
            .find(|(known, _)| known.text == key)
            .map(|(known, _)| known.at)
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
        ..Span::default()
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

fn explain(error: &Mistake, text: &str, source: usize, start: Span) -> Diagnostic {
    // Of a mistake within an alias the place that uses it is what counts.
    let mut at = error
        .location()
        .map_or(start, |place| inside(&span(&place), text));
    let mut error = error.without_snippet();
    while let Mistake::AliasError { error: inner, .. } = error {
        error = inner.without_snippet();
    }
    at.source = source;
    let said = error.to_string();
    let said = said.lines().next().unwrap_or_default();
    let said = said.split(" at line ").next().unwrap_or(said);
    let tab = text
        .get(..at.offset)
        .is_some_and(|before| before.ends_with('\t'));
    match error {
        Mistake::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or_default();
            let here = text.get(at.offset..).unwrap_or_default();
            if here.starts_with(key) {
                at.length = key.len();
            }
            let what = if key.is_empty() {
                "this key".to_owned()
            } else {
                format!("`{key}`")
            };
            Diagnostic::error("E0103", at, format!("{what} stands here twice"))
                .help("remove one of the two, or merge them")
        }
        Mistake::Budget { breach, .. } => too_much(at, breach),
        Mistake::AliasReplayLimitExceeded { .. }
        | Mistake::AliasExpansionLimitExceeded { .. }
        | Mistake::AliasReplayStackDepthExceeded { .. } => {
            Diagnostic::error("E0102", at, "its aliases make the file too large").help(SMALLER)
        }
        _ if said.contains("recursion limit") => {
            Diagnostic::error("E0102", at, "this is nested too deep").help(SMALLER)
        }
        _ if said.contains("tab") && tab => {
            at.offset -= 1;
            at.column = at.column.saturating_sub(1).max(1);
            Diagnostic::error("E0101", at, "YAML is not indented by tabs")
                .help("indent by spaces, two for each level")
        }
        Mistake::MultipleDocuments { .. } => {
            Diagnostic::error("E0101", at, "a second YAML document starts here")
                .help("remove the `---`, or put what follows into a file of its own")
        }
        Mistake::UnknownAnchor { .. } => {
            Diagnostic::error("E0101", at, "no anchor of this name comes before it")
                .help("quote a text that starts with `*`, such as `\"*.example.com\"`")
        }
        Mistake::NonFiniteFloat { value, .. } => {
            Diagnostic::error("E0101", at, format!("`{value}` is not a finite number"))
                .help("write digits, or quote it if it is meant as a text")
        }
        _ => Diagnostic::error("E0101", at, format!("this is not YAML: {said}"))
            .help("check the indentation, and quote texts that have `: `, `#`, `{` or `[` in them"),
    }
}

const SMALLER: &str = "a configuration needs no such size, depth or number of aliases";

fn too_much(at: Span, breach: &serde_saphyr::budget::BudgetBreach) -> Diagnostic {
    use serde_saphyr::budget::BudgetBreach;
    let message = match breach {
        BudgetBreach::Depth { .. } => "this is nested more than 32 levels deep",
        BudgetBreach::Aliases { .. } => "the file has more than 64 aliases",
        BudgetBreach::Anchors { .. } => "the file has more than 64 anchors",
        _ => "the file has too many values, counting each alias as what it stands for",
    };
    Diagnostic::error("E0102", at, message).help(SMALLER)
}

/// The place in `text` that the line and column of `place` name, or its end.
fn inside(place: &Span, text: &str) -> Span {
    let mut rest = text;
    let mut line = 1;
    while line < place.line {
        let Some(end) = rest.find(['\n', '\r']) else {
            break;
        };
        let broken = if rest.get(end..end + 2) == Some("\r\n") {
            2
        } else {
            1
        };
        rest = rest.get(end + broken..).unwrap_or_default();
        line += 1;
    }
    let own = rest.split(['\n', '\r']).next().unwrap_or_default();
    let before = if line == place.line {
        place.column.saturating_sub(1) as usize
    } else {
        usize::MAX
    };
    let shown: Vec<char> = own.chars().take(before).collect();
    Span {
        source: place.source,
        line,
        column: u32::try_from(shown.len() + 1).unwrap_or(u32::MAX),
        offset: text.len() - rest.len() + shown.iter().map(|c| c.len_utf8()).sum::<usize>(),
        length: 0,
        whole: 0,
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
        whole: size(place.span().byte_len()),
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
