//! What a value can be: of inputs, of operations' inputs and outputs, of references and expressions.
//!
//! Shapes are made from JSON Schemas of contracts and from the notation of composition files (`string?`, `blob(25MB)`,
//! `list(string)`), and compared to find mistakes before anything runs. What is not known is [`Shape::Any`], which fits
//! everywhere: a check never refuses what could be right.

mod fit;
mod join;
mod json_schema;
mod notation;
mod operation;
mod schema;
mod text;

use std::collections::BTreeMap;

pub(crate) use fit::Misfit;
pub(crate) use notation::{NAMES as TYPES, notation};
pub use operation::operation_output;
pub(crate) use operation::{operation_input, operation_property};
pub(crate) use schema::shape_within as in_schema;

/// What a value can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Not known.
    Any,
    /// Nothing: absent or null.
    Nothing,
    /// True or false.
    Bool,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A text; one of these if there are any.
    Text(Vec<String>),
    /// A recording or another large body.
    Blob,
    /// A list.
    List(Box<Shape>),
    /// An object.
    Object {
        /// Members that are known.
        fields: BTreeMap<String, Shape>,
        /// What other members are, if there may be any.
        others: Option<Box<Shape>>,
    },
    /// Something, or nothing.
    Optional(Box<Shape>),
}

impl Shape {
    /// Any text.
    pub(crate) fn text() -> Self {
        Self::Text(Vec::new())
    }

    /// An object with just these members.
    pub(crate) fn object(fields: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        Self::Object {
            fields: fields
                .into_iter()
                .map(|(name, shape)| (name.to_owned(), shape))
                .collect(),
            others: None,
        }
    }

    /// An object with any members.
    pub(crate) fn any_object() -> Self {
        Self::Object {
            fields: BTreeMap::new(),
            others: Some(Box::new(Self::Any)),
        }
    }

    /// The same, or nothing.
    #[must_use]
    pub fn optional(self) -> Self {
        match self {
            Self::Any | Self::Nothing | Self::Optional(_) => self,
            known => Self::Optional(Box::new(known)),
        }
    }

    /// The same where it is there.
    pub fn present(&self) -> &Self {
        if let Self::Optional(inner) = self {
            inner.present()
        } else {
            self
        }
    }

    /// Whether it may be absent or null.
    pub fn is_optional(&self) -> bool {
        matches!(self, Self::Optional(_) | Self::Nothing)
    }

    /// Whether it is a blob, perhaps an absent one.
    pub fn is_blob(&self) -> bool {
        *self.present() == Self::Blob
    }

    /// What its member is: `Err` if it has none of that name. A member of what may be absent may be absent, too.
    pub(crate) fn member(&self, name: &str) -> Result<Self, NoMember> {
        match self {
            Self::Any => Ok(Self::Any),
            Self::Optional(inner) => inner.member(name).map(Self::optional),
            Self::Object { fields, others } => match (fields.get(name), others) {
                (Some(shape), _) => Ok(shape.clone()),
                (None, Some(others)) => Ok(others.as_ref().clone().optional()),
                (None, None) => Err(NoMember::Unknown(fields.keys().cloned().collect())),
            },
            // What is told of a blob beside its bytes.
            Self::Blob => match name {
                "media_type" => Ok(Self::text()),
                "bytes" => Ok(Self::Integer),
                "duration" => Ok(Self::Number.optional()),
                _ => Err(NoMember::Unknown(
                    ["bytes", "duration", "media_type"]
                        .map(str::to_owned)
                        .into(),
                )),
            },
            Self::Nothing
            | Self::Bool
            | Self::Integer
            | Self::Number
            | Self::Text(_)
            | Self::List(_) => Err(NoMember::None),
        }
    }

    /// What its items are; `None` if it is no list. Whether there is an item at an index is not known before it runs.
    pub(crate) fn item(&self) -> Option<Self> {
        match self {
            Self::Any => Some(Self::Any),
            Self::Optional(inner) => inner.item().map(Self::optional),
            Self::List(item) => Some(item.as_ref().clone()),
            _ => None,
        }
    }
}

/// Why there is no member of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoMember {
    /// There are others.
    Unknown(Vec<String>),
    /// It is no object.
    None,
}
