//! An operation of a capability, served by the accounts that offer it.
//!
//! Inputs that one account has done are not sent to the next: a batch fails over only where it failed.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use isobar_adapters::{
    Call, Contract, Evidence, Failure, Fault, Job, Operation, Output, Tokens, Transport, Verdict,
    boxed,
};
use isobar_config::Effect;
use parking_lot::Mutex;

use super::{
    exchange::{self, Exchange, Sent, Work},
    spend::Meter,
    tried::{Outcome, Tried},
};
use crate::{
    edge::{
        limit::Limit,
        problem::{Kind, Problem, Reason},
    },
    pool::{Account, Candidate, Pool, deadline::Deadline, health::Permit, picker::Picker},
};

/// What a vendor's account has beside what all have.
pub(crate) struct AtVendor {
    pub(crate) account: isobar_adapters::Account,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) quota: Option<Arc<Limit>>,
    pub(crate) spend: Option<Arc<Meter>>,
}

/// Inputs to be served.
pub(crate) struct Asked<'a> {
    pub(crate) contract: &'static Contract,
    pub(crate) jobs: &'a [Job],
    /// Unique to the request.
    pub(crate) id: &'a str,
    /// Whether answers carry what the vendor said beyond the contract.
    pub(crate) extra: bool,
    pub(crate) deadline: Deadline,
    pub(crate) attempt: Option<Duration>,
}

/// One input's answer, and who gave it.
#[derive(Clone)]
pub(crate) struct Answered {
    pub(crate) output: Output,
    pub(crate) account: Arc<Account>,
}

/// What came of every input, in order. At least one is answered.
pub(crate) type Served = Vec<Result<Answered, Failure>>;

/// Serves inputs; what was tried is left in `tried`.
pub(crate) async fn serve(
    asked: &Asked<'_>,
    pool: &Pool,
    members: &[Candidate],
    sticky: u64,
    tokens: &Tokens,
    tried: &mut Vec<Tried>,
) -> Result<Served, Problem> {
    let mut picker = Picker::new(members.len(), sticky);
    let gaps = pass_over(asked, members, &mut picker, tried);
    if gaps.len() == members.len() {
        return Err(unable(asked, &gaps));
    }
    if pool.order() == crate::pool::Order::Cheapest {
        picker.rank(members.iter().map(|member| cost(asked, member)).collect());
    }
    let work = Calling {
        asked,
        tokens,
        done: Mutex::new(asked.jobs.iter().map(|_| None).collect()),
    };
    let exchange = Exchange {
        work,
        pool,
        members,
        effect: asked.contract.effect,
        has_key: false,
        deadline: asked.deadline,
        attempt: asked.attempt,
    };
    let outcome = exchange.run(picker, tried).await;
    let done = exchange.work.done.into_inner();
    let is_answered = |done: &Option<Result<Answered, Failure>>| matches!(done, Some(Ok(_)));
    if done.iter().any(is_answered) {
        let left_out = || {
            let kind = isobar_adapters::Kind::Unavailable;
            Failure::of(kind, "no account took this input")
        };
        return Ok(done
            .into_iter()
            .map(|done| done.unwrap_or_else(|| Err(left_out())))
            .collect());
    }
    match outcome {
        Err(problem) => Err(hinted(problem, tried)),
        Ok(()) => Err(done
            .into_iter()
            .flatten()
            .find_map(Result::err)
            .map_or_else(
                || Problem::new(500, Kind::Internal, "no input was served"),
                problem_of,
            )),
    }
}

/// Notes the accounts that cannot do any of the inputs, with the reason of each.
fn pass_over(
    asked: &Asked<'_>,
    members: &[Candidate],
    picker: &mut Picker,
    tried: &mut Vec<Tried>,
) -> Vec<(String, String)> {
    let mut gaps = Vec::new();
    for (index, member) in members.iter().enumerate() {
        let Some(gap) = gap(asked, &member.account) else {
            continue;
        };
        picker.leave_out(index);
        tried.push(Tried {
            account: Arc::clone(&member.account),
            outcome: Outcome::PassedOver,
            reason: Reason::Gap(gap.as_str().into()),
            took: Duration::ZERO,
            ended: std::time::Instant::now(),
        });
        gaps.push((member.account.name().to_owned(), gap));
    }
    gaps
}

/// Why an account can do none of the inputs.
fn gap(asked: &Asked<'_>, account: &Account) -> Option<String> {
    let Some(at) = &account.vendor else {
        return Some("is no vendor's account".to_owned());
    };
    let Some(operation) = at.account.vendor.operation(asked.contract.name) else {
        return Some(format!("does not offer `{}`", asked.contract.name));
    };
    let mut first = None;
    for job in asked.jobs {
        let gap = operation.gap(job, &at.account)?;
        first.get_or_insert(gap);
    }
    first
}

fn cost(asked: &Asked<'_>, member: &Candidate) -> f64 {
    let operation = member
        .account
        .vendor
        .as_ref()
        .and_then(|at| at.account.vendor.operation(asked.contract.name));
    // Who does not say what it costs is taken to cost the most.
    operation
        .and_then(|operation| operation.estimate(asked.jobs))
        .unwrap_or(f64::MAX)
}

fn unable(asked: &Asked<'_>, gaps: &[(String, String)]) -> Problem {
    let told: Vec<String> = gaps
        .iter()
        .map(|(name, gap)| format!("`{name}` {gap}"))
        .collect();
    let others = able_vendors(asked, gaps);
    let hint = if others.is_empty() {
        String::new()
    } else {
        format!("; vendors that could: {}", others.join(", "))
    };
    let size = gaps
        .iter()
        .all(|(_, gap)| gap.starts_with("takes at most") || gap.starts_with("takes texts"));
    let format = gaps.iter().all(|(_, gap)| gap.starts_with("takes "));
    let status = if size {
        413
    } else if format {
        415
    } else {
        422
    };
    let detail = format!("no account can do this: {}{hint}", told.join("; "));
    Problem::new(status, Kind::Unsupported, detail)
}

/// Vendors, configured or not, whose limits allow the inputs.
fn able_vendors(asked: &Asked<'_>, gaps: &[(String, String)]) -> Vec<String> {
    let (vendors, _) = isobar_adapters::built_in();
    let able = vendors.iter().filter(|vendor| {
        let bare = isobar_adapters::Account::new(
            vendor.name.clone(),
            Arc::clone(vendor),
            None,
            Vec::new(),
        );
        vendor
            .operation(asked.contract.name)
            .is_some_and(|operation| {
                asked
                    .jobs
                    .iter()
                    .all(|job| operation.gap(job, &bare).is_none())
            })
    });
    able.map(|vendor| vendor.name.clone())
        .filter(|name| !gaps.iter().any(|(known, _)| known == name))
        .collect()
}

/// The problem, and for each vendor at whose address nothing listens, what helps.
fn hinted(mut problem: Problem, tried: &[Tried]) -> Problem {
    let mut told = Vec::new();
    for tried in tried {
        let shut = matches!(
            tried.reason,
            Reason::Fault(Fault::Connect) | Reason::Skipped("breaker_open" | "unhealthy")
        );
        let vendor = tried.account.vendor.as_ref().map(|at| &at.account.vendor);
        if let Some(hint) = vendor
            .and_then(|vendor| vendor.hint.as_ref())
            .filter(|_| shut)
            && !told.contains(&tried.account.name())
        {
            told.push(tried.account.name());
            problem.detail += &format!("; `{}`: {hint}", tried.account.name());
        }
    }
    problem
}

/// The problem that a vendor's failure is to the client.
pub(crate) fn problem_of(failure: Failure) -> Problem {
    use isobar_adapters::Kind as Told;
    let (status, kind) = match failure.kind {
        Told::Invalid => (400, Kind::BadInput),
        Told::TooLarge => (413, Kind::Unsupported),
        Told::Unsupported => (422, Kind::Unsupported),
        Told::Timeout => (504, Kind::VendorTimeout),
        Told::RateLimited | Told::Quota | Told::Unavailable | Told::Auth | Told::NotSent => {
            (503, Kind::NoAccount)
        }
        Told::Internal | Told::Misread => (502, Kind::VendorBroken),
    };
    let mut problem = Problem::new(status, kind, failure.message);
    if status == 503 {
        problem.retry_after = failure.retry_after;
    }
    problem
}

/// The calls of one request.
struct Calling<'a> {
    asked: &'a Asked<'a>,
    tokens: &'a Tokens,
    done: Mutex<Vec<Option<Result<Answered, Failure>>>>,
}

impl Calling<'_> {
    /// Inputs that are still to be done and that the account can do, and their positions.
    fn pending(
        &self,
        operation: &Operation,
        account: &isobar_adapters::Account,
    ) -> (Vec<usize>, Cow<'_, [Job]>) {
        let jobs = self.asked.jobs;
        // Who cannot do the only one was passed over.
        let is_able = |job: &Job| jobs.len() == 1 || operation.gap(job, account).is_none();
        let done = self.done.lock();
        let is_open = |at: usize| match done.get(at) {
            Some(Some(Ok(_))) | None => false,
            Some(Some(Err(failure))) => failure.verdict(Effect::Read) != Verdict::RejectedFinal,
            Some(None) => true,
        };
        let pending = jobs.iter().enumerate();
        let pending = pending.filter(|(at, job)| is_open(*at) && is_able(job));
        let indexes: Vec<usize> = pending.map(|(at, _)| at).collect();
        let jobs = if indexes.len() == jobs.len() {
            Cow::Borrowed(jobs)
        } else {
            let pending = indexes.iter().filter_map(|at| jobs.get(*at));
            Cow::Owned(pending.cloned().collect())
        };
        (indexes, jobs)
    }
}

impl Work for Calling<'_> {
    type Answer = ();

    async fn send(
        &self,
        candidate: &Candidate,
        permit: Permit,
        allowed: Duration,
    ) -> Result<Sent<()>, Problem> {
        let started = Instant::now();
        let passed = |why| Sent {
            evidence: Evidence::NotSent(isobar_adapters::Fault::Closed),
            verdict: Some(Verdict::Refused),
            reason: Reason::Skipped(why),
            answer: None,
            retry_after: None,
        };
        let account = &candidate.account;
        let Some((at, operation)) = account
            .vendor
            .as_ref()
            .and_then(|at| Some((at, at.account.vendor.operation(self.asked.contract.name)?)))
        else {
            return Ok(passed("does_not_offer"));
        };
        let (indexes, jobs) = self.pending(operation, &at.account);
        if jobs.is_empty() {
            return Ok(passed("cannot"));
        }
        if at
            .quota
            .as_ref()
            .is_some_and(|quota| quota.check(0).wait.is_some())
        {
            return Ok(passed("quota_used_up"));
        }
        let estimate = operation.estimate(&jobs).unwrap_or_default();
        if at
            .spend
            .as_ref()
            .is_some_and(|meter| !meter.allows(estimate, started))
        {
            return Ok(passed("spend_ceiling"));
        }
        let call = Call {
            account: &at.account,
            operation,
            transport: &*at.transport,
            tokens: self.tokens,
            deadline: started + allowed,
            id: self.asked.id,
            extra: self.asked.extra,
        };
        // Kept apart: what asks for the call is moved about, and a call's state is large.
        let results = boxed(|| call.perform(&jobs)).await;
        drop(permit);
        account.health.observe(started.elapsed(), Instant::now());
        let mut worst: Option<Failure> = None;
        let mut done = self.done.lock();
        for (index, result) in indexes.into_iter().zip(results) {
            let Some(place) = done.get_mut(index) else {
                continue;
            };
            match result {
                Ok(output) => {
                    if let Some(meter) = &at.spend {
                        meter.spent(output.usage.cost_usd.unwrap_or_default(), started);
                    }
                    *place = Some(Ok(Answered {
                        output,
                        account: Arc::clone(account),
                    }));
                }
                Err(failure) => {
                    let severe = |failure: &Failure| {
                        failure.verdict(self.asked.contract.effect) != Verdict::RejectedFinal
                    };
                    if worst
                        .as_ref()
                        .is_none_or(|known| severe(&failure) && !severe(known))
                    {
                        worst = Some(failure.clone());
                    }
                    if !matches!(place, Some(Ok(_))) {
                        *place = Some(Err(failure));
                    }
                }
            }
        }
        Ok(judge(worst, self.asked.contract.effect))
    }
}

/// What the attempt proved: its worst failure that another account could mend, or that it went well.
fn judge(worst: Option<Failure>, effect: Effect) -> Sent<()> {
    let Some(failure) = worst else {
        let evidence = Evidence::Answered {
            status: 200,
            retry_after: false,
            own_credential: true,
        };
        return Sent {
            evidence,
            verdict: Some(Verdict::Ok),
            reason: Reason::Status(200),
            answer: Some(()),
            retry_after: None,
        };
    };
    let verdict = failure.verdict(effect);
    let answered = Evidence::Answered {
        status: failure.status.unwrap_or(200),
        retry_after: false,
        own_credential: true,
    };
    let evidence = failure.evidence.unwrap_or(answered);
    Sent {
        evidence,
        verdict: Some(verdict),
        reason: match failure.evidence {
            Some(evidence) => exchange::reason(evidence),
            None => Reason::Failure(failure.kind),
        },
        // Its own words are better than a list of attempts, where the vendor gave any.
        answer: failure.evidence.is_none().then_some(()),
        retry_after: failure.retry_after,
    }
}
