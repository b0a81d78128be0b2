//! Which requests are traced: those that their client traces, and a share of the others.

/// Decides by the trace's id, so that every gateway of a trace decides alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sampler {
    /// Ids whose lower half is below this are traced; `None` traces all.
    below: Option<u64>,
}

impl Sampler {
    /// Every request.
    pub(crate) const ALL: Self = Self { below: None };

    /// A share, from 0 to 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of all numbers need not be exact"
    )]
    pub(crate) fn share(share: f64) -> Self {
        if share >= 1.0 {
            return Self::ALL;
        }
        Self {
            below: Some((share.max(0.0) * u64::MAX as f64) as u64),
        }
    }

    /// Whether a trace that begins here is traced.
    pub(crate) fn takes(self, id: u128) -> bool {
        let low = u64::try_from(id & u128::from(u64::MAX)).unwrap_or_default();
        self.below.is_none_or(|below| low < below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_the_share_that_is_asked_for_is_taken() {
        for (share, least, most) in [
            (0.0, 0, 0),
            (0.1, 800, 1_200),
            (0.5, 4_700, 5_300),
            (1.0, 10_000, 10_000),
        ] {
            let sampler = Sampler::share(share);
            let mut random = fastrand::Rng::with_seed(7);
            let taken = (0..10_000)
                .filter(|_| sampler.takes(random.u128(1..)))
                .count();
            assert!((least..=most).contains(&taken), "{share}: {taken}");
        }
        assert!(Sampler::ALL.takes(u128::MAX) && !Sampler::share(0.0).takes(0));
    }
}
