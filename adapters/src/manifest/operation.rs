//! One operation of a vendor: steps, bodies, limits, price, and what comes back.
//!
//! Keys that more than one vendor asked for, and what they mean:
//! - `batch: 25`, or `batch: { most: 25, characters: 50000, alone_unless: language }`: how many inputs go in one call, how
//!   long their texts are together, and the field without which an input goes alone, so that a step can find it out;
//! - `model: NAME`: what `$.model` is when the caller names none, and what answers then say of themselves;
//! - `limits: within: { speed: [0.5, 2] }`: least and most of a number;
//! - `body: { text: { type, content } }`: the content is a text, or a list of pieces put together, absent ones left out;
//! - `returns: root:` and `needs:`, see [`Reading::roots`].

use std::time::Duration;

use http::{HeaderName, Method};
use isobar_config::{Diagnostic, Key, Node, Step as PathStep, Value, steps};

use super::{
    reading::{Place, Reading, TABLES, each, optional},
    vendor::outside,
};
use crate::{
    capability::{CONTRACTS, Contract},
    conversion::Conversion,
    draft::{Draft, Kind},
    engine::ENGINES,
    limits::Limits,
    media::Format,
    price::{Price, Unit},
    projection::Builder,
    template::Template,
    transform::Table,
    vendor::{
        Batch, BodyTemplate, Calls, How, Keep, KeepFrom, Operation, PartTemplate, Poll, Returns,
        Socket, Step, Target,
    },
};

/// Keys of one request.
const REQUEST: [&str; 12] = [
    "service", "call", "fetch", "query", "headers", "body", "keep", "poll", "socket", "cleanup",
    "auth", "when",
];
/// Keys of an operation; those of a request when it has only one.
const OPERATION: [&str; 11] = [
    "docs", "convert", "steps", "returns", "limits", "price", "batch", "models", "model",
    "ignores", "hook",
];

/// Keys of `returns` beside the fields.
const ROOTS: [&str; 2] = ["root", "needs"];

/// An error of one document of a batch.
pub(crate) static ERROR: Draft = Draft {
    fields: &[
        ("index", Kind::Value),
        ("id", Kind::Value),
        ("code", Kind::Value),
        ("message", Kind::Value),
    ],
};

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
        if let Some(engine) = node.get("engine") {
            return self.engine(contract, node, engine);
        }
        let known: Vec<&str> = OPERATION
            .iter()
            .chain(&REQUEST)
            .copied()
            .chain(["unless"])
            .collect();
        let before = self.found.len();
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
                let known: Vec<&str> = REQUEST.iter().copied().chain(["unless"]).collect();
                let entries = Entries(self.record(node, "a step", &known));
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
        self.record(
            node,
            "an operation in this process",
            &["engine", "limits", "docs", "ignores"],
        );
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
            let entries = Entries(self.record(
                node,
                "`batch`",
                &["most", "bytes", "characters", "alone_unless"],
            ));
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

    fn step(
        &mut self,
        node: &Node,
        entries: &Entries<'_>,
        default_service: Option<&Node>,
        place: Place<'_>,
    ) -> Option<Step> {
        let (method, target) = match (entries.get("call"), entries.get("fetch")) {
            (Some(call), None) => self.call_line(call, place)?,
            (None, Some(fetch)) => {
                let text = self.text(fetch)?;
                (
                    Method::GET,
                    Target::Address(self.reference(fetch, text, place)?),
                )
            }
            (Some(_), Some(fetch)) => {
                self.error(
                    "E0208",
                    fetch,
                    "a step either calls a path or fetches an address",
                    "make two steps of it, under `steps:`",
                );
                return None;
            }
            (None, None) => {
                self.missing(
                    node,
                    "call",
                    "write `call: POST /v1/path`, or `fetch: $.kept.address`",
                );
                return None;
            }
        };
        let service = self.service_index(node, entries.get("service").or(default_service))?;
        let query = self.pairs(entries.get("query"), "`query`", place)?;
        let mut headers: Vec<(HeaderName, Template)> = Vec::new();
        for (key, node) in entries
            .get("headers")
            .map(|node| self.map(node, "`headers`"))
            .unwrap_or_default()
        {
            headers.push((self.header_name(key)?, self.header_value(node, place)?));
        }
        let body = match entries.get("body") {
            Some(node) => self.body(node, place)?,
            None => BodyTemplate::None,
        };
        let mut keep = Vec::new();
        for (key, node) in entries
            .get("keep")
            .map(|node| self.map(node, "`keep`"))
            .unwrap_or_default()
        {
            keep.push((key.text.clone(), self.keep(node)?));
        }
        let poll = match entries.get("poll") {
            Some(node) => Some(self.poll(node)?),
            None => None,
        };
        let socket = match entries.get("socket") {
            Some(node) => Some(self.socket(node, place)?),
            None => None,
        };
        let condition =
            |reading: &mut Self, name: &str| -> Option<Option<crate::template::Reference>> {
                match entries.get(name) {
                    None => Some(None),
                    Some(node) => {
                        let text = reading.text(node)?;
                        reading.reference(node, &optional(text), place).map(Some)
                    }
                }
            };
        Some(Step {
            service,
            method,
            target,
            query,
            headers,
            body,
            keep,
            poll,
            socket,
            cleanup: entries.get("cleanup").is_some_and(|node| self.flag(node)),
            auth: entries.get("auth").is_none_or(|node| self.flag(node)),
            when: condition(self, "when")?,
            unless: condition(self, "unless")?,
        })
    }

    /// `POST /v1/path/{$.kept.id}`.
    fn call_line(&mut self, node: &Node, place: Place<'_>) -> Option<(Method, Target)> {
        const METHODS: [Method; 5] = [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        let text = self.text(node)?;
        let parts = text.split_once(' ').and_then(|(method, path)| {
            let method = METHODS.into_iter().find(|known| known.as_str() == method)?;
            let path = path.trim();
            let stray = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#');
            let good = path.starts_with('/') && !outside(path).any(stray);
            good.then_some((method, path))
        });
        let Some((method, path)) = parts else {
            self.error(
                "E0910",
                node,
                format!("`{text}` is not a call"),
                "write a method and a path: `POST /v1/path`; parameters go under `query:`",
            );
            return None;
        };
        Some((method, Target::Path(self.interpolated(node, path, place)?)))
    }

    fn service_index(&mut self, step: &Node, named: Option<&Node>) -> Option<usize> {
        let Some(node) = named else {
            if self.services.is_empty() {
                self.missing(step, "service", "the vendor has no host to call");
                return None;
            }
            return Some(0);
        };
        let name = self.text(node)?;
        let at = self.services.iter().position(|known| known == name);
        if at.is_none() {
            let known: Vec<&str> = self
                .services
                .iter()
                .map(String::as_str)
                .filter(|name| !name.is_empty())
                .collect();
            let mistake = Diagnostic::error(
                "E0902",
                node.at,
                format!("the vendor has no service `{name}`"),
            )
            .help("services stand under `services:` in vendor.yaml; without a name it is the one of `base:`")
            .did_you_mean(name, known, 0);
            self.found.push(mistake);
        }
        at
    }

    fn pairs(
        &mut self,
        node: Option<&Node>,
        what: &str,
        place: Place<'_>,
    ) -> Option<Vec<(String, Template)>> {
        let Some(node) = node else {
            return Some(Vec::new());
        };
        let entries = self.map(node, what);
        entries
            .into_iter()
            .map(|(key, node)| Some((key.text.clone(), self.flat(node, place)?)))
            .collect()
    }

    fn body(&mut self, node: &Node, place: Place<'_>) -> Option<BodyTemplate> {
        let entries = self.record(
            node,
            "`body`",
            &["json", "form", "multipart", "raw", "text"],
        );
        let [(key, value)] = entries[..] else {
            self.error(
                "E0208",
                node,
                "`body` is exactly one of json, form, multipart, raw and text",
                "for a JSON body write `body: { json: { … } }`",
            );
            return None;
        };
        match key.text.as_str() {
            "json" => self.template(value, place).map(BodyTemplate::Json),
            "form" => self
                .pairs(Some(value), "`form`", place)
                .map(BodyTemplate::Form),
            "multipart" => {
                let mut parts = Vec::new();
                for (key, node) in self.map(value, "`multipart`") {
                    parts.push((key.text.clone(), self.part(node, place)?));
                }
                Some(BodyTemplate::Multipart(parts))
            }
            "raw" => {
                let blob = Self::blob_alone(value, place);
                if blob.is_none() {
                    self.not_a_blob(value, "raw", place);
                }
                blob.map(BodyTemplate::Raw)
            }
            _ => {
                self.record(value, "`text`", &["type", "content"]);
                let help = "write `text: { type: application/ssml+xml, content: \"<speak>{$.text | xml}</speak>\" }`";
                let [media_type, content] = self.needed(value, ["type", "content"], help)?;
                let media_type = self.text(media_type)?.to_owned();
                let pieces: Vec<&Node> = if let Value::List(items) = &content.value {
                    items.iter().collect()
                } else {
                    vec![content]
                };
                let pieces = pieces
                    .into_iter()
                    .map(|piece| self.template(piece, place))
                    .collect::<Option<Vec<_>>>()?;
                Some(BodyTemplate::Text(pieces, media_type))
            }
        }
    }

    fn part(&mut self, node: &Node, place: Place<'_>) -> Option<PartTemplate> {
        if let Some(json) = node.get("json") {
            self.record(node, "a part", &["json"]);
            return self.template(json, place).map(PartTemplate::Json);
        }
        if let Some(blob) = Self::blob_alone(node, place) {
            return Some(PartTemplate::File(blob));
        }
        self.flat(node, place).map(PartTemplate::Field)
    }

    fn not_a_blob(&mut self, node: &Node, key: &str, place: Place<'_>) {
        let blobs = place
            .contract
            .map(|contract| contract.blobs)
            .unwrap_or_default();
        let help = match blobs {
            [] => "the operation has no recording; its text goes in `json`, `form` or `text`"
                .to_owned(),
            [blob, ..] => format!("write `{key}: $.{blob}`"),
        };
        self.error(
            "E0202",
            node,
            "this should be a recording of the input, as it is",
            help,
        );
    }

    fn keep(&mut self, node: &Node) -> Option<Keep> {
        let path = self.text(node)?.to_owned();
        let from = match steps(&path).as_deref() {
            Some([PathStep::Name(first), PathStep::Name(name)]) if first == "header" => {
                HeaderName::try_from(name.as_str())
                    .ok()
                    .map(KeepFrom::Header)
            }
            _ => None,
        };
        let from = match from {
            Some(from) => from,
            None => KeepFrom::Body(self.body_steps(node)?),
        };
        Some(Keep { from, path })
    }

    fn poll(&mut self, node: &Node) -> Option<Poll> {
        let entries = Entries(self.record(
            node,
            "`poll`",
            &[
                "every", "up_to", "until", "done", "failed", "not_yet", "code", "message",
            ],
        ));
        let Some(every) = entries.get("every") else {
            self.missing(node, "every", "say how often to ask: `every: 2s`");
            return None;
        };
        let pause = self.duration(every)?;
        if pause.is_zero() {
            self.error(
                "E0204",
                every,
                "a job cannot be asked after all the time",
                "write `500ms` or more",
            );
            return None;
        }
        for (name, other) in [
            ("until", "done"),
            ("done", "until"),
            ("failed", "until"),
            ("code", "failed"),
            ("message", "failed"),
        ] {
            if entries.get(name).is_some() && entries.get(other).is_none() {
                self.missing(node, other, &format!("`{name}` means something only beside it: `until: $.body.status, done: completed, failed: error`"));
                return None;
            }
        }
        if entries.get("until").is_none() && entries.get("not_yet").is_none() {
            self.missing(node, "until", "say when the job is done, `until: $.body.status, done: completed`, or which errors mean that it is not, `not_yet: [NOT_READY]`");
            return None;
        }
        let up_to = match entries.get("up_to") {
            Some(node) => self.duration(node)?,
            None => pause * 4,
        };
        let mut path = |name: &str| match entries.get(name) {
            Some(node) => self.body_steps(node).map(Some),
            None => Some(None),
        };
        let (until, code, message) = (path("until")?, path("code")?, path("message")?);
        let mut words = |name: &str| {
            entries
                .get(name)
                .map(|node| self.scalars(node))
                .unwrap_or_default()
        };
        let (done, failed, not_yet) = (words("done"), words("failed"), words("not_yet"));
        Some(Poll {
            every: pause,
            up_to,
            until,
            done,
            failed,
            not_yet,
            code,
            message,
        })
    }

    fn socket(&mut self, node: &Node, place: Place<'_>) -> Option<Socket> {
        let keys = ["blob", "bytes", "pace", "first", "next", "last", "until"];
        self.record(node, "`socket`", &keys);
        let help = "a socket says which recording goes, in pieces of how many bytes, at what pace, in which messages, until what comes back";
        let [blob, bytes, pace, first, next, last, until] = self.needed(node, keys, help)?;
        let Some(recording) = Self::blob_alone(blob, place) else {
            self.not_a_blob(blob, "blob", place);
            return None;
        };
        let [(key, value)] = self.map(until, "`until`")[..] else {
            self.wrong(
                until,
                "a map with one key",
                "write `until: { data.status: 2 }`",
            );
            return None;
        };
        let value = match &value.value {
            Value::Integer(number) => serde_json::Value::from(*number),
            Value::Bool(flag) => serde_json::Value::from(*flag),
            _ => serde_json::Value::from(self.scalar(value)?),
        };
        Some(Socket {
            blob: recording,
            bytes: self.count(bytes, 1, 1 << 20)?,
            pace: self.duration(pace)?,
            first: self.template(first, place)?,
            next: self.template(next, place)?,
            last: self.template(last, place)?,
            until: (key.text.split('.').map(str::to_owned).collect(), value),
        })
    }

    fn returns(
        &mut self,
        contract: &'static Contract,
        node: &Node,
        batch: bool,
        place: Place<'_>,
    ) -> Option<Returns> {
        let draft = contract.draft;
        if !batch {
            self.promised(contract, node);
            // The whole body is a recording, and nothing else is.
            let whole = draft.fields.iter().position(|(name, _)| {
                *name == "audio" && node.get(name).and_then(Node::text) == Some("$.body")
            });
            if let Some(at) = whole {
                let fields: Vec<&str> = draft.fields.iter().map(|(name, _)| *name).collect();
                self.record(node, "`returns`", &fields);
                return Some(Returns::Whole(at, draft.fields.len()));
            }
            let mut builder = Builder::default();
            let (root, place) = self.roots(node, &mut builder, place);
            let expression = self.mapping(node, draft, "`returns`", &mut builder, place, &ROOTS);
            return Some(Returns::Json(Box::new(
                builder.finish(expression).below(root),
            )));
        }
        let [root, needs] = ROOTS;
        let entries = Entries(self.record(
            node,
            "`returns` of a batch",
            &["results", "errors", root, needs],
        ));
        let Some(results) = entries.get("results") else {
            self.missing(
                node,
                "results",
                "a batch returns `results: { each: …, as: { … } }`",
            );
            return None;
        };
        if let Some(item) = results.get("as") {
            self.promised(contract, item);
        }
        let mut builder = Builder::default();
        let (root, place) = self.roots(node, &mut builder, place);
        let results = self.mapped_items(results, draft, "`results`", &mut builder, place)?;
        let errors = match entries.get("errors") {
            Some(node) => Some(self.mapped_items(node, &ERROR, "`errors`", &mut builder, place)?),
            None => None,
        };
        let expression = crate::projection::Expression::Record(vec![Some(results), errors]);
        Some(Returns::Json(Box::new(
            builder.finish(expression).below(root),
        )))
    }

    /// An answer is made of something.
    fn promised(&mut self, contract: &Contract, node: &Node) {
        let promised = contract.promised;
        if matches!(node.value, Value::Map(_))
            && !promised.iter().any(|name| node.get(name).is_some())
        {
            self.missing(
                node,
                promised.first().copied().unwrap_or_default(),
                &format!(
                    "an answer of `{}` is made of {}",
                    contract.name,
                    promised.join(" or ")
                ),
            );
        }
    }

    fn limits(&mut self, contract: &'static Contract, node: &Node) -> Limits {
        const KEYS: [&str; 12] = [
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
        let entries = Entries(self.record(node, "`limits`", &KEYS));
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

    /// `{ usd: 0.006, per: minute, round: 1s, minimum: 15s }`; `named` are the models that a caller may name.
    fn price(&mut self, node: &Node, named: &[String]) -> Option<Price> {
        let entries = Entries(self.record(
            node,
            "`price`",
            &[
                "usd",
                "per",
                "round",
                "minimum",
                "models",
                "per_channel",
                "source",
            ],
        ));
        if let Some(source) = entries.get("source") {
            self.text(source);
        }
        let help = "write `price: { usd: 0.006, per: minute }`";
        let [usd, per] = self.needed(node, ["usd", "per"], help)?;
        let usd = self.amount(usd)?;
        let words = self.text(per)?;
        let unit = match words {
            "second" => Unit::Seconds(1.0),
            "minute" => Unit::Seconds(60.0),
            "hour" => Unit::Seconds(3_600.0),
            "request" => Unit::Requests,
            "character" => Unit::Characters(1.0),
            "1M characters" => Unit::Characters(1e6),
            _ => match words
                .strip_suffix(" characters")
                .and_then(|many| many.parse().ok())
                .filter(|many| (1.0..1e12).contains(many))
            {
                Some(many) => Unit::Characters(many),
                None => {
                    self.error("E0911", per, format!("`{words}` is not what a price is for"), "write second, minute, hour, character, `1000 characters`, `1M characters` or request");
                    return None;
                }
            },
        };
        let base = |reading: &mut Self, node: Option<&Node>, default: f64| match (node, unit) {
            (None, _) => Some(default),
            (Some(node), Unit::Seconds(_)) => reading
                .duration(node)
                .map(|duration: Duration| duration.as_secs_f64()),
            (Some(node), _) => reading.amount(node),
        };
        let round = base(self, entries.get("round"), 1.0)?;
        if let Some(node) = entries.get("round").filter(|_| round <= 0.0) {
            let help = "write `1s`, or how many characters are counted at a time";
            self.error("E0911", node, "nothing is rounded to nothing", help);
            return None;
        }
        let minimum = base(self, entries.get("minimum"), 0.0)?;
        let mut models = Vec::new();
        for (key, node) in entries
            .get("models")
            .map(|node| self.map(node, "`models`"))
            .unwrap_or_default()
        {
            if !named.contains(&key.text) {
                let message = format!("the operation has no model `{}`", key.text);
                let mistake = Diagnostic::error("E0902", key.at, message)
                    .help("callers name models that stand under `models:` of the operation")
                    .did_you_mean(&key.text, named.iter().map(String::as_str), 0);
                self.found.push(mistake);
            }
            models.push((key.text.clone(), self.amount(node)?));
        }
        let per_channel = entries
            .get("per_channel")
            .is_some_and(|node| self.flag(node));
        Some(Price {
            usd,
            models,
            unit,
            round,
            minimum,
            per_channel,
        })
    }

    /// An amount of money or of what is counted.
    fn amount(&mut self, node: &Node) -> Option<f64> {
        let number = self.number(node)?;
        if (0.0..1e12).contains(&number) {
            return Some(number);
        }
        let help = "write `0` for what is free";
        self.error(
            "E0911",
            node,
            "a price is not negative, nor beyond counting",
            help,
        );
        None
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
