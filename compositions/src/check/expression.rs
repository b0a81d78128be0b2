//! Expressions where they stand: compiled, worked out as far as shapes are known, their mistakes at their places.

use isobar_config::{Expression, Node, Value};

use super::{
    infer::{Infer, Mistake},
    reading::Reading,
    scope::{Scope, Uses},
    value::{Kind, kind},
};
use crate::shape::Shape;

impl Reading<'_> {
    /// Compiles an expression; `before` bytes of the node's text stand before it.
    pub(crate) fn expression(
        &mut self,
        node: &Node,
        text: &str,
        before: usize,
        scope: &Scope<'_>,
        uses: &mut Uses,
    ) -> Option<(Expression, Shape)> {
        let expression = match Expression::parse_free(text) {
            Ok(expression) => expression,
            Err(error) => {
                self.error(
                    "E0702",
                    node.at,
                    error.to_string(),
                    "expressions are CEL over `input`, `run` and the steps, such as `= heard.language != 'en'`; a text that really starts so is written `==`",
                );
                return None;
            }
        };
        let mut infer = Infer::new(scope);
        let shape = infer.shape(expression.tree());
        let (mistakes, looked) = infer.end();
        let place = |id: u64| expression.place(id).map(|place| place + before);
        let right = mistakes.is_empty();
        for mistake in mistakes {
            let whole = self.part(node, 0, node.text().map_or(0, str::len));
            let (id, length) = mistake.at();
            let at = place(id).map_or(whole, |start| {
                let (start, length) =
                    named(node.text().unwrap_or_default(), start, length, &mistake);
                self.part(node, start, length)
            });
            self.mistake(mistake, at, scope);
        }
        for (root, path, id) in looked {
            let at = place(id).map_or(node.at, |start| self.part(node, start, 1));
            uses.add(root, &path, at);
        }
        right.then_some((expression, shape))
    }

    fn mistake(&mut self, mistake: Mistake, at: isobar_config::Span, scope: &Scope<'_>) {
        match mistake {
            Mistake::Root { name, .. } => {
                self.root(&name, at, scope);
            }
            Mistake::Degraded { .. } => self.degraded(at),
            Mistake::Member {
                before,
                name,
                known,
                ..
            } => {
                let message = format!("`{before}` has no field `{name}`");
                let known = known.iter().map(String::as_str);
                self.unknown(
                    "E1002",
                    at,
                    message,
                    &name,
                    known,
                    "it has no fields at all",
                );
            }
            Mistake::Function { name, known, .. } => {
                let message = format!("there is no function `{name}`");
                self.unknown("E1038", at, message, &name, known, "leave it out");
            }
            Mistake::Word {
                message,
                written,
                known,
                ..
            } => {
                let known = known.iter().map(String::as_str);
                self.unknown(
                    "E1039",
                    at,
                    message,
                    &written,
                    known,
                    "compare with another word",
                );
            }
            Mistake::Kind { message, help, .. } => self.error("E1039", at, message, help),
            Mistake::Absent { what, .. } => {
                let help = if what.contains('.') {
                    format!("ask first: `has({what}) ? … : …`")
                } else {
                    format!("ask first whether it ran: `has({what}.FIELD) ? … : …`")
                };
                self.error("E1010", at, format!("`{what}` may be absent here"), help);
            }
        }
    }

    /// A condition: `= CEL` that is true or false.
    pub(crate) fn condition(
        &mut self,
        node: &Node,
        scope: &Scope<'_>,
        uses: &mut Uses,
    ) -> Option<Expression> {
        let help = "conditions are CEL and start with `=`: `= heard.language != 'en'`";
        let Value::Text(text) = &node.value else {
            self.error("E0702", node.at, "this is not a condition", help);
            return None;
        };
        let Kind::Expression(written, before) = kind(text) else {
            self.error(
                "E0702",
                node.at,
                format!("`{text}` is not a condition"),
                help,
            );
            return None;
        };
        let (expression, shape) = self.expression(node, written, before, scope, uses)?;
        match &shape {
            Shape::Bool | Shape::Any => Some(expression),
            Shape::Optional(inner) if matches!(**inner, Shape::Bool | Shape::Any) => {
                self.error(
                    "E1010",
                    node.at,
                    "the condition may be absent",
                    "compare it, so that it is true or false in any case: `= … == true`",
                );
                None
            }
            other => {
                self.error(
                    "E1008",
                    node.at,
                    format!("the condition is {other}, and should be true or false"),
                    "compare it with something: `= … == …`",
                );
                None
            }
        }
    }
}

/// Where a name stands of which the tree knows the dot before it or the bracket behind it.
fn named(text: &str, start: usize, length: usize, mistake: &Mistake) -> (usize, usize) {
    let from = text.get(start..).unwrap_or_default();
    match mistake {
        Mistake::Member { name, .. } => {
            let blanks = |text: &str| text.len() - text.trim_start().len();
            let dot = usize::from(from.starts_with('.'));
            let start = start + dot + blanks(from.get(dot..).unwrap_or_default());
            let there = text
                .get(start..)
                .is_some_and(|text| text.starts_with(name.as_str()));
            (start, if there { name.len() } else { length })
        }
        Mistake::Function { name, .. } => {
            let before = text.get(..start).unwrap_or_default();
            match before.strip_suffix(name.as_str()) {
                Some(before) if from.starts_with('(') => (before.len(), name.len()),
                _ => (start, length),
            }
        }
        _ => (start, length),
    }
}
