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

use super::reading::{Place, Reading, each, optional};
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
        let entries = Entries(self.record(node, "an operation", &known));
        let before = self.found.len();
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
            for (_, node) in self.map(list, "`steps`") {
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
        self.unsaid(contract, key, node, &entries, &limits);
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
                return batch;
            };
            most
        } else {
            node
        };
        batch.most = self.count(most, 1, 1_000).unwrap_or(1);
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
        mentions(node, &mut used);
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
        for (name, _) in contract.fields() {
            let said = used.iter().any(|word| word == name)
                || ignores.contains(name)
                || limits
                    .cannot
                    .iter()
                    .any(|(field, values)| field == name && values.is_empty())
                || limits.languages.iter().any(|(field, _)| field == name);
            if !said {
                self.key_error("E0909", key.at, format!("nothing is said of the input `{name}`"), format!("use `$.{name}`, or put it under `limits: cannot:` (the vendor is passed over) or `ignores:` (it makes no difference)"));
            }
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
            _ => {
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
            headers.push((self.header_name(key)?, self.template(node, place)?));
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
            (path.starts_with('/') && !path.contains('?')).then_some((method, path))
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
            .map(|(key, node)| Some((key.text.clone(), self.template(node, place)?)))
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
            "raw" => match self.template(value, place)? {
                Template::Blob(blob) => Some(BodyTemplate::Raw(blob)),
                _ => {
                    self.wrong(value, "a blob of the input", "write `raw: $.audio`");
                    None
                }
            },
            _ => {
                self.record(value, "`text`", &["type", "content"]);
                let media_type = value
                    .get("type")
                    .and_then(|node| self.text(node))?
                    .to_owned();
                let content = value.get("content")?;
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
        Some(match self.template(node, place)? {
            Template::Blob(blob) => PartTemplate::File(blob),
            other => PartTemplate::Field(other),
        })
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
        let every = self.duration(every)?;
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
            None => every * 4,
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
            every,
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
        let entries = Entries(self.record(
            node,
            "`socket`",
            &["blob", "bytes", "pace", "first", "next", "last", "until"],
        ));
        for name in ["blob", "bytes", "pace", "first", "next", "last", "until"] {
            if entries.get(name).is_none() {
                self.missing(node, name, "a socket says which blob, in pieces of how many bytes, at what pace, in which messages, until what");
                return None;
            }
        }
        let Template::Blob(blob) = self.template(entries.get("blob")?, place)? else {
            self.wrong(
                entries.get("blob")?,
                "a blob of the input",
                "write `blob: $.audio`",
            );
            return None;
        };
        let until = entries.get("until")?;
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
            blob,
            bytes: self.count(entries.get("bytes")?, 1, 1 << 20)?,
            pace: self.duration(entries.get("pace")?)?,
            first: self.template(entries.get("first")?, place)?,
            next: self.template(entries.get("next")?, place)?,
            last: self.template(entries.get("last")?, place)?,
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
            let whole = node
                .entries()
                .iter()
                .find(|(_, value)| value.text() == Some("$.body"));
            if let Some((key, _)) = whole {
                let at = draft.fields.iter().position(|(name, _)| *name == key.text);
                let Some(at) = at else {
                    self.record(
                        node,
                        "`returns`",
                        &draft
                            .fields
                            .iter()
                            .map(|(name, _)| *name)
                            .collect::<Vec<_>>(),
                    );
                    return None;
                };
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
            let table = if let Value::List(_) = node.value {
                Some(
                    self.scalars(node)
                        .into_iter()
                        .map(|tag| (tag.clone(), tag))
                        .collect(),
                )
            } else {
                let name = self.text(node).unwrap_or_default().to_owned();
                let table = self.tables.get(&name).map(|table| (**table).clone());
                if table.is_none() {
                    let known: Vec<String> = self.tables.keys().cloned().collect();
                    self.found.push(
                        Diagnostic::error("E0903", node.at, format!("there is no table `{name}`"))
                            .did_you_mean(&name, known.iter().map(String::as_str), 0),
                    );
                }
                table
            };
            if let Some(table) = table {
                limits.languages.push((key.text.clone(), table));
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
        let (Some(usd), Some(per)) = (entries.get("usd"), entries.get("per")) else {
            self.missing(
                node,
                "usd or per",
                "write `price: { usd: 0.006, per: minute }`",
            );
            return None;
        };
        let usd = self.number(usd)?;
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
            (Some(node), _) => reading.number(node),
        };
        let round = base(self, entries.get("round"), 1.0)?;
        let minimum = base(self, entries.get("minimum"), 0.0)?;
        let mut models = Vec::new();
        for (key, node) in entries
            .get("models")
            .map(|node| self.map(node, "`models`"))
            .unwrap_or_default()
        {
            if !named.contains(&key.text) {
                let message = format!("the operation has no model `{}`", key.text);
                self.found
                    .push(Diagnostic::error("E0902", key.at, message).did_you_mean(
                        &key.text,
                        named.iter().map(String::as_str),
                        0,
                    ));
            }
            models.push((key.text.clone(), self.number(node)?));
        }
        let per_channel = entries
            .get("per_channel")
            .is_some_and(|node| self.flag(node));
        let negative = models
            .iter()
            .map(|(_, usd)| *usd)
            .chain([usd, minimum])
            .any(|number| !(0.0..1e12).contains(&number));
        if negative || !(round > 0.0 && round < 1e12) {
            self.error(
                "E0911",
                node,
                "prices are not negative, and are rounded to more than nothing",
                "write `usd: 0` for what is free",
            );
            return None;
        }
        Some(Price {
            usd,
            models,
            unit,
            round,
            minimum,
            per_channel,
        })
    }
}

/// Every `$.name` in a node's texts.
fn mentions(node: &Node, used: &mut Vec<String>) {
    match &node.value {
        Value::Text(text) => {
            for (at, _) in text.match_indices("$.") {
                let rest = text.get(at + 2..).unwrap_or_default();
                let rest = rest.strip_prefix("input.").unwrap_or(rest);
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                used.push(rest.get(..end).unwrap_or_default().to_owned());
            }
        }
        Value::List(items) => items.iter().for_each(|item| mentions(item, used)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| mentions(value, used)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
    }
}
