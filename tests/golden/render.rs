//! An exchange as a text that a person can read and a change shows in.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use isobar_adapters::Talk;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    cases::Case,
    exchange::{Exchange, Sent, Stand},
};

/// Characters of a JSON text without a blank that are shown; longer ones are encoded bytes.
const SHOWN: usize = 200;
/// Parameters of an address that the sandbox has signed, at its own time.
const SIGNED: [&str; 4] = [
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
];

/// A part of a multipart body.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) file: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) content: Vec<u8>,
}

/// All requests with the statuses of their answers, the account's secrets by name.
pub(crate) fn exchange(stand: &Stand, case: &Case, exchange: &Exchange) -> String {
    let mut text = String::new();
    for (option, why) in &case.declined {
        let _ = writeln!(text, "# declined: {option}: {why}");
    }
    for (number, (sent, answer)) in exchange.sent.iter().zip(&exchange.answers).enumerate() {
        if number > 0 || !case.declined.is_empty() {
            text.push('\n');
        }
        request(&mut text, sent);
        let _ = writeln!(text, "-> {}", answer.status.as_u16());
    }
    let secret = |name: &str| {
        let fields = &stand.vendor.fields;
        fields
            .iter()
            .any(|field| field.name == *name && field.secret)
    };
    for (name, value) in stand.fields.iter().filter(|(name, _)| secret(name)) {
        text = text.replace(value.as_str(), &format!("{{{name}}}"));
    }
    for token in exchange.answers.iter().filter_map(token) {
        text = text.replace(&token, "{token}");
    }
    text
}

/// A token that an answer gives.
fn token(answer: &isobar_adapters::Response) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    body["access_token"].as_str().map(str::to_owned)
}

fn request(text: &mut String, sent: &Sent) {
    let address = sent.uri.to_string();
    let (address, query) = address.split_once('?').unwrap_or((&address, ""));
    let _ = writeln!(text, "{} {address}", sent.method);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = if SIGNED.contains(&name) { "…" } else { value };
        let _ = writeln!(text, "  {name}={value}");
    }
    let mut headers: Vec<_> = sent.headers.iter().collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in headers {
        let _ = writeln!(
            text,
            "{name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        );
    }
    if let Talk::Socket {
        messages,
        pace,
        until,
    } = &sent.talk
    {
        let _ = writeln!(
            text,
            "\n{} messages, {pace} ms apart, until {}: {}",
            messages.len(),
            until.0.join("."),
            until.1
        );
        for at in [0, 1, messages.len() - 1] {
            let message: Value = serde_json::from_slice(&messages[at]).unwrap();
            let _ = writeln!(text, "message {}: {}", at + 1, json(message));
        }
        return;
    }
    if sent.body.is_empty() {
        return;
    }
    text.push('\n');
    let media_type = media_type(sent);
    match media_type.as_str() {
        "multipart/form-data" => {
            for part in parts(sent) {
                let _ = write!(text, "part {}", part.name);
                if let Some(file) = &part.file {
                    let _ = write!(text, " {file:?}");
                }
                if let Some(media_type) = &part.media_type {
                    let _ = write!(text, " ({media_type})");
                }
                let _ = writeln!(
                    text,
                    ": {}",
                    content(
                        &part.content,
                        part.media_type.as_deref().unwrap_or("text/plain")
                    )
                );
            }
        }
        "application/x-www-form-urlencoded" => {
            for (name, value) in form(sent) {
                let _ = writeln!(text, "field {name}: {}", claims(&value).unwrap_or(value));
            }
        }
        media_type => {
            let _ = writeln!(text, "{}", content(&sent.body, media_type));
        }
    }
}

/// The media type without its parameters.
pub(crate) fn media_type(sent: &Sent) -> String {
    let value = sent
        .headers
        .get("content-type")
        .map_or("", |value| value.to_str().unwrap());
    value.split(';').next().unwrap().trim().to_lowercase()
}

/// Pairs of a form, decoded.
pub(crate) fn form(sent: &Sent) -> Vec<(String, String)> {
    pairs(std::str::from_utf8(&sent.body).unwrap())
}

/// Pairs of a query or a form, decoded.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Parts of a multipart body.
pub(crate) fn parts(sent: &Sent) -> Vec<Part> {
    let told = sent.headers["content-type"].to_str().unwrap();
    let boundary = told.rsplit_once("boundary=").unwrap().1;
    let last = format!("\r\n--{boundary}--\r\n");
    assert!(
        sent.body.ends_with(last.as_bytes()),
        "the last boundary ends the body"
    );
    let mut rest: &[u8] = &sent.body;
    let between = format!("--{boundary}\r\n");
    let end = format!("\r\n--{boundary}");
    let mut parts = Vec::new();
    while let Some(after) = rest.strip_prefix(between.as_bytes()) {
        let head_end = find(after, b"\r\n\r\n");
        let head = String::from_utf8(after[..head_end].to_vec()).unwrap();
        let after = &after[head_end + 4..];
        let length = find(after, end.as_bytes());
        let quoted = |name: &str| {
            let after = head.split(&format!("; {name}=\"")).nth(1)?;
            Some(after.split('"').next().unwrap().to_owned())
        };
        let typed = head
            .lines()
            .find_map(|line| line.strip_prefix("content-type: "));
        parts.push(Part {
            name: quoted("name").unwrap(),
            file: quoted("filename"),
            media_type: typed.map(str::to_owned),
            content: after[..length].to_vec(),
        });
        rest = &after[length + 2..];
    }
    parts
}

fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    // Bytes that begin as what is wanted does are few.
    let starts = |at: &usize| bytes[*at..].starts_with(wanted);
    let first = wanted[0];
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == first)
        .map(|(at, _)| at)
        .find(starts)
        .unwrap()
}

fn content(bytes: &[u8], media_type: &str) -> String {
    let text = std::str::from_utf8(bytes).ok();
    match (media_type, text) {
        (kind, Some(text)) if kind.contains("json") => json(serde_json::from_str(text).unwrap()),
        (kind, Some(text))
            if !kind.starts_with("audio/") && !kind.starts_with("application/octet") =>
        {
            text.to_owned()
        }
        _ => sized(bytes, "bytes"),
    }
}

fn json(mut value: Value) -> String {
    shorten(&mut value);
    serde_json::to_string_pretty(&value).unwrap()
}

/// Puts a size and a digest in the place of encoded bytes.
fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > SHOWN && !text.contains(' ') && text.is_ascii() => {
            *text = sized(text.as_bytes(), "characters");
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(members) => members.values_mut().for_each(shorten),
        _ => {}
    }
}

fn sized(bytes: &[u8], what: &str) -> String {
    let digest: String = Sha256::digest(bytes)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("<{} {what}, sha256 {digest}…>", bytes.len())
}

/// What a signed assertion (a JWT) says.
fn claims(value: &str) -> Option<String> {
    let mut pieces = value.split('.');
    let (head, body, signature) = (pieces.next()?, pieces.next()?, pieces.next()?);
    let read =
        |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    Some(format!(
        "{} {} {}",
        read(head)?,
        read(body)?,
        sized(signature.as_bytes(), "characters")
    ))
}
