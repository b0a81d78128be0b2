//! What a manifest's `returns` may say: the fields that a capability can make its answer from, by position.

use std::borrow::Cow;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{projection::Misread, tree::Tree};

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
pub(crate) struct Fields<'a>(SmallVec<[Tree<'a>; 8]>);

impl<'a> Fields<'a> {
    pub(crate) fn of(tree: Tree<'a>) -> Self {
        match tree {
            Tree::Record(fields) => Self(SmallVec::from_vec(fields.into_vec())),
            _ => Self(SmallVec::new()),
        }
    }

    pub(crate) fn take(&mut self, at: usize) -> Tree<'a> {
        self.0
            .get_mut(at)
            .map_or(Tree::Absent, |field| std::mem::replace(field, Tree::Absent))
    }

    pub(crate) fn text(&mut self, at: usize) -> Option<Cow<'a, str>> {
        self.take(at).text()
    }

    pub(crate) fn string(&mut self, at: usize) -> Option<String> {
        self.text(at).map(Cow::into_owned)
    }

    pub(crate) fn number(&mut self, at: usize) -> Option<f64> {
        self.0.get(at).and_then(Tree::number)
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

    pub(crate) fn items(&mut self, at: usize) -> impl Iterator<Item = Fields<'a>> + use<'a> {
        // One of the two is empty.
        let (rows, items) = match self.take(at) {
            Tree::Rows(rows) => (Some(rows.each().map(Fields)), None),
            other => (None, other.items()),
        };
        let items = items.into_iter().flatten().map(Fields::of);
        rows.into_iter().flatten().chain(items)
    }

    pub(crate) fn bytes(&mut self, at: usize) -> Option<Bytes> {
        match self.take(at) {
            Tree::Bytes(bytes) => Some(*bytes),
            _ => None,
        }
    }
}

/// The promised field, or whose absence broke the promise.
pub(crate) fn promised<T>(value: Option<T>, name: &str) -> Result<T, Misread> {
    value.ok_or_else(|| Misread::Missing(name.to_owned()))
}
