//! What runs need to know of a plan beside its steps: who waits for whom, and whose output is looked at how. Worked out
//! once.

use std::sync::Arc;

use isobar_config::{Effect, Expression, Hop};

use super::wanted::Wanted;
use crate::plan::{Given, Http, HttpBody, Plan, Reference, Root, Step, Url, Work};

/// Who needs whom.
#[derive(Debug)]
pub(crate) struct Graph {
    /// Steps that each step waits for: its needs, and the step whose output it may share.
    pub(crate) needs: Vec<Vec<usize>>,
    /// Steps that need each step.
    pub(crate) users: Vec<Vec<usize>>,
    /// How many steps each waits for.
    pub(crate) waits: Vec<usize>,
    /// How many want each step's output: users, the output, and for steps with effects always one more.
    pub(crate) wanted: Vec<usize>,
    /// Whether the run fails if the step does.
    pub(crate) ends_run: Vec<bool>,
    /// What each step does, in a word or two.
    pub(crate) labels: Vec<Arc<str>>,
    /// What is looked at of each step's output.
    pub(crate) wanted_of: Vec<Wanted>,
}

impl Graph {
    fn of(plan: &Plan) -> Self {
        let count = plan.steps.len();
        let mut users = vec![Vec::new(); count];
        let needs: Vec<Vec<usize>> = plan
            .steps
            .iter()
            .map(|step| {
                let twin = step.twin.filter(|twin| !step.needs.contains(twin));
                step.needs.iter().copied().chain(twin).collect()
            })
            .collect();
        for (index, needs) in needs.iter().enumerate() {
            for &need in needs {
                if let Some(users) = users.get_mut(need) {
                    users.push(index);
                }
            }
        }
        let mut roots = Vec::new();
        let output = &plan.output;
        steps_of(plan, &output.body, &mut roots);
        for given in output
            .status
            .iter()
            .chain(output.headers.iter().map(|(_, given)| given))
        {
            steps_of(plan, given, &mut roots);
        }
        let in_output = |index: usize| roots.contains(&index);
        let own = |index: usize, step: &Step| {
            in_output(index) || !step.needed || step.effect != Effect::Read
        };
        Self {
            waits: needs.iter().map(Vec::len).collect(),
            wanted: plan
                .steps
                .iter()
                .enumerate()
                .map(|(index, step)| {
                    users.get(index).map_or(0, Vec::len) + usize::from(own(index, step))
                })
                .collect(),
            ends_run: plan
                .steps
                .iter()
                .enumerate()
                .map(|(index, step)| {
                    in_output(index) || (!step.needed && users.get(index).is_none_or(Vec::is_empty))
                })
                .collect(),
            labels: plan
                .steps
                .iter()
                .map(|step| step.work.label().into())
                .collect(),
            wanted_of: looked_at(plan),
            needs,
            users,
        }
    }
}

/// Steps that a value looks at.
pub(crate) fn steps_of(plan: &Plan, given: &Given, found: &mut Vec<usize>) {
    // What is degraded is known when all has ended.
    let all = 0..plan.steps.len();
    match given {
        Given::Literal(_) => {}
        Given::Reference(reference) => match reference.root {
            Root::Step(step) => found.push(step),
            Root::Run if !is_known(reference) => found.extend(all),
            Root::Input | Root::Run | Root::Item | Root::Index => {}
        },
        Given::Expression(expression) => {
            for name in expression.names() {
                let is_known = |way: &Vec<&str>| matches!(way.as_slice(), ["id" | "key", ..]);
                if name == "run" && !expression.looks_at(name).iter().all(is_known) {
                    found.extend(all.clone());
                }
                found.extend(plan.step(name));
            }
        }
        Given::List(items) => items.iter().for_each(|item| steps_of(plan, item, found)),
        Given::Map(members) => members
            .iter()
            .for_each(|(_, member)| steps_of(plan, member, found)),
    }
}

/// Of each step's output, what is looked at.
fn looked_at(plan: &Plan) -> Vec<Wanted> {
    let mut wanted = vec![Wanted::default(); plan.steps.len()];
    visit(plan, &mut |value| match value {
        Looked::Reference(reference) => {
            if let Root::Step(step) = reference.root
                && let Some(wanted) = wanted.get_mut(step)
            {
                wanted.add_reference(reference);
            }
        }
        Looked::Expression(expression) => {
            for name in expression.names() {
                if let Some(wanted) = plan.step(name).and_then(|step| wanted.get_mut(step)) {
                    wanted.add_expression(expression, name);
                }
            }
        }
    });
    // With `each` a step's output is a list; one answer is one of its items.
    for (wanted, step) in wanted.iter_mut().zip(&plan.steps) {
        if step.each.is_some() {
            *wanted = std::mem::take(wanted).of_item();
        }
    }
    // A step may share the output of an earlier one.
    for (index, step) in plan.steps.iter().enumerate().rev() {
        if let Some(twin) = step.twin
            && let Some(own) = wanted.get(index).cloned()
            && let Some(wanted) = wanted.get_mut(twin)
        {
            wanted.add(&own);
        }
    }
    wanted
}

/// Something that looks at values.
enum Looked<'a> {
    Reference(&'a Reference),
    Expression(&'a Expression),
}

/// Everything in a plan that looks at values.
fn visit(plan: &Plan, see: &mut dyn FnMut(Looked<'_>)) {
    for step in &plan.steps {
        if let Some(when) = &step.when {
            see(Looked::Expression(when));
        }
        let each = step.each.as_ref().map(|each| &each.items);
        for given in each.into_iter().chain(&step.otherwise) {
            visit_given(given, see);
        }
        let undo = step.undo.as_ref().map(|undo| &undo.work);
        for work in std::iter::once(&step.work).chain(undo) {
            visit_work(work, see);
        }
    }
    let output = &plan.output;
    let headers = output.headers.iter().map(|(_, given)| given);
    for given in headers.chain(&output.status).chain([&output.body]) {
        visit_given(given, see);
    }
}

fn visit_work(work: &Work, see: &mut dyn FnMut(Looked<'_>)) {
    match work {
        Work::Operation(work) => {
            for (_, given) in &work.with {
                visit_given(given, see);
            }
        }
        Work::Composition { with, .. } => {
            for (_, given) in with {
                visit_given(given, see);
            }
        }
        Work::Http(http) => visit_http(http, see),
        Work::Race(ways) => ways.iter().for_each(|way| visit_work(way, see)),
    }
}

fn visit_http(http: &Http, see: &mut dyn FnMut(Looked<'_>)) {
    match &http.url {
        Url::Known { parameters, .. } => {
            for given in parameters {
                visit_given(given, see);
            }
        }
        Url::Made(given) => visit_given(given, see),
    }
    for (_, given) in &http.query {
        visit_given(given, see);
    }
    for (_, given) in &http.headers {
        visit_given(given, see);
    }
    match &http.body {
        HttpBody::None => {}
        HttpBody::Json(given) | HttpBody::Raw(given) => visit_given(given, see),
    }
}

fn visit_given(given: &Given, see: &mut dyn FnMut(Looked<'_>)) {
    match given {
        Given::Literal(_) => {}
        Given::Reference(reference) => see(Looked::Reference(reference)),
        Given::Expression(expression) => see(Looked::Expression(expression)),
        Given::List(items) => items.iter().for_each(|item| visit_given(item, see)),
        Given::Map(members) => members
            .iter()
            .for_each(|(_, member)| visit_given(member, see)),
    }
}

/// Whether a reference leads to what is known of a run from its start.
fn is_known(reference: &Reference) -> bool {
    match reference.path.hops().first() {
        Some(Hop::Name(name)) => matches!(name.as_str(), "id" | "key"),
        _ => false,
    }
}

impl Plan {
    /// What runs need to know of it.
    pub(crate) fn graph(&self) -> &Graph {
        self.graph.get_or_init(|| Graph::of(self))
    }

    /// Whether it, or a composition that it uses, takes effects back.
    pub fn has_undo(&self) -> bool {
        self.steps.iter().any(|step| {
            step.undo.is_some()
                || matches!(&step.work, Work::Composition { plan, .. } if plan.has_undo())
        })
    }
}
