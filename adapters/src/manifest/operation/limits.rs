//! What an operation cannot do.

use isobar_config::{Diagnostic, Node, Value};

use super::{
    super::reading::{Reading, TABLES, each},
    Entries, LIMITS,
};
use crate::{capability::Contract, limits::Limits, media::Format, transform::Table};

impl Reading<'_> {
    pub(super) fn limits(&mut self, contract: &'static Contract, node: &Node) -> Limits {
        let entries = Entries(self.record(node, "`limits`", &LIMITS));
        let mut limits = Limits::default();
        limits.blob = entries.get("audio").and_then(|node| self.size(node));
        limits.duration = entries
            .get("duration")
            .and_then(|node| self.duration(node))
            .map(|duration| duration.as_secs_f64());
        if let Some(node) = entries.get("text")
            && let Some(text) = self.scalar(node)
        {
            match text.strip_suffix("bytes").map(|bytes| bytes.trim().parse()) {
                Some(Ok(bytes)) => limits.bytes = Some(bytes),
                None if text.parse::<usize>().is_ok() => limits.characters = text.parse().ok(),
                _ => self.error(
                    "E0403",
                    node,
                    format!("`{text}` is not a length of text"),
                    "write characters, `5000`, or bytes, `5120 bytes`",
                ),
            }
        }
        if let Some(node) = entries.get("formats") {
            let known = Format::ALL.map(Format::name);
            limits.formats = self.known("E0205", node, &known, |word| {
                format!("`{word}` is not a format of recordings")
            });
        }
        for node in entries.get("sample_rates").map(each).unwrap_or_default() {
            limits.sample_rates.extend(
                self.count(node, 1, 1_000_000)
                    .and_then(|rate| u32::try_from(rate).ok()),
            );
        }
        limits.channels = entries
            .get("channels")
            .and_then(|node| self.count(node, 1, 64))
            .and_then(|channels| u16::try_from(channels).ok());
        let inputs: Vec<&str> = contract
            .fields()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let no_input = |name: &str| format!("`{}` has no input `{name}`", contract.name);
        for (key, node) in entries
            .get("languages")
            .map(|node| self.map(node, "`languages`"))
            .unwrap_or_default()
        {
            self.known_key(key, &inputs, no_input);
            let table: Option<Table> = if let Value::List(_) = node.value {
                let tags = self.scalars(node).into_iter();
                let rows = tags.map(|tag| (tag.clone(), tag));
                Some(Table::new(rows.collect()))
            } else {
                let name = self.text(node).unwrap_or_default().to_owned();
                let table = self.tables.get(&name).cloned();
                if table.is_none() {
                    let known: Vec<String> = self.tables.keys().cloned().collect();
                    self.found.push(
                        Diagnostic::error("E0903", node.at, format!("there is no table `{name}`"))
                            .help(TABLES)
                            .did_you_mean(&name, known.iter().map(String::as_str), 0),
                    );
                }
                table
            };
            if let Some(table) = table {
                self.tags(node, &table);
                limits.languages.push((key.text.clone(), (*table).clone()));
            }
        }
        if let Some(node) = entries.get("cannot") {
            if let Value::Map(_) = node.value {
                for (key, node) in self.map(node, "`cannot`") {
                    self.known_key(key, &inputs, no_input);
                    limits.cannot.push((key.text.clone(), self.scalars(node)));
                }
            } else {
                limits.cannot = self
                    .known("E0902", node, &inputs, no_input)
                    .into_iter()
                    .map(|name| (name, Vec::new()))
                    .collect();
            }
        }
        for (key, node) in entries
            .get("within")
            .map(|node| self.map(node, "`within`"))
            .unwrap_or_default()
        {
            self.known_key(key, &inputs, no_input);
            if let [least, most] = node.items() {
                let (least, most) = (self.number(least), self.number(most));
                limits.within.extend(
                    least
                        .zip(most)
                        .map(|(least, most)| (key.text.clone(), least, most)),
                );
            } else {
                self.wrong(
                    node,
                    "a list of two numbers",
                    "the least and the most: `speed: [0.5, 2]`",
                );
            }
        }
        limits.needs = entries
            .get("needs")
            .map(|node| self.known("E0902", node, &inputs, no_input))
            .unwrap_or_default();
        for (key, node) in entries
            .get("only_with")
            .map(|node| self.map(node, "`only_with`"))
            .unwrap_or_default()
        {
            self.known_key(key, &inputs, no_input);
            limits.only_with.extend(
                self.known("E0902", node, &inputs, no_input)
                    .into_iter()
                    .map(|other| (key.text.clone(), other)),
            );
        }
        if let Some(node) = entries.get("needs_account") {
            let fields: Vec<String> = self.fields.iter().map(|field| field.name.clone()).collect();
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            limits.needs_account = self.known("E0902", node, &fields, |name| {
                format!("accounts of this vendor have no `{name}`")
            });
        }
        limits
    }
}
