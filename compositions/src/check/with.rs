//! What operations and compositions are given, and who may serve them.

use isobar_adapters::Contract;
use isobar_config::{Node, Value};

use super::{
    reading::Reading,
    scope::{Scope, Uses},
    value::{Valued, Want},
};
use crate::{
    plan::{Given, Pool},
    shape::{Shape, operation_property},
};

impl Reading<'_> {
    /// `with:` of an operation or a composition.
    pub(super) fn with(
        &mut self,
        node: &Node,
        what: &str,
        wanted: &Shape,
        scope: &Scope<'_>,
        uses: &mut Uses,
    ) -> Vec<(String, Given)> {
        let Shape::Object { fields, .. } = wanted else {
            return Vec::new();
        };
        let with = node.get("with");
        if let Some(with) = with
            && !matches!(with.value, Value::Map(_) | Value::Null)
        {
            self.wrong(with, "a map", "write `{ field: value }`");
            return Vec::new();
        }
        let entries = with.map(Node::entries).unwrap_or_default();
        let mut givens = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let Some(shape) = fields.get(&key.text) else {
                let message = format!("`{what}` has no input `{}`", key.text);
                let known = fields.keys().map(String::as_str);
                self.unknown(
                    "E1011",
                    key.at,
                    message,
                    &key.text,
                    known,
                    "it has none: leave `with` out",
                );
                continue;
            };
            let label = format!("`{}` of `{what}`", key.text);
            let want = Want {
                what: &label,
                shape,
                blobs: false,
            };
            let Valued { given, .. } = self.given(value, want, scope, uses);
            givens.push((key.text.clone(), given));
        }
        for (name, shape) in fields {
            // What may be anything may be nothing, too.
            if shape.is_optional() || entries.iter().any(|(key, _)| key.text == *name) {
                continue;
            }
            let at = with.map_or_else(|| Self::key_at(node, "use"), |_| Self::key_at(node, "with"));
            let example = if *shape == Shape::Blob {
                format!("$.input.{name}")
            } else {
                "…".to_owned()
            };
            self.error(
                "E1009",
                at,
                format!("`{name}` is missing, which `{what}` needs"),
                format!("add `{name}: {example}` to `with`: {shape}"),
            );
        }
        givens
    }

    /// Numbers and texts that a contract does not take, as far as they are literals.
    pub(super) fn bounds(&mut self, contract: &Contract, node: &Node) {
        for (key, value) in node.get("with").map(Node::entries).unwrap_or_default() {
            let Some(property) = operation_property(contract, &key.text) else {
                continue;
            };
            let bound = |name: &str| property.get(name).and_then(serde_json::Value::as_f64);
            #[expect(clippy::cast_precision_loss, reason = "bounds are small numbers")]
            let number = match value.value {
                Value::Integer(number) => number as f64,
                Value::Float(number) => number,
                Value::Text(ref text) if text.trim().is_empty() && bound("minLength").is_some() => {
                    self.error(
                        "E1008",
                        value.at,
                        format!("`{}` of `{}` is empty", key.text, contract.name),
                        "give it a text, or refer to one",
                    );
                    continue;
                }
                _ => continue,
            };
            let (least, most) = (bound("minimum"), bound("maximum"));
            if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
                self.range(
                    value.at,
                    &format!("`{}` of {number}", key.text),
                    &least.map_or("any".to_owned(), |least| least.to_string()),
                    &most.map_or("any".to_owned(), |most| most.to_string()),
                );
            }
        }
    }

    pub(super) fn pool(&mut self, node: &Node, operation: &str) -> Pool {
        const ALONE: &str =
            "check it together with the configuration: `isobar check -c isobar.yaml`";
        if let Value::List(items) = &node.value {
            let mut names: Vec<String> = Vec::new();
            if items.is_empty() {
                self.error(
                    "E0207",
                    node.at,
                    "the list is empty",
                    "name an account at least, or leave `pool` out",
                );
            }
            for item in items {
                let Some(name) = self.text(item, "name an account") else {
                    continue;
                };
                if names.contains(&name) {
                    self.error(
                        "E0306",
                        item.at,
                        format!("`{name}` is there twice"),
                        "remove one of the two",
                    );
                }
                match self.known.accounts.as_deref() {
                    None => self.error(
                        "E1007",
                        item.at,
                        format!("whether there is an account `{name}` is not known"),
                        ALONE,
                    ),
                    Some(accounts) => match accounts.iter().find(|account| account.name == name) {
                        Some(account)
                            if !account
                                .operations
                                .iter()
                                .any(|offered| offered == operation) =>
                        {
                            self.error(
                                "E1006",
                                item.at,
                                format!("the account `{name}` does not offer `{operation}`"),
                                offering(
                                    operation,
                                    accounts
                                        .iter()
                                        .map(|account| (&account.name, &account.operations)),
                                ),
                            )
                        }
                        Some(_) => {}
                        None => {
                            let known = accounts.iter().map(|account| account.name.as_str());
                            self.unknown(
                                "E1005",
                                item.at,
                                format!("there is no account `{name}`"),
                                &name,
                                known,
                                "add it to the configuration",
                            );
                        }
                    },
                }
                names.push(name);
            }
            return Pool::Accounts(names);
        }
        let Some(name) = self.text(node, "name a pool, or list accounts: `[deepgram, openai]`")
        else {
            return Pool::Usual;
        };
        match self.known.pools.as_deref() {
            None => self.error(
                "E1007",
                node.at,
                format!("whether there is a pool `{name}` is not known"),
                ALONE,
            ),
            Some(pools) => match pools.iter().find(|pool| pool.name == name) {
                Some(pool) if !pool.operations.iter().any(|offered| offered == operation) => self
                    .error(
                        "E1006",
                        node.at,
                        format!("the pool `{name}` does not offer `{operation}`"),
                        offering(
                            operation,
                            pools.iter().map(|pool| (&pool.name, &pool.operations)),
                        ),
                    ),
                Some(_) => {}
                None => {
                    let known = pools.iter().map(|pool| pool.name.as_str());
                    self.unknown(
                        "E1005",
                        node.at,
                        format!("there is no pool `{name}`"),
                        &name,
                        known,
                        "add it to the configuration",
                    );
                }
            },
        }
        Pool::Named(name)
    }
}

/// Who offers an operation, as a next step.
fn offering<'k>(
    operation: &str,
    known: impl Iterator<Item = (&'k String, &'k Vec<String>)>,
) -> String {
    let names: Vec<&String> = known
        .filter(|(_, operations)| operations.iter().any(|offered| offered == operation))
        .map(|(name, _)| name)
        .collect();
    if names.is_empty() {
        "leave `pool` out: whoever offers it is asked".to_owned()
    } else {
        format!("choose one that does: {}", super::reading::listed(&names))
    }
}
