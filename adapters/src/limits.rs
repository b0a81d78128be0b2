//! What a vendor cannot do, as data: an account that cannot do a job is passed over before anything is sent.

use std::collections::BTreeMap;

use isobar_config::member;
use serde_json::{Map, Value};

use crate::{blob::Blob, language, vendor::Account};

/// Limits of one operation of a vendor.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// Bytes of a blob.
    pub(crate) blob: Option<u64>,
    /// Seconds of a blob.
    pub(crate) duration: Option<f64>,
    /// Characters of a text.
    pub(crate) characters: Option<usize>,
    /// Bytes of a text.
    pub(crate) bytes: Option<usize>,
    /// Blob formats; empty is any.
    pub(crate) formats: Vec<String>,
    /// Samples a second; empty is any.
    pub(crate) sample_rates: Vec<u32>,
    /// Channels.
    pub(crate) channels: Option<u16>,
    /// Languages, by the input field that names one; empty is any.
    pub(crate) languages: Vec<(String, BTreeMap<String, String>)>,
    /// Options that are not offered: given and not `false`, they rule the vendor out. A list of values rules out those only.
    pub(crate) cannot: Vec<(String, Vec<String>)>,
    /// Least and most of numbers, by input field.
    pub(crate) within: Vec<(String, f64, f64)>,
    /// Input fields that must be given.
    pub(crate) needs: Vec<String>,
    /// Options that are offered only when another input field is given too.
    pub(crate) only_with: Vec<(String, String)>,
    /// Account fields that must be given.
    pub(crate) needs_account: Vec<String>,
}

impl Limits {
    /// Why an account cannot do this; `None` when it can.
    pub(crate) fn gap(
        &self,
        input: &Map<String, Value>,
        blobs: &[(&'static str, Blob)],
        account: &Account,
    ) -> Option<String> {
        let missing = self
            .needs_account
            .iter()
            .find(|name| account.field(name).is_none());
        if let Some(name) = missing {
            return Some(format!(
                "the account has no `{name}`, which this operation needs"
            ));
        }
        if let Some(name) = self
            .needs
            .iter()
            .find(|name| member(input, name).is_none_or(Value::is_null))
        {
            return Some(format!("needs `{name}`"));
        }
        blobs
            .iter()
            .find_map(|(_, blob)| self.blob_gap(blob))
            .or_else(|| self.input_gap(input))
    }

    fn blob_gap(&self, blob: &Blob) -> Option<String> {
        let media = blob.media();
        if let Some(most) = self.blob.filter(|most| blob.length() > *most) {
            return Some(format!("takes at most {most} bytes"));
        }
        if let Some(most) = self.duration
            && media.duration.is_some_and(|seconds| seconds > most)
        {
            return Some(format!("takes at most {most} seconds"));
        }
        let format = media.format.map(|format| format.name());
        if !self.formats.is_empty()
            && !format.is_some_and(|format| self.formats.iter().any(|known| known == format))
        {
            let given = format.unwrap_or("a format that is not recognised");
            return Some(format!("takes {}, not {given}", self.formats.join(", ")));
        }
        if let Some(rate) = media.sample_rate
            && !self.sample_rates.is_empty()
            && !self.sample_rates.contains(&rate)
        {
            return Some(format!(
                "takes {} samples a second, not {rate}",
                numbers(&self.sample_rates)
            ));
        }
        if let (Some(most), Some(channels)) = (self.channels, media.channels)
            && channels > most
        {
            return Some(format!("takes at most {most} channel(s), not {channels}"));
        }
        None
    }

    fn input_gap(&self, input: &Map<String, Value>) -> Option<String> {
        if let Some(text) = member(input, "text").and_then(Value::as_str) {
            if let Some(most) = self.bytes.filter(|most| text.len() > *most) {
                return Some(format!("takes texts of at most {most} bytes"));
            }
            if let Some(most) = self.characters
                && text.len() > most
                && text.chars().count() > most
            {
                return Some(format!("takes texts of at most {most} characters"));
            }
        }
        for (field, table) in &self.languages {
            if let Some(tag) = member(input, field).and_then(Value::as_str)
                && language::lookup(table, tag).is_none()
            {
                return Some(format!("does not offer `{tag}` as `{field}`"));
            }
        }
        for (field, least, most) in &self.within {
            if member(input, field)
                .and_then(Value::as_f64)
                .is_some_and(|number| !(*least..=*most).contains(&number))
            {
                return Some(format!("takes `{field}` from {least} to {most}"));
            }
        }
        let given = |name: &str| member(input, name).is_some_and(|value| !value.is_null());
        if let Some((field, other)) = self
            .only_with
            .iter()
            .find(|(field, other)| given(field) && !given(other))
        {
            return Some(format!("offers `{field}` only with `{other}`"));
        }
        for (field, values) in &self.cannot {
            let given = member(input, field)
                .filter(|value| !matches!(value, Value::Null | Value::Bool(false)));
            if let Some(given) = given {
                if values.is_empty() {
                    return Some(format!("does not offer `{field}`"));
                }
                if let Some(word) = given
                    .as_str()
                    .filter(|word| values.iter().any(|value| value == word))
                {
                    return Some(format!("does not offer `{field}: {word}`"));
                }
            }
        }
        None
    }
}

impl Limits {
    /// In words, for people.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        texts.extend(self.blob.map(|bytes| format!("{} MB", bytes / 1_000_000)));
        texts.extend(self.duration.map(|seconds| format!("{seconds} s")));
        texts.extend(self.characters.map(|most| format!("{most} characters")));
        texts.extend(self.bytes.map(|most| format!("{most} bytes of text")));
        if !self.formats.is_empty() {
            texts.push(self.formats.join(", "));
        }
        if !self.sample_rates.is_empty() {
            texts.push(format!("{} Hz", numbers(&self.sample_rates)));
        }
        texts.extend(self.channels.map(|most| format!("{most} channel(s)")));
        for (field, table) in &self.languages {
            if table.len() > 6 {
                texts.push(format!("`{field}`: {} languages", table.len()));
            } else {
                let tags: Vec<&str> = table.keys().map(String::as_str).collect();
                texts.push(format!("`{field}`: {}", tags.join(", ")));
            }
        }
        for (field, values) in &self.cannot {
            texts.push(if values.is_empty() {
                format!("no `{field}`")
            } else {
                format!("no `{field}` {}", values.join(", "))
            });
        }
        texts.extend(self.needs.iter().map(|name| format!("needs `{name}`")));
        texts.extend(
            self.needs_account
                .iter()
                .map(|name| format!("needs the account's `{name}`")),
        );
        texts
    }
}

fn numbers(numbers: &[u32]) -> String {
    numbers
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
