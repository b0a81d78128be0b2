//! What a manifest's `returns` may say: the fields that a capability can make its answer from, by position.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    projection::Misread,
    tree::{Row, Rows, Tree},
};

/// Fields of one record.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) fields: &'static [(&'static str, Kind)],
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A scalar.
    Value,
    /// Records.
    Items(&'static Draft),
}

/// A record that is being taken apart.
pub(crate) enum Fields<'r, 'a> {
    Own(Vec<Tree<'a>>),
    /// One of several of its kind, where they lie.
    Row(Row<'r, 'a>),
}

impl<'a> Fields<'_, 'a> {
    pub(crate) fn of(tree: Tree<'a>) -> Self {
        match tree {
            Tree::Record(fields) => Self::Own(fields.into_vec()),
            _ => Self::Own(Vec::new()),
        }
    }

    fn place(&mut self, at: usize) -> Option<&mut Tree<'a>> {
        match self {
            Self::Own(fields) => fields.get_mut(at),
            Self::Row(row) => row.field(at),
        }
    }

    pub(crate) fn take(&mut self, at: usize) -> Tree<'a> {
        match self.place(at) {
            Some(field) => std::mem::replace(field, Tree::Absent),
            None => Tree::Absent,
        }
    }

    pub(crate) fn text(&mut self, at: usize) -> Option<Cow<'a, str>> {
        match self.place(at) {
            None | Some(Tree::Absent) => None,
            Some(field) => match std::mem::take(field) {
                Tree::Text(text) => Some(text),
                other => other.text(),
            },
        }
    }

    pub(crate) fn string(&mut self, at: usize) -> Option<String> {
        self.text(at).map(Cow::into_owned)
    }

    pub(crate) fn number(&mut self, at: usize) -> Option<f64> {
        self.place(at).and_then(|field| field.number())
    }

    /// A position or count.
    pub(crate) fn count(&mut self, at: usize) -> Option<usize> {
        let number = self
            .number(at)
            .filter(|number| *number >= 0.0 && *number < 1e15)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within bounds"
        )]
        Some(number as usize)
    }

    pub(crate) fn items(&mut self, at: usize) -> Items<'a> {
        match self.take(at) {
            Tree::Rows(rows) => Items::Rows(*rows, 0),
            other => Items::List(other.items().unwrap_or_default().into_iter()),
        }
    }

    pub(crate) fn bytes(&mut self, at: usize) -> Option<Bytes> {
        match self.take(at) {
            Tree::Bytes(bytes) => Some(*bytes),
            _ => None,
        }
    }
}

/// Records of one kind, one after the other.
pub(crate) enum Items<'a> {
    /// The rows, and how many of them have been seen.
    Rows(Rows<'a>, usize),
    List(std::vec::IntoIter<Tree<'a>>),
}

impl<'a> Items<'a> {
    /// Whether all have been seen.
    pub(crate) fn is_empty(&self) -> bool {
        self.left() == 0
    }

    /// How many have not been seen.
    pub(crate) fn left(&self) -> usize {
        match self {
            Self::Rows(rows, seen) => rows.count().saturating_sub(*seen),
            Self::List(items) => items.len(),
        }
    }

    pub(crate) fn next_record(&mut self) -> Option<Fields<'_, 'a>> {
        match self {
            Self::Rows(rows, seen) => {
                *seen += 1;
                rows.row(*seen - 1).map(Fields::Row)
            }
            Self::List(items) => items.next().map(Fields::of),
        }
    }
}

/// The promised field, or whose absence broke the promise.
pub(crate) fn promised<T>(value: Option<T>, name: &str) -> Result<T, Misread> {
    value.ok_or_else(|| Misread::Missing(name.to_owned()))
}
