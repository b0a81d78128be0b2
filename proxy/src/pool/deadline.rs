//! Time left for a request, shared out among the attempts that may still be made.

use std::time::{Duration, Instant};

/// The moment by which the answer's head must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(start: Instant, allowed: Duration) -> Self {
        Self(start + allowed)
    }

    pub(crate) fn at(moment: Instant) -> Self {
        Self(moment)
    }

    pub(crate) fn moment(self) -> Instant {
        self.0
    }

    /// Time left, or none.
    pub(crate) fn left(self, now: Instant) -> Option<Duration> {
        self.0
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())
    }

    /// Time for the next attempt: the configured time, or an even share of what is left among the attempts that may
    /// still follow; never more than what is left.
    pub(crate) fn share(
        self,
        now: Instant,
        configured: Option<Duration>,
        possible: u32,
    ) -> Option<Duration> {
        let left = self.left(now)?;
        Some(
            configured
                .unwrap_or_else(|| left / possible.max(1))
                .min(left),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_add_up_to_the_deadline_and_never_past_it() {
        let start = Instant::now();
        let deadline = Deadline::after(start, Duration::from_secs(30));
        let mut now = start;
        for possible in [3, 2, 1] {
            now += deadline.share(now, None, possible).unwrap();
        }
        assert_eq!(now, start + Duration::from_secs(30));
        assert_eq!(deadline.share(now, None, 1), None);
    }

    #[test]
    fn a_configured_attempt_is_cut_by_what_is_left() {
        let start = Instant::now();
        let deadline = Deadline::after(start, Duration::from_secs(10));
        let ten = Some(Duration::from_secs(8));
        assert_eq!(deadline.share(start, ten, 2), Some(Duration::from_secs(8)));
        assert_eq!(
            deadline.share(start + Duration::from_secs(7), ten, 1),
            Some(Duration::from_secs(3))
        );
    }
}
