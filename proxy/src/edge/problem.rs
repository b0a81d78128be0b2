//! Failures as the client sees them: RFC 9457 problem documents that list what was tried.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::HeaderValue;
use isobar_adapters::Fault;
use serde::Serialize;

/// Media type of a problem document.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// One failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) kind: Kind,
    pub(crate) detail: String,
    /// `Retry-After`, when waiting helps.
    pub(crate) retry_after: Option<Duration>,
    /// `Allow`, for 405.
    pub(crate) allow: Vec<String>,
    /// `WWW-Authenticate`, where it says more than which scheme is meant.
    pub(crate) challenge: Option<HeaderValue>,
}

/// What went wrong, in terms of what the client can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    BadRequest,
    Unauthenticated,
    Forbidden,
    NoRoute,
    MethodNotAllowed,
    TooLarge,
    HeadTooLarge,
    RateLimited,
    NoAccount,
    VendorBroken,
    VendorTimeout,
    OutcomeUnknown,
    Overloaded,
    ClientTooSlow,
    Internal,
    /// The input of an operation is wrong.
    BadInput,
    /// No account can do what is asked for.
    Unsupported,
    /// A value of a composition cannot be worked out from this input.
    Expression,
    /// A request with the same key is still running.
    Running,
    /// A key was used with another request.
    KeyReused,
    /// The keys of a token's issuer cannot be had.
    KeysUnavailable,
    /// Nothing is kept, and the client wants nothing else.
    NotCached,
    /// What has to be recorded cannot be.
    StoreUnavailable,
}

impl Kind {
    /// All of them.
    const ALL: [Self; 23] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NoRoute,
        Self::MethodNotAllowed,
        Self::TooLarge,
        Self::HeadTooLarge,
        Self::RateLimited,
        Self::NoAccount,
        Self::VendorBroken,
        Self::VendorTimeout,
        Self::OutcomeUnknown,
        Self::Overloaded,
        Self::ClientTooSlow,
        Self::Internal,
        Self::BadInput,
        Self::Unsupported,
        Self::Expression,
        Self::Running,
        Self::KeyReused,
        Self::KeysUnavailable,
        Self::NotCached,
        Self::StoreUnavailable,
    ];

    /// The kind of this name, which the engine of compositions passes on.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The last part of the problem's `type`; stable.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NoRoute => "no-route",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::TooLarge => "body-too-large",
            Self::HeadTooLarge => "head-too-large",
            Self::RateLimited => "rate-limited",
            Self::NoAccount => "no-account-available",
            Self::VendorBroken => "vendor-broken",
            Self::VendorTimeout => "vendor-timeout",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::Overloaded => "overloaded",
            Self::ClientTooSlow => "client-too-slow",
            Self::Internal => "internal",
            Self::BadInput => "bad-input",
            Self::Unsupported => "unsupported",
            Self::Expression => "expression",
            Self::Running => "still-running",
            Self::KeyReused => "key-reused",
            Self::KeysUnavailable => "keys-unavailable",
            Self::NotCached => "not-cached",
            Self::StoreUnavailable => "store-unavailable",
        }
    }

    /// The code that says as much to clients of gRPC: what they would make of the status, unless there is a better one.
    /// <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>
    pub(crate) fn grpc_code(self) -> u8 {
        match self {
            // UNKNOWN, which no client takes for leave to repeat the call.
            Self::OutcomeUnknown => 2,
            // INVALID_ARGUMENT
            Self::BadInput | Self::Expression => 3,
            // DEADLINE_EXCEEDED
            Self::VendorTimeout | Self::ClientTooSlow => 4,
            // PERMISSION_DENIED
            Self::Forbidden => 7,
            // RESOURCE_EXHAUSTED
            Self::RateLimited | Self::TooLarge | Self::HeadTooLarge => 8,
            // FAILED_PRECONDITION
            Self::KeyReused => 9,
            // ABORTED
            Self::Running => 10,
            // UNIMPLEMENTED
            Self::NoRoute | Self::MethodNotAllowed | Self::Unsupported => 12,
            // INTERNAL
            Self::BadRequest | Self::Internal => 13,
            // UNAVAILABLE
            Self::NoAccount
            | Self::VendorBroken
            | Self::Overloaded
            | Self::KeysUnavailable
            | Self::NotCached
            | Self::StoreUnavailable => 14,
            // UNAUTHENTICATED
            Self::Unauthenticated => 16,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "The request is malformed",
            Self::Unauthenticated => "A valid key is needed",
            Self::Forbidden => "This client may not use this route",
            Self::NoRoute => "No route matches the request",
            Self::MethodNotAllowed => "The route does not take this method",
            Self::TooLarge => "The request's body is too large",
            Self::HeadTooLarge => "The request's head is too large",
            Self::RateLimited => "Too many requests",
            Self::NoAccount => "No account can take the request now",
            Self::VendorBroken => "No account gave a usable answer",
            Self::VendorTimeout => "No account answered in time",
            Self::OutcomeUnknown => "The request was sent and its outcome is unknown",
            Self::Overloaded => "The gateway has no room for the request",
            Self::ClientTooSlow => "The request's body did not arrive in time",
            Self::Internal => "The gateway failed",
            Self::BadInput => "The operation's input is wrong",
            Self::Unsupported => "No account can do this",
            Self::Expression => "A value cannot be worked out from this input",
            Self::Running => "A request with this key is still running",
            Self::KeyReused => "This key was used with another request",
            Self::KeysUnavailable => "The token cannot be checked now",
            Self::NotCached => "No answer is kept",
            Self::StoreUnavailable => "What the request does cannot be recorded now",
        }
    }
}

/// One attempt, as problem documents, logs and `Server-Timing` tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Attempt {
    /// Account that was tried or passed over.
    pub(crate) vendor: String,
    /// Verdict, `overtaken` or `skipped`.
    pub(crate) verdict: &'static str,
    /// Fault, status or reason for passing it over.
    pub(crate) reason: Reason,
    /// Milliseconds it took.
    #[serde(rename = "ms")]
    pub(crate) millis: u64,
}

/// Why an attempt ended as it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    Fault(Fault),
    Status(u16),
    Skipped(&'static str),
    /// What kind of failure the vendor's answer told.
    Failure(isobar_adapters::Kind),
    /// Why the account cannot do this at all.
    Gap(std::sync::Arc<str>),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => f.write_str(fault.name()),
            Self::Status(status) => write!(f, "status_{status}"),
            Self::Skipped(why) => f.write_str(why),
            Self::Failure(kind) => f.write_str(kind.name()),
            Self::Gap(why) => write!(f, "cannot: {why}"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Problem {
    pub(crate) fn new(status: u16, kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
            retry_after: None,
            allow: Vec::new(),
            challenge: None,
        }
    }

    /// The document; `trace` names the request in the logs.
    pub(crate) fn document(&self, trace: &str, attempts: &[Attempt]) -> Bytes {
        #[derive(Serialize)]
        struct Document<'a> {
            r#type: String,
            title: &'static str,
            status: u16,
            detail: &'a str,
            instance: String,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            attempts: &'a [Attempt],
        }
        let document = Document {
            r#type: format!("urn:isobar:problem:{}", self.kind.name()),
            title: self.kind.title(),
            status: self.status,
            detail: &self.detail,
            instance: format!("urn:isobar:request:{trace}"),
            attempts,
        };
        serde_json::to_vec(&document).map_or_else(|_| Bytes::from_static(b"{}"), Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn every_problem_of_the_guide_is_found_by_its_name() {
        let page = include_str!("../../../docs/guide/failover.md");
        let (_, table) = page.split_once("| status | type |").unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let mut found = 0;
        for row in table.lines().skip(2) {
            let name = row.split('`').nth(1).unwrap();
            assert_eq!(Kind::named(name).map(Kind::name), Some(name));
            found += 1;
        }
        assert_eq!(found, Kind::ALL.len());
        assert_eq!(Kind::named("nothing-like-that"), None);
    }
}
