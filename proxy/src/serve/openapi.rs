//! The description of everything that is served: OpenAPI 3.1, and a page for people.

use std::fmt::Write as _;

use isobar_adapters::{Contract, contract};
use isobar_compositions::{
    Plan,
    plan::{From, Input},
};
use isobar_config::{Action, Matcher};
use serde_json::{Map, Value, json};

use super::vendors::Checked;

/// `OpenAPI` 3.1 of the capabilities' fronts and of the compositions.
pub fn document(checked: &Checked) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut schemas = json!({ "Problem": problem() });
    let mut tags: Vec<&str> = Vec::new();
    for route in &checked.config.routes {
        let (operation, tag) = match &route.action {
            Action::Serve(serve) => {
                let Some(contract) = contract(&serve.operation) else {
                    continue;
                };
                add_schemas(&mut schemas, contract);
                (operation(contract), contract.capability())
            }
            Action::Compose(name) => {
                let plan = checked.compositions.iter().find(|plan| plan.name == *name);
                let Some(plan) = plan else { continue };
                (composition(plan), "compositions")
            }
            Action::Forward(_) | Action::Respond(_) => continue,
        };
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        let mut operation = operation;
        if let Some(fields) = operation.as_object_mut() {
            fields.insert("tags".to_owned(), json!([tag]));
            if route.anonymous {
                fields.insert("security".to_owned(), json!([]));
            } else if !route.scopes.is_empty() {
                fields.insert("security".to_owned(), json!([{ "key": route.scopes }]));
            }
        }
        let Some(path) = path(&route.matcher) else {
            continue;
        };
        let item = paths.entry(path).or_insert_with(|| json!({}));
        for method in &route.matcher.methods {
            if let Some(item) = item.as_object_mut() {
                item.insert(method.to_ascii_lowercase(), operation.clone());
            }
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Isobar",
            "summary": "One request for every vendor, and calls composed of several.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [ { "url": "/" } ],
        "tags": tags.iter().map(|tag| json!({ "name": tag })).collect::<Vec<_>>(),
        "security": [ { "key": [] } ],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer", "description": "A client's key" } },
            "schemas": schemas,
        },
    })
}

/// `/v1/shops/{shop}`; nothing for patterns that `OpenAPI` cannot say.
fn path(matcher: &Matcher) -> Option<String> {
    (!matcher.path.rest).then(|| matcher.path.text.clone())
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457",
        "required": ["type", "title", "status"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "instance": { "type": "string" },
            "attempts": { "type": "array", "items": { "type": "object" } },
        },
    })
}

/// Name of an operation's schema: `SpeechTranscribe`.
fn schema_name(contract: &Contract, ending: &str) -> String {
    let mut name = String::new();
    for word in contract.name.split(['.', '_']) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name + ending
}

/// Puts an operation's schemas among the components; what they define for themselves moves there, too.
fn add_schemas(schemas: &mut Value, contract: &Contract) {
    for (schema, ending) in [
        (contract.input_schema(), "Input"),
        (contract.output_schema(), "Output"),
    ] {
        let name = schema_name(contract, ending);
        let mut schema = schema;
        let inner = schema
            .as_object_mut()
            .and_then(|schema| {
                schema.remove("$schema");
                schema.remove("$defs")
            })
            .unwrap_or_else(|| json!({}));
        rename(&mut schema, &name);
        if let (Some(schemas), Value::Object(inner)) = (schemas.as_object_mut(), inner) {
            for (key, mut value) in inner {
                rename(&mut value, &name);
                schemas.insert(format!("{name}.{key}"), value);
            }
            schemas.insert(name, schema);
        }
    }
}

/// Points `#/$defs/X` to where X has moved.
fn rename(value: &mut Value, owner: &str) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get_mut("$ref")
                && let Some(name) = target.strip_prefix("#/$defs/")
            {
                *target = format!("#/components/schemas/{owner}.{name}");
            }
            map.values_mut().for_each(|value| rename(value, owner));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| rename(value, owner)),
        _ => {}
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn responses(content: &Value, status: &str) -> Value {
    let failed = json!({ "application/problem+json": { "schema": reference("Problem") } });
    let mut responses = json!({
        "4XX": { "description": "The request is wrong, or nobody can do it", "content": failed },
        "5XX": { "description": "No vendor gave an answer", "content": failed },
    });
    if let Some(responses) = responses.as_object_mut() {
        responses.insert(
            status.to_owned(),
            json!({
                "description": "The answer",
                "headers": {
                    "isobar-vendor": { "description": "Accounts that answered", "schema": { "type": "string" } },
                    "isobar-attempts": { "description": "Attempts that were made", "schema": { "type": "integer" } },
                },
                "content": content,
            }),
        );
    }
    responses
}

fn operation(contract: &Contract) -> Value {
    let input = reference(&schema_name(contract, "Input"));
    let output = reference(&schema_name(contract, "Output"));
    let (body, answer) = if let Some(blob) = contract.blobs.first() {
        let form = json!({
            "type": "object",
            "required": ["file"],
            "properties": {
                "file": { "type": "string", "contentMediaType": "application/octet-stream", "description": format!("The {blob}") },
                "response_format": { "type": "string", "enum": ["json", "verbose_json", "text", "srt", "vtt", "diarized_json", "full"], "default": "json" },
                "stream": { "type": "boolean", "default": false },
            },
        });
        let form = json!({ "allOf": [form, input] });
        (
            json!({ "multipart/form-data": { "schema": form } }),
            json!({ "application/json": { "schema": output }, "text/plain": { "schema": { "type": "string" } } }),
        )
    } else if contract.name == "speech.synthesize" {
        (
            json!({ "application/json": { "schema": { "type": "object" } } }),
            json!({ "audio/*": { "schema": { "type": "string", "contentMediaType": "application/octet-stream" } } }),
        )
    } else {
        let many = json!({ "type": "object", "required": ["documents"], "properties": { "documents": { "type": "array", "maxItems": 25, "items": input } } });
        let all = json!({ "type": "object", "properties": { "results": { "type": "array", "items": output }, "errors": { "type": "array", "items": { "type": "object" } } } });
        (
            json!({ "application/json": { "schema": { "anyOf": [input, many] } } }),
            json!({ "application/json": { "schema": { "anyOf": [output, all] } } }),
        )
    };
    json!({
        "operationId": contract.name,
        "summary": contract.summary,
        "requestBody": { "required": true, "content": body },
        "responses": responses(&answer, "200"),
    })
}

fn composition(plan: &Plan) -> Value {
    let schema = |input: &Input| {
        let mut schema = if input.shape.is_blob() || input.shape.present().is_blob() {
            json!({ "type": "string", "contentMediaType": "application/octet-stream" })
        } else {
            input.shape.json_schema()
        };
        if let Some(schema) = schema.as_object_mut() {
            if let Some(about) = &input.about {
                schema.insert("description".to_owned(), json!(about));
            }
            if let Some(default) = &input.default {
                schema.insert("default".to_owned(), default.clone());
            }
        }
        schema
    };
    let required = |input: &Input| !input.shape.is_optional() && input.default.is_none();
    let mut parameters = Vec::new();
    let mut fields = Map::new();
    let mut needed = Vec::new();
    let mut body = None;
    for input in &plan.inputs {
        let place = match &input.from {
            From::Query => "query",
            From::Path => "path",
            From::Header(_) => "header",
            From::Body => {
                let media_type = if input.shape.present().is_blob() {
                    "application/octet-stream"
                } else {
                    "application/json"
                };
                body = Some(
                    json!({ "required": required(input), "content": { media_type: { "schema": schema(input) } } }),
                );
                continue;
            }
            From::Field | From::Part => {
                fields.insert(input.named.clone(), schema(input));
                if required(input) {
                    needed.push(input.named.as_str());
                }
                continue;
            }
        };
        let name = match &input.from {
            From::Header(name) => name.as_str(),
            _ => input.named.as_str(),
        };
        parameters.push(json!({
            "name": name, "in": place, "required": place == "path" || required(input), "schema": schema(input),
        }));
    }
    if !fields.is_empty() {
        let form = plan.inputs.iter().any(|input| input.from == From::Part);
        let media_type = if form {
            "multipart/form-data"
        } else {
            "application/json"
        };
        let mut schema =
            json!({ "type": "object", "properties": fields, "additionalProperties": false });
        if let (Some(schema), false) = (schema.as_object_mut(), needed.is_empty()) {
            schema.insert("required".to_owned(), json!(needed));
        }
        body = Some(
            json!({ "required": !needed.is_empty(), "content": { media_type: { "schema": schema } } }),
        );
    }
    if let Some(idempotency) = &plan.idempotency {
        parameters.push(json!({
            "name": idempotency.header.as_str(), "in": "header", "required": idempotency.required, "schema": { "type": "string" },
            "description": "A repeated key gets the same answer",
        }));
    }
    let answer = if plan.output.stream {
        json!({ "text/event-stream": { "schema": { "type": "string" } } })
    } else if plan.output.shape.is_blob() {
        json!({ "*/*": { "schema": { "type": "string", "contentMediaType": "application/octet-stream" } } })
    } else {
        json!({ "application/json": { "schema": plan.output.shape.json_schema() } })
    };
    let mut operation = json!({
        "operationId": format!("composition.{}", plan.name),
        "summary": plan.about.clone().unwrap_or_else(|| format!("The composition `{}`", plan.name)),
        "parameters": parameters,
        "responses": responses(&answer, "2XX"),
    });
    if let (Some(operation), Some(body)) = (operation.as_object_mut(), body) {
        operation.insert("requestBody".to_owned(), body);
    }
    operation
}

/// The same as a page for people. Nothing in it is fetched from anywhere.
pub fn page(document: &Value) -> String {
    let mut text = String::from(include_str!("openapi.html"));
    let mut operations = String::new();
    for (path, item) in document
        .get("paths")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        for (method, operation) in item.as_object().into_iter().flatten() {
            section(&mut operations, path, method, operation);
        }
    }
    text = text.replace("<!-- operations -->", &operations);
    let schemas = document
        .pointer("/components/schemas")
        .cloned()
        .unwrap_or_default();
    let pretty = serde_json::to_string_pretty(&schemas).unwrap_or_default();
    text.replace("<!-- schemas -->", &escaped(&pretty))
}

fn section(text: &mut String, path: &str, method: &str, operation: &Value) {
    let field = |name: &str| {
        operation
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let _ = write!(
        text,
        "<section><h2><span class=\"method\">{}</span> <code>{}</code></h2><p>{}</p>",
        method.to_uppercase(),
        escaped(path),
        escaped(field("summary")),
    );
    let parameters = operation.get("parameters").and_then(Value::as_array);
    if let Some(parameters) = parameters.filter(|parameters| !parameters.is_empty()) {
        text.push_str("<table><tr><th>parameter</th><th>in</th><th>required</th></tr>");
        for parameter in parameters {
            let field = |name: &str| {
                parameter
                    .get(name)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let required = parameter.get("required") == Some(&Value::Bool(true));
            let _ = write!(
                text,
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                escaped(field("name")),
                escaped(field("in")),
                if required { "yes" } else { "no" },
            );
        }
        text.push_str("</table>");
    }
    for (title, content) in [
        ("Request", operation.pointer("/requestBody/content")),
        (
            "Answer",
            operation
                .pointer("/responses/200/content")
                .or_else(|| operation.pointer("/responses/2XX/content")),
        ),
    ] {
        for (media_type, body) in content.and_then(Value::as_object).into_iter().flatten() {
            let schema = body.get("schema").cloned().unwrap_or_default();
            let pretty = serde_json::to_string_pretty(&schema).unwrap_or_default();
            let _ = write!(
                text,
                "<details><summary>{title}: <code>{}</code></summary><pre>{}</pre></details>",
                escaped(media_type),
                escaped(&pretty),
            );
        }
    }
    text.push_str("</section>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
