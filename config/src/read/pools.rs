//! Pools: named ones, and those written in place in a route.

use std::time::Duration;

use super::{Reader, count, duration, number, set};
use crate::{
    diagnostic::Diagnostic,
    document::Node,
    model::{Member, Outlier, Policy, Pool, PoolId, Retry, Rule},
    place::Span,
    template::{Expression, Template},
};

impl Reader<'_> {
    pub(super) fn named_pools(&mut self, node: &Node) {
        for (name, written) in node.get("pools").map(Node::entries).unwrap_or_default() {
            let id = self.add_pool(name.text.clone(), written, name.at);
            self.pool_ids.insert(name.text.clone(), id);
        }
    }

    /// A pool from a list of members or a map with `members`.
    pub(super) fn add_pool(&mut self, name: String, written: &Node, at: Span) -> PoolId {
        let listed = if written.items().is_empty() {
            written.get("members")
        } else {
            Some(written)
        };
        let policy = written.get("policy").map_or(Policy::Order, read_policy);
        let weighted = matches!(policy, Policy::Weighted | Policy::Sticky { .. });
        let members = self.members(listed, weighted);
        let mut rules = Vec::new();
        for rule in written.get("rules").map(Node::items).unwrap_or_default() {
            let chosen = self.members(rule.get("members"), weighted);
            for (member, node) in chosen
                .iter()
                .zip(rule.get("members").map(Node::items).unwrap_or_default())
            {
                if !members.iter().any(|known| known.account == member.account) {
                    let name = self
                        .accounts
                        .get(member.account.0)
                        .map_or("", |account| &account.name)
                        .to_owned();
                    self.error(
                        "E0307",
                        node.at,
                        format!("`{name}` is not a member of the pool"),
                        "add it to the pool's members",
                    );
                }
            }
            let when = rule
                .get("when")
                .and_then(Node::text)
                .and_then(|text| Expression::parse(text.strip_prefix('=')?).ok());
            rules.extend(when.map(|when| Rule {
                when,
                members: chosen,
            }));
        }
        let mut retry = Retry {
            attempts: u32::try_from(members.len()).unwrap_or(3).clamp(1, 3),
            budget: 0.2,
            reserve: 10,
        };
        if let Some(node) = written.get("retry") {
            set(&mut retry.attempts, node.get("attempts").and_then(count));
            set(&mut retry.reserve, node.get("reserve").and_then(count));
            set(&mut retry.budget, node.get("budget").and_then(number));
        }
        let mut outlier = Outlier {
            failure_percent: 50,
            min_requests: 20,
            eject_for: Duration::from_secs(30),
            max_ejected_percent: 50,
        };
        if let Some(node) = written.get("outlier") {
            set(
                &mut outlier.failure_percent,
                node.get("failure_percent").and_then(count),
            );
            set(
                &mut outlier.min_requests,
                node.get("min_requests").and_then(count),
            );
            set(
                &mut outlier.eject_for,
                node.get("eject_for").and_then(duration),
            );
            set(
                &mut outlier.max_ejected_percent,
                node.get("max_ejected_percent").and_then(count),
            );
        }
        let hedge = written.get("hedge");
        if let Some(hedge) = hedge.filter(|_| members.len() == 1) {
            self.warning(
                "E0807",
                hedge.at,
                "a pool with one member has nobody to hedge with",
                "add a member, or leave `hedge` out",
            );
        }
        self.pool_hedges.push(hedge.map(|hedge| hedge.at));
        let hedge = hedge.and_then(duration);
        self.pools.push(Pool {
            name,
            members,
            policy,
            rules,
            retry,
            hedge,
            outlier,
        });
        self.pool_spans.push(at);
        self.used_pools.push(false);
        PoolId(self.pools.len() - 1)
    }

    fn members(&mut self, listed: Option<&Node>, weighted: bool) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        let items = listed.map(Node::items).unwrap_or_default();
        if let Some(extra) = items.get(64) {
            self.error(
                "E0204",
                extra.at,
                "a pool has at most 64 members",
                "split it into several pools",
            );
        }
        for item in items.iter().take(64) {
            let Some(account) = self.account(item.get("use").unwrap_or(item)) else {
                continue;
            };
            if members.iter().any(|member| member.account == account) {
                self.error(
                    "E0306",
                    item.at,
                    "this member is in the list already",
                    "give it once; `weight` makes its share larger",
                );
            }
            if let Some(weight) = item.get("weight").filter(|_| !weighted) {
                self.warning(
                    "E0808",
                    weight.at,
                    "a weight counts only under `weighted` and `sticky`",
                    "set the pool's `policy`, or leave the weight out",
                );
            }
            members.push(Member {
                account,
                weight: item.get("weight").and_then(count).unwrap_or(1),
            });
        }
        members
    }

    /// The pool that a text names; an unknown name is reported.
    pub(super) fn pool(&mut self, node: &Node) -> Option<PoolId> {
        let name = node.text()?;
        if let Some(id) = self.pool_ids.get(name) {
            if let Some(used) = self.used_pools.get_mut(id.0) {
                *used = true;
            }
            return Some(*id);
        }
        let mistake = Diagnostic::error("E0302", node.at, format!("there is no pool `{name}`"));
        let mistake = if self.account_ids.contains_key(name) {
            mistake.help(format!(
                "`{name}` is not a pool but can be in one; write a list: `[{name}]`"
            ))
        } else if self.pool_ids.is_empty() {
            mistake
                .help("there are none; add it to `pools`, or write a list of upstreams: `[a, b]`")
        } else {
            let mut known: Vec<&str> = self.pool_ids.keys().map(String::as_str).collect();
            known.sort_unstable();
            mistake.did_you_mean(name, known, self.found.len())
        };
        self.found.push(mistake);
        None
    }
}

fn read_policy(node: &Node) -> Policy {
    match node.text() {
        Some("weighted") => Policy::Weighted,
        Some("fastest") => Policy::Fastest,
        Some("cheapest") => Policy::Cheapest,
        Some(_) => Policy::Order,
        None => {
            let by = node
                .get("sticky")
                .and_then(Node::text)
                .and_then(|text| Template::parse(text).ok());
            by.map_or(Policy::Order, |by| Policy::Sticky { by })
        }
    }
}
