//! Names that an expression looks up, without those that it makes itself: `item` in `list.exists(item, item > 2)`.

use std::collections::BTreeMap;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};

/// How much of a value is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// All of it.
    Whole,
    /// No more than these members.
    Members(Looked),
}

impl Seen {
    /// Every way down to something that is looked at whole, below `at`.
    pub(crate) fn ways<'s>(&'s self, at: &mut Vec<&'s str>, found: &mut Vec<Vec<&'s str>>) {
        let Self::Members(members) = self else {
            found.push(at.clone());
            return;
        };
        if members.is_empty() {
            found.push(at.clone());
        }
        for (name, seen) in members {
            at.push(name);
            seen.ways(at, found);
            at.pop();
        }
    }
}

/// What is looked at, by name.
pub(crate) type Looked = BTreeMap<String, Seen>;

/// Collects the free names of `tree`, within the names `made`.
pub(crate) fn free<'t>(tree: &'t IdedExpr, made: &mut Vec<&'t str>, found: &mut Looked) {
    match &tree.expr {
        Expr::Unspecified | Expr::Literal(_) => {}
        Expr::Ident(name) => {
            if is_free(name, made) {
                found.insert(name.clone(), Seen::Whole);
            }
        }
        Expr::Select(select) => {
            let (mut path, mut base) = (vec![select.field.as_str()], &*select.operand);
            while let Expr::Select(select) = &base.expr {
                path.push(&select.field);
                base = &select.operand;
            }
            match &base.expr {
                Expr::Ident(name) if is_free(name, made) => {
                    path.push(name);
                    path.reverse();
                    note(&path, found);
                }
                Expr::Ident(_) => {}
                _ => free(base, made, found),
            }
        }
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

fn of_entry<'t>(entry: &'t EntryExpr, made: &mut Vec<&'t str>, found: &mut Looked) {
    match entry {
        EntryExpr::StructField(field) => free(&field.value, made, found),
        EntryExpr::MapEntry(entry) => {
            free(&entry.key, made, found);
            free(&entry.value, made, found);
        }
    }
}

fn is_free(name: &str, made: &[&str]) -> bool {
    !name.starts_with('@') && !made.contains(&name)
}

/// Notes that what a path leads to is looked at.
fn note(path: &[&str], found: &mut Looked) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        found.insert((*first).to_owned(), Seen::Whole);
        return;
    }
    let seen = found
        .entry((*first).to_owned())
        .or_insert_with(|| Seen::Members(Looked::new()));
    if let Seen::Members(members) = seen {
        note(rest, members);
    }
}
