//! Effects that are taken back, and the journal that makes sure of it.

use std::time::Duration;

use isobar_compositions::{
    journal::{Entry, Open, State, UndoCall},
    run::{Engine, UndoOutcome, Undone, Unwatched, recover},
};
use serde_json::json;

use crate::stage::{Book, Line, Stage, ask, json_of, plan, run_with, says};

const ORDER: &str = "
composition: order
hosts: [ \"shop.example:8080\" ]
input: { sku: string }
steps:
  held:
    http: { method: POST, url: \"http://shop.example:8080/holds\", json: { sku: $.input.sku }, key: Idempotency-Key, returns: { id: string } }
    undo: { http: { method: DELETE, url: \"http://shop.example:8080/holds/{id}\", path: { id: $.held.body.id } } }
  paid:
    http: { method: PUT, url: \"http://shop.example:8080/payments/{run}\", path: { run: $.run.id }, json: { hold: $.held.body.id } }
    undo: { http: { method: DELETE, url: \"http://shop.example:8080/payments/{run}\", path: { run: $.run.id } } }
  told:
    http: { method: POST, url: \"http://shop.example:8080/mails\", json: { sku: $.input.sku } }
    after: paid
output: { hold: $.held.body.id }
";

fn stage() -> Stage {
    Stage::default()
        .with(
            "POST http://shop.example:8080/holds",
            says(json!({ "id": "h/1" })),
        )
        .with(
            "PUT http://shop.example:8080/payments/run1",
            says(json!({})),
        )
        .with("POST http://shop.example:8080/mails", says(json!({})))
        .with(
            "DELETE http://shop.example:8080/holds/h%2F1",
            says(json!({})),
        )
        .with(
            "DELETE http://shop.example:8080/payments/run1",
            says(json!({})),
        )
}

fn down() -> Line {
    says(json!({})).fails(99)
}

fn undone(step: &str, outcome: UndoOutcome) -> Undone {
    Undone {
        step: step.to_owned(),
        outcome,
    }
}

#[tokio::test]
async fn a_run_that_ends_well_keeps_its_effects() {
    let (stage, book) = (stage(), Book::default());
    let ran = run_with(&stage, Some(&book), &plan(&[ORDER]), json!({ "sku": "s" })).await;
    assert_eq!(json_of(&ran), json!({ "hold": "h/1" }));
    let expected = [
        "begin held",
        "done held",
        "begin paid blind",
        "done paid",
        "kept",
    ];
    assert_eq!(*book.lines.lock(), expected);
    assert_eq!(
        stage.one("POST http://shop.example:8080/holds").key,
        "key1-held"
    );
}

#[tokio::test]
async fn a_later_failure_takes_effects_back_in_reverse_order() {
    let stage = stage().with("POST http://shop.example:8080/mails", down());
    let book = Book::default();
    let ran = run_with(&stage, Some(&book), &plan(&[ORDER]), json!({ "sku": "s" })).await;
    let failed = ran.result.unwrap_err();
    assert_eq!(failed.step.as_deref(), Some("told"));
    assert!(!failed.outcome_unknown);
    let expected = [
        undone("paid", UndoOutcome::Undone),
        undone("held", UndoOutcome::Undone),
    ];
    assert_eq!(ran.undone, expected);
    let calls = stage.calls();
    let expected = [
        "DELETE http://shop.example:8080/payments/run1",
        "DELETE http://shop.example:8080/holds/h%2F1",
    ];
    assert_eq!(calls[calls.len() - 2..], expected);
    assert_eq!(book.lines.lock()[4..], ["closed paid", "closed held"]);
}

#[tokio::test]
async fn an_effect_of_which_nobody_knows_is_undone_where_that_needs_no_answer_and_reviewed_elsewhere()
 {
    let mut lost = down();
    lost.unknown = true;
    let stage = stage().with("PUT http://shop.example:8080/payments/run1", lost.clone());
    let book = Book::default();
    let ran = run_with(&stage, Some(&book), &plan(&[ORDER]), json!({ "sku": "s" })).await;
    let expected = [
        undone("paid", UndoOutcome::Undone),
        undone("held", UndoOutcome::Undone),
    ];
    assert_eq!(ran.undone, expected);

    let stage = self::stage().with("POST http://shop.example:8080/holds", lost);
    let book = Book::default();
    let ran = run_with(&stage, Some(&book), &plan(&[ORDER]), json!({ "sku": "s" })).await;
    assert_eq!(ran.undone, [undone("held", UndoOutcome::NeedsReview)]);
    assert!(ran.result.unwrap_err().outcome_unknown);
    assert_eq!(*book.lines.lock(), ["begin held", "review held"]);
}

#[tokio::test]
async fn a_proven_refusal_leaves_nothing_to_take_back() {
    let stage = stage().with("POST http://shop.example:8080/holds", down());
    let book = Book::default();
    let ran = run_with(&stage, Some(&book), &plan(&[ORDER]), json!({ "sku": "s" })).await;
    assert!(ran.undone.is_empty());
    assert_eq!(*book.lines.lock(), ["begin held", "closed held"]);
}

#[tokio::test]
async fn no_effect_happens_that_the_journal_did_not_take() {
    let stage = stage();
    let book = Book {
        refuses: true,
        ..Book::default()
    };
    let ran = run_with(&stage, Some(&book), &plan(&[ORDER]), json!({ "sku": "s" })).await;
    let failed = ran.result.unwrap_err();
    assert_eq!((failed.status, failed.kind), (503, "store-unavailable"));
    assert!(stage.calls().is_empty());
}

#[tokio::test]
async fn an_undo_that_fails_is_pending_and_recovery_finishes_it() {
    let stage = stage()
        .with("POST http://shop.example:8080/mails", down())
        .with(
            "DELETE http://shop.example:8080/holds/h%2F1",
            says(json!({})).fails(3),
        );
    let book = Book::default();
    let plan = plan(&[ORDER]);
    let ran = run_with(&stage, Some(&book), &plan, json!({ "sku": "s" })).await;
    assert_eq!(ran.undone[1], undone("held", UndoOutcome::Pending));
    assert!(ran.result.unwrap_err().outcome_unknown);
    let url = "http://shop.example:8080/holds/h%2F1".to_owned();
    let open = Open {
        entry: Entry {
            run: "run1".to_owned(),
            number: 0,
            composition: "order".to_owned(),
            step: "held".to_owned(),
        },
        state: State::Done(UndoCall::Http {
            url,
            headers: Vec::new(),
            body: None,
        }),
        tries: 3,
    };
    let find = |name: &str| (name == "order").then(|| plan.clone());
    let left = recover(&stage, &book, &find, vec![open]).await.unwrap();
    assert_eq!(left, 0);
    assert_eq!(book.lines.lock().last().unwrap(), "closed held");
}

#[tokio::test]
async fn recovery_takes_back_the_last_effect_first_and_leaves_to_a_person_what_it_cannot_tell() {
    let (stage, book, plan) = (stage(), Book::default(), plan(&[ORDER]));
    let entry = |number, step: &str| Entry {
        run: "run1".to_owned(),
        number,
        composition: "order".to_owned(),
        step: step.to_owned(),
    };
    let http = |url: &str| UndoCall::Http {
        url: url.to_owned(),
        headers: Vec::new(),
        body: None,
    };
    let open = vec![
        Open {
            entry: entry(0, "held"),
            state: State::Begun(None),
            tries: 0,
        },
        Open {
            entry: entry(1, "held"),
            state: State::Done(http("http://shop.example:8080/holds/h%2F1")),
            tries: 0,
        },
        Open {
            entry: entry(2, "paid"),
            state: State::Begun(Some(http("http://shop.example:8080/payments/run1"))),
            tries: 0,
        },
        Open {
            entry: entry(3, "gone"),
            state: State::Done(http("http://shop.example:8080/x")),
            tries: 0,
        },
    ];
    let find = |name: &str| (name == "order").then(|| plan.clone());
    recover(&stage, &book, &find, open).await.unwrap();
    let calls = [
        "DELETE http://shop.example:8080/payments/run1",
        "DELETE http://shop.example:8080/holds/h%2F1",
    ];
    assert_eq!(stage.calls(), calls);
    let lines = ["review gone", "closed paid", "closed held", "review held"];
    assert_eq!(*book.lines.lock(), lines);
}

#[tokio::test]
async fn a_vendor_that_is_slow_to_take_back_holds_up_no_other_runs() {
    let slow = says(json!({})).takes(500);
    let stage = stage().with("DELETE http://shop.example:8080/holds/h%2F1", slow);
    let (book, plan) = (Book::default(), plan(&[ORDER]));
    let open = (0..8).map(|run| Open {
        entry: Entry {
            run: format!("run{run}"),
            number: 0,
            composition: "order".to_owned(),
            step: "held".to_owned(),
        },
        state: State::Done(UndoCall::Http {
            url: "http://shop.example:8080/holds/h%2F1".to_owned(),
            headers: Vec::new(),
            body: None,
        }),
        tries: 0,
    });
    let find = |name: &str| (name == "order").then(|| plan.clone());
    let began = std::time::Instant::now();
    let left = recover(&stage, &book, &find, open.collect()).await.unwrap();
    assert_eq!((left, book.lines.lock().len()), (0, 8));
    assert!(began.elapsed().as_millis() < 2_000, "one after the other");
}

#[tokio::test]
async fn a_run_that_is_stopped_takes_its_effects_back() {
    let stage = stage().with(
        "POST http://shop.example:8080/mails",
        says(json!({})).takes(10_000),
    );
    let (book, plan) = (Book::default(), plan(&[ORDER]));
    let engine = Engine {
        caller: &stage,
        journal: Some(&book),
        watch: &Unwatched,
    };
    let fields = json!({ "sku": "s" }).as_object().unwrap().clone();
    let stop = tokio::time::sleep(Duration::from_millis(100));
    let ran = engine.run(&plan, ask(&plan, fields), stop).await;
    assert_eq!(ran.result.unwrap_err().status, 499);
    assert_eq!(ran.undone.len(), 2);
    assert!(
        stage
            .calls()
            .contains(&"DELETE http://shop.example:8080/holds/h%2F1".to_owned())
    );
}
