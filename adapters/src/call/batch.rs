//! Which inputs go together in one call.

use serde_json::{Map, Value};

use super::Resolved;
use crate::{template::Document, vendor::Batch};

/// Jobs that share a call.
struct Group {
    /// What they have in common: everything but their text.
    rest: Map<String, Value>,
    /// Positions.
    jobs: Vec<usize>,
    bytes: usize,
    characters: usize,
    alone: bool,
}

/// Jobs that may share a call, as positions: equal in everything but their text, and together no more than fits.
pub(super) fn group(jobs: &[Resolved<'_>], batch: &Batch) -> Vec<Vec<usize>> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, job) in jobs.iter().enumerate() {
        let mut rest = job.input.clone().into_owned();
        let text = rest.remove("text");
        let text = text.as_ref().and_then(Value::as_str).unwrap_or_default();
        let (bytes, characters) = (text.len(), text.chars().count());
        let alone = batch
            .alone_unless
            .as_ref()
            .is_some_and(|field| !rest.contains_key(field));
        let fits = |group: &&mut Group| {
            !alone
                && !group.alone
                && group.jobs.len() < batch.most
                && batch.bytes.is_none_or(|most| group.bytes + bytes <= most)
                && batch
                    .characters
                    .is_none_or(|most| group.characters + characters <= most)
                && group.rest == rest
        };
        match groups.iter_mut().find(fits) {
            Some(group) => {
                group.jobs.push(at);
                group.bytes += bytes;
                group.characters += characters;
            }
            None => groups.push(Group {
                rest,
                jobs: vec![at],
                bytes,
                characters,
                alone,
            }),
        }
    }
    groups.into_iter().map(|group| group.jobs).collect()
}

/// The inputs as the documents of a batch.
pub(super) fn documents<'j>(jobs: &'j [Resolved<'_>]) -> Vec<Document<'j>> {
    let numbered = jobs.iter().enumerate();
    numbered
        .map(|(index, job)| Document {
            index,
            input: &job.input,
        })
        .collect()
}
