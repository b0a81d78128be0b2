//! What a step does: an operation, another composition, an HTTP request, or several of them in a race.

use std::sync::Arc;

use isobar_adapters::{CONTRACTS, Contract, contract};
use isobar_config::{Effect, Key, Node, Span, Value};

use super::{
    Compiled,
    http::http_shape,
    reading::Reading,
    scope::{Scope, Uses},
};
use crate::{
    plan::{OperationWork, Plan, Pool, Work},
    shape::{Shape, operation_input, operation_output},
};

/// Most ways of a race.
const WAYS: usize = 8;
/// Most compositions within one another.
pub(crate) const NESTED: usize = 8;

/// What a step does, before its values are read.
#[derive(Debug, Clone)]
pub(crate) enum Sketch<'n> {
    Operation(&'static Contract, &'n Node),
    Composition(Arc<Plan>, &'n Node),
    Http(&'n Node),
    Race(Vec<Sketch<'n>>),
    /// Something is wrong with it, of which nothing else is to be said.
    Unknown,
}

/// The same, with what follows from it.
#[derive(Debug, Clone)]
pub(crate) struct Sketched<'n> {
    pub(crate) sketch: Sketch<'n>,
    pub(crate) shape: Shape,
    pub(crate) effect: Effect,
}

impl Sketched<'_> {
    fn unknown() -> Self {
        Self {
            sketch: Sketch::Unknown,
            shape: Shape::Any,
            effect: Effect::Read,
        }
    }

    /// Whether something was wrong with it.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.sketch, Sketch::Unknown)
    }
}

/// How bad a repetition is.
pub(crate) fn weight(effect: Effect) -> u8 {
    match effect {
        Effect::Read => 0,
        Effect::Idempotent => 1,
        Effect::Keyed => 2,
        Effect::Unsafe => 3,
    }
}

/// An effect in a word.
pub(crate) fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Idempotent => "idempotent",
        Effect::Keyed => "keyed",
        Effect::Unsafe => "unsafe",
    }
}

impl Reading<'_> {
    /// Says what a step, a way or an undo does; `what` for messages: "a step".
    pub(crate) fn sketch<'n>(
        &mut self,
        node: &'n Node,
        at: Span,
        what: &str,
        compiled: &Compiled,
    ) -> Sketched<'n> {
        let choices: &[&str] = if what == "a step" {
            &["use", "http", "race"]
        } else {
            &["use", "http"]
        };
        let given: Vec<&(Key, Node)> = node
            .entries()
            .iter()
            .filter(|(key, _)| choices.contains(&key.text.as_str()))
            .collect();
        let (key, work) = match given.as_slice() {
            [(key, work)] => (key, work),
            [] => {
                self.error(
                    "E1034",
                    at,
                    format!("{what} does something, and this does nothing"),
                    if what == "a step" {
                        "add `use: OPERATION`, `http: GET https://…` or `race: […]`"
                    } else {
                        "add `use: OPERATION` or `http: GET https://…`"
                    },
                );
                return Sketched::unknown();
            }
            [_, (second, _), ..] => {
                self.error(
                    "E1034",
                    second.at,
                    format!("{what} does one thing, and this does several"),
                    "keep one of them, and make another step for the other",
                );
                return Sketched::unknown();
            }
        };
        if key.text != "use" {
            for (other, _) in node.entries() {
                if matches!(other.text.as_str(), "with" | "pool") {
                    self.not_with(other, &key.text);
                }
            }
        }
        match key.text.as_str() {
            "use" => self.used(node, work, compiled),
            "http" => {
                let effect = self.http_effect(work);
                Sketched {
                    shape: http_shape(self, work),
                    sketch: Sketch::Http(work),
                    effect,
                }
            }
            _ => self.race(work, compiled),
        }
    }

    /// A key that does not go with what a step does.
    pub(crate) fn not_with(&mut self, key: &Key, does: &str) {
        let help = match (key.text.as_str(), does) {
            ("with", "http") => {
                "an HTTP request is given `query`, `headers`, `json` and `body`, within `http`"
            }
            ("with", "race") => "each way of the race has its own `with`",
            ("pool", "race") => "each way of the race has its own `pool`",
            ("pool", _) => "pools are of operations; an HTTP request goes to its host",
            _ => "keep it to steps that `use` an operation",
        };
        self.error(
            "E1035",
            key.at,
            format!("`{}` does not go with `{does}`", key.text),
            help,
        );
    }

    fn used<'n>(&mut self, node: &'n Node, work: &Node, compiled: &Compiled) -> Sketched<'n> {
        let Some(name) = self.text(work, "name an operation: `text.sentiment`") else {
            return Sketched::unknown();
        };
        if let Some(wanted) = name.strip_prefix("composition.") {
            let Some(plan) = compiled.plans.get(wanted) else {
                if !compiled.broken.contains(wanted) {
                    let at = self.part(work, "composition.".len(), wanted.len());
                    let known = compiled.names.iter().map(String::as_str);
                    let known = known.filter(|name| *name != compiled.own);
                    self.unknown(
                        "E1004",
                        at,
                        format!("there is no composition `{wanted}`"),
                        wanted,
                        known,
                        "write it, or name its file as well",
                    );
                }
                return Sketched::unknown();
            };
            if depth(plan) >= NESTED {
                self.error(
                    "E1025",
                    work.at,
                    "compositions are within one another more than 8 deep",
                    "take the steps of one of them into the one that uses it",
                );
            }
            if let Some((key, _)) = node.entries().iter().find(|(key, _)| key.text == "pool") {
                self.error(
                    "E1035",
                    key.at,
                    "`pool` does not go with a composition",
                    "its own steps say who serves them",
                );
            }
            return Sketched {
                shape: plan.output.shape.clone(),
                effect: plan
                    .steps
                    .iter()
                    .map(|step| step.effect)
                    .max_by_key(|effect| weight(*effect))
                    .unwrap_or(Effect::Read),
                sketch: Sketch::Composition(Arc::clone(plan), node),
            };
        }
        let Some(contract) = contract(&name) else {
            let known = CONTRACTS.iter().map(|contract| contract.name);
            let ours = compiled.names.contains(&name);
            let message = format!("there is no operation `{name}`");
            if ours {
                self.error(
                    "E1003",
                    work.at,
                    message,
                    format!("did you mean `composition.{name}`?"),
                );
            } else {
                self.unknown("E1003", work.at, message, &name, known, "name an operation");
            }
            return Sketched::unknown();
        };
        Sketched {
            shape: operation_output(contract),
            effect: contract.effect,
            sketch: Sketch::Operation(contract, node),
        }
    }

    fn race<'n>(&mut self, node: &'n Node, compiled: &Compiled) -> Sketched<'n> {
        if !matches!(node.value, Value::List(_)) {
            self.wrong(
                node,
                "a list",
                "write the calls one below the other, each after a `-`",
            );
            return Sketched::unknown();
        }
        let items = node.items();
        if items.len() < 2 || items.len() > WAYS {
            let message = format!("a race has 2 to 8 ways, and this one has {}", items.len());
            let help = if items.len() < 2 {
                "add another, or make it a step of its own"
            } else {
                "keep the best of them"
            };
            self.error("E1025", node.at, message, help);
            return Sketched::unknown();
        }
        let mut ways = Vec::new();
        let mut joined: Option<Shape> = None;
        for item in items {
            self.record(item, &super::table::WAY);
            if !matches!(item.value, Value::Map(_)) {
                return Sketched::unknown();
            }
            let way = self.sketch(item, item.at, "a way of `race`", compiled);
            if way.is_unknown() {
                return Sketched::unknown();
            }
            if way.effect != Effect::Read {
                self.error(
                    "E1019",
                    item.at,
                    format!("this is `{}`, and a race only reads: those that lose have acted, too", effect_name(way.effect)),
                    "make it a step of its own; an HTTP request that changes nothing says `effect: read`",
                );
                return Sketched::unknown();
            }
            joined = match joined {
                None => Some(way.shape),
                Some(before) => match before.join(&way.shape) {
                    Some(shape) => Some(shape),
                    None => {
                        self.error(
                            "E1008",
                            item.at,
                            "this way has no field that the one before has",
                            "race calls that answer alike: steps after the race cannot tell who won",
                        );
                        return Sketched::unknown();
                    }
                },
            };
            ways.push(way.sketch);
        }
        Sketched {
            sketch: Sketch::Race(ways),
            shape: joined.unwrap_or(Shape::Any),
            effect: Effect::Read,
        }
    }

    /// Reads the values of what a step does.
    pub(crate) fn work(
        &mut self,
        sketch: &Sketch<'_>,
        scope: &Scope<'_>,
        uses: &mut Uses,
        hosts: &[(crate::plan::Host, Span)],
    ) -> Work {
        match sketch {
            Sketch::Operation(contract, node) => {
                let with = self.with(node, contract.name, &operation_input(contract), scope, uses);
                self.bounds(contract, node);
                Work::Operation(OperationWork {
                    contract,
                    with,
                    pool: node
                        .get("pool")
                        .map_or(Pool::Usual, |pool| self.pool(pool, contract.name)),
                    hedge: None,
                    cache: None,
                })
            }
            Sketch::Composition(plan, node) => {
                let fields = plan
                    .inputs
                    .iter()
                    .map(|input| {
                        let shape = if input.default.is_some() {
                            input.shape.clone().optional()
                        } else {
                            input.shape.clone()
                        };
                        (input.name.clone(), shape)
                    })
                    .collect();
                let wanted = Shape::Object {
                    fields,
                    others: None,
                };
                let what = format!("composition.{}", plan.name);
                Work::Composition {
                    with: self.with(node, &what, &wanted, scope, uses),
                    plan: Arc::clone(plan),
                }
            }
            Sketch::Http(node) => self
                .http(node, scope, uses, hosts)
                .map_or(Work::Race(Vec::new()), |http| Work::Http(Box::new(http))),
            Sketch::Race(ways) => Work::Race(
                ways.iter()
                    .map(|way| self.work(way, scope, uses, hosts))
                    .collect(),
            ),
            Sketch::Unknown => Work::Race(Vec::new()),
        }
    }
}

/// How many compositions are within one another, this one included.
pub(crate) fn depth(plan: &Plan) -> usize {
    fn of(work: &Work) -> usize {
        match work {
            Work::Composition { plan, .. } => depth(plan),
            Work::Race(ways) => ways.iter().map(of).max().unwrap_or(0),
            Work::Operation(_) | Work::Http(_) => 0,
        }
    }
    let steps = plan.steps.iter().map(|step| {
        let undo = step.undo.as_ref().map_or(0, |undo| of(&undo.work));
        of(&step.work).max(undo)
    });
    1 + steps.max().unwrap_or(0)
}
