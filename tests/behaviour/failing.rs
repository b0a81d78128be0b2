//! Each class of error at each vendor, for each operation: what fails over, what does not, and what the client is told.

use std::time::Duration;

use isobar_sandbox::faults::{Class, Fault, Rule};
use libtest_mimic::Trial;

use crate::support::{Stand, run, vendors};

const OPERATIONS: [&str; 9] = [
    "speech.transcribe",
    "speech.synthesize",
    "text.sentiment",
    "text.entities",
    "text.key_phrases",
    "text.language",
    "text.classify",
    "translation.translate",
    "translation.detect",
];

/// What the second account of the same vendor must take over.
fn taken_over() -> Vec<(&'static str, Fault)> {
    vec![
        ("a_wrong_key", Fault::error(Class::Auth)),
        ("a_used_up_quota", Fault::error(Class::Quota)),
        ("too_many_requests", Fault::error(Class::Rate)),
        ("an_overload", Fault::error(Class::Unavailable)),
        ("an_internal_error", Fault::error(Class::Internal)),
        ("a_reset", Fault::Reset),
        ("a_truncated_answer", Fault::Truncated),
        ("an_answer_that_is_not_json", Fault::Malformed),
        ("an_answer_of_the_wrong_shape", Fault::WrongShape),
    ]
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for operation in OPERATIONS {
        for vendor in vendors(operation) {
            for (name, fault) in taken_over() {
                // A recording is bytes of any kind: there is no wrong shape to see.
                if operation == "speech.synthesize"
                    && matches!(fault, Fault::Malformed | Fault::WrongShape)
                {
                    continue;
                }
                let (vendor, title) = (
                    vendor.clone(),
                    format!(
                        "{}::fails_over::{name}::{vendor}",
                        operation.replace('.', "::")
                    ),
                );
                trials.push(Trial::test(title, move || {
                    run(fails_over(operation, vendor, fault))
                }));
            }
            let title = format!(
                "{}::does_not_fail_over::invalid_input::{vendor}",
                operation.replace('.', "::")
            );
            trials.push(Trial::test(title, move || {
                run(answers_at_once(operation, vendor))
            }));
        }
    }
    trials
}

async fn fails_over(operation: &'static str, vendor: String, fault: Fault) {
    let second = format!("{vendor}-2");
    let stand = Stand::start(operation, &[&vendor, &second]).await;
    // Every call of the first account, whatever the vendor's step.
    stand
        .sandbox
        .faults()
        .set([Rule::at(&vendor, fault).with(&vendor)]);
    let seen = stand.simplest().await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    assert_eq!(seen.vendor(), second, "{:?}", seen.headers);
    assert_eq!(seen.attempts(), "2");
}

async fn answers_at_once(operation: &'static str, vendor: String) {
    let second = format!("{vendor}-2");
    let stand = Stand::start(operation, &[&vendor, &second]).await;
    // Not where a token is asked for, which is not the client's input: the first rule that fits decides.
    let token = Rule::at(&vendor, Fault::Delay(Duration::ZERO)).during("token");
    let invalid = Rule::at(&vendor, Fault::error(Class::Invalid)).with(&vendor);
    stand.sandbox.faults().set([token, invalid]);
    let seen = stand.simplest().await;
    assert_eq!(seen.status, 400, "{}", seen.text());
    assert_eq!(seen.problem(), "bad-input");
    assert_eq!(seen.attempts(), "1");
    let told = seen.json();
    assert!(!told["detail"].as_str().unwrap().is_empty());
    assert!(
        !seen.text().contains("sandbox-"),
        "a credential shows: {}",
        seen.text()
    );
}
