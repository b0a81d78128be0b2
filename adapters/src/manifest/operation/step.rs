//! One request: where it goes, what is kept of its answer, and how jobs and sockets are followed.

use http::{HeaderName, Method};
use isobar_config::{Diagnostic, Node, Step as PathStep, Value, steps};

use super::{
    super::{
        reading::{Place, Reading, optional},
        vendor::outside,
    },
    Entries, POLL, SOCKET,
};
use crate::{
    template::Template,
    vendor::{BodyTemplate, Keep, KeepFrom, Poll, Socket, Step, Target},
};

impl Reading<'_> {
    pub(super) fn step(
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
        let entries = Entries(self.record(node, "`poll`", &POLL));
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
        self.record(node, "`socket`", &SOCKET);
        let help = "a socket says which recording goes, in pieces of how many bytes, at what pace, in which messages, until what comes back";
        let [blob, bytes, pace, first, next, last, until] = self.needed(node, SOCKET, help)?;
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
}
