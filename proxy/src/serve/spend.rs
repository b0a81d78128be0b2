//! How much an account may cost in a window, by list prices.

use std::time::{Duration, Instant};

use isobar_config::Spend;
use parking_lot::Mutex;

/// Counts estimated cost; survives reloads as long as its ceiling stays the same.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) ceiling: Spend,
    window: Mutex<(Instant, f64)>,
}

impl Meter {
    pub(crate) fn new(ceiling: Spend, now: Instant) -> Self {
        Self {
            ceiling,
            window: Mutex::new((now, 0.0)),
        }
    }

    /// Whether a call of this estimated cost fits under the ceiling.
    pub(crate) fn allows(&self, usd: f64, now: Instant) -> bool {
        self.used(now) + usd <= self.ceiling.usd
    }

    /// Counts what a call cost.
    pub(crate) fn spent(&self, usd: f64, now: Instant) {
        let mut window = self.window.lock();
        turn(&mut window, self.ceiling.per, now);
        window.1 += usd;
    }

    /// US dollars of the running window.
    pub(crate) fn used(&self, now: Instant) -> f64 {
        let mut window = self.window.lock();
        turn(&mut window, self.ceiling.per, now);
        window.1
    }
}

fn turn(window: &mut (Instant, f64), per: Duration, now: Instant) {
    if now.saturating_duration_since(window.0) >= per {
        *window = (now, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_holds_for_its_window_and_no_longer() {
        let start = Instant::now();
        let meter = Meter::new(
            Spend {
                usd: 1.0,
                per: Duration::from_mins(1),
            },
            start,
        );
        assert!(meter.allows(0.6, start));
        meter.spent(0.6, start);
        assert!(!meter.allows(0.6, start + Duration::from_secs(59)));
        assert!(meter.allows(0.4, start + Duration::from_secs(59)));
        assert!(meter.allows(0.6, start + Duration::from_mins(1)));
    }
}
