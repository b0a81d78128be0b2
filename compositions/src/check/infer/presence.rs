//! What is known to be there where a condition holds, or does not.

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

/// The names that a tree spells: `heard.text`, `heard['text']`.
pub(crate) fn path(tree: &IdedExpr) -> Option<Vec<String>> {
    match &tree.expr {
        Expr::Ident(name) => Some(vec![name.clone()]),
        Expr::Select(select) if !select.test => {
            let mut names = path(&select.operand)?;
            names.push(select.field.clone());
            Some(names)
        }
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [
                of,
                IdedExpr {
                    expr: Expr::Literal(LiteralValue::String(name)),
                    ..
                },
            ] => {
                let mut names = path(of)?;
                names.push(name.inner().to_owned());
                Some(names)
            }
            _ => None,
        },
        _ => None,
    }
}

/// What is there, if a condition holds or does not: `has(a.b)`, `a != null`, `a == 'x'`, and what is made of these.
pub(crate) fn facts(condition: &IdedExpr, holds: bool, found: &mut Vec<Vec<String>>) {
    match &condition.expr {
        Expr::Select(select) if select.test && holds => {
            if let Some(mut names) = path(&select.operand) {
                names.push(select.field.clone());
                there(&names, found);
            }
        }
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [one]) => facts(one, !holds, found),
            (operators::LOGICAL_AND, [left, right]) if holds => {
                facts(left, true, found);
                facts(right, true, found);
            }
            (operators::LOGICAL_OR, [left, right]) if !holds => {
                facts(left, false, found);
                facts(right, false, found);
            }
            (name @ (operators::EQUALS | operators::NOT_EQUALS), [left, right]) => {
                let equal = (name == operators::EQUALS) == holds;
                for (one, other) in [(left, right), (right, left)] {
                    let Expr::Literal(literal) = &other.expr else {
                        continue;
                    };
                    // Equal to something, or other than nothing.
                    if equal != matches!(literal, LiteralValue::Null)
                        && let Some(names) = path(one)
                    {
                        there(&names, found);
                    }
                }
            }
            _ => {}
        },
        _ => {}
    }
}

/// What is below is there, so what is above is, too.
fn there(names: &[String], found: &mut Vec<Vec<String>>) {
    for end in 1..=names.len() {
        found.extend(names.get(..end).map(<[String]>::to_vec));
    }
}
