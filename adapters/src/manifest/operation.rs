//! One operation of a vendor: steps, bodies, limits, price, and what comes back.

use std::time::Duration;

use http::{HeaderName, Method};
use isobar_config::{Diagnostic, Key, Node, Step as PathStep, Value, steps};

use super::reading::{Place, Reading, optional};
use crate::{
    capability::{CONTRACTS, Contract},
    draft::{Draft, Kind},
    engine::ENGINES,
    limits::Limits,
    price::{Price, Unit},
    projection::Builder,
    template::Template,
    vendor::{BodyTemplate, Calls, How, Keep, KeepFrom, Operation, PartTemplate, Poll, Returns, Socket, Step, Target},
};

/// Keys of one request.
const REQUEST: [&str; 12] = ["service", "call", "fetch", "query", "headers", "body", "keep", "poll", "socket", "cleanup", "auth", "when"];
/// Keys of an operation; those of a request when it has only one.
const OPERATION: [&str; 9] = ["docs", "steps", "returns", "limits", "price", "batch", "models", "ignores", "hook"];

/// An error of one document of a batch.
pub(crate) static ERROR: Draft = Draft {
    fields: &[("index", Kind::Value), ("id", Kind::Value), ("code", Kind::Value), ("message", Kind::Value)],
};

/// `{ text: …, html: … }` and the like, taken apart once.
struct Entries<'n>(Vec<(&'n Key, &'n Node)>);

impl<'n> Entries<'n> {
    fn get(&self, name: &str) -> Option<&'n Node> {
        self.0.iter().find(|(key, _)| key.text == name).map(|(_, value)| *value)
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
                Some(contract) => operations.extend(self.operation(contract, node, default_service)),
                None => {
                    let known = CONTRACTS.iter().filter(|contract| contract.capability() == capability).map(Contract::verb);
                    let message = format!("`{capability}` has no operation `{}`", key.text);
                    self.found.push(Diagnostic::error("E0907", key.at, message).did_you_mean(&key.text, known, 0));
                }
            }
        }
        self.tables = before;
        operations
    }

    fn operation(&mut self, contract: &'static Contract, node: &Node, default_service: Option<&Node>) -> Option<Operation> {
        if let Some(engine) = node.get("engine") {
            return self.engine(contract, node, engine);
        }
        let known: Vec<&str> = OPERATION.iter().chain(&REQUEST).copied().chain(["unless"]).collect();
        let entries = Entries(self.record(node, "an operation", &known));
        let before = self.found.len();
        let batch = entries.get("batch").and_then(|node| self.count(node, 1, 1_000)).unwrap_or(1);
        let limits = entries.get("limits").map(|node| self.limits(contract, node)).unwrap_or_default();
        let mut kept = Vec::new();
        let needs = limits.needs.clone();
        let mut steps = Vec::new();
        if let Some(list) = entries.get("steps") {
            for (_, node) in self.map(list, "`steps`") {
                let place = Place { contract: Some(contract), batch: batch > 1, kept: &kept.clone(), needs: &needs, item: false };
                let known: Vec<&str> = REQUEST.iter().copied().chain(["unless"]).collect();
                let entries = Entries(self.record(node, "a step", &known));
                steps.extend(self.step(node, &entries, default_service, place));
                let names = entries.get("keep").map(Node::entries).unwrap_or_default();
                kept.extend(names.iter().map(|(key, _)| key.text.clone()));
            }
        } else {
            let place = Place { contract: Some(contract), batch: batch > 1, kept: &[], needs: &needs, item: false };
            steps.extend(self.step(node, &entries, default_service, place));
        }
        let place = Place { contract: Some(contract), batch: batch > 1, kept: &kept, needs: &needs, item: false };
        let returns = match entries.get("returns") {
            Some(node) => self.returns(contract, node, batch, place),
            None => {
                self.missing(node, "returns", "say where the answer's fields are: `returns: { text: $.body.text }`");
                None
            }
        };
        self.unsaid(contract, node, &entries, &limits);
        let hook = match entries.get("hook") {
            None => None,
            Some(node) => {
                let name = self.text(node)?;
                let found = self.hooks.iter().find(|(vendor, known, _)| *vendor == self.folder && *known == name);
                if found.is_none() {
                    let folder = self.folder.clone();
                    let known: Vec<&str> = self.hooks.iter().filter(|(vendor, ..)| *vendor == folder).map(|(_, name, _)| *name).collect();
                    self.found.push(Diagnostic::error("E0908", node.at, format!("there is no hook `{name}`")).did_you_mean(name, known, 0).help("hooks are Rust functions of the vendor's folder; a manifest loaded at run time has none"));
                }
                found.map(|(_, _, hook)| *hook)
            }
        };
        let price = entries.get("price").and_then(|node| self.price(node));
        let models = entries.get("models").map(|node| self.scalars(node)).unwrap_or_default();
        let docs = entries.get("docs").and_then(|node| self.text(node)).map(str::to_owned);
        (self.found.len() == before).then_some(())?;
        let calls = Calls { steps, returns: returns?, hook };
        Some(Operation { contract, docs, kind: How::Calls(calls), limits, price, batch, models })
    }

    fn engine(&mut self, contract: &'static Contract, node: &Node, engine: &Node) -> Option<Operation> {
        self.record(node, "an operation in this process", &["engine", "limits", "docs", "ignores"]);
        let name = self.text(engine)?;
        let Some((_, found)) = ENGINES.iter().find(|(known, _)| *known == name) else {
            let mistake = Diagnostic::error("E0908", engine.at, format!("there is no engine `{name}`"));
            self.found.push(mistake.did_you_mean(name, ENGINES.iter().map(|(name, _)| *name), 0));
            return None;
        };
        let limits = node.get("limits").map(|node| self.limits(contract, node)).unwrap_or_default();
        let docs = node.get("docs").and_then(|node| self.text(node)).map(str::to_owned);
        Some(Operation { contract, docs, kind: How::Engine(*found), limits, price: None, batch: 1, models: Vec::new() })
    }

    /// An input field that a manifest neither uses nor refuses would be ignored in silence.
    fn unsaid(&mut self, contract: &'static Contract, node: &Node, entries: &Entries<'_>, limits: &Limits) {
        let mut used = Vec::new();
        mentions(node, &mut used);
        let ignores = entries.get("ignores").map(|node| self.scalars(node)).unwrap_or_default();
        if let Some(node) = entries.get("ignores") {
            for name in &ignores {
                if !contract.fields().iter().any(|(known, _)| known == name) {
                    let known: Vec<&str> = contract.fields().iter().map(|(name, _)| name.as_str()).collect();
                    self.found.push(Diagnostic::error("E0902", node.at, format!("`{}` has no input `{name}`", contract.name)).did_you_mean(name, known, 0));
                }
            }
        }
        for (name, _) in contract.fields() {
            let said = used.iter().any(|word| word == name) || ignores.contains(name) || limits.cannot.iter().any(|(field, values)| field == name && values.is_empty()) || limits.languages.iter().any(|(field, _)| field == name);
            if !said {
                self.error("E0909", node, format!("nothing is said of the input `{name}`"), format!("use `$.{name}`, or put it under `limits: cannot:` (the vendor is passed over) or `ignores:` (it makes no difference)"));
            }
        }
    }

    fn step(&mut self, node: &Node, entries: &Entries<'_>, default_service: Option<&Node>, place: Place<'_>) -> Option<Step> {
        let (method, target) = match (entries.get("call"), entries.get("fetch")) {
            (Some(call), None) => self.call_line(call, place)?,
            (None, Some(fetch)) => {
                let text = self.text(fetch)?;
                (Method::GET, Target::Address(self.reference(fetch, text, place)?))
            }
            _ => {
                self.missing(node, "call", "write `call: POST /v1/path`, or `fetch: $.kept.address`");
                return None;
            }
        };
        let service = self.service_index(node, entries.get("service").or(default_service))?;
        let query = self.pairs(entries.get("query"), "`query`", place)?;
        let mut headers: Vec<(HeaderName, Template)> = Vec::new();
        for (key, node) in entries.get("headers").map(|node| self.map(node, "`headers`")).unwrap_or_default() {
            headers.push((self.header_name(key)?, self.template(node, place)?));
        }
        let body = match entries.get("body") {
            Some(node) => self.body(node, place)?,
            None => BodyTemplate::None,
        };
        let mut keep = Vec::new();
        for (key, node) in entries.get("keep").map(|node| self.map(node, "`keep`")).unwrap_or_default() {
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
        let condition = |reading: &mut Self, name: &str| -> Option<Option<crate::template::Reference>> {
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
        const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let text = self.text(node)?;
        let parts = text.split_once(' ').and_then(|(method, path)| {
            let method = METHODS.into_iter().find(|known| known.as_str() == method)?;
            let path = path.trim();
            (path.starts_with('/') && !path.contains('?')).then_some((method, path))
        });
        let Some((method, path)) = parts else {
            self.error("E0910", node, format!("`{text}` is not a call"), "write a method and a path: `POST /v1/path`; parameters go under `query:`");
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
            let known: Vec<&str> = self.services.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
            let mistake = Diagnostic::error("E0902", node.at, format!("the vendor has no service `{name}`")).did_you_mean(name, known, 0);
            self.found.push(mistake);
        }
        at
    }

    fn pairs(&mut self, node: Option<&Node>, what: &str, place: Place<'_>) -> Option<Vec<(String, Template)>> {
        let Some(node) = node else { return Some(Vec::new()) };
        let entries = self.map(node, what);
        entries.into_iter().map(|(key, node)| Some((key.text.clone(), self.template(node, place)?))).collect()
    }

    fn body(&mut self, node: &Node, place: Place<'_>) -> Option<BodyTemplate> {
        let entries = self.record(node, "`body`", &["json", "form", "multipart", "raw", "text"]);
        let [(key, value)] = entries[..] else {
            self.error("E0208", node, "`body` is exactly one of json, form, multipart, raw and text", "for a JSON body write `body: { json: { … } }`");
            return None;
        };
        match key.text.as_str() {
            "json" => self.template(value, place).map(BodyTemplate::Json),
            "form" => self.pairs(Some(value), "`form`", place).map(BodyTemplate::Form),
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
                let media_type = value.get("type").and_then(|node| self.text(node))?.to_owned();
                let content = value.get("content")?;
                let text = self.text_template(content, place)?;
                Some(BodyTemplate::Text(text, media_type))
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
            Some([PathStep::Name(first), PathStep::Name(name)]) if first == "header" => HeaderName::try_from(name.as_str()).ok().map(KeepFrom::Header),
            _ => None,
        };
        let from = match from {
            Some(from) => from,
            None => KeepFrom::Body(self.body_steps(node)?),
        };
        Some(Keep { from, path })
    }

    fn poll(&mut self, node: &Node) -> Option<Poll> {
        let entries = Entries(self.record(node, "`poll`", &["every", "up_to", "until", "done", "failed", "message"]));
        let (Some(every), Some(until), Some(done)) = (entries.get("every"), entries.get("until"), entries.get("done")) else {
            self.missing(node, "every, until or done", "write `poll: { every: 2s, until: $.body.status, done: completed, failed: error }`");
            return None;
        };
        let every = self.duration(every)?;
        let up_to = match entries.get("up_to") {
            Some(node) => self.duration(node)?,
            None => every * 4,
        };
        let message = match entries.get("message") {
            Some(node) => Some(self.body_steps(node)?),
            None => None,
        };
        Some(Poll {
            every,
            up_to,
            until: self.body_steps(until)?,
            done: self.scalars(done),
            failed: entries.get("failed").map(|node| self.scalars(node)).unwrap_or_default(),
            message,
        })
    }

    fn socket(&mut self, node: &Node, place: Place<'_>) -> Option<Socket> {
        let entries = Entries(self.record(node, "`socket`", &["blob", "bytes", "pace", "first", "next", "last", "until"]));
        for name in ["blob", "bytes", "pace", "first", "next", "last", "until"] {
            if entries.get(name).is_none() {
                self.missing(node, name, "a socket says which blob, in pieces of how many bytes, at what pace, in which messages, until what");
                return None;
            }
        }
        let Template::Blob(blob) = self.template(entries.get("blob")?, place)? else {
            self.wrong(entries.get("blob")?, "a blob of the input", "write `blob: $.audio`");
            return None;
        };
        let until = entries.get("until")?;
        let [(key, value)] = self.map(until, "`until`")[..] else {
            self.wrong(until, "a map with one key", "write `until: { data.status: 2 }`");
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

    fn returns(&mut self, contract: &'static Contract, node: &Node, batch: usize, place: Place<'_>) -> Option<Returns> {
        let draft = contract.draft;
        if batch == 1 {
            let whole = node.entries().iter().find(|(_, value)| value.text() == Some("$.body"));
            if let Some((key, _)) = whole {
                let at = draft.fields.iter().position(|(name, _)| *name == key.text);
                let Some(at) = at else {
                    self.record(node, "`returns`", &draft.fields.iter().map(|(name, _)| *name).collect::<Vec<_>>());
                    return None;
                };
                return Some(Returns::Whole(at, draft.fields.len()));
            }
            let mut builder = Builder::default();
            let expression = self.mapping(node, draft, "`returns`", &mut builder, place, true);
            return Some(Returns::Json(Box::new(builder.finish(expression))));
        }
        let entries = Entries(self.record(node, "`returns` of a batch", &["results", "errors"]));
        let Some(results) = entries.get("results") else {
            self.missing(node, "results", "a batch returns `results: { each: …, as: { … } }`");
            return None;
        };
        let mut builder = Builder::default();
        let results = self.mapped_items(results, draft, "`results`", &mut builder, place, true)?;
        let errors = match entries.get("errors") {
            Some(node) => Some(self.mapped_items(node, &ERROR, "`errors`", &mut builder, place, true)?),
            None => None,
        };
        let expression = crate::projection::Expression::Record(vec![Some(results), errors]);
        Some(Returns::Json(Box::new(builder.finish(expression))))
    }

    fn limits(&mut self, contract: &'static Contract, node: &Node) -> Limits {
        const KEYS: [&str; 10] = ["audio", "duration", "text", "formats", "sample_rates", "channels", "languages", "cannot", "needs", "needs_account"];
        let entries = Entries(self.record(node, "`limits`", &KEYS));
        let mut limits = Limits::default();
        limits.blob = entries.get("audio").and_then(|node| self.size(node));
        limits.duration = entries.get("duration").and_then(|node| self.duration(node)).map(|duration| duration.as_secs_f64());
        if let Some(node) = entries.get("text")
            && let Some(text) = self.scalar(node)
        {
            match text.strip_suffix("bytes").map(|bytes| bytes.trim().parse()) {
                Some(Ok(bytes)) => limits.bytes = Some(bytes),
                None if text.parse::<usize>().is_ok() => limits.characters = text.parse().ok(),
                _ => self.error("E0403", node, format!("`{text}` is not a length of text"), "write characters, `5000`, or bytes, `5120 bytes`"),
            }
        }
        limits.formats = entries.get("formats").map(|node| self.scalars(node)).unwrap_or_default();
        limits.sample_rates = entries.get("sample_rates").map(|node| self.scalars(node)).unwrap_or_default().iter().filter_map(|rate| rate.parse().ok()).collect();
        limits.channels = entries.get("channels").and_then(|node| self.count(node, 1, 64)).and_then(|channels| u16::try_from(channels).ok());
        for (key, node) in entries.get("languages").map(|node| self.map(node, "`languages`")).unwrap_or_default() {
            if !contract.fields().iter().any(|(name, _)| *name == key.text) {
                let known: Vec<&str> = contract.fields().iter().map(|(name, _)| name.as_str()).collect();
                self.found.push(Diagnostic::error("E0902", key.at, format!("`{}` has no input `{}`", contract.name, key.text)).did_you_mean(&key.text, known, 0));
            }
            let table = if let Value::List(_) = node.value {
                Some(self.scalars(node).into_iter().map(|tag| (tag.clone(), tag)).collect())
            } else {
                let name = self.text(node).unwrap_or_default().to_owned();
                let table = self.tables.get(&name).map(|table| (**table).clone());
                if table.is_none() {
                    let known: Vec<String> = self.tables.keys().cloned().collect();
                    self.found.push(Diagnostic::error("E0903", node.at, format!("there is no table `{name}`")).did_you_mean(&name, known.iter().map(String::as_str), 0));
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
                    limits.cannot.push((key.text.clone(), self.scalars(node)));
                }
            } else {
                limits.cannot = self.scalars(node).into_iter().map(|name| (name, Vec::new())).collect();
            }
        }
        limits.needs = entries.get("needs").map(|node| self.scalars(node)).unwrap_or_default();
        limits.needs_account = entries.get("needs_account").map(|node| self.scalars(node)).unwrap_or_default();
        let inputs = limits.cannot.iter().map(|(name, _)| name).chain(&limits.needs);
        let unknown: Vec<String> = inputs.filter(|name| !contract.fields().iter().any(|(known, _)| known == *name)).cloned().collect();
        for name in unknown {
            let known: Vec<&str> = contract.fields().iter().map(|(name, _)| name.as_str()).collect();
            self.found.push(Diagnostic::error("E0902", node.at, format!("`{}` has no input `{name}`", contract.name)).did_you_mean(&name, known, 0));
        }
        limits
    }

    /// `{ usd: 0.006, per: minute, round: 1s, minimum: 15s }`.
    fn price(&mut self, node: &Node) -> Option<Price> {
        let entries = Entries(self.record(node, "`price`", &["usd", "per", "round", "minimum", "source"]));
        let (Some(usd), Some(per)) = (entries.get("usd"), entries.get("per")) else {
            self.missing(node, "usd or per", "write `price: { usd: 0.006, per: minute }`");
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
            _ => match words.strip_suffix(" characters").and_then(|many| many.parse().ok()) {
                Some(many) => Unit::Characters(many),
                None => {
                    self.error("E0911", per, format!("`{words}` is not what a price is for"), "write second, minute, hour, character, `1000 characters`, `1M characters` or request");
                    return None;
                }
            },
        };
        let base = |reading: &mut Self, node: Option<&Node>, default: f64| match (node, unit) {
            (None, _) => Some(default),
            (Some(node), Unit::Seconds(_)) => reading.duration(node).map(|duration: Duration| duration.as_secs_f64()),
            (Some(node), _) => reading.number(node),
        };
        let round = base(self, entries.get("round"), 1.0)?;
        let minimum = base(self, entries.get("minimum"), 0.0)?;
        if round <= 0.0 || usd < 0.0 {
            self.error("E0911", node, "prices are not negative, and are rounded to more than nothing", "write `usd: 0` for what is free");
            return None;
        }
        Some(Price { usd, unit, round, minimum })
    }
}

/// Every `$.name` in a node's texts.
fn mentions(node: &Node, used: &mut Vec<String>) {
    match &node.value {
        Value::Text(text) => {
            for (at, _) in text.match_indices("$.") {
                let rest = text.get(at + 2..).unwrap_or_default();
                let rest = rest.strip_prefix("input.").unwrap_or(rest);
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                used.push(rest.get(..end).unwrap_or_default().to_owned());
            }
        }
        Value::List(items) => items.iter().for_each(|item| mentions(item, used)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| mentions(value, used)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
    }
}
