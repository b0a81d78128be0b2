//! Tries accounts until one answers, the verdict table forbids another attempt, or time runs out.
//!
//! Knows nothing of the client's connection: dropping the future cancels what is running and counts as no verdict.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use isobar_adapters::{Evidence, Fault, Next, Verdict, next};
use isobar_config::Effect;

use super::{
    answer::{self, Answer, retry_after},
    body::{Kept, Replay},
    live::Live,
    outgoing::{self, Outgoing},
    tried::{Outcome, Tried},
};
use crate::{
    edge::problem::{Kind, Problem, Reason},
    pool::{
        Candidate, Credential, Pool,
        breaker::Pass,
        deadline::Deadline,
        health::Permit,
        picker::{Picker, Skip, Ticket},
        settle::settle,
    },
};

/// Longest wait for a vendor that named a time, while the client waits.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// First pause before asking the same account again; doubled each time.
const RESOLVE_PAUSE: Duration = Duration::from_millis(100);

/// What is sent to an account: an HTTP request as it is, or a capability's call.
pub(crate) trait Work: Sync {
    /// What an attempt brings back.
    type Answer: Send;

    /// Whether it can be sent again.
    fn is_repeatable(&self) -> bool {
        true
    }

    /// Whether it can be sent to two accounts at once.
    fn may_race(&self) -> bool {
        true
    }

    /// Makes one attempt at one account, in at most this time.
    fn send(
        &self,
        candidate: &Candidate,
        permit: Permit,
        allowed: Duration,
    ) -> impl Future<Output = Result<Sent<Self::Answer>, Problem>> + Send;
}

/// What came of one sending.
pub(crate) struct Sent<A> {
    pub(crate) evidence: Evidence,
    /// What it proved, where more is known than the evidence tells.
    pub(crate) verdict: Option<Verdict>,
    pub(crate) reason: Reason,
    /// The vendor's answer, whole or with its body still to come.
    pub(crate) answer: Option<A>,
    pub(crate) retry_after: Option<Duration>,
}

/// One request to be served by a pool.
pub(crate) struct Exchange<'a, W> {
    pub(crate) work: W,
    pub(crate) pool: &'a Pool,
    /// The pool's members, or those of the rule that holds.
    pub(crate) members: &'a [Candidate],
    pub(crate) effect: Effect,
    /// Whether the client's key goes along, so that the same account may be asked again.
    pub(crate) has_key: bool,
    pub(crate) deadline: Deadline,
    pub(crate) attempt: Option<Duration>,
}

/// One attempt's end.
struct Finished<A> {
    index: usize,
    pass: Pass,
    /// Whether anything left us.
    reached: bool,
    verdict: Verdict,
    reason: Reason,
    answer: Option<A>,
    retry_after: Option<Duration>,
    took: Duration,
}

impl<W: Work> Exchange<'_, W> {
    /// Runs to an answer or a problem; what was tried is left in `tried` in either case.
    pub(crate) async fn run(
        &self,
        mut picker: Picker,
        tried: &mut Vec<Tried>,
    ) -> Result<W::Answer, Problem> {
        self.pool.budget.deposit(&self.pool.retry);
        let mut sent = 0;
        let mut ticket = self.first(&mut picker, tried).await?;
        loop {
            let mut finished = self.race(ticket, &mut picker, &mut sent, tried).await?;
            let (index, verdict, wait) = (finished.index, finished.verdict, finished.retry_after);
            let answer = finished.answer.take();
            self.record(finished, tried);
            ticket = match next(verdict, self.effect) {
                Next::Answer => return answer.ok_or_else(|| unanswered(tried, false)),
                Next::Stop => return answer.ok_or_else(|| unanswered(tried, true)),
                Next::Resolve => match self.same_again(index, &mut picker, &mut sent).await {
                    Some(ticket) => ticket,
                    None => return answer.ok_or_else(|| unanswered(tried, true)),
                },
                Next::Other => match self.other(verdict, index, wait, &mut picker, sent).await {
                    Some(ticket) => ticket,
                    None => {
                        return answer.ok_or_else(|| {
                            let problem = unanswered(tried, false);
                            self.record_skips(&picker, tried);
                            problem
                        });
                    }
                },
            };
        }
    }

    /// The first account; waits once when all that stands in the way are pauses that end in time.
    async fn first(&self, picker: &mut Picker, tried: &mut Vec<Tried>) -> Result<Ticket, Problem> {
        let order = self.pool.order();
        if let Some(ticket) = picker.pick(self.members, order, Instant::now()) {
            return Ok(ticket);
        }
        let left = self.deadline.left(Instant::now()).unwrap_or_default();
        if let Some(wait) = picker
            .shortest_pause()
            .filter(|wait| *wait < left && *wait <= LONGEST_WAIT)
        {
            tokio::time::sleep(wait).await;
            picker.forgive_pauses();
            if let Some(ticket) = picker.pick(self.members, order, Instant::now()) {
                return Ok(ticket);
            }
        }
        self.record_skips(picker, tried);
        Err(nobody(picker))
    }

    /// Another account, if the budget, the number of attempts and the deadline allow one.
    async fn other(
        &self,
        verdict: Verdict,
        index: usize,
        wait: Option<Duration>,
        picker: &mut Picker,
        sent: u32,
    ) -> Option<Ticket> {
        let now = Instant::now();
        let left = self.deadline.left(now)?;
        if !self.work.is_repeatable() {
            return None;
        }
        if verdict != Verdict::NotSent
            && (sent >= self.pool.retry.attempts
                || !self.pool.budget.withdraw(&self.pool.retry, now))
        {
            return None;
        }
        if let Some(ticket) = picker.pick(self.members, self.pool.order(), now) {
            return Some(ticket);
        }
        let wait = wait
            .filter(|wait| verdict == Verdict::Refused && *wait < left && *wait <= LONGEST_WAIT)?;
        tokio::time::sleep(wait).await;
        picker.again(index, self.members, Instant::now())
    }

    /// The same account with the same key, to find out what became of the request.
    async fn same_again(
        &self,
        index: usize,
        picker: &mut Picker,
        sent: &mut u32,
    ) -> Option<Ticket> {
        if !self.has_key || *sent >= self.pool.retry.attempts || !self.work.is_repeatable() {
            return None;
        }
        let pause = RESOLVE_PAUSE * 2_u32.pow(sent.saturating_sub(1).min(6));
        if self.deadline.left(Instant::now())? <= pause
            || !self.pool.budget.withdraw(&self.pool.retry, Instant::now())
        {
            return None;
        }
        tokio::time::sleep(pause).await;
        picker.again(index, self.members, Instant::now())
    }

    /// One attempt, or for reads two of them when the first is slow; the first good answer wins.
    async fn race(
        &self,
        ticket: Ticket,
        picker: &mut Picker,
        sent: &mut u32,
        tried: &mut Vec<Tried>,
    ) -> Result<Finished<W::Answer>, Problem> {
        let may_race = self.effect == Effect::Read && self.work.may_race();
        let Some(after) = self.pool.hedge.filter(|_| may_race) else {
            let finished = self.attempt(ticket, picker.remaining()).await?;
            *sent += u32::from(finished.reached);
            return Ok(finished);
        };
        let mut running = FuturesUnordered::new();
        let mut hedge = Some(Box::pin(tokio::time::sleep(after)));
        let started = Instant::now();
        let mut indexes = vec![ticket.index];
        running.push(self.attempt(ticket, picker.remaining()));
        loop {
            let timer = async {
                match &mut hedge {
                    Some(timer) => timer.as_mut().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(finished) = running.next() => {
                    let finished: Finished<W::Answer> = finished?;
                    *sent += u32::from(finished.reached);
                    let verdict = finished.verdict;
                    indexes.retain(|index| *index != finished.index);
                    if running.is_empty() || next(verdict, self.effect) == Next::Answer {
                        self.record_cancelled(&indexes, started, tried);
                        return Ok(finished);
                    }
                    self.record(finished, tried);
                }
                () = timer => {
                    hedge = None;
                    let now = Instant::now();
                    let allowed = *sent + 1 < self.pool.retry.attempts && self.pool.budget.withdraw(&self.pool.retry, now);
                    if let Some(second) = allowed.then(|| picker.pick(self.members, self.pool.order(), now)).flatten() {
                        indexes.push(second.index);
                        running.push(self.attempt(second, picker.remaining()));
                    }
                }
            }
        }
    }

    async fn attempt(&self, ticket: Ticket, others: u32) -> Result<Finished<W::Answer>, Problem> {
        let Ticket {
            index,
            pass,
            permit,
        } = ticket;
        let started = Instant::now();
        let candidate = self
            .members
            .get(index)
            .ok_or_else(|| internal("a member is missing"))?;
        // Attempts that cannot be repeated get all the time there is.
        let possible = match self.effect {
            Effect::Read | Effect::Idempotent => (others + 1).min(self.pool.retry.attempts),
            Effect::Keyed | Effect::Unsafe => 1,
        };
        let Some(allowed) = self.deadline.share(started, self.attempt, possible) else {
            let evidence = Evidence::NotSent(Fault::ConnectTimeout);
            return Ok(Finished {
                index,
                pass,
                reached: false,
                verdict: Verdict::of(evidence, self.effect),
                reason: reason(evidence),
                answer: None,
                retry_after: None,
                took: Duration::ZERO,
            });
        };
        let sent = self.work.send(candidate, permit, allowed).await?;
        Ok(Finished {
            index,
            pass,
            reached: !matches!(sent.evidence, Evidence::NotSent(_)),
            verdict: sent
                .verdict
                .unwrap_or_else(|| Verdict::of(sent.evidence, self.effect)),
            reason: sent.reason,
            answer: sent.answer,
            retry_after: sent.retry_after,
            took: started.elapsed(),
        })
    }

    fn record(&self, finished: Finished<W::Answer>, tried: &mut Vec<Tried>) {
        let verdict = finished.verdict;
        let Some(candidate) = self.members.get(finished.index) else {
            return;
        };
        candidate.counters.ended(verdict);
        candidate
            .counters
            .seconds
            .observe(finished.took.as_secs_f64());
        let now = Instant::now();
        settle(
            candidate,
            self.members,
            &self.pool.outlier,
            finished.pass,
            verdict,
            finished.retry_after,
            now,
        );
        tried.push(Tried {
            account: Arc::clone(&candidate.account),
            outcome: Outcome::Ended(verdict),
            reason: finished.reason,
            took: finished.took,
            ended: now,
        });
    }

    fn record_cancelled(&self, indexes: &[usize], started: Instant, tried: &mut Vec<Tried>) {
        for candidate in indexes.iter().filter_map(|index| self.members.get(*index)) {
            let (account, now) = (Arc::clone(&candidate.account), Instant::now());
            let took = now.saturating_duration_since(started);
            // It is at least this slow, which `fastest` and operators should know.
            account.health.observe(took, now);
            candidate.counters.overtaken.inc();
            tried.push(Tried {
                account,
                outcome: Outcome::Overtaken,
                reason: Reason::Skipped("slower"),
                took,
                ended: now,
            });
        }
    }

    fn record_skips(&self, picker: &Picker, tried: &mut Vec<Tried>) {
        for (index, skip) in picker.skipped() {
            if let Some(candidate) = self.members.get(*index) {
                let account = Arc::clone(&candidate.account);
                tried.push(Tried {
                    account,
                    outcome: Outcome::PassedOver,
                    reason: Reason::Skipped(skip.name()),
                    took: Duration::ZERO,
                    ended: Instant::now(),
                });
            }
        }
    }
}

/// An HTTP request passed on as it is.
pub(crate) struct Forwarding<'a> {
    pub(crate) outgoing: Outgoing<'a>,
    pub(crate) body: Body,
}

/// A request's body, and with it the way that the request takes.
pub(crate) enum Body {
    /// Exchange: here before the first attempt.
    Kept(Kept),
    /// Stream: passed on as it comes, if there is one. The answer is passed on too, however small. The vendor may be
    /// silent for this long.
    Stream(Option<Live>, Duration),
}

impl Forwarding<'_> {
    /// SHA-256 of the body, if it is here.
    async fn digest(&self) -> Result<Option<[u8; 32]>, Problem> {
        let kept = match &self.body {
            Body::Kept(kept) => kept,
            Body::Stream(None, _) => &Kept::Empty,
            Body::Stream(Some(_), _) => return Ok(None),
        };
        let digest = kept.sha256().await;
        digest
            .map(Some)
            .map_err(|_| internal("a spool file cannot be read"))
    }
}

impl Work for Forwarding<'_> {
    type Answer = Answer;

    fn is_repeatable(&self) -> bool {
        match &self.body {
            Body::Stream(Some(live), _) => live.is_repeatable(),
            Body::Kept(_) | Body::Stream(None, _) => true,
        }
    }

    fn may_race(&self) -> bool {
        matches!(self.body, Body::Kept(_))
    }

    async fn send(
        &self,
        candidate: &Candidate,
        permit: Permit,
        allowed: Duration,
    ) -> Result<Sent<Answer>, Problem> {
        let account = &candidate.account;
        let started = Instant::now();
        let lost = |evidence| Sent {
            evidence,
            verdict: None,
            reason: reason(evidence),
            answer: None,
            retry_after: None,
        };
        let (body, silence, live) = match &self.body {
            Body::Kept(kept) => (kept.replay(), allowed, None),
            Body::Stream(None, idle) => (Kept::Empty.replay(), allowed.min(*idle), None),
            Body::Stream(Some(live), idle) => {
                (Replay::Live(live.draw()), allowed.min(*idle), Some(live))
            }
        };
        let digest = match account.credential {
            Credential::Signature(_) => Box::pin(self.digest()).await?,
            Credential::None | Credential::Header(..) | Credential::Query(_) => None,
        };
        let request = self
            .outgoing
            .request(account, body)
            .and_then(|request| outgoing::sign(request, account, digest))
            .map_err(|error| internal(&error.to_string()))?;
        let over = async {
            match live {
                Some(live) => live.stalled(silence).await,
                None => tokio::time::sleep(silence).await,
            }
        };
        let answered = match account.client.send(request, over).await {
            Ok(answered) => answered,
            Err(evidence) => return Ok(lost(evidence)),
        };
        let now = Instant::now();
        let took = now.saturating_duration_since(started);
        account.health.observe(took, now);
        let (head, body) = answered.into_parts();
        let evidence = Evidence::Answered {
            status: head.status.as_u16(),
            retry_after: head.headers.contains_key(http::header::RETRY_AFTER),
            own_credential: account.has_credential(),
        };
        let left = allowed.saturating_sub(took);
        let retry_after = retry_after(&head.headers);
        let read = match self.body {
            Body::Kept(_) => answer::read(body, left).await,
            Body::Stream(..) => Ok(answer::Body::Stream(body)),
        };
        Ok(match read {
            Ok(body) => Sent {
                answer: Some(Answer {
                    account: Arc::clone(account),
                    head,
                    body,
                    permit,
                }),
                retry_after,
                ..lost(evidence)
            },
            Err(evidence) => lost(evidence),
        })
    }
}

/// How evidence is told to clients and logs.
pub(crate) fn reason(evidence: Evidence) -> Reason {
    match evidence {
        Evidence::NotSent(fault) | Evidence::Broken(fault) => Reason::Fault(fault),
        Evidence::Answered { status, .. } => Reason::Status(status),
    }
}

/// The problem when no attempt brought an answer to pass on: 502 or 504 by the last one that reached a vendor, and where
/// none did, 504 or 503 by whether time was what was missing.
pub(crate) fn unanswered(tried: &[Tried], outcome_unknown: bool) -> Problem {
    let ended = || {
        tried.iter().filter_map(|tried| match tried.outcome {
            Outcome::Ended(verdict) => Some((verdict, tried.reason.clone())),
            Outcome::Overtaken | Outcome::PassedOver => None,
        })
    };
    let is_late = |reason| matches!(reason, Reason::Fault(fault) if fault.is_timeout());
    let mut lost =
        ended().filter(|(verdict, _)| matches!(verdict, Verdict::Failed | Verdict::Unknown));
    let Some((_, reason)) = lost.next_back() else {
        return if ended().any(|(_, reason)| is_late(reason)) {
            let detail = "no account could be connected to in time; nothing was sent";
            Problem::new(504, Kind::VendorTimeout, detail)
        } else {
            let detail = "no account took the request, which was not carried out";
            Problem::new(503, Kind::NoAccount, detail)
        };
    };
    let status = if is_late(reason) { 504 } else { 502 };
    if outcome_unknown {
        let detail = "the request reached a vendor and no answer came back; it may have been carried out, so it was not sent elsewhere";
        return Problem::new(status, Kind::OutcomeUnknown, detail);
    }
    if status == 504 {
        let detail = "every attempt that time allowed was made and none was answered in time";
        return Problem::new(status, Kind::VendorTimeout, detail);
    }
    let detail = "every attempt that is allowed was made and none was answered";
    Problem::new(status, Kind::VendorBroken, detail)
}

/// The problem when no account takes the request.
pub(crate) fn nobody(picker: &Picker) -> Problem {
    let mut problem = Problem::new(
        503,
        Kind::NoAccount,
        "every account of the pool is shut off, busy or paused",
    );
    let waits = picker.skipped().iter().filter_map(|(_, skip)| match skip {
        Skip::BreakerOpen(wait) | Skip::Paused(wait) => Some(*wait),
        Skip::Busy => Some(Duration::from_secs(1)),
        Skip::Unhealthy | Skip::Ejected => None,
    });
    problem.retry_after = waits.min();
    problem
}

fn internal(detail: &str) -> Problem {
    Problem::new(500, Kind::Internal, detail)
}
