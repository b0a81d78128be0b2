//! Which account is next for one request.
//!
//! Lazy: each call picks the best account not yet tried under the pool's policy and takes its permit and its breaker's
//! leave; an account that gives neither is noted with the reason and passed over. Probes and ejections only advise: when
//! they leave nobody, they are ignored, so that they never empty a pool.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, Instant},
};

use super::{Candidate, Order, breaker::Pass, health::Permit};

/// Most members that a pool may have; their set fits in one word.
pub(crate) const MAX_MEMBERS: usize = 64;

/// Progress through a pool for one request.
#[derive(Debug)]
pub(crate) struct Picker {
    untried: u64,
    advised_against: u64,
    sticky: u64,
    /// What each candidate costs, for the cheapest first.
    costs: Vec<f64>,
    skipped: Vec<(usize, Skip)>,
}

/// Why an account was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    /// Its breaker is open for this long.
    BreakerOpen(Duration),
    /// It asked to be left alone for this long.
    Paused(Duration),
    /// All its permits are taken.
    Busy,
    /// Its probes fail.
    Unhealthy,
    /// It fails more than the others.
    Ejected,
}

impl Skip {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BreakerOpen(_) => "breaker_open",
            Self::Paused(_) => "paused",
            Self::Busy => "busy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
        }
    }
}

/// Leave to send one request to one account.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// Index of the candidate.
    pub(crate) index: usize,
    pub(crate) pass: Pass,
    pub(crate) permit: Permit,
}

impl Picker {
    /// `sticky` is the hash of the value that ties a client to an account; unused by other policies.
    pub(crate) fn new(members: usize, sticky: u64) -> Self {
        let untried = if members >= MAX_MEMBERS {
            u64::MAX
        } else {
            (1 << members) - 1
        };
        Self {
            untried,
            advised_against: 0,
            sticky,
            costs: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Never picks this candidate.
    pub(crate) fn leave_out(&mut self, index: usize) {
        self.untried &= !(1 << index);
    }

    /// Says what each candidate costs.
    pub(crate) fn rank(&mut self, costs: Vec<f64>) {
        self.costs = costs;
    }

    /// Accounts that could still be tried.
    pub(crate) fn remaining(&self) -> u32 {
        self.untried.count_ones()
    }

    pub(crate) fn skipped(&self) -> &[(usize, Skip)] {
        &self.skipped
    }

    /// Shortest wait after which one of the accounts passed over may be willing again.
    pub(crate) fn shortest_pause(&self) -> Option<Duration> {
        let waits = self.skipped.iter().filter_map(|(_, skip)| match skip {
            Skip::Paused(wait) => Some(*wait),
            _ => None,
        });
        waits.min()
    }

    /// Makes the accounts that were paused candidates again, after waiting.
    pub(crate) fn forgive_pauses(&mut self) {
        for (index, skip) in &self.skipped {
            if matches!(skip, Skip::Paused(_)) {
                self.untried |= 1 << index;
            }
        }
        self.skipped
            .retain(|(_, skip)| !matches!(skip, Skip::Paused(_)));
    }

    /// The next account, with leave to send.
    pub(crate) fn pick(
        &mut self,
        candidates: &[Candidate],
        order: Order,
        now: Instant,
    ) -> Option<Ticket> {
        while let Some(index) = self.best(candidates, order) {
            self.untried &= !(1 << index);
            let Some(candidate) = candidates.get(index) else {
                continue;
            };
            if let Some(advice) = advice(candidate, now) {
                self.advised_against |= 1 << index;
                self.skipped.push((index, advice));
                continue;
            }
            match admit(candidate, now) {
                Ok((pass, permit)) => {
                    return Some(Ticket {
                        index,
                        pass,
                        permit,
                    });
                }
                Err(skip) => self.skipped.push((index, skip)),
            }
        }
        self.pick_against_advice(candidates, now)
    }

    /// Takes the same account again, to find out what became of a request.
    pub(crate) fn again(
        &mut self,
        index: usize,
        candidates: &[Candidate],
        now: Instant,
    ) -> Option<Ticket> {
        let candidate = candidates.get(index)?;
        admit(candidate, now).ok().map(|(pass, permit)| Ticket {
            index,
            pass,
            permit,
        })
    }

    fn pick_against_advice(&mut self, candidates: &[Candidate], now: Instant) -> Option<Ticket> {
        while self.advised_against != 0 {
            let index = self.advised_against.trailing_zeros() as usize;
            self.advised_against &= self.advised_against - 1;
            let Some(candidate) = candidates.get(index) else {
                continue;
            };
            if let Ok((pass, permit)) = admit(candidate, now) {
                self.skipped.retain(|(skipped, _)| *skipped != index);
                return Some(Ticket {
                    index,
                    pass,
                    permit,
                });
            }
        }
        None
    }

    fn best(&self, candidates: &[Candidate], order: Order) -> Option<usize> {
        if self.untried == 0 {
            return None;
        }
        let untried = || Members(self.untried);
        match order {
            Order::Written => untried().next(),
            Order::Cheapest => {
                let cost = |index: &usize| {
                    let declared = || {
                        candidates
                            .get(*index)
                            .and_then(|c| c.account.settings.price)
                    };
                    self.costs
                        .get(*index)
                        .copied()
                        .or_else(declared)
                        .unwrap_or(f64::MAX)
                };
                untried().min_by(|a, b| cost(a).total_cmp(&cost(b)))
            }
            Order::Weighted => {
                let weight = |index: &usize| {
                    candidates
                        .get(*index)
                        .map_or(0, |candidate| u64::from(candidate.weight))
                };
                let total: u64 = untried().map(|index| weight(&index)).sum();
                let mut ticket = fastrand::u64(0..total.max(1));
                untried().find(|index| {
                    let share = weight(index);
                    let found = ticket < share;
                    ticket = ticket.saturating_sub(share);
                    found
                })
            }
            Order::Fastest => {
                let cost = |index: &usize| {
                    candidates
                        .get(*index)
                        .map_or(f64::MAX, |c| c.account.health.cost())
                };
                let count = self.remaining() as usize;
                let first = untried().nth(fastrand::usize(0..count))?;
                let second = untried()
                    .filter(|index| *index != first)
                    .nth(fastrand::usize(0..count.max(2) - 1));
                match second {
                    Some(second) if cost(&second) < cost(&first) => Some(second),
                    _ => Some(first),
                }
            }
            Order::Sticky => {
                let score = |index: &usize| {
                    candidates
                        .get(*index)
                        .map_or(f64::MIN, |c| rendezvous(c, self.sticky))
                };
                untried().max_by(|left, right| score(left).total_cmp(&score(right)))
            }
        }
    }
}

/// Weighted rendezvous hashing: the account with the highest score has the client, and when it leaves only its clients
/// move (Thaler and Ravishankar 1998; weights by Schindelhauer and Schomaker 2005).
fn rendezvous(candidate: &Candidate, key: u64) -> f64 {
    let mut hasher = DefaultHasher::new();
    candidate.account.name().hash(&mut hasher);
    key.hash(&mut hasher);
    #[expect(clippy::cast_precision_loss, reason = "53 bits are plenty for a score")]
    let uniform = ((hasher.finish() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(candidate.weight) / uniform.ln()
}

fn advice(candidate: &Candidate, now: Instant) -> Option<Skip> {
    let health = &candidate.account.health;
    if health.is_probed_down() {
        Some(Skip::Unhealthy)
    } else if health.is_ejected(now) {
        Some(Skip::Ejected)
    } else {
        None
    }
}

fn admit(candidate: &Candidate, now: Instant) -> Result<(Pass, Permit), Skip> {
    let account = &candidate.account;
    if let Some(wait) = account.health.paused(now) {
        return Err(Skip::Paused(wait));
    }
    let permit = account
        .health
        .permit(account.settings.permits)
        .ok_or(Skip::Busy)?;
    let pass = candidate
        .breaker
        .admit(&account.settings.breaker, now)
        .map_err(Skip::BreakerOpen)?;
    Ok((pass, permit))
}

/// Indexes of the set bits, lowest first.
struct Members(u64);

impl Iterator for Members {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let index = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(index)
    }
}
