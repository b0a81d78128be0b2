//! Shapes from JSON Schemas, as contracts have them. What a schema says in other words than these is not known.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Shape;

/// Deepest that definitions are followed; one that has itself in it is not known from there on.
const DEEPEST: usize = 16;

/// The shape that a schema allows.
pub(crate) fn shape(schema: &Value) -> Shape {
    read(schema, schema, 0)
}

/// The shape that a part of a schema allows.
pub(crate) fn shape_within(part: &Value, whole: &Value) -> Shape {
    read(part, whole, 0)
}

fn read(schema: &Value, whole: &Value, depth: usize) -> Shape {
    if depth > DEEPEST {
        return Shape::Any;
    }
    if let Some(Value::String(name)) = schema.get("$ref") {
        let found = name
            .strip_prefix('#')
            .and_then(|pointer| whole.pointer(pointer));
        return found.map_or(Shape::Any, |found| read(found, whole, depth + 1));
    }
    if let Some(Value::String(word)) = schema.get("const") {
        return Shape::Text(vec![word.clone()]);
    }
    if let Some(Value::Array(words)) = schema.get("enum") {
        return choice(words);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(ways)) = schema.get(key) {
            let mut ways = ways.iter().map(|way| read(way, whole, depth + 1));
            let first = ways.next().unwrap_or(Shape::Any);
            return ways
                .try_fold(first, |joined, way| joined.join(&way))
                .unwrap_or(Shape::Any);
        }
    }
    match schema.get("type") {
        Some(Value::String(kind)) => of_kind(kind, schema, whole, depth),
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds
                .iter()
                .filter_map(Value::as_str)
                .map(|kind| of_kind(kind, schema, whole, depth));
            let first = kinds.next().unwrap_or(Shape::Any);
            kinds
                .try_fold(first, |joined, kind| joined.join(&kind))
                .unwrap_or(Shape::Any)
        }
        _ => Shape::Any,
    }
}

fn choice(words: &[Value]) -> Shape {
    let texts: Option<Vec<String>> = words
        .iter()
        .filter(|word| !word.is_null())
        .map(|word| word.as_str().map(str::to_owned))
        .collect();
    match texts {
        Some(texts) if texts.is_empty() => Shape::Nothing,
        Some(texts) if texts.len() < words.len() => Shape::Text(texts).optional(),
        Some(texts) => Shape::Text(texts),
        None => Shape::Any,
    }
}

fn of_kind(kind: &str, schema: &Value, whole: &Value, depth: usize) -> Shape {
    match kind {
        "null" => Shape::Nothing,
        "boolean" => Shape::Bool,
        "integer" => Shape::Integer,
        "number" => Shape::Number,
        "string" => Shape::text(),
        "array" => Shape::List(Box::new(
            schema
                .get("items")
                .map_or(Shape::Any, |items| read(items, whole, depth + 1)),
        )),
        "object" => {
            let required: Vec<&str> = schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let properties = schema.get("properties").and_then(Value::as_object);
            let fields: BTreeMap<String, Shape> = properties
                .into_iter()
                .flatten()
                .map(|(name, property)| {
                    let shape = read(property, whole, depth + 1);
                    let shape = if required.contains(&name.as_str()) {
                        shape
                    } else {
                        shape.optional()
                    };
                    (name.clone(), shape)
                })
                .collect();
            let others = match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => None,
                Some(Value::Object(_)) => schema
                    .get("additionalProperties")
                    .map(|others| Box::new(read(others, whole, depth + 1))),
                // Contracts say all that there is, though they do not forbid more.
                _ if !fields.is_empty() => None,
                _ => Some(Box::new(Shape::Any)),
            };
            Shape::Object { fields, others }
        }
        _ => Shape::Any,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: Value, expected: Shape) {
        assert_eq!(shape(&schema), expected, "{schema}");
    }

    #[test]
    fn schemas_are_read() {
        check(json!({ "type": "string" }), Shape::text());
        check(
            json!({ "type": ["integer", "null"] }),
            Shape::Integer.optional(),
        );
        check(
            json!({ "enum": ["a", "b", null] }),
            Shape::Text(vec!["a".into(), "b".into()]).optional(),
        );
        check(
            json!({ "oneOf": [{ "const": "a" }, { "const": "b" }] }),
            Shape::Text(vec!["a".into(), "b".into()]),
        );
        check(
            json!({ "anyOf": [{ "$ref": "#/$defs/x" }, { "type": "null" }], "$defs": { "x": { "type": "number" } } }),
            Shape::Number.optional(),
        );
        check(
            json!({ "type": "array", "items": { "type": "boolean" } }),
            Shape::List(Box::new(Shape::Bool)),
        );
        check(json!({ "type": "object" }), Shape::any_object());
    }

    #[test]
    fn what_is_said_in_other_words_is_not_known() {
        for schema in [
            json!(true),
            json!({}),
            json!({ "not": {} }),
            json!({ "$ref": "#/nowhere" }),
        ] {
            check(schema, Shape::Any);
        }
        check(
            json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }] }),
            Shape::Any,
        );
    }

    #[test]
    fn a_schema_that_has_itself_in_it_ends() {
        let endless = json!({ "type": "array", "items": { "$ref": "#" } });
        assert!(matches!(shape(&endless), Shape::List(_)));
    }

    #[test]
    fn members_that_need_not_be_there_are_optional() {
        let schema = json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "string" }, "b": { "type": "string" } } });
        let read = shape(&schema);
        assert_eq!(read.member("a"), Ok(Shape::text()));
        assert_eq!(read.member("b"), Ok(Shape::text().optional()));
        assert!(read.member("c").is_err());
    }
}
