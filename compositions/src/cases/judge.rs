//! What was seen of a case, held against what must come of it.

use serde_json::{Value, json};

use super::{Case, Ending, Expect, Seen, Sent, Wrong, asked, plain};
use crate::run::{Answer, AnswerBody, RunFailed, StepOutcome, UndoOutcome};

/// Longest value that is shown in full, in characters.
const LONGEST: usize = 160;

/// Everything that is other than the case expects, one line each.
pub fn differences(case: &Case, seen: &Seen) -> Vec<String> {
    let expect = &case.expect;
    let mut found = seen.unanswered.clone();
    match (&seen.ran.result, &expect.error) {
        (Ok(answer), None) => of_answer(expect, answer, seen, &mut found),
        (Ok(answer), Some(_)) => found.push(format!(
            "it was to fail, and answered {}: {}",
            answer.status.as_u16(),
            shown(&output(answer))
        )),
        (Err(failed), Some(wrong)) => of_failure(wrong, failed, &mut found),
        // A status alone may be that of a failure.
        (Err(failed), None) if expect.status.is_some_and(|status| status >= 400) => {}
        (Err(failed), None) => {
            let step = failed
                .step
                .as_deref()
                .map_or(String::new(), |step| format!(" in `{step}`"));
            found.push(format!(
                "it failed{step} with {}: {}",
                failed.status, failed.reason
            ));
        }
    }
    if let (Err(failed), Some(status)) = (&seen.ran.result, expect.status)
        && failed.status != status
    {
        found.push(format!(
            "the status is {}, not {status}: {}",
            failed.status, failed.reason
        ));
    }
    of_steps(expect, seen, &mut found);
    of_calls(expect, seen, &mut found);
    if let Some(most) = expect.within
        && seen.took > most
    {
        found.push(format!(
            "it took {:.0?}, and may take {most:.0?}",
            seen.took
        ));
    }
    found
}

fn of_answer(expect: &Expect, answer: &Answer, seen: &Seen, found: &mut Vec<String>) {
    let output = output(answer);
    let status = answer.status.as_u16();
    if let Some(wanted) = expect.status
        && wanted != status
    {
        found.push(format!("the status is {status}, not {wanted}"));
    }
    if let Some(wanted) = &expect.output {
        differ(wanted, Some(&output), "output", false, found);
    }
    if let Some(wanted) = &expect.exactly {
        differ(wanted, Some(&output), "output", true, found);
    }
    for (name, wanted) in &expect.headers {
        let value = answer
            .headers
            .iter()
            .find(|(known, _)| known.as_str() == name);
        let value = value.and_then(|(_, value)| value.to_str().ok());
        if value != Some(wanted) {
            let value = value.map_or("missing".to_owned(), |value| format!("`{value}`"));
            found.push(format!("header `{name}` is {value}, not `{wanted}`"));
        }
    }
    let (status, degraded) = (Value::from(status), json!(seen.ran.degraded));
    for condition in &expect.holds {
        let look = |name: &str| match name {
            "output" => Some(&output),
            "status" => Some(&status),
            "degraded" => Some(&degraded),
            _ => None,
        };
        match condition.holds_for(&look) {
            Ok(true) => {}
            Ok(false) => {
                found.push(format!(
                    "`{}` does not hold of {}",
                    condition.source().trim(),
                    shown(&output)
                ));
            }
            Err(error) => found.push(format!("`{}`: {error}", condition.source().trim())),
        }
    }
}

fn of_failure(wrong: &Wrong, failed: &RunFailed, found: &mut Vec<String>) {
    if let Some(step) = &wrong.step
        && failed.step.as_deref() != Some(step)
    {
        let is = failed
            .step
            .as_deref()
            .map_or("no step".to_owned(), |step| format!("`{step}`"));
        found.push(format!("{is} failed, not `{step}`: {}", failed.reason));
    }
    if let Some(status) = wrong.status
        && failed.status != status
    {
        found.push(format!(
            "it failed with {}, not {status}: {}",
            failed.status, failed.reason
        ));
    }
    let is = failed.kind;
    if let Some(kind) = &wrong.kind
        && is != *kind
    {
        found.push(format!("the problem is `{is}`, not `{kind}`"));
    }
    if let Some(reason) = &wrong.reason
        && !failed.reason.contains(reason)
    {
        found.push(format!(
            "the reason is `{}`, without `{reason}`",
            failed.reason
        ));
    }
}

fn of_steps(expect: &Expect, seen: &Seen, found: &mut Vec<String>) {
    for (ending, wanted) in &expect.ended {
        let (word, ordered) = match ending {
            Ending::Degraded => ("degraded", false),
            Ending::Skipped => ("skipped", false),
            Ending::Failed => ("failed", false),
            Ending::Cancelled => ("cancelled", false),
            Ending::Undone => ("undone", true),
            Ending::Pending => ("pending", true),
            Ending::Review => ("review", true),
        };
        let mut is = ended(*ending, seen);
        let mut wanted = wanted.clone();
        if !ordered {
            is.sort();
            is.dedup();
            wanted.sort();
        }
        if is != wanted {
            found.push(format!(
                "`{word}` is {}, not {}",
                names(&is),
                names(&wanted)
            ));
        }
    }
    for (step, wanted) in &expect.attempts {
        let reports = seen
            .steps
            .iter()
            .filter(|report| plain(&report.step) == *step);
        let attempts: Vec<_> = reports.flat_map(asked).collect();
        if attempts.len() as u64 != *wanted {
            let told: Vec<String> = attempts
                .iter()
                .map(|attempt| {
                    format!(
                        "{} {} ({})",
                        attempt.vendor, attempt.verdict, attempt.reason
                    )
                })
                .collect();
            found.push(format!(
                "`{step}` took {} attempts, not {wanted}: {}",
                attempts.len(),
                told.join(", ")
            ));
        }
    }
    for (step, wanted) in &expect.vendors {
        let mut reports = seen
            .steps
            .iter()
            .filter(|report| plain(&report.step) == *step);
        let vendor = reports.find_map(|report| report.vendor.as_deref());
        if vendor != Some(wanted) {
            let vendor = vendor.map_or("nobody".to_owned(), |vendor| format!("`{vendor}`"));
            found.push(format!("{vendor} answered `{step}`, not `{wanted}`"));
        }
    }
}

/// Steps that ended so, or whose effects did.
fn ended(ending: Ending, seen: &Seen) -> Vec<String> {
    let steps = |outcome: StepOutcome| {
        let reports = seen.steps.iter().filter(|report| report.outcome == outcome);
        reports.map(|report| plain(&report.step)).collect()
    };
    let effects = |outcome: UndoOutcome| {
        let undone = seen
            .ran
            .undone
            .iter()
            .filter(|undone| undone.outcome == outcome);
        undone.map(|undone| undone.step.clone()).collect()
    };
    match ending {
        Ending::Degraded => steps(StepOutcome::Degraded),
        Ending::Skipped => steps(StepOutcome::Skipped),
        Ending::Failed => steps(StepOutcome::Failed),
        Ending::Cancelled => steps(StepOutcome::Cancelled),
        Ending::Undone => effects(UndoOutcome::Undone),
        Ending::Pending => effects(UndoOutcome::Pending),
        Ending::Review => effects(UndoOutcome::NeedsReview),
    }
}

fn of_calls(expect: &Expect, seen: &Seen, found: &mut Vec<String>) {
    let made =
        |step: &str| -> Vec<&Sent> { seen.sent.iter().filter(|sent| sent.step == step).collect() };
    for (step, wanted) in &expect.calls {
        let count = made(step).len();
        if count as u64 != *wanted {
            found.push(format!("`{step}` called {count} times, not {wanted}"));
        }
    }
    for (step, wanted) in &expect.sent {
        let made = made(step);
        let wanted = match wanted {
            Value::Array(calls) => calls.as_slice(),
            one => std::slice::from_ref(one),
        };
        for (turn, wanted) in wanted.iter().enumerate() {
            let at = if turn == 0 {
                step.clone()
            } else {
                format!("{step} (call {})", turn + 1)
            };
            match made.get(turn) {
                Some(sent) => differ(
                    wanted,
                    Some(&sent.input),
                    &format!("sent by {at}: "),
                    false,
                    found,
                ),
                None => found.push(format!("`{at}` did not call")),
            }
        }
    }
}

fn output(answer: &Answer) -> Value {
    match &answer.body {
        AnswerBody::Json(_) => answer.body.value().unwrap_or_default(),
        AnswerBody::Blob(blob) => json!({
            "media_type": blob.media_type(), "bytes": blob.length(), "duration": blob.media().duration,
        }),
    }
}

/// Says where a value is other than wanted. What is wanted as null may be absent.
fn differ(wanted: &Value, is: Option<&Value>, at: &str, exact: bool, found: &mut Vec<String>) {
    match (wanted, is) {
        (Value::Null, None | Some(Value::Null)) => {}
        (_, None) => found.push(format!("`{at}` is missing, not {}", shown(wanted))),
        (Value::Object(wanted), Some(Value::Object(is))) => {
            for (name, wanted) in wanted {
                differ(wanted, is.get(name), &member(at, name), exact, found);
            }
            if exact {
                for (name, more) in is {
                    if !wanted.contains_key(name) && !more.is_null() {
                        found.push(format!(
                            "`{}` is {}, and is not wanted",
                            member(at, name),
                            shown(more)
                        ));
                    }
                }
            }
        }
        (Value::Array(wanted), Some(Value::Array(is))) => {
            if wanted.len() != is.len() {
                found.push(format!(
                    "`{at}` has {} items, not {}: {}",
                    is.len(),
                    wanted.len(),
                    shown(&Value::Array(is.clone()))
                ));
                return;
            }
            for (index, (wanted, is)) in wanted.iter().zip(is).enumerate() {
                differ(wanted, Some(is), &format!("{at}[{index}]"), exact, found);
            }
        }
        (wanted, Some(is)) => {
            if !same(wanted, is) {
                found.push(format!("`{at}` is {}, not {}", shown(is), shown(wanted)));
            }
        }
    }
}

fn member(at: &str, name: &str) -> String {
    if at.ends_with(' ') {
        format!("{at}{name}")
    } else {
        format!("{at}.{name}")
    }
}

/// Whether scalars are the same; `1` and `1.0` are.
fn same(one: &Value, two: &Value) -> bool {
    match (one.as_f64(), two.as_f64()) {
        #[expect(clippy::float_cmp, reason = "a case writes the number that it means")]
        (Some(one), Some(two)) => one == two,
        _ => one == two,
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start}…")
}

fn names(names: &[String]) -> String {
    format!("[{}]", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: &Value, is: &Value, exact: bool, expected: &[&str]) {
        let mut found = Vec::new();
        differ(wanted, Some(is), "output", exact, &mut found);
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_named_is_not_looked_at_unless_all_of_it_is_wanted() {
        let is = json!({ "a": 1, "b": { "c": "x", "d": null }, "e": [{ "f": 1, "g": 2 }] });
        check(
            &json!({ "a": 1.0, "b": { "c": "x" }, "e": [{ "f": 1 }] }),
            &is,
            false,
            &[],
        );
        check(&json!({ "b": { "d": null, "z": null } }), &is, false, &[]);
        check(&json!({ "a": 2 }), &is, false, &["`output.a` is 1, not 2"]);
        check(
            &json!({ "z": 2 }),
            &is,
            false,
            &["`output.z` is missing, not 2"],
        );
        check(
            &json!({ "b": { "c": null } }),
            &is,
            false,
            &["`output.b.c` is \"x\", not null"],
        );
        check(
            &json!({ "e": [] }),
            &is,
            false,
            &["`output.e` has 1 items, not 0: [{\"f\":1,\"g\":2}]"],
        );
        check(
            &json!({ "a": 1, "b": { "c": "x" }, "e": [{ "f": 1, "g": 2 }] }),
            &is,
            true,
            &[],
        );
        check(
            &json!({ "a": 1, "b": {}, "e": [{ "f": 1 }] }),
            &is,
            true,
            &[
                "`output.b.c` is \"x\", and is not wanted",
                "`output.e[0].g` is 2, and is not wanted",
            ],
        );
    }
}
