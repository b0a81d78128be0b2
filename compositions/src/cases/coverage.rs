//! Which of the ways that runs of a composition can take the cases took.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Seen, asked, find, plain};
use crate::{
    plan::{Plan, Step, Work},
    run::{StepOutcome, UndoOutcome},
};

/// What cases reached of one composition.
#[derive(Debug, Clone, Serialize)]
pub struct Coverage {
    /// Its name.
    pub composition: String,
    /// Everything that can be reached.
    pub points: Vec<Point>,
}

/// Something that can happen to a step.
#[derive(Debug, Clone, Serialize)]
pub struct Point {
    /// The step.
    pub step: String,
    /// What can happen.
    pub what: What,
    /// Whether a case made it happen.
    pub reached: bool,
}

/// What can happen to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It ran, and worked.
    Ran,
    /// Its condition did not hold.
    Skipped,
    /// Its `otherwise` stood in.
    Degraded,
    /// Another account answered than the one asked first.
    FailedOver,
    /// Its effect was taken back.
    Undone,
}

impl What {
    /// In words: "`heard` never …".
    pub fn words(self) -> &'static str {
        match self {
            Self::Ran => "runs",
            Self::Skipped => "is skipped",
            Self::Degraded => "is degraded",
            Self::FailedOver => "fails over",
            Self::Undone => "is undone",
        }
    }
}

impl Coverage {
    /// Nothing reached yet.
    pub fn of(plan: &Plan) -> Self {
        let points = plan.steps.iter().flat_map(|step| {
            possible(step).into_iter().map(|what| Point {
                step: step.name.clone(),
                what,
                reached: false,
            })
        });
        Self {
            composition: plan.name.clone(),
            points: points.collect(),
        }
    }

    /// Adds what a case of `plan` reached, if that composition is this one or uses it.
    pub fn add(&mut self, plan: &Plan, seen: &Seen) {
        for report in &seen.steps {
            let name = plain(&report.step);
            let Some((plan, step)) = find(plan, &name) else {
                continue;
            };
            if plan.name != self.composition {
                continue;
            }
            match report.outcome {
                StepOutcome::Done => self.reach(&step.name, What::Ran),
                StepOutcome::Skipped => self.reach(&step.name, What::Skipped),
                StepOutcome::Degraded => self.reach(&step.name, What::Degraded),
                StepOutcome::Failed | StepOutcome::Cancelled => {}
            }
            let vendors: BTreeSet<&str> = asked(report)
                .map(|attempt| attempt.vendor.as_str())
                .collect();
            if report.outcome == StepOutcome::Done && vendors.len() > 1 {
                self.reach(&step.name, What::FailedOver);
            }
        }
        for undone in &seen.ran.undone {
            if undone.outcome == UndoOutcome::Undone && plan.name == self.composition {
                self.reach(&undone.step, What::Undone);
            }
        }
    }

    fn reach(&mut self, step: &str, what: What) {
        let mut points = self.points.iter_mut();
        if let Some(point) = points.find(|point| point.step == step && point.what == what) {
            point.reached = true;
        }
    }

    /// How many were reached, of how many.
    pub fn count(&self) -> (usize, usize) {
        let reached = self.points.iter().filter(|point| point.reached).count();
        (reached, self.points.len())
    }
}

fn possible(step: &Step) -> Vec<What> {
    let mut possible = vec![What::Ran];
    // A condition on the item skips items, and not the step.
    let by_item = |name: &&str| matches!(*name, "item" | "index");
    if let Some(when) = &step.when
        && !(step.each.is_some()
            && when
                .names()
                .iter()
                .map(String::as_str)
                .any(|name| by_item(&name)))
    {
        possible.push(What::Skipped);
    }
    if step.otherwise.is_some() {
        possible.push(What::Degraded);
    }
    if matches!(step.work, Work::Operation(_)) {
        possible.push(What::FailedOver);
    }
    if step.undo.is_some() {
        possible.push(What::Undone);
    }
    possible
}
