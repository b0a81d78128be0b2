//! Steps that fail: what stands in, what is given up, what the caller is told.

use serde_json::json;

use crate::stage::{Stage, json_of, outcomes, plan, run, says};

const TWO: &str = "
composition: two
input: { text: string }
steps:
  mood: { use: text.sentiment, with: { text: $.input.text }, otherwise: { label: neutral } }
  people: { use: text.entities, with: { text: $.input.text } }
output: { mood: $.mood.label, people: \"$.people.entities[*].name\", degraded: $.run.degraded }
";

fn stage() -> Stage {
    Stage::default()
        .with(
            "text.sentiment",
            says(json!({ "label": "positive", "score": 0.5 })),
        )
        .with(
            "text.entities",
            says(json!({ "entities": [{ "name": "Anna" }] })),
        )
        .with("text.language", says(json!({ "language": "de" })))
        .with("translation.translate", says(json!({ "text": "Hello" })))
}

#[tokio::test]
async fn otherwise_stands_in_and_the_answer_says_so() {
    let stage = stage().with("text.sentiment", says(json!({})).fails(9));
    let ran = run(&stage, &plan(&[TWO]), json!({ "text": "Hi" })).await;
    let expected = json!({ "mood": "neutral", "people": ["Anna"], "degraded": ["mood"] });
    assert_eq!(json_of(&ran), expected);
    assert_eq!(ran.degraded, ["mood"]);
    assert!(outcomes(&ran).contains(&("mood".to_owned(), "degraded")));
}

#[tokio::test]
async fn a_failure_without_otherwise_fails_the_run_and_names_the_step() {
    let stage = stage().with("text.entities", says(json!({})).fails(9));
    let ran = run(&stage, &plan(&[TWO]), json!({ "text": "Hi" })).await;
    let failed = ran.result.unwrap_err();
    assert_eq!(
        (failed.status, failed.step.as_deref()),
        (503, Some("people"))
    );
    assert!(
        failed.reason.contains("step `people` failed"),
        "{}",
        failed.reason
    );
}

#[tokio::test]
async fn a_failed_step_gives_up_what_only_it_needed() {
    let text = "
composition: a
input: { text: string }
steps:
  tongue: { use: text.language, with: { text: $.input.text } }
  slow: { use: text.entities, with: { text: $.input.text } }
  both:
    use: translation.translate
    with: { text: \"= tongue.language + slow.entities[0].name\", to: en }
    otherwise: { text: none }
output: { text: $.both.text }
";
    let stage = stage()
        .with("text.language", says(json!({})).fails(9).takes(10))
        .with(
            "text.entities",
            says(json!({ "entities": [] })).takes(5_000),
        );
    let began = std::time::Instant::now();
    let ran = run(&stage, &plan(&[text]), json!({ "text": "Hi" })).await;
    assert_eq!(json_of(&ran), json!({ "text": "none" }));
    assert!(began.elapsed().as_millis() < 2_000);
    assert!(stage.one("text.entities").ended.is_none());
    let expected = [
        ("tongue", "failed"),
        ("slow", "cancelled"),
        ("both", "degraded"),
    ];
    assert_eq!(
        outcomes(&ran),
        expected.map(|(name, outcome)| (name.to_owned(), outcome))
    );
}

#[tokio::test]
async fn retry_tries_again_and_no_oftener_than_it_says() {
    let text = "
composition: a
input: { text: string }
steps: { mood: { use: text.sentiment, with: { text: $.input.text }, retry: { times: 2, pause: 5ms } } }
output: { label: $.mood.label }
";
    let good = says(json!({ "label": "positive" }));
    let twice = stage().with("text.sentiment", good.clone().fails(2));
    let ran = run(&twice, &plan(&[text]), json!({ "text": "Hi" })).await;
    assert_eq!(json_of(&ran)["label"], json!("positive"));
    assert_eq!((twice.calls().len(), ran.steps[0].attempts.len()), (3, 3));
    let thrice = stage().with("text.sentiment", good.fails(3));
    let ran = run(&thrice, &plan(&[text]), json!({ "text": "Hi" })).await;
    assert_eq!(
        (ran.result.unwrap_err().status, thrice.calls().len()),
        (503, 3)
    );
}

#[tokio::test]
async fn a_steps_timeout_is_its_failure() {
    let text = "
composition: a
input: { text: string }
steps: { mood: { use: text.sentiment, with: { text: $.input.text }, timeout: 30ms } }
output: { label: $.mood.label }
";
    let stage = stage().with("text.sentiment", says(json!({})).takes(10_000));
    let ran = run(&stage, &plan(&[text]), json!({ "text": "Hi" })).await;
    let failed = ran.result.unwrap_err();
    assert_eq!((failed.status, failed.step.as_deref()), (504, Some("mood")));
}

#[tokio::test]
async fn items_that_fail_are_dropped_or_hold_nothing_where_each_says_so() {
    for (policy, expected) in [("drop", json!([])), ("null", json!([null, null]))] {
        let text = format!(
            "
composition: a
input: {{ texts: list(string) }}
steps:
  moods:
    use: text.sentiment
    each: {{ in: $.input.texts, failed: {policy} }}
    with: {{ text: $.item }}
output: {{ moods: $.moods }}
"
        );
        let stage = stage().with("text.sentiment", says(json!({})).fails(9));
        let ran = run(&stage, &plan(&[&text]), json!({ "texts": ["a", "b"] })).await;
        assert_eq!(json_of(&ran)["moods"], expected, "{policy}");
    }
}

#[tokio::test]
async fn a_list_that_is_too_long_and_a_run_with_too_many_calls_are_refused() {
    let text = "
composition: a
input: { texts: list(string) }
limits: { calls: 120 }
steps:
  moods: { use: text.sentiment, each: { in: $.input.texts, most: 3 }, with: { text: $.item } }
output: { moods: $.moods }
";
    let stage = stage();
    let ran = run(
        &stage,
        &plan(&[text]),
        json!({ "texts": ["a", "b", "c", "d"] }),
    )
    .await;
    let failed = ran.result.unwrap_err();
    assert_eq!(failed.status, 422);
    assert!(
        failed.reason.contains("4 items; at most 3"),
        "{}",
        failed.reason
    );
    assert!(stage.calls().is_empty());
}

#[tokio::test]
async fn a_promised_field_that_a_vendor_does_not_give_is_a_502_with_step_vendor_and_path() {
    let text = "
composition: a
input: { text: string }
steps:
  said: { use: translation.translate, with: { text: $.input.text, to: de } }
  mood: { use: text.sentiment, with: { text: $.said.text } }
output: { label: $.mood.label }
";
    let stage = stage().with("translation.translate", says(json!({ "source": "en" })));
    let ran = run(&stage, &plan(&[text]), json!({ "text": "Hi" })).await;
    let failed = ran.result.unwrap_err();
    assert_eq!(failed.status, 502);
    for part in ["`mood`", "`canned`", "`said`", "`$.said.text`"] {
        assert!(
            failed.reason.contains(part),
            "{} lacks {part}",
            failed.reason
        );
    }
}

#[tokio::test]
async fn expressions_that_cannot_be_worked_out_are_said_and_nothing_panics() {
    for expression in [
        "string(1 / input.zero)",
        "input.list[7]",
        "string(input.list[0] / 0)",
        "string(9223372036854775807 + input.zero + 1)",
    ] {
        let text = format!(
            "
composition: a
input: {{ zero: integer, list: list(string) }}
steps: {{ mood: {{ use: text.sentiment, with: {{ text: \"= {expression}\" }} }} }}
output: {{ label: $.mood.label }}
"
        );
        let sources = [isobar_config::Source {
            name: "a.yaml".to_owned(),
            text: text.clone(),
        }];
        let (plans, _) = isobar_compositions::check(
            &sources,
            &isobar_compositions::Known::default(),
            &isobar_config::Nothing,
        );
        // What the checker can see is wrong never gets here.
        let Some(plan) = plans.last() else { continue };
        let stage = stage();
        let ran = run(&stage, plan, json!({ "zero": 0, "list": ["1"] })).await;
        let failed = ran.result.unwrap_err();
        assert_eq!(failed.status, 422, "{expression}");
        assert!(failed.reason.contains("`= "), "{}", failed.reason);
    }
}

#[tokio::test]
async fn inputs_are_held_against_their_shapes() {
    let text = "
composition: a
input: { text: string, n: integer?, tone: \"enum(calm, loud)?\", of: { type: { a: string }, default: { a: b } } }
steps: { mood: { use: text.sentiment, with: { text: $.input.text } } }
output: { label: $.mood.label, n: $.input.n, tone: $.input.tone, of: $.input.of }
";
    let plan = plan(&[text]);
    let refused = |inputs: serde_json::Value| {
        let serde_json::Value::Object(fields) = inputs else {
            unreachable!()
        };
        plan.accept(fields, Vec::new())
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    for (inputs, part) in [
        (json!({}), "`text` is missing"),
        (json!({ "text": 5 }), "`text` is a number, not a text"),
        (
            json!({ "text": "a", "n": 1.5 }),
            "`n` is a number, not a whole number",
        ),
        (
            json!({ "text": "a", "tone": "shrill" }),
            "none of calm, loud",
        ),
        (json!({ "text": "a", "of": {} }), "`of` has no `a`"),
        (
            json!({ "text": "a", "of": { "a": "b", "c": 1 } }),
            "`c`, which is not known",
        ),
        (json!({ "text": "a", "nope": 1 }), "no input `nope`"),
    ] {
        let said = refused(inputs.clone());
        assert!(said.contains(part), "{inputs}: {said}");
    }
}
