//! Values: literals, references, expressions, and lists and maps of them; each against what is wanted in its place.

use isobar_config::{Node, Span, Value};
use serde_json::{Map, Number, Value as Json};

use super::{
    reading::Reading,
    scope::{Scope, Uses},
};
use crate::{
    plan::Given,
    shape::{Misfit, Shape},
};

/// What is wanted in a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want<'w> {
    /// For messages: "`text` of `text.sentiment`".
    pub(crate) what: &'w str,
    pub(crate) shape: &'w Shape,
    /// Whether a blob may stand where anything may.
    pub(crate) blobs: bool,
}

/// A value, and what it is.
#[derive(Debug)]
pub(crate) struct Valued {
    pub(crate) given: Given,
    pub(crate) shape: Shape,
}

impl Valued {
    /// In the place of a value with a mistake in it, of which nothing else is to be said.
    pub(crate) fn unknown() -> Self {
        Self {
            given: Given::Literal(Json::Null),
            shape: Shape::Any,
        }
    }
}

/// What a text is.
pub(crate) enum Kind<'t> {
    Literal(String),
    Reference(&'t str),
    /// With the bytes before the expression.
    Expression(&'t str, usize),
}

/// Tells what a text is, and takes escapes off.
pub(crate) fn kind(text: &str) -> Kind<'_> {
    if text.starts_with("$$.") || text.starts_with("$$[") {
        Kind::Literal(text.replacen("$$", "$", 1))
    } else if let Some(rest) = text.strip_prefix("==") {
        Kind::Literal(format!("={rest}"))
    } else if let Some(expression) = text.strip_prefix('=') {
        Kind::Expression(expression, 1)
    } else if text.starts_with("$.") || text.starts_with("$[") {
        Kind::Reference(text)
    } else {
        Kind::Literal(text.to_owned())
    }
}

impl Reading<'_> {
    /// Reads a value, and says what does not fit `want`.
    pub(crate) fn given(
        &mut self,
        node: &Node,
        want: Want<'_>,
        scope: &Scope<'_>,
        uses: &mut Uses,
    ) -> Valued {
        match (&node.value, want.shape.present()) {
            (Value::List(items), Shape::List(_) | Shape::Any) => {
                self.list(node, items, want, scope, uses)
            }
            (Value::Map(_), Shape::Object { .. } | Shape::Any) => self.map(node, want, scope, uses),
            (Value::Text(text), _) => {
                let valued = match kind(text) {
                    Kind::Literal(text) => Valued {
                        shape: Shape::Text(vec![text.clone()]),
                        given: Given::Literal(Json::String(text)),
                    },
                    Kind::Reference(text) => match self.reference(node, text, scope, uses) {
                        Some((reference, shape)) => Valued {
                            given: Given::Reference(reference),
                            shape,
                        },
                        None => return Valued::unknown(),
                    },
                    Kind::Expression(text, before) => {
                        match self.expression(node, text, before, scope, uses) {
                            Some((expression, shape)) => Valued {
                                given: Given::Expression(expression),
                                shape,
                            },
                            None => return Valued::unknown(),
                        }
                    }
                };
                self.fit(node, &valued.shape, want, Some(scope));
                valued
            }
            _ => {
                let literal = self.literal(node);
                let shape = literal_shape(&literal);
                self.fit(node, &shape, want, Some(scope));
                Valued {
                    given: Given::Literal(literal),
                    shape,
                }
            }
        }
    }

    fn list(
        &mut self,
        node: &Node,
        items: &[Node],
        want: Want<'_>,
        scope: &Scope<'_>,
        uses: &mut Uses,
    ) -> Valued {
        let wanted = want.shape.item().unwrap_or(Shape::Any);
        let wanted = wanted.present();
        let what = format!("an item of {}", want.what);
        let mut joined = None;
        let mut givens = Vec::with_capacity(items.len());
        for item in items {
            let inner = Want {
                what: &what,
                shape: wanted,
                blobs: false,
            };
            let valued = self.given(item, inner, scope, uses);
            joined = Some(match joined {
                None => valued.shape,
                Some(before) => valued.shape.join(&before).unwrap_or(Shape::Any),
            });
            givens.push(valued.given);
        }
        let _ = node;
        Valued {
            given: folded_list(givens),
            shape: Shape::List(Box::new(joined.unwrap_or(Shape::Any))),
        }
    }

    fn map(&mut self, node: &Node, want: Want<'_>, scope: &Scope<'_>, uses: &mut Uses) -> Valued {
        let none = std::collections::BTreeMap::new();
        let any = Some(Box::new(Shape::Any));
        let (fields, others) = match want.shape.present() {
            Shape::Object { fields, others } => (fields, others),
            _ => (&none, &any),
        };
        let mut shapes = std::collections::BTreeMap::new();
        let mut givens = Vec::with_capacity(node.entries().len());
        for (key, value) in node.entries() {
            let wanted = match (fields.get(&key.text), others) {
                (Some(shape), _) => shape.clone(),
                (None, Some(others)) => others.as_ref().clone().optional(),
                (None, None) => {
                    let message = format!("{} has no field `{}`", want.what, key.text);
                    let known = fields.keys().map(String::as_str);
                    self.unknown("E1002", key.at, message, &key.text, known, "remove it");
                    Shape::Any
                }
            };
            let what = format!("`{}` of {}", key.text, want.what);
            let inner = Want {
                what: &what,
                shape: &wanted,
                blobs: want.blobs,
            };
            let valued = self.given(value, inner, scope, uses);
            shapes.insert(key.text.clone(), valued.shape);
            givens.push((key.text.clone(), valued.given));
        }
        for (name, shape) in fields {
            if !shape.is_optional() && *shape != Shape::Any && node.get(name).is_none() {
                self.error(
                    "E1009",
                    node.at,
                    format!("`{name}` is missing in {}", want.what),
                    format!("add `{name}: …`, {shape}"),
                );
            }
        }
        Valued {
            given: folded_map(givens),
            shape: Shape::Object {
                fields: shapes,
                others: None,
            },
        }
    }

    /// A value without references, as JSON.
    pub(crate) fn literal(&mut self, node: &Node) -> Json {
        match &node.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Integer(number) => Json::from(*number),
            Value::Float(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
            Value::Text(text) => match kind(text) {
                Kind::Literal(text) => Json::String(text),
                Kind::Reference(_) | Kind::Expression(..) => {
                    self.error(
                        "E1008",
                        node.at,
                        format!("`{text}` looks into a run, and this must be known before"),
                        "write the value itself; a text that really starts so is written `$$.` or `==`",
                    );
                    Json::Null
                }
            },
            Value::List(items) => items.iter().map(|item| self.literal(item)).collect(),
            Value::Map(entries) => {
                let mut members = Map::new();
                for (key, value) in entries {
                    members.insert(key.text.clone(), self.literal(value));
                }
                Json::Object(members)
            }
        }
    }

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

    /// A value that must be known before anything runs.
    pub(crate) fn fixed(&mut self, node: &Node, want: Want<'_>) -> Json {
        let before = self.found.len();
        let literal = self.literal(node);
        if self.found.len() == before {
            let shape = literal_shape(&literal);
            self.fit(node, &shape, want, None);
        }
        literal
    }

    /// A place that a value stands in, for what is said of all of it.
    pub(crate) fn key_at(node: &Node, key: &str) -> Span {
        node.key(key).unwrap_or(node.at)
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

/// What a literal is.
pub(crate) fn literal_shape(literal: &Json) -> Shape {
    match literal {
        Json::Null => Shape::Nothing,
        Json::Bool(_) => Shape::Bool,
        Json::Number(number) if number.is_f64() => Shape::Number,
        Json::Number(_) => Shape::Integer,
        Json::String(text) => Shape::Text(vec![text.clone()]),
        Json::Array(items) => {
            let joined = items
                .iter()
                .map(literal_shape)
                .reduce(|one, two| one.join(&two).unwrap_or(Shape::Any));
            Shape::List(Box::new(joined.unwrap_or(Shape::Any)))
        }
        Json::Object(members) => Shape::Object {
            fields: members
                .iter()
                .map(|(name, value)| (name.clone(), literal_shape(value)))
                .collect(),
            others: None,
        },
    }
}

/// A list whose items are all literals is one itself.
fn folded_list(givens: Vec<Given>) -> Given {
    let literals: Option<Vec<Json>> = givens.iter().map(as_literal).collect();
    literals.map_or(Given::List(givens), |items| {
        Given::Literal(Json::Array(items))
    })
}

/// A map whose members are all literals is one itself.
fn folded_map(givens: Vec<(String, Given)>) -> Given {
    let literals: Option<Map<String, Json>> = givens
        .iter()
        .map(|(name, given)| Some((name.clone(), as_literal(given)?)))
        .collect();
    literals.map_or(Given::Map(givens), |members| {
        Given::Literal(Json::Object(members))
    })
}

fn as_literal(given: &Given) -> Option<Json> {
    match given {
        Given::Literal(value) => Some(value.clone()),
        _ => None,
    }
}
