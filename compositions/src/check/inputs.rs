//! What callers give: where a composition is served, its inputs, and bounds on what it takes.

use isobar_config::{Key, Node, Segment, Span, Value, matcher};

use super::{
    reading::Reading,
    table::{self, FROM},
    value::Want,
};
use crate::{
    plan::{Expose, From, Input},
    shape::Shape,
};

/// Longest line about something, in characters.
const ABOUT: usize = 300;
/// Most inputs.
const MOST: usize = 100;

/// An input that was read, and what is to be said about it when all are known.
struct Draft {
    input: Input,
    at: Span,
    /// Where its source is written, if it is.
    from_at: Span,
}

impl Reading<'_> {
    /// `POST /v1/x/{id}`.
    pub(crate) fn expose(
        &mut self,
        node: &Node,
        anonymous: bool,
        scopes: Vec<String>,
    ) -> Option<Expose> {
        let text = self.text(node, "write a method and a path: `POST /v1/voice/insights`")?;
        let mut matcher = match matcher(&text) {
            Ok(matcher) => matcher,
            Err((code, message, help)) => {
                self.error(code, node.at, message, help);
                return None;
            }
        };
        if matcher.path.rest {
            self.error(
                "E0406",
                node.at,
                format!("`{text}` is served at every path below, and a composition has one"),
                "name the part that changes: `/v1/items/{id}`",
            );
            return None;
        }
        if matcher.methods.len() != 1 {
            self.error(
                "E0407",
                node.at,
                "a composition is served by one method",
                format!("write it before the path: `POST {}`", matcher.path.text),
            );
            return None;
        }
        matcher.methods.truncate(1);
        Some(Expose {
            text: format!("{} {}", matcher.methods.concat(), matcher.path.text),
            matcher,
            anonymous,
            scopes,
        })
    }

    /// `[calls.read, calls.write]`.
    pub(crate) fn scopes(&mut self, node: &Node, anonymous: bool) -> Vec<String> {
        const HELP: &str = "write a list of scopes: `[calls.read]`";
        let items = node.items();
        if !matches!(node.value, Value::List(_)) {
            self.wrong(node, "a list", HELP);
        } else if items.is_empty() {
            self.error("E0207", node.at, "there is no scope", HELP);
        } else if anonymous {
            let message = "what everybody may call needs no scopes";
            self.error("E0503", node.at, message, "remove `anonymous` or `scopes`");
        }
        items
            .iter()
            .filter_map(|item| self.text(item, HELP))
            .collect()
    }

    pub(crate) fn about(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node, "write a line")?;
        if text.chars().count() > ABOUT || text.trim().contains('\n') {
            self.error(
                "E0204",
                node.at,
                "this is more than a line of 300 characters",
                "say in a few words what it is for; the rest may be a comment",
            );
        }
        Some(text.trim().to_owned())
    }

    /// `input:`.
    pub(crate) fn inputs(
        &mut self,
        node: Option<&Node>,
        expose: Option<&Expose>,
        exposed_at: Span,
        body: u64,
    ) -> Vec<(Input, Span)> {
        let entries = node.map(Node::entries).unwrap_or_default();
        if let Some(node) = node
            && !matches!(node.value, Value::Map(_) | Value::Null)
        {
            self.wrong(
                node,
                "a map",
                "write `name: type`, one a line: `text: string`",
            );
        }
        if entries.len() > MOST {
            self.error(
                "E1025",
                entries.get(MOST).map_or(exposed_at, |(key, _)| key.at),
                "a composition has 100 inputs at most",
                "take several values in one object",
            );
        }
        let mut drafts = Vec::new();
        for (key, node) in entries {
            if self.identifier(key.at, &key.text, "an input") {
                drafts.extend(self.input(key, node, expose, body));
            }
        }
        self.sources(&drafts, expose, exposed_at);
        drafts
            .into_iter()
            .map(|draft| (draft.input, draft.at))
            .collect()
    }

    fn input(
        &mut self,
        key: &Key,
        node: &Node,
        expose: Option<&Expose>,
        body: u64,
    ) -> Option<Draft> {
        let long = matches!(node.value, Value::Map(_))
            && (node.get("type").is_some()
                || !node.entries().is_empty()
                    && node
                        .entries()
                        .iter()
                        .all(|(key, _)| table::INPUT.keys().any(|known| known == key.text)));
        if !long {
            let kind = self.kind_of(node, true);
            return self.placed(key, kind, None, None, node, expose, body);
        }
        self.record(node, &table::INPUT);
        let kind = node.get("type").and_then(|node| self.kind_of(node, true));
        let from = node
            .get("from")
            .and_then(|from| Some((self.word(from, &FROM)?, from.at)));
        let name = match node.get("name") {
            Some(name) => Some((self.text(name, "write its name in the request")?, name.at)),
            None => None,
        };
        let mut draft = self.placed(key, kind, from, name, node, expose, body)?;
        draft.input.about = node.get("about").and_then(|about| self.about(about));
        if let Some(default) = node.get("default") {
            draft.input.default = self.default(default, &draft.input, key);
        }
        Some(draft)
    }

    fn default(&mut self, node: &Node, input: &Input, key: &Key) -> Option<serde_json::Value> {
        if input.shape.is_blob() {
            self.error(
                "E1028",
                node.at,
                "a blob has no default",
                "make it optional, `blob?`, and skip what needs it by `when`",
            );
            return None;
        }
        let what = format!("the input `{}`", key.text);
        let want = Want {
            what: &what,
            shape: &input.shape,
            blobs: false,
        };
        Some(self.fixed(node, want)).filter(|value| !value.is_null())
    }

    #[expect(clippy::too_many_arguments, reason = "all of an input, once")]
    fn placed(
        &mut self,
        key: &Key,
        kind: Option<(Shape, Option<u64>)>,
        from: Option<(&str, Span)>,
        name: Option<(String, Span)>,
        node: &Node,
        expose: Option<&Expose>,
        body: u64,
    ) -> Option<Draft> {
        // Of what is wrong with its type it was told.
        let is_known = kind.is_some();
        let (shape, most) = kind.unwrap_or((Shape::Any, None));
        let bodiless = expose.is_some_and(|expose| {
            let methods = &expose.matcher.methods;
            methods
                .iter()
                .any(|method| matches!(method.as_str(), "GET" | "HEAD" | "DELETE"))
        });
        let named = name.as_ref().map_or(&key.text, |(name, _)| name).clone();
        let in_path = expose.is_some_and(|expose| parameters(expose).any(|name| *name == named));
        let from_at = from.map_or(node.at, |(_, at)| at);
        let from = match from.map(|(word, _)| word) {
            Some("field") => From::Field,
            Some("part") => From::Part,
            Some("body") => From::Body,
            Some("query") => From::Query,
            Some("path") => From::Path,
            Some(_) => {
                let (text, at) = match &name {
                    Some((name, at)) => (name.clone(), *at),
                    // `x_language` is a name of an input, and `x-language` of a header.
                    None => (key.text.replace('_', "-"), key.at),
                };
                From::Header(self.header_name(at, &text)?)
            }
            None if in_path => From::Path,
            None if shape.is_blob() => From::Part,
            None if bodiless => From::Query,
            None => From::Field,
        };
        let flat = matches!(
            shape.present(),
            Shape::Text(_) | Shape::Integer | Shape::Number | Shape::Bool | Shape::Any
        );
        let wrong = match &from {
            From::Query | From::Path | From::Header(_)
                if !flat || *shape.present() == Shape::Any =>
            {
                Some((
                    format!(
                        "the input `{}` is {}, and a query, path or header has only texts, numbers, true or false",
                        key.text,
                        shape.present()
                    ),
                    "give it another type, or take it from the body: `from: field`",
                ))
            }
            From::Part if !shape.is_blob() => Some((
                format!("the input `{}` is no blob, and a part is a file", key.text),
                "leave `from` out, or make its type `blob(25MB)`",
            )),
            From::Field if shape.is_blob() => Some((
                format!("the input `{}` is a blob, and a field is JSON", key.text),
                "leave `from` out: blobs are parts of a form; or take the whole body, `from: body`",
            )),
            From::Field | From::Part | From::Body if bodiless => Some((
                format!(
                    "the input `{}` comes from a body, and such a request has none",
                    key.text
                ),
                "serve it by `POST`, or take it from the query: `from: query`",
            )),
            From::Body if name.is_some() => {
                Some(("the body has no name".to_owned(), "leave `name` out"))
            }
            _ => None,
        };
        if let Some((message, help)) = wrong.filter(|_| is_known) {
            self.error("E1027", from_at, message, help);
        }
        if let Some(most) = most
            && most > body
        {
            self.error(
                "E1025",
                node.get("type").map_or(node.at, |node| node.at),
                "the blob may be larger than the whole request",
                format!(
                    "make room for it: `limits: {{ body: {}MB }}`",
                    (most / 1_000_000 + 1).max(1)
                ),
            );
        }
        Some(Draft {
            input: Input {
                name: key.text.clone(),
                shape,
                from,
                named,
                default: None,
                about: None,
                most: most.unwrap_or(body),
            },
            at: key.at,
            from_at,
        })
    }

    /// What inputs together get wrong.
    fn sources(&mut self, drafts: &[Draft], expose: Option<&Expose>, exposed_at: Span) {
        for (index, draft) in drafts.iter().enumerate() {
            let before = drafts.get(..index).unwrap_or_default();
            let same = before.iter().find(|other| {
                other.input.from == draft.input.from
                    && (other.input.named == draft.input.named
                        || matches!(draft.input.from, From::Body | From::Header(_)))
            });
            if let Some(other) = same {
                self.error(
                    "E1027",
                    draft.from_at,
                    format!(
                        "`{}` and `{}` come from the same place",
                        other.input.name, draft.input.name
                    ),
                    "give one of them another `from` or `name`",
                );
                continue;
            }
            let is_body = |draft: &&Draft| draft.input.from == From::Body;
            let inside = |draft: &&Draft| matches!(draft.input.from, From::Field | From::Part);
            let clash = match draft.input.from {
                From::Body => before.iter().find(inside),
                From::Field | From::Part => before.iter().find(is_body),
                _ => None,
            };
            if let Some(other) = clash {
                self.error(
                    "E1027",
                    draft.from_at,
                    format!("`{}` and `{}` cannot both come from the body", other.input.name, draft.input.name),
                    "one input that is the whole body leaves no room for fields and parts; take the other from the query or a header",
                );
            }
        }
        let Some(expose) = expose else {
            return;
        };
        let known: Vec<&String> = parameters(expose).collect();
        for draft in drafts.iter().filter(|draft| draft.input.from == From::Path) {
            if !known.contains(&&draft.input.named) {
                let message = format!(
                    "the path `{}` has no `{{{}}}`",
                    expose.matcher.path.text, draft.input.named
                );
                let names = known.iter().map(|name| name.as_str());
                self.unknown(
                    "E1027",
                    draft.from_at,
                    message,
                    &draft.input.named,
                    names,
                    "add it to `expose`, or leave `from: path` out",
                );
            }
        }
        for name in known {
            let taken =
                |draft: &Draft| draft.input.from == From::Path && draft.input.named == *name;
            if !drafts.iter().any(taken) {
                self.error(
                    "E1027",
                    exposed_at,
                    format!("no input takes `{{{name}}}` of the path"),
                    format!("add it: `input: {{ {name}: string }}`"),
                );
            }
        }
    }
}

/// Names of the parameters of a path.
fn parameters(expose: &Expose) -> impl Iterator<Item = &String> {
    expose
        .matcher
        .path
        .segments
        .iter()
        .filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name),
            Segment::Literal(_) => None,
        })
}
