//! Which composition uses which, and so which is checked first.

use std::collections::BTreeSet;

use isobar_config::{Node, Span};

use super::{File, reading::Reading};

/// Files so that each comes after those that it uses.
pub(super) struct Order {
    pub(super) files: Vec<usize>,
    pub(super) broken: BTreeSet<String>,
}

impl Reading<'_> {
    /// Puts files in order, and says which use themselves.
    pub(super) fn order(&mut self, files: &[File]) -> Order {
        let mut uses: Vec<Vec<(usize, Span)>> = Vec::with_capacity(files.len());
        for file in files {
            let mut found = Vec::new();
            used(&file.node, &mut found);
            let known = found.into_iter().filter_map(|(name, at)| {
                let index = files.iter().position(|other| other.name == name)?;
                Some((index, at))
            });
            uses.push(known.collect());
        }
        let mut order = Order {
            files: Vec::new(),
            broken: BTreeSet::new(),
        };
        let mut state = vec![0_u8; files.len()];
        for start in 0..files.len() {
            let mut way = Vec::new();
            self.visit(start, files, &uses, &mut state, &mut way, &mut order);
        }
        order
    }

    fn visit(
        &mut self,
        index: usize,
        files: &[File],
        uses: &[Vec<(usize, Span)>],
        state: &mut [u8],
        way: &mut Vec<usize>,
        order: &mut Order,
    ) {
        if state.get(index) != Some(&0) || way.len() > files.len() {
            return;
        }
        if let Some(state) = state.get_mut(index) {
            *state = 1;
        }
        way.push(index);
        for (next, at) in uses.get(index).into_iter().flatten() {
            if let Some(from) = way.iter().position(|step| step == next) {
                let names: Vec<String> = way
                    .get(from..)
                    .unwrap_or_default()
                    .iter()
                    .chain([next])
                    .filter_map(|index| files.get(*index))
                    .map(|file| format!("`{}`", file.name))
                    .collect();
                for index in way.get(from..).unwrap_or_default() {
                    order
                        .broken
                        .extend(files.get(*index).map(|file| file.name.clone()));
                }
                let message = if names.len() == 2 {
                    "the composition uses itself".to_owned()
                } else {
                    format!("the compositions use each other: {}", names.join(" → "))
                };
                self.error(
                    "E1013",
                    *at,
                    message,
                    "a composition has to end: take the step out, or repeat it by `each`",
                );
            } else {
                self.visit(*next, files, uses, state, way, order);
            }
        }
        way.pop();
        order.files.push(index);
    }
}

/// Compositions that a file uses, wherever: `use: composition.NAME`.
fn used(node: &Node, found: &mut Vec<(String, Span)>) {
    for (key, value) in node.entries() {
        if key.text == "use"
            && let Some(name) = value
                .text()
                .and_then(|text| text.strip_prefix("composition."))
        {
            found.push((name.to_owned(), value.at));
        }
        // Values that steps are given are nothing of ours.
        if !matches!(key.text.as_str(), "with" | "output" | "otherwise" | "input") {
            used(value, found);
        }
    }
    for item in node.items() {
        used(item, found);
    }
}
