//! What an expression (CEL) comes to, as far as the shapes of what it looks at are known.
//!
//! The rules are the evaluator's: whatever it would refuse for every value is a mistake, everything else is let through.

mod functions;
mod loops;
mod operations;
mod presence;
#[cfg(test)]
mod tests;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr};

pub(crate) use self::presence::{facts, path};
use super::scope::{NoRoot, Scope};
use crate::{
    plan::Root,
    shape::{NoMember, Shape},
};

/// Functions that are called by name.
const FUNCTIONS: [&str; 11] = [
    "has", "size", "string", "int", "uint", "double", "bool", "bytes", "dyn", "type", "matches",
];
/// Functions that are called on a value.
const METHODS: [&str; 12] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    "hasValue",
    "orValue",
];
/// Functions of optional values, of which nothing is known here.
const OPTIONAL: [&str; 5] = ["of", "none", "ofNonZeroValue", "value", "or"];

/// Something wrong with an expression, at a part of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mistake {
    /// A name that is nobody's.
    Root { id: u64, name: String },
    /// What is degraded, where it is not known.
    Degraded { id: u64 },
    /// A field that is not there.
    Member {
        id: u64,
        before: String,
        name: String,
        known: Vec<String>,
    },
    /// A function that is not there.
    Function {
        id: u64,
        name: String,
        known: Vec<&'static str>,
    },
    /// A word that a choice does not have.
    Word {
        id: u64,
        message: String,
        written: String,
        known: Vec<String>,
    },
    /// Values of the wrong kind.
    Kind {
        id: u64,
        message: String,
        help: String,
    },
    /// Something that may be absent.
    Absent { id: u64, what: String },
}

impl Mistake {
    /// The part, and the length of what is wrong there.
    pub(crate) fn at(&self) -> (u64, usize) {
        match self {
            Self::Root { id, name } => (*id, name.len()),
            Self::Member { id, .. }
            | Self::Degraded { id }
            | Self::Function { id, .. }
            | Self::Kind { id, .. }
            | Self::Word { id, .. }
            | Self::Absent { id, .. } => (*id, 1),
        }
    }
}

/// One expression being worked out.
pub(crate) struct Infer<'s> {
    scope: &'s Scope<'s>,
    /// Names that the expression makes itself, innermost last.
    made: Vec<(String, Shape)>,
    /// What is known to be there, by conditions around.
    present: Vec<Vec<String>>,
    mistakes: Vec<Mistake>,
    looked: Vec<(Root, Vec<String>, u64)>,
}

impl<'s> Infer<'s> {
    pub(crate) fn new(scope: &'s Scope<'s>) -> Self {
        Self {
            scope,
            made: Vec::new(),
            present: Vec::new(),
            mistakes: Vec::new(),
            looked: Vec::new(),
        }
    }

    /// What was found wrong, and what was looked at: whose value, which of its fields, where.
    pub(crate) fn end(self) -> (Vec<Mistake>, Vec<(Root, Vec<String>, u64)>) {
        (self.mistakes, self.looked)
    }

    /// What a tree comes to.
    pub(crate) fn shape(&mut self, tree: &IdedExpr) -> Shape {
        let shape = match &tree.expr {
            Expr::Unspecified | Expr::Struct(_) => Shape::Any,
            Expr::Literal(literal) => of_literal(literal),
            Expr::Ident(name) => self.name(tree.id, name, &[]),
            Expr::Select(select) => self.select(tree.id, select),
            Expr::List(list) => {
                let items: Vec<Shape> = list.elements.iter().map(|item| self.shape(item)).collect();
                let joined = items
                    .into_iter()
                    .reduce(|one, two| one.join(&two).unwrap_or(Shape::Any));
                Shape::List(Box::new(joined.unwrap_or(Shape::Any)))
            }
            Expr::Map(map) => self.map(map.entries.iter().map(|entry| &entry.expr)),
            Expr::Call(call) => self.call(tree.id, call),
            Expr::Comprehension(over) => self.comprehension(over),
        };
        match path(tree) {
            Some(path) if self.is_present(&path) => shape.present().clone(),
            _ => shape,
        }
    }

    fn is_present(&self, path: &[String]) -> bool {
        self.present.iter().any(|known| known == path) || self.scope.is_present(path)
    }

    fn name(&mut self, id: u64, name: &str, below: &[String]) -> Shape {
        if let Some((_, shape)) = self.made.iter().rev().find(|(made, _)| made == name) {
            return shape.clone();
        }
        // Names of types are values, too.
        if matches!(self.scope.root(name), Err(NoRoot::Unknown)) && FUNCTIONS.contains(&name) {
            return Shape::Any;
        }
        match self.scope.root(name) {
            Ok((root, shape)) => {
                self.looked.push((root, below.to_vec(), id));
                shape
            }
            Err(_) => {
                self.mistakes.push(Mistake::Root {
                    id,
                    name: name.to_owned(),
                });
                Shape::Any
            }
        }
    }

    fn select(&mut self, id: u64, select: &SelectExpr) -> Shape {
        let before = match (&select.operand.expr, path(&select.operand)) {
            (Expr::Ident(name), _) => {
                let shape = self.name(select.operand.id, name, std::slice::from_ref(&select.field));
                match path(&select.operand) {
                    Some(path) if self.is_present(&path) => shape.present().clone(),
                    _ => shape,
                }
            }
            _ => self.shape(&select.operand),
        };
        let what = path(&select.operand).map_or("this".to_owned(), |path| path.join("."));
        let made = self.made.iter().any(|(name, _)| *name == what);
        if what == "run" && !made && select.field == "degraded" && !self.scope.answer {
            self.mistakes.push(Mistake::Degraded { id });
            return Shape::Any;
        }
        if matches!(before, Shape::Optional(_)) && !select.test {
            self.mistakes.push(Mistake::Absent { id, what });
            return Shape::Any;
        }
        let member = before.member(&select.field);
        match member {
            Ok(_) if select.test => Shape::Bool,
            Ok(shape) => shape,
            Err(NoMember::Unknown(known)) => {
                self.mistakes.push(Mistake::Member {
                    id,
                    before: what,
                    name: select.field.clone(),
                    known,
                });
                Shape::Any
            }
            Err(NoMember::None) => {
                let message = format!("`{what}` is {before}, and has no field `{}`", select.field);
                let help = if matches!(before.present(), Shape::List(_)) {
                    format!(
                        "take an item, `{what}[0].{0}`, or all of them, `{what}.map(item, item.{0})`",
                        select.field
                    )
                } else {
                    "leave the field out".to_owned()
                };
                self.kind(id, message, help);
                Shape::Any
            }
        }
    }

    fn map<'e>(&mut self, entries: impl Iterator<Item = &'e EntryExpr>) -> Shape {
        let mut fields = std::collections::BTreeMap::new();
        let mut known = true;
        for entry in entries {
            match entry {
                EntryExpr::StructField(field) => {
                    self.shape(&field.value);
                    known = false;
                }
                EntryExpr::MapEntry(entry) => {
                    let key = self.shape(&entry.key);
                    let value = self.shape(&entry.value);
                    match &key {
                        Shape::Text(words) if words.len() == 1 => {
                            fields.insert(words.concat(), value);
                        }
                        _ => known = false,
                    }
                }
            }
        }
        if known {
            Shape::Object {
                fields,
                others: None,
            }
        } else {
            Shape::any_object()
        }
    }

    fn kind(&mut self, id: u64, message: impl Into<String>, help: impl Into<String>) {
        self.mistakes.push(Mistake::Kind {
            id,
            message: message.into(),
            help: help.into(),
        });
    }

    /// What an operand comes to that must be there.
    fn operand(&mut self, id: u64, tree: &IdedExpr) -> Shape {
        let shape = self.shape(tree);
        match shape {
            Shape::Optional(inner) => {
                let what = path(tree).map_or("this".to_owned(), |path| path.join("."));
                self.mistakes.push(Mistake::Absent { id, what });
                *inner
            }
            known => known,
        }
    }

    /// What a branch comes to where its condition holds, or does not.
    fn under(&mut self, condition: &IdedExpr, holds: bool, branch: &IdedExpr) -> Shape {
        let depth = self.present.len();
        facts(condition, holds, &mut self.present);
        let shape = self.shape(branch);
        self.present.truncate(depth);
        shape
    }

    fn boolean(&mut self, id: u64, tree: &IdedExpr) {
        let shape = self.operand(id, tree);
        if !matches!(shape, Shape::Bool | Shape::Any) {
            let message = format!("{shape} stands where true or false should");
            self.kind(
                id,
                message,
                "compare it with something: `… == …`, `size(…) > 0`",
            );
        }
    }
}

fn of_literal(literal: &LiteralValue) -> Shape {
    match literal {
        LiteralValue::Boolean(_) => Shape::Bool,
        LiteralValue::Bytes(_) => Shape::Any,
        LiteralValue::Double(_) => Shape::Number,
        LiteralValue::Int(_) | LiteralValue::UInt(_) => Shape::Integer,
        LiteralValue::Null => Shape::Nothing,
        LiteralValue::String(text) => Shape::Text(vec![text.inner().to_owned()]),
    }
}
