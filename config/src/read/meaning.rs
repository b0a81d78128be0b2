//! What the parts mean together: who can call, what loops, what is never used.

use std::net::{IpAddr, SocketAddr};

use super::Reader;
use crate::{
    diagnostic::Severity,
    document::Node,
    model::{Account, Action, Config},
};

impl Reader<'_> {
    pub(super) fn meaning(&mut self, node: &Node, config: &Config) {
        self.exposure(node, config);
        self.loops(config);
        // After a mistake it may be its fault that something is not used.
        if !self
            .found
            .iter()
            .any(|mistake| mistake.severity == Severity::Error)
        {
            self.unused(config);
        }
        for route in &config.routes {
            let Action::Forward(forward) = &route.action else {
                continue;
            };
            let Some(pool) = config.pools.get(forward.pool.0) else {
                continue;
            };
            let written = self.pool_hedges.get(forward.pool.0).copied().flatten();
            let deadline = route.limits.deadline.value;
            if let (Some(hedge), Some(at)) = (pool.hedge, written)
                && hedge >= deadline
            {
                self.warning(
                    "E0806",
                    at,
                    format!(
                        "the hedge would start after {hedge:?}, and the deadline of `{}` is {deadline:?}",
                        route.name
                    ),
                    "shorten `hedge` or lengthen the route's deadline",
                );
            }
        }
    }

    fn exposure(&mut self, node: &Node, config: &Config) {
        let addresses = node
            .get("listen")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .filter_map(|item| item.get("http").or_else(|| item.get("https")));
        if config.clients.is_none() {
            for (listen, at) in config.listen.iter().zip(addresses.map(|node| node.at)) {
                if !listen.address.ip().is_loopback() {
                    let message = format!(
                        "`{}` can be reached from outside, and no clients are configured",
                        listen.address
                    );
                    self.error(
                        "E0801",
                        at,
                        message,
                        "add `clients`, or listen on 127.0.0.1",
                    );
                }
            }
        }
        if let (Some(clients), Some(written)) = (&config.clients, node.get("clients"))
            && clients.is_empty()
            && config.routes.iter().all(|route| !route.anonymous)
            && !config.routes.is_empty()
        {
            self.error(
                "E0506",
                written.at,
                "nobody can call: there is no client and no anonymous route",
                "add a client, or `anonymous: true` to a route",
            );
        }
        if let (Some(admin), Some(written)) = (config.admin, node.get("admin")) {
            if config
                .listen
                .iter()
                .any(|listen| listen.address == admin && admin.port() != 0)
            {
                self.error(
                    "E0504",
                    written.at,
                    format!("`{admin}` serves clients already"),
                    "give the admin port another address",
                );
            } else if !admin.ip().is_loopback() {
                self.warning(
                    "E0812",
                    written.at,
                    "the admin port can be reached from outside and asks for no key",
                    "listen on 127.0.0.1, or guard it by a firewall",
                );
            }
        }
    }

    /// An upstream that is this gateway itself: a loop, or a way to the admin port.
    fn loops(&mut self, config: &Config) {
        let own: Vec<SocketAddr> = config
            .listen
            .iter()
            .map(|listen| listen.address)
            .chain(config.admin)
            .collect();
        // An account has its upstream's URL; the upstream is the one to say.
        for (account, at) in config.accounts.iter().zip(self.account_urls.clone()) {
            if let Some(at) = at
                && own.iter().any(|address| leads_to(account, *address))
            {
                let message = format!("`{}` is this gateway's own address", account.name);
                self.error(
                    "E0802",
                    at,
                    message,
                    "requests would go in circles, or reach the admin port; name another service",
                );
            }
        }
    }

    fn unused(&mut self, config: &Config) {
        // An account of an unused pool is not used either; the pool is the thing to say.
        let accounts = config
            .accounts
            .iter()
            .zip(self.used_accounts.clone())
            .zip(self.account_spans.clone());
        for ((account, used), at) in accounts {
            if !used {
                self.warning(
                    "E0809",
                    at,
                    format!("`{}` is never used", account.name),
                    "add it to a pool or route, or remove it",
                );
            }
        }
        let pools = config
            .pools
            .iter()
            .zip(self.used_pools.clone())
            .zip(self.pool_spans.clone());
        for ((pool, used), at) in pools {
            if !used {
                self.warning(
                    "E0809",
                    at,
                    format!("pool `{}` is never used", pool.name),
                    "forward a route to it, or remove it",
                );
            }
        }
    }
}

fn leads_to(account: &Account, address: SocketAddr) -> bool {
    if account.url.port != address.port() || address.port() == 0 {
        return false;
    }
    let host = account.url.host.trim_end_matches('.').to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(ip) => {
            let ip = ip.to_canonical();
            ip == address.ip().to_canonical()
                || ip.is_unspecified()
                || (address.ip().is_unspecified() && ip.is_loopback())
        }
        Err(_) => {
            let is_local = host == "localhost" || host.ends_with(".localhost");
            is_local && (address.ip().is_loopback() || address.ip().is_unspecified())
        }
    }
}
