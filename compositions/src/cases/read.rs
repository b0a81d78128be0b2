//! Files of cases in, checked cases out; or every mistake in them, each at its place.

use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Duration};

use isobar_adapters::Blob;
use isobar_config::{Expression, Key, Location, Node, Nothing, Report, Source, Span, Value, parse};
use serde_json::{Map, Value as Json};

use super::{
    Canned, Case, Cases, Ending, Expect, Failure, Reply, Wrong, find, names,
    table::{ANSWER, CASE, ERROR, EXPECT, FILE},
};
use crate::{
    check::{Known, reading::Reading},
    plan::{Plan, Step, Work},
    run::misfit,
    shape::{Shape, operation_output},
};

/// What reading cases needs of the outside.
pub struct Outside<'a> {
    /// Reads a file, written relative to the file of cases.
    pub file: &'a dyn Fn(&str) -> io::Result<Blob>,
    /// What is wrong with a rule of a script of faults.
    pub fault: &'a dyn Fn(&Json) -> Result<(), String>,
    /// Accounts that the simulated vendors have.
    pub accounts: &'a [String],
}

/// Reads the cases of one file, for a composition of these. There are none if anything is wrong with them.
pub fn read(
    source: &Source,
    plans: &[Arc<Plan>],
    outside: &Outside<'_>,
) -> (Option<Cases>, Report) {
    let known = Known::default();
    let sources = [source.clone()];
    let mut reader = Reader {
        reading: Reading {
            sources: &sources,
            known: &known,
            environment: &Nothing,
            found: Vec::new(),
        },
        outside,
        file: source.name.as_str().into(),
    };
    let cases = match parse(&source.text, 0) {
        Ok(node) => reader.cases(&node, source, plans),
        Err(mistake) => {
            reader.reading.found.push(mistake);
            None
        }
    };
    let report = Report::new(vec![source.clone()], reader.reading.found);
    (cases.filter(|_| !report.has_errors()), report)
}

struct Reader<'a> {
    reading: Reading<'a>,
    outside: &'a Outside<'a>,
    file: Arc<str>,
}

/// How a value is held against a shape.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Everything that is required must be there.
    Whole,
    /// Members may be left out.
    Some,
    /// The same, and null stands for nothing wherever it is.
    Expected,
}

impl Reader<'_> {
    fn cases(&mut self, node: &Node, source: &Source, plans: &[Arc<Plan>]) -> Option<Cases> {
        self.reading.record(node, &FILE);
        if !matches!(node.value, Value::Map(_)) {
            return None;
        }
        let plan = match node.get("composition") {
            Some(named) => {
                let name = self.reading.text(named, "name a composition")?;
                self.plan(&name, named.at, plans)
            }
            None => {
                let path = Path::new(&source.name);
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                let name = file.split(".test.").next().unwrap_or_default().to_owned();
                let start = Span {
                    line: 1,
                    column: 1,
                    ..Span::default()
                };
                self.plan(&name, start, plans)
            }
        };
        let listed = node.get("cases")?;
        if !matches!(listed.value, Value::Map(_)) {
            let help = "write `name of the case: { input: … , expect: … }`";
            self.reading.wrong(listed, "a map", help);
        } else if listed.entries().is_empty() {
            let help = "add one: `it works: { input: { text: hello } }`";
            self.reading
                .error("E0207", listed.at, "there is no case", help);
        }
        let plan = plan?;
        let cases = listed.entries().iter();
        let cases = cases
            .map(|(key, node)| self.case(key, node, &plan))
            .collect();
        Some(Cases { plan, cases })
    }

    fn plan(&mut self, name: &str, at: Span, plans: &[Arc<Plan>]) -> Option<Arc<Plan>> {
        let found = plans.iter().find(|plan| plan.name == name);
        if found.is_none() {
            self.reading.unknown(
                "E1004",
                at,
                format!("there is no composition `{name}`"),
                name,
                plans.iter().map(|plan| plan.name.as_str()),
                "say which one is tried: `composition: NAME`",
            );
        }
        found.cloned()
    }

    fn case(&mut self, key: &Key, node: &Node, plan: &Plan) -> Case {
        self.reading.record(node, &CASE);
        let expect = node
            .get("expect")
            .map_or_else(Expect::default, |node| self.expect(node, plan));
        let refused = expect.status == Some(400)
            || expect
                .error
                .as_ref()
                .is_some_and(|error| error.status == Some(400));
        let (fields, blobs) = self.input(key, node.get("input"), plan, refused);
        let answers = node.get("answers").map(|node| self.answers(node, plan));
        let sandbox = node.get("sandbox").and_then(|node| self.sandbox(node));
        let faults = node.get("faults").map(|faults| {
            if sandbox.is_none() {
                let at = node.key("faults").unwrap_or(faults.at);
                let help = "add `sandbox: true`; an answer fails by `$fails: 503`";
                self.reading.error(
                    "E1043",
                    at,
                    "`faults` strike simulated vendors, and none is asked",
                    help,
                );
            }
            self.faults(faults)
        });
        Case {
            name: key.text.clone(),
            at: Location {
                file: Arc::clone(&self.file),
                line: key.at.line,
                column: key.at.column,
            },
            fields,
            blobs,
            answers: answers.unwrap_or_default(),
            sandbox,
            faults: faults.unwrap_or_default(),
            expect,
        }
    }

    fn input(
        &mut self,
        case: &Key,
        node: Option<&Node>,
        plan: &Plan,
        refused: bool,
    ) -> (Map<String, Json>, Vec<(String, Blob)>) {
        let (mut fields, mut blobs) = (Map::new(), Vec::new());
        if let Some(node) = node
            && !matches!(node.value, Value::Map(_) | Value::Null)
        {
            self.reading
                .wrong(node, "a map", "write `NAME: VALUE` for each input");
        }
        for (key, value) in node.map(Node::entries).unwrap_or_default() {
            let Some(input) = plan.inputs.iter().find(|input| input.name == key.text) else {
                if refused {
                    fields.insert(key.text.clone(), self.reading.literal(value));
                    continue;
                }
                let message = format!("`{}` has no input `{}`", plan.name, key.text);
                let known = plan.inputs.iter().map(|input| input.name.as_str());
                self.reading
                    .unknown("E1011", key.at, message, &key.text, known, "remove it");
                continue;
            };
            if input.shape.is_blob() {
                if let Some(blob) = self.blob(value) {
                    blobs.push((key.text.clone(), blob));
                }
                continue;
            }
            if !refused {
                let what = format!("`{}` of `{}`", key.text, plan.name);
                self.conform(value, &input.shape, &what, Part::Whole);
            }
            fields.insert(key.text.clone(), self.reading.literal(value));
        }
        for input in &plan.inputs {
            let given = node.is_some_and(|node| node.get(&input.name).is_some());
            if given
                || refused
                || input.default.is_some()
                || input.shape.is_optional()
                || input.shape == Shape::Any
            {
                continue;
            }
            self.reading.error(
                "E1009",
                node.map_or(case.at, |node| node.at),
                format!("`{}` is missing in the input of `{}`", input.name, plan.name),
                format!("add `{}: …`, {}; a case that must be refused expects `error: {{ status: 400 }}`", input.name, input.shape),
            );
        }
        (fields, blobs)
    }

    /// `@FILE`.
    fn blob(&mut self, node: &Node) -> Option<Blob> {
        let Some(path) = node.text().and_then(|text| text.strip_prefix('@')) else {
            self.reading.error(
                "E1029",
                node.at,
                "a blob is wanted, and this is none",
                "write `\"@FILE\"`, relative to this file",
            );
            return None;
        };
        match (self.outside.file)(path) {
            Ok(blob) => Some(blob),
            Err(error) => {
                let message = format!("`{path}` cannot be read: {error}");
                self.reading
                    .error("E0602", node.at, message, "files are relative to this file");
                None
            }
        }
    }

    fn answers(&mut self, node: &Node, plan: &Plan) -> BTreeMap<String, Reply> {
        let mut answers = BTreeMap::new();
        if !matches!(node.value, Value::Map(_) | Value::Null) {
            self.reading.wrong(
                node,
                "a map",
                "write `STEP: { … }` for each step that is answered",
            );
        }
        for (key, value) in node.entries() {
            let undone = key
                .text
                .strip_prefix("undo(")
                .and_then(|rest| rest.strip_suffix(')'));
            let Some((_, step)) = self.step(undone.unwrap_or(&key.text), key.at, plan) else {
                continue;
            };
            let work = match (undone, &step.undo) {
                (None, _) => &step.work,
                (Some(_), Some(undo)) => &undo.work,
                (Some(name), None) => {
                    let message = format!("`{name}` has no `undo`");
                    self.reading.error("E1021", key.at, message, "remove it");
                    continue;
                }
            };
            if let Work::Composition { plan: inner, .. } = work {
                let first = inner.steps.first().map_or("…", |step| step.name.as_str());
                self.reading.error(
                    "E1034",
                    key.at,
                    format!(
                        "`{}` runs `{}`, and asks nobody itself",
                        key.text, inner.name
                    ),
                    format!(
                        "give its steps their answers: `{}.{first}: {{ … }}`",
                        key.text
                    ),
                );
                continue;
            }
            let depth = if step.each.is_some() { 2 } else { 1 };
            if let Some(reply) = self.reply(value, &key.text, work, depth) {
                answers.insert(key.text.clone(), reply);
            }
        }
        answers
    }

    fn reply(&mut self, node: &Node, step: &str, work: &Work, depth: u32) -> Option<Reply> {
        match &node.value {
            Value::List(items) if depth > 0 => {
                let items = items.iter();
                let turns = items.map(|item| self.reply(item, step, work, depth - 1));
                Some(Reply::Turns(turns.collect::<Option<_>>()?))
            }
            Value::Map(_) => Some(Reply::Always(self.canned(node, step, work))),
            Value::Null => Some(Reply::Always(Canned::default())),
            _ => {
                let help = "write the members of the output, or a list of answers for one call after the other";
                self.reading.wrong(node, "a map", help);
                None
            }
        }
    }

    fn canned(&mut self, node: &Node, step: &str, work: &Work) -> Canned {
        let mut canned = Canned::default();
        let mut failure = Failure::default();
        let mut fails = None;
        for (key, value) in node
            .entries()
            .iter()
            .filter(|(key, _)| key.text.starts_with('$'))
        {
            match key.text.as_str() {
                "$fails" => {
                    fails = Some(key.at);
                    failure.status = self.status(value, "a failure", 400).unwrap_or(503);
                }
                "$reason" => failure.reason = self.reading.text(value, "say why it fails"),
                "$unknown" => failure.unknown = self.reading.boolean(value).unwrap_or_default(),
                "$takes" => {
                    let takes = self.reading.time(value, "a time", "10m");
                    canned.takes = takes.unwrap_or_default();
                }
                other => self.reading.unknown(
                    "E0201",
                    key.at,
                    format!("`{other}` is not a key of an answer"),
                    other,
                    ANSWER.keys(),
                    "remove it",
                ),
            }
        }
        for only in ["$reason", "$unknown"] {
            if let (None, Some(at)) = (fails, node.key(only)) {
                let message = format!("`{only}` is of calls that fail, and this one works");
                self.reading
                    .error("E1043", at, message, "add `$fails: 503`, or remove it");
            }
        }
        let members: Vec<_> = node
            .entries()
            .iter()
            .filter(|(key, _)| !key.text.starts_with('$'))
            .collect();
        if let (Some(_), Some((key, _))) = (fails, members.first()) {
            let message = format!(
                "a call that fails answers nothing, and `{}` is never seen",
                key.text
            );
            self.reading
                .error("E1043", key.at, message, "remove it, or `$fails`");
        }
        if fails.is_some() {
            canned.fails = Some(failure);
        }
        let what = format!("the answer to `{step}`");
        let shape = answer_shape(work);
        for (key, value) in members {
            let wanted = match self.member(key, &shape, &what) {
                Some(wanted) => wanted,
                None => continue,
            };
            let is_body = matches!(work, Work::Http(_)) && key.text == "body";
            let is_file = is_body && value.text().is_some_and(|text| text.starts_with('@'));
            if wanted.is_blob() || is_file {
                if let Some(blob) = self.blob(value) {
                    canned.blobs.push((key.text.clone(), blob));
                }
                continue;
            }
            // What a request answers may be wrong on purpose.
            if !is_body {
                self.conform(
                    value,
                    &wanted,
                    &format!("`{}` of {what}", key.text),
                    Part::Some,
                );
            }
            canned
                .json
                .insert(key.text.clone(), self.reading.literal(value));
        }
        canned
    }

    /// What a member is; says so if there is none.
    fn member(&mut self, key: &Key, shape: &Shape, what: &str) -> Option<Shape> {
        let Shape::Object { fields, others } = shape.present() else {
            return Some(Shape::Any);
        };
        match (fields.get(&key.text), others) {
            (Some(shape), _) => Some(shape.clone()),
            (None, Some(others)) => Some(others.as_ref().clone().optional()),
            (None, None) => {
                let message = format!("{what} has no field `{}`", key.text);
                let known = fields.keys().map(String::as_str);
                self.reading
                    .unknown("E1002", key.at, message, &key.text, known, "remove it");
                None
            }
        }
    }

    /// Says where a value cannot be of a shape.
    fn conform(&mut self, node: &Node, shape: &Shape, what: &str, part: Part) {
        match (&node.value, shape.present()) {
            (Value::Null, _) if shape.is_optional() || part == Part::Expected => {}
            (_, Shape::Any) => {}
            (_, Shape::Blob) if part == Part::Expected => {}
            (Value::Map(entries), Shape::Object { fields, .. }) => {
                for (key, value) in entries {
                    if let Some(wanted) = self.member(key, shape, what) {
                        self.conform(value, &wanted, &format!("`{}` of {what}", key.text), part);
                    }
                }
                for (name, shape) in fields {
                    let optional = shape.is_optional() || *shape == Shape::Any;
                    if part == Part::Whole && !optional && node.get(name).is_none() {
                        let message = format!("`{name}` is missing in {what}");
                        self.reading.error(
                            "E1009",
                            node.at,
                            message,
                            format!("add `{name}: …`, {shape}"),
                        );
                    }
                }
            }
            (Value::List(items), Shape::List(item)) => {
                for value in items {
                    self.conform(value, item, &format!("an item of {what}"), part);
                }
            }
            (_, shape) => {
                let literal = self.reading.literal(node);
                if let Some(why) = misfit(shape, &literal, what) {
                    let help = format!("{what} is {shape}");
                    self.reading.error("E1008", node.at, why, help);
                }
            }
        }
    }

    fn step<'p>(&mut self, name: &str, at: Span, plan: &'p Plan) -> Option<(&'p Plan, &'p Step)> {
        let found = find(plan, name);
        if found.is_none() {
            let known = names(plan);
            self.reading.unknown(
                "E1001",
                at,
                format!("`{}` has no step `{name}`", plan.name),
                name,
                known.iter().map(String::as_str),
                "remove it",
            );
        }
        found
    }

    fn sandbox(&mut self, node: &Node) -> Option<Vec<String>> {
        let items = match &node.value {
            Value::Bool(true) => return Some(Vec::new()),
            Value::Bool(false) => return None,
            Value::List(items) => items,
            _ => {
                let help = "write `true` for all simulated vendors, or `[deepgram, openai]`";
                self.reading
                    .wrong(node, "`true` or a list of accounts", help);
                return None;
            }
        };
        let mut accounts = Vec::new();
        for item in items {
            let Some(name) = self.reading.text(item, "name an account") else {
                continue;
            };
            if !self.outside.accounts.contains(&name) {
                let message = format!("there is no account `{name}`");
                let known = self.outside.accounts.iter().map(String::as_str);
                self.reading
                    .unknown("E1005", item.at, message, &name, known, "remove it");
            }
            accounts.push(name);
        }
        Some(accounts)
    }

    fn faults(&mut self, node: &Node) -> Vec<Json> {
        if !matches!(node.value, Value::List(_)) {
            let help = "write `[ { vendor: deepgram, fault: { status: { code: 503 } } } ]`";
            self.reading.wrong(node, "a list of rules", help);
        }
        let mut rules = Vec::new();
        for item in node.items() {
            let rule = self.reading.literal(item);
            if let Err(why) = (self.outside.fault)(&rule) {
                let message = format!("this is no rule of a script: {why}");
                let help = "write `{ vendor: deepgram, operation: speech.transcribe, calls: 1, fault: { status: { code: 503 } } }`";
                self.reading.error("E0205", item.at, message, help);
            }
            rules.push(rule);
        }
        rules
    }

    fn status(&mut self, node: &Node, what: &str, least: u32) -> Option<u16> {
        let what = format!("the status of {what}");
        let status = self.reading.whole(node, &what, least, 599)?;
        u16::try_from(status).ok()
    }

    fn expect(&mut self, node: &Node, plan: &Plan) -> Expect {
        let mut expect = Expect::default();
        for (key, value) in self.reading.record(node, &EXPECT) {
            match key.text.as_str() {
                "status" => expect.status = self.status(value, "an answer", 200),
                "output" | "exactly" => {
                    let what = format!("the output of `{}`", plan.name);
                    self.conform(value, &plan.output.shape, &what, Part::Expected);
                    let literal = Some(self.reading.literal(value));
                    if key.text == "output" {
                        expect.output = literal;
                    } else {
                        expect.exactly = literal;
                    }
                }
                "holds" => expect.holds = self.holds(value),
                "headers" => {
                    self.map(value, "`NAME: VALUE`");
                    for (key, value) in value.entries() {
                        if let Some(text) = self.reading.text(value, "write the header's text") {
                            expect.headers.push((key.text.to_lowercase(), text));
                        }
                    }
                }
                "calls" => {
                    expect.calls = self.counts(value, plan, true);
                }
                "attempts" => expect.attempts = self.counts(value, plan, false),
                "vendors" => {
                    self.map(value, "`STEP: ACCOUNT`");
                    for (key, value) in value.entries() {
                        self.step(&key.text, key.at, plan);
                        if let Some(text) = self.reading.text(value, "name an account") {
                            expect.vendors.push((key.text.clone(), text));
                        }
                    }
                }
                "sent" => {
                    self.map(value, "`STEP: { FIELD: VALUE }`");
                    for (key, value) in value.entries() {
                        self.called(&key.text, key.at, plan);
                        expect
                            .sent
                            .push((key.text.clone(), self.reading.literal(value)));
                    }
                }
                "error" => expect.error = Some(self.wrong(value, plan)),
                "within" => expect.within = self.within(value),
                other => {
                    if let Some(ending) = ending(other) {
                        let steps = self.steps(value, plan);
                        expect.ended.push((ending, steps));
                    }
                }
            }
        }
        if let (Some(_), Some(at)) = (&expect.error, node.key("output").or(node.key("exactly"))) {
            let help = "keep one of them";
            self.reading
                .error("E1043", at, "a run that fails has no output", help);
        }
        expect
    }

    fn within(&mut self, node: &Node) -> Option<Duration> {
        self.reading.time(node, "a time", "10m")
    }

    fn map(&mut self, node: &Node, written: &str) {
        if !matches!(node.value, Value::Map(_)) {
            self.reading
                .wrong(node, "a map", &format!("write {written}"));
        }
    }

    /// A step, or what takes its effect back.
    fn called(&mut self, name: &str, at: Span, plan: &Plan) {
        let undone = name
            .strip_prefix("undo(")
            .and_then(|rest| rest.strip_suffix(')'));
        self.step(undone.unwrap_or(name), at, plan);
    }

    fn counts(&mut self, node: &Node, plan: &Plan, calls: bool) -> Vec<(String, u64)> {
        self.map(node, "`STEP: NUMBER`");
        let mut counts = Vec::new();
        for (key, value) in node.entries() {
            if calls {
                self.called(&key.text, key.at, plan);
            } else {
                self.step(&key.text, key.at, plan);
            }
            if let Some(count) = self.reading.whole(value, "a number", 0, 10_000) {
                counts.push((key.text.clone(), u64::from(count)));
            }
        }
        counts
    }

    fn steps(&mut self, node: &Node, plan: &Plan) -> Vec<String> {
        if !matches!(node.value, Value::List(_)) {
            self.reading
                .wrong(node, "a list of steps", "write `[STEP, …]`; `[]` is none");
        }
        let mut steps = Vec::new();
        for item in node.items() {
            if let Some(name) = self.reading.text(item, "name a step") {
                self.step(&name, item.at, plan);
                steps.push(name);
            }
        }
        steps
    }

    fn holds(&mut self, node: &Node) -> Vec<Expression> {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut conditions = Vec::new();
        for item in items {
            let Some(text) = self
                .reading
                .text(item, "write a condition: `output.text != ''`")
            else {
                continue;
            };
            let parsed = Expression::parse_free(text.trim_start_matches('='));
            let condition = match parsed {
                Ok(condition) => condition,
                Err(error) => {
                    let help = "write a condition in CEL: `output.text.contains('Hello')`";
                    self.reading
                        .error("E0702", item.at, error.to_string(), help);
                    continue;
                }
            };
            let known = ["output", "status", "degraded"];
            let unknown = condition
                .names()
                .iter()
                .find(|name| !known.contains(&name.as_str()));
            if let Some(name) = unknown {
                let message = format!("there is nothing called `{name}` here");
                self.reading
                    .unknown("E1001", item.at, message, name, known, "look at `output`");
            }
            conditions.push(condition);
        }
        conditions
    }

    fn wrong(&mut self, node: &Node, plan: &Plan) -> Wrong {
        let mut wrong = Wrong::default();
        for (key, value) in self.reading.record(node, &ERROR) {
            match key.text.as_str() {
                "step" => {
                    wrong.step = self.reading.text(value, "name a step");
                    if let Some(name) = &wrong.step {
                        self.step(name, value.at, plan);
                    }
                }
                "status" => wrong.status = self.status(value, "a failure", 400),
                "kind" => wrong.kind = self.reading.text(value, "name a problem: `vendor-broken`"),
                _ => wrong.reason = self.reading.text(value, "write a part of the reason"),
            }
        }
        wrong
    }
}

fn ending(key: &str) -> Option<Ending> {
    Some(match key {
        "degraded" => Ending::Degraded,
        "skipped" => Ending::Skipped,
        "failed" => Ending::Failed,
        "cancelled" => Ending::Cancelled,
        "undone" => Ending::Undone,
        "pending" => Ending::Pending,
        "review" => Ending::Review,
        _ => return None,
    })
}

/// What a call's answer can have.
fn answer_shape(work: &Work) -> Shape {
    match work {
        Work::Operation(work) => operation_output(work.contract),
        Work::Http(http) => Shape::object([
            ("status", Shape::Integer),
            ("headers", Shape::any_object()),
            ("body", http.returns.clone()),
        ]),
        // Each way has its own.
        Work::Race(ways) => match ways.as_slice() {
            [first, rest @ ..]
                if rest
                    .iter()
                    .all(|way| answer_shape(way) == answer_shape(first)) =>
            {
                answer_shape(first)
            }
            _ => Shape::Any,
        },
        Work::Composition { .. } => Shape::Any,
    }
}

/// Every mistake that there can be is found by the reading alone.
#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &[(&str, &str)] = &[(
        "a.yaml",
        "composition: a
input: { text: string, audio: blob?, many: { type: list(string), default: [] } }
hosts: [shop.example.com]
steps:
  mood: { use: text.sentiment, with: { text: $.input.text }, otherwise: { label: neutral } }
  heard: { use: speech.transcribe, when: \"= has(input.audio)\", with: { audio: $.input.audio } }
  moods: { use: text.sentiment, each: $.input.many, with: { text: $.item } }
  held: { http: { method: PUT, url: \"https://shop.example.com/holds\", json: 1 }, undo: { http: \"DELETE https://shop.example.com/holds\" } }
output: { label: $.mood.label, heard: $.heard.text, moods: $.moods, held: $.held.status }
",
    ), (
        "b.yaml",
        "composition: b
input: { text: string }
steps: { inner: { use: composition.a, with: { text: $.input.text } } }
output: { label: $.inner.label }
",
    )];

    fn plans() -> Vec<Arc<Plan>> {
        let sources: Vec<Source> = FILES
            .iter()
            .map(|(name, text)| Source {
                name: (*name).to_owned(),
                text: (*text).to_owned(),
            })
            .collect();
        let (plans, report) = crate::check(&sources, &Known::default(), &Nothing);
        assert!(!report.has_errors(), "{}", report.text(false));
        plans
    }

    fn found(name: &str, text: &str) -> Vec<String> {
        let source = Source {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let outside = Outside {
            file: &|path| match path {
                "a.wav" => Ok(Blob::of_bytes(crate::cases::neutral::silence(), "a.wav")),
                _ => Err(io::ErrorKind::NotFound.into()),
            },
            fault: &|rule| match rule.get("fault") {
                Some(_) => Ok(()),
                None => Err("`fault` is missing".to_owned()),
            },
            accounts: &["deepgram".to_owned()],
        };
        let (cases, report) = read(&source, &plans(), &outside);
        assert_eq!(cases.is_none(), report.has_errors());
        let found = report.diagnostics().iter();
        found
            .map(|found| {
                assert!(found.help.is_some(), "{found:?}");
                let at = report.location(found);
                format!("{} {}:{}", found.code, at.line, at.column)
            })
            .collect()
    }

    fn check(case: &str, expected: &str) {
        let text =
            format!("composition: a\ncases:\n  it:\n    input: {{ text: hi }}\n    {case}\n");
        assert_eq!(found("x.test.yaml", &text).join(", "), expected, "{case}");
    }

    #[test]
    fn good_cases_raise_nothing() {
        for good in [
            "answers: { mood: { label: positive, score: 0.5 }, moods: [ { label: mixed }, [ { $fails: 503 }, {} ] ] }",
            "answers: { mood: { $fails: 504, $takes: 5ms, $unknown: true, $reason: slow }, \"undo(held)\": { status: 500 } }",
            "answers: { held: { status: 201, headers: { a: b }, body: \"@a.wav\" }, heard: ~ }",
            "sandbox: [deepgram]\n    faults: [ { vendor: deepgram, fault: reset } ]",
            "sandbox: true",
            "expect: { status: 200, output: { label: neutral, heard: ~ }, holds: \"output.label != ''\", degraded: [] }",
            "expect: { calls: { \"undo(held)\": 1 }, attempts: { mood: 2 }, vendors: { mood: x }, sent: { mood: { text: hi } }, within: 2s }",
            "expect: { error: { step: mood, status: 503, kind: x, reason: y }, undone: [held], pending: [], review: [] }",
        ] {
            check(good, "");
        }
        assert!(found("a.test.yaml", "cases: { x: { input: { text: a } } }").is_empty());
        let nested = "composition: b\ncases: { x: { input: { text: a }, answers: { inner.mood: {} }, expect: { skipped: [inner.heard] } } }";
        assert!(found("x.test.yaml", nested).is_empty());
        let refused = "composition: a\ncases: { x: { input: { text: 5, nope: 1 }, expect: { error: { status: 400 } } } }";
        assert!(found("x.test.yaml", refused).is_empty());
    }

    #[test]
    fn every_mistake_is_told_at_its_place() {
        for (case, expected) in [
            ("expectt: {}", "E0201 5:5"),
            ("answers: { moood: {} }", "E1001 5:16"),
            ("answers: { mood: { lable: positive } }", "E1002 5:24"),
            ("answers: { mood: { label: fine } }", "E1008 5:31"),
            ("answers: { mood: { score: high } }", "E1008 5:31"),
            ("answers: { mood: { $fail: 503 } }", "E0201 5:24"),
            ("answers: { mood: { $fails: 200 } }", "E0204 5:32"),
            (
                "answers: { mood: { $fails: 503, label: mixed } }",
                "E1043 5:37",
            ),
            ("answers: { mood: { $unknown: true } }", "E1043 5:24"),
            ("answers: { mood: { $takes: soon } }", "E0402 5:32"),
            ("answers: { mood: positive }", "E0202 5:22"),
            ("answers: { \"undo(mood)\": {} }", "E1021 5:16"),
            ("answers: { held: { body: \"@nope.bin\" } }", "E0602 5:30"),
            ("sandbox: [deepgrm]", "E1005 5:15"),
            ("sandbox: yes", "E0202 5:14"),
            ("faults: [ { fault: reset } ]", "E1043 5:5"),
            (
                "sandbox: true\n    faults: [ { vendor: deepgram } ]",
                "E0205 6:15",
            ),
            ("expect: { output: { lable: x } }", "E1002 5:25"),
            ("expect: { output: { held: many } }", "E1008 5:31"),
            ("expect: { degraded: mood }", "E0202 5:25"),
            ("expect: { skipped: [herd] }", "E1001 5:25"),
            ("expect: { holds: \"output.\" }", "E0702 5:22"),
            ("expect: { holds: \"outputt.a == 1\" }", "E1001 5:22"),
            ("expect: { error: { status: 200 } }", "E0204 5:32"),
            (
                "expect: { error: { step: x }, output: {} }",
                "E1001 5:30, E1043 5:35",
            ),
            ("expect: { within: 0s }", "E0204 5:23"),
        ] {
            check(case, expected);
        }
        for (text, expected) in [
            ("", "E0202 1:1"),
            ("cases: { x: {} }", "E1004 1:1"),
            ("composition: a\ncases: {}", "E0207 2:8"),
            ("composition: a", "E0203 1:1"),
            ("composition: a\ncases: { x: {} }", "E1009 2:10"),
            (
                "composition: a\ncases: { x: { input: { text: 5 } } }",
                "E1008 2:30",
            ),
            (
                "composition: a\ncases: { x: { input: { text: a, txt: a } } }",
                "E1011 2:33",
            ),
            (
                "composition: a\ncases: { x: { input: { text: a, audio: a.wav } } }",
                "E1029 2:40",
            ),
            (
                "composition: a\ncases: { x: { input: { text: a, audio: \"@b.wav\" } } }",
                "E0602 2:40",
            ),
            (
                "composition: b\ncases: { x: { input: { text: a }, answers: { inner: {} } } }",
                "E1034 2:46",
            ),
            ("composition: [", "E0101 1:14"),
        ] {
            assert_eq!(found("x.test.yaml", text).join(", "), expected, "{text}");
        }
    }
}
