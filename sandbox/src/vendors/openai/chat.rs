//! Chat completions and responses: the envelope around what [`super::analyst`] finds.

use serde_json::{Map, Value, json};

use super::{analyst, missing, model, tokens, wrong};
use crate::{answer::Answer, call::Call};

/// The body as a JSON object.
pub(super) fn object(call: &Call) -> Result<Map<String, Value>, Answer> {
    let message = "We could not parse the JSON body of your request.";
    let refusal = || {
        Answer::json(
            400,
            &super::error_body(message, "invalid_request_error", None, None),
        )
    };
    match call.json() {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(refusal()),
    }
}

pub(super) fn completions(call: &Call) -> Result<Answer, Answer> {
    let body = object(call)?;
    let model = model(
        body.get("model")
            .and_then(Value::as_str)
            .ok_or_else(|| missing("model"))?,
        "chat",
    )?;
    let messages = body
        .get("messages")
        .and_then(Value::as_array)
        .ok_or_else(|| missing("messages"))?;
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.";
        return Err(wrong("messages", "empty_array", message));
    }
    for (at, message) in messages.iter().enumerate() {
        let role = message.get("role").and_then(Value::as_str);
        let known = [
            "system",
            "developer",
            "user",
            "assistant",
            "tool",
            "function",
        ];
        if !role.is_some_and(|role| known.contains(&role)) {
            let param = format!("messages[{at}].role");
            return Err(wrong(&param, "invalid_value", "Invalid value for 'role'."));
        }
    }
    let format = body.get("response_format");
    let schema = match format
        .and_then(|format| format.get("type"))
        .and_then(Value::as_str)
    {
        None | Some("text" | "json_object") => None,
        Some("json_schema") => Some(named(
            format.and_then(|format| format.get("json_schema")),
            "response_format.json_schema",
        )?),
        Some(_) => {
            return Err(wrong(
                "response_format.type",
                "invalid_value",
                "Invalid value. Supported values are: 'text', 'json_object', and 'json_schema'.",
            ));
        }
    };
    let json_object =
        format.is_some_and(|format| format.get("type") == Some(&json!("json_object")));
    let content = analyst::answer(&analyst::request(messages), schema, json_object);
    let id = format!("chatcmpl-{}", call.hex_id("completion", 29));
    let prompt = messages
        .iter()
        .map(|message| tokens(&message.to_string()))
        .sum::<usize>();
    let written = tokens(&content);
    let usage = json!({
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0 },
    });
    let answer = if body.get("stream") == Some(&json!(true)) {
        let with_usage = body
            .get("stream_options")
            .and_then(|options| options.get("include_usage"))
            == Some(&json!(true));
        Answer::events(chunks(
            call,
            &id,
            model,
            &content,
            with_usage.then_some(&usage),
        ))
    } else {
        Answer::json(
            200,
            &json!({
                "id": id,
                "object": "chat.completion",
                "created": call.unix(),
                "model": model,
                "choices": [{
                    "index": 0,
                    "message": { "role": "assistant", "content": content, "refusal": null, "annotations": [] },
                    "logprobs": null,
                    "finish_reason": "stop",
                }],
                "usage": usage,
                "service_tier": "default",
                "system_fingerprint": "fp_sandbox",
            }),
        )
    };
    Ok(answer.fact("model", model).fact("tokens", prompt + written))
}

/// A structured format's schema; it must have a name.
fn named<'a>(format: Option<&'a Value>, param: &str) -> Result<&'a Value, Answer> {
    let format = format.ok_or_else(|| missing(param))?;
    let name = format
        .get("name")
        .and_then(Value::as_str)
        .ok_or_else(|| missing(&format!("{param}.name")))?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        let message = format!(
            "Invalid '{param}.name': expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        );
        return Err(wrong(&format!("{param}.name"), "invalid_value", &message));
    }
    let schema = format
        .get("schema")
        .filter(|schema| schema.is_object())
        .ok_or_else(|| missing(&format!("{param}.schema")))?;
    if format.get("strict") == Some(&json!(true))
        && let Some(mistake) = analyst::not_strict(schema)
    {
        let name = format!("Invalid schema for response_format '{name}': {mistake}");
        return Err(wrong(
            param.split('.').next().unwrap_or(param),
            "invalid_json_schema",
            &name,
        ));
    }
    Ok(schema)
}

fn chunks(call: &Call, id: &str, model: &str, content: &str, usage: Option<&Value>) -> Vec<String> {
    let chunk = |choices: &Value, usage: Option<&Value>| {
        let mut chunk = json!({ "id": id, "object": "chat.completion.chunk", "created": call.unix(), "model": model, "service_tier": "default", "system_fingerprint": "fp_sandbox", "choices": choices });
        if let (Some(usage), Some(chunk)) = (usage, chunk.as_object_mut()) {
            chunk.insert("usage".to_owned(), usage.clone());
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: &Value, finish: Option<&str>| json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]);
    let mut events = vec![chunk(
        &choice(
            &json!({ "role": "assistant", "content": "", "refusal": null }),
            None,
        ),
        None,
    )];
    for piece in content.split_inclusive(' ') {
        events.push(chunk(&choice(&json!({ "content": piece }), None), None));
    }
    events.push(chunk(&choice(&json!({}), Some("stop")), None));
    if usage.is_some() {
        events.push(chunk(&json!([]), usage));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

pub(super) fn responses(call: &Call) -> Result<Answer, Answer> {
    let body = object(call)?;
    let model = model(
        body.get("model")
            .and_then(Value::as_str)
            .ok_or_else(|| missing("model"))?,
        "chat",
    )?;
    let input = body.get("input").ok_or_else(|| missing("input"))?;
    if body.get("stream") == Some(&json!(true)) {
        let message = "Streamed responses are not simulated; use chat completions for a stream.";
        return Err(wrong("stream", "unsupported_value", message));
    }
    let messages = match input {
        Value::String(text) => vec![json!({ "role": "user", "content": text })],
        Value::Array(items) => items.clone(),
        _ => {
            return Err(wrong(
                "input",
                "invalid_type",
                "Invalid type for 'input': expected a string or an array.",
            ));
        }
    };
    let format = body.get("text").and_then(|text| text.get("format"));
    let schema = match format
        .and_then(|format| format.get("type"))
        .and_then(Value::as_str)
    {
        Some("json_schema") => Some(named(format, "text.format")?),
        _ => None,
    };
    let mut asked = analyst::request(&messages);
    if let Some(instructions) = body.get("instructions").and_then(Value::as_str) {
        asked.instructions = format!("{instructions}\n{}", asked.instructions);
    }
    let content = analyst::answer(&asked, schema, false);
    let (read, written) = (tokens(&input.to_string()), tokens(&content));
    let answer = Answer::json(
        200,
        &json!({
            "id": format!("resp_{}", call.hex_id("response", 48)),
            "object": "response",
            "created_at": call.unix(),
            "status": "completed",
            "completed_at": call.unix(),
            "background": false,
            "error": null,
            "incomplete_details": null,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "model": model,
            "output": [{
                "id": format!("msg_{}", call.hex_id("message", 48)),
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{ "type": "output_text", "text": content, "annotations": [], "logprobs": [] }],
            }],
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "reasoning": { "effort": null, "summary": null },
            "service_tier": "default",
            "store": body.get("store").unwrap_or(&json!(true)),
            "temperature": body.get("temperature").unwrap_or(&json!(1.0)),
            "text": body.get("text").unwrap_or(&json!({ "format": { "type": "text" } })),
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": {
                "input_tokens": read,
                "input_tokens_details": { "cached_tokens": 0, "cache_write_tokens": 0 },
                "output_tokens": written,
                "output_tokens_details": { "reasoning_tokens": 0 },
                "total_tokens": read + written,
            },
            "metadata": {},
        }),
    );
    Ok(answer.fact("model", model).fact("tokens", read + written))
}
