//! `returns`: a record's fields by name → a program that fills them by position.

use isobar_config::{Diagnostic, Node, Step, Template as ConfigTemplate, Value, steps};

use super::reading::{KEPT, Place, Reading};
use crate::{
    draft::{Draft, Kind},
    projection::{Builder, Expression, Outside, Path},
    transform::Transform,
};

/// What a path of `returns` finds.
enum Found {
    Below(Path),
    Outside(Outside),
}

impl Reading<'_> {
    /// A map of fields as a record of `draft`.
    pub(super) fn mapping(
        &mut self,
        node: &Node,
        draft: &'static Draft,
        what: &str,
        builder: &mut Builder,
        place: Place<'_>,
        top: bool,
    ) -> Expression {
        let known: Vec<&str> = draft.fields.iter().map(|(name, _)| *name).collect();
        let mut fields: Vec<Option<Expression>> = draft.fields.iter().map(|_| None).collect();
        for (key, value) in self.record(node, what, &known) {
            let Some((at, (_, kind))) = draft
                .fields
                .iter()
                .enumerate()
                .find(|(_, (name, _))| *name == key.text)
            else {
                continue;
            };
            let expression = match kind {
                Kind::Value => self.mapped_value(value, builder, place, top),
                Kind::Items(inner) => self.mapped_items(
                    value,
                    inner,
                    &format!("`{}`", key.text),
                    builder,
                    place,
                    top,
                ),
            };
            if let Some(field) = fields.get_mut(at) {
                *field = expression;
            }
        }
        Expression::Record(fields)
    }

    /// `{ each: PATH, where: { PATH: WORD }, as: { … } }`, or a list of records.
    pub(super) fn mapped_items(
        &mut self,
        node: &Node,
        draft: &'static Draft,
        what: &str,
        builder: &mut Builder,
        place: Place<'_>,
        top: bool,
    ) -> Option<Expression> {
        if let Value::List(items) = &node.value {
            return Some(Expression::Items(
                items
                    .iter()
                    .map(|item| self.mapping(item, draft, what, builder, place, top))
                    .collect(),
            ));
        }
        let entries = self.record(node, "`each`", &["each", "where", "as"]);
        let value = |name: &str| {
            entries
                .iter()
                .find(|(key, _)| key.text == name)
                .map(|(_, value)| *value)
        };
        let (Some(each), Some(item)) = (value("each"), value("as")) else {
            self.missing(node, "each", "write `{ each: $.body.items, as: { … } }`");
            return None;
        };
        let text = self.text(each)?;
        let path = self.below(each, text, top)?;
        let Found::Below(Path::Steps(array)) = path else {
            self.error(
                "E0901",
                each,
                format!("`{text}` is not an array that can be gone through"),
                "write a path of names, indexes and `[*]` below `$.body`",
            );
            return None;
        };
        let only = match value("where") {
            None => None,
            Some(condition) => {
                let [(key, words)] = self.map(condition, "`where`")[..] else {
                    self.wrong(condition, "a map with one key", "write `{ type: word }`");
                    return None;
                };
                let below = format!("$.{}", key.text);
                let Some(field) = steps(&below).filter(|steps| !steps.contains(&Step::Every))
                else {
                    self.key_error(
                        "E0901",
                        key.at,
                        format!("`{}` is not a field of an item", key.text),
                        "write the field's name",
                    );
                    return None;
                };
                Some((field, self.scalars(words)))
            }
        };
        Some(builder.each(&array, only, |inner| {
            self.mapping(item, draft, what, inner, place, false)
        }))
    }

    fn mapped_value(
        &mut self,
        node: &Node,
        builder: &mut Builder,
        place: Place<'_>,
        top: bool,
    ) -> Option<Expression> {
        use serde_json::Value as Json;
        match &node.value {
            Value::Null => Some(Expression::Literal(Json::Null)),
            Value::Bool(value) => Some(Expression::Literal(Json::Bool(*value))),
            Value::Integer(number) => Some(Expression::Literal(Json::from(*number))),
            Value::Float(number) => Some(Expression::Literal(Json::from(*number))),
            Value::List(choices) => {
                let choices = choices
                    .iter()
                    .map(|choice| self.mapped_value(choice, builder, place, top))
                    .collect::<Option<Vec<_>>>()?;
                Some(Expression::Any(choices))
            }
            Value::Map(_) => {
                self.wrong(
                    node,
                    "a path or a list of them",
                    "of a list, the first that is there is taken",
                );
                None
            }
            Value::Text(text) if text.starts_with('$') => {
                self.mapped_path(node, text, builder, place, top)
            }
            Value::Text(text) => Some(Expression::Literal(Json::String(text.clone()))),
        }
    }

    fn mapped_path(
        &mut self,
        node: &Node,
        text: &str,
        builder: &mut Builder,
        place: Place<'_>,
        top: bool,
    ) -> Option<Expression> {
        let (path, transforms) = self.piped(node, text)?;
        let found = self.below(node, path, top)?;
        let path = path.to_owned();
        Some(match found {
            Found::Below(below) => {
                // A query gives a list of what it finds; one thing alone is meant unless a transform takes the list.
                let one = matches!(below, Path::Query(_))
                    && !matches!(
                        transforms.first(),
                        Some(Transform::Join(_) | Transform::First)
                    );
                let transforms = if one {
                    std::iter::once(Transform::First)
                        .chain(transforms)
                        .collect()
                } else {
                    transforms
                };
                Expression::Slot {
                    slot: builder.slot(below),
                    transforms,
                    path,
                }
            }
            Found::Outside(source) => {
                if let Outside::Kept(name) = &source
                    && !place.kept.contains(name)
                {
                    let message = format!("no step keeps `{name}`");
                    self.found.push(
                        Diagnostic::error("E0902", node.at, message)
                            .help(KEPT)
                            .did_you_mean(name, place.kept.iter().map(String::as_str), 0),
                    );
                    return None;
                }
                Expression::Outside {
                    source,
                    transforms,
                    path,
                }
            }
        })
    }

    /// What a path names: below the body (or the item), or beside it.
    fn below(&mut self, node: &Node, path: &str, top: bool) -> Option<Found> {
        let known = "known: `$.body…`, `$.header.NAME`, `$.status`, `$.kept.NAME`, `$.input.NAME`";
        let Some(steps) = steps(path) else {
            return self.query(node, path, top);
        };
        if !top {
            if steps
                .iter()
                .any(|step| matches!(step, Step::Index(index) if *index < 0))
            {
                return self.query(node, path, top);
            }
            return Some(Found::Below(Path::Steps(steps)));
        }
        let Some((Step::Name(first), rest)) = steps.split_first() else {
            self.error(
                "E0901",
                node,
                format!("`{path}` is not a place in an answer"),
                known,
            );
            return None;
        };
        let second = match rest {
            [Step::Name(second), ..] => Some(second.clone()),
            _ => None,
        };
        match (first.as_str(), second) {
            ("body", _)
                if rest
                    .iter()
                    .any(|step| matches!(step, Step::Index(index) if *index < 0)) =>
            {
                self.query(node, path, top)
            }
            ("body", _) => Some(Found::Below(Path::Steps(rest.to_vec()))),
            ("status", None) => Some(Found::Outside(Outside::Status)),
            ("header", Some(name)) => match http::HeaderName::try_from(name.as_str()) {
                Ok(name) => Some(Found::Outside(Outside::Header(name))),
                Err(_) => {
                    self.error(
                        "E0409",
                        node,
                        format!("`{name}` is not a header name"),
                        "header names have letters, digits and `-`; write `$.header['x-name']`",
                    );
                    None
                }
            },
            ("kept", Some(name)) => Some(Found::Outside(Outside::Kept(name))),
            ("input", Some(_)) => Some(Found::Outside(Outside::Input(rest.to_vec()))),
            _ => {
                self.error(
                    "E0901",
                    node,
                    format!("`{path}` is not a place in an answer"),
                    known,
                );
                None
            }
        }
    }

    /// A path with filters, negative indexes or the like, which is answered from a document.
    fn query(&mut self, node: &Node, path: &str, top: bool) -> Option<Found> {
        // The document is the body itself.
        let below = if top {
            path.strip_prefix("$.body").map(|rest| format!("${rest}"))
        } else {
            Some(path.to_owned())
        };
        let Some(below) = below else {
            self.error(
                "E0901",
                node,
                format!("`{path}` is not a place in an answer"),
                "start with `$.body`",
            );
            return None;
        };
        match ConfigTemplate::parse(&below) {
            Ok(template) => Some(Found::Below(Path::Query(template))),
            Err(error) => {
                // Said of the path as it was written.
                let error = ConfigTemplate::parse(path).err().unwrap_or(error);
                self.error(
                    "E0701",
                    node,
                    error.to_string(),
                    "paths are JSONPath (RFC 9535)",
                );
                None
            }
        }
    }
}
