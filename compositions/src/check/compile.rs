//! One composition, from its top down.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use isobar_config::{Node, Value};

use super::{
    Compiled,
    graph::worst,
    reading::Reading,
    scope::{Scope, Uses},
    step::{Made, key_of},
    table,
    value::Want,
};
use crate::{
    plan::{From, Given, Output, Plan, Step, Work},
    shape::Shape,
};

impl Reading<'_> {
    /// Makes a plan. Where there are mistakes it is good enough to check others by, and for nothing else.
    pub(crate) fn compile(&mut self, name: &str, node: &Node, compiled: &Compiled) -> Plan {
        let errors = self.errors();
        self.record(node, &table::FILE);
        let about = node.get("about").and_then(|about| self.about(about));
        let anonymous = node
            .get("anonymous")
            .and_then(|node| self.boolean(node))
            .unwrap_or_default();
        let scopes = node
            .get("scopes")
            .map(|node| self.scopes(node, anonymous))
            .unwrap_or_default();
        let expose = node
            .get("expose")
            .and_then(|node| self.expose(node, anonymous, scopes));
        let limits = self.limits(node.get("limits"));
        let deadline = node
            .get("deadline")
            .and_then(|node| self.time(node, "a deadline", "10m"));
        let inputs = self.inputs(
            node.get("input"),
            expose.as_ref(),
            node.get("expose").map_or(node.at, |node| node.at),
            limits.body,
        );
        let idempotency = node
            .get("idempotency")
            .and_then(|node| self.idempotency(node));
        let hosts = self.hosts(node.get("hosts"));
        let fields: BTreeMap<String, Shape> = inputs
            .iter()
            .map(|(input, _)| {
                let shape = if input.default.is_some() {
                    input.shape.present().clone()
                } else {
                    input.shape.clone()
                };
                (input.name.clone(), shape)
            })
            .collect();
        let inputs_shape = Shape::Object {
            fields,
            others: None,
        };
        let (drafts, seen) = node
            .get("steps")
            .map(|steps| self.drafts(steps, compiled))
            .unwrap_or_default();
        let scope = Scope {
            inputs: &inputs_shape,
            steps: &seen,
            own: None,
            own_output: None,
            item: None,
            answer: false,
            present: Vec::new(),
            when: None,
        };
        let time = deadline.unwrap_or(Duration::from_secs(30));
        let mut made: Vec<Made> = drafts
            .iter()
            .enumerate()
            .map(|(index, draft)| self.step(index, draft, &scope, &hosts, time, compiled))
            .collect();
        let mut uses = Uses::default();
        let answer = Scope {
            answer: true,
            ..scope.clone()
        };
        let output = self.output(node, &answer, &mut uses);
        // What is not used can be told only where every reference could be read.
        let is_read =
            self.errors() == errors && !drafts.iter().any(|draft| draft.work.is_unknown());
        self.graph(&drafts, &mut made, &uses, is_read);
        for made in &made {
            uses.merge(&made.uses);
            uses.merge(&made.undo);
        }
        for (input, at) in &inputs {
            // A path has its parameters, used or not.
            if is_read
                && !uses.all_inputs
                && !uses.inputs.contains(&input.name)
                && input.from != From::Path
            {
                self.warning(
                    "E1015",
                    *at,
                    format!("nothing refers to the input `{}`", input.name),
                    format!("use it, `$.input.{}`, or remove it", input.name),
                );
            }
        }
        let steps = made.iter().map(|made| &made.step);
        self.idle(node, is_read.then_some(steps));
        let plan = Plan {
            name: name.to_owned(),
            about,
            expose,
            inputs: inputs.into_iter().map(|(input, _)| input).collect(),
            steps: made.into_iter().map(|made| made.step).collect(),
            output,
            deadline: time,
            limits,
            idempotency,
            hosts: hosts.into_iter().map(|(host, _)| host).collect(),
            graph: OnceLock::new(),
        };
        let calls = worst(&plan.steps);
        if calls > u64::from(limits.calls) {
            let at = node
                .get("limits")
                .and_then(|limits| limits.get("calls"))
                .map(|node| node.at)
                .or_else(|| key_of(node, "steps").map(|key| key.at));
            self.error(
                "E1025",
                at.unwrap_or(node.at),
                format!("one run may make {calls} calls, and {} are allowed", limits.calls),
                if calls <= 10_000 {
                    format!("allow them, `limits: {{ calls: {calls} }}`, or lower `most` of `each` or `retry`")
                } else {
                    "lower `most` of `each` or `retry`; 10000 are the most that can be allowed".to_owned()
                },
            );
        }
        plan
    }

    fn output(&mut self, node: &Node, scope: &Scope<'_>, uses: &mut Uses) -> Output {
        let stream = node
            .get("stream")
            .and_then(|node| self.boolean(node))
            .unwrap_or_default();
        let mut output = Output {
            body: Given::Literal(serde_json::Value::Null),
            status: None,
            headers: Vec::new(),
            stream,
            shape: Shape::Any,
        };
        if let Some(body) = node.get("output") {
            if stream && !matches!(&body.value, Value::Map(entries) if !entries.is_empty()) {
                self.error(
                    "E1030",
                    body.at,
                    "what is streamed are the members of a map, and this is none",
                    "write `{ name: value }`, or leave `stream` out",
                );
            }
            let want = Want {
                what: "the output",
                shape: &Shape::Any,
                blobs: true,
            };
            let valued = self.given(body, want, scope, uses);
            output.body = valued.given;
            output.shape = valued.shape;
        }
        if let Some(status) = node.get("status") {
            let want = Want {
                what: "the status",
                shape: &Shape::Integer,
                blobs: false,
            };
            let given = self.given(status, want, scope, uses).given;
            if let Given::Literal(serde_json::Value::Number(number)) = &given
                && number
                    .as_i64()
                    .is_some_and(|number| !(200..=599).contains(&number))
            {
                self.range(status.at, &format!("a status of {number}"), "200", "599");
            }
            output.status = Some(given);
        }
        if let Some(headers) = node.get("headers") {
            output.headers = self.headers(headers, scope, uses);
        }
        output
    }

    /// Settings that are of requests, where there are none. The steps are only given where all of them could be read.
    fn idle<'s>(&mut self, node: &Node, steps: Option<impl Iterator<Item = &'s Step>>) {
        if let (Some(key), Some(mut steps)) = (key_of(node, "hosts"), steps) {
            let called = steps.any(|step| {
                let undo = step.undo.as_ref().is_some_and(|undo| requests(&undo.work));
                undo || requests(&step.work)
            });
            if !called {
                self.warning(
                    "E1043",
                    key.at,
                    "`hosts` has no effect: no step makes an HTTP request",
                    "remove it; compositions that are used have hosts of their own",
                );
            }
        }
        if node.get("expose").is_none() {
            for name in [
                "anonymous",
                "scopes",
                "idempotency",
                "status",
                "headers",
                "stream",
            ] {
                if let Some(key) = key_of(node, name) {
                    self.warning(
                        "E1043",
                        key.at,
                        format!("`{name}` has no effect: only other compositions can use this one"),
                        "serve it, `expose: POST /v1/…`, or leave it out",
                    );
                }
            }
        }
    }
}

/// Whether work makes HTTP requests itself.
fn requests(work: &Work) -> bool {
    match work {
        Work::Http(_) => true,
        Work::Race(ways) => ways.iter().any(requests),
        Work::Operation(_) | Work::Composition { .. } => false,
    }
}
