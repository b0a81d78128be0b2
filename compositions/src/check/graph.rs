//! What the steps make together: who waits for whom, what the output needs, what is never used.

use std::collections::BTreeSet;

use isobar_config::Effect;

use super::{
    reading::Reading,
    scope::Uses,
    step::{Draft, Made, key_of},
    twins::twins,
};
use crate::plan::{Given, Plan, Step, Work};

impl Reading<'_> {
    /// Fills in what follows from references, and says what is wrong with all of it. `output` is what the answer looks at.
    pub(crate) fn graph(
        &mut self,
        drafts: &[Draft<'_>],
        made: &mut [Made],
        output: &Uses,
        is_read: bool,
    ) {
        for made in made.iter_mut() {
            let mut needs: BTreeSet<usize> = made.uses.steps.keys().copied().collect();
            needs.extend(made.after.iter().map(|(index, _)| *index));
            // What the undo looks at has to have ended before there is anything to undo.
            needs.extend(made.undo.steps.keys().copied());
            made.step.needs = needs.into_iter().collect();
        }
        let needs: Vec<Vec<usize>> = made.iter().map(|made| made.step.needs.clone()).collect();
        if self.cycles(made, &needs) {
            return;
        }
        let before: Vec<BTreeSet<usize>> = (0..needs.len())
            .map(|index| closure(&needs, needs.get(index).cloned().unwrap_or_default()))
            .collect();
        let needed = closure(&needs, output.steps.keys().copied().collect());
        for (index, made) in made.iter_mut().enumerate() {
            made.step.needed = needed.contains(&index);
        }
        if is_read {
            self.unused(drafts, made, &needed);
        }
        self.undone(drafts, made, &before);
        twins(made);
    }

    /// Whether there are any.
    fn cycles(&mut self, made: &[Made], needs: &[Vec<usize>]) -> bool {
        let mut told: BTreeSet<usize> = BTreeSet::new();
        let mut any = false;
        for start in 0..needs.len() {
            let Some(way) = cycle(needs, start, &told) else {
                continue;
            };
            any = true;
            told.extend(way.iter().copied());
            let name = |index: &usize| {
                made.get(*index)
                    .map_or(String::new(), |made| format!("`{}`", made.step.name))
            };
            let second = way.get(1).copied().unwrap_or(start);
            let at = made.get(start).and_then(|made| {
                let after = made.after.iter().find(|(index, _)| *index == second);
                made.uses
                    .steps
                    .get(&second)
                    .or_else(|| made.undo.steps.get(&second))
                    .copied()
                    .or(after.map(|(_, at)| *at))
            });
            let mut names: Vec<String> = way.iter().map(name).collect();
            names.push(name(&start));
            let told = match names.as_slice() {
                [one, two, _] => format!("{one} waits for {two}, and {two} for {one}"),
                [one, two, more @ ..] => {
                    let more: Vec<String> =
                        more.iter().map(|name| format!("that for {name}")).collect();
                    format!("{one} waits for {two}, {}", more.join(", "))
                }
                _ => "steps wait for each other".to_owned(),
            };
            self.error(
                "E1012",
                at.unwrap_or_default(),
                told,
                "none of them could start: let one of them look at an input or at another step",
            );
        }
        any
    }

    fn unused(&mut self, drafts: &[Draft<'_>], made: &[Made], needed: &BTreeSet<usize>) {
        for (index, draft) in drafts.iter().enumerate() {
            let step = made.get(index).map(|made| &made.step);
            let wanted =
                needed.contains(&index) || made.iter().any(|made| made.step.needs.contains(&index));
            if wanted
                || draft.work.effect != Effect::Read
                || draft.work.is_unknown()
                || step.is_none()
            {
                continue;
            }
            self.warning(
                "E1014",
                draft.key.at,
                format!(
                    "nothing refers to `{}`, and it changes nothing",
                    draft.key.text
                ),
                format!(
                    "use it in the output, such as `{0}: $.{0}`, or remove it",
                    draft.key.text
                ),
            );
        }
    }

    /// Effects that are not taken back when a later step fails.
    fn undone(&mut self, drafts: &[Draft<'_>], made: &[Made], before: &[BTreeSet<usize>]) {
        for (index, draft) in drafts.iter().enumerate() {
            let Some(own) = made.get(index) else {
                continue;
            };
            let covered = own.step.undo.is_some()
                || draft.node.get("undo").is_some()
                || matches!(&own.step.work, Work::Composition { plan, .. } if undoes(plan));
            if own.step.effect == Effect::Read || covered {
                continue;
            }
            let follower = before
                .iter()
                .enumerate()
                .find(|(_, before)| before.contains(&index))
                .and_then(|(follower, _)| made.get(follower));
            if let Some(follower) = follower {
                let key = key_of(draft.node, "use").or_else(|| key_of(draft.node, "http"));
                self.warning(
                    "E1020",
                    key.map_or(draft.key.at, |key| key.at),
                    format!("what `{}` does stays when `{}` fails after it", draft.key.text, follower.step.name),
                    "say how to take it back: `undo: { http: { method: DELETE, url: … } }`; or do it last",
                );
            }
        }
    }
}

/// Whether every effect of a composition is taken back by it.
fn undoes(plan: &Plan) -> bool {
    plan.steps.iter().all(|step| {
        step.effect == Effect::Read
            || step.undo.is_some()
            || matches!(&step.work, Work::Composition { plan, .. } if undoes(plan))
    })
}

/// A way from a step back to itself, by steps of which nothing was told.
fn cycle(needs: &[Vec<usize>], start: usize, told: &BTreeSet<usize>) -> Option<Vec<usize>> {
    if told.contains(&start) {
        return None;
    }
    // Breadth first: the shortest way is the one that is easiest to read.
    let mut from: Vec<Option<usize>> = vec![None; needs.len()];
    let mut waiting = std::collections::VecDeque::from([start]);
    while let Some(step) = waiting.pop_front() {
        for next in needs.get(step).into_iter().flatten() {
            if *next == start {
                let mut way = vec![step];
                let mut last = step;
                while last != start {
                    last = from.get(last).copied().flatten()?;
                    way.push(last);
                }
                way.reverse();
                return Some(way);
            }
            if let Some(place @ None) = from.get_mut(*next)
                && !told.contains(next)
            {
                *place = Some(step);
                waiting.push_back(*next);
            }
        }
    }
    None
}

/// Everything that these steps need, themselves included.
fn closure(needs: &[Vec<usize>], start: Vec<usize>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut waiting = start;
    while let Some(step) = waiting.pop() {
        if found.insert(step) {
            waiting.extend(needs.get(step).into_iter().flatten());
        }
    }
    found
}

/// Most calls that one run can make, tries included.
pub(crate) fn worst(plan_steps: &[Step]) -> u64 {
    fn of(work: &Work) -> u64 {
        match work {
            Work::Operation(_) | Work::Http(_) => 1,
            Work::Composition { plan, .. } => worst(&plan.steps).min(u64::from(plan.limits.calls)),
            Work::Race(ways) => ways.iter().map(of).fold(0, u64::saturating_add),
        }
    }
    plan_steps
        .iter()
        .map(|step| {
            let tries = 1 + step.retry.map_or(0, |retry| u64::from(retry.times));
            let items = match step.each.as_ref().map(|each| (&each.items, each.most)) {
                Some((Given::Literal(serde_json::Value::Array(items)), _)) => items.len() as u64,
                Some((_, most)) => u64::from(most),
                None => 1,
            };
            of(&step.work).saturating_mul(tries).saturating_mul(items)
        })
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_cycle_is_found() {
        let needs = vec![vec![1], vec![2, 3], vec![0], vec![1], vec![]];
        assert_eq!(cycle(&needs, 0, &BTreeSet::new()), Some(vec![0, 1, 2]));
        assert_eq!(cycle(&needs, 1, &BTreeSet::new()), Some(vec![1, 3]));
        assert_eq!(cycle(&needs, 4, &BTreeSet::new()), None);
    }

    #[test]
    fn everything_needed_is_found() {
        let needs = vec![vec![], vec![0], vec![1], vec![]];
        assert_eq!(closure(&needs, vec![2]), BTreeSet::from([0, 1, 2]));
    }
}
