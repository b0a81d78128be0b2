//! The doors of capabilities: a client's request → checked inputs.
//!
//! Recordings come as `multipart/form-data` in the `OpenAI` dialect or as the body itself; texts come as JSON, one alone or
//! up to 25 as `documents`.

use isobar_adapters::{Contract, Job};
use pingora_core::protocols::http::ServerSession as Session;
use serde_json::{Map, Value};

use super::{
    gateway::Unread,
    problem::{Kind, Problem},
    reading::{File, Form, Reading, bad, blob_of_file, content_type, query_fields},
    strict,
};
use crate::serve::body::Space;

/// Texts that one request may have.
const DOCUMENTS: usize = 25;
/// What a client asked for.
pub(crate) struct Asked {
    pub(crate) jobs: Vec<Job>,
    /// Whether it asked for many at once, and wants a list.
    pub(crate) many: bool,
    /// Whether answers carry what the vendor said beyond the contract.
    pub(crate) extra: bool,
    pub(crate) shape: Shape,
}

/// How an answer is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Everything, as the contract has it.
    Full,
    /// `OpenAI`'s `json`: the text alone.
    Json,
    Verbose,
    Text,
    Srt,
    Vtt,
    /// `OpenAI`'s `diarized_json`.
    Diarized,
    /// Server-sent events in the `OpenAI` dialect.
    Events,
    /// The recording itself.
    Audio,
}

/// Reads a request for an operation.
pub(crate) async fn read(
    session: &mut Session,
    contract: &'static Contract,
    space: &Space,
    length: Option<u64>,
    limit: u64,
) -> Result<Asked, Unread> {
    let media_type = content_type(&session.req_header().headers);
    let reading = Reading {
        space,
        length,
        limit,
    };
    if contract.blobs.is_empty() {
        if media_type == "multipart/form-data" {
            return Err(bad(415, "send JSON, as `application/json`"));
        }
        let body = reading.json(session).await?;
        return texts(contract, &body).map_err(Unread::Problem);
    }
    // Kept apart: texts, which are most requests, need none of the room that forms take while they are read.
    if media_type == "multipart/form-data" {
        let is_file = |name: &str| name == "file" || name == "audio";
        let reading = async {
            let form = reading.form(session, &is_file, 1).await?;
            recording(contract, form).await
        };
        return Box::pin(reading).await;
    }
    if media_type.starts_with("audio/")
        || media_type.starts_with("video/")
        || media_type == "application/octet-stream"
    {
        let reading = async {
            let query = session.req_header().uri.query().unwrap_or_default();
            let query = query.to_owned();
            let kept = reading.kept(session).await?;
            let fields = query_fields(&query).map_err(Unread::Problem)?;
            let file = File {
                kept,
                name: "audio".to_owned(),
                media_type,
            };
            let files = vec![("file".to_owned(), file)];
            recording(contract, Form { fields, files }).await
        };
        return Box::pin(reading).await;
    }
    Err(bad(
        415,
        "send the recording as `multipart/form-data` with a part `file`, or as the body with its `audio/…` type",
    ))
}

/// A form in the `OpenAI` dialect as an input.
async fn recording(contract: &'static Contract, mut form: Form) -> Result<Asked, Unread> {
    let mut input = Map::new();
    let mut shape = Shape::Json;
    let (mut extra, mut keywords, mut stream) = (false, Vec::new(), false);
    let flag = |name: &str, value: &str| match value {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err(bad(400, format!("`{name}` is `true` or `false`"))),
    };
    let number = |name: &str, value: &str| {
        serde_json::from_str::<serde_json::Number>(value.trim())
            .map(Value::Number)
            .map_err(|_| bad(400, format!("`{name}` is a number")))
    };
    for (name, value) in form.fields {
        match name.trim_end_matches("[]") {
            "language" | "model" | "prompt" => {
                if !value.trim().is_empty() {
                    input.insert(name.clone(), Value::String(value));
                }
            }
            "keywords" => keywords.extend(
                value
                    .split(',')
                    .map(|word| word.trim().to_owned())
                    .filter(|word| !word.is_empty()),
            ),
            "temperature" => drop(input.insert(name.clone(), number(&name, &value)?)),
            "speakers_max" => drop(input.insert(name.clone(), number(&name, &value)?)),
            "speakers" | "diarize" => {
                drop(input.insert("speakers".to_owned(), Value::Bool(flag(&name, &value)?)));
            }
            "words" => drop(input.insert(name.clone(), Value::Bool(flag(&name, &value)?))),
            "timestamp_granularities" => {
                if value == "word" {
                    input.insert("words".to_owned(), Value::Bool(true));
                } else if value != "segment" {
                    return Err(bad(
                        400,
                        "`timestamp_granularities[]` is `word` or `segment`",
                    ));
                }
            }
            "response_format" => {
                shape = match value.as_str() {
                    "json" => Shape::Json,
                    "verbose_json" => Shape::Verbose,
                    "text" => Shape::Text,
                    "srt" => Shape::Srt,
                    "vtt" => Shape::Vtt,
                    "diarized_json" => Shape::Diarized,
                    "full" => Shape::Full,
                    _ => {
                        return Err(bad(
                            400,
                            "`response_format` is json, verbose_json, text, srt, vtt, diarized_json or full",
                        ));
                    }
                }
            }
            "stream" => stream = flag(&name, &value)?,
            "extra" => extra = flag(&name, &value)?,
            // Options of single vendors of the dialect, which change nothing that is promised.
            "chunking_strategy"
            | "include"
            | "known_speaker_names"
            | "known_speaker_references"
            | "languages" => {}
            _ => {
                return Err(bad(
                    400,
                    format!("`{name}` is not a field of this operation"),
                ));
            }
        }
    }
    if !keywords.is_empty() {
        input.insert("keywords".to_owned(), keywords.into());
    }
    if shape == Shape::Diarized {
        input.insert("speakers".to_owned(), Value::Bool(true));
    }
    if stream {
        shape = Shape::Events;
    }
    let input = contract.check(input).map_err(|why| bad(400, why))?;
    let file = form
        .files
        .pop()
        .map(|(_, file)| file)
        .ok_or_else(|| bad(400, "the form has no `file`"))?;
    if file.kept.length() == 0 {
        return Err(bad(400, "the recording is empty"));
    }
    let blob = blob_of_file(file).await?;
    let job = Job {
        input,
        blobs: vec![("audio", blob)],
    };
    Ok(Asked {
        jobs: vec![job],
        many: false,
        extra,
        shape,
    })
}

/// A JSON body as inputs: one text, or `documents` / `texts` with many.
fn texts(contract: &'static Contract, body: &[u8]) -> Result<Asked, Problem> {
    let input = |why: &str| Problem::new(400, Kind::BadInput, why);
    let value =
        strict::value(body).map_err(|why| input(&format!("the body is not JSON: {why}")))?;
    let Value::Object(mut fields) = value else {
        return Err(input("the body is not a JSON object"));
    };
    let extra = match take(&mut fields, "extra") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(_) => return Err(input("`extra` is true or false")),
    };
    let speech = contract.name == "speech.synthesize";
    if speech {
        // The OpenAI dialect has other names for the same.
        for (theirs, ours) in [("input", "text"), ("response_format", "format")] {
            if let Some(value) = take(&mut fields, theirs) {
                fields.insert(ours.to_owned(), value);
            }
        }
        match take(&mut fields, "stream_format")
            .as_ref()
            .map(Value::as_str)
        {
            None | Some(Some("audio")) => {}
            Some(_) => return Err(input("`stream_format` can only be `audio`")),
        }
    }
    let (documents, texts) = (take(&mut fields, "documents"), take(&mut fields, "texts"));
    let (key, listed) = match (documents, texts) {
        (None, None) => {
            let input_fields = contract.check(fields).map_err(|why| input(&why))?;
            let job = Job {
                input: input_fields,
                blobs: Vec::new(),
            };
            return Ok(Asked {
                jobs: vec![job],
                many: false,
                extra,
                shape: if speech { Shape::Audio } else { Shape::Full },
            });
        }
        (Some(listed), None) => ("documents", listed),
        (None, Some(listed)) => ("texts", listed),
        (Some(_), Some(_)) => {
            return Err(input(
                "`documents` and `texts` are two ways to say the same; keep one",
            ));
        }
    };
    if !contract.batch {
        return Err(input("this operation takes one input at a time"));
    }
    let Value::Array(listed) = listed else {
        return Err(input(&format!("`{key}` is a list")));
    };
    if listed.is_empty() || listed.len() > DOCUMENTS {
        return Err(input(&format!("`{key}` has 1 to {DOCUMENTS} items")));
    }
    let mut jobs = Vec::with_capacity(listed.len());
    for (index, item) in listed.into_iter().enumerate() {
        let mut own = fields.clone();
        match item {
            Value::String(text) => drop(own.insert("text".to_owned(), Value::String(text))),
            Value::Object(item) => own.extend(item.into_iter().filter(|(name, _)| name != "id")),
            _ => {
                return Err(input(&format!(
                    "item {index} of `{key}` is neither a text nor an object"
                )));
            }
        }
        let checked = contract
            .check(own)
            .map_err(|why| input(&format!("item {index} of `{key}`: {why}")))?;
        jobs.push(Job {
            input: checked,
            blobs: Vec::new(),
        });
    }
    Ok(Asked {
        jobs,
        many: true,
        extra,
        shape: Shape::Full,
    })
}

/// Takes a field out. Most inputs have few fields and not this one.
fn take(fields: &mut Map<String, Value>, name: &str) -> Option<Value> {
    isobar_config::member(fields, name)?;
    fields.remove(name)
}
