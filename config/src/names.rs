//! Names that an expression looks up, without those that it makes itself: `item` in `list.exists(item, item > 2)`.

use std::collections::BTreeSet;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};

/// Collects the free names of `tree`, within the names `made`.
pub(crate) fn free<'t>(tree: &'t IdedExpr, made: &mut Vec<&'t str>, found: &mut BTreeSet<String>) {
    match &tree.expr {
        Expr::Unspecified | Expr::Literal(_) => {}
        Expr::Ident(name) => {
            if !name.starts_with('@') && !made.contains(&name.as_str()) {
                found.insert(name.clone());
            }
        }
        Expr::Select(select) => free(&select.operand, made, found),
        Expr::Call(call) => {
            // `optional.of(x)` is a function of that name, and `optional` nothing to look up.
            if let Some(target) = &call.target
                && !matches!(&target.expr, Expr::Ident(name) if name == "optional")
            {
                free(target, made, found);
            }
            call.args.iter().for_each(|given| free(given, made, found));
        }
        Expr::List(list) => {
            let items = list.elements.iter();
            items.for_each(|item| free(item, made, found));
        }
        Expr::Map(map) => map
            .entries
            .iter()
            .for_each(|entry| of_entry(&entry.expr, made, found)),
        Expr::Struct(made_of) => made_of
            .entries
            .iter()
            .for_each(|entry| of_entry(&entry.expr, made, found)),
        Expr::Comprehension(over) => {
            free(&over.iter_range, made, found);
            free(&over.accu_init, made, found);
            let before = made.len();
            made.push(&over.iter_var);
            made.extend(over.iter_var2.as_deref());
            made.push(&over.accu_var);
            free(&over.loop_cond, made, found);
            free(&over.loop_step, made, found);
            free(&over.result, made, found);
            made.truncate(before);
        }
    }
}

fn of_entry<'t>(entry: &'t EntryExpr, made: &mut Vec<&'t str>, found: &mut BTreeSet<String>) {
    match entry {
        EntryExpr::StructField(field) => free(&field.value, made, found),
        EntryExpr::MapEntry(entry) => {
            free(&entry.key, made, found);
            free(&entry.value, made, found);
        }
    }
}
