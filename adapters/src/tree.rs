//! Values as they move through a mapping: borrowed from the vendor's answer where they can be, and by position rather
//! than by name where the mapping knows the names.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// One value, three words large: long answers have thousands of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree<'a> {
    /// Absent, or `null`.
    Absent,
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
    #[expect(
        clippy::box_collection,
        reason = "a vector is as large as the whole value"
    )]
    List(Box<Vec<Tree<'a>>>),
    /// Fields by their position in the record's description.
    Record(Box<[Tree<'a>]>),
    /// Records of one kind.
    Rows(Box<Rows<'a>>),
    /// Raw content.
    Bytes(Box<bytes::Bytes>),
    /// Anything, as the vendor wrote it.
    Json(Box<Value>),
}

impl<'a> Tree<'a> {
    pub(crate) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Absent,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => number.as_f64().map_or(Self::Absent, Self::Number),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(_) | Value::Object(_) => Self::Json(Box::new(value.clone())),
        }
    }

    pub(crate) fn owned(value: Value) -> Self {
        match value {
            Value::Null => Self::Absent,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => number.as_f64().map_or(Self::Absent, Self::Number),
            Value::String(text) => Self::Text(Cow::Owned(text)),
            Value::Array(_) | Value::Object(_) => Self::Json(Box::new(value)),
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// As JSON; records, which have no names of their own, become lists.
    pub(crate) fn json(self) -> Value {
        match self {
            Self::Absent => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(number) => number_value(number),
            Self::Text(text) => Value::String(text.into_owned()),
            Self::List(items) => Value::Array(items.into_iter().map(Tree::json).collect()),
            Self::Record(fields) => Value::Array(fields.into_iter().map(Tree::json).collect()),
            Self::Rows(rows) => Value::Array(rows.records().map(Tree::json).collect()),
            Self::Bytes(bytes) => Value::String(STANDARD.encode(&*bytes)),
            Self::Json(value) => *value,
        }
    }

    /// As a text, where it is a scalar.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(number) => Some(Cow::Owned(number_value(number).to_string())),
            Self::Bool(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
            Self::Absent
            | Self::List(_)
            | Self::Record(_)
            | Self::Rows(_)
            | Self::Bytes(_)
            | Self::Json(_) => None,
        }
    }

    /// As a number; texts that hold one count.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text
                .trim()
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub(crate) fn items(self) -> Option<Vec<Tree<'a>>> {
        match self {
            Self::List(items) => Some(*items),
            Self::Rows(rows) => Some(rows.records().collect()),
            Self::Json(value) => match *value {
                Value::Array(items) => Some(items.into_iter().map(Tree::owned).collect()),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Records of one kind, one after the other in one piece of memory, with only the fields that the mapping fills.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows<'a> {
    /// By position in the record's description, whether there is a column with the field.
    columns: Box<[bool]>,
    /// Number of columns.
    width: usize,
    cells: Vec<Tree<'a>>,
}

impl<'a> Rows<'a> {
    /// No records yet; which fields of a record are filled.
    pub(crate) fn of(filled: impl Iterator<Item = bool>) -> Self {
        let columns: Box<[bool]> = filled.collect();
        Self {
            width: columns.iter().filter(|filled| **filled).count(),
            columns,
            cells: Vec::new(),
        }
    }

    /// Adds the next field of a record, in the order of its description.
    pub(crate) fn push(&mut self, cell: Tree<'a>) {
        self.cells.push(cell);
    }

    /// The same records with other values.
    pub(crate) fn map<'b>(self, change: impl FnMut(Tree<'a>) -> Tree<'b>) -> Rows<'b> {
        Rows {
            columns: self.columns,
            width: self.width,
            cells: self.cells.into_iter().map(change).collect(),
        }
    }

    /// The fields of each record by their position, gathered as the caller likes.
    pub(crate) fn each<C: FromIterator<Tree<'a>>>(self) -> impl Iterator<Item = C> {
        let Self {
            columns,
            width,
            cells,
        } = self;
        let count = cells.len().checked_div(width).unwrap_or_default();
        let mut cells = cells.into_iter();
        (0..count).map(move |_| {
            let field = |filled: &bool| {
                let cell = if *filled { cells.next() } else { None };
                cell.unwrap_or(Tree::Absent)
            };
            columns.iter().map(field).collect()
        })
    }

    fn records(self) -> impl Iterator<Item = Tree<'a>> {
        self.each().map(Tree::Record)
    }
}

/// A JSON number; whole ones without a fraction.
pub(crate) fn number_value(number: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "within the exact range")]
    if number.fract() == 0.0 && number.abs() < 9e15 {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}
