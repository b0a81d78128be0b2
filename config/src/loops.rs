//! Bounds for the loops of expressions: `map`, `filter`, `exists`, `exists_one`, `all`. Lists come from clients, and a loop
//! within a loop over a long one would hold a thread for hours, or fill the memory.
//!
//! The language has no such bound of its own. So each loop of a compiled expression looks up one more name before each round,
//! which is not there any more when the rounds are used up; and what a loop keeps goes through a function that counts bytes,
//! unless it is part of the item that is looked at, and so of what was given.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use cel::{
    Context, ExecutionError, Value,
    common::{
        ast::{
            CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue,
            operators,
        },
        types::CelBool,
        value::CowVal,
    },
    context::VariableResolver,
    objects::Map,
};

use crate::names::{self, Looked};

/// Rounds of all loops in one evaluation.
const ROUNDS: u64 = 200_000;
/// Bytes that all loops may keep in one evaluation.
const KEPT: u64 = 64 * 1024 * 1024;

/// Looked up before each round. Not a name that can be written.
const ROUND: &str = "@round";
/// Given what a loop keeps.
const KEEP: &str = "@keep";

/// The same expression with its loops bounded; nothing where it has none.
pub(crate) fn bounded(tree: &IdedExpr) -> Option<IdedExpr> {
    let mut tree = tree.clone();
    bind(&mut tree).then_some(tree)
}

/// Bounds all loops in a part of an expression; whether there are any.
fn bind(tree: &mut IdedExpr) -> bool {
    match &mut tree.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => false,
        Expr::Select(select) => bind(&mut select.operand),
        Expr::Call(call) => {
            let target = call.target.as_deref_mut().is_some_and(bind);
            bind_all(&mut call.args) | target
        }
        Expr::List(list) => bind_all(&mut list.elements),
        Expr::Map(map) => bind_entries(&mut map.entries),
        Expr::Struct(made) => bind_entries(&mut made.entries),
        Expr::Comprehension(over) => {
            for part in [
                &mut over.iter_range,
                &mut over.accu_init,
                &mut over.loop_cond,
                &mut over.loop_step,
                &mut over.result,
            ] {
                bind(part);
            }
            bound(over);
            true
        }
    }
}

fn bind_all(parts: &mut [IdedExpr]) -> bool {
    parts.iter_mut().fold(false, |any, part| bind(part) | any)
}

fn bind_entries(entries: &mut [IdedEntryExpr]) -> bool {
    entries.iter_mut().fold(false, |any, entry| {
        any | match &mut entry.expr {
            EntryExpr::StructField(field) => bind(&mut field.value),
            EntryExpr::MapEntry(entry) => bind(&mut entry.key) | bind(&mut entry.value),
        }
    })
}

/// Bounds one loop. `map` and `filter` keep the shape by which the library knows that they only append, or each round would
/// copy all that was kept before.
fn bound(over: &mut ComprehensionExpr) {
    if !matches!(over.loop_cond.expr, Expr::Literal(_)) {
        let condition = std::mem::take(&mut over.loop_cond);
        over.loop_cond = if_any_left(condition, literal(false));
        return;
    }
    let gathered =
        |part: &IdedExpr| matches!(&part.expr, Expr::Ident(name) if *name == over.accu_var);
    let step = std::mem::take(&mut over.loop_step);
    over.loop_step = match step.expr {
        Expr::Call(mut call) if call.func_name == operators::CONDITIONAL => {
            if let [condition, then, otherwise] = call.args.as_mut_slice()
                && gathered(otherwise)
            {
                let wanted = std::mem::take(condition);
                *condition = if_any_left(wanted, literal(false));
                keep(then, &over.iter_var);
                of(Expr::Call(call))
            } else {
                if_any_left(of(Expr::Call(call)), of(Expr::Ident(over.accu_var.clone())))
            }
        }
        other => {
            let mut step = of(other);
            keep(&mut step, &over.iter_var);
            if_any_left(step, of(Expr::Ident(over.accu_var.clone())))
        }
    };
}

/// Counts what `gathered + [value]` keeps.
fn keep(step: &mut IdedExpr, item: &str) {
    let Expr::Call(call) = &mut step.expr else {
        return;
    };
    let [
        _,
        IdedExpr {
            expr: Expr::List(list),
            ..
        },
    ] = call.args.as_mut_slice()
    else {
        return;
    };
    for value in &mut list.elements {
        let mut others = Looked::new();
        names::free(value, &mut vec![item], &mut others);
        if !others.is_empty() {
            let kept = std::mem::take(value);
            *value = call_of(KEEP, vec![kept]);
        }
    }
}

/// An expression's value as long as a round is left; the evaluation fails when none is.
fn if_any_left(then: IdedExpr, otherwise: IdedExpr) -> IdedExpr {
    let left = of(Expr::Ident(ROUND.to_owned()));
    call_of(operators::CONDITIONAL, vec![left, then, otherwise])
}

fn call_of(function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    of(Expr::Call(CallExpr {
        func_name: function.to_owned(),
        target: None,
        args,
    }))
}

fn literal(value: bool) -> IdedExpr {
    of(Expr::Literal(LiteralValue::Boolean(CelBool::from(value))))
}

/// Parts that nobody wrote have no place in the text.
fn of(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

/// What one evaluation may still do.
#[derive(Debug, Clone)]
pub(crate) struct Left(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    allowed: (u64, u64),
    rounds: AtomicU64,
    bytes: AtomicU64,
}

impl Left {
    /// As much as any may do.
    pub(crate) fn all() -> Self {
        Self::of(ROUNDS, KEPT)
    }

    fn of(rounds: u64, bytes: u64) -> Self {
        Self(Arc::new(Counts {
            allowed: (rounds, bytes),
            // One more than may be taken: nothing is left only after more was asked for.
            rounds: AtomicU64::new(rounds + 1),
            bytes: AtomicU64::new(bytes + 1),
        }))
    }

    /// Makes an evaluation count.
    pub(crate) fn count<'v>(&'v self, context: &mut Context<'_, 'v>) -> Result<(), ExecutionError> {
        context.set_variable_resolver(self);
        let left = self.clone();
        let keep = move |value: Value| left.keep(value);
        context
            .add_function(KEEP, keep)
            .map_err(|error| ExecutionError::function_error(KEEP, error))
    }

    /// What was used up, if anything.
    pub(crate) fn exhausted(&self) -> Option<String> {
        let (rounds, bytes) = self.0.allowed;
        if self.0.rounds.load(Relaxed) == 0 {
            Some(format!("its loops take more than {rounds} rounds"))
        } else if self.0.bytes.load(Relaxed) == 0 {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
            let mebibytes = bytes as f64 / f64::from(1_u32 << 20);
            Some(format!("its loops keep more than {mebibytes} MiB"))
        } else {
            None
        }
    }

    fn keep(&self, value: Value) -> Result<Value, ExecutionError> {
        if take(&self.0.bytes, size(&value)) {
            Ok(value)
        } else {
            Err(ExecutionError::function_error(KEEP, "too much"))
        }
    }
}

impl VariableResolver for Left {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        (variable == ROUND && take(&self.0.rounds, 1)).then(|| CowVal::owned(CelBool::from(true)))
    }
}

/// Takes so much, or all that is left and then says no.
fn take(left: &AtomicU64, much: u64) -> bool {
    let before = left
        .fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(much)))
        .unwrap_or_default();
    before > much
}

/// About how many bytes a value takes.
fn size(value: &Value) -> u64 {
    const EACH: u64 = 16;
    let inner = match value {
        Value::String(text) => text.len() as u64,
        Value::Bytes(bytes) => bytes.len() as u64,
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(Map { map }) => map.values().map(|value| EACH + size(value)).sum(),
        _ => 0,
    };
    EACH + inner
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Left;
    use crate::Expression;

    fn evaluated(text: &str, document: &Value) -> Result<Value, String> {
        let expression = Expression::parse_free(text).unwrap();
        let value = expression.value_for(&|name| document.get(name));
        value.map_err(|error| error.to_string())
    }

    /// With bounds that take less time to reach.
    fn bounded(text: &str, document: &Value) -> Result<Value, String> {
        let expression = Expression::parse_free(text).unwrap();
        let allowed = || Left::of(10_000, 256 * 1024);
        let value = expression.evaluate_within(allowed, &|name| document.get(name));
        let value = value.map_err(|error| error.to_string())?;
        value.json().map_err(|error| error.to_string())
    }

    fn numbers(many: u32) -> Value {
        json!({ "list": (0..many).collect::<Vec<_>>() })
    }

    #[test]
    fn loops_do_what_they_did() {
        let document = json!({
            "list": [3, 1, 2],
            "people": [{ "name": "Ada", "of": ["x", "y"] }, { "name": "Bob", "of": [] }],
            "by": { "a": 1, "b": 2 },
            "text": "t",
        });
        for (text, expected) in [
            ("list.map(i, i * 2)", json!([6, 2, 4])),
            ("list.map(i, text)", json!(["t", "t", "t"])),
            ("list.map(i, i > 1, [i, text])", json!([[3, "t"], [2, "t"]])),
            ("list.filter(i, i > 1)", json!([3, 2])),
            ("list.filter(i, i in by.map(k, by[k]))", json!([1, 2])),
            (
                "list.exists(i, i == 2) && !list.exists(i, i == 4)",
                json!(true),
            ),
            ("list.all(i, i > 0) && !list.all(i, i > 1)", json!(true)),
            (
                "list.exists_one(i, i > 2) && !list.exists_one(i, i > 1)",
                json!(true),
            ),
            ("[].all(i, false) && ![].exists(i, true)", json!(true)),
            // An item that cannot be worked out does not matter where another decides.
            ("list.exists(i, 1 / (i - 1) > 0)", json!(true)),
            (
                "people.map(p, p.of.map(o, p.name + o + text))",
                json!([["Adaxt", "Adayt"], []]),
            ),
            (
                "people.filter(p, p.of.exists(o, o == 'y')).map(p, {'n': p.name})",
                json!([{ "n": "Ada" }]),
            ),
            (
                "size(list.map(i, list.map(j, i + j)).map(row, row[0]))",
                json!(3),
            ),
            ("text == 't' ? list.map(i, i)[0] : 0", json!(3)),
        ] {
            assert_eq!(evaluated(text, &document), Ok(expected), "{text}");
        }
        assert!(evaluated("list.map(i, 1 / (i - 1))", &document).is_err());
        assert!(evaluated("text.map(i, i)", &document).is_err());
    }

    #[test]
    fn a_long_list_is_gone_through_and_a_loop_within_a_loop_over_it_ends() {
        let long = numbers(50_000);
        // Would take minutes if each round copied what was kept before.
        let kept = evaluated("list.map(i, i + 1).filter(i, i % 2 == 0)", &long).unwrap();
        assert_eq!(kept.as_array().map(Vec::len), Some(25_000));
        let long = numbers(110);
        for text in [
            "list.map(a, list.map(b, 0))",
            "list.map(a, list.filter(b, a == b))",
            "list.all(a, list.all(b, a + b >= 0))",
            "list.all(a, !list.exists(b, a + b < 0))",
            "list.exists(a, list.exists(b, a + b < 0))",
            "list.filter(a, list.exists_one(b, a == b))",
            "list.map(a, list.all(b, true) && false || list.all(c, true))",
            "list.map(a, a).map(a, [list].map(l, l.map(b, b)))",
            "{'a': list.map(a, {'b': list.map(b, 1)})}",
        ] {
            let error = bounded(text, &long).unwrap_err();
            assert!(error.contains("more than 10000 rounds"), "{text}: {error}");
        }
        assert!(bounded("list.all(a, list.all(b, a + b >= 0))", &numbers(90)).is_ok());
        // As many as are allowed, and one more.
        assert!(bounded("list.all(a, a >= 0)", &numbers(10_000)).is_ok());
        assert!(bounded("list.all(a, a >= 0)", &numbers(10_001)).is_err());
    }

    #[test]
    fn what_loops_keep_is_bounded_and_what_was_given_is_not() {
        let text = "x".repeat(1024);
        let document = json!({
            "list": vec![0; 300],
            "text": text,
            "texts": vec![&text; 80],
            "given": vec![json!({ "text": text }); 80],
        });
        for text in [
            "list.map(i, text)",
            "list.map(i, i == 0, text + 'y')",
            "list.map(i, {'a': [text]}).size()",
            "list.map(i, texts)",
            "list.map(i, list.map(j, text))",
        ] {
            let error = bounded(text, &document).unwrap_err();
            assert!(error.contains("keep more than 0.25 MiB"), "{text}: {error}");
        }
        for text in [
            "given.map(g, g.text).size()",
            "given.filter(g, g.text != '').size()",
        ] {
            assert_eq!(bounded(text, &document), Ok(json!(80)), "{text}");
        }
        assert!(bounded("list.filter(i, i == 1).map(i, text)", &document).is_ok());
        assert!(bounded("list.all(i, text.size() > i)", &document).is_ok());
    }
}
