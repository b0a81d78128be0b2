//! A composition, checked: every name an index, every text that looks somewhere compiled, every shape known.
//!
//! Only `check` makes a plan. It is immutable, holds no credential but those of its own HTTP steps, and starts nothing.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderName, Method};
use isobar_adapters::Contract;
use isobar_config::{Effect, Expression, JsonPath, Matcher, Secret};
use serde_json::Value;

use crate::{run::Graph, shape::Shape};

/// A composition that can be run.
#[derive(Debug)]
pub struct Plan {
    /// `voice-insights`.
    pub name: String,
    /// What it is for, in a few words.
    pub about: Option<String>,
    /// Where it is served; `None` for one that only others use.
    pub expose: Option<Expose>,
    /// What callers give.
    pub inputs: Vec<Input>,
    /// The steps, in the order written. A step's index is its name everywhere else.
    pub steps: Vec<Step>,
    /// What callers get.
    pub output: Output,
    /// Time for all of it.
    pub deadline: Duration,
    /// Bounds on one run.
    pub limits: Limits,
    /// Whether equal keys get equal answers, and how.
    pub idempotency: Option<Idempotency>,
    /// Hosts that HTTP steps may call.
    pub hosts: Vec<Host>,
    /// Worked out when it is first run.
    pub(crate) graph: OnceLock<Graph>,
}

/// Where a composition is served.
#[derive(Debug, Clone)]
pub struct Expose {
    /// One method, and a path, perhaps with parameters.
    pub matcher: Matcher,
    /// `POST /v1/voice/insights`, as written.
    pub text: String,
    /// Whether a call needs no client key.
    pub anonymous: bool,
    /// Scopes that a caller must have.
    pub scopes: Vec<String>,
}

/// One thing that callers give.
#[derive(Debug, Clone)]
pub struct Input {
    /// Name.
    pub name: String,
    /// What it must be. A shape that allows nothing makes the input optional.
    pub shape: Shape,
    /// Where a request has it.
    pub from: From,
    /// Its name there, which may be another than its own.
    pub named: String,
    /// What it is when the caller does not give it.
    pub default: Option<Value>,
    /// What it is for.
    pub about: Option<String>,
    /// Largest blob, in bytes.
    pub most: u64,
}

/// Where a request has an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// A member of the JSON body, or of a form where an input is a blob.
    Field,
    /// A part of a form, with its file.
    Part,
    /// The body itself.
    Body,
    /// A parameter of the query.
    Query,
    /// A parameter of the path.
    Path,
    /// A header.
    Header(HeaderName),
}

/// Bounds on one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest request, in bytes.
    pub body: u64,
    /// Most calls of all steps together.
    pub calls: u32,
    /// Most calls at once.
    pub at_once: u32,
}

/// What equal keys mean.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// Header that has the key.
    pub header: HeaderName,
    /// Whether a request without one is refused.
    pub required: bool,
    /// How long an answer is given again.
    pub keep: Duration,
}

/// A host that HTTP steps may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// `api.example.com`, `*.example.com` or an address.
    pub name: String,
    /// Any port that its scheme has, or this one.
    pub port: Option<u16>,
}

/// One call, or many of the same kind.
#[derive(Debug)]
pub struct Step {
    /// Name: also its output's, in references.
    pub name: String,
    /// What it does.
    pub work: Work,
    /// Runs only if this holds. With `each` and a condition that looks at the item, for each item alone.
    pub when: Option<Expression>,
    /// Runs for each item of a list.
    pub each: Option<Each>,
    /// Steps that must have ended before it starts, without repeats and in order.
    pub needs: Vec<usize>,
    /// Time for all of it.
    pub timeout: Option<Duration>,
    /// Further tries after all of a pool's accounts failed.
    pub retry: Option<Retry>,
    /// Its output if it fails; the answer is then degraded.
    pub otherwise: Option<Given>,
    /// What takes its effect back when a later step fails.
    pub undo: Option<Undo>,
    /// What repeating it does.
    pub effect: Effect,
    /// Shape of its output when it ran.
    pub shape: Shape,
    /// Whether an earlier step with equal work may have the same output: reads only.
    pub twin: Option<usize>,
    /// Whether the output needs it, directly or through others. Steps that it does not need run for their effect.
    pub needed: bool,
}

/// What a step does.
#[derive(Debug)]
pub enum Work {
    /// An operation of a capability.
    Operation(OperationWork),
    /// Another composition.
    Composition {
        /// Its plan.
        plan: Arc<Plan>,
        /// Its inputs.
        with: Vec<(String, Given)>,
    },
    /// A plain HTTP request.
    Http(Box<Http>),
    /// Several at once, of which the first that works counts: reads only.
    Race(Vec<Work>),
}

/// An operation of a capability, with its inputs.
#[derive(Debug)]
pub struct OperationWork {
    /// The operation.
    pub contract: &'static Contract,
    /// Its inputs and blobs.
    pub with: Vec<(String, Given)>,
    /// Who may serve it.
    pub pool: Pool,
    /// When a second account is asked as well.
    pub hedge: Option<Duration>,
    /// How long an equal call's answer may be used again.
    pub cache: Option<Duration>,
}

/// Who may serve a step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Pool {
    /// Whoever serves the operation.
    #[default]
    Usual,
    /// A pool of the configuration.
    Named(String),
    /// These accounts, in this order.
    Accounts(Vec<String>),
}

/// Repetition for each item of a list.
#[derive(Debug)]
pub struct Each {
    /// The list.
    pub items: Given,
    /// Calls at once.
    pub at_once: u32,
    /// Most items; a longer list fails the step.
    pub most: u32,
    /// What a failed item means.
    pub failed: Failed,
}

/// What a failed item of `each` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The step fails.
    Stop,
    /// The item's place in the output holds nothing.
    Null,
    /// The item is left out of the output.
    Drop,
}

/// Further tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How many.
    pub times: u32,
    /// Pause before the first; doubled each time.
    pub pause: Duration,
}

/// What takes an effect back.
#[derive(Debug)]
pub struct Undo {
    /// The call. Its references may look at inputs, at what the step needed, and at the step's own output.
    pub work: Work,
    /// Whether it can be made without the step's output: then also when it is not known what became of the step.
    pub blind: bool,
}

/// A plain HTTP request.
#[derive(Debug)]
pub struct Http {
    /// Method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// Parameters of the query.
    pub query: Vec<(String, Given)>,
    /// Headers.
    pub headers: Vec<(HeaderName, Given)>,
    /// Body.
    pub body: HttpBody,
    /// Credential.
    pub bearer: Option<Secret>,
    /// Statuses outside 200 to 299 that are answers, too.
    pub accept: Vec<u16>,
    /// Header that gets a key of the run and the step, so that repeating is safe.
    pub key: Option<HeaderName>,
    /// Most bytes of the answer.
    pub most: u64,
    /// What its body is when the status is one of success.
    pub returns: Shape,
}

/// Where an HTTP request goes.
#[derive(Debug)]
pub enum Url {
    /// Known but for parameters of its path: `https://api.example.com/items/{id}`, split at the parameters. There is one
    /// more text than there are parameters.
    Known {
        /// What stands around the parameters, starting with scheme and host.
        texts: Vec<String>,
        /// The parameters' values; they are percent-encoded.
        parameters: Vec<Given>,
    },
    /// Made at run time; its host must be one of the composition's.
    Made(Given),
}

/// Body of an HTTP request.
#[derive(Debug)]
pub enum HttpBody {
    /// None.
    None,
    /// JSON.
    Json(Given),
    /// A blob as it is, or a text.
    Raw(Given),
}

/// What callers get.
#[derive(Debug)]
pub struct Output {
    /// Body: a blob is sent as it is, anything else as JSON.
    pub body: Given,
    /// Status.
    pub status: Option<Given>,
    /// Headers.
    pub headers: Vec<(HeaderName, Given)>,
    /// Whether each member of the body is sent as an event as soon as it is known.
    pub stream: bool,
    /// Shape of the body.
    pub shape: Shape,
}

/// A value as a composition writes it.
#[derive(Debug)]
pub enum Given {
    /// Itself.
    Literal(Value),
    /// Where to find it.
    Reference(Reference),
    /// What it is worked out from.
    Expression(Expression),
    /// A list of such.
    List(Vec<Given>),
    /// A map of such. Members that are absent are left out.
    Map(Vec<(String, Given)>),
}

/// A reference: whose value, and where in it.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Whose.
    pub root: Root,
    /// Where: a JSONPath from the root's value, `$` for all of it.
    pub path: JsonPath,
    /// The blob's name where it is a blob that is referred to: a member of the root, or the empty text for the root itself.
    pub blob: Option<String>,
    /// `$.heard.text`, as written.
    pub text: String,
}

/// Whose value is referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// The inputs.
    Input,
    /// A step's output.
    Step(usize),
    /// Facts of the run: `id`, `key`, `degraded`.
    Run,
    /// The item of `each`.
    Item,
    /// Its index.
    Index,
}

impl Plan {
    /// The index of the step of this name.
    pub fn step(&self, name: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.name == name)
    }
}

impl Work {
    /// `speech.transcribe`, `composition.NAME`, `PUT api.example.com` or `race`.
    pub fn label(&self) -> String {
        match self {
            Self::Operation(work) => work.contract.name.to_owned(),
            Self::Composition { plan, .. } => format!("composition.{}", plan.name),
            Self::Http(http) => match &http.url {
                Url::Known { texts, .. } => {
                    let first = texts.first().map(String::as_str).unwrap_or_default();
                    let host = first.split("://").nth(1).unwrap_or(first);
                    let host = host.split('/').next().unwrap_or(host);
                    format!("{} {host}", http.method)
                }
                Url::Made(_) => format!("{} (host made at run time)", http.method),
            },
            Self::Race(ways) => {
                let ways: Vec<String> = ways.iter().map(Self::label).collect();
                format!("race of {}", ways.join(", "))
            }
        }
    }
}
