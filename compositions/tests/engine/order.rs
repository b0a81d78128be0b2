//! What runs when, and what comes of it.

use std::time::Duration;

use serde_json::json;

use crate::stage::{Stage, json_of, outcomes, plan, run, says};

const INSIGHT: &str = "
composition: insight
input: { text: string, to: string? }
steps:
  tongue: { use: text.language, with: { text: $.input.text } }
  mood: { use: text.sentiment, with: { text: $.input.text, language: $.tongue.language } }
  people: { use: text.entities, with: { text: $.input.text, language: $.tongue.language }, otherwise: { entities: [] } }
  english:
    use: translation.translate
    when: \"= tongue.language != 'en'\"
    with: { text: $.input.text, to: en }
output:
  language: $.tongue.language
  mood: $.mood.label
  people: $.people.entities[*].name
  english: \"= has(english.text) ? english.text : input.text\"
  degraded: $.run.degraded
";

fn stage() -> Stage {
    Stage::default()
        .with("text.language", says(json!({ "language": "de" })).takes(20))
        .with(
            "text.sentiment",
            says(json!({ "label": "positive", "score": 0.9 })).takes(60),
        )
        .with(
            "text.entities",
            says(json!({ "entities": [{ "name": "Anna" }, { "name": "Bonn" }] })).takes(60),
        )
        .with(
            "translation.translate",
            says(json!({ "text": "Hello" })).takes(60),
        )
}

#[tokio::test]
async fn steps_start_as_soon_as_what_they_need_is_there_and_independent_ones_run_at_once() {
    let (stage, plan) = (stage(), plan(&[INSIGHT]));
    let ran = run(&stage, &plan, json!({ "text": "Hallo" })).await;
    let expected = json!({ "language": "de", "mood": "positive", "people": ["Anna", "Bonn"], "english": "Hello", "degraded": [] });
    assert_eq!(json_of(&ran), expected);
    let first = stage.one("text.language").ended.unwrap();
    let others =
        ["text.sentiment", "text.entities", "translation.translate"].map(|name| stage.one(name));
    for other in &others {
        assert!(
            other.began >= first,
            "{} began before its input was there",
            other.what
        );
        for another in &others {
            assert!(
                other.began < another.ended.unwrap(),
                "{} and {} did not overlap",
                other.what,
                another.what
            );
        }
        assert_eq!(other.input.get("text"), Some(&json!("Hallo")));
    }
}

#[tokio::test]
async fn a_step_whose_condition_does_not_hold_is_skipped_and_absent() {
    let stage = stage().with("text.language", says(json!({ "language": "en" })));
    let ran = run(&stage, &plan(&[INSIGHT]), json!({ "text": "Hi" })).await;
    assert_eq!(json_of(&ran)["english"], json!("Hi"));
    assert!(outcomes(&ran).contains(&("english".to_owned(), "skipped")));
    assert!(!stage.calls().contains(&"translation.translate".to_owned()));
}

#[tokio::test]
async fn optional_inputs_that_are_not_given_are_left_out_of_calls() {
    let text = "
composition: a
input: { text: string, language: string? }
steps: { mood: { use: text.sentiment, with: { text: $.input.text, language: $.input.language } } }
output: { label: $.mood.label, language: $.input.language }
";
    let stage = stage();
    let ran = run(&stage, &plan(&[text]), json!({ "text": "Hi" })).await;
    assert_eq!(json_of(&ran), json!({ "label": "positive" }));
    assert_eq!(stage.one("text.sentiment").input, json!({ "text": "Hi" }));
}

#[tokio::test]
async fn each_keeps_the_order_of_its_items_and_bounds_what_runs_at_once() {
    let text = "
composition: a
input: { texts: list(string) }
steps:
  moods:
    use: text.sentiment
    each: { in: $.input.texts, at_once: 2 }
    with: { text: $.item }
output: { moods: \"$.moods[*].label\" }
";
    let stage = stage();
    let texts: Vec<String> = (0..6).map(|number| format!("text {number}")).collect();
    let ran = run(&stage, &plan(&[text]), json!({ "texts": texts })).await;
    assert_eq!(json_of(&ran)["moods"].as_array().unwrap().len(), 6);
    let made = stage.made.lock().clone();
    for one in &made {
        let overlapping = made
            .iter()
            .filter(|other| other.began <= one.began && other.ended.unwrap() > one.began);
        assert!(overlapping.count() <= 2);
    }
    let texts: Vec<_> = made.iter().map(|made| made.input["text"].clone()).collect();
    assert_eq!(
        texts,
        (0..6)
            .map(|number| json!(format!("text {number}")))
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn what_is_looked_at_in_each_answer_of_a_list_is_kept() {
    let text = "
composition: a
input: { names: list(string) }
hosts: [shop.example]
steps:
  asked:
    http: { method: POST, url: \"http://shop.example/ask\", json: { name: $.item }, effect: read }
    each: { in: $.input.names }
output:
  texts: \"$.asked[*].body.text\"
  first: \"$.asked[0].body.deep.er\"
  labels: \"= asked.map(one, one.body.label)\"
";
    let answer = json!({ "text": "t", "deep": { "er": 1 }, "label": "l", "more": [1, 2] });
    let all = text;
    let only = text.replace("  labels: \"= asked.map(one, one.body.label)\"\n", "");
    for (text, labels) in [(all, Some(json!(["l", "l"]))), (&only, None)] {
        let stage = stage().with("POST http://shop.example/ask", says(answer.clone()));
        let ran = run(&stage, &plan(&[text]), json!({ "names": ["a", "b"] })).await;
        let json = json_of(&ran);
        assert_eq!(json["texts"], json!(["t", "t"]));
        assert_eq!(json["first"], json!(1));
        assert_eq!(json.get("labels"), labels.as_ref());
    }
}

#[tokio::test]
async fn a_race_is_won_by_the_first_that_works_and_the_others_are_given_up() {
    let text = "
composition: a
input: { text: string }
steps:
  mood:
    race:
      - { use: text.sentiment, pool: [slow], with: { text: $.input.text } }
      - { use: text.sentiment, pool: [down], with: { text: $.input.text } }
      - { use: text.sentiment, pool: [fast], with: { text: $.input.text } }
output: { label: $.mood.label }
";
    let known = isobar_compositions::Known {
        accounts: Some(
            ["slow", "down", "fast"]
                .map(|name| isobar_compositions::KnownAccount {
                    name: name.to_owned(),
                    operations: vec!["text.sentiment".to_owned()],
                })
                .into(),
        ),
        pools: Some(Vec::new()),
        ..isobar_compositions::Known::default()
    };
    let plan = crate::stage::plan_with(&[text], &known);
    let stage = Stage::default()
        .with(
            "text.sentiment @slow",
            says(json!({ "label": "negative" })).takes(3_000),
        )
        .with("text.sentiment @down", says(json!({})).fails(9))
        .with(
            "text.sentiment @fast",
            says(json!({ "label": "positive" })).takes(30),
        );
    let ran = run(&stage, &plan, json!({ "text": "Hi" })).await;
    assert_eq!(json_of(&ran)["label"], json!("positive"));
    assert!(stage.one("text.sentiment @slow").ended.is_none());
}

#[tokio::test]
async fn a_composition_is_used_like_an_operation() {
    let inner = "
composition: inner
input: { words: string }
steps: { mood: { use: text.sentiment, with: { text: $.input.words } } }
output: { feeling: $.mood.label }
";
    let outer = "
composition: outer
input: { text: string }
steps:
  felt: { use: composition.inner, with: { words: $.input.text } }
  named: { use: text.entities, with: { text: $.input.text } }
output: { feeling: $.felt.feeling, names: \"$.named.entities[*].name\" }
";
    let stage = stage();
    let ran = run(&stage, &plan(&[inner, outer]), json!({ "text": "Hi" })).await;
    assert_eq!(
        json_of(&ran),
        json!({ "feeling": "positive", "names": ["Anna", "Bonn"] })
    );
    assert_eq!(ran.steps[0].attempts.len(), 1);
}

#[tokio::test]
async fn equal_reads_of_one_run_are_one_call() {
    let text = "
composition: a
input: { text: string }
steps:
  one: { use: text.sentiment, with: { text: $.input.text } }
  two: { use: text.sentiment, with: { text: $.input.text } }
output: { one: $.one.label, two: $.two.label }
";
    let stage = stage();
    let ran = run(&stage, &plan(&[text]), json!({ "text": "Hi" })).await;
    assert_eq!(
        json_of(&ran),
        json!({ "one": "positive", "two": "positive" })
    );
    assert_eq!(stage.calls().len(), 1);
}

#[tokio::test]
async fn a_long_chain_and_a_wide_fan_run_to_their_end() {
    let mut chain = "composition: chain\ninput: { text: string }\nlimits: { at_once: 64 }\nsteps:\n  s0: { use: translation.translate, with: { text: $.input.text, to: de } }\n".to_owned();
    for number in 1..100 {
        let before = number - 1;
        chain.push_str(&format!("  s{number}: {{ use: translation.translate, with: {{ text: $.s{before}.text, to: de }} }}\n"));
    }
    chain.push_str("output: { text: $.s99.text }\n");
    let stage = stage().with("translation.translate", says(json!({ "text": "Hallo" })));
    let ran = run(&stage, &plan(&[&chain]), json!({ "text": "Hi" })).await;
    assert_eq!(json_of(&ran), json!({ "text": "Hallo" }));
    assert_eq!(stage.calls().len(), 100);
}

#[tokio::test]
async fn nothing_runs_past_the_deadline() {
    let text = "
composition: a
deadline: 80ms
input: { text: string }
steps: { mood: { use: text.sentiment, with: { text: $.input.text } } }
output: { label: $.mood.label }
";
    let stage = stage().with("text.sentiment", says(json!({})).takes(10_000));
    let began = std::time::Instant::now();
    let ran = run(&stage, &plan(&[text]), json!({ "text": "Hi" })).await;
    assert!(began.elapsed() < Duration::from_secs(2));
    let failed = ran.result.unwrap_err();
    assert_eq!((failed.status, failed.kind), (504, "vendor-timeout"));
    assert!(failed.reason.contains("`mood`"), "{}", failed.reason);
}
