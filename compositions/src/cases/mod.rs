//! Cases: what a composition is tried with, and what must come of it.
//!
//! A file `NAME.test.yaml` beside a composition becomes checked [`Cases`]; each case is tried over answers that stand in
//! the file, or over a caller that reaches simulated vendors; what was seen is judged, and adds to the coverage. Nothing
//! here opens a socket or reads a file: whoever tries cases hands both in.

mod canned;
mod coverage;
mod judge;
mod neutral;
mod read;
mod schema;
mod table;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use isobar_adapters::Blob;
use isobar_config::{Expression, Location};
use serde_json::{Map, Value};

pub use canned::{Seen, Sent, tried};
pub use coverage::{Coverage, Point, What};
pub use judge::differences;
pub use read::{Outside, read};
pub use schema::schema;

use crate::{
    caller::Attempt,
    plan::{Plan, Step, Work},
    run::StepReport,
};

/// The cases of one file.
#[derive(Debug)]
pub struct Cases {
    /// The composition that is tried.
    pub plan: Arc<Plan>,
    /// In the order written.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Where it stands.
    pub at: Location,
    /// Inputs but for blobs.
    pub fields: Map<String, Value>,
    /// Inputs that are blobs.
    pub blobs: Vec<(String, Blob)>,
    /// Answers by step.
    pub(crate) answers: BTreeMap<String, Reply>,
    /// Whether what has no answer here goes to simulated vendors, and to which: all of them if none is named.
    pub sandbox: Option<Vec<String>>,
    /// The vendors' script of faults.
    pub faults: Vec<Value>,
    pub(crate) expect: Expect,
}

/// What a step is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Always this.
    Always(Canned),
    /// One after the other; for a step with `each`, one for each item.
    Turns(Vec<Reply>),
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Canned {
    /// Members that are given.
    pub(crate) json: Map<String, Value>,
    pub(crate) blobs: Vec<(String, Blob)>,
    pub(crate) takes: Duration,
    pub(crate) fails: Option<Failure>,
}

/// How a call fails.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) unknown: bool,
    pub(crate) reason: Option<String>,
}

/// What must come of a case.
#[derive(Debug, Default)]
pub(crate) struct Expect {
    pub(crate) status: Option<u16>,
    pub(crate) output: Option<Value>,
    pub(crate) exactly: Option<Value>,
    pub(crate) holds: Vec<Expression>,
    pub(crate) headers: Vec<(String, String)>,
    /// Steps by how they ended.
    pub(crate) ended: Vec<(Ending, Vec<String>)>,
    pub(crate) calls: Vec<(String, u64)>,
    pub(crate) attempts: Vec<(String, u64)>,
    pub(crate) vendors: Vec<(String, String)>,
    pub(crate) sent: Vec<(String, Value)>,
    pub(crate) error: Option<Wrong>,
    pub(crate) within: Option<Duration>,
}

/// How steps end, and what becomes of effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Degraded,
    Skipped,
    Failed,
    Cancelled,
    Undone,
    Pending,
    Review,
}

/// How a run must fail.
#[derive(Debug, Default)]
pub(crate) struct Wrong {
    pub(crate) step: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) kind: Option<String>,
    /// A part of the reason.
    pub(crate) reason: Option<String>,
}

/// A step's name without the indexes of items: `outer.inner` of `outer[3].inner`.
pub(crate) fn plain(step: &str) -> String {
    let mut name = String::with_capacity(step.len());
    let mut inside = false;
    for letter in step.chars() {
        match letter {
            '[' => inside = true,
            ']' => inside = false,
            _ if inside => {}
            _ => name.push(letter),
        }
    }
    name
}

/// Attempts that were made: accounts that were passed over were not asked.
pub(crate) fn asked(report: &StepReport) -> impl Iterator<Item = &Attempt> {
    let attempts = report.attempts.iter();
    attempts.filter(|attempt| attempt.verdict != "skipped")
}

/// The step of this name, `outer.inner` in a composition that another uses, with the plan that has it.
pub(crate) fn find<'p>(plan: &'p Plan, path: &str) -> Option<(&'p Plan, &'p Step)> {
    let (name, rest) = path
        .split_once('.')
        .map_or((path, None), |(name, rest)| (name, Some(rest)));
    let step = plan.steps.get(plan.step(name)?)?;
    match (rest, &step.work) {
        (None, _) => Some((plan, step)),
        (Some(rest), Work::Composition { plan, .. }) => find(plan, rest),
        (Some(_), _) => None,
    }
}

/// Names of all steps, with those of compositions that are used.
pub(crate) fn names(plan: &Plan) -> Vec<String> {
    let mut names = Vec::new();
    for step in &plan.steps {
        names.push(step.name.clone());
        if let Work::Composition { plan, .. } = &step.work {
            let inner = self::names(plan).into_iter();
            names.extend(inner.map(|inner| format!("{}.{inner}", step.name)));
        }
    }
    names
}
