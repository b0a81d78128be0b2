use isobar_config::Expression;
use serde_json::{Value, json};

use super::*;
use crate::{check::scope::Seen, shape::notation};

fn fields(fields: &[(&str, &str)]) -> Shape {
    Shape::Object {
        fields: fields
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), notation(kind).unwrap().shape))
            .collect(),
        others: None,
    }
}

/// What an expression comes to, or the first thing wrong with it.
fn inferred(text: &str) -> Result<Shape, Mistake> {
    let inputs = fields(&[
        ("text", "string"),
        ("count", "integer"),
        ("score", "number"),
        ("wanted", "boolean"),
        ("tags", "list(string)"),
        ("tone", "enum(soft, loud)"),
        ("maybe", "string?"),
        ("flag", "boolean?"),
        ("unknown", "any"),
    ]);
    let steps = [
        Seen {
            name: "mood".to_owned(),
            shape: fields(&[("label", "string"), ("extra", "string?")]),
            when: None,
        },
        Seen {
            name: "english".to_owned(),
            shape: fields(&[("text", "string"), ("from", "string?")]),
            when: Some("= input.wanted".to_owned()),
        },
    ];
    let scope = Scope {
        inputs: &inputs,
        steps: &steps,
        own: None,
        own_output: None,
        item: None,
        answer: false,
        present: Vec::new(),
        when: None,
    };
    let expression = Expression::parse_free(text).unwrap();
    let mut infer = Infer::new(&scope);
    let shape = infer.shape(expression.tree());
    let (mistakes, _) = infer.end();
    mistakes.into_iter().next().map_or(Ok(shape), Err)
}

fn check(text: &str, expected: &str) {
    let expected = notation(expected).unwrap().shape;
    assert_eq!(inferred(text), Ok(expected), "{text}");
}

#[test]
fn values_come_to_what_they_are() {
    check("input.text", "string");
    check("input.text + '!'", "string");
    check("input.count + 1", "integer");
    check("input.score * 2.0", "number");
    check("-input.count % 2", "integer");
    check("size(input.tags) > 1 && input.wanted", "boolean");
    check("input.wanted ? input.count : input.score", "number");
    check("input.wanted ? input.text : 5", "any");
    check("input.tags + ['x']", "list(string)");
    check("input.tags.map(tag, tag + '!')", "list(string)");
    check("input.tags.filter(tag, tag.contains('a'))", "list(string)");
    check(
        "input.tags.map(tag, tag != 'a', size(tag))",
        "list(integer)",
    );
    check("input.tags.exists(tag, tag.startsWith('a'))", "boolean");
    check("input.tags.all(tag, size(tag) > 2)", "boolean");
    check("input.tags.exists_one(tag, tag == 'a')", "boolean");
    check("input.tags[0]", "string");
    check("'a' in input.tags", "boolean");
    check("string(input.count)", "string");
    check("int(input.text) + 1", "integer");
    check("{'a': input.count}.a", "integer");
    check("input.unknown.deep[3].deeper + 1", "any");
    check("type(input.text) == string", "boolean");
    check("has(mood.extra)", "boolean");
    check("mood.extra", "string?");
    check("run.id", "string");
}

#[test]
fn what_is_asked_for_is_there() {
    check("has(input.maybe) ? input.maybe : ''", "string");
    check("!has(input.maybe) ? '' : input.maybe", "string");
    check("input.maybe != null ? input.maybe + '!' : ''", "string");
    check("input.maybe == null || size(input.maybe) > 1", "boolean");
    check("input.maybe == 'a' ? input.maybe : 'b'", "string");
    check(
        "has(input.maybe) && size(input.maybe) > 1 ? input.maybe : 'x'",
        "string",
    );
    check("has(english.text) ? english.text : input.text", "string");
    check(
        "has(english.from) ? english.from + english.text : ''",
        "string",
    );
    check("input['maybe'] != null ? input.maybe : ''", "string");
    check("input.flag == true", "boolean");
}

#[test]
fn what_may_be_absent_is_told() {
    for text in [
        "input.maybe + 'x'",
        "size(input.maybe)",
        "input.maybe.contains('a')",
        "english.text",
        "has(english.from) || english.text == ''",
        "has(input.maybe) ? '' : size(input.maybe) > 1 ? 'a' : 'b'",
        "input.flag ? 1 : 2",
        "!input.flag",
        "mood.extra > 'a'",
    ] {
        let seen = inferred(text);
        assert!(
            matches!(seen, Err(Mistake::Absent { .. })),
            "{text}: {seen:?}"
        );
    }
    // It is given on, and whether that is good is told by whoever takes it.
    check("input.wanted ? input.maybe : input.text", "string?");
}

#[test]
fn what_the_evaluator_refuses_is_told() {
    let document = json!({
        "text": "a", "count": 5, "score": 1.5, "wanted": true, "tags": ["a", "b"], "tone": "soft",
        "maybe": "m", "flag": true, "unknown": null,
    });
    let look = |name: &str| -> Option<&Value> { (name == "input").then_some(&document) };
    for text in [
        "input.text + 1",
        "input.count + input.score",
        "input.count * 1.5",
        "input.score % 2.0",
        "input.text * 2",
        "-input.text",
        "input.text < 5",
        "input.tags < 5",
        "input.count / 0",
        "size(input.count)",
        "input.text.contains(5)",
        "input.count.startsWith('a')",
        "input.tags['a']",
        "input.text ? 1 : 2",
        "!input.count",
        "input.wanted && input.text",
        "'a' in input.count",
        "input.count.exists(x, x > 1)",
        "int(input.wanted)",
        "string(input.tags)",
        "input.tags + 'a'",
        "upper(input.text)",
        "input.text.upper()",
        "input.missing == 1",
        "size(input.text, 2)",
    ] {
        assert!(inferred(text).is_err(), "{text} is let through");
        let expression = Expression::parse_free(text).unwrap();
        let seen = expression.value_for(&look);
        assert!(seen.is_err(), "{text} comes to {seen:?}, and was refused");
    }
}

#[test]
fn what_is_let_through_works() {
    let document = json!({
        "text": "a", "count": 5, "score": 1.5, "wanted": true, "tags": ["a", "b"], "tone": "soft",
        "maybe": "m", "flag": true, "unknown": { "deep": [1] },
    });
    let look = |name: &str| -> Option<&Value> { (name == "input").then_some(&document) };
    for text in [
        "input.count + 1 * 2 - 3 % 2",
        "input.score * 2.0 + double(input.count)",
        "input.count > input.score",
        "input.text == input.tone",
        "input.tags.map(t, t + string(input.count))",
        "input.unknown.deep[0] + 1",
        "has(input.unknown.other) ? input.unknown.other : 'x'",
        "input.text.matches('^a') || matches(input.text, 'b')",
        "{'a': 1, 'b': input.tags}",
        "[input.text] + input.tags",
        "input.maybe == null ? 'x' : input.maybe + 'y'",
        "optional.of(input.text).orValue('b')",
        "dyn(input.count) == 5",
        "type(input.text) == string",
        "input.wanted == true && !(input.tone == 'loud')",
    ] {
        assert!(inferred(text).is_ok(), "{text}: {:?}", inferred(text));
        let expression = Expression::parse_free(text).unwrap();
        let seen = expression.value_for(&look);
        assert!(seen.is_ok(), "{text}: {seen:?}");
    }
}

#[test]
fn words_that_a_choice_does_not_have_are_told() {
    let seen = inferred("input.tone == 'lowd'");
    let Err(Mistake::Word { written, known, .. }) = seen else {
        panic!("{seen:?}");
    };
    assert_eq!(written, "lowd");
    assert_eq!(known, ["soft", "loud"]);
    assert!(inferred("input.tone in ['soft', 'lowd']").is_ok());
    assert!(inferred("input.tone in ['hard']").is_err());
}
