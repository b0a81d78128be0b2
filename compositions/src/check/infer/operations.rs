//! Operators: what they make of what they are given, and what they refuse.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use super::{Infer, Mistake, facts, path};
use crate::shape::{NoMember, Shape};

impl Infer<'_> {
    pub(super) fn call(&mut self, id: u64, call: &CallExpr) -> Shape {
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

    pub(super) fn add(&mut self, id: u64, left: &IdedExpr, right: &IdedExpr) -> Shape {
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

    pub(super) fn arithmetic(&mut self, id: u64, left: &IdedExpr, right: &IdedExpr) -> Shape {
        let (one, two) = (self.operand(id, left), self.operand(id, right));
        for shape in [&one, &two] {
            if self.numeric(id, shape) == Shape::Nothing {
                return Shape::Any;
            }
        }
        self.numbers(id, &one, &two)
    }

    /// The number that two numbers make. The evaluator has none for a whole one and another.
    pub(super) fn numbers(&mut self, id: u64, one: &Shape, two: &Shape) -> Shape {
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
    pub(super) fn numeric(&mut self, id: u64, shape: &Shape) -> Shape {
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

    pub(super) fn compare(&mut self, id: u64, one: &Shape, two: &Shape, never: &str) {
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

    pub(super) fn within(&mut self, id: u64, one: &IdedExpr, list: &IdedExpr) -> Shape {
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

    pub(super) fn index(&mut self, id: u64, of: &IdedExpr, at: &IdedExpr) -> Shape {
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
}
