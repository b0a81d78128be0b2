//! The parts that every manifest is read with: maps with known keys, texts, numbers, references.

use std::{collections::BTreeMap, time::Duration};

use http::HeaderName;
use isobar_config::{Diagnostic, Key, Node, Span, Step, Value, steps};

use super::{Hooks, mistake};
use crate::{
    capability::Contract,
    language,
    template::{BlobFact, Part, Reference, Source, Template, Text},
    transform::{Table, Transform, Unknown},
    vendor::Field,
};

/// How a step leaves something to those after it.
pub(super) const KEPT: &str = "a step before this one keeps it: `keep: { id: $.body.id }`";
/// Where tables are written.
pub(super) const TABLES: &str = "tables stand under `tables:`, of the vendor or of the capability: `tables: { formats: { mp3: MP3 } }`";

/// What is known while one vendor's manifests are read.
pub(super) struct Reading<'a> {
    pub(super) found: &'a mut Vec<Diagnostic>,
    pub(super) folder: String,
    pub(super) hooks: &'a Hooks,
    pub(super) tables: BTreeMap<String, Table>,
    pub(super) fields: Vec<Field>,
    /// Names of the services, in order.
    pub(super) services: Vec<String>,
    /// Tables of languages whose tags were looked at.
    tagged: Vec<Table>,
}

/// What references may name, where one stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    /// The operation, unless it is the vendor's own file.
    pub(super) contract: Option<&'static Contract>,
    /// Whether inputs come as `$.documents`.
    pub(super) batch: bool,
    /// Names kept by earlier steps.
    pub(super) kept: &'p [String],
    /// Input fields that are given in any case: the operation's `limits` need them.
    pub(super) needs: &'p [String],
    /// Within an `each`, where `$` is the item.
    pub(super) item: bool,
}

impl Place<'_> {
    /// The vendor's own file: only the account is known.
    pub(super) const VENDOR: Place<'static> = Place {
        contract: None,
        batch: false,
        kept: &[],
        needs: &[],
        item: false,
    };
}

impl<'a> Reading<'a> {
    pub(super) fn new(found: &'a mut Vec<Diagnostic>, folder: String, hooks: &'a Hooks) -> Self {
        Self {
            found,
            folder,
            hooks,
            tables: BTreeMap::new(),
            fields: Vec::new(),
            services: Vec::new(),
            tagged: Vec::new(),
        }
    }

    pub(super) fn error(
        &mut self,
        code: &'static str,
        node: &Node,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.found.push(mistake(code, node, message, help));
    }

    /// The entries of a map with known keys; unknown ones are reported and left out.
    pub(super) fn record<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&str],
    ) -> Vec<(&'n Key, &'n Node)> {
        let entries = self.map(node, what);
        let mut kept = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            if known.contains(&key.text.as_str()) {
                kept.push((key, value));
            } else {
                let message = format!("`{}` is not a key of {what}", key.text);
                self.found
                    .push(Diagnostic::error("E0201", key.at, message).did_you_mean(
                        &key.text,
                        known.iter().copied(),
                        0,
                    ));
            }
        }
        kept
    }

    /// The entries of a map with free keys.
    pub(super) fn map<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n Key, &'n Node)> {
        if !matches!(node.value, Value::Map(_)) {
            self.wrong(node, "a map", &format!("{what} is written as `key: value`"));
        }
        node.entries()
            .iter()
            .map(|(key, value)| (key, value))
            .collect()
    }

    pub(super) fn wrong(&mut self, node: &Node, wanted: &str, help: &str) {
        let message = format!("this should be {wanted}, and is {}", node.kind());
        self.error("E0202", node, message, help);
    }

    pub(super) fn missing(&mut self, node: &Node, key: &str, help: &str) {
        self.error("E0203", node, format!("`{key}` is missing"), help);
    }

    /// The values of keys that a map must have.
    pub(super) fn needed<'n, const N: usize>(
        &mut self,
        node: &'n Node,
        names: [&str; N],
        help: &str,
    ) -> Option<[&'n Node; N]> {
        if !matches!(node.value, Value::Map(_)) {
            return None;
        }
        let mut values = Vec::with_capacity(N);
        for name in names {
            match node.get(name) {
                Some(value) => values.push(value),
                None => self.missing(node, name, help),
            }
        }
        values.try_into().ok()
    }

    pub(super) fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        let text = node.text();
        if text.is_none() {
            self.wrong(
                node,
                "a text",
                "write a text; quote it if it looks like something else",
            );
        }
        text
    }

    /// A text, or a number written as one.
    pub(super) fn scalar(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Null | Value::List(_) | Value::Map(_) => {
                self.wrong(node, "a text or a number", "write one value");
                None
            }
        }
    }

    /// One scalar or a list of them.
    pub(super) fn scalars(&mut self, node: &Node) -> Vec<String> {
        each(node)
            .iter()
            .filter_map(|item| self.scalar(item))
            .collect()
    }

    /// One word or a list of them, each among those that are known; `what` is wrong with any other.
    pub(super) fn known(
        &mut self,
        code: &'static str,
        node: &Node,
        known: &[&str],
        what: impl Fn(&str) -> String,
    ) -> Vec<String> {
        let mut words = Vec::new();
        for item in each(node) {
            let Some(word) = self.scalar(item) else {
                continue;
            };
            if !known.contains(&word.as_str()) {
                let mistake = Diagnostic::error(code, item.at, what(&word));
                self.found
                    .push(mistake.did_you_mean(&word, known.iter().copied(), 0));
            }
            words.push(word);
        }
        words
    }

    pub(super) fn number(&mut self, node: &Node) -> Option<f64> {
        match node.value {
            #[expect(clippy::cast_precision_loss, reason = "manifests have small numbers")]
            Value::Integer(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            _ => {
                self.wrong(node, "a number", "write digits, without quotes");
                None
            }
        }
    }

    pub(super) fn count(&mut self, node: &Node, least: usize, most: usize) -> Option<usize> {
        let number = match node.value {
            Value::Integer(number) => usize::try_from(number).ok(),
            _ => None,
        };
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => Some(number),
            None => {
                let (message, help) = if most == usize::MAX {
                    (
                        format!("this is not a whole number from {least} on"),
                        "write digits, without quotes",
                    )
                } else {
                    (
                        format!("this is not a whole number from {least} to {most}"),
                        "write digits, without quotes",
                    )
                };
                self.error("E0204", node, message, help);
                None
            }
        }
    }

    pub(super) fn duration(&mut self, node: &Node) -> Option<Duration> {
        let text = self.text(node)?;
        let duration = isobar_config::duration(text);
        if duration.is_none() {
            self.error(
                "E0402",
                node,
                format!("`{text}` is not a duration"),
                "write a number and a unit: `250ms`, `2s`, `1m30s`",
            );
        }
        duration
    }

    pub(super) fn size(&mut self, node: &Node) -> Option<u64> {
        let text = self.scalar(node)?;
        let size = isobar_config::size(&text);
        if size.is_none() {
            self.error(
                "E0403",
                node,
                format!("`{text}` is not a size"),
                "write bytes or a unit: `512`, `25MB`, `64KiB`",
            );
        }
        size
    }

    pub(super) fn flag(&mut self, node: &Node) -> bool {
        match node.value {
            Value::Bool(value) => value,
            _ => {
                self.wrong(node, "`true` or `false`", "without quotes");
                false
            }
        }
    }

    /// One of some words.
    pub(super) fn choice<'n>(&mut self, node: &'n Node, words: &[&str]) -> Option<&'n str> {
        let word = self.text(node)?;
        if words.contains(&word) {
            return Some(word);
        }
        let mistake = Diagnostic::error(
            "E0205",
            node.at,
            format!("`{word}` is not one of the choices"),
        );
        self.found
            .push(mistake.did_you_mean(word, words.iter().copied(), 0));
        None
    }

    pub(super) fn header_name(&mut self, key: &Key) -> Option<HeaderName> {
        let name = HeaderName::try_from(key.text.as_str()).ok();
        if name.is_none() {
            let message = format!("`{}` is not a header name", key.text);
            self.found.push(
                Diagnostic::error("E0409", key.at, message)
                    .help("header names have letters, digits and `-`"),
            );
        }
        name
    }

    /// A path below an answer's body, written `$.body.x` or below an item, written `$.x`; only names and indexes.
    pub(super) fn body_steps(&mut self, node: &Node) -> Option<Vec<Step>> {
        let text = self.text(node)?;
        let found = steps(text).and_then(|steps| match steps.split_first() {
            Some((Step::Name(first), rest)) if first == "body" && !rest.contains(&Step::Every) => {
                Some(rest.to_vec())
            }
            _ => None,
        });
        if found.is_none() {
            self.error(
                "E0901",
                node,
                format!("`{text}` is not a place in the answer's body"),
                "write `$.body.name[0].name`, with names and indexes only",
            );
        }
        found
    }

    /// `path? | transform | transform`.
    pub(super) fn reference(
        &mut self,
        node: &Node,
        text: &str,
        place: Place<'_>,
    ) -> Option<Reference> {
        let (path, transforms) = self.piped(node, text)?;
        let (path, optional) = match path.strip_suffix('?') {
            Some(path) => (path.trim(), true),
            None => (path, false),
        };
        let optional_after = optional
            || transforms
                .iter()
                .any(|transform| matches!(transform, Transform::Default(_)));
        let source = self.source(node, path, place, optional_after)?;
        Some(Reference {
            source,
            optional,
            transforms,
            text: path.to_owned(),
        })
    }

    /// A path as written, and the transforms after it.
    pub(super) fn piped<'t>(
        &mut self,
        node: &Node,
        text: &'t str,
    ) -> Option<(&'t str, Vec<Transform>)> {
        let mut parts = split_pipes(text).into_iter();
        let path = parts.next()?.trim();
        let mut transforms = Vec::new();
        for part in parts {
            match Transform::parse(part.trim(), &self.tables) {
                Ok(transform) => {
                    if let Transform::ToLanguage(table) = &transform {
                        self.tags(node, table);
                    }
                    transforms.push(transform);
                }
                Err(wrong) => {
                    let mistake = Diagnostic::error("E0903", node.at, wrong.to_string());
                    let mistake = match &wrong {
                        Unknown::Transform(name) => {
                            let bare = |name: &'static str| name.split('(').next().unwrap_or(name);
                            let near = mistake.did_you_mean(name, Transform::NAMES.map(bare), 0);
                            // Where none is near, all of them are shown.
                            match &near.help {
                                Some(help) if help.starts_with("did") => near,
                                _ => near.help(format!(
                                    "transforms are {}",
                                    Transform::NAMES.join(", ")
                                )),
                            }
                        }
                        Unknown::Table(name) => {
                            let known: Vec<&str> = self.tables.keys().map(String::as_str).collect();
                            mistake.help(TABLES).did_you_mean(name, known, 0)
                        }
                        Unknown::Argument(_) => mistake.help("write `name`, or `name(argument)`"),
                    };
                    self.found.push(mistake);
                    return None;
                }
            }
        }
        Some((path, transforms))
    }

    fn source(
        &mut self,
        node: &Node,
        path: &str,
        place: Place<'_>,
        optional: bool,
    ) -> Option<Source> {
        let Some(steps) = steps(path).filter(|steps| !steps.contains(&Step::Every)) else {
            self.error(
                "E0701",
                node,
                format!("`{path}` is not a path that a request can use"),
                "write `$.name`, `$.account.name`, `$.kept.name`; names and indexes only",
            );
            return None;
        };
        let (first, rest) = match steps.split_first() {
            Some((Step::Name(first), rest)) => (first.as_str(), rest.to_vec()),
            _ if place.item => return Some(Source::Item(steps)),
            _ => {
                self.error(
                    "E0701",
                    node,
                    format!("`{path}` names nothing"),
                    "write `$.name`",
                );
                return None;
            }
        };
        let second = match rest.first() {
            Some(Step::Name(second)) => second.clone(),
            _ => String::new(),
        };
        match first {
            "account" => {
                if !self.fields.iter().any(|field| field.name == second) {
                    let known: Vec<&str> = self
                        .fields
                        .iter()
                        .map(|field| field.name.as_str())
                        .collect();
                    let message = format!("accounts of this vendor have no `{second}`");
                    let mistake = Diagnostic::error("E0902", node.at, message)
                        .help("the fields of an account stand under `account:`")
                        .did_you_mean(&second, known, 0);
                    self.found.push(mistake);
                    return None;
                }
                return Some(Source::Account(second));
            }
            "call" => match second.as_str() {
                "id" => return Some(Source::CallId),
                "token" => return Some(Source::Token),
                "chunk" => return Some(Source::Chunk),
                _ => {
                    self.error(
                        "E0902",
                        node,
                        format!("there is no `{path}`"),
                        "known: `$.call.id`, `$.call.token`, `$.call.chunk`",
                    );
                    return None;
                }
            },
            "kept" => {
                if !place.kept.contains(&second) {
                    let message = format!("no step before this one keeps `{second}`");
                    let mistake = Diagnostic::error("E0902", node.at, message)
                        .help(KEPT)
                        .did_you_mean(&second, place.kept.iter().map(String::as_str), 0);
                    self.found.push(mistake);
                    return None;
                }
                return Some(Source::Kept(
                    second,
                    rest.get(1..).unwrap_or_default().to_vec(),
                ));
            }
            _ => {}
        }
        if place.item {
            return Some(Source::Item(steps));
        }
        let Some(contract) = place.contract else {
            self.error(
                "E0902",
                node,
                format!("there is no `{path}` here"),
                "known: `$.account.NAME`, `$.call.id`",
            );
            return None;
        };
        if let Some(blob) = contract.blobs.iter().find(|blob| **blob == first) {
            let fact = BlobFact::NAMES.iter().find(|(name, _)| *name == second);
            if let Some((_, fact)) = fact {
                return Some(Source::Blob(blob, *fact));
            }
            let known = BlobFact::NAMES
                .map(|(name, _)| format!("`$.{blob}.{name}`"))
                .join(", ");
            if second.is_empty() {
                self.error("E0902", node, format!("`$.{blob}` itself cannot stand here"), format!("it goes in `raw:` or in a part of a multipart body, or as a text: `$.{blob} | base64`"));
            } else {
                self.error(
                    "E0902",
                    node,
                    format!("nothing is known of the {blob} by the name `{second}`"),
                    format!("known: {known}"),
                );
            }
            return None;
        }
        if place.batch && first == "documents" {
            return Some(Source::Input(steps));
        }
        // What a voice such as `acme/anna` is at the vendor itself.
        if first == "voice_id" && contract.fields().iter().any(|(name, _)| name == "voice") {
            return Some(Source::Input(steps));
        }
        let Some((_, required)) = contract.fields().iter().find(|(name, _)| name == first) else {
            let known = contract
                .fields()
                .iter()
                .map(|(name, _)| name.as_str())
                .chain(contract.blobs.iter().copied());
            let message = format!("`{}` has no input `{first}`", contract.name);
            let mistake = Diagnostic::error("E0902", node.at, message).did_you_mean(
                first,
                known.chain(["account", "kept", "call"]),
                0,
            );
            self.found.push(mistake);
            return None;
        };
        if !required && !optional && !place.needs.iter().any(|name| name == first) {
            self.error("E0904", node, format!("`{first}` need not be given, and this does not say what to do then"), format!("write `{path}?` to leave the key out, `{path} | default(…)`, or put `{first}` under `limits: needs:`"));
            return None;
        }
        Some(Source::Input(steps))
    }

    /// A text with `{$.x}` in it.
    pub(super) fn interpolated(
        &mut self,
        node: &Node,
        text: &str,
        place: Place<'_>,
    ) -> Option<Text> {
        if text.contains("{ $") {
            self.error(
                "E0701",
                node,
                "a reference within a text has no blank after its `{`",
                "write `{$.name}`",
            );
            return None;
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{$") {
            if !before.is_empty() {
                parts.push(Part::Literal(before.to_owned()));
            }
            let Some((inside, after)) = after.split_once('}') else {
                self.error("E0701", node, "`{$` has no `}`", "write `{$.name}`");
                return None;
            };
            parts.push(Part::Reference(self.reference(
                node,
                &format!("${inside}"),
                place,
            )?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Some(Text(parts))
    }

    /// A text where a reference alone may stand for the whole.
    pub(super) fn text_template(&mut self, node: &Node, place: Place<'_>) -> Option<Text> {
        let text = self.text(node)?;
        if text.starts_with('$') {
            return Some(Text(vec![Part::Reference(
                self.reference(node, text, place)?,
            )]));
        }
        self.interpolated(node, text, place)
    }

    /// Any value with references in it.
    pub(super) fn template(&mut self, node: &Node, place: Place<'_>) -> Option<Template> {
        use serde_json::Value as Json;
        Some(match &node.value {
            Value::Null => Template::Literal(Json::Null),
            Value::Bool(value) => Template::Literal(Json::Bool(*value)),
            Value::Integer(number) => Template::Literal(Json::from(*number)),
            Value::Float(number) => Template::Literal(Json::from(*number)),
            Value::Text(text) => self.text_value(node, text, place)?,
            Value::List(items) => Template::List(
                items
                    .iter()
                    .map(|item| self.template(item, place))
                    .collect::<Option<_>>()?,
            ),
            Value::Map(entries) => self.object(node, entries, place)?,
        })
    }

    fn text_value(&mut self, node: &Node, text: &str, place: Place<'_>) -> Option<Template> {
        if let Some(literal) = text.strip_prefix("$$") {
            return Some(Template::Literal(serde_json::Value::String(format!(
                "${literal}"
            ))));
        }
        if text.starts_with('$') {
            if let Some(blob) = Self::blob_in_base64(text, place) {
                return Some(Template::Base64(blob));
            }
            return self.reference(node, text, place).map(Template::Reference);
        }
        if text.contains("{$") || text.contains("{ $") {
            return self.interpolated(node, text, place).map(Template::Text);
        }
        Some(Template::Literal(serde_json::Value::String(
            text.to_owned(),
        )))
    }

    /// `$.audio | base64`.
    fn blob_in_base64(text: &str, place: Place<'_>) -> Option<&'static str> {
        let (path, transform) = text.split_once('|')?;
        let named = path.trim().strip_prefix("$.")?;
        let blobs = place.contract?.blobs;
        let blob = blobs.iter().find(|blob| **blob == named)?;
        (transform.trim() == "base64").then_some(*blob)
    }

    /// A node that is a blob as it is: `$.audio`.
    pub(super) fn blob_alone(node: &Node, place: Place<'_>) -> Option<&'static str> {
        let named = node.text()?.trim().strip_prefix("$.")?;
        place
            .contract?
            .blobs
            .iter()
            .find(|blob| **blob == named)
            .copied()
    }

    /// A value where only scalars and lists of them can stand: in a query, a form, a header.
    pub(super) fn flat(&mut self, node: &Node, place: Place<'_>) -> Option<Template> {
        let special = ["each", "$any", "$when", "$unless"];
        if let Value::Map(_) = node.value
            && !special.iter().any(|key| node.get(key).is_some())
        {
            self.wrong(
                node,
                "a text, a number or a list of them",
                "a map has no place here; put `| json` behind a reference to send it as a JSON text",
            );
            return None;
        }
        self.template(node, place)
    }

    pub(super) fn header_value(&mut self, node: &Node, place: Place<'_>) -> Option<Template> {
        if let Some(text) = node.text()
            && http::HeaderValue::from_str(text).is_err()
        {
            self.error(
                "E0410",
                node,
                "this cannot be the value of a header",
                "leave out line breaks and control characters",
            );
            return None;
        }
        self.flat(node, place)
    }

    /// Whether a text can be a name; if not, says so.
    pub(super) fn name(&mut self, at: Span, text: &str) -> bool {
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let good = (1..=64).contains(&text.len()) && text.bytes().all(sign);
        if !good {
            self.key_error(
                "E0412",
                at,
                format!("`{text}` is not a name"),
                "names have letters, digits, `-` and `_`, at most 64 of them",
            );
        }
        good
    }

    /// The items of a list.
    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        if !matches!(node.value, Value::List(_)) {
            self.wrong(
                node,
                "a list",
                &format!("{what} are written one below the other, each after a `-`"),
            );
        }
        node.items()
    }

    /// Looks, once, whether callers' languages can be found in a table: its tags must be as theirs are.
    pub(super) fn tags(&mut self, node: &Node, table: &Table) {
        if self.tagged.iter().any(|known| Table::ptr_eq(known, table)) {
            return;
        }
        self.tagged.push(Table::clone(table));
        let wrong = table.keys().map(|tag| (tag, language::canonical(tag)));
        let wrong = wrong.filter(|(tag, canonical)| *tag != "_" && *tag != canonical);
        for (tag, canonical) in wrong {
            self.error(
                "E0912",
                node,
                format!("no caller's language is `{tag}`"),
                format!("the left side has BCP 47 tags; write `{canonical}`, and the vendor's word to its right"),
            );
        }
    }

    fn object(
        &mut self,
        node: &Node,
        entries: &[(Key, Node)],
        place: Place<'_>,
    ) -> Option<Template> {
        if node.get("each").is_some() {
            self.record(node, "`each`", &["each", "as"]);
            let each = node.get("each")?;
            let text = self.text(each)?;
            let over = self.reference(each, text, place)?;
            let Some(item) = node.get("as") else {
                self.missing(node, "as", "say what each item becomes: `as: …`");
                return None;
            };
            let item = self.template(
                item,
                Place {
                    item: true,
                    ..place
                },
            )?;
            return Some(Template::Each {
                over,
                item: Box::new(item),
            });
        }
        if let Some(any) = node.get("$any") {
            self.record(node, "`$any`", &["$any"]);
            let choices = any
                .items()
                .iter()
                .map(|choice| self.template(choice, place))
                .collect::<Option<Vec<_>>>()?;
            if choices.is_empty() {
                self.wrong(any, "a list of values", "the first that is there is taken");
            }
            return Some(Template::Any(choices));
        }
        let (mut when, mut unless) = (None, None);
        let mut alone = None;
        let mut members = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            match key.text.as_str() {
                "$when" | "$unless" => {
                    let text = self.text(value)?;
                    let reference = self.reference(value, &optional(text), place)?;
                    let condition = if key.text == "$when" {
                        &mut when
                    } else {
                        &mut unless
                    };
                    *condition = Some(reference);
                }
                "$value" => alone = Some(self.template(value, place)?),
                _ => members.push((key.text.clone(), self.template(value, place)?)),
            }
        }
        let object = match alone {
            Some(value) if members.is_empty() => value,
            Some(_) => {
                self.error(
                    "E0208",
                    node,
                    "`$value` is the whole value",
                    "put it beside `$when` or `$unless` alone",
                );
                return None;
            }
            None => Template::Object(members),
        };
        if when.is_none() && unless.is_none() {
            return Some(object);
        }
        Some(Template::If {
            when,
            unless,
            then: Box::new(object),
        })
    }

    /// A key that names something; `what` is wrong with it if that is not known.
    pub(super) fn known_key(&mut self, key: &Key, known: &[&str], what: impl Fn(&str) -> String) {
        if !known.contains(&key.text.as_str()) {
            let mistake = Diagnostic::error("E0902", key.at, what(&key.text));
            self.found
                .push(mistake.did_you_mean(&key.text, known.iter().copied(), 0));
        }
    }

    pub(super) fn key_error(
        &mut self,
        code: &'static str,
        at: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.found
            .push(Diagnostic::error(code, at, message).help(help));
    }
}

/// The items of a list, or the one thing that is there instead.
pub(super) fn each(node: &Node) -> &[Node] {
    if let Value::List(items) = &node.value {
        items
    } else {
        std::slice::from_ref(node)
    }
}

/// The same reference with its `?`.
pub(super) fn optional(text: &str) -> String {
    match text.split_once('|') {
        Some((path, rest)) if !path.trim().ends_with('?') => format!("{}? |{rest}", path.trim()),
        None if !text.trim().ends_with('?') => format!("{}?", text.trim()),
        _ => text.to_owned(),
    }
}

/// Parts between `|`, but for those in quotes or brackets.
fn split_pipes(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quoted) = (0, 0_i32, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth -= 1,
            '|' if !quoted && depth == 0 => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}
