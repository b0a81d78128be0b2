//! How often a step runs, and when: for each item, again, under a condition, in what time.

use std::time::Duration;

use cel::common::ast::{Expr, LiteralValue};
use isobar_config::{Effect, Expression, Node, Value};

use super::{
    misfit::shown,
    reading::Reading,
    scope::{Scope, Uses},
    step::{Draft, key_of},
    table::{self, FAILED},
    value::Want,
    work::effect_name,
};
use crate::{
    plan::{Each, Failed, Given, Retry, Work},
    shape::Shape,
};

impl Reading<'_> {
    pub(super) fn each(
        &mut self,
        node: &Node,
        scope: &Scope<'_>,
        uses: &mut Uses,
    ) -> Option<(Each, Shape)> {
        let (mut at_once, mut most, mut failed) = (4, 100, Failed::Stop);
        let list = if matches!(node.value, Value::Map(_)) {
            for (key, node) in self.record(node, &table::EACH) {
                match key.text.as_str() {
                    "at_once" => {
                        at_once = self
                            .whole(node, "a number of calls at once", 1, 64)
                            .unwrap_or(1)
                    }
                    "most" => most = self.whole(node, "a number of items", 1, 1_000).unwrap_or(1),
                    "failed" => {
                        failed = match self.word(node, &FAILED) {
                            Some("null") => Failed::Null,
                            Some("drop") => Failed::Drop,
                            _ => Failed::Stop,
                        }
                    }
                    _ => {}
                }
            }
            node.get("in")?
        } else {
            node
        };
        let any = Want {
            what: "`each`",
            shape: &Shape::Any,
            blobs: false,
        };
        let before = self.found.len();
        let valued = self.given(list, any, scope, uses);
        let right = self.found.len() == before;
        let item = match &valued.shape {
            Shape::Optional(inner) if inner.item().is_some() => {
                if right {
                    let want = Want {
                        what: "the list of `each`",
                        shape: &Shape::List(Box::new(Shape::Any)),
                        blobs: false,
                    };
                    self.fit(list, &valued.shape, want, Some(scope));
                }
                inner.item()
            }
            shape => shape.item(),
        };
        if item.is_none() && right {
            self.error(
                "E1008",
                list.at,
                format!(
                    "{} is {}, and `each` goes through a list",
                    shown(list),
                    valued.shape.present()
                ),
                "refer to a list, such as `$.heard.segments`",
            );
        }
        if let Given::Literal(serde_json::Value::Array(items)) = &valued.given
            && items.len() > most as usize
        {
            self.error(
                "E1025",
                list.at,
                format!(
                    "the list has {} items, and `each` takes {most} at most",
                    items.len()
                ),
                "raise it, up to 1000: `each: { in: …, most: 1000 }`",
            );
        }
        Some((
            Each {
                items: valued.given,
                at_once,
                most,
                failed,
            },
            item.unwrap_or(Shape::Any),
        ))
    }

    /// Conditions that are always the same, and outputs for failures that cannot be.
    pub(super) fn constant(
        &mut self,
        draft: &Draft<'_>,
        when: Option<&Expression>,
        each: Option<&Each>,
    ) {
        let node = draft.node;
        let fixed = when.and_then(|when| match &when.tree().expr {
            Expr::Literal(LiteralValue::Boolean(value)) => Some(*value.inner()),
            _ => None,
        });
        let otherwise = key_of(node, "otherwise").map(|key| key.at);
        match (fixed, otherwise, each.map(|each| each.failed)) {
            (Some(false), Some(at), _) => self.error(
                "E1016",
                at,
                format!("`{}` never runs, and so never fails", draft.key.text),
                "remove `otherwise`, or mend the condition under `when`",
            ),
            (Some(value), ..) => {
                let at = node.get("when").map_or(node.at, |when| when.at);
                let (message, help) = if value {
                    ("the condition always holds", "leave `when` out")
                } else {
                    (
                        "the condition never holds",
                        "remove the step, or look at something: `= input.deep`",
                    )
                };
                self.warning("E1042", at, message, help);
            }
            (None, Some(at), Some(failed @ (Failed::Null | Failed::Drop))) => {
                let word = if failed == Failed::Null {
                    "null"
                } else {
                    "drop"
                };
                self.error(
                    "E1016",
                    at,
                    format!("`{}` does not fail when an item does: `failed: {word}` says what becomes of it", draft.key.text),
                    "keep one of them: `failed: stop` with `otherwise`, or `failed: null` or `drop` without",
                );
            }
            _ => {}
        }
    }

    pub(super) fn timeout(&mut self, node: &Node, deadline: Duration) -> Option<Duration> {
        let timeout = self.time(node, "a timeout", "10m")?;
        if timeout > deadline {
            self.warning(
                "E1033",
                node.at,
                format!(
                    "the step may take longer than all of the composition, which has {deadline:?}"
                ),
                "make it shorter, or raise `deadline`",
            );
        }
        Some(timeout)
    }

    pub(super) fn retry(&mut self, node: &Node) -> Option<Retry> {
        let mut retry = Retry {
            times: 1,
            pause: Duration::from_millis(200),
        };
        if !matches!(node.value, Value::Map(_)) {
            retry.times = self.whole(node, "a number of tries", 1, 5)?;
            return Some(retry);
        }
        for (key, node) in self.record(node, &table::RETRY) {
            if key.text == "times" {
                retry.times = self.whole(node, "a number of tries", 1, 5)?;
            } else {
                retry.pause = self.time(node, "a pause", "1m")?;
            }
        }
        Some(retry)
    }

    /// `hedge` and `cache`, which are of operations that read.
    pub(super) fn kept(&mut self, draft: &Draft<'_>, work: &mut Work, deadline: Duration) {
        for name in ["hedge", "cache"] {
            let (Some(key), Some(node)) = (key_of(draft.node, name), draft.node.get(name)) else {
                continue;
            };
            let most = if name == "hedge" { "10m" } else { "30d" };
            let Some(time) = self.time(node, &format!("a time for `{name}`"), most) else {
                continue;
            };
            if draft.work.effect != Effect::Read {
                let why = if name == "hedge" {
                    "is not sent twice"
                } else {
                    "is not left out because it was done before"
                };
                self.error(
                    "E1019",
                    key.at,
                    format!(
                        "`{}` is `{}`, and {why}",
                        draft.key.text,
                        effect_name(draft.work.effect)
                    ),
                    format!(
                        "leave `{name}` out; a request that changes nothing says `effect: read`"
                    ),
                );
                continue;
            }
            match work {
                Work::Operation(operation) => {
                    if name == "hedge" {
                        if time >= deadline {
                            self.warning(
                                "E1033",
                                node.at,
                                "the hedge would start when the deadline has passed",
                                "make it shorter, or raise `deadline`",
                            );
                        }
                        operation.hedge = Some(time);
                    } else {
                        operation.cache = Some(time);
                    }
                }
                _ if draft.work.is_unknown() => {}
                Work::Composition { .. } => self.not_with(key, "a composition"),
                Work::Http(_) => self.not_with(key, "http"),
                Work::Race(_) => self.not_with(key, "race"),
            }
        }
    }
}
