//! JSON Schema of the configuration file, for editors; follows from the table.

use serde_json::{Map, Value, json};

use crate::{
    shape::{Kind, Record, Shape},
    table::FILE,
};

/// The schema, draft 2020-12.
pub fn schema() -> Value {
    let mut schema = record(&FILE);
    if let Some(fields) = schema.as_object_mut() {
        fields.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        fields.insert("title".to_owned(), json!("Isobar configuration"));
    }
    schema
}

fn record(record: &Record) -> Value {
    let mut properties = Map::new();
    for field in record.fields {
        let mut schema = shape(&field.shape);
        if let Some(fields) = schema.as_object_mut() {
            let default = if field.default.is_empty() {
                String::new()
            } else {
                format!(" Default: {}.", field.default)
            };
            fields.insert(
                "description".to_owned(),
                json!(format!("{}{default}", field.doc)),
            );
        }
        properties.insert(field.key.to_owned(), schema);
    }
    if record.name == "file" {
        properties.insert(
            "isobar".to_owned(),
            json!({ "const": 1, "description": "Version of the format." }),
        );
    }
    let required: Vec<&str> = record
        .fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.key)
        .collect();
    let mut schema = json!({
        "type": "object",
        "description": record.doc,
        "properties": properties,
        "additionalProperties": false,
    });
    if let (false, Some(fields)) = (required.is_empty(), schema.as_object_mut()) {
        fields.insert("required".to_owned(), json!(required));
    }
    schema
}

fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text(kind) => text(*kind),
        Shape::Integer(least, most) if *least == i64::MIN => {
            json!({ "type": "integer", "maximum": most })
        }
        Shape::Integer(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Number(least, most) => {
            json!({ "type": "number", "minimum": least, "maximum": most })
        }
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::List(least, item) => {
            json!({ "type": "array", "minItems": least, "items": self::shape(item) })
        }
        Shape::Map(value) | Shape::Headers(value) => {
            json!({ "type": "object", "additionalProperties": self::shape(value) })
        }
        Shape::Record(inner) => record(inner),
        Shape::Account(at_upstream, at_vendor) => {
            // A vendor's own fields depend on the vendor.
            let mut vendor = record(at_vendor);
            if let Some(fields) = vendor.as_object_mut() {
                fields.insert(
                    "additionalProperties".to_owned(),
                    json!({ "type": "string" }),
                );
            }
            json!({ "anyOf": [record(at_upstream), vendor] })
        }
        Shape::OneOf(inner) => {
            let mut schema = record(inner);
            if let Some(fields) = schema.as_object_mut() {
                fields.insert("minProperties".to_owned(), json!(1));
                fields.insert("maxProperties".to_owned(), json!(1));
            }
            schema
        }
        Shape::Either(shapes) => {
            json!({ "anyOf": shapes.iter().map(self::shape).collect::<Vec<_>>() })
        }
        Shape::Nothing => json!({ "type": "null" }),
    }
}

/// Patterns allow `${…}` and `file(…)` everywhere, since these are expanded before a text is looked at.
fn text(kind: Kind) -> Value {
    let pattern = match kind {
        Kind::Duration | Kind::Time => r"^([0-9]+(ms|s|m|h|d))+$",
        Kind::Rate => r"^[0-9]+/\S+( burst [0-9]+)?$",
        Kind::Url => "^https?://",
        Kind::VendorBase => "^(https?|wss?)://",
        Kind::Store => "^rediss?://",
        Kind::Path | Kind::TargetPath | Kind::ProbePath => "^/",
        Kind::Match => "^([A-Z, ]+ )?/",
        Kind::Condition => "^=",
        Kind::AccessLog => "^(off|stdout|file:.+)$",
        Kind::Size => {
            return json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": r"^[0-9]+ ?([kKMG]i?)?B?$|\$\{|^file\(" }], "examples": [kind.example()] });
        }
        Kind::Plain | Kind::Template => return json!({ "type": ["string", "integer"] }),
        Kind::Name => return json!({ "type": ["string", "integer"], "examples": [kind.example()] }),
        Kind::Method => {
            return json!({ "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] });
        }
        Kind::Origin => r"^(\*|https?://.+)$",
        Kind::Secret
        | Kind::Key
        | Kind::Address
        | Kind::Host
        | Kind::HeaderName
        | Kind::Certificate
        | Kind::Network
        | Kind::PrivateKey => {
            return json!({ "type": "string", "examples": [kind.example()] });
        }
    };
    json!({ "type": "string", "pattern": format!(r"{pattern}|\$\{{|^file\("), "examples": [kind.example()] })
}
