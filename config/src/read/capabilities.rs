//! Capabilities: routes that a vendor's account brings along, and `serve` in routes.

use std::time::Duration;

use super::{Reader, duration, texts_of};
use crate::{
    catalog::Catalog,
    diagnostic::Diagnostic,
    document::{Node, Value},
    model::{AccountId, Action, Member, Origin, PoolId, Route, Serve, Setting},
    place::Span,
    read::texts,
};

/// Time that a capability's answer may take: some vendors work through a queue.
const DEADLINE: Duration = Duration::from_mins(2);
/// Bytes of a body that a capability takes: the recordings that most vendors take.
const BODY: u64 = 25_000_000 + (1 << 20);

impl Reader<'_> {
    /// One route for each operation that an account offers, unless a route takes its place.
    pub(super) fn capabilities(
        &mut self,
        node: &Node,
        catalog: &Catalog,
        defaults: Option<&Node>,
        routes: &mut Vec<Route>,
    ) {
        let written = node.get("capabilities");
        for (name, _) in written.map(Node::entries).unwrap_or_default() {
            if !catalog.capability_names().contains(&name.text.as_str()) {
                let mistake = Diagnostic::error(
                    "E0311",
                    name.at,
                    format!("there is no capability or operation `{}`", name.text),
                );
                let mistake =
                    mistake.did_you_mean(&name.text, catalog.capability_names(), self.found.len());
                self.found.push(mistake);
            }
        }
        for operation in &catalog.operations {
            let settings = written.and_then(|written| {
                written
                    .get(&operation.name)
                    .or_else(|| written.get(operation.capability()))
            });
            let able: Vec<AccountId> = self.able(catalog, &operation.name);
            let Ok(matcher) = texts::match_text(&operation.front) else {
                continue;
            };
            if able.is_empty() || routes.iter().any(|route| route.matcher == matcher) {
                continue;
            }
            let at = settings.map_or(
                Span {
                    line: 1,
                    column: 1,
                    ..Span::default()
                },
                |node| node.at,
            );
            let empty = Node {
                value: Value::Map(Vec::new()),
                at,
            };
            let settings = settings.unwrap_or(&empty);
            let Some(pool) = self.serve_pool(
                settings,
                catalog,
                &operation.name,
                settings.get("members").is_none() && settings.items().is_empty(),
            ) else {
                continue;
            };
            let clients = settings
                .get("clients")
                .map(|listed| self.client_names(listed));
            let limits = self.serve_limits(settings.get("limits"), defaults);
            routes.push(Route {
                name: operation.name.clone(),
                matcher,
                action: Action::Serve(Serve {
                    operation: operation.name.clone(),
                    pool,
                    cache: settings.get("cache").and_then(duration),
                }),
                anonymous: self.anonymous(settings, clients.as_deref()),
                clients,
                scopes: settings.get("scopes").map(texts_of).unwrap_or_default(),
                cors: self.cors.clone(),
                cache: None,
                limits,
                at: self.location(at),
            });
        }
    }

    /// `serve: OPERATION` or `serve: { operation: …, … }` of a route.
    pub(super) fn serve(&mut self, node: &Node, catalog: &Catalog) -> Option<Serve> {
        let named = if node.text().is_some() {
            node
        } else {
            node.get("operation")?
        };
        let operation = named.text()?;
        if !catalog
            .operations
            .iter()
            .any(|known| known.name == operation)
        {
            let known = catalog
                .operations
                .iter()
                .map(|operation| operation.name.as_str());
            let mistake = Diagnostic::error(
                "E0311",
                named.at,
                format!("there is no operation `{operation}`"),
            );
            let mistake = mistake.did_you_mean(operation, known, self.found.len());
            self.found.push(mistake);
            return None;
        }
        let every = node.text().is_some() || node.get("members").is_none();
        let pool = self.serve_pool(node, catalog, operation, every)?;
        Some(Serve {
            operation: operation.to_owned(),
            pool,
            cache: node.get("cache").and_then(duration),
        })
    }

    /// Limits of a route that serves a capability: larger bodies and more time than others by default.
    pub(super) fn serve_limits(
        &mut self,
        own: Option<&Node>,
        defaults: Option<&Node>,
    ) -> crate::model::RouteLimits {
        let mut limits = self.route_limits(own, defaults);
        let unwritten = |origin: &Origin| *origin == Origin::Default;
        if unwritten(&limits.deadline.origin) {
            limits.deadline = Setting {
                value: DEADLINE,
                origin: Origin::Default,
            };
        }
        if unwritten(&limits.replay.origin) {
            limits.replay = Setting {
                value: limits.body.value.min(BODY),
                origin: Origin::Default,
            };
        }
        limits
    }

    /// The named pool, the members listed, or every account that offers the operation.
    fn serve_pool(
        &mut self,
        node: &Node,
        catalog: &Catalog,
        operation: &str,
        every: bool,
    ) -> Option<PoolId> {
        if let Some(named) = node.get("pool") {
            let id = self.pool(named)?;
            let members = self
                .pools
                .get(id.0)
                .map(|pool| pool.members.clone())
                .unwrap_or_default();
            self.check_able(&members, catalog, operation, named.at);
            return Some(id);
        }
        let id = self.add_pool(operation.to_owned(), node, node.at);
        if let Some(used) = self.used_pools.get_mut(id.0) {
            *used = true;
        }
        if every {
            let able = self.able(catalog, operation);
            if able.is_empty() {
                self.error(
                    "E0312",
                    node.at,
                    format!("no account offers `{operation}`"),
                    "add an account of a vendor that does; `isobar vendors` lists them",
                );
                return None;
            }
            for account in &able {
                if let Some(used) = self.used_accounts.get_mut(account.0) {
                    *used = true;
                }
            }
            let pool = self.pools.get_mut(id.0)?;
            pool.members = able
                .into_iter()
                .map(|account| Member { account, weight: 1 })
                .collect();
            if node
                .get("retry")
                .is_none_or(|retry| retry.get("attempts").is_none())
            {
                pool.retry.attempts = u32::try_from(pool.members.len()).unwrap_or(3).clamp(1, 3);
            }
        } else {
            let members = self
                .pools
                .get(id.0)
                .map(|pool| pool.members.clone())
                .unwrap_or_default();
            self.check_able(&members, catalog, operation, node.at);
        }
        Some(id)
    }

    /// Reports when nobody of a pool offers the operation; who does not is passed over.
    fn check_able(&mut self, members: &[Member], catalog: &Catalog, operation: &str, at: Span) {
        let able = self.able(catalog, operation);
        if !members.is_empty() && !members.iter().any(|member| able.contains(&member.account)) {
            self.error(
                "E0312",
                at,
                format!("no member of the pool offers `{operation}`"),
                "add an account of a vendor that does; `isobar vendors` lists them",
            );
        }
    }

    /// Accounts that offer an operation, in the order written.
    fn able(&self, catalog: &Catalog, operation: &str) -> Vec<AccountId> {
        let offers = |(_, account): &(usize, &crate::model::Account)| {
            account
                .vendor
                .as_ref()
                .is_some_and(|at| catalog.offers(&at.vendor, operation))
        };
        self.accounts
            .iter()
            .enumerate()
            .filter(offers)
            .map(|(index, _)| AccountId(index))
            .collect()
    }

    /// Reports members of a forward's pool that are vendors' accounts.
    pub(super) fn check_forwardable(&mut self, pool: PoolId, at: Span) {
        let members = self
            .pools
            .get(pool.0)
            .map(|pool| pool.members.clone())
            .unwrap_or_default();
        let of_vendor = |member: &&Member| {
            self.accounts
                .get(member.account.0)
                .is_some_and(|account| account.vendor.is_some())
        };
        if let Some(name) = members
            .iter()
            .find(of_vendor)
            .and_then(|member| self.accounts.get(member.account.0))
            .map(|account| account.name.clone())
        {
            self.error("E0310", at, format!("`{name}` is an account at a vendor, and requests cannot be forwarded to it as they are"), "serve a capability with it (`serve: …`), or name an upstream");
        }
    }
}
