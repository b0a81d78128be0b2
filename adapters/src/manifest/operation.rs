//! One operation of a vendor: steps, bodies, limits, price, and what comes back.
//!
//! Keys that more than one vendor asked for, and what they mean:
//! - `batch: 25`, or `batch: { most: 25, characters: 50000, alone_unless: language }`: how many inputs go in one call, how
//!   long their texts are together, and the field without which an input goes alone, so that a step can find it out;
//! - `model: NAME`: what `$.model` is when the caller names none, and what answers then say of themselves;
//! - `limits: within: { speed: [0.5, 2] }`: least and most of a number;
//! - `body: { text: { type, content } }`: the content is a text, or a list of pieces put together, absent ones left out;
//! - `returns: root:` and `needs:`, see [`Reading::roots`].

mod body;
mod limits;
mod price;
mod returns;
mod step;

use isobar_config::{Diagnostic, Key, Node, Value};

use super::reading::{Place, Reading};
use crate::{
    capability::{CONTRACTS, Contract},
    conversion::Conversion,
    engine::ENGINES,
    limits::Limits,
    vendor::{Batch, Calls, How, Operation},
};

/// Keys of one request.
pub(super) const REQUEST: [&str; 13] = [
    "service", "call", "fetch", "query", "headers", "body", "keep", "poll", "socket", "cleanup",
    "auth", "when", "unless",
];
/// Keys of an operation; those of a request when it has only one.
pub(super) const OPERATION: [&str; 11] = [
    "docs", "convert", "steps", "returns", "limits", "price", "batch", "models", "model",
    "ignores", "hook",
];
/// Keys of an operation that is done in this process.
pub(super) const ENGINE: [&str; 4] = ["engine", "limits", "docs", "ignores"];
/// Kinds of bodies.
pub(super) const BODY: [&str; 5] = ["json", "form", "multipart", "raw", "text"];
/// Keys of `poll`.
pub(super) const POLL: [&str; 8] = [
    "every", "up_to", "until", "done", "failed", "not_yet", "code", "message",
];
/// Keys of `socket`.
pub(super) const SOCKET: [&str; 7] = ["blob", "bytes", "pace", "first", "next", "last", "until"];
/// Keys of `batch`.
pub(super) const BATCH: [&str; 4] = ["most", "bytes", "characters", "alone_unless"];
/// Keys of `limits`.
pub(super) const LIMITS: [&str; 12] = [
    "audio",
    "duration",
    "text",
    "formats",
    "sample_rates",
    "channels",
    "languages",
    "cannot",
    "within",
    "needs",
    "only_with",
    "needs_account",
];
/// Keys of `price`.
pub(super) const PRICE: [&str; 7] = [
    "usd",
    "per",
    "round",
    "minimum",
    "models",
    "per_channel",
    "source",
];

/// Keys of `returns` beside the fields.
pub(super) const ROOTS: [&str; 2] = ["root", "needs"];

/// `{ text: …, html: … }` and the like, taken apart once.
struct Entries<'n>(Vec<(&'n Key, &'n Node)>);

impl<'n> Entries<'n> {
    fn get(&self, name: &str) -> Option<&'n Node> {
        self.0
            .iter()
            .find(|(key, _)| key.text == name)
            .map(|(_, value)| *value)
    }
}

impl Reading<'_> {
    /// Every operation of a capability's file.
    pub(super) fn operations(&mut self, capability: &str, document: &Node) -> Vec<Operation> {
        let mut operations = Vec::new();
        let before = self.tables.clone();
        if let Some(tables) = document.get("tables") {
            self.read_tables(tables);
        }
        let default_service = document.get("service");
        for (key, node) in self.map(document, "a capability's file") {
            if ["tables", "service"].contains(&key.text.as_str()) {
                continue;
            }
            let name = format!("{capability}.{}", key.text);
            match CONTRACTS.iter().find(|contract| contract.name == name) {
                Some(contract) => {
                    operations.extend(self.operation(contract, key, node, default_service))
                }
                None => {
                    let known = CONTRACTS
                        .iter()
                        .filter(|contract| contract.capability() == capability)
                        .map(Contract::verb);
                    let message = format!("`{capability}` has no operation `{}`", key.text);
                    self.found.push(
                        Diagnostic::error("E0907", key.at, message)
                            .did_you_mean(&key.text, known, 0),
                    );
                }
            }
        }
        self.tables = before;
        operations
    }

    fn operation(
        &mut self,
        contract: &'static Contract,
        key: &Key,
        node: &Node,
        default_service: Option<&Node>,
    ) -> Option<Operation> {
        let before = self.found.len();
        if self.offered.contains(&contract.name) {
            self.key_error(
                "E0305",
                key.at,
                format!("`{}` is given twice", contract.name),
                "keep one: in vendor.yaml, or in the capability's own file",
            );
        }
        self.offered.push(contract.name);
        if let Some(engine) = node.get("engine") {
            return self.engine(contract, node, engine);
        }
        let known: Vec<&str> = OPERATION.iter().chain(&REQUEST).copied().collect();
        let entries = Entries(self.record(node, "an operation", &known));
        let batch = entries
            .get("batch")
            .map_or_else(Batch::default, |node| self.batch(contract, node));
        let several = batch.most > 1;
        let convert = entries
            .get("convert")
            .map(|node| self.conversions(contract, node))
            .unwrap_or_default();
        let limits = entries
            .get("limits")
            .map(|node| self.limits(contract, node))
            .unwrap_or_default();
        let mut kept = Vec::new();
        let model = entries
            .get("model")
            .and_then(|node| self.text(node))
            .map(str::to_owned);
        // What is given in any case need not be written as optional.
        let needs: Vec<String> = limits
            .needs
            .iter()
            .cloned()
            .chain(model.as_ref().map(|_| "model".to_owned()))
            .collect();
        let mut steps = Vec::new();
        if let Some(list) = entries.get("steps") {
            for (key, _) in &entries.0 {
                if key.text != "service" && REQUEST.contains(&key.text.as_str()) {
                    self.key_error(
                        "E0208",
                        key.at,
                        format!("`{}` stands beside `steps`", key.text),
                        "put it into the step that it is for",
                    );
                }
            }
            let default_service = entries.get("service").or(default_service);
            let before = self.found.len();
            let listed = self.map(list, "`steps`");
            let answers = |node: &Node| node.get("cleanup").is_none();
            if self.found.len() == before && !listed.iter().any(|(_, node)| answers(node)) {
                self.error(
                    "E0203",
                    list,
                    "no step gives an answer",
                    "the answer is that of the last step that is not `cleanup: true`",
                );
            }
            for (_, node) in listed {
                let place = Place {
                    contract: Some(contract),
                    batch: several,
                    kept: &kept.clone(),
                    needs: &needs,
                    item: false,
                };
                let entries = Entries(self.record(node, "a step", &REQUEST));
                steps.extend(self.step(node, &entries, default_service, place));
                let names = entries.get("keep").map(Node::entries).unwrap_or_default();
                kept.extend(names.iter().map(|(key, _)| key.text.clone()));
            }
        } else {
            let place = Place {
                contract: Some(contract),
                batch: several,
                kept: &[],
                needs: &needs,
                item: false,
            };
            steps.extend(self.step(node, &entries, default_service, place));
        }
        let place = Place {
            contract: Some(contract),
            batch: several,
            kept: &kept,
            needs: &needs,
            item: false,
        };
        let returns = match entries.get("returns") {
            Some(node) => self.returns(contract, node, several, place),
            None => {
                self.missing(
                    node,
                    "returns",
                    "say where the answer's fields are: `returns: { text: $.body.text }`",
                );
                None
            }
        };
        if self.found.len() == before {
            self.unsaid(contract, key, node, &entries, &limits);
        }
        let hook = match entries.get("hook") {
            None => None,
            Some(node) => {
                let name = self.text(node)?;
                let found = self
                    .hooks
                    .iter()
                    .find(|(vendor, known, _)| *vendor == self.folder && *known == name);
                if found.is_none() {
                    let folder = self.folder.clone();
                    let known: Vec<&str> = self
                        .hooks
                        .iter()
                        .filter(|(vendor, ..)| *vendor == folder)
                        .map(|(_, name, _)| *name)
                        .collect();
                    self.found.push(Diagnostic::error("E0908", node.at, format!("there is no hook `{name}`")).did_you_mean(name, known, 0).help("hooks are Rust functions of the vendor's folder; a manifest loaded at run time has none"));
                }
                found.map(|(_, _, hook)| *hook)
            }
        };
        let models = entries
            .get("models")
            .map(|node| self.scalars(node))
            .unwrap_or_default();
        let price = entries
            .get("price")
            .and_then(|node| self.price(node, &models));
        let docs = entries
            .get("docs")
            .and_then(|node| self.text(node))
            .map(str::to_owned);
        (self.found.len() == before).then_some(())?;
        let calls = Calls {
            steps,
            returns: returns?,
            hook,
        };
        Some(Operation {
            contract,
            docs,
            kind: How::Calls(calls),
            convert,
            limits,
            price,
            batch,
            models,
            model,
        })
    }

    /// `25`, or `{ most: 25, characters: 50000, alone_unless: language }`.
    fn engine(
        &mut self,
        contract: &'static Contract,
        node: &Node,
        engine: &Node,
    ) -> Option<Operation> {
        self.record(node, "an operation in this process", &ENGINE);
        let name = self.text(engine)?;
        let Some((_, found)) = ENGINES.iter().find(|(known, _)| *known == name) else {
            let mistake =
                Diagnostic::error("E0908", engine.at, format!("there is no engine `{name}`"));
            self.found
                .push(mistake.did_you_mean(name, ENGINES.iter().map(|(name, _)| *name), 0));
            return None;
        };
        let limits = node
            .get("limits")
            .map(|node| self.limits(contract, node))
            .unwrap_or_default();
        let docs = node
            .get("docs")
            .and_then(|node| self.text(node))
            .map(str::to_owned);
        Some(Operation {
            contract,
            docs,
            kind: How::Engine(*found),
            convert: Vec::new(),
            limits,
            price: None,
            batch: Batch::default(),
            models: Vec::new(),
            model: None,
        })
    }

    /// `{ audio: wav_16k_mono }`.
    fn conversions(
        &mut self,
        contract: &'static Contract,
        node: &Node,
    ) -> Vec<(&'static str, Conversion)> {
        let mut conversions = Vec::new();
        for (key, value) in self.record(node, "`convert`", contract.blobs) {
            let Some(field) = contract.blobs.iter().find(|blob| **blob == key.text) else {
                continue;
            };
            let Some(word) = self.choice(value, &Conversion::NAMED.map(|(word, _)| word)) else {
                continue;
            };
            let named = Conversion::NAMED.iter().find(|(known, _)| *known == word);
            conversions.extend(named.map(|(_, conversion)| (*field, *conversion)));
        }
        conversions
    }

    /// `25`, or `{ most: 50, bytes: 100KB }`.
    fn batch(&mut self, contract: &'static Contract, node: &Node) -> Batch {
        if !contract.batch {
            self.error(
                "E0208",
                node,
                format!("`{}` takes one input at a time", contract.name),
                "leave `batch` out",
            );
            return Batch::default();
        }
        let mut batch = Batch::default();
        let most = if let Value::Map(_) = node.value {
            let entries = Entries(self.record(node, "`batch`", &BATCH));
            batch.bytes = entries
                .get("bytes")
                .and_then(|node| self.size(node))
                .and_then(|bytes| usize::try_from(bytes).ok());
            batch.characters = entries
                .get("characters")
                .and_then(|node| self.count(node, 1, usize::MAX));
            if let Some(node) = entries.get("alone_unless")
                && let Some(name) = self.text(node)
            {
                if !contract.fields().iter().any(|(known, _)| known == name) {
                    let known: Vec<&str> = contract
                        .fields()
                        .iter()
                        .map(|(name, _)| name.as_str())
                        .collect();
                    let message = format!("`{}` has no input `{name}`", contract.name);
                    self.found.push(
                        Diagnostic::error("E0902", node.at, message).did_you_mean(name, known, 0),
                    );
                }
                batch.alone_unless = Some(name.to_owned());
            }
            let Some(most) = entries.get("most") else {
                self.missing(
                    node,
                    "most",
                    "say how many texts go in one call: `batch: { most: 50, bytes: 100KB }`",
                );
                batch.most = 2;
                return batch;
            };
            most
        } else {
            node
        };
        // A number that cannot be is not taken for one: what else is said shows that there are several.
        batch.most = self.count(most, 1, 1_000).unwrap_or(2);
        batch
    }

    /// An input field that a manifest neither uses nor refuses would be ignored in silence.
    fn unsaid(
        &mut self,
        contract: &'static Contract,
        key: &Key,
        node: &Node,
        entries: &Entries<'_>,
        limits: &Limits,
    ) {
        let mut used = Vec::new();
        mentions(node, false, &mut used);
        let inputs: Vec<&str> = contract
            .fields()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let no_input = |name: &str| format!("`{}` has no input `{name}`", contract.name);
        let ignores = entries
            .get("ignores")
            .map(|node| self.known("E0902", node, &inputs, no_input))
            .unwrap_or_default();
        let said = |name: &str| {
            let refused =
                |(field, values): &(String, Vec<String>)| field == name && values.is_empty();
            used.iter().any(|word| word == name)
                || ignores.iter().any(|word| word == name)
                || limits.cannot.iter().any(refused)
                || limits.languages.iter().any(|(field, _)| field == name)
        };
        let unsaid: Vec<String> = inputs
            .iter()
            .filter(|name| !said(name))
            .map(|name| format!("`{name}`"))
            .collect();
        if !unsaid.is_empty() {
            self.key_error(
                "E0909",
                key.at,
                format!("nothing is said of the input {}", unsaid.join(", ")),
                "use `$.NAME` in the request, or put the name under `limits: cannot:` (the vendor is passed over) or `ignores:` (it makes no difference)",
            );
        }
    }
}

/// Every input that a node's texts refer to: `$.name`, or where `$.name` is something of the answer, `$.input.name`.
fn mentions(node: &Node, answer: bool, used: &mut Vec<String>) {
    match &node.value {
        Value::Text(text) => {
            for (at, _) in text.match_indices("$.") {
                let rest = text.get(at + 2..).unwrap_or_default();
                let rest = match (rest.strip_prefix("input."), answer) {
                    (Some(name), _) => name,
                    (None, true) => continue,
                    (None, false) => rest,
                };
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                used.push(rest.get(..end).unwrap_or_default().to_owned());
            }
        }
        Value::List(items) => {
            for item in items {
                mentions(item, answer, used);
            }
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                mentions(value, answer || key.text == "returns", used);
            }
        }
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
    }
}
