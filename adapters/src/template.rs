//! The vendor's own body shape with references in it, rendered for one call.

use std::{borrow::Cow, io::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use isobar_config::{Step, follow, follow_in, item};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::{
    blob::Blob,
    request::{Body, Piece},
    transform::{Transform, Unfit},
    tree::Tree,
};

/// RFC 3986 unreserved characters stay as they are.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Percent-encodes everything but unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// What a template can see.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The operation's input.
    pub(crate) input: &'a Map<String, Value>,
    /// The inputs of a batch, `$.documents`; the text of each is there alone.
    pub(crate) documents: Option<&'a [Document<'a>]>,
    /// Its blobs, by field.
    pub(crate) blobs: &'a [(&'static str, Blob)],
    /// The account's fields.
    pub(crate) account: &'a [(String, String)],
    /// What earlier steps kept.
    pub(crate) kept: &'a [(String, Value)],
    /// Unique to this call: a UUID.
    pub(crate) id: &'a str,
    /// The token that the account's key was exchanged for.
    pub(crate) token: Option<&'a str>,
    /// Base64 of the piece of a blob that a message carries.
    pub(crate) chunk: Option<&'a str>,
    /// The item, within an `each`.
    pub(crate) item: Option<Item<'a>>,
}

/// An item of a list that an `each` goes over.
#[derive(Clone, Copy)]
pub(crate) enum Item<'a> {
    Value(&'a Value),
    Document(Document<'a>),
}

/// An input of a batch. It has one field more: `index`, its position.
#[derive(Clone, Copy)]
pub(crate) struct Document<'a> {
    pub(crate) index: usize,
    pub(crate) input: &'a Map<String, Value>,
}

/// A list that an `each` goes over.
enum Items<'a> {
    Values(Cow<'a, [Value]>),
    Documents(&'a [Document<'a>]),
}

impl<'a> Item<'a> {
    /// What stands at a place in it.
    fn follow(self, steps: &[Step]) -> Option<&'a Value> {
        match self {
            Self::Value(value) => follow(value, steps),
            Self::Document(document) => follow_in(document.input, steps),
        }
    }

    /// The same, or what is known beside it.
    fn at(self, steps: &[Step]) -> Tree<'a> {
        match (self, steps) {
            (Self::Document(document), []) => Tree::Json(Box::new(document.whole())),
            (Self::Document(document), [Step::Name(name)]) if name == "index" => {
                Tree::Text(Cow::Owned(document.index.to_string()))
            }
            _ => self.follow(steps).map_or(Tree::Absent, Tree::of),
        }
    }
}

impl Document<'_> {
    fn whole(self) -> Value {
        let mut whole = self.input.clone();
        whole.insert("index".to_owned(), self.index.to_string().into());
        whole.into()
    }
}

/// Why a template cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unrendered {
    /// The vendor needs what the caller did not say.
    #[error("`{0}` is needed")]
    Missing(String),
    /// What the caller said is not what a transform takes.
    #[error("`{path}` is not {wanted}")]
    Unfit { path: String, wanted: &'static str },
    /// The blob cannot be put here.
    #[error("`{0}` cannot be written here")]
    Misplaced(String),
}

/// A template of one JSON value.
#[derive(Debug)]
pub(crate) enum Template {
    Literal(Value),
    Reference(Reference),
    /// A text with references in it.
    Text(Text),
    Object(Vec<(String, Template)>),
    /// Only when one has a value, or only when it has none.
    If {
        when: Option<Reference>,
        unless: Option<Reference>,
        then: Box<Template>,
    },
    List(Vec<Template>),
    Each {
        over: Reference,
        item: Box<Template>,
    },
    /// The first that has a value.
    Any(Vec<Template>),
    /// A blob as base64 text.
    Base64(&'static str),
}

/// A text with references in it: `Token {$.account.key}`.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) Vec<Part>);

#[derive(Debug)]
pub(crate) enum Part {
    Literal(String),
    Reference(Reference),
}

/// A path and what is done to its value.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) source: Source,
    /// Whether the place may stay empty.
    pub(crate) optional: bool,
    pub(crate) transforms: Vec<Transform>,
    /// As written, for messages.
    pub(crate) text: String,
}

/// Where a reference looks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    Input(Vec<Step>),
    Item(Vec<Step>),
    Account(String),
    Kept(String, Vec<Step>),
    CallId,
    Token,
    Chunk,
    Blob(&'static str, BlobFact),
}

/// What is known of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlobFact {
    Bytes,
    MediaType,
    Name,
    Format,
    Duration,
    SampleRate,
    Channels,
}

impl BlobFact {
    pub(crate) const NAMES: [(&'static str, Self); 7] = [
        ("bytes", Self::Bytes),
        ("media_type", Self::MediaType),
        ("name", Self::Name),
        ("format", Self::Format),
        ("duration", Self::Duration),
        ("sample_rate", Self::SampleRate),
        ("channels", Self::Channels),
    ];

    fn of(self, blob: &Blob) -> Tree<'_> {
        let media = blob.media();
        let number = |number: Option<f64>| number.map_or(Tree::Absent, Tree::Number);
        match self {
            #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
            Self::Bytes => Tree::Number(blob.length() as f64),
            Self::MediaType => Tree::Text(Cow::Borrowed(blob.media_type())),
            Self::Name => Tree::Text(Cow::Borrowed(blob.name())),
            Self::Format => media.format.map_or(Tree::Absent, |format| {
                Tree::Text(Cow::Borrowed(format.name()))
            }),
            Self::Duration => number(media.duration),
            Self::SampleRate => number(media.sample_rate.map(f64::from)),
            Self::Channels => number(media.channels.map(f64::from)),
        }
    }
}

impl<'a> Scope<'a> {
    pub(crate) fn blob(&self, name: &str) -> Option<&'a Blob> {
        self.blobs
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, blob)| blob)
    }
}

impl Reference {
    /// The value, after its transforms; `None` where there is none and none is needed.
    pub(crate) fn value<'a>(&self, scope: &Scope<'a>) -> Result<Option<Tree<'a>>, Unrendered> {
        let mut value = self.source.find(scope);
        for transform in &self.transforms {
            value = transform
                .apply(value)
                .map_err(|Unfit(wanted)| Unrendered::Unfit {
                    path: self.text.clone(),
                    wanted,
                })?;
        }
        match value {
            Tree::Absent if self.optional => Ok(None),
            Tree::Absent => Err(Unrendered::Missing(self.text.clone())),
            value => Ok(Some(value)),
        }
    }
}

impl Reference {
    /// The list that is its value; empty where the value is no list.
    fn list<'a>(&self, scope: &Scope<'a>) -> Result<Option<Items<'a>>, Unrendered> {
        if self.transforms.is_empty()
            && let Some(list) = self.source.list(scope)
        {
            return Ok(Some(list));
        }
        Ok(self.value(scope)?.map(|value| match value.json() {
            Value::Array(list) => Items::Values(Cow::Owned(list)),
            _ => Items::Values(Cow::Owned(Vec::new())),
        }))
    }
}

impl Source {
    fn document<'a>(documents: &'a [Document<'a>], steps: &[Step]) -> Tree<'a> {
        match steps.split_first() {
            None => Tree::Json(Box::new(documents.iter().map(|one| one.whole()).collect())),
            Some((Step::Index(index), rest)) => {
                item(documents, *index).map_or(Tree::Absent, |one| Item::Document(*one).at(rest))
            }
            Some((Step::Name(_) | Step::Every, _)) => Tree::Absent,
        }
    }

    /// The list that stands there, as it is.
    fn list<'a>(&self, scope: &Scope<'a>) -> Option<Items<'a>> {
        let list = match self {
            Self::Input(steps) => match (steps.as_slice(), scope.documents) {
                ([Step::Name(name)], Some(documents)) if name == "documents" => {
                    return Some(Items::Documents(documents));
                }
                _ => follow_in(scope.input, steps),
            },
            Self::Item(steps) => scope.item.and_then(|item| item.follow(steps)),
            _ => None,
        };
        let list = list?.as_array()?;
        Some(Items::Values(Cow::Borrowed(list)))
    }

    fn find<'a>(&self, scope: &Scope<'a>) -> Tree<'a> {
        let found = match self {
            Self::Input(steps) => match steps.split_first() {
                Some((Step::Name(name), rest)) => match (name.as_str(), scope.documents) {
                    ("documents", Some(documents)) => return Self::document(documents, rest),
                    ("text", Some(_)) => None,
                    _ => follow_in(scope.input, steps),
                },
                _ => None,
            },
            Self::Item(steps) => {
                return scope.item.map_or(Tree::Absent, |item| item.at(steps));
            }
            Self::Kept(name, steps) => scope
                .kept
                .iter()
                .find(|(known, _)| known == name)
                .and_then(|(_, value)| follow(value, steps)),
            Self::Account(name) => {
                let field = scope.account.iter().find(|(known, _)| known == name);
                return field.map_or(Tree::Absent, |(_, value)| Tree::Text(Cow::Borrowed(value)));
            }
            Self::CallId => return Tree::Text(Cow::Borrowed(scope.id)),
            Self::Token => {
                return scope
                    .token
                    .map_or(Tree::Absent, |token| Tree::Text(Cow::Borrowed(token)));
            }
            Self::Chunk => {
                return scope
                    .chunk
                    .map_or(Tree::Absent, |chunk| Tree::Text(Cow::Borrowed(chunk)));
            }
            Self::Blob(name, fact) => {
                return scope.blob(name).map_or(Tree::Absent, |blob| fact.of(blob));
            }
        };
        found.map_or(Tree::Absent, Tree::of)
    }
}

impl Text {
    /// The text; `None` when an optional reference in it has no value.
    pub(crate) fn render(
        &self,
        scope: &Scope<'_>,
        escape: impl Fn(&str) -> Cow<'_, str>,
    ) -> Result<Option<String>, Unrendered> {
        let mut text = String::with_capacity(SHORT);
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Reference(reference) => {
                    let Some(value) = reference.value(scope)? else {
                        return Ok(None);
                    };
                    let value = value.text().ok_or_else(|| Unrendered::Unfit {
                        path: reference.text.clone(),
                        wanted: "a scalar",
                    })?;
                    text.push_str(&escape(&value));
                }
            }
        }
        Ok(Some(text))
    }
}

impl Template {
    /// The value as JSON; blobs cannot be in it.
    pub(crate) fn value(&self, scope: &Scope<'_>) -> Result<Option<Value>, Unrendered> {
        let mut writer = Writer::default();
        if !self.write(scope, &mut writer)? {
            return Ok(None);
        }
        let [] = writer.pieces.as_slice() else {
            return Err(Unrendered::Misplaced("a blob".to_owned()));
        };
        Ok(serde_json::from_slice(&writer.buffer).ok())
    }

    /// The value as texts: one for a scalar, one for each item of a list.
    pub(crate) fn texts(&self, scope: &Scope<'_>) -> Result<Vec<String>, Unrendered> {
        let unfit = |text: &str| Unrendered::Unfit {
            path: text.to_owned(),
            wanted: "a scalar or a list of them",
        };
        Ok(match self {
            Self::Text(text) => text
                .render(scope, |value| Cow::Owned(value.to_owned()))?
                .into_iter()
                .collect(),
            Self::Literal(value) => scalars(Tree::of(value)).ok_or_else(|| unfit("a literal"))?,
            Self::Reference(reference) => match reference.value(scope)? {
                None => Vec::new(),
                Some(value) => scalars(value).ok_or_else(|| unfit(&reference.text))?,
            },
            Self::Base64(blob) => {
                let Some(blob) = scope.blob(blob) else {
                    return Ok(Vec::new());
                };
                let bytes = blob.to_bytes().map_err(|_| unfit("a blob"))?;
                vec![STANDARD.encode(bytes)]
            }
            other => match other.value(scope)? {
                None => Vec::new(),
                Some(value) => scalars(Tree::owned(value)).ok_or_else(|| unfit("a value"))?,
            },
        })
    }

    /// The value as a JSON body.
    pub(crate) fn body(&self, scope: &Scope<'_>) -> Result<Body, Unrendered> {
        let mut writer = Writer::default();
        writer.buffer.reserve(ROOM);
        self.write(scope, &mut writer)?;
        Ok(writer.done())
    }

    /// Writes JSON; `false` when there is nothing to write.
    fn write(&self, scope: &Scope<'_>, out: &mut Writer) -> Result<bool, Unrendered> {
        match self {
            Self::Literal(value) => out.json(value),
            Self::Reference(reference) => match reference.value(scope)? {
                None => return Ok(false),
                Some(value) => out.tree(value),
            },
            Self::Text(text) => match text.render(scope, |value| Cow::Owned(value.to_owned()))? {
                None => return Ok(false),
                Some(text) => out.json(&text),
            },
            Self::If { when, unless, then } => {
                let there = |reference: &Option<Reference>, otherwise: bool| match reference {
                    None => Ok(otherwise),
                    Some(reference) => reference.value(scope).map(|value| value.is_some()),
                };
                return Ok(there(when, true)?
                    && !there(unless, false)?
                    && then.write(scope, out)?);
            }
            Self::Object(members) => {
                out.buffer.push(b'{');
                let mut first = true;
                for (name, member) in members {
                    let mark = out.buffer.len();
                    if !first {
                        out.buffer.push(b',');
                    }
                    out.json(name);
                    out.buffer.push(b':');
                    if member.write(scope, out)? {
                        first = false;
                    } else {
                        out.buffer.truncate(mark);
                    }
                }
                out.buffer.push(b'}');
            }
            Self::List(items) => {
                out.buffer.push(b'[');
                let mut first = true;
                for item in items {
                    out.item(&mut first, |out| item.write(scope, out))?;
                }
                out.buffer.push(b']');
            }
            Self::Each { over, item } => {
                let Some(list) = over.list(scope)? else {
                    return Ok(false);
                };
                out.buffer.push(b'[');
                let mut first = true;
                let mut one = |out: &mut Writer, one: Item<'_>| {
                    let inner = Scope {
                        item: Some(one),
                        ..*scope
                    };
                    out.item(&mut first, |out| item.write(&inner, out))
                };
                match &list {
                    Items::Values(values) => {
                        for value in &**values {
                            one(out, Item::Value(value))?;
                        }
                    }
                    Items::Documents(documents) => {
                        for document in *documents {
                            one(out, Item::Document(*document))?;
                        }
                    }
                }
                out.buffer.push(b']');
            }
            Self::Any(choices) => {
                for choice in choices {
                    if choice.write(scope, out)? {
                        return Ok(true);
                    }
                }
                return Ok(false);
            }
            Self::Base64(name) => {
                let Some(blob) = scope.blob(name) else {
                    return Ok(false);
                };
                out.buffer.push(b'"');
                out.piece(Piece::Base64(blob.clone()));
                out.buffer.push(b'"');
            }
        }
        Ok(true)
    }
}

fn scalars(value: Tree<'_>) -> Option<Vec<String>> {
    match value {
        list @ (Tree::List(_) | Tree::Json(_)) => list
            .items()?
            .into_iter()
            .map(|item| item.text().map(Cow::into_owned))
            .collect(),
        scalar => Some(vec![scalar.text()?.into_owned()]),
    }
}

/// Writes a body that is mostly bytes, with blobs between them.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) buffer: Vec<u8>,
    pieces: Vec<Piece>,
}

/// Bytes that most bodies have room in.
const ROOM: usize = 512;
/// Bytes that most addresses and headers have room in.
const SHORT: usize = 64;

impl Writer {
    pub(crate) fn json(&mut self, value: &(impl serde::Serialize + ?Sized)) {
        // Writing to memory does not fail, and these values are all JSON.
        let _ = serde_json::to_writer(&mut self.buffer, value);
    }

    fn tree(&mut self, value: Tree<'_>) {
        match value {
            Tree::Text(text) => self.json(&*text),
            Tree::Bool(value) => self.json(&value),
            other => self.json(&other.json()),
        }
    }

    fn item(
        &mut self,
        first: &mut bool,
        write: impl FnOnce(&mut Self) -> Result<bool, Unrendered>,
    ) -> Result<(), Unrendered> {
        let mark = self.buffer.len();
        if !*first {
            self.buffer.push(b',');
        }
        if write(self)? {
            *first = false;
        } else {
            self.buffer.truncate(mark);
        }
        Ok(())
    }

    pub(crate) fn text(&mut self, text: &str) {
        let _ = self.buffer.write_all(text.as_bytes());
    }

    pub(crate) fn piece(&mut self, piece: Piece) {
        if !self.buffer.is_empty() {
            self.pieces
                .push(Piece::Bytes(Bytes::from(std::mem::take(&mut self.buffer))));
        }
        self.pieces.push(piece);
    }

    pub(crate) fn done(mut self) -> Body {
        if !self.buffer.is_empty() {
            self.pieces.push(Piece::Bytes(Bytes::from(self.buffer)));
        }
        Body(self.pieces)
    }
}
