//! Steps: first what each does, which says what it answers; then its values, which look at what others answer.

use std::time::Duration;

use isobar_config::{Effect, Expression, Key, Node, Span, Value};

use super::{
    Compiled,
    infer::facts,
    reading::Reading,
    reference::is_reserved,
    scope::{Scope, Seen, Uses},
    table,
    value::{Kind, Want, kind},
    work::{Sketch, Sketched},
};
use crate::{
    plan::{Host, Step, Undo},
    shape::Shape,
};

/// Most steps.
const STEPS: usize = 200;

/// A step of which it is known what it does.
pub(crate) struct Draft<'n> {
    pub(crate) key: &'n Key,
    pub(crate) node: &'n Node,
    pub(crate) work: Sketched<'n>,
    /// Whether its condition looks at the item.
    by_item: bool,
}

/// A step, and what its values looked at.
pub(crate) struct Made {
    pub(crate) step: Step,
    pub(crate) uses: Uses,
    /// What its undo looked at.
    pub(crate) undo: Uses,
    /// Steps that it names after `after`.
    pub(crate) after: Vec<(usize, Span)>,
}

impl Reading<'_> {
    /// What the steps do, and what others see of them.
    pub(crate) fn drafts<'n>(
        &mut self,
        node: &'n Node,
        compiled: &Compiled,
    ) -> (Vec<Draft<'n>>, Vec<Seen>) {
        if !matches!(node.value, Value::Map(_)) {
            self.wrong(
                node,
                "a map",
                "write `name: { use: …, with: { … } }`, one step after the other",
            );
        } else if node.entries().is_empty() {
            self.error(
                "E0207",
                node.at,
                "there is no step",
                "add one: `mood: { use: text.sentiment, with: { text: $.input.text } }`",
            );
        }
        if let Some((key, _)) = node.entries().get(STEPS) {
            self.error(
                "E1025",
                key.at,
                format!(
                    "these are {} steps, and a composition has 200 at most",
                    node.entries().len()
                ),
                "put some of them into a composition of their own, or use `each`",
            );
        }
        let (mut drafts, mut seen) = (Vec::new(), Vec::new());
        // What is far beyond any use is not looked at.
        for (key, step) in node.entries().iter().take(5 * STEPS) {
            if is_reserved(&key.text) {
                self.error(
                    "E1032",
                    key.at,
                    format!("a step cannot be named `{}`: references and expressions mean something else by it", key.text),
                    "give it another name",
                );
            } else {
                self.identifier(key.at, &key.text, "a step");
            }
            self.record(step, &table::STEP);
            let work = if matches!(step.value, Value::Map(_)) {
                self.sketch(step, key.at, "a step", compiled)
            } else {
                Sketched {
                    sketch: Sketch::Unknown,
                    shape: Shape::Any,
                    effect: Effect::Read,
                }
            };
            let when = step.get("when").and_then(Node::text);
            let repeated = step.get("each").is_some();
            let by_item = repeated && when.is_some_and(looks_at_item);
            let shape = if repeated {
                let failed = step
                    .get("each")
                    .and_then(|each| each.get("failed"))
                    .map(|failed| {
                        (
                            failed.value == Value::Null,
                            failed.text().unwrap_or_default(),
                        )
                    });
                let dropped = matches!(failed, Some((_, "drop")));
                let nulls = matches!(failed, Some((true, _) | (_, "null"))) || by_item && !dropped;
                let item = match &work.shape {
                    shape if nulls => Shape::Optional(Box::new(shape.clone())),
                    shape => shape.clone(),
                };
                Shape::List(Box::new(item))
            } else {
                work.shape.clone()
            };
            let shape = if step.get("otherwise").is_some() {
                without_blobs(&shape)
            } else {
                shape
            };
            seen.push(Seen {
                name: key.text.clone(),
                shape,
                when: when.filter(|_| !by_item).map(|text| text.trim().to_owned()),
            });
            drafts.push(Draft {
                key,
                node: step,
                work,
                by_item,
            });
        }
        (drafts, seen)
    }

    /// A step with its values.
    pub(crate) fn step(
        &mut self,
        index: usize,
        draft: &Draft<'_>,
        outer: &Scope<'_>,
        hosts: &[(Host, Span)],
        deadline: Duration,
        compiled: &Compiled,
    ) -> Made {
        let node = draft.node;
        let mut uses = Uses::default();
        let mut scope = outer.clone();
        scope.own = Some(index);
        let each = node
            .get("each")
            .and_then(|each| self.each(each, &scope, &mut uses));
        let (each, item) = each.unzip();
        scope.item = item.or_else(|| node.get("each").map(|_| Shape::Any));
        let when = node.get("when").and_then(|when| {
            let mut looked = scope.clone();
            if !draft.by_item {
                looked.item.clone_from(&outer.item);
            }
            self.condition(when, &looked, &mut uses)
        });
        if let Some(when) = &when {
            scope.when = node
                .get("when")
                .and_then(Node::text)
                .map(|text| text.trim().to_owned());
            facts(when.tree(), true, &mut scope.present);
        }
        let mut work = self.work(&draft.work.sketch, &scope, &mut uses, hosts);
        let otherwise = node.get("otherwise").map(|node| {
            let what = format!("the output of `{}`", draft.key.text);
            let seen = outer
                .steps
                .get(index)
                .map_or(Shape::Any, |seen| seen.shape.clone());
            let want = Want {
                what: &what,
                shape: &seen,
                blobs: false,
            };
            // It takes the place of the whole list, and so of no item.
            let mut looked = scope.clone();
            looked.item.clone_from(&outer.item);
            self.given(node, want, &looked, &mut uses).given
        });
        self.constant(draft, when.as_ref(), each.as_ref());
        let timeout = node
            .get("timeout")
            .and_then(|node| self.timeout(node, deadline));
        let retry = node.get("retry").and_then(|node| self.retry(node));
        if let (Some(_), Some(key), Effect::Unsafe) =
            (&retry, key_of(node, "retry"), draft.work.effect)
        {
            self.error(
                "E1019",
                key.at,
                format!(
                    "`{}` is `unsafe`, and is not tried again: it may have acted",
                    draft.key.text
                ),
                "leave `retry` out; a service that takes keys is told by `key: Idempotency-Key`",
            );
        }
        self.kept(draft, &mut work, deadline);
        let after = node
            .get("after")
            .map(|node| self.after(node, &scope))
            .unwrap_or_default();
        let (undo, looked) = match node.get("undo") {
            Some(node) => self.undo(node, draft, &scope, hosts, compiled),
            None => (None, Uses::default()),
        };
        Made {
            step: Step {
                name: draft.key.text.clone(),
                work,
                when,
                each,
                needs: Vec::new(),
                timeout,
                retry,
                otherwise,
                undo,
                effect: draft.work.effect,
                shape: outer
                    .steps
                    .get(index)
                    .map_or(Shape::Any, |seen| seen.shape.clone()),
                twin: None,
                needed: false,
            },
            uses,
            undo: looked,
            after,
        }
    }

    fn after(&mut self, node: &Node, scope: &Scope<'_>) -> Vec<(usize, Span)> {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut found: Vec<(usize, Span)> = Vec::new();
        for item in items {
            let Some(name) = self.text(item, "name a step") else {
                continue;
            };
            let index = scope.steps.iter().position(|step| step.name == name);
            match index {
                Some(index) if scope.own == Some(index) => self.error(
                    "E1012",
                    item.at,
                    format!("`{name}` waits for itself"),
                    "name another step, or leave it out",
                ),
                Some(index) => found.push((index, item.at)),
                None => {
                    let own = scope.own;
                    let known: Vec<&str> = scope
                        .steps
                        .iter()
                        .enumerate()
                        .filter(|(index, _)| own != Some(*index))
                        .map(|(_, step)| step.name.as_str())
                        .collect();
                    self.unknown(
                        "E1001",
                        item.at,
                        format!("there is no step `{name}`"),
                        &name,
                        known,
                        "leave it out",
                    );
                }
            }
        }
        found
    }

    fn undo(
        &mut self,
        node: &Node,
        draft: &Draft<'_>,
        scope: &Scope<'_>,
        hosts: &[(Host, Span)],
        compiled: &Compiled,
    ) -> (Option<Undo>, Uses) {
        let mut uses = Uses::default();
        self.record(node, &table::UNDO);
        if !matches!(node.value, Value::Map(_)) {
            return (None, uses);
        }
        if draft.work.effect == Effect::Read && !draft.work.is_unknown() {
            let at = key_of(draft.node, "undo").map_or(node.at, |key| key.at);
            self.warning(
                "E1021",
                at,
                format!("`{}` only reads, and there is nothing to take back", draft.key.text),
                "remove `undo`; a request that changes something says so by its method or by `effect`",
            );
        }
        let sketched = self.sketch(node, node.at, "`undo`", compiled);
        let mut inner = scope.clone();
        inner.own_output = Some(draft.work.shape.clone());
        let work = self.work(&sketched.sketch, &inner, &mut uses, hosts);
        let own = scope.own.unwrap_or(usize::MAX);
        let blind = uses.steps.remove(&own).is_none();
        (Some(Undo { work, blind }), uses)
    }
}

/// The key itself.
pub(crate) fn key_of<'n>(node: &'n Node, name: &str) -> Option<&'n Key> {
    node.entries()
        .iter()
        .map(|(key, _)| key)
        .find(|key| key.text == name)
}

/// Whether a condition looks at the item. One that cannot be read does not.
fn looks_at_item(text: &str) -> bool {
    let Kind::Expression(text, _) = kind(text) else {
        return false;
    };
    Expression::parse_free(text).is_ok_and(|condition| {
        let mut names = condition.names().iter();
        names.any(|name| name == "item" || name == "index")
    })
}

/// An output that may be written out instead: of a blob there is no literal, so where one is it may be left out.
fn without_blobs(shape: &Shape) -> Shape {
    match shape {
        Shape::Object { fields, others } => Shape::Object {
            fields: fields
                .iter()
                .map(|(name, shape)| {
                    // Who answered, and what it used, is nothing that a writer would make up.
                    let made = matches!(name.as_str(), "vendor" | "usage") || shape.is_blob();
                    let shape = if made {
                        shape.clone().optional()
                    } else {
                        shape.clone()
                    };
                    (name.clone(), shape)
                })
                .collect(),
            others: others.clone(),
        },
        Shape::List(item) => Shape::List(Box::new(without_blobs(item))),
        Shape::Optional(inner) => Shape::Optional(Box::new(without_blobs(inner))),
        other => other.clone(),
    }
}
