//! What every part of a composition is read with: places, mistakes, scalars.

use std::time::Duration;

use http::HeaderName;
use isobar_config::{
    Diagnostic, Environment, Key, Node, Severity, Source, Span, Value, duration, size,
};

use super::{known::Known, table::Record};

/// What is known while files are read, and what was found wrong.
pub(crate) struct Reading<'a> {
    pub(crate) sources: &'a [Source],
    pub(crate) known: &'a Known,
    pub(crate) environment: &'a dyn Environment,
    pub(crate) found: Vec<Diagnostic>,
}

impl Reading<'_> {
    pub(crate) fn error(
        &mut self,
        code: &'static str,
        at: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.found
            .push(Diagnostic::error(code, at, message).help(help));
    }

    pub(crate) fn warning(
        &mut self,
        code: &'static str,
        at: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.found
            .push(Diagnostic::warning(code, at, message).help(help));
    }

    /// How many errors were found so far.
    pub(crate) fn errors(&self) -> usize {
        let found = self.found.iter();
        found
            .filter(|mistake| mistake.severity == Severity::Error)
            .count()
    }

    /// A name that is not known. `help` is the next step where nothing is known.
    pub(crate) fn unknown<'k>(
        &mut self,
        code: &'static str,
        at: Span,
        message: impl Into<String>,
        written: &str,
        known: impl IntoIterator<Item = &'k str>,
        help: &str,
    ) {
        let before = self.found.len();
        let mistake = Diagnostic::error(code, at, message)
            .help(help)
            .did_you_mean(written, known, before);
        self.found.push(mistake);
    }

    pub(crate) fn wrong(&mut self, node: &Node, wanted: &str, help: &str) {
        let message = format!("this should be {wanted}, and is {}", node.kind());
        self.error("E0202", node.at, message, help);
    }

    pub(crate) fn range(&mut self, at: Span, what: &str, least: &str, most: &str) {
        self.error(
            "E0204",
            at,
            format!("{what} is out of range"),
            format!("write one from {least} to {most}"),
        );
    }

    /// A part of a text's node, in bytes of the text; the node itself where the file writes the text in another way.
    pub(crate) fn part(&self, node: &Node, start: usize, length: usize) -> Span {
        let whole = node.at;
        let (Some(text), Some(source)) = (node.text(), self.sources.get(whole.source)) else {
            return whole;
        };
        let raw = source.text.get(whole.offset..).unwrap_or_default();
        let quoted = usize::from(raw.starts_with(['"', '\'']));
        let written = raw.get(quoted..).unwrap_or_default();
        let (Some(before), true) = (text.get(..start), written.starts_with(text)) else {
            return whole;
        };
        if text.contains('\n') || start >= text.len() && start > 0 && length > 0 {
            return whole;
        }
        let passed = quoted + before.chars().count();
        Span {
            column: whole
                .column
                .saturating_add(u32::try_from(passed).unwrap_or(u32::MAX)),
            offset: whole.offset + quoted + start,
            length: length.max(1),
            whole: length.max(1),
            ..whole
        }
    }

    /// The entries of a map with known keys; unknown ones are reported and left out. Says which required ones are missing.
    pub(crate) fn record<'n>(
        &mut self,
        node: &'n Node,
        record: &'static Record,
    ) -> Vec<(&'n Key, &'n Node)> {
        if !matches!(node.value, Value::Map(_)) {
            let keys: Vec<String> = record.keys().map(|key| format!("`{key}`")).collect();
            self.wrong(node, "a map", &format!("known keys: {}", keys.join(", ")));
            return Vec::new();
        }
        let mut kept = Vec::new();
        for (key, value) in node.entries() {
            if record.keys().any(|known| known == key.text) {
                kept.push((key, value));
            } else {
                let message = format!("`{}` is not a key of {}", key.text, record.name);
                self.unknown(
                    "E0201",
                    key.at,
                    message,
                    &key.text,
                    record.keys(),
                    "remove it",
                );
            }
        }
        for field in record.fields.iter().filter(|field| field.required) {
            if node.get(field.key).is_none() {
                self.error(
                    "E0203",
                    node.at,
                    format!("`{}` is missing in {}", field.key, record.name),
                    format!("add `{}`", field.example),
                );
            }
        }
        kept
    }

    /// A text, or a number written as one.
    pub(crate) fn text(&mut self, node: &Node, help: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Integer(number) => Some(number.to_string()),
            _ => {
                self.wrong(node, "a text", help);
                None
            }
        }
    }

    pub(crate) fn boolean(&mut self, node: &Node) -> Option<bool> {
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        self.wrong(node, "`true` or `false`", "write `true` or `false`");
        None
    }

    pub(crate) fn whole(&mut self, node: &Node, what: &str, least: u32, most: u32) -> Option<u32> {
        let Value::Integer(number) = node.value else {
            self.wrong(
                node,
                "a whole number",
                &format!("write one from {least} to {most}"),
            );
            return None;
        };
        match u32::try_from(number) {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                self.range(
                    node.at,
                    &format!("{what} of {number}"),
                    &least.to_string(),
                    &most.to_string(),
                );
                None
            }
        }
    }

    /// A duration that is not zero; `most` as it is written.
    pub(crate) fn time(&mut self, node: &Node, what: &str, most: &str) -> Option<Duration> {
        let text = self.text(node, "write a number and a unit: `250ms`, `2s`, `1m30s`")?;
        let Some(time) = duration(&text) else {
            self.error(
                "E0402",
                node.at,
                format!("`{text}` is not a duration"),
                "write a number and a unit: `250ms`, `2s`, `1m30s`, `1h`",
            );
            return None;
        };
        if time.is_zero() || time > duration(most).unwrap_or(Duration::MAX) {
            self.range(node.at, &format!("{what} of `{text}`"), "1ms", most);
            return None;
        }
        Some(time)
    }

    /// A size in bytes, at least one; `most` as it is written.
    pub(crate) fn size(&mut self, node: &Node, what: &str, most: &str) -> Option<u64> {
        let text = self.text(node, "write bytes or a unit: `512`, `10KB`, `64MB`")?;
        let Some(bytes) = size(&text) else {
            self.error(
                "E0403",
                node.at,
                format!("`{text}` is not a size"),
                "write bytes or a unit: `512`, `10KB`, `64MB`",
            );
            return None;
        };
        if bytes == 0 || bytes > size(most).unwrap_or(u64::MAX) {
            self.range(node.at, &format!("{what} of `{text}`"), "1B", most);
            return None;
        }
        Some(bytes)
    }

    /// One word of several.
    pub(crate) fn word(&mut self, node: &Node, known: &[&'static str]) -> Option<&'static str> {
        // YAML's own word for nothing is one of ours.
        let text = match &node.value {
            Value::Null => "null".to_owned(),
            _ => self.text(node, &format!("write one of {}", listed(known)))?,
        };
        let found = known.iter().find(|word| **word == text).copied();
        if found.is_none() {
            self.unknown(
                "E0205",
                node.at,
                format!("`{text}` is not one of the choices here"),
                &text,
                known.iter().copied(),
                "choose one",
            );
        }
        found
    }

    pub(crate) fn header_name(&mut self, at: Span, text: &str) -> Option<HeaderName> {
        let Ok(name) = HeaderName::try_from(text) else {
            self.error(
                "E0409",
                at,
                format!("`{text}` is not a header name"),
                "header names have letters, digits and `-`",
            );
            return None;
        };
        if FRAMING.contains(&name.as_str()) {
            self.error(
                "E0810",
                at,
                format!("`{text}` belongs to the gateway"),
                "leave it out: it follows from the body and the connection",
            );
            return None;
        }
        Some(name)
    }

    /// Whether a text can be a name that expressions use; if not, says so.
    pub(crate) fn identifier(&mut self, at: Span, text: &str, what: &str) -> bool {
        let first = text.bytes().next();
        let good = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && first.is_some_and(|byte| !byte.is_ascii_digit());
        if !good {
            self.error(
                "E0412",
                at,
                format!("`{text}` is not a name of {what}"),
                "names have letters, digits and `_`, at most 64 of them, and no digit first",
            );
        }
        good
    }
}

/// Headers of the connection's framing; only the gateway writes them.
const FRAMING: [&str; 7] = [
    "connection",
    "content-length",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// `a`, `b` and `c`, for messages.
pub(crate) fn listed(words: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = words
        .iter()
        .map(|word| format!("`{}`", word.as_ref()))
        .collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}
