//! Functions, called by name or on a value.

use cel::common::ast::{Expr, IdedExpr};

use super::{FUNCTIONS, Infer, METHODS, Mistake, OPTIONAL};
use crate::shape::Shape;

impl Infer<'_> {
    pub(super) fn function(&mut self, id: u64, name: &str, args: &[IdedExpr]) -> Shape {
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

    pub(super) fn size(&mut self, id: u64, of: &Shape) -> Shape {
        if !matches!(
            of,
            Shape::Any | Shape::Text(_) | Shape::List(_) | Shape::Object { .. }
        ) {
            let message = format!("{of} has no size");
            self.kind(id, message, "texts, lists and objects have one");
        }
        Shape::Integer
    }

    pub(super) fn textual(&mut self, id: u64, name: &str, shape: &Shape) {
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

    pub(super) fn method(
        &mut self,
        id: u64,
        name: &str,
        target: &IdedExpr,
        args: &[IdedExpr],
    ) -> Shape {
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
}
