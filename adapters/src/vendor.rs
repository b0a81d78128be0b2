//! A vendor as its manifests describe it, compiled: immutable, shared by all accounts.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method};
use isobar_config::Step as PathStep;

use crate::{
    capability::Contract,
    conversion::Conversion,
    failure::Kind,
    limits::Limits,
    price::Price,
    projection::Program,
    template::{Reference, Template, Text},
};

/// A vendor.
#[derive(Debug)]
pub struct Vendor {
    /// `deepgram`.
    pub name: String,
    /// `Deepgram`.
    pub title: String,
    /// What helps when nothing listens at its address.
    pub hint: Option<String>,
    /// What an account needs.
    pub fields: Vec<Field>,
    pub(crate) services: Vec<Service>,
    /// Host suffixes that addresses in answers may have, beside the services' own.
    pub(crate) hosts: Vec<String>,
    pub(crate) errors: Errors,
    /// What it offers.
    pub operations: Vec<Operation>,
}

/// One field of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// `key`.
    pub name: String,
    /// Whether it must not show.
    pub secret: bool,
    /// Whether it must be given.
    pub required: bool,
    /// What it is when it is not given; `{$.account.name}` in it is a field before it.
    pub default: Option<String>,
    /// What it is for.
    pub doc: String,
}

/// One host of a vendor, and how requests to it prove who we are.
#[derive(Debug)]
pub(crate) struct Service {
    /// URL without a trailing slash.
    pub(crate) base: Text,
    pub(crate) auth: Auth,
    pub(crate) headers: Vec<(HeaderName, Template)>,
}

/// A way to prove who we are.
#[derive(Debug)]
pub(crate) enum Auth {
    None,
    Headers(Vec<(HeaderName, Text)>),
    Query(Vec<(String, Text)>),
    Basic {
        user: Text,
        password: Text,
    },
    SigV4 {
        service: String,
    },
    Tc3 {
        service: String,
    },
    /// An API key in a header, or a key file (RFC 7523) whose token is fetched.
    KeyOrFile {
        header: HeaderName,
        scope: String,
    },
    /// OAuth 2.0 client credentials; the token goes in the header, in a query parameter, or where a template puts it.
    Oauth {
        url: Text,
        id: Text,
        secret: Text,
        scope: Option<String>,
        in_query: bool,
        param: Option<String>,
        header: bool,
    },
    /// A query that says who calls, when, and that it is so.
    SignedQuery,
}

/// One operation of a vendor.
#[derive(Debug)]
pub struct Operation {
    /// What it is an instance of.
    pub contract: &'static Contract,
    /// The vendor's own documentation of it.
    pub docs: Option<String>,
    pub(crate) kind: How,
    /// What recordings are made into before anything else is done, by the input field that holds them.
    pub(crate) convert: Vec<(&'static str, Conversion)>,
    pub(crate) limits: Limits,
    pub(crate) price: Option<Price>,
    /// Inputs that go in one call.
    pub(crate) batch: Batch,
    /// Models that a caller may name without the vendor.
    pub(crate) models: Vec<String>,
    /// The model that is used when none is named, where the manifest says.
    pub(crate) model: Option<String>,
}

/// How much goes in one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Inputs; 1 where a call takes a single one.
    pub(crate) most: usize,
    /// Bytes of all their texts together.
    pub(crate) bytes: Option<usize>,
    /// Characters of all their texts together.
    pub(crate) characters: Option<usize>,
    /// An input without this field goes alone: what earlier steps find out in its place is true of it only.
    pub(crate) alone_unless: Option<String>,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            most: 1,
            bytes: None,
            characters: None,
            alone_unless: None,
        }
    }
}

/// How an operation is done.
#[derive(Debug)]
pub(crate) enum How {
    Calls(Calls),
    /// In this process.
    Engine(crate::engine::Engine),
}

/// Calls to a vendor, and what its answer means.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) steps: Vec<Step>,
    pub(crate) returns: Returns,
    /// Where documents of a batch that failed alone are listed.
    pub(crate) hook: Option<crate::hook::Hook>,
}

/// What the last step's answer is made into.
#[derive(Debug)]
pub(crate) enum Returns {
    /// The body's bytes are the field at this position.
    Whole(usize, usize),
    /// One record, or with a batch the records and the errors.
    Json(Box<Program>),
}

/// One request, or several until something is done.
#[derive(Debug)]
pub(crate) struct Step {
    /// Index of the service.
    pub(crate) service: usize,
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) query: Vec<(String, Template)>,
    pub(crate) headers: Vec<(HeaderName, Template)>,
    pub(crate) body: BodyTemplate,
    pub(crate) keep: Vec<(String, Keep)>,
    pub(crate) poll: Option<Poll>,
    pub(crate) socket: Option<Socket>,
    /// Done at the end, whatever came of the others; its own failure does not matter.
    pub(crate) cleanup: bool,
    /// Whether the request is authenticated.
    pub(crate) auth: bool,
    /// Done only when this has a value.
    pub(crate) when: Option<Reference>,
    /// Not done when this has a value.
    pub(crate) unless: Option<Reference>,
}

/// Where a step's request goes.
#[derive(Debug)]
pub(crate) enum Target {
    /// A path below the service's base.
    Path(Text),
    /// An address that an earlier answer gave; its host must be the vendor's.
    Address(Reference),
}

/// A body as a manifest writes it.
#[derive(Debug)]
pub(crate) enum BodyTemplate {
    None,
    Json(Template),
    Form(Vec<(String, Template)>),
    Multipart(Vec<(String, PartTemplate)>),
    /// A blob as it is.
    Raw(&'static str),
    /// Texts put together, of this media type.
    Text(Vec<Template>, String),
}

/// A part of a multipart body.
#[derive(Debug)]
pub(crate) enum PartTemplate {
    Field(Template),
    Json(Template),
    File(&'static str),
}

/// A value of an answer that later steps use.
#[derive(Debug)]
pub(crate) struct Keep {
    pub(crate) from: KeepFrom,
    pub(crate) path: String,
}

#[derive(Debug)]
pub(crate) enum KeepFrom {
    Body(Vec<PathStep>),
    Header(HeaderName),
}

/// Asking again until a job is done.
#[derive(Debug)]
pub(crate) struct Poll {
    pub(crate) every: Duration,
    pub(crate) up_to: Duration,
    /// Where the state stands; without it, any answer that is no error is the end.
    pub(crate) until: Option<Vec<PathStep>>,
    pub(crate) done: Vec<String>,
    pub(crate) failed: Vec<String>,
    /// Codes of errors that mean that there is no answer yet.
    pub(crate) not_yet: Vec<String>,
    /// Where the code of a job's failure stands, or the status that it would be.
    pub(crate) code: Option<Vec<PathStep>>,
    /// Where the reason stands.
    pub(crate) message: Option<Vec<PathStep>>,
}

/// Messages over a WebSocket that carry a blob in pieces.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) blob: &'static str,
    pub(crate) bytes: usize,
    pub(crate) pace: Duration,
    pub(crate) first: Template,
    pub(crate) next: Template,
    pub(crate) last: Template,
    pub(crate) until: (Vec<String>, serde_json::Value),
}

/// How a vendor says that something is wrong.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    /// Where the code may stand, first that is there.
    pub(crate) code: Vec<ErrorPath>,
    /// Where the sentence may stand.
    pub(crate) message: Vec<ErrorPath>,
    /// Where seconds to wait may stand in the body, first that is there.
    pub(crate) retry_after: Vec<Vec<PathStep>>,
    /// What is there only when an answer with a good status is an error, and the values that mean that all is well.
    pub(crate) in_success: Vec<(Vec<PathStep>, Vec<String>)>,
    pub(crate) kinds: Vec<ErrorRule>,
}

#[derive(Debug)]
pub(crate) enum ErrorPath {
    Body(Vec<PathStep>),
    Header(HeaderName),
}

/// One row of the table of errors.
#[derive(Debug)]
pub(crate) struct ErrorRule {
    pub(crate) status: Vec<u16>,
    /// Codes; `Auth*` is any that starts so.
    pub(crate) code: Vec<String>,
    /// Words of the message, in lower case.
    pub(crate) message: Option<String>,
    pub(crate) kind: Kind,
}

impl Operation {
    /// Whether it is done in this process, without asking anybody.
    pub fn in_process(&self) -> bool {
        matches!(self.kind, How::Engine(_))
    }

    /// Models that a caller may name without the vendor.
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// Limits in words, for people.
    pub fn limits(&self) -> Vec<String> {
        self.limits.texts()
    }

    /// List price in words, where one is known.
    pub fn price(&self) -> Option<String> {
        match &self.kind {
            How::Engine(_) => Some("free".to_owned()),
            How::Calls(_) => self.price.as_ref().map(crate::price::Price::text),
        }
    }
}

impl Vendor {
    /// The operation of this name, if the vendor offers it.
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations
            .iter()
            .find(|operation| operation.contract.name == name)
    }
}

/// One configured credential at a vendor.
pub struct Account {
    /// As configured.
    pub name: String,
    /// Whose it is.
    pub vendor: Arc<Vendor>,
    /// Where the vendor's services are instead of its own hosts, without a trailing slash.
    pub base: Option<String>,
    fields: Vec<(String, String)>,
}

impl Account {
    /// Puts the vendor's defaults where nothing is given.
    pub fn new(
        name: String,
        vendor: Arc<Vendor>,
        base: Option<String>,
        given: Vec<(String, isobar_config::Secret)>,
    ) -> Self {
        let mut fields: Vec<(String, String)> = given
            .into_iter()
            .map(|(name, value)| (name, value.expose().to_owned()))
            .collect();
        for field in &vendor.fields {
            if let Some(default) = &field.default
                && !fields.iter().any(|(known, _)| *known == field.name)
            {
                let default = fields.iter().fold(default.clone(), |text, (name, value)| {
                    text.replace(&format!("{{$.account.{name}}}"), value)
                });
                fields.push((field.name.clone(), default));
            }
        }
        Self {
            name,
            vendor,
            base: base.map(|base| base.trim_end_matches('/').to_owned()),
            fields,
        }
    }

    pub(crate) fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({} at {})", self.name, self.vendor.name)
    }
}
