//! What a call costs by the vendor's list: an estimate, for `cheapest` and for the answer's `usage`.

use serde::Serialize;

/// A list price.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Price {
    /// US dollars for one unit.
    pub(crate) usd: f64,
    /// The same for models that cost more or less than the usual one.
    pub(crate) models: Vec<(String, f64)>,
    pub(crate) unit: Unit,
    /// Base quantities (seconds, characters) are rounded up to a multiple of this.
    pub(crate) round: f64,
    /// Least base quantity that is billed.
    pub(crate) minimum: f64,
    /// Whether each channel of a recording is billed.
    pub(crate) per_channel: bool,
}

/// What is counted, and how many of it one unit is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    Seconds(f64),
    Characters(f64),
    Requests,
}

/// What a call used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Usage {
    /// `seconds`, `characters` or `requests`.
    pub unit: &'static str,
    /// How many.
    pub quantity: f64,
    /// As many as the vendor bills, by its rounding.
    pub billed: f64,
    /// US dollars by the vendor's list price; what is paid depends on the contract with the vendor.
    pub cost_usd: Option<f64>,
}

/// What a price is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Quantity {
    pub(crate) seconds: Option<f64>,
    /// Of the recording, where they are known.
    pub(crate) channels: Option<u16>,
    pub(crate) characters: usize,
    /// What the vendor says it bills, in the price's base unit.
    pub(crate) billed: Option<f64>,
}

impl Price {
    /// The price's words for people: `0.0043 USD / minute`.
    pub(crate) fn text(&self) -> String {
        let unit = match self.unit {
            Unit::Seconds(1.0) => "second".to_owned(),
            Unit::Seconds(60.0) => "minute".to_owned(),
            Unit::Seconds(3600.0) => "hour".to_owned(),
            Unit::Seconds(many) => format!("{many} seconds"),
            Unit::Characters(1.0) => "character".to_owned(),
            Unit::Characters(1e6) => "1M characters".to_owned(),
            Unit::Characters(many) => format!("{many} characters"),
            Unit::Requests => "request".to_owned(),
        };
        format!("{} USD / {unit}", self.usd)
    }

    /// What is used and what it costs with a model. Without a known duration the cost is not known either.
    pub(crate) fn usage(&self, quantity: Quantity, model: Option<&str>) -> Usage {
        let dearer = self.models.iter().find(|(name, _)| model == Some(name));
        let usd = dearer.map_or(self.usd, |(_, usd)| *usd);
        let (unit, base, size) = match self.unit {
            Unit::Seconds(size) => ("seconds", quantity.seconds, size),
            #[expect(
                clippy::cast_precision_loss,
                reason = "texts are far shorter than 2^53"
            )]
            Unit::Characters(size) => ("characters", Some(quantity.characters as f64), size),
            Unit::Requests => ("requests", Some(1.0), 1.0),
        };
        let channels = if self.per_channel {
            f64::from(quantity.channels.unwrap_or(1))
        } else {
            1.0
        };
        let rounded =
            base.map(|base| ((base / self.round).ceil() * self.round).max(self.minimum) * channels);
        let billed = quantity.billed.or(rounded);
        Usage {
            unit,
            quantity: base.unwrap_or_default(),
            billed: billed.unwrap_or_default(),
            cost_usd: billed.map(|billed| billed / size * usd),
        }
    }
}

impl Usage {
    /// What is used where no price is known.
    pub(crate) fn unpriced(quantity: Quantity) -> Self {
        let (unit, quantity) = match quantity.seconds {
            Some(seconds) => ("seconds", seconds),
            #[expect(
                clippy::cast_precision_loss,
                reason = "texts are far shorter than 2^53"
            )]
            None => ("characters", quantity.characters as f64),
        };
        Self {
            unit,
            quantity,
            billed: quantity,
            cost_usd: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(price: &Price, quantity: Quantity, billed: f64, usd: f64) {
        let usage = price.usage(quantity, None);
        let cost = usage.cost_usd.unwrap();
        assert!(
            (usage.billed - billed).abs() < 1e-9 && (cost - usd).abs() < 1e-12,
            "{usage:?}"
        );
    }

    fn price(usd: f64, unit: Unit) -> Price {
        Price {
            usd,
            models: Vec::new(),
            unit,
            round: 1.0,
            minimum: 0.0,
            per_channel: false,
        }
    }

    #[test]
    fn models_channels_and_the_vendors_own_count_change_what_is_billed() {
        let hour = Price {
            models: vec![("large".to_owned(), 0.12)],
            ..price(0.06, Unit::Seconds(3_600.0))
        };
        let audio = Quantity {
            seconds: Some(1_800.0),
            channels: Some(2),
            ..Quantity::default()
        };
        assert_eq!(hour.usage(audio, Some("large")).cost_usd, Some(0.06));
        assert_eq!(hour.usage(audio, Some("small")).cost_usd, Some(0.03));
        check(
            &Price {
                per_channel: true,
                ..price(0.06, Unit::Seconds(3_600.0))
            },
            audio,
            3_600.0,
            0.06,
        );
        let text = Quantity {
            characters: 12,
            billed: Some(10.0),
            ..Quantity::default()
        };
        check(&price(25.0, Unit::Characters(1e6)), text, 10.0, 0.00025);
    }

    #[test]
    fn rounding_and_minimum_are_the_vendors() {
        let text = |characters| Quantity {
            characters,
            ..Quantity::default()
        };
        // 0.0001 USD for 100 characters, at least 3 units: the tweet and the page of the sheet.
        let comprehend = Price {
            round: 100.0,
            minimum: 300.0,
            ..price(0.0001, Unit::Characters(100.0))
        };
        check(&comprehend, text(200), 300.0, 0.0003);
        check(&comprehend, text(10_000), 10_000.0, 0.01);
        let google = Price {
            round: 1_000.0,
            ..price(0.001, Unit::Characters(1_000.0))
        };
        check(&google, text(200), 1_000.0, 0.001);
        let audio = |seconds| Quantity {
            seconds: Some(seconds),
            ..Quantity::default()
        };
        let transcribe = Price {
            minimum: 15.0,
            ..price(0.024, Unit::Seconds(60.0))
        };
        check(&transcribe, audio(4.2), 15.0, 0.006);
        check(&transcribe, audio(59.1), 60.0, 0.024);
    }
}
