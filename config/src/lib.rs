//! Text in, checked configuration out.
//!
//! [`Source`] (a file's text) → document (every value with its place) → [`Config`] (known to be right), or every mistake
//! in it. This crate knows no vendor, opens no socket, and touches files and variables only through [`Environment`].

pub mod catalog;
mod certificate;
mod check;
mod depth;
mod diagnostic;
mod document;
mod expand;
mod jsonpath;
mod load;
mod loops;
mod model;
mod names;
mod network;
mod place;
mod read;
mod reference;
mod schema;
mod secret;
mod shape;
mod table;
mod template;
mod units;

pub use certificate::{Authorities, CertificateName, Facts, Identity, Unfit};
pub use check::{check, check_with};
pub use diagnostic::{Diagnostic, Report, Severity};
pub use document::{Key, Node, Value, parse};
pub use expand::{Environment, Nothing, expanded};
pub use jsonpath::{
    Hop, JsonPath, PathError, Step, TooMuch, follow, follow_in, item, member, steps,
};
pub use load::{Loaded, Named, Source, load, load_with};
pub use model::{
    AccessLog, Account, AccountId, Action, Algorithm, Auth, BaseUrl, Breaker, Cache, Client,
    ClientTls, Compositions, Config, Cors, Effect, Forward, HeaderEdits, KeyDigest, Limits, Listen,
    Log, Matcher, Member, Mode, Origin, OriginPattern, Otlp, Outlier, PathPattern, PathPiece,
    PathRewrite, Policy, Pool, PoolId, Probe, Protocol, Rate, RequestSignature, Respond, Retry,
    Route, RouteLimits, Rule, Segment, Serve, ServerTls, Setting, SharedState, Spend, Token,
    TokenKeys, VendorAccount, WhenDown,
};
pub use network::Network;
pub use place::{Location, Span};
pub use read::texts::matcher;
pub use reference::reference;
pub use schema::schema;
pub use secret::{Secret, hash_key};
pub use template::{EvalError, Expression, Template, TemplateError};
pub use units::{duration, size};

/// Keys that an account at any vendor may have, beside the vendor's own fields.
pub fn account_keys() -> Vec<&'static str> {
    let fields = table::VENDOR_ACCOUNT.fields.iter();
    fields.map(|field| field.key).collect()
}

/// The effective configuration as JSON, for the admin port: secrets and key digests are left out.
pub fn redacted(config: &Config) -> serde_json::Value {
    serde_json::to_value(config).unwrap_or_default()
}
