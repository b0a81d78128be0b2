//! Plain HTTP requests: where they go, what they carry, and whether they may.

use http::{HeaderName, HeaderValue, Method};
use isobar_config::{Effect, Node, Secret, Span, Value, expanded};

use super::{
    reading::Reading,
    scope::{Scope, Uses},
    table::{self, EFFECTS, METHODS},
    value::{Kind, Want, kind},
};
use crate::{
    plan::{Given, Host, Http, HttpBody, Url},
    shape::Shape,
};

/// Largest answer unless it says otherwise, in bytes.
const MOST: u64 = 10_000_000;

/// What a request answers. Mistakes in its type are said here, and nowhere else.
pub(crate) fn http_shape(reading: &mut Reading<'_>, node: &Node) -> Shape {
    let body = node
        .get("returns")
        .and_then(|returns| reading.kind_of(returns, true))
        .map_or(Shape::Any, |(shape, _)| shape);
    let headers = Shape::Object {
        fields: std::collections::BTreeMap::new(),
        others: Some(Box::new(Shape::text())),
    };
    Shape::object([
        ("status", Shape::Integer),
        ("headers", headers),
        ("body", body),
    ])
}

impl Reading<'_> {
    /// What repeating a request does. Mistakes in the words are said later.
    pub(crate) fn http_effect(&mut self, node: &Node) -> Effect {
        if let Some(word) = node.get("effect").and_then(Node::text) {
            match word {
                "read" => return Effect::Read,
                "idempotent" => return Effect::Idempotent,
                "keyed" => return Effect::Keyed,
                _ => return Effect::Unsafe,
            }
        }
        let method = match node.text() {
            Some(text) => text.split(' ').next().filter(|_| text.contains(' ')),
            None => node.get("method").and_then(Node::text),
        };
        match method.unwrap_or("GET") {
            "GET" | "HEAD" | "OPTIONS" => Effect::Read,
            "PUT" | "DELETE" => Effect::Idempotent,
            _ if node.get("key").is_some() => Effect::Keyed,
            _ => Effect::Unsafe,
        }
    }

    pub(crate) fn http(
        &mut self,
        node: &Node,
        scope: &Scope<'_>,
        uses: &mut Uses,
        hosts: &[(Host, Span)],
    ) -> Option<Http> {
        if let Some(text) = node.text() {
            let (method, url) = text.split_once(' ').unwrap_or(("GET", text));
            let start = text.len() - url.len();
            let method = self.method(method, self.part(node, 0, method.len()))?;
            let url = self.known_url(node, url.trim(), start, None, scope, uses, hosts)?;
            return Some(Http {
                method,
                url,
                query: Vec::new(),
                headers: Vec::new(),
                body: HttpBody::None,
                bearer: None,
                accept: Vec::new(),
                key: None,
                most: MOST,
            });
        }
        let mut http = Http {
            method: Method::GET,
            url: Url::Known {
                texts: Vec::new(),
                parameters: Vec::new(),
            },
            query: Vec::new(),
            headers: Vec::new(),
            body: HttpBody::None,
            bearer: None,
            accept: Vec::new(),
            key: None,
            most: MOST,
        };
        let returned = node
            .get("returns")
            .and_then(Node::text)
            .and_then(|text| crate::shape::notation(text).ok())
            .and_then(|noted| noted.most);
        if let Some(most) = returned {
            http.most = most;
        }
        for (key, value) in self.record(node, &table::HTTP) {
            match key.text.as_str() {
                "method" => {
                    let text = self.text(value, "write a method: `PUT`")?;
                    http.method = self.method(&text, value.at)?;
                }
                "url" => http.url = self.url(value, node.get("path"), scope, uses, hosts)?,
                "query" => http.query = self.parameters(value, "the query", scope, uses),
                "headers" => http.headers = self.headers(value, scope, uses),
                "json" => {
                    let want = Want {
                        what: "the JSON body",
                        shape: &Shape::Any,
                        blobs: false,
                    };
                    http.body = HttpBody::Json(self.given(value, want, scope, uses).given);
                }
                "body" => http.body = HttpBody::Raw(self.raw(value, scope, uses)),
                "bearer" => http.bearer = self.bearer(value),
                "accept" => http.accept = self.accept(value),
                "key" => {
                    let text = self.text(value, "write a header's name: `Idempotency-Key`")?;
                    http.key = self.header_name(value.at, &text);
                }
                "effect" => {
                    self.word(value, &EFFECTS);
                }
                "most" => http.most = self.size(value, "an answer", "100MB").unwrap_or(MOST),
                // `path` is read with the URL, `returns` with the shape.
                _ => {}
            }
        }
        if let (Some(_), Some((key, _))) = (
            node.get("json"),
            node.entries().iter().find(|(key, _)| key.text == "body"),
        ) {
            self.error(
                "E1034",
                key.at,
                "a request has one body, and this has two",
                "keep one of `json` and `body`",
            );
        }
        let bodiless = matches!(http.method.as_str(), "GET" | "HEAD" | "OPTIONS");
        if bodiless
            && let Some((key, _)) = node
                .entries()
                .iter()
                .find(|(key, _)| matches!(key.text.as_str(), "json" | "body"))
        {
            self.error(
                "E1035",
                key.at,
                format!("`{}` does not go with `{}`", key.text, http.method),
                "send it by `method: POST`; what the request asks for goes into `query`",
            );
        }
        if node.get("effect").and_then(Node::text) == Some("keyed") && http.key.is_none() {
            self.error(
                "E1019",
                node.get("effect").map_or(node.at, |effect| effect.at),
                "the request is `keyed`, and no header has the key",
                "name the header that the service looks at: `key: Idempotency-Key`",
            );
        }
        Some(http)
    }

    fn method(&mut self, text: &str, at: Span) -> Option<Method> {
        if !METHODS.contains(&text) {
            self.error(
                "E0407",
                at,
                format!("`{text}` is not a method that is sent"),
                "GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS are, in capitals",
            );
            return None;
        }
        Method::from_bytes(text.as_bytes()).ok()
    }

    /// A value that is written as a text: in a path, a query, a header.
    pub(super) fn scalar(
        &mut self,
        node: &Node,
        what: &str,
        absent: bool,
        scope: &Scope<'_>,
        uses: &mut Uses,
    ) -> Given {
        let any = Want {
            what,
            shape: &Shape::Any,
            blobs: false,
        };
        let before = self.found.len();
        let valued = self.given(node, any, scope, uses);
        if self.found.len() > before {
            return valued.given;
        }
        let flat = matches!(
            valued.shape.present(),
            Shape::Any
                | Shape::Bool
                | Shape::Integer
                | Shape::Number
                | Shape::Text(_)
                | Shape::Nothing
        );
        if !flat {
            self.error(
                "E1008",
                node.at,
                format!(
                    "{what} is a text or a number, and this is {}",
                    valued.shape.present()
                ),
                "refer to a field of it",
            );
        } else if !absent {
            let want = Want {
                what,
                shape: &match valued.shape.present() {
                    Shape::Nothing => Shape::text(),
                    shape => shape.clone(),
                },
                blobs: false,
            };
            self.fit(node, &valued.shape, want, Some(scope));
        }
        valued.given
    }

    fn parameters(
        &mut self,
        node: &Node,
        what: &str,
        scope: &Scope<'_>,
        uses: &mut Uses,
    ) -> Vec<(String, Given)> {
        if !matches!(node.value, Value::Map(_)) {
            self.wrong(node, "a map", "write `{ name: value }`");
        }
        node.entries()
            .iter()
            .map(|(key, value)| {
                let label = format!("`{}` of {what}", key.text);
                (
                    key.text.clone(),
                    self.scalar(value, &label, true, scope, uses),
                )
            })
            .collect()
    }

    /// Headers of a request or an answer: those whose value is absent are left out.
    pub(crate) fn headers(
        &mut self,
        node: &Node,
        scope: &Scope<'_>,
        uses: &mut Uses,
    ) -> Vec<(HeaderName, Given)> {
        if !matches!(node.value, Value::Map(_)) {
            self.wrong(node, "a map", "write `{ x-name: value }`");
        }
        let mut headers: Vec<(HeaderName, Given)> = Vec::new();
        for (key, value) in node.entries() {
            let Some(name) = self.header_name(key.at, &key.text) else {
                continue;
            };
            if headers.iter().any(|(known, _)| *known == name) {
                self.error(
                    "E0103",
                    key.at,
                    format!("`{name}` stands here twice"),
                    "header names are the same in capitals; remove one of the two",
                );
            }
            let given = self.scalar(value, &format!("the header `{name}`"), true, scope, uses);
            if let Given::Literal(serde_json::Value::String(text)) = &given
                && HeaderValue::from_str(text).is_err()
            {
                self.error(
                    "E0410",
                    value.at,
                    "this cannot be the value of a header",
                    "leave out line breaks and control characters",
                );
            }
            headers.push((name, given));
        }
        headers
    }

    /// `body:`, a blob or a text.
    fn raw(&mut self, node: &Node, scope: &Scope<'_>, uses: &mut Uses) -> Given {
        let want = Want {
            what: "the body",
            shape: &Shape::Any,
            blobs: true,
        };
        let before = self.found.len();
        let valued = self.given(node, want, scope, uses);
        let good = matches!(
            valued.shape.present(),
            Shape::Blob | Shape::Text(_) | Shape::Any
        );
        if !good && self.found.len() == before {
            self.error(
                "E1008",
                node.at,
                format!(
                    "the body is a blob or a text, and this is {}",
                    valued.shape.present()
                ),
                "send it as JSON: `json: …`",
            );
        } else if valued.shape.is_optional() && self.found.len() == before {
            self.error(
                "E1010",
                node.at,
                "the body may be absent, and must be there",
                "skip the step when it is: `when: \"= has(…)\"`",
            );
        }
        valued.given
    }

    fn bearer(&mut self, node: &Node) -> Option<Secret> {
        let text = self.text(node, "name a variable: `${STORE_KEY}`")?;
        if !matches!(kind(&text), Kind::Literal(_)) {
            self.error(
                "E0202",
                node.at,
                "a credential of the composition's own is not made at run time",
                "to pass on what callers give, write it under `headers`: `authorization: \"= 'Bearer ' + input.token\"`",
            );
            return None;
        }
        match expanded(node, &text, self.environment) {
            Ok((_, false)) => {
                self.warning(
                    "E0604",
                    node.at,
                    "a secret stands in the composition",
                    "keep it outside: `${STORE_KEY}` or `file(store.key)`",
                );
                Some(Secret::new(text))
            }
            Ok((secret, true)) => Some(Secret::new(secret)),
            Err(mistake) => {
                self.found.push(mistake);
                None
            }
        }
    }

    fn accept(&mut self, node: &Node) -> Vec<u16> {
        if !matches!(node.value, Value::List(_)) {
            self.wrong(node, "a list", "write `[404]`");
        }
        node.items()
            .iter()
            .filter_map(|item| self.whole(item, "a status", 300, 599))
            .filter_map(|status| u16::try_from(status).ok())
            .collect()
    }
}
