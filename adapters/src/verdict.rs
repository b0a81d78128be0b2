//! The one place that says what an attempt proved and whether another may follow.
//!
//! Pure: no clock, no state. Both the streaming and the exchange path ask it, and so does `isobar explain`.

use isobar_config::Effect;
use serde::Serialize;

/// What was seen of an attempt, as far as the wire tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The request's head never left us.
    NotSent(Fault),
    /// A whole, readable answer arrived.
    Answered {
        /// HTTP status.
        status: u16,
        /// Whether it named a time to come back (`Retry-After`).
        retry_after: bool,
        /// Whether the credential sent was ours, so that 401 and 402 speak of our account and not of the client.
        own_credential: bool,
    },
    /// Bytes left us and no whole answer came back.
    Broken(Fault),
}

/// Why an attempt has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The name does not resolve.
    Dns,
    /// No TCP connection.
    Connect,
    /// The TLS handshake failed or the certificate is not trusted.
    Tls,
    /// No connection in time.
    ConnectTimeout,
    /// The connection closed before it took the request.
    Closed,
    /// The vendor turned the request away before it looked at it (`REFUSED_STREAM` of HTTP/2).
    Refused,
    /// No answer in time.
    Timeout,
    /// The connection was lost before the answer's head.
    Reset,
    /// The answer's head is not HTTP.
    Malformed,
    /// The answer's body ended early.
    Truncated,
    /// The answer switched protocols unasked.
    UnaskedUpgrade,
}

impl Fault {
    /// Stable name for metrics, logs and problem documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::ConnectTimeout => "connect_timeout",
            Self::Closed => "closed",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::UnaskedUpgrade => "unasked_upgrade",
        }
    }

    /// Whether the vendor was too slow, rather than wrong: 504, not 502.
    pub fn is_timeout(self) -> bool {
        matches!(self, Self::Timeout | Self::ConnectTimeout)
    }
}

/// What an attempt proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It worked.
    Ok,
    /// The vendor never saw it.
    NotSent,
    /// The vendor said that it did not process it.
    Refused,
    /// A definite refusal of the business kind; another vendor may decide otherwise.
    RejectedRetryable,
    /// A definite refusal; asking elsewhere is pointless.
    RejectedFinal,
    /// It failed, and repeating does no harm.
    Failed,
    /// It may or may not have happened.
    Unknown,
}

impl Verdict {
    /// Every verdict, for metrics that register each once.
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::NotSent,
        Self::Refused,
        Self::RejectedRetryable,
        Self::RejectedFinal,
        Self::Failed,
        Self::Unknown,
    ];

    /// Judges `evidence` for an operation with this effect.
    pub fn of(evidence: Evidence, effect: Effect) -> Self {
        let lost = match effect {
            Effect::Read | Effect::Idempotent => Self::Failed,
            Effect::Keyed | Effect::Unsafe => Self::Unknown,
        };
        match evidence {
            // RFC 9113 §8.7: a refused stream was not processed.
            Evidence::NotSent(Fault::Refused) => Self::Refused,
            Evidence::NotSent(_) => Self::NotSent,
            Evidence::Broken(_) => lost,
            Evidence::Answered {
                status,
                retry_after,
                own_credential,
            } => match status {
                // RFC 6585 §4, RFC 8470 §5.2, RFC 9110 §15.5.20: none of these was processed.
                429 | 425 | 421 => Self::Refused,
                // A 503 that names a time is a server turning work away; a bare one may have failed half-way.
                503 | 529 if retry_after => Self::Refused,
                // Our own key is revoked or out of credit: the next account has another.
                401 | 402 if own_credential => Self::Refused,
                408 | 500 | 502..=504 | 506..=599 => lost,
                400..=499 | 501 | 505 => Self::RejectedFinal,
                _ => Self::Ok,
            },
        }
    }

    /// Whether it speaks against the account's health.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::NotSent | Self::Failed | Self::Unknown)
    }

    /// Stable name for metrics, logs and problem documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotSent => "not_sent",
            Self::Refused => "refused",
            Self::RejectedRetryable => "rejected_retryable",
            Self::RejectedFinal => "rejected_final",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// What may be done after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Give the client this answer.
    Answer,
    /// Try another account.
    Other,
    /// Find out first, at the same account with the same key.
    Resolve,
    /// Stop and report.
    Stop,
}

/// The decision table: may another attempt follow?
#[expect(clippy::match_same_arms, reason = "one line for each row of the table")]
pub fn next(verdict: Verdict, effect: Effect) -> Next {
    match (verdict, effect) {
        (Verdict::Ok | Verdict::RejectedFinal, _) => Next::Answer,
        (Verdict::NotSent | Verdict::Refused, _) => Next::Other,
        (Verdict::RejectedRetryable, Effect::Keyed | Effect::Unsafe) => Next::Other,
        (Verdict::RejectedRetryable, Effect::Read | Effect::Idempotent) => Next::Answer,
        (Verdict::Failed | Verdict::Unknown, Effect::Read | Effect::Idempotent) => Next::Other,
        (Verdict::Failed | Verdict::Unknown, Effect::Keyed) => Next::Resolve,
        (Verdict::Failed | Verdict::Unknown, Effect::Unsafe) => Next::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EFFECTS: [Effect; 4] = [
        Effect::Read,
        Effect::Idempotent,
        Effect::Keyed,
        Effect::Unsafe,
    ];

    fn check(evidence: Evidence, expected: [(Verdict, Next); 4]) {
        for (effect, (verdict, then)) in EFFECTS.into_iter().zip(expected) {
            let judged = Verdict::of(evidence, effect);
            assert_eq!(
                (judged, next(judged, effect)),
                (verdict, then),
                "{evidence:?} with effect {effect:?}"
            );
        }
    }

    fn status(status: u16) -> Evidence {
        Evidence::Answered {
            status,
            retry_after: false,
            own_credential: false,
        }
    }

    const LOST: [(Verdict, Next); 4] = [
        (Verdict::Failed, Next::Other),
        (Verdict::Failed, Next::Other),
        (Verdict::Unknown, Next::Resolve),
        (Verdict::Unknown, Next::Stop),
    ];

    #[test]
    fn a_request_that_never_left_may_always_go_elsewhere() {
        for fault in [
            Fault::Dns,
            Fault::Connect,
            Fault::Tls,
            Fault::ConnectTimeout,
            Fault::Closed,
        ] {
            check(
                Evidence::NotSent(fault),
                [(Verdict::NotSent, Next::Other); 4],
            );
        }
    }

    #[test]
    fn a_stream_that_was_refused_may_always_go_elsewhere() {
        check(
            Evidence::NotSent(Fault::Refused),
            [(Verdict::Refused, Next::Other); 4],
        );
    }

    #[test]
    fn a_refusal_before_work_may_always_go_elsewhere() {
        for code in [421, 425, 429] {
            check(status(code), [(Verdict::Refused, Next::Other); 4]);
        }
        let busy = Evidence::Answered {
            status: 503,
            retry_after: true,
            own_credential: false,
        };
        check(busy, [(Verdict::Refused, Next::Other); 4]);
    }

    #[test]
    fn a_lost_answer_goes_elsewhere_only_when_repeating_is_harmless() {
        for fault in [
            Fault::Timeout,
            Fault::Reset,
            Fault::Malformed,
            Fault::Truncated,
            Fault::UnaskedUpgrade,
        ] {
            check(Evidence::Broken(fault), LOST);
        }
        for code in [408, 500, 502, 503, 504, 520, 529] {
            check(status(code), LOST);
        }
    }

    #[test]
    fn definite_answers_end_the_matter() {
        for code in [200, 204, 301, 304] {
            check(status(code), [(Verdict::Ok, Next::Answer); 4]);
        }
        for code in [400, 401, 402, 403, 404, 409, 422, 501, 505] {
            check(status(code), [(Verdict::RejectedFinal, Next::Answer); 4]);
        }
    }

    #[test]
    fn a_refusal_of_our_own_credential_is_not_the_clients_fault() {
        for code in [401, 402] {
            let revoked = Evidence::Answered {
                status: code,
                retry_after: false,
                own_credential: true,
            };
            check(revoked, [(Verdict::Refused, Next::Other); 4]);
        }
    }

    #[test]
    fn no_unknown_outcome_is_ever_sent_to_another_account() {
        for verdict in Verdict::ALL {
            for effect in [Effect::Keyed, Effect::Unsafe] {
                if matches!(verdict, Verdict::Unknown | Verdict::Failed) {
                    assert_ne!(next(verdict, effect), Next::Other);
                }
            }
        }
    }
}
