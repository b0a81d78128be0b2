//! Values as they move through a mapping: borrowed from the vendor's answer where they can be, and by position rather
//! than by name where the mapping knows the names.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// One value, three words large: long answers have thousands of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Tree<'a> {
    /// Absent, or `null`.
    #[default]
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

    /// Lets go of the value, at no cost where it holds nothing of its own: most do not, and there are thousands.
    pub(crate) fn discard(self) {
        match self {
            Self::Absent | Self::Bool(_) | Self::Number(_) | Self::Text(Cow::Borrowed(_)) => {
                std::mem::forget(self);
            }
            _ => drop(self),
        }
    }

    /// Adds one more value to those of a path that finds many.
    pub(crate) fn gather(&mut self, value: Self) {
        if let Self::List(items) = self {
            items.push(value);
        } else {
            *self = Self::List(Box::new(vec![value]));
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
            Self::Rows(rows) => Value::Array(rows.records().into_iter().map(Tree::json).collect()),
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
            Self::Rows(rows) => Some(rows.records()),
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
    /// By position in the record's description, the column with the field.
    columns: Box<[Option<u8>]>,
    /// Number of columns.
    width: usize,
    cells: Cells<'a>,
}

/// Values that are let go of as [`Tree::discard`] has it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Cells<'a>(Vec<Tree<'a>>);

impl Drop for Cells<'_> {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Tree::discard);
    }
}

/// One record of [`Rows`].
pub(crate) struct Row<'r, 'a> {
    columns: &'r [Option<u8>],
    cells: &'r mut [Tree<'a>],
}

impl<'a> Rows<'a> {
    /// No records yet; which fields of a record are filled, of at most 256.
    pub(crate) fn of(filled: impl Iterator<Item = bool>) -> Self {
        let mut free = 0_u8..=u8::MAX;
        let columns: Box<[Option<u8>]> = filled
            .map(|filled| if filled { free.next() } else { None })
            .collect();
        Self {
            width: columns.iter().flatten().count(),
            columns,
            cells: Cells::default(),
        }
    }

    /// Adds a record's filled fields, in the order of its description.
    pub(crate) fn extend(&mut self, cells: impl Iterator<Item = Tree<'a>>) {
        self.cells.0.extend(cells);
    }

    /// The same records with other values.
    pub(crate) fn map<'b>(mut self, change: impl FnMut(Tree<'a>) -> Tree<'b>) -> Rows<'b> {
        let cells = std::mem::take(&mut self.cells.0);
        Rows {
            columns: self.columns,
            width: self.width,
            cells: Cells(cells.into_iter().map(change).collect()),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.cells
            .0
            .len()
            .checked_div(self.width)
            .unwrap_or_default()
    }

    /// The record at this place.
    pub(crate) fn row(&mut self, at: usize) -> Option<Row<'_, 'a>> {
        let start = at * self.width;
        let cells = self.cells.0.get_mut(start..start + self.width)?;
        (!cells.is_empty()).then_some(Row {
            columns: &self.columns,
            cells,
        })
    }

    fn records(mut self) -> Vec<Tree<'a>> {
        let mut records = Vec::new();
        while let Some(mut row) = self.row(records.len()) {
            let fields = 0..row.columns.len();
            let fields = fields.map(|at| row.field(at).map_or(Tree::Absent, std::mem::take));
            records.push(Tree::Record(fields.collect()));
        }
        records
    }
}

impl<'a> Row<'_, 'a> {
    /// The field at this position of the record's description, where the mapping fills it.
    pub(crate) fn field(&mut self, at: usize) -> Option<&mut Tree<'a>> {
        let column = (*self.columns.get(at)?)?;
        self.cells.get_mut(usize::from(column))
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
