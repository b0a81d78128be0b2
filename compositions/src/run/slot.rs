//! What a step left behind, and how values are worked out from it.

use std::sync::{Arc, OnceLock};

use isobar_adapters::{Blob, Content, Output};
use serde_json::{Map, Value, json};

use super::report::StepFailed;
use crate::plan::{Given, Plan, Reference, Root};

/// JSON, and the blobs that belong to it: they are never within it.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    /// Everything but the bytes of blobs, which have their facts here.
    pub json: Value,
    /// Blobs by the member that they are; the empty text is the value itself.
    pub blobs: Vec<(String, Blob)>,
    /// Account that it came from, if one account gave all of it.
    pub vendor: Option<String>,
}

/// How a step ended.
#[derive(Debug, Clone)]
pub(crate) enum Ended {
    Done(Arc<Slot>),
    /// Its condition did not hold.
    Skipped,
    Failed(Arc<StepFailed>),
    /// Nobody wanted its output any more.
    Cancelled,
}

impl Slot {
    /// An operation's answer.
    pub(crate) fn of_output(output: &Output, vendor: &str) -> Self {
        let mut slot = Self {
            json: serde_json::to_value(output).unwrap_or_default(),
            blobs: Vec::new(),
            vendor: Some(vendor.to_owned()),
        };
        if let Content::Speech(speech) = &output.content {
            slot.put("audio", speech.audio.clone());
        }
        if let Some(fields) = slot.json.as_object_mut() {
            fields.insert("vendor".to_owned(), Value::from(vendor));
        }
        slot
    }

    /// Adds a blob as a member.
    pub fn put(&mut self, name: &str, blob: Blob) {
        let facts = facts(&blob);
        if name.is_empty() {
            self.json = facts;
        } else if let Some(fields) = self.json.as_object_mut() {
            fields.insert(name.to_owned(), facts);
        }
        self.blobs.push((name.to_owned(), blob));
    }

    /// The blob that is this member.
    pub fn blob(&self, name: &str) -> Option<&Blob> {
        self.blobs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, blob)| blob)
    }
}

/// What is told of a blob beside its bytes.
fn facts(blob: &Blob) -> Value {
    json!({
        "media_type": blob.media_type(),
        "bytes": blob.length(),
        "duration": blob.media().duration,
    })
}

/// Why a value cannot be worked out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct NoValue {
    pub(crate) why: String,
}

impl NoValue {
    pub(crate) fn because(why: &str) -> Self {
        Self {
            why: why.to_owned(),
        }
    }
}

/// Everything that a value may look at.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) inputs: &'a Slot,
    pub(crate) steps: &'a [OnceLock<Ended>],
    /// `id`, `key` and, once all has ended, `degraded`.
    pub(crate) run: &'a Value,
    pub(crate) item: Option<&'a Value>,
    pub(crate) index: Option<&'a Value>,
}

/// What an absent step is to expressions: `has(step.field)` is false.
static ABSENT: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| Value::Object(Map::new()));

impl<'a> Look<'a> {
    /// The step's output, if it ran and worked.
    pub(crate) fn slot(&self, step: usize) -> Option<&'a Slot> {
        match self.steps.get(step).and_then(OnceLock::get) {
            Some(Ended::Done(slot)) => Some(slot),
            _ => None,
        }
    }

    fn root(&self, root: Root) -> Option<&'a Value> {
        match root {
            Root::Input => Some(&self.inputs.json),
            Root::Step(step) => self.slot(step).map(|slot| &slot.json),
            Root::Run => Some(self.run),
            Root::Item => self.item,
            Root::Index => self.index,
        }
    }

    fn named(&self, name: &str) -> Option<&'a Value> {
        match name {
            "input" => Some(&self.inputs.json),
            "run" => Some(self.run),
            "item" => self.item,
            "index" => self.index,
            step => {
                let step = self.plan.step(step)?;
                Some(self.slot(step).map_or(&*ABSENT, |slot| &slot.json))
            }
        }
    }

    /// What a reference selects: of a path that can select one value at most that value, of any other the list.
    pub(crate) fn select(&self, reference: &Reference) -> Result<Option<Selected<'a>>, NoValue> {
        let Some(root) = self.root(reference.root) else {
            return Ok(None);
        };
        if reference.path.source() == "$" {
            return Ok(Some(Selected::One(root)));
        }
        let found = reference.path.select(root).map_err(|error| NoValue {
            why: format!("`{}`: {error}", reference.text),
        })?;
        Ok(if reference.path.is_singular() {
            found.first().map(|found| Selected::One(found))
        } else {
            Some(Selected::Many(found))
        })
    }

    /// A value; `None` where it is absent.
    pub(crate) fn value(&self, given: &Given) -> Result<Option<Value>, NoValue> {
        Ok(match given {
            Given::Literal(value) => Some(value.clone()),
            Given::Reference(reference) => self.select(reference)?.map(Selected::into_value),
            Given::Expression(expression) => Some(
                expression
                    .value_for(&|name| self.named(name))
                    .map_err(|error| NoValue {
                        why: format!("`= {}`: {error}", expression.source()),
                    })?,
            ),
            Given::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.push(self.value(item)?.unwrap_or_default());
                }
                Some(Value::Array(list))
            }
            Given::Map(members) => {
                let mut map = Map::new();
                for (name, member) in members {
                    if let Some(value) = self.member(member)? {
                        map.insert(name.clone(), value);
                    }
                }
                Some(Value::Object(map))
            }
        })
    }

    /// Writes a value as JSON, without making it first; `false` where it is absent, and nothing is written.
    pub(crate) fn write(&self, given: &Given, out: &mut Vec<u8>) -> Result<bool, NoValue> {
        match given {
            Given::Literal(value) => write_json(value, out),
            Given::Reference(reference) => match self.select(reference)? {
                None => return Ok(false),
                Some(Selected::One(value)) => write_json(value, out),
                Some(Selected::Many(values)) => write_json(&values, out),
            },
            Given::Expression(_) => match self.value(given)? {
                None => return Ok(false),
                Some(value) => write_json(&value, out),
            },
            Given::List(items) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    if !self.write(item, out)? {
                        out.extend_from_slice(b"null");
                    }
                }
                out.push(b']');
            }
            Given::Map(members) => {
                out.push(b'{');
                let mut first = true;
                for (name, member) in members {
                    let mark = out.len();
                    if !first {
                        out.push(b',');
                    }
                    write_json(name, out);
                    out.push(b':');
                    let is_there = match self.blob(member) {
                        None => self.write(member, out)?,
                        Some(blob) => {
                            write_json(&encoded(blob)?, out);
                            true
                        }
                    };
                    if is_there {
                        first = false;
                    } else {
                        out.truncate(mark);
                    }
                }
                out.push(b'}');
            }
        }
        Ok(true)
    }

    /// A member of a map: a blob there is base64.
    fn member(&self, given: &Given) -> Result<Option<Value>, NoValue> {
        match self.blob(given) {
            None => self.value(given),
            Some(blob) => encoded(blob).map(Value::String).map(Some),
        }
    }

    /// The blob that a value refers to, if it refers to one that is there.
    pub(crate) fn blob(&self, given: &Given) -> Option<&'a Blob> {
        let Given::Reference(reference) = given else {
            return None;
        };
        let name = reference.blob.as_deref()?;
        match reference.root {
            Root::Input => self.inputs.blob(name),
            Root::Step(step) => self.slot(step)?.blob(name),
            Root::Run | Root::Item | Root::Index => None,
        }
    }

    /// Whether a condition holds.
    pub(crate) fn holds(&self, condition: &isobar_config::Expression) -> Result<bool, NoValue> {
        condition
            .holds_for(&|name| self.named(name))
            .map_err(|error| NoValue {
                why: format!("`= {}`: {error}", condition.source()),
            })
    }
}

fn write_json(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    // Writing to memory does not fail, and these values are all JSON.
    let _ = serde_json::to_writer(out, value);
}

/// A blob as base64.
fn encoded(blob: &Blob) -> Result<String, NoValue> {
    use base64::Engine as _;
    let bytes = blob.to_bytes().map_err(|_| NoValue {
        why: "a blob cannot be read".to_owned(),
    })?;
    Ok(base64::engine::general_purpose::STANDARD.encode(&bytes))
}

/// What a reference selects.
pub(crate) enum Selected<'a> {
    One(&'a Value),
    Many(Vec<&'a Value>),
}

impl Selected<'_> {
    fn into_value(self) -> Value {
        match self {
            Self::One(value) => value.clone(),
            Self::Many(values) => values.into_iter().cloned().collect(),
        }
    }
}
