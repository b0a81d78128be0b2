//! Evaluation (RFC 9535, sections 2.3 to 2.5). Every value looked at is counted, so that no path over no document takes
//! longer than a limit allows.

use std::{borrow::Cow, cell::Cell, cmp::Ordering};

use serde_json::Value;

use super::{
    Condition, Operand, Operator, Pattern, Query, Segment, Selector, TooMuch, compare, follow,
    item, member, pattern,
};

/// Values that one evaluation may look at; long texts count for several.
pub(super) const MOST: usize = 1_000_000;
/// Bytes of text that count as one value.
const TEXT: usize = 64;
/// What a pattern counts that is made from the document.
const PATTERN: usize = 10_000;

/// One evaluation.
pub(super) struct Run<'d> {
    root: &'d Value,
    left: Cell<usize>,
}

impl<'d> Run<'d> {
    pub(super) fn new(root: &'d Value) -> Self {
        Self {
            root,
            left: Cell::new(MOST),
        }
    }

    fn spend(&self, values: usize) -> Result<(), TooMuch> {
        let left = self.left.get().checked_sub(values).ok_or(TooMuch)?;
        self.left.set(left);
        Ok(())
    }

    /// What `segments` select from `start`.
    pub(super) fn select(
        &self,
        segments: &[Segment],
        start: &'d Value,
    ) -> Result<Vec<&'d Value>, TooMuch> {
        let mut nodes = vec![start];
        for segment in segments {
            let mut selected = Vec::new();
            for node in nodes {
                if segment.descendant {
                    self.descend(&segment.selectors, node, &mut selected)?;
                } else {
                    self.apply(&segment.selectors, node, &mut selected)?;
                }
            }
            nodes = selected;
        }
        Ok(nodes)
    }

    /// Applies the selectors to a value and then to everything below it, parents before children.
    fn descend(
        &self,
        selectors: &[Selector],
        node: &'d Value,
        selected: &mut Vec<&'d Value>,
    ) -> Result<(), TooMuch> {
        self.spend(1)?;
        self.apply(selectors, node, selected)?;
        children(node).try_for_each(|child| self.descend(selectors, child, selected))
    }

    fn apply(
        &self,
        selectors: &[Selector],
        node: &'d Value,
        selected: &mut Vec<&'d Value>,
    ) -> Result<(), TooMuch> {
        for selector in selectors {
            self.spend(1)?;
            match selector {
                Selector::Name(name) => {
                    let object = node.as_object();
                    selected.extend(object.and_then(|object| member(object, name)));
                }
                Selector::Index(index) => {
                    selected.extend(node.as_array().and_then(|items| item(items, *index)));
                }
                Selector::Wildcard => {
                    for child in children(node) {
                        self.spend(1)?;
                        selected.push(child);
                    }
                }
                Selector::Slice { start, end, step } => {
                    if let Value::Array(items) = node {
                        for index in slice(items.len(), *start, *end, *step) {
                            self.spend(1)?;
                            selected.extend(items.get(index));
                        }
                    }
                }
                Selector::Filter(condition) => {
                    for child in children(node) {
                        self.spend(1)?;
                        if self.holds(condition, child)? {
                            selected.push(child);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn holds(&self, condition: &Condition, node: &'d Value) -> Result<bool, TooMuch> {
        self.spend(1)?;
        Ok(match condition {
            Condition::Any(several) => {
                for condition in several {
                    if self.holds(condition, node)? {
                        return Ok(true);
                    }
                }
                false
            }
            Condition::All(several) => {
                for condition in several {
                    if !self.holds(condition, node)? {
                        return Ok(false);
                    }
                }
                true
            }
            Condition::Not(condition) => !self.holds(condition, node)?,
            Condition::Exists(query) => !self.nodes(query, node)?.is_empty(),
            Condition::Match(operand, pattern) => self.matches(operand, pattern, node)?,
            Condition::Compare(left, operator, right) => {
                let left = self.operand(left, node)?;
                let right = self.operand(right, node)?;
                self.compared(left.as_deref(), *operator, right.as_deref())?
            }
        })
    }

    fn nodes(&self, query: &Query, node: &'d Value) -> Result<Vec<&'d Value>, TooMuch> {
        let start = if query.from_root { self.root } else { node };
        self.select(&query.segments, start)
    }

    /// The value of an operand; `None` is the RFC's "Nothing".
    fn operand<'o>(
        &self,
        operand: &'o Operand,
        node: &'d Value,
    ) -> Result<Option<Cow<'o, Value>>, TooMuch>
    where
        'd: 'o,
    {
        Ok(match operand {
            Operand::Literal(value) => Some(Cow::Borrowed(value)),
            Operand::Singular { from_root, steps } => {
                let start = if *from_root { self.root } else { node };
                follow(start, steps).map(Cow::Borrowed)
            }
            Operand::Length(inner) => {
                let length = match self.operand(inner, node)?.as_deref() {
                    Some(Value::String(text)) => {
                        self.spend(text.len() / TEXT)?;
                        Some(text.chars().count())
                    }
                    Some(Value::Array(items)) => Some(items.len()),
                    Some(Value::Object(members)) => Some(members.len()),
                    _ => None,
                };
                length.map(|length| Cow::Owned(length.into()))
            }
            Operand::Count(query) => Some(Cow::Owned(self.nodes(query, node)?.len().into())),
            Operand::Value(query) => match self.nodes(query, node)?.as_slice() {
                [only] => Some(Cow::Borrowed(*only)),
                _ => None,
            },
        })
    }

    fn matches(
        &self,
        operand: &Operand,
        pattern: &Pattern,
        node: &'d Value,
    ) -> Result<bool, TooMuch> {
        let value = self.operand(operand, node)?;
        let Some(Value::String(text)) = value.as_deref() else {
            return Ok(false);
        };
        self.spend(text.len() / TEXT + 1)?;
        match pattern {
            Pattern::Fixed(made) => Ok(made.is_match(text)),
            Pattern::Made { operand, whole } => {
                let Some(Value::String(written)) =
                    self.operand(operand, node)?.map(Cow::into_owned)
                else {
                    return Ok(false);
                };
                self.spend(PATTERN)?;
                // A pattern that is none matches nothing.
                Ok(pattern::compile(&written, *whole).is_ok_and(|made| made.is_match(text)))
            }
        }
    }

    fn compared(
        &self,
        left: Option<&Value>,
        operator: Operator,
        right: Option<&Value>,
    ) -> Result<bool, TooMuch> {
        Ok(match operator {
            Operator::Equal => self.same(left, right)?,
            Operator::NotEqual => !self.same(left, right)?,
            Operator::Less => self.below(left, right)?,
            Operator::Greater => self.below(right, left)?,
            Operator::LessOrEqual => self.below(left, right)? || self.same(left, right)?,
            Operator::GreaterOrEqual => self.below(right, left)? || self.same(left, right)?,
        })
    }

    fn same(&self, left: Option<&Value>, right: Option<&Value>) -> Result<bool, TooMuch> {
        self.spend(1)?;
        Ok(match (left, right) {
            (None, None) => true,
            (Some(Value::Number(left)), Some(Value::Number(right))) => {
                compare(left, right) == Some(Ordering::Equal)
            }
            (Some(Value::String(left)), Some(Value::String(right))) => {
                self.spend(left.len().min(right.len()) / TEXT)?;
                left == right
            }
            (Some(Value::Array(left)), Some(Value::Array(right))) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(right) {
                    if !self.same(Some(left), Some(right))? {
                        return Ok(false);
                    }
                }
                true
            }
            (Some(Value::Object(left)), Some(Value::Object(right))) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (name, left) in left {
                    // A member that is missing is not one that is `null`.
                    if !self.same(Some(left), right.get(name))? {
                        return Ok(false);
                    }
                }
                true
            }
            (left, right) => left == right,
        })
    }

    fn below(&self, left: Option<&Value>, right: Option<&Value>) -> Result<bool, TooMuch> {
        self.spend(1)?;
        Ok(match (left, right) {
            (Some(Value::Number(left)), Some(Value::Number(right))) => {
                compare(left, right) == Some(Ordering::Less)
            }
            // UTF-8 sorts as its characters do.
            (Some(Value::String(left)), Some(Value::String(right))) => {
                self.spend(left.len().min(right.len()) / TEXT)?;
                left < right
            }
            _ => false,
        })
    }
}

/// Items of an array or values of an object; at most one of the two has any.
fn children(node: &Value) -> impl Iterator<Item = &Value> {
    let items = node.as_array().into_iter().flatten();
    items.chain(
        node.as_object()
            .into_iter()
            .flat_map(|members| members.values()),
    )
}

/// The indexes of a slice (RFC 9535, section 2.3.4.2.2).
fn slice(
    length: usize,
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
) -> impl Iterator<Item = usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let counted = |index: i64| {
        if index < 0 {
            length.saturating_add(index)
        } else {
            index
        }
    };
    let (mut next, last) = if step >= 0 {
        (
            counted(start.unwrap_or(0)).clamp(0, length),
            counted(end.unwrap_or(length)).clamp(0, length),
        )
    } else {
        (
            start.map_or(length - 1, counted).clamp(-1, length - 1),
            end.map_or(-1, counted).clamp(-1, length - 1),
        )
    };
    std::iter::from_fn(move || {
        let inside = (step > 0 && next < last) || (step < 0 && next > last);
        let index = usize::try_from(next).ok().filter(|_| inside)?;
        next = next.saturating_add(step);
        Some(index)
    })
}
