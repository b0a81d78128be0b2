//! What goes through a list: `all`, `exists`, `exists_one`, `map`, `filter`.

use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};

use super::{Infer, facts};
use crate::shape::Shape;

impl Infer<'_> {
    pub(super) fn comprehension(&mut self, over: &ComprehensionExpr) -> Shape {
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
    pub(super) fn built(&mut self, step: &IdedExpr) -> Shape {
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
