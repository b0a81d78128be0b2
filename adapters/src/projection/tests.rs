//! One pass over the bytes gives what mapping a document gives.

use isobar_config::steps;
use proptest::{prelude::*, strategy::ValueTree as _};
use serde_json::{Map, json};

use super::*;
use crate::vendor::{How, Returns};

struct Nothing;

impl Surroundings for Nothing {
    fn outside(&self, _: &Outside) -> Tree<'static> {
        Tree::Absent
    }
}

type Made = Result<Value, Misread>;

fn both(program: &Program, value: &Value) -> (Made, Made) {
    let text = value.to_string();
    let read = program.read(text.as_bytes(), &Nothing).map(Tree::json);
    // The last digit of a number is the parser's.
    let document: Value = serde_json::from_str(&text).unwrap();
    (read, program.map(&document, &Nothing).map(Tree::json))
}

/// The two agree; of several mistakes in an answer either may be told.
fn check(program: &Program, value: &Value) {
    let (read, mapped) = both(program, value);
    assert_eq!(
        read.clone().ok(),
        mapped.clone().ok(),
        "{read:?} and {mapped:?} of {value} by {program:?}"
    );
}

fn slot(builder: &mut Builder, path: &str, transforms: Vec<Transform>) -> Expression {
    let steps = steps(path).unwrap();
    Expression::Slot {
        slot: builder.slot(Path::Steps(steps)),
        transforms,
        path: path.to_owned(),
    }
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// JSON in which the names that programs look for are common.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(Value::from),
        "[a-c\u{e9}\"\\\\\n\u{1f600}]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 5, |inner| {
        let name = prop::sample::select(vec!["a", "b", "c", "d"]);
        let members = prop::collection::vec((name, inner.clone()), 0..5);
        let object = members.prop_map(|members| {
            let members: Map<String, Value> = members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            Value::Object(members)
        });
        prop_oneof![
            object,
            prop::collection::vec(inner, 0..5).prop_map(Value::from)
        ]
    })
}

fn paths() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::sample::select(NAMES.to_vec()).prop_map(|name| Step::Name(name.to_owned())),
        1 => (0_i64..3).prop_map(Step::Index),
        1 => Just(Step::Every),
    ];
    prop::collection::vec(step, 0..4)
}

/// What a program is made from: paths of fields, and arrays with what is made of their items.
#[derive(Debug, Clone)]
struct Recipe {
    fields: Vec<(Vec<Step>, bool)>,
    each: Vec<(Vec<Step>, Option<Only>, Recipe)>,
}

/// The field of an item, and the words that it may hold.
type Only = (Vec<Step>, Vec<String>);

fn recipes() -> impl Strategy<Value = Recipe> {
    let fields = || prop::collection::vec((paths(), any::<bool>()), 0..4);
    let leaf = fields().prop_map(|fields| Recipe {
        fields,
        each: Vec::new(),
    });
    leaf.prop_recursive(2, 8, 2, move |inner| {
        let words = prop::collection::vec("[abc0-9]", 0..3);
        let only = paths().prop_filter("a field of an item", |path| !path.contains(&Step::Every));
        let each = (paths(), prop::option::of((only, words)), inner);
        (fields(), prop::collection::vec(each, 0..3))
            .prop_map(|(fields, each)| Recipe { fields, each })
    })
}

impl Recipe {
    fn expression(&self, builder: &mut Builder) -> Expression {
        let fields = self.fields.iter().map(|(path, number)| {
            // A transform that may not fit, so that failing is compared too.
            let transforms = if *number {
                vec![Transform::Default(json!(0)), Transform::Number]
            } else {
                Vec::new()
            };
            Some(Expression::Slot {
                slot: builder.slot(Path::Steps(path.clone())),
                transforms,
                path: String::new(),
            })
        });
        let mut record: Vec<Option<Expression>> = fields.collect();
        for (array, only, item) in &self.each {
            record.push(Some(
                builder.each(array, only.clone(), |inner| item.expression(inner)),
            ));
        }
        Expression::Record(record)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn one_pass_equals_a_document(recipe in recipes(), value in values()) {
        let mut builder = Builder::default();
        let expression = recipe.expression(&mut builder);
        check(&builder.finish(expression), &value);
    }
}

/// JSON of about the shape that a mapping looks for.
fn shaped(program: &Program, trie: &Trie) -> BoxedStrategy<Value> {
    let mut kinds = vec![(1, values().boxed())];
    if !trie.names.is_empty() {
        let members: Vec<_> = trie
            .names
            .iter()
            .map(|(name, child)| {
                let value = prop::option::weighted(0.9, shaped(program, child));
                (Just(name.clone()), value)
            })
            .collect();
        let object = members.prop_map(|members| {
            let there = members
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)));
            Value::Object(there.collect())
        });
        kinds.push((8, object.boxed()));
    }
    let indexes = trie.indexes.iter().map(|(_, child)| shaped(program, child));
    let every = trie.every.iter().map(|child| shaped(program, child));
    let each = trie.each.iter().map(|number| {
        let item = &program.eaches[*number].item;
        shaped(item, &item.trie)
    });
    for items in indexes.chain(every).chain(each) {
        let array = prop::collection::vec(items, 0..4).prop_map(Value::from);
        kinds.push((8, array.boxed()));
    }
    prop::strategy::Union::new_weighted(kinds).boxed()
}

#[test]
fn the_built_in_mappings_are_the_same_both_ways() {
    let mut runner = prop::test_runner::TestRunner::deterministic();
    let mut made = 0;
    for program in programs() {
        let strategy = shaped(program, &program.trie);
        for _ in 0..20 {
            let value = strategy.new_tree(&mut runner).unwrap().current();
            check(program, &value);
            made += usize::from(both(program, &value).0.is_ok());
        }
    }
    assert!(made > 80, "only {made} answers of any use");
}

fn programs() -> impl Iterator<Item = &'static Program> {
    let (vendors, _) = crate::vendors::built_in();
    vendors
        .iter()
        .flat_map(|vendor| &vendor.operations)
        .filter_map(|operation| match &operation.kind {
            How::Calls(calls) => match &calls.returns {
                Returns::Json(program) => Some(&**program),
                Returns::Whole(..) => None,
            },
            How::Engine(_) => None,
        })
}

#[test]
fn recorded_answers_are_the_same_both_ways_for_every_mapping() {
    let Ok(folder) = std::env::var("ISOBAR_CONTRACTS") else {
        eprintln!("skipped: ISOBAR_CONTRACTS is not set");
        return;
    };
    let mut compared = 0;
    for area in ["speech", "language", "translation"] {
        let file = format!("{folder}/{area}/recorded-responses.json");
        let text = std::fs::read_to_string(&file).unwrap();
        let recorded: Value = serde_json::from_str(&text).unwrap();
        for answers in recorded.as_object().unwrap().values() {
            for answer in answers.as_object().unwrap().values() {
                for program in programs() {
                    check(program, &answer["vendor_response"]);
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 500, "{compared} comparisons");
}

#[test]
fn a_root_is_what_everything_else_is_read_from() {
    let mut root = Builder::default();
    let made = slot(&mut root, "$.a[0].b", vec![Transform::ParseJson]);
    let root = root.finish(made);
    let mut builder = Builder::default();
    builder.need(Path::Steps(steps("$.c").unwrap()), "$.c");
    let fields = vec![
        Some(slot(&mut builder, "$.c", Vec::new())),
        Some(slot(&mut builder, "$.a", Vec::new())),
    ];
    let program = builder.finish(Expression::Record(fields)).below(Some(root));
    let answer = |text: &str| json!({ "a": [{ "b": text }], "c": "not this" });
    let read = |value: Value| {
        check(&program, &value);
        both(&program, &value).0
    };
    assert_eq!(read(answer(r#"{"c":1,"a":"x"}"#)), Ok(json!([1, "x"])));
    assert_eq!(read(answer(r#"{"c":{}}"#)), Ok(json!([{}, null])));
    assert_eq!(read(answer("{}")), Err(Misread::Missing("$.c".to_owned())));
    assert_eq!(
        read(json!({ "a": [] })),
        Err(Misread::Missing("$.a[0].b".to_owned()))
    );
    assert!(matches!(read(answer("{")), Err(Misread::Unfit { .. })));
}

#[test]
fn a_row_has_the_first_value_of_a_choice_and_nothing_of_the_row_before() {
    let mut builder = Builder::default();
    let array = steps("$.words").unwrap();
    let expression = builder.each(&array, None, |item| {
        Expression::Record(vec![
            Some(Expression::Any(vec![
                slot(item, "$.written", Vec::new()),
                slot(item, "$.heard", Vec::new()),
            ])),
            None,
            Some(slot(item, "$.start", vec![Transform::Number])),
            Some(slot(item, "$.speaker", Vec::new())),
        ])
    });
    let program = builder.finish(expression);
    let answer = json!({ "words": [
        { "heard": "good", "written": "Good", "start": "0.5", "speaker": "A" },
        { "heard": "morning", "start": 1 },
        { "start": 2 },
    ]});
    let rows = json!([
        ["Good", null, 0.5, "A"],
        ["morning", null, 1, null],
        [null, null, 2, null]
    ]);
    let (read, mapped) = both(&program, &answer);
    assert_eq!((read.unwrap(), mapped.unwrap()), (rows.clone(), rows));
}
