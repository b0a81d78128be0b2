//! The keys of files of cases.

use crate::check::table::{Record, field, required};

pub(crate) static FILE: Record = Record {
    name: "a file of cases",
    doc: "What a composition is tried with, and what must come of it.",
    fields: &[
        field(
            "composition",
            "composition: voice-insights",
            "Composition that is tried. Default: the one that the file is named after.",
        ),
        required(
            "cases",
            "cases: { it works: { input: { text: hello } } }",
            "The cases, by what they show.",
        ),
    ],
};

pub(crate) static CASE: Record = Record {
    name: "a case",
    doc: "One run.",
    fields: &[
        field(
            "input",
            "input: { text: hello }",
            "What the composition is given; `@FILE`, relative to this file, for a recording or another file.",
        ),
        field(
            "answers",
            "answers: { heard: { text: Hello } }",
            "What steps are answered. Required members that are left out are filled.",
        ),
        field(
            "sandbox",
            "sandbox: [deepgram, openai]",
            "Whether calls go to simulated vendors: `true` for all, or accounts in their order.",
        ),
        field(
            "faults",
            "faults: [ { vendor: deepgram, fault: { status: { code: 503 } } } ]",
            "What goes wrong at the simulated vendors.",
        ),
        field("expect", "expect: { status: 200 }", "What must come of it."),
    ],
};

pub(crate) static EXPECT: Record = Record {
    name: "`expect`",
    doc: "What must come of a run. What is not named is not looked at, but that the run works unless `error` is named.",
    fields: &[
        field(
            "status",
            "status: 200",
            "Status of the answer or of the failure.",
        ),
        field(
            "output",
            "output: { text: Hello }",
            "The output; members that are not named are not looked at, and null says that there is none.",
        ),
        field(
            "exactly",
            "exactly: { text: Hello }",
            "The output, to the last member.",
        ),
        field(
            "holds",
            "holds: [ \"output.text.contains('Hello')\" ]",
            "Conditions (CEL) over `output`, `status` and `degraded`.",
        ),
        field(
            "headers",
            "headers: { x-language: en }",
            "Headers of the answer.",
        ),
        field(
            "degraded",
            "degraded: [people]",
            "Just the steps whose `otherwise` stood in.",
        ),
        field(
            "skipped",
            "skipped: [english]",
            "Just the steps whose condition did not hold.",
        ),
        field("failed", "failed: [mood]", "Just the steps that failed."),
        field(
            "cancelled",
            "cancelled: [slow]",
            "Just the steps that were given up.",
        ),
        field(
            "undone",
            "undone: [held]",
            "Just the effects that were taken back, in that order.",
        ),
        field(
            "pending",
            "pending: [held]",
            "Just the effects that are still to be taken back, in that order.",
        ),
        field(
            "review",
            "review: [held]",
            "Just the effects that a person must look at, in that order.",
        ),
        field(
            "calls",
            "calls: { heard: 1 }",
            "How often steps called; `undo(held)` for what takes back.",
        ),
        field(
            "attempts",
            "attempts: { heard: 2 }",
            "Attempts at accounts that steps took.",
        ),
        field(
            "vendors",
            "vendors: { heard: openai }",
            "Accounts that answered.",
        ),
        field(
            "sent",
            "sent: { mood: { text: Hello } }",
            "What a step's call was given, in part; a list for one call after the other.",
        ),
        field(
            "error",
            "error: { step: heard, status: 503 }",
            "That the run fails, and how.",
        ),
        field(
            "within",
            "within: 200ms",
            "Longest time that the run may take.",
        ),
    ],
};

pub(crate) static ERROR: Record = Record {
    name: "`error`",
    doc: "How a run fails.",
    fields: &[
        field("step", "step: heard", "Step that failed."),
        field("status", "status: 503", "Status that the caller sees."),
        field("kind", "kind: vendor-broken", "Name of the problem."),
        field("reason", "reason: took longer", "A part of the reason."),
    ],
};

/// What an answer has beside the members of an output.
pub(crate) static ANSWER: Record = Record {
    name: "an answer",
    doc: "An answer that fails or takes its time.",
    fields: &[
        field("$fails", "$fails: 503", "Status that the call fails with."),
        field("$reason", "$reason: overloaded", "Why it fails."),
        field(
            "$unknown",
            "$unknown: true",
            "Whether the vendor may have acted although it fails.",
        ),
        field("$takes", "$takes: 50ms", "Time that the call takes."),
    ],
};
