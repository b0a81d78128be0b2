//! What is said of a value that does not fit, and what to do about it.

use isobar_config::{Node, Value};

use super::{
    reading::Reading,
    scope::Scope,
    value::{Kind, Want, kind},
};
use crate::shape::{Misfit, Shape};

impl Reading<'_> {
    /// Says what does not fit, of a value that is one node. Whether it fits.
    pub(crate) fn fit(
        &mut self,
        node: &Node,
        shape: &Shape,
        want: Want<'_>,
        scope: Option<&Scope<'_>>,
    ) -> bool {
        if shape.is_blob() && !want.shape.is_blob() {
            if want.blobs && *want.shape.present() == Shape::Any {
                return true;
            }
            self.error(
                "E1028",
                node.at,
                format!("{} is a blob, and {} cannot be one", shown(node), want.what),
                "blobs go into inputs that are blobs, into `body` of an HTTP step, and into the output; what is told of one is in its `media_type`, `bytes` and `duration`",
            );
            return false;
        }
        if want.shape.is_blob() && !shape.is_blob() {
            if *shape == Shape::Nothing && want.shape.is_optional() {
                return true;
            }
            self.error(
                "E1029",
                node.at,
                format!("{} is a blob, and {} is none", want.what, shown(node)),
                "refer to an input of type `blob(25MB)`, or to the blob of a step: `$.input.audio`",
            );
            return false;
        }
        match shape.fits(want.shape) {
            Ok(()) => true,
            Err(misfit) => {
                self.misfit(node, &misfit, want, scope);
                false
            }
        }
    }

    fn misfit(&mut self, node: &Node, misfit: &Misfit, want: Want<'_>, scope: Option<&Scope<'_>>) {
        let (text, what) = (shown(node), want.what);
        let below = |within: &str| {
            if within.is_empty() {
                text.clone()
            } else {
                format!("`{}` of {text}", within.trim_start_matches('.'))
            }
        };
        match misfit {
            Misfit::Kind { within, is, wanted } => {
                if let (Shape::Text(written), Shape::Text(words)) = (is, wanted.present())
                    && let [written] = written.as_slice()
                {
                    let message = format!("`{written}` is not one of the words that {what} can be");
                    let known = words.iter().map(String::as_str);
                    self.unknown("E1008", node.at, message, written, known, "choose one");
                    return;
                }
                let is = match (is, node.text()) {
                    (Shape::Text(words), Some(text))
                        if words.len() == 1 && matches!(kind(text), Kind::Literal(_)) =>
                    {
                        "a text".to_owned()
                    }
                    _ => is.to_string(),
                };
                let help = mended(wanted.present());
                let message = format!("{} is {is}, and {what} is {wanted}", below(within));
                self.error("E1008", node.at, message, help);
            }
            Misfit::Absent { within, wanted } => {
                self.error(
                    "E1010",
                    node.at,
                    format!("{} may be absent, and {what} must be there", below(within)),
                    absent(node, wanted, scope),
                );
            }
            Misfit::Missing { within, name } => {
                self.error(
                    "E1008",
                    node.at,
                    format!("{} has no `{name}`, and {what} needs it", below(within)),
                    "build it field by field: `{ name: $.step.field, … }`",
                );
            }
            Misfit::Extra { within, name } => {
                self.error(
                    "E1008",
                    node.at,
                    format!("{} has `{name}`, which {what} does not take", below(within)),
                    "build it field by field: `{ name: $.step.field, … }`",
                );
            }
        }
    }
}

/// A value as it is told in messages: short ones as they are written.
pub(crate) fn shown(node: &Node) -> String {
    const SHORT: usize = 60;
    match &node.value {
        Value::Text(text) if text.chars().count() <= SHORT && !text.contains('\n') => {
            format!("`{text}`")
        }
        Value::Integer(number) => format!("`{number}`"),
        Value::Float(number) => format!("`{number}`"),
        Value::Bool(value) => format!("`{value}`"),
        _ => "this".to_owned(),
    }
}

/// What to do about a value of the wrong kind.
fn mended(wanted: &Shape) -> &'static str {
    match wanted {
        Shape::Text(words) if words.is_empty() => {
            "quote it if it is a literal, or make a text of it: `= string(…)`"
        }
        Shape::Integer => "write a whole number, or make one: `= int(…)`",
        Shape::Number => "write a number, or make one: `= double(…)`",
        Shape::Bool => "write `true` or `false`, or compare: `= … == …`",
        Shape::List(_) => {
            "write `[…]`, or refer to a list; `[*]` in a path takes a field of every item"
        }
        Shape::Object { .. } => "write `{ name: value }`, or refer to an object",
        _ => "refer to another field, or make the value with an expression: `= …`",
    }
}

/// How to give a value for when one is absent.
fn absent(node: &Node, wanted: &Shape, scope: Option<&Scope<'_>>) -> String {
    let fallback = match wanted.present() {
        Shape::Text(words) => words
            .first()
            .map_or("''".to_owned(), |word| format!("'{word}'")),
        Shape::Integer => "0".to_owned(),
        Shape::Number => "0.0".to_owned(),
        Shape::Bool => "false".to_owned(),
        Shape::List(_) => "[]".to_owned(),
        Shape::Object { .. } => "{}".to_owned(),
        _ => "…".to_owned(),
    };
    let path = node.text().and_then(|text| text.strip_prefix("$."));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let Some(path) = path.filter(|path| path.contains('.') && path.chars().all(plain)) else {
        return format!(
            "say what it is then, as in `= has(step.field) ? step.field : {fallback}`; or skip this step, too, by `when`"
        );
    };
    // A step that was skipped has no fields; one that ran may have null in them.
    let root = path.split('.').next().unwrap_or_default();
    let skipped = scope.is_some_and(|scope| {
        let mut steps = scope.steps.iter();
        steps.any(|step| step.name == root && step.when.is_some())
    });
    let there = if skipped || root == "input" {
        format!("has({path})")
    } else {
        format!("has({path}) && {path} != null")
    };
    if wanted.is_blob() {
        format!("skip this step when it is: `when: \"= {there}\"`")
    } else {
        format!(
            "say what it is then: `= {there} ? {path} : {fallback}`; or skip this step, too: `when: \"= {there}\"`"
        )
    }
}
