//! Why a call failed, in terms of what the caller can do.

use std::time::Duration;

use isobar_config::Effect;
use serde::Serialize;

use crate::{Evidence, Verdict, projection::Misread, template::Unrendered};

/// What kind of failure it is. A kind is added when a caller would act differently, not when a vendor has a new status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Our credential at the vendor is wrong, expired or may not do this.
    Auth,
    /// The account is out of credit or of its quota.
    Quota,
    /// Too many requests for now.
    RateLimited,
    /// The vendor turned the work away before doing any.
    Unavailable,
    /// The input is wrong.
    Invalid,
    /// The input is larger than this vendor takes.
    TooLarge,
    /// This vendor cannot do this: the language, format or option.
    Unsupported,
    /// It took too long.
    Timeout,
    /// The vendor failed, and may have done the work.
    Internal,
    /// The answer is not what the vendor's documentation promises.
    Misread,
    /// The request never left.
    NotSent,
}

impl Kind {
    /// Every kind that a manifest may name.
    pub(crate) const NAMED: [(&'static str, Self); 9] = [
        ("auth", Self::Auth),
        ("quota", Self::Quota),
        ("rate_limited", Self::RateLimited),
        ("unavailable", Self::Unavailable),
        ("invalid", Self::Invalid),
        ("too_large", Self::TooLarge),
        ("unsupported", Self::Unsupported),
        ("timeout", Self::Timeout),
        ("internal", Self::Internal),
    ];

    /// Stable name for metrics, logs and problem documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Misread => "misread",
            Self::NotSent => "not_sent",
            kind => Self::NAMED
                .iter()
                .find(|(_, known)| *known == kind)
                .map_or("internal", |(name, _)| name),
        }
    }

    /// The kind that a status means where the vendor's manifest says nothing more.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Auth,
            402 => Self::Quota,
            429 => Self::RateLimited,
            503 | 529 => Self::Unavailable,
            408 | 504 => Self::Timeout,
            413 => Self::TooLarge,
            415 => Self::Unsupported,
            400..=499 => Self::Invalid,
            _ => Self::Internal,
        }
    }

    /// What an attempt that failed so proved.
    pub fn verdict(self, effect: Effect) -> Verdict {
        match self {
            Self::NotSent => Verdict::NotSent,
            // A gap of one vendor is not the caller's mistake: another may have no such gap.
            Self::Auth
            | Self::Quota
            | Self::RateLimited
            | Self::Unavailable
            | Self::TooLarge
            | Self::Unsupported => Verdict::Refused,
            Self::Invalid => Verdict::RejectedFinal,
            Self::Timeout | Self::Internal | Self::Misread => match effect {
                Effect::Read | Effect::Idempotent => Verdict::Failed,
                Effect::Keyed | Effect::Unsafe => Verdict::Unknown,
            },
        }
    }

    /// Whether it speaks of the account's health and not of this one input.
    pub fn is_accounts(self) -> bool {
        !matches!(self, Self::Invalid | Self::TooLarge | Self::Unsupported)
    }
}

/// A call that failed at one account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of failure.
    pub kind: Kind,
    /// In one sentence, for the client: no key, no host, at most a short word of the vendor's own.
    pub message: String,
    /// The vendor's own code, if it gave one.
    pub code: Option<String>,
    /// The vendor's status, if it answered.
    pub status: Option<u16>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// What was seen on the wire, where the vendor did not answer.
    pub evidence: Option<Evidence>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            status: None,
            retry_after: None,
            evidence: None,
        }
    }

    /// A failure of this kind, in one sentence.
    pub fn of(kind: Kind, message: impl Into<String>) -> Self {
        Self::new(kind, message)
    }

    /// A request without an answer.
    pub(crate) fn lost(evidence: Evidence) -> Self {
        let (kind, fault) = match evidence {
            Evidence::NotSent(fault) => (Kind::NotSent, fault),
            Evidence::Broken(fault) if fault.is_timeout() => (Kind::Timeout, fault),
            Evidence::Broken(fault) => (Kind::Internal, fault),
            Evidence::Answered { .. } => {
                return Self::new(Kind::Internal, "the vendor's answer could not be used");
            }
        };
        Self {
            evidence: Some(evidence),
            ..Self::new(kind, format!("no answer from the vendor: {}", fault.name()))
        }
    }

    /// What the attempt proved.
    pub fn verdict(&self, effect: Effect) -> Verdict {
        match self.evidence {
            Some(evidence) => Verdict::of(evidence, effect),
            None => self.kind.verdict(effect),
        }
    }
}

impl From<Misread> for Failure {
    fn from(misread: Misread) -> Self {
        Self::new(
            Kind::Misread,
            format!("the vendor's answer is not as documented: {misread}"),
        )
    }
}

impl From<Unrendered> for Failure {
    fn from(unrendered: Unrendered) -> Self {
        let kind = match unrendered {
            Unrendered::Unfit { .. } => Kind::Invalid,
            Unrendered::Missing(_) | Unrendered::Misplaced(_) => Kind::Unsupported,
        };
        Self::new(
            kind,
            format!("the vendor's request cannot be made: {unrendered}"),
        )
    }
}
