//! What an operation costs.

use std::time::Duration;

use isobar_config::{Diagnostic, Node};

use super::{super::reading::Reading, Entries, PRICE};
use crate::price::{Price, Unit};

impl Reading<'_> {
    /// `{ usd: 0.006, per: minute, round: 1s, minimum: 15s }`; `named` are the models that a caller may name.
    pub(super) fn price(&mut self, node: &Node, named: &[String]) -> Option<Price> {
        let entries = Entries(self.record(node, "`price`", &PRICE));
        if let Some(source) = entries.get("source") {
            self.text(source);
        }
        let help = "write `price: { usd: 0.006, per: minute }`";
        let [usd, per] = self.needed(node, ["usd", "per"], help)?;
        let usd = self.amount(usd)?;
        let words = self.text(per)?;
        let unit = match words {
            "second" => Unit::Seconds(1.0),
            "minute" => Unit::Seconds(60.0),
            "hour" => Unit::Seconds(3_600.0),
            "request" => Unit::Requests,
            "character" => Unit::Characters(1.0),
            "1M characters" => Unit::Characters(1e6),
            _ => match words
                .strip_suffix(" characters")
                .and_then(|many| many.parse().ok())
                .filter(|many| (1.0..1e12).contains(many))
            {
                Some(many) => Unit::Characters(many),
                None => {
                    self.error("E0911", per, format!("`{words}` is not what a price is for"), "write second, minute, hour, character, `1000 characters`, `1M characters` or request");
                    return None;
                }
            },
        };
        let base = |reading: &mut Self, node: Option<&Node>, default: f64| match (node, unit) {
            (None, _) => Some(default),
            (Some(node), Unit::Seconds(_)) => reading
                .duration(node)
                .map(|duration: Duration| duration.as_secs_f64()),
            (Some(node), _) => reading.amount(node),
        };
        let round = base(self, entries.get("round"), 1.0)?;
        if let Some(node) = entries.get("round").filter(|_| round <= 0.0) {
            let help = "write `1s`, or how many characters are counted at a time";
            self.error("E0911", node, "nothing is rounded to nothing", help);
            return None;
        }
        let minimum = base(self, entries.get("minimum"), 0.0)?;
        let mut models = Vec::new();
        for (key, node) in entries
            .get("models")
            .map(|node| self.map(node, "`models`"))
            .unwrap_or_default()
        {
            if !named.contains(&key.text) {
                let message = format!("the operation has no model `{}`", key.text);
                let mistake = Diagnostic::error("E0902", key.at, message)
                    .help("callers name models that stand under `models:` of the operation")
                    .did_you_mean(&key.text, named.iter().map(String::as_str), 0);
                self.found.push(mistake);
            }
            models.push((key.text.clone(), self.amount(node)?));
        }
        let per_channel = entries
            .get("per_channel")
            .is_some_and(|node| self.flag(node));
        Some(Price {
            usd,
            models,
            unit,
            round,
            minimum,
            per_channel,
        })
    }

    /// An amount of money or of what is counted.
    fn amount(&mut self, node: &Node) -> Option<f64> {
        let number = self.number(node)?;
        if (0.0..1e12).contains(&number) {
            return Some(number);
        }
        let help = "write `0` for what is free";
        self.error(
            "E0911",
            node,
            "a price is not negative, nor beyond counting",
            help,
        );
        None
    }
}
