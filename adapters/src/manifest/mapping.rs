//! `returns`: a record's fields by name → a program that fills them by position.

use isobar_config::{Diagnostic, Node, Step, Template as ConfigTemplate, Value, steps};

use super::reading::{KEPT, Place, Reading};
use crate::{
    draft::{Draft, Kind},
    projection::{Builder, Expression, Outside, Path, Program},
    transform::Transform,
};

/// What a path of `returns` finds.
enum Found {
    Below(Path),
    Outside(Outside),
}

impl Reading<'_> {
    /// What `root:` and `needs:` beside the fields say: where everything is read from, and what must be there.
    ///
    /// `root: $.body.message.content | parse_json` makes that value the one that all other paths start from, as `$`;
    /// `needs:` names a place, or several of which one must be there, without which the answer is not the one
    /// documented; for vendors that leave out what is 0 or empty.
    pub(super) fn roots<'p>(
        &mut self,
        node: &Node,
        builder: &mut Builder,
        place: Place<'p>,
    ) -> (Option<Program>, Place<'p>) {
        let root = node.get("root").and_then(|written| {
            let mut root = Builder::default();
            let text = self.text(written)?;
            let expression = self.mapped_path(written, text, &mut root, place)?;
            Some(root.finish(expression))
        });
        let place = Place {
            item: place.item || node.get("root").is_some(),
            ..place
        };
        let needs: Vec<&Node> = match node.get("needs") {
            Some(list) if matches!(list.value, Value::List(_)) => list.items().iter().collect(),
            one => one.into_iter().collect(),
        };
        for need in needs {
            let Some(text) = self.text(need) else {
                continue;
            };
            match self.below(need, text, place) {
                Some(Found::Below(path)) => builder.need(path, text),
                Some(Found::Outside(_)) => self.error(
                    "E0901",
                    need,
                    format!("`{text}` is not a place in the answer's body"),
                    "write `$.body.name`",
                ),
                None => {}
            }
        }
        (root, place)
    }

    /// A map of fields as a record of `draft`; `more` keys in it are read elsewhere.
    pub(super) fn mapping(
        &mut self,
        node: &Node,
        draft: &'static Draft,
        what: &str,
        builder: &mut Builder,
        place: Place<'_>,
        more: &[&str],
    ) -> Expression {
        let known: Vec<&str> = draft
            .fields
            .iter()
            .map(|(name, _)| *name)
            .chain(more.iter().copied())
            .collect();
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
                Kind::Value => self.mapped_value(value, builder, place),
                Kind::Items(inner) => {
                    self.mapped_items(value, inner, &format!("`{}`", key.text), builder, place)
                }
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
    ) -> Option<Expression> {
        if let Value::List(items) = &node.value {
            return Some(Expression::Items(
                items
                    .iter()
                    .map(|item| self.mapping(item, draft, what, builder, place, &[]))
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
        let path = self.below(each, text, place)?;
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
            self.mapping(
                item,
                draft,
                what,
                inner,
                Place {
                    item: true,
                    ..place
                },
                &[],
            )
        }))
    }

    fn mapped_value(
        &mut self,
        node: &Node,
        builder: &mut Builder,
        place: Place<'_>,
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
                    .map(|choice| self.mapped_value(choice, builder, place))
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
                self.mapped_path(node, text, builder, place)
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
    ) -> Option<Expression> {
        let (path, transforms) = self.piped(node, text)?;
        let found = self.below(node, path, place)?;
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
    fn below(&mut self, node: &Node, path: &str, place: Place<'_>) -> Option<Found> {
        let known = "known: `$.body…`, `$.header.NAME`, `$.status`, `$.kept.NAME`, `$.input.NAME`";
        let Some(steps) = steps(path) else {
            return self.query(node, path, place);
        };
        if place.item {
            if steps
                .iter()
                .any(|step| matches!(step, Step::Index(index) if *index < 0))
            {
                return self.query(node, path, place);
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
                self.query(node, path, place)
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
    fn query(&mut self, node: &Node, path: &str, place: Place<'_>) -> Option<Found> {
        // The document is the body itself.
        let below = if place.item {
            Some(path.to_owned())
        } else {
            path.strip_prefix("$.body").map(|rest| format!("${rest}"))
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
