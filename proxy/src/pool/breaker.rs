//! Circuit breaker: stops sending to an account that keeps failing, and lets a few trials through after a while.
//!
//! One for each account and operation; it survives reloads. A [`Pass`] that is dropped without a verdict (the client
//! went away) counts as neither success nor failure.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use isobar_config::Breaker as Settings;
use parking_lot::Mutex;
use serde::Serialize;

/// Breaker of one account and operation.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { running: u32, succeeded: u32 },
}

/// What the admin port shows of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Position {
    Closed,
    HalfOpen,
    Open,
}

/// Leave to send one request.
#[derive(Debug)]
#[must_use]
pub(crate) struct Pass {
    breaker: Arc<Breaker>,
    trial: bool,
    settled: bool,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// Leave to send now, or how long the breaker stays shut.
    pub(crate) fn admit(
        self: &Arc<Self>,
        settings: &Settings,
        now: Instant,
    ) -> Result<Pass, Duration> {
        let mut state = self.state.lock();
        let trial = match &mut *state {
            State::Closed { .. } => false,
            State::Open { until } if now < *until => return Err(*until - now),
            State::Open { .. } => {
                *state = State::HalfOpen {
                    running: 1,
                    succeeded: 0,
                };
                true
            }
            State::HalfOpen { running, succeeded } => {
                if *running + *succeeded >= settings.trials {
                    return Err(Duration::ZERO);
                }
                *running += 1;
                true
            }
        };
        drop(state);
        Ok(Pass {
            breaker: Arc::clone(self),
            trial,
            settled: false,
        })
    }

    /// Where it stands, for metrics and `/status`.
    pub(crate) fn position(&self, now: Instant) -> Position {
        match &*self.state.lock() {
            State::Closed { .. } => Position::Closed,
            State::Open { until } if now < *until => Position::Open,
            State::Open { .. } | State::HalfOpen { .. } => Position::HalfOpen,
        }
    }
}

impl Pass {
    /// The account answered, well or with a definite refusal.
    pub(crate) fn succeeded(mut self, settings: &Settings) {
        self.settled = true;
        let mut state = self.breaker.state.lock();
        match &mut *state {
            State::Closed { failures } => *failures = 0,
            State::HalfOpen { running, succeeded } if self.trial => {
                *running = running.saturating_sub(1);
                *succeeded += 1;
                if *succeeded >= settings.trials {
                    *state = State::Closed { failures: 0 };
                }
            }
            State::HalfOpen { .. } | State::Open { .. } => {}
        }
    }

    /// The account failed.
    pub(crate) fn failed(mut self, settings: &Settings, now: Instant) {
        self.settled = true;
        let mut state = self.breaker.state.lock();
        match &mut *state {
            State::Closed { failures } => {
                *failures += 1;
                if *failures >= settings.failures {
                    *state = State::Open {
                        until: now + settings.open_for,
                    };
                }
            }
            State::HalfOpen { .. } if self.trial => {
                *state = State::Open {
                    until: now + settings.open_for,
                }
            }
            State::HalfOpen { .. } | State::Open { .. } => {}
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.settled || !self.trial {
            return;
        }
        if let State::HalfOpen { running, .. } = &mut *self.breaker.state.lock() {
            *running = running.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        failures: 3,
        open_for: Duration::from_secs(10),
        trials: 2,
    };

    fn opened(now: Instant) -> Arc<Breaker> {
        let breaker = Arc::new(Breaker::new());
        for _ in 0..3 {
            breaker
                .admit(&SETTINGS, now)
                .unwrap()
                .failed(&SETTINGS, now);
        }
        breaker
    }

    #[test]
    fn consecutive_failures_open_it_and_a_success_between_them_does_not() {
        let now = Instant::now();
        let breaker = Arc::new(Breaker::new());
        for outcome in [false, false, true, false, false] {
            let pass = breaker.admit(&SETTINGS, now).unwrap();
            if outcome {
                pass.succeeded(&SETTINGS);
            } else {
                pass.failed(&SETTINGS, now);
            }
        }
        assert_eq!(breaker.position(now), Position::Closed);
        breaker
            .admit(&SETTINGS, now)
            .unwrap()
            .failed(&SETTINGS, now);
        assert_eq!(breaker.position(now), Position::Open);
        assert_eq!(
            breaker.admit(&SETTINGS, now).unwrap_err(),
            SETTINGS.open_for
        );
    }

    #[test]
    fn after_the_pause_only_the_trials_pass_and_their_success_closes_it() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + SETTINGS.open_for;
        let first = breaker.admit(&SETTINGS, later).unwrap();
        let second = breaker.admit(&SETTINGS, later).unwrap();
        assert!(breaker.admit(&SETTINGS, later).is_err());
        first.succeeded(&SETTINGS);
        assert_eq!(breaker.position(later), Position::HalfOpen);
        second.succeeded(&SETTINGS);
        assert_eq!(breaker.position(later), Position::Closed);
    }

    #[test]
    fn a_failed_trial_opens_it_again() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + SETTINGS.open_for;
        breaker
            .admit(&SETTINGS, later)
            .unwrap()
            .failed(&SETTINGS, later);
        assert_eq!(breaker.position(later), Position::Open);
    }

    #[test]
    fn an_abandoned_trial_gives_its_place_back() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + SETTINGS.open_for;
        for _ in 0..10 {
            drop(breaker.admit(&SETTINGS, later).unwrap());
        }
        assert!(breaker.admit(&SETTINGS, later).is_ok());
    }

    #[test]
    fn a_late_answer_from_before_the_opening_does_not_close_it() {
        let now = Instant::now();
        let breaker = Arc::new(Breaker::new());
        let slow = breaker.admit(&SETTINGS, now).unwrap();
        for _ in 0..3 {
            breaker
                .admit(&SETTINGS, now)
                .unwrap()
                .failed(&SETTINGS, now);
        }
        slow.succeeded(&SETTINGS);
        assert_eq!(breaker.position(now), Position::Open);
    }
}
