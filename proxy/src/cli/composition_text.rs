//! What `isobar explain` says of a composition: its stages, who serves each step, and the most that a run can take.

use std::fmt::Write as _;

use isobar_compositions::{
    Plan,
    plan::{OperationWork, Step, Work},
};
use isobar_config::Config;
use serde_json::{Value, json};

use super::style::Style;

/// For people.
pub(super) fn text(config: &Config, plan: &Plan, style: Style) -> String {
    let mut text = style.bold(&plan.name);
    if let Some(about) = &plan.about {
        let _ = write!(text, "  {about}");
    }
    text.push('\n');
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {}  {value}", style.dim(&format!("{name:<11}")));
    };
    match &plan.expose {
        Some(expose) => line("served at", &expose.text),
        None => line("served at", "nowhere: other compositions use it"),
    }
    for input in &plan.inputs {
        line("input", &format!("{}: {}", input.name, input.shape));
    }
    let calls: u32 = plan.steps.iter().map(Step::most_calls).sum();
    line(
        "deadline",
        &format!(
            "{:?}; at worst it takes {:?}",
            plan.deadline,
            plan.worst_time()
        ),
    );
    line(
        "calls",
        &format!(
            "{calls} at most, of {} allowed; {} at once",
            plan.limits.calls, plan.limits.at_once
        ),
    );
    let attempts: u64 = plan.steps.iter().map(|step| attempts(config, step)).sum();
    line("attempts", &format!("{attempts} at most"));
    for (number, stage) in plan.stages().iter().enumerate() {
        let _ = writeln!(text, "\n  {}", style.bold(&format!("stage {}", number + 1)));
        for step in stage.iter().filter_map(|index| plan.steps.get(*index)) {
            let needs: Vec<&str> = step
                .needs
                .iter()
                .filter_map(|need| plan.steps.get(*need))
                .map(|need| need.name.as_str())
                .collect();
            let after = if needs.is_empty() {
                String::new()
            } else {
                format!("  ← {}", needs.join(", "))
            };
            let _ = writeln!(
                text,
                "    {:<16} {}{after}",
                step.name,
                style.dim(&step.work.label())
            );
            for remark in step.remarks() {
                let _ = writeln!(text, "      {remark}");
            }
            for served in served(config, &step.work) {
                let _ = writeln!(text, "      {served}");
            }
        }
    }
    text
}

/// For programs.
pub(super) fn document(config: &Config, plan: &Plan) -> Value {
    let step = |step: &Step| {
        let needs: Vec<&str> = step
            .needs
            .iter()
            .filter_map(|need| plan.steps.get(*need))
            .map(|need| need.name.as_str())
            .collect();
        json!({
            "step": step.name, "work": step.work.label(), "needs": needs, "remarks": step.remarks(),
            "calls_at_most": step.most_calls(), "attempts_at_most": attempts(config, step), "served_by": served(config, &step.work),
        })
    };
    let stages: Vec<Vec<&str>> = plan
        .stages()
        .iter()
        .map(|stage| {
            let steps = stage.iter().filter_map(|index| plan.steps.get(*index));
            steps.map(|step| step.name.as_str()).collect()
        })
        .collect();
    let inputs: Vec<Value> = plan
        .inputs
        .iter()
        .map(|input| json!({ "name": input.name, "type": input.shape.to_string(), "about": input.about }))
        .collect();
    json!({
        "composition": plan.name, "about": plan.about, "expose": plan.expose.as_ref().map(|expose| &expose.text), "inputs": inputs,
        "deadline_ms": u64::try_from(plan.deadline.as_millis()).unwrap_or(u64::MAX),
        "worst_time_ms": u64::try_from(plan.worst_time().as_millis()).unwrap_or(u64::MAX),
        "stages": stages, "steps": plan.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

/// Most attempts at accounts of one step.
fn attempts(config: &Config, step: &Step) -> u64 {
    let of = |work: &OperationWork| {
        let pool = isobar::compositions::pool_of(config, work);
        pool.map_or(1, |pool| {
            let members = u64::try_from(pool.members.len()).unwrap_or(1);
            u64::from(pool.retry.attempts).min(members.max(1))
        })
    };
    let each = match &step.work {
        Work::Operation(work) => of(work),
        Work::Race(ways) => ways
            .iter()
            .map(|way| match way {
                Work::Operation(work) => of(work),
                _ => 1,
            })
            .max()
            .unwrap_or(1),
        Work::Composition { .. } | Work::Http(_) => 1,
    };
    each * u64::from(step.most_calls())
}

/// Who serves a step, in order, with list prices.
fn served(config: &Config, work: &Work) -> Vec<String> {
    match work {
        Work::Operation(work) => vec![served_operation(config, work)],
        Work::Race(ways) => ways.iter().flat_map(|way| served(config, way)).collect(),
        Work::Composition { .. } | Work::Http(_) => Vec::new(),
    }
}

fn served_operation(config: &Config, work: &OperationWork) -> String {
    let Some(pool) = isobar::compositions::pool_of(config, work) else {
        return format!("nobody offers {} in this configuration", work.contract.name);
    };
    let vendors = isobar::vendors(config.adapters.as_deref()).ok();
    let member = |member: &isobar_config::Member| {
        let account = config.accounts.get(member.account.0)?;
        let price = account.vendor.as_ref().and_then(|at| {
            vendors
                .as_ref()?
                .get(&at.vendor)?
                .operation(work.contract.name)?
                .price()
        });
        Some(match price {
            Some(price) => format!("{} ({price})", account.name),
            None => account.name.clone(),
        })
    };
    let members: Vec<String> = pool.members.iter().filter_map(member).collect();
    format!("by {}", members.join(", then "))
}
