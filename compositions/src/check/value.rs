//! Values: literals, references, expressions, and lists and maps of them; each against what is wanted in its place.

use isobar_config::{Node, Span, Value};
use serde_json::{Map, Number, Value as Json};

use super::{
    reading::Reading,
    scope::{Scope, Uses},
};
use crate::{plan::Given, shape::Shape};

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
