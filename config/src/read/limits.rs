//! Limits, each with its origin: the route, the `limits` section, or the default.

use std::time::Duration;

use super::{Reader, count, duration, rate, size};
use crate::{
    document::Node,
    model::{Limits, Origin, Rate, RouteLimits, Setting},
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl Reader<'_> {
    /// The first of `places` that has `key`, read by `read`, or the default.
    fn setting<T>(
        &self,
        places: &[Option<&Node>],
        key: &str,
        read: impl Fn(&Node) -> Option<T>,
        default: T,
    ) -> Setting<T> {
        let written = places.iter().flatten().find_map(|place| place.get(key));
        match written.and_then(|node| Some((read(node)?, node.at))) {
            Some((value, at)) => Setting {
                value,
                origin: Origin::Written(self.location(at)),
            },
            None => Setting {
                value: default,
                origin: Origin::Default,
            },
        }
    }

    pub(super) fn route_limits(
        &mut self,
        own: Option<&Node>,
        defaults: Option<&Node>,
    ) -> RouteLimits {
        let places = [own, defaults];
        let limits = RouteLimits {
            body: self.setting(&places, "body", size, 100 * MIB),
            replay: self.setting(&places, "replay", size, MIB),
            deadline: self.setting(&places, "deadline", duration, Duration::from_secs(30)),
            attempt: self.setting(&places, "attempt", |node| duration(node).map(Some), None),
            idle: self.setting(&places, "idle", duration, Duration::from_mins(1)),
            rate_client: self.rate(&places, "client"),
            rate_ip: self.rate(&places, "ip"),
            rate_route: self.rate(&places, "route"),
        };
        if let Some(attempt) = limits
            .attempt
            .value
            .filter(|attempt| *attempt > limits.deadline.value)
            && let Some(at) = written(own, "attempt")
                .or_else(|| written(own, "deadline"))
                .or_else(|| written(defaults, "attempt"))
        {
            let message = format!(
                "one attempt may take {attempt:?}, longer than the deadline of {:?}",
                limits.deadline.value
            );
            self.error(
                "E0804",
                at.at,
                message,
                "shorten the attempt or lengthen the deadline",
            );
        }
        if limits.replay.value > limits.body.value
            && let Some(at) = written(own, "replay").or_else(|| written(own, "body"))
        {
            self.warning(
                "E0805",
                at.at,
                "`replay` is larger than `body`",
                "no body that large is accepted; lower `replay` or raise `body`",
            );
        }
        limits
    }

    /// `rate: 10/s` is the client's; a map has one for each scope.
    fn rate(&mut self, places: &[Option<&Node>], scope: &str) -> Setting<Option<Rate>> {
        for node in places
            .iter()
            .flatten()
            .filter_map(|place| place.get("rate"))
        {
            let scoped = if node.text().is_some() {
                (scope == "client").then_some(node)
            } else {
                node.get(scope)
            };
            if let Some((value, at)) = scoped.and_then(|node| Some((rate(node)?, node.at))) {
                self.can_share(value, at);
                return Setting {
                    value: Some(value),
                    origin: Origin::Written(self.location(at)),
                };
            }
        }
        Setting {
            value: None,
            origin: Origin::Default,
        }
    }

    pub(super) fn process_limits(&mut self, node: Option<&Node>) -> Limits {
        let places = [node];
        Limits {
            connections: self.setting(&places, "connections", count, 10_000),
            connections_per_ip: self.setting(&places, "connections_per_ip", count, 1_000),
            header_bytes: self.setting(&places, "header_bytes", size, 64 * KIB),
            headers: self.setting(&places, "headers", count, 100),
            header_timeout: self.setting(
                &places,
                "header_timeout",
                duration,
                Duration::from_secs(10),
            ),
            keep_alive: self.setting(&places, "keep_alive", duration, Duration::from_secs(75)),
            body_memory: self.setting(&places, "body_memory", size, 256 * MIB),
            cache_memory: self.setting(&places, "cache_memory", size, 64 * MIB),
            spool: self.setting(&places, "spool", size, 4 * GIB),
            drain: self.setting(&places, "drain", duration, Duration::from_secs(30)),
        }
    }
}

fn written<'n>(place: Option<&'n Node>, key: &str) -> Option<&'n Node> {
    place.and_then(|place| place.get(key))
}
