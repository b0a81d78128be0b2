//! What an expression (CEL) comes to, as far as the shapes of what it looks at are known.
//!
//! The rules are the evaluator's: whatever it would refuse for every value is a mistake, everything else is let through.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators,
};

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

    fn call(&mut self, id: u64, call: &CallExpr) -> Shape {
        let args = call.args.as_slice();
        match (call.func_name.as_str(), &call.target, args) {
            (operators::CONDITIONAL, None, [condition, then, other]) => {
                self.boolean(id, condition);
                let one = self.under(condition, true, then);
                let two = self.under(condition, false, other);
                one.join(&two).unwrap_or(Shape::Any)
            }
            (name @ (operators::LOGICAL_AND | operators::LOGICAL_OR), None, [left, right]) => {
                self.boolean(id, left);
                let depth = self.present.len();
                facts(left, name == operators::LOGICAL_AND, &mut self.present);
                self.boolean(id, right);
                self.present.truncate(depth);
                Shape::Bool
            }
            (operators::LOGICAL_NOT, None, [one]) => {
                self.boolean(id, one);
                Shape::Bool
            }
            (operators::NOT_STRICTLY_FALSE, _, _) => Shape::Bool,
            (operators::EQUALS | operators::NOT_EQUALS, None, [left, right]) => {
                let (one, two) = (self.shape(left), self.shape(right));
                self.compare(id, &one, &two, "are never equal");
                Shape::Bool
            }
            (
                operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS,
                None,
                [left, right],
            ) => {
                let (one, two) = (self.operand(id, left), self.operand(id, right));
                let ordered = |shape: &Shape| {
                    matches!(
                        shape,
                        Shape::Any | Shape::Integer | Shape::Number | Shape::Text(_) | Shape::Bool
                    )
                };
                let loose = |shape: &Shape| {
                    if matches!(shape, Shape::Text(_)) {
                        Shape::text()
                    } else {
                        shape.clone()
                    }
                };
                if !ordered(&one) || !ordered(&two) || !loose(&one).can_equal(&loose(&two)) {
                    let message = format!("{one} and {two} have no order");
                    self.kind(
                        id,
                        message,
                        "compare numbers with numbers, and texts with texts",
                    );
                }
                Shape::Bool
            }
            (operators::ADD, None, [left, right]) => self.add(id, left, right),
            (
                operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO,
                None,
                [left, right],
            ) => {
                if matches!(
                    call.func_name.as_str(),
                    operators::DIVIDE | operators::MODULO
                ) && matches!(&right.expr, Expr::Literal(LiteralValue::Int(zero)) if *zero.inner() == 0)
                {
                    self.kind(id, "this divides by zero", "divide by another number");
                }
                let made = self.arithmetic(id, left, right);
                if call.func_name == operators::MODULO && made == Shape::Number {
                    self.kind(
                        id,
                        "`%` is of whole numbers only",
                        "make whole numbers of them first: `int(…)`",
                    );
                }
                made
            }
            (operators::NEGATE, None, [one]) => {
                let shape = self.operand(id, one);
                self.numeric(id, &shape)
            }
            (operators::INDEX, None, [of, at]) => self.index(id, of, at),
            (operators::IN, None, [one, list]) => self.within(id, one, list),
            (name, None, _) if name.starts_with(['_', '@']) => {
                for arg in args {
                    self.shape(arg);
                }
                Shape::Any
            }
            (name, None, _) => self.function(id, name, args),
            (name, Some(target), _) => self.method(id, name, target, args),
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

    fn compare(&mut self, id: u64, one: &Shape, two: &Shape, never: &str) {
        if one.can_equal(two) {
            return;
        }
        if let (Shape::Text(one), Shape::Text(two)) = (one.present(), two.present()) {
            let (written, known) = if one.len() == 1 {
                (one, two)
            } else {
                (two, one)
            };
            if let [written] = written.as_slice() {
                let message = format!("it is never `{written}`");
                self.mistakes.push(Mistake::Word {
                    id,
                    message,
                    written: written.clone(),
                    known: known.clone(),
                });
                return;
            }
        }
        let message = format!("{} and {} {never}", one.present(), two.present());
        self.kind(
            id,
            message,
            "compare values of one kind; `string(…)`, `int(…)` and `double(…)` make one",
        );
    }

    fn add(&mut self, id: u64, left: &IdedExpr, right: &IdedExpr) -> Shape {
        let (one, two) = (self.operand(id, left), self.operand(id, right));
        match (&one, &two) {
            (Shape::Text(_), Shape::Text(_) | Shape::Any) | (Shape::Any, Shape::Text(_)) => {
                Shape::text()
            }
            (Shape::List(one), Shape::List(two)) => {
                let empty = |tree: &IdedExpr| matches!(&tree.expr, Expr::List(list) if list.elements.is_empty());
                Shape::List(Box::new(if empty(left) {
                    two.as_ref().clone()
                } else if empty(right) {
                    one.as_ref().clone()
                } else {
                    one.join(two).unwrap_or(Shape::Any)
                }))
            }
            (Shape::List(_), Shape::Any) | (Shape::Any, Shape::List(_)) => {
                Shape::List(Box::new(Shape::Any))
            }
            (
                Shape::Integer | Shape::Number | Shape::Any,
                Shape::Integer | Shape::Number | Shape::Any,
            ) => self.numbers(id, &one, &two),
            _ => {
                let message = format!("{one} and {two} cannot be added");
                let help = "make a text of a number first: `'…' + string(…)`; a list is joined to a list: `[…] + […]`";
                self.kind(id, message, help);
                Shape::Any
            }
        }
    }

    fn arithmetic(&mut self, id: u64, left: &IdedExpr, right: &IdedExpr) -> Shape {
        let (one, two) = (self.operand(id, left), self.operand(id, right));
        for shape in [&one, &two] {
            if self.numeric(id, shape) == Shape::Nothing {
                return Shape::Any;
            }
        }
        self.numbers(id, &one, &two)
    }

    /// The number that two numbers make. The evaluator has none for a whole one and another.
    fn numbers(&mut self, id: u64, one: &Shape, two: &Shape) -> Shape {
        match (one, two) {
            (Shape::Any, _) | (_, Shape::Any) => Shape::Any,
            (one, two) if one == two => one.clone(),
            _ => {
                let help = "make both of one kind: write `100.0` for `100`, or `double(…)` around a whole number";
                self.kind(
                    id,
                    "a whole number and a number are not reckoned together",
                    help,
                );
                Shape::Number
            }
        }
    }

    /// The number itself; nothing, and a mistake, if it is none.
    fn numeric(&mut self, id: u64, shape: &Shape) -> Shape {
        if matches!(shape, Shape::Integer | Shape::Number | Shape::Any) {
            return shape.clone();
        }
        let message = format!("{shape} is no number");
        self.kind(
            id,
            message,
            "reckon with numbers; `int(…)` and `double(…)` make one of a text",
        );
        Shape::Nothing
    }

    fn index(&mut self, id: u64, of: &IdedExpr, at: &IdedExpr) -> Shape {
        let (whole, key) = (self.operand(id, of), self.shape(at));
        match (&whole, key.present()) {
            (Shape::List(item), Shape::Integer | Shape::Number | Shape::Any) => {
                item.as_ref().clone()
            }
            (Shape::Object { .. } | Shape::Blob, Shape::Text(words)) if words.len() == 1 => {
                let name = words.concat();
                match whole.member(&name) {
                    Ok(shape) => shape,
                    Err(NoMember::Unknown(known)) => {
                        let before = path(of).map_or("this".to_owned(), |path| path.join("."));
                        self.mistakes.push(Mistake::Member {
                            id,
                            before,
                            name,
                            known,
                        });
                        Shape::Any
                    }
                    Err(NoMember::None) => Shape::Any,
                }
            }
            (Shape::Object { .. } | Shape::Any, Shape::Text(_) | Shape::Any) => Shape::Any,
            (Shape::Any, _) => Shape::Any,
            (whole, key) => {
                let message = format!("{whole} has nothing at {key}");
                self.kind(
                    id,
                    message,
                    "lists have whole numbers in `[…]`, objects the names of their fields",
                );
                Shape::Any
            }
        }
    }

    fn within(&mut self, id: u64, one: &IdedExpr, list: &IdedExpr) -> Shape {
        let (one, list) = (self.shape(one), self.operand(id, list));
        match &list {
            Shape::List(item) => {
                // A list of words is a choice, and one of them may be any of its words.
                self.compare(id, &one, item, "are never equal");
            }
            Shape::Any | Shape::Object { .. } => {}
            other => {
                let message = format!("nothing is in {other}");
                self.kind(id, message, "`in` looks into a list or the names of an object; for texts there is `text.contains('…')`");
            }
        }
        Shape::Bool
    }

    fn function(&mut self, id: u64, name: &str, args: &[IdedExpr]) -> Shape {
        let shapes: Vec<Shape> = args.iter().map(|arg| self.operand(id, arg)).collect();
        if !FUNCTIONS.contains(&name) {
            let known = FUNCTIONS.iter().copied();
            let known = if METHODS.contains(&name) {
                Vec::new()
            } else {
                known.collect()
            };
            self.mistakes.push(Mistake::Function {
                id,
                name: name.to_owned(),
                known,
            });
            return Shape::Any;
        }
        let wanted = if name == "matches" { 2 } else { 1 };
        if args.len() != wanted {
            let message = format!(
                "`{name}` takes {wanted} value{}, and {} are given",
                if wanted == 1 { "" } else { "s" },
                args.len()
            );
            self.kind(
                id,
                message,
                format!(
                    "write `{name}({})`",
                    if wanted == 1 {
                        "…"
                    } else {
                        "text, 'pattern'"
                    }
                ),
            );
            return Shape::Any;
        }
        let first = shapes.first().unwrap_or(&Shape::Any);
        let takes: &[&str] = match name {
            "size" => return self.size(id, first),
            "matches" => {
                for shape in &shapes {
                    self.textual(id, name, shape);
                }
                return Shape::Bool;
            }
            "string" => &["text", "number", "bool"],
            "int" | "uint" | "double" => &["text", "number"],
            "bool" => &["text", "bool"],
            "bytes" => &["text"],
            _ => return Shape::Any,
        };
        let kind = match first {
            Shape::Text(_) => "text",
            Shape::Integer | Shape::Number => "number",
            Shape::Bool => "bool",
            Shape::Any => "any",
            _ => "other",
        };
        if kind != "any" && !takes.contains(&kind) {
            let message = format!("`{name}` makes nothing of {first}");
            self.kind(id, message, "give it a text or a number");
        }
        match name {
            "string" => Shape::text(),
            "int" | "uint" => Shape::Integer,
            "double" => Shape::Number,
            "bool" => Shape::Bool,
            _ => Shape::Any,
        }
    }

    fn size(&mut self, id: u64, of: &Shape) -> Shape {
        if !matches!(
            of,
            Shape::Any | Shape::Text(_) | Shape::List(_) | Shape::Object { .. }
        ) {
            let message = format!("{of} has no size");
            self.kind(id, message, "texts, lists and objects have one");
        }
        Shape::Integer
    }

    fn textual(&mut self, id: u64, name: &str, shape: &Shape) {
        if !matches!(shape, Shape::Text(_) | Shape::Any) {
            let message = format!("`{name}` looks at texts, and this is {shape}");
            let help = if matches!(shape, Shape::List(_)) {
                "whether a list has something is asked by `'…' in list`"
            } else {
                "make a text of it first: `string(…)`"
            };
            self.kind(id, message, help);
        }
    }

    fn method(&mut self, id: u64, name: &str, target: &IdedExpr, args: &[IdedExpr]) -> Shape {
        if matches!(&target.expr, Expr::Ident(name) if name == "optional")
            || OPTIONAL.contains(&name)
            || matches!(name, "hasValue" | "orValue")
        {
            for arg in args {
                self.shape(arg);
            }
            return Shape::Any;
        }
        let of = self.operand(id, target);
        let shapes: Vec<Shape> = args.iter().map(|arg| self.operand(id, arg)).collect();
        match name {
            "size" if args.is_empty() => self.size(id, &of),
            "contains" | "startsWith" | "endsWith" | "matches" if args.len() == 1 => {
                self.textual(id, name, &of);
                for shape in &shapes {
                    self.textual(id, name, shape);
                }
                Shape::Bool
            }
            _ if METHODS.contains(&name) => {
                let message = format!("`{name}` is not called like this");
                let help = match name {
                    "size" => "write `list.size()`",
                    "contains" | "startsWith" | "endsWith" | "matches" => {
                        "write `text.contains('…')`, with one value"
                    }
                    _ => "name the item first: `list.filter(item, item.score > 0.5)`",
                };
                self.kind(id, message, help);
                Shape::Any
            }
            _ => {
                let known = METHODS.to_vec();
                self.mistakes.push(Mistake::Function {
                    id,
                    name: name.to_owned(),
                    known,
                });
                Shape::Any
            }
        }
    }

    fn comprehension(&mut self, over: &ComprehensionExpr) -> Shape {
        let range = self.operand(over.iter_range.id, &over.iter_range);
        let item = match &range {
            Shape::List(item) => item.as_ref().clone(),
            Shape::Object { .. } => Shape::text(),
            Shape::Any => Shape::Any,
            other => {
                let message = format!("{other} has no items to go through");
                self.kind(over.iter_range.id, message, "go through a list");
                Shape::Any
            }
        };
        let start = self.shape(&over.accu_init);
        let depth = self.made.len();
        self.made.push((over.iter_var.clone(), item));
        if let Some(second) = &over.iter_var2 {
            self.made.push((second.clone(), Shape::Any));
        }
        self.made.push((over.accu_var.clone(), start));
        // Of a list that is built the parts are what counts: `@result + [made]`, perhaps under a condition.
        let shape = match &over.accu_init.expr {
            Expr::List(_) => Shape::List(Box::new(self.built(&over.loop_step))),
            Expr::Literal(LiteralValue::Boolean(_) | LiteralValue::Int(_)) => {
                self.shape(&over.loop_step);
                Shape::Bool
            }
            _ => {
                self.shape(&over.loop_step);
                Shape::Any
            }
        };
        self.made.truncate(depth);
        shape
    }

    /// What is added to a list that is built.
    fn built(&mut self, step: &IdedExpr) -> Shape {
        match &step.expr {
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::CONDITIONAL, [condition, then, _]) => {
                    self.boolean(step.id, condition);
                    let depth = self.present.len();
                    facts(condition, true, &mut self.present);
                    let shape = self.built(then);
                    self.present.truncate(depth);
                    shape
                }
                (
                    operators::ADD,
                    [
                        _,
                        IdedExpr {
                            expr: Expr::List(list),
                            ..
                        },
                    ],
                ) => {
                    let shapes: Vec<Shape> =
                        list.elements.iter().map(|item| self.shape(item)).collect();
                    shapes.into_iter().next().unwrap_or(Shape::Any)
                }
                _ => {
                    self.shape(step);
                    Shape::Any
                }
            },
            _ => {
                self.shape(step);
                Shape::Any
            }
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

/// The names that a tree spells: `heard.text`, `heard['text']`.
pub(crate) fn path(tree: &IdedExpr) -> Option<Vec<String>> {
    match &tree.expr {
        Expr::Ident(name) => Some(vec![name.clone()]),
        Expr::Select(select) if !select.test => {
            let mut names = path(&select.operand)?;
            names.push(select.field.clone());
            Some(names)
        }
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [
                of,
                IdedExpr {
                    expr: Expr::Literal(LiteralValue::String(name)),
                    ..
                },
            ] => {
                let mut names = path(of)?;
                names.push(name.inner().to_owned());
                Some(names)
            }
            _ => None,
        },
        _ => None,
    }
}

/// What is there, if a condition holds or does not: `has(a.b)`, `a != null`, `a == 'x'`, and what is made of these.
pub(crate) fn facts(condition: &IdedExpr, holds: bool, found: &mut Vec<Vec<String>>) {
    match &condition.expr {
        Expr::Select(select) if select.test && holds => {
            if let Some(mut names) = path(&select.operand) {
                names.push(select.field.clone());
                there(&names, found);
            }
        }
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [one]) => facts(one, !holds, found),
            (operators::LOGICAL_AND, [left, right]) if holds => {
                facts(left, true, found);
                facts(right, true, found);
            }
            (operators::LOGICAL_OR, [left, right]) if !holds => {
                facts(left, false, found);
                facts(right, false, found);
            }
            (name @ (operators::EQUALS | operators::NOT_EQUALS), [left, right]) => {
                let equal = (name == operators::EQUALS) == holds;
                for (one, other) in [(left, right), (right, left)] {
                    let Expr::Literal(literal) = &other.expr else {
                        continue;
                    };
                    // Equal to something, or other than nothing.
                    if equal != matches!(literal, LiteralValue::Null)
                        && let Some(names) = path(one)
                    {
                        there(&names, found);
                    }
                }
            }
            _ => {}
        },
        _ => {}
    }
}

/// What is below is there, so what is above is, too.
fn there(names: &[String], found: &mut Vec<Vec<String>>) {
    for end in 1..=names.len() {
        found.extend(names.get(..end).map(<[String]>::to_vec));
    }
}

#[cfg(test)]
mod tests;
