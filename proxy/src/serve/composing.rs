//! Makes the calls of compositions: operations by the pools of the plan in force, HTTP requests by clients of their own.

use std::{
    collections::HashMap,
    net::IpAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use http::{HeaderValue, header};
use isobar_adapters::{Body, Evidence, Fault, Job, Piece, Request, Talk, boxed};
use isobar_compositions::{
    Attempt, CallFailed, Called, Caller, HttpCall, HttpCalled, HttpContent, HttpHead,
    OperationCall, Plan, plan,
};
use isobar_config as config;
use parking_lot::Mutex;

use super::{
    cached,
    capability::{self, Asked, Served},
    resolver::is_private,
    tried::Tried,
};
use crate::{
    edge::problem::{Kind, Problem},
    pool::{Pool, deadline::Deadline},
    route::{registry::Registry, snapshot::Snapshot},
};

/// Time to connect for an HTTP step.
const CONNECT: Duration = Duration::from_secs(5);

/// Who serves a step: its operation, its own choice of pool, its own hedge.
type Choice = (plan::Pool, Option<Duration>);

/// The pools of all steps of all compositions.
#[derive(Default)]
pub(crate) struct StepPools(HashMap<&'static str, Vec<(Choice, Arc<Pool>)>>);

impl StepPools {
    pub(crate) fn get(
        &self,
        operation: &str,
        pool: &plan::Pool,
        hedge: Option<Duration>,
    ) -> Option<&Arc<Pool>> {
        let choices = self.0.get(operation)?;
        choices
            .iter()
            .find(|((known, after), _)| known == pool && *after == hedge)
            .map(|(_, pool)| pool)
    }

    pub(crate) fn put(&mut self, operation: &'static str, choice: Choice, pool: Pool) {
        self.0
            .entry(operation)
            .or_default()
            .push((choice, Arc::new(pool)));
    }
}

/// The configuration's pool for a step, if anybody offers its operation.
pub(crate) fn chosen(config: &config::Config, work: &plan::OperationWork) -> Option<config::Pool> {
    let usual = || {
        config.routes.iter().find_map(|route| match &route.action {
            config::Action::Serve(serve) if serve.operation == work.contract.name => {
                config.pools.get(serve.pool.0)
            }
            _ => None,
        })
    };
    let mut pool = match &work.pool {
        plan::Pool::Usual => usual()?.clone(),
        plan::Pool::Named(name) => config.pools.iter().find(|pool| pool.name == *name)?.clone(),
        plan::Pool::Accounts(names) => {
            let member = |name: &String| {
                let at = config
                    .accounts
                    .iter()
                    .position(|account| account.name == *name)?;
                Some(config::Member {
                    account: config::AccountId(at),
                    weight: 1,
                })
            };
            config::Pool {
                name: names.join("+"),
                members: names.iter().map(member).collect::<Option<_>>()?,
                policy: config::Policy::Order,
                rules: Vec::new(),
                ..usual().or(config.pools.first())?.clone()
            }
        }
    };
    if work.hedge.is_some() {
        pool.hedge = work.hedge;
    }
    Some(pool)
}

/// Every operation that a composition calls.
pub(crate) fn operations(plan: &Plan) -> Vec<&plan::OperationWork> {
    fn of<'p>(work: &'p plan::Work, found: &mut Vec<&'p plan::OperationWork>) {
        match work {
            plan::Work::Operation(work) => found.push(work),
            plan::Work::Race(ways) => ways.iter().for_each(|way| of(way, found)),
            plan::Work::Composition { plan, .. } => found.extend(operations(plan)),
            plan::Work::Http(_) => {}
        }
    }
    let mut found = Vec::new();
    for step in &plan.steps {
        of(&step.work, &mut found);
        if let Some(undo) = &step.undo {
            of(&undo.work, &mut found);
        }
    }
    found
}

/// Makes the calls of one run.
pub(crate) struct Composer {
    pub(crate) plan: Arc<Snapshot>,
    pub(crate) registry: Arc<Registry>,
    /// Who asks: kept answers are each client's own.
    pub(crate) client: String,
    /// `traceparent` for HTTP steps.
    pub(crate) trace: Option<HeaderValue>,
    /// Every attempt of the run.
    pub(crate) tried: Mutex<Vec<Tried>>,
}

fn failed(problem: Problem, attempts: Vec<Attempt>) -> CallFailed {
    CallFailed {
        status: problem.status,
        kind: problem.kind.name(),
        reason: problem.detail,
        outcome_unknown: problem.kind == Kind::OutcomeUnknown,
        passing: matches!(problem.status, 429 | 500..),
        retry_after: problem.retry_after,
        attempts,
    }
}

// As `async_trait` would have them, but made in their boxes.
impl Caller for Composer {
    fn operation<'c, 'a, 'f>(
        &'c self,
        call: OperationCall<'a>,
    ) -> BoxFuture<'f, Result<Called, CallFailed>>
    where
        'c: 'f,
        'a: 'f,
        Self: 'f,
    {
        boxed(|| self.call(call))
    }

    fn http<'c, 'f>(&'c self, call: HttpCall) -> BoxFuture<'f, Result<HttpCalled, CallFailed>>
    where
        'c: 'f,
        Self: 'f,
    {
        boxed(|| self.fetch(call))
    }
}

impl Composer {
    async fn call(&self, call: OperationCall<'_>) -> Result<Called, CallFailed> {
        let contract = call.contract;
        let refuse = |status, kind, detail: String| {
            Err(failed(Problem::new(status, kind, detail), Vec::new()))
        };
        let input = match contract.check(call.input) {
            Ok(input) => input,
            Err(why) => return refuse(400, Kind::BadInput, format!("`{}`: {why}", contract.name)),
        };
        let Some(pool) = self
            .plan
            .step_pools
            .get(contract.name, call.pool, call.hedge)
        else {
            let detail = format!("no account of the configuration offers `{}`", contract.name);
            return refuse(503, Kind::NoAccount, detail);
        };
        let jobs = [Job {
            input,
            blobs: call.blobs,
        }];
        let id = uuid(fastrand::u128(..));
        let asked = Asked {
            contract,
            jobs: &jobs,
            id: &id,
            extra: false,
            deadline: Deadline::at(call.deadline),
            attempt: None,
        };
        let mut tried: Vec<Tried> = Vec::with_capacity(1);
        let tokens = &self.registry.tokens;
        let served = {
            let serving = capability::serve(&asked, pool, &pool.members, 0, tokens, &mut tried);
            let serving = pin!(serving);
            match call.cache {
                None => serving.await.map(Arc::new),
                Some(lives) => {
                    let key = cached::key(&self.client, contract.name, &pool.name, &jobs, false);
                    let got = boxed(|| self.registry.answers.get(key, lives, serving)).await;
                    got.map(|(served, _)| served)
                }
            }
        };
        let attempts: Vec<Attempt> = tried.iter().map(attempt).collect();
        self.tried.lock().append(&mut tried);
        let served: Arc<Served> = match served {
            Ok(served) => served,
            Err(problem) => return Err(failed(problem, attempts)),
        };
        match served.first() {
            Some(Ok(answered)) => Ok(Called::of(
                &answered.output,
                answered.account.name(),
                attempts,
            )),
            Some(Err(failure)) => Err(failed(capability::problem_of(failure.clone()), attempts)),
            None => refuse(500, Kind::Internal, "there is no answer".to_owned()),
        }
    }

    async fn fetch(&self, call: HttpCall) -> Result<HttpCalled, CallFailed> {
        let uri = &call.head.uri;
        let host = uri.host().unwrap_or_default().to_owned();
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let lost = |evidence| lost(&host, evidence);
        if call.made {
            Box::pin(self.not_private(name))
                .await
                .map_err(|why| failed(Problem::new(422, Kind::Unsupported, why), Vec::new()))?;
        }
        let wire = if call.made {
            self.registry.guarded_wire(CONNECT)
        } else {
            self.registry.wire(CONNECT, None)
        };
        let wire = wire.map_err(|error| {
            failed(
                Problem::new(500, Kind::Internal, error.to_string()),
                Vec::new(),
            )
        })?;
        let mut head = call.head;
        if let Some(authority) = head.uri.authority()
            && let Ok(value) = HeaderValue::try_from(authority.as_str())
        {
            head.headers.insert(header::HOST, value);
        }
        if let Some(trace) = &self.trace {
            head.headers
                .entry(crate::edge::trace::TRACEPARENT)
                .or_insert_with(|| trace.clone());
        }
        if let Some(secret) = &call.bearer {
            let value = HeaderValue::try_from(format!("Bearer {}", secret.expose()));
            let mut value = value.map_err(|_| {
                let why = "the step's credential has a character that no header may carry";
                failed(Problem::new(500, Kind::Internal, why), Vec::new())
            })?;
            value.set_sensitive(true);
            head.headers.insert(header::AUTHORIZATION, value);
        }
        let request = Request {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body: match call.body {
                HttpContent::None => Body::default(),
                HttpContent::Bytes(bytes) => Body::of(bytes),
                HttpContent::Blob(blob) => Body(vec![Piece::Blob(blob)]),
            },
            talk: Talk::Http,
        };
        let allowed = call.deadline.saturating_duration_since(Instant::now());
        let answer = wire.send(request, allowed).await.map_err(lost)?;
        if answer.body.len() as u64 > call.most {
            let why = format!("the answer of `{host}` has more than {} bytes", call.most);
            let mut failed = failed(Problem::new(502, Kind::VendorBroken, why), Vec::new());
            failed.outcome_unknown = true;
            failed.passing = false;
            return Err(failed);
        }
        Ok(HttpCalled {
            head: HttpHead {
                status: answer.status,
                headers: answer.headers,
            },
            body: answer.body,
        })
    }

    /// Refuses a host that was made at run time and stands for an address that only this network has, in words; the wire
    /// sees to it that it does not stand for one when it is connected to.
    async fn not_private(&self, host: &str) -> Result<(), String> {
        if host.parse::<IpAddr>().is_ok() {
            // Written among the composition's hosts as it is.
            return Ok(());
        }
        let addresses = self.registry.resolver.lookup(host).await;
        let addresses = addresses.map_err(|error| error.to_string())?;
        if addresses.iter().any(|address| is_private(*address)) {
            return Err(format!("`{host}` stands for a private address"));
        }
        Ok(())
    }
}

fn attempt(tried: &Tried) -> Attempt {
    let told = tried.attempt();
    Attempt {
        vendor: told.vendor,
        verdict: told.verdict.to_owned(),
        reason: told.reason.to_string(),
        millis: told.millis,
    }
}

/// A call without an answer.
fn lost(host: &str, evidence: Evidence) -> CallFailed {
    let (fault, sent) = match evidence {
        Evidence::NotSent(fault) => (fault, false),
        Evidence::Broken(fault) => (fault, true),
        Evidence::Answered { .. } => (Fault::Malformed, true),
    };
    let slow = matches!(fault, Fault::Timeout | Fault::ConnectTimeout);
    let (status, kind) = if slow {
        (504, Kind::VendorTimeout)
    } else {
        (502, Kind::VendorBroken)
    };
    let why = format!("`{host}` gave no answer: {}", fault.name());
    CallFailed {
        outcome_unknown: sent,
        passing: true,
        ..failed(Problem::new(status, kind, why), Vec::new())
    }
}

/// A number as a UUID, which jobs at vendors are named by.
pub(crate) fn uuid(number: u128) -> String {
    let uuid = uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid();
    let mut text = uuid::Uuid::encode_buffer();
    uuid.hyphenated().encode_lower(&mut text).to_owned()
}
