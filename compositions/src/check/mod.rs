//! Composition files in, plans out; or every mistake in them, each at its place.
//!
//! All files are checked together, since they may use one another. Checking is pure: it asks the outside for variables and
//! files that credentials name, and for nothing else. What is not known is let through; a mistake is only what would be
//! wrong in every run.

mod compile;
mod expression;
mod graph;
mod http;
mod infer;
mod inputs;
mod known;
mod misfit;
mod order;
mod paths;
mod reading;
mod reference;
mod repeat;
mod routes;
mod scope;
mod settings;
mod step;
pub(crate) mod table;
mod twins;
mod types;
mod url;
mod value;
mod with;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use isobar_config::{Diagnostic, Environment, Node, Report, Source, Span, Value, parse};

pub use known::{Known, KnownAccount, KnownPool};

use self::reading::Reading;
use crate::plan::Plan;

/// Compositions so far.
pub(crate) struct Compiled {
    /// Those that were checked, by name.
    pub(crate) plans: BTreeMap<String, Arc<Plan>>,
    /// Names of all.
    pub(crate) names: Vec<String>,
    /// Those that are part of a recursion, of which that is told elsewhere.
    pub(crate) broken: BTreeSet<String>,
    /// The one that is being checked.
    pub(crate) own: String,
}

/// Checks composition files, which may use one another. Plans are in the files' order, and there are none if anything is
/// wrong that makes them unusable.
pub fn check(
    sources: &[Source],
    known: &Known,
    environment: &dyn Environment,
) -> (Vec<Arc<Plan>>, Report) {
    let mut reading = Reading {
        sources,
        known,
        environment,
        found: Vec::new(),
    };
    let files = reading.files();
    let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
    let order = reading.order(&files);
    let mut compiled = Compiled {
        plans: BTreeMap::new(),
        names,
        broken: order.broken,
        own: String::new(),
    };
    let mut plans: Vec<Option<Arc<Plan>>> = vec![None; files.len()];
    for index in order.files {
        let Some(file) = files.get(index) else {
            continue;
        };
        compiled.own.clone_from(&file.name);
        let plan = Arc::new(reading.compile(&file.name, &file.node, &compiled));
        compiled
            .plans
            .entry(file.name.clone())
            .or_insert_with(|| Arc::clone(&plan));
        if let Some(place) = plans.get_mut(index) {
            *place = Some(plan);
        }
    }
    reading.routes(&files, &plans);
    let report = Report::new(sources.to_vec(), reading.found);
    let plans = if report.has_errors() {
        Vec::new()
    } else {
        plans.into_iter().flatten().collect()
    };
    (plans, report)
}

/// Whether a file is a composition, right or wrong: it has the key at its top.
pub fn is_composition(text: &str) -> bool {
    match parse(text, 0) {
        Ok(node) => node.get("composition").is_some(),
        Err(_) => text.lines().any(|line| line.starts_with("composition:")),
    }
}

/// A file that is a map and has a name.
struct File {
    name: String,
    node: Node,
}

impl Reading<'_> {
    fn files(&mut self) -> Vec<File> {
        let mut files: Vec<File> = Vec::new();
        let mut places: BTreeMap<String, Span> = BTreeMap::new();
        for (index, source) in self.sources.iter().enumerate() {
            let node = match parse(&source.text, index) {
                Ok(node) => node,
                Err(mistake) => {
                    self.found.push(mistake);
                    continue;
                }
            };
            match &node.value {
                Value::Map(_) => {}
                Value::Null => {
                    let at = Span {
                        source: index,
                        line: 1,
                        column: 1,
                        ..Span::default()
                    };
                    let mistake = Diagnostic::error("E0105", at, "the file is empty")
                        .help("write `composition: NAME`, its `steps` and its `output`");
                    self.found.push(mistake);
                    continue;
                }
                _ => {
                    self.wrong(
                        &node,
                        "a map",
                        "write `composition: NAME`, its `steps` and its `output`",
                    );
                    continue;
                }
            }
            let mut name = String::new();
            if let Some(named) = node.get("composition") {
                name = self
                    .text(named, "name it: `composition: voice-insights`")
                    .unwrap_or_default();
                if matches!(named.value, Value::Text(_) | Value::Integer(_)) {
                    self.composition_name(named, &name);
                }
                if let Some(first) = places.get(&name).copied().filter(|_| !name.is_empty()) {
                    let file = self
                        .sources
                        .get(first.source)
                        .map_or("", |source| &source.name);
                    let help = format!(
                        "the other is in {file}:{}; give one of them another name",
                        first.line
                    );
                    self.error(
                        "E1017",
                        named.at,
                        format!("there is another composition `{name}`"),
                        help,
                    );
                }
                places.entry(name.clone()).or_insert(named.at);
            }
            files.push(File { name, node });
        }
        files
    }

    fn composition_name(&mut self, node: &Node, name: &str) {
        let good = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && name.starts_with(|first: char| first.is_ascii_alphabetic());
        if !good {
            self.error(
                "E0412",
                node.at,
                format!("`{name}` is not a name of a composition"),
                "names have letters, digits, `-` and `_`, a letter first, at most 64 of them",
            );
        }
    }
}
