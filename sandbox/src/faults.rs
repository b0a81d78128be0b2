//! What goes wrong, by script.
//!
//! A script is a list of rules, in YAML or JSON. Each rule counts the calls that it matches, from 1; of the rules
//! that strike a call the first one written does. Nothing is left to chance.
//!
//! ```yaml
//! - vendor: deepgram               # absent: every vendor
//!   operation: speech.transcribe   # or the vendor's own name of a call, such as StartTranscriptionJob; absent: all
//!   account: deepgram-2            # the credential, as the ledger names it; absent: all
//!   calls: 1                       # the first; or "every" (the default), "first 3", or [1, 3]
//!   fault: { status: { code: 503 } }
//! ```
//!
//! | fault | what happens |
//! | --- | --- |
//! | `refuse` | the connection is reset without a byte of an answer; nothing was executed |
//! | `reset` | the call is executed, and the connection is reset without a byte of an answer |
//! | `{ delay: 500ms }` | the call is executed and answered this much later |
//! | `{ error: { class: quota } }` | the vendor's own answer of that class ([`Class`]); nothing was executed |
//! | `{ code: AuthFailure.SignatureExpire }` | the vendor's own answer with this code of its own, for vendors that have codes; nothing was executed |
//! | `{ rate: { retry_after: 2 } }` | the vendor's own answer to too many calls, with `Retry-After` (seconds) |
//! | `{ status: { code: 503, executed: false } }` | this status with the vendor's own error body, after executing or instead of it |
//! | `fail_job` | the job that this call submits or asks after fails, in the vendor's own way |
//! | `truncated` | executed; half of the body, then the connection is reset |
//! | `malformed` | executed; the body is not JSON |
//! | `wrong_shape` | executed; the body is a JSON object without anything expected |
//! | `{ slow: { pause: 50ms } }` | executed; the body in sixteen pieces with this pause before each |
//! | `{ huge: { bytes: 1000000 } }` | executed; the body is one JSON string of this many bytes |
//!
//! Over a websocket an `error`, `code` or `rate` comes where the vendor reports it: at the handshake or in a frame. What
//! spoils a body spoils each frame; `reset`, and a `status` after executing, end the conversation without an answer.

use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use crate::vendor::Class;
use crate::vendor::Operation;

/// One thing that goes wrong. Module documentation has the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Reset without an answer; not executed.
    Refuse,
    /// Executed; reset without an answer.
    Reset,
    /// Answered later.
    Delay(#[serde(with = "span")] Duration),
    /// The vendor's own error.
    #[serde(rename_all = "snake_case")]
    Error {
        /// Which.
        class: Class,
    },
    /// The vendor's own error with this code of its own.
    Code(String),
    /// The vendor's own answer to too many calls.
    Rate {
        /// Seconds of `Retry-After`; without it, what the vendor itself would send.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u32>,
    },
    /// This status with the vendor's own error body.
    Status {
        /// Status.
        code: u16,
        /// Whether the call is executed before.
        #[serde(default)]
        executed: bool,
    },
    /// The job fails.
    FailJob,
    /// Half of the body.
    Truncated,
    /// Not JSON.
    Malformed,
    /// JSON without anything expected.
    WrongShape,
    /// A body in pieces.
    Slow {
        /// Before each piece.
        #[serde(with = "span")]
        pause: Duration,
    },
    /// A body of this size.
    Huge {
        /// How many bytes.
        bytes: usize,
    },
}

impl Fault {
    /// The vendor's own error of that class.
    pub fn error(class: Class) -> Self {
        Self::Error { class }
    }

    /// The vendor's own error with this code of its own.
    pub fn code(code: &str) -> Self {
        Self::Code(code.to_owned())
    }

    /// This status, and nothing executed.
    pub fn status(code: u16) -> Self {
        Self::Status {
            code,
            executed: false,
        }
    }

    /// Too many calls, with `Retry-After` in seconds.
    pub fn busy(seconds: u32) -> Self {
        Self::Rate {
            retry_after: Some(seconds),
        }
    }

    /// Its name in scripts and in the ledger.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Reset => "reset",
            Self::Delay(_) => "delay",
            Self::Error { .. } => "error",
            Self::Code(_) => "code",
            Self::Rate { .. } => "rate",
            Self::Status { .. } => "status",
            Self::FailJob => "fail_job",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::WrongShape => "wrong_shape",
            Self::Slow { .. } => "slow",
            Self::Huge { .. } => "huge",
        }
    }
}

/// When something goes wrong, and what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// At this vendor; `None`: at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// In this operation or call of the vendor's; `None`: in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// With this credential, as the ledger names it; `None`: with any, also a wrong one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// At which of the matching calls.
    #[serde(default)]
    pub calls: Calls,
    /// What.
    pub fault: Fault,
}

impl Rule {
    /// At every call of one vendor.
    pub fn at(vendor: &str, fault: Fault) -> Self {
        Self {
            vendor: Some(vendor.to_owned()),
            operation: None,
            account: None,
            calls: Calls::Every,
            fault,
        }
    }

    /// The same for one operation, or one call by the vendor's own name.
    #[must_use]
    pub fn during(mut self, operation: &str) -> Self {
        self.operation = Some(operation.to_owned());
        self
    }

    /// The same with one credential, as the ledger names it.
    #[must_use]
    pub fn with(mut self, account: &str) -> Self {
        self.account = Some(account.to_owned());
        self
    }

    /// The same at the first `count` calls.
    #[must_use]
    pub fn first(mut self, count: u64) -> Self {
        self.calls = Calls::First(count);
        self
    }

    /// The same at the nth call, from 1.
    #[must_use]
    pub fn nth(mut self, number: u64) -> Self {
        self.calls = Calls::Those(vec![number]);
        self
    }
}

/// Which of the calls that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Calls {
    /// All.
    #[default]
    Every,
    /// The first so many.
    First(u64),
    /// Those, counted from 1.
    Those(Vec<u64>),
}

impl Calls {
    fn includes(&self, number: u64) -> bool {
        match self {
            Self::Every => true,
            Self::First(count) => number <= *count,
            Self::Those(numbers) => numbers.contains(&number),
        }
    }
}

impl Serialize for Calls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Every => serializer.serialize_str("every"),
            Self::First(count) => serializer.serialize_str(&format!("first {count}")),
            Self::Those(numbers) => numbers.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Calls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Calls;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a number from 1, a list of them, \"every\" or \"first N\"")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Calls, E> {
                match number {
                    0 => Err(E::custom("calls are counted from 1")),
                    _ => Ok(Calls::Those(vec![number])),
                }
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Calls, E> {
                self.visit_u64(u64::try_from(number).unwrap_or_default())
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Calls, E> {
                if text == "every" {
                    return Ok(Calls::Every);
                }
                let count = text
                    .strip_prefix("first ")
                    .and_then(|count| count.trim().parse().ok());
                match count {
                    Some(count) => Ok(Calls::First(count)),
                    None => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Calls, A::Error> {
                let mut numbers = Vec::new();
                while let Some(number) = list.next_element::<u64>()? {
                    numbers.push(number);
                }
                Ok(Calls::Those(numbers))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Durations in scripts: `500ms`, `2s`, `1m`.
mod span {
    use super::{Deserialize as _, Deserializer, Duration, Serializer};

    pub(super) fn serialize<S: Serializer>(
        span: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}ms", span.as_millis()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        use serde::de::Error as _;
        let text = String::deserialize(deserializer)?;
        super::duration(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not a duration such as `500ms` or `2s`"
            ))
        })
    }
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (count, unit) = text.split_at(unit);
    let count: u64 = count.parse().ok()?;
    let millis = match unit.trim() {
        "ms" => count,
        "s" => count.checked_mul(1000)?,
        "m" => count.checked_mul(60_000)?,
        _ => return None,
    };
    Some(Duration::from_millis(millis))
}

/// The rules in force.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<(Rule, u64)>>,
}

impl Faults {
    /// Replaces the script; counting begins anew.
    pub fn set(&self, rules: impl IntoIterator<Item = Rule>) {
        *self.rules.lock() = rules.into_iter().map(|rule| (rule, 0)).collect();
    }

    /// Adds one rule behind the others.
    pub fn add(&self, rule: Rule) {
        self.rules.lock().push((rule, 0));
    }

    /// The rules with the number of calls that each has matched so far.
    pub fn rules(&self) -> Vec<(Rule, u64)> {
        self.rules.lock().clone()
    }

    /// Forgets the script.
    pub fn clear(&self) {
        self.rules.lock().clear();
    }

    /// Counts a call and finds what goes wrong with it.
    pub(crate) fn strike(
        &self,
        vendor: &str,
        operation: Operation,
        account: Option<&str>,
    ) -> Option<Fault> {
        let mut struck = None;
        for (rule, count) in self.rules.lock().iter_mut() {
            let named =
                |name: &String| name == operation.call || Some(name.as_str()) == operation.of;
            let matches = rule.vendor.as_deref().is_none_or(|name| name == vendor)
                && rule.operation.as_ref().is_none_or(named)
                && (rule.account.is_none() || rule.account.as_deref() == account);
            if matches {
                *count += 1;
                if struck.is_none() && rule.calls.includes(*count) {
                    struck = Some(rule.fault.clone());
                }
            }
        }
        struck
    }
}

/// Reads a script, YAML or JSON. The error is a sentence with the place.
pub fn read(text: &str) -> Result<Vec<Rule>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    // JSON first: its errors are plainer for what comes over the control endpoint.
    if text.trim_start().starts_with(['[', '{'])
        && serde_json::from_str::<serde_json::Value>(text).is_ok()
    {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTEN: Operation = Operation::new("listen", "speech.transcribe");

    #[test]
    fn scripts_are_read_from_yaml_and_json() {
        let yaml = "
- vendor: deepgram
  operation: speech.transcribe
  calls: first 2
  fault: { rate: { retry_after: 2 } }
- fault: refuse
  calls: [2, 4]
- { vendor: aws, calls: 1, fault: { delay: 500ms } }
- { fault: { error: { class: too_large } } }
- { vendor: tencent, fault: { code: AuthFailure.SignatureExpire } }
- { vendor: baidu, fault: { code: '18' } }
";
        let rules = read(yaml).unwrap();
        assert_eq!(
            rules[0],
            Rule::at("deepgram", Fault::busy(2))
                .during("speech.transcribe")
                .first(2)
        );
        assert_eq!(rules[1].calls, Calls::Those(vec![2, 4]));
        assert_eq!(rules[2].fault, Fault::Delay(Duration::from_millis(500)));
        assert_eq!(rules[3].fault, Fault::error(Class::TooLarge));
        assert_eq!(rules[4].fault, Fault::code("AuthFailure.SignatureExpire"));
        assert_eq!(rules[5].fault, Fault::code("18"));
        let json = serde_json::to_string(&rules).unwrap();
        assert_eq!(read(&json).unwrap(), rules);
    }

    #[test]
    fn mistakes_in_scripts_are_errors() {
        for wrong in [
            "- { fault: explode }",
            "- { fault: refuse, vender: aws }",
            "- { fault: refuse, calls: 0 }",
            "- { fault: refuse, calls: last }",
            "- { fault: { delay: 5 parsecs } }",
            "- { vendor: aws }",
            "[{\"fault\": 7}]",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_rule_that_strikes_does_and_every_match_is_counted() {
        let faults = Faults::default();
        faults.set([
            Rule::at("deepgram", Fault::Refuse).nth(2),
            Rule::at("deepgram", Fault::Reset).during("listen").first(2),
            Rule::at("deepgram", Fault::Malformed).with("deepgram-2"),
        ]);
        let strike = |account| faults.strike("deepgram", LISTEN, Some(account));
        assert_eq!(strike("deepgram"), Some(Fault::Reset));
        assert_eq!(strike("deepgram"), Some(Fault::Refuse));
        assert_eq!(strike("deepgram"), None);
        assert_eq!(strike("deepgram-2"), Some(Fault::Malformed));
        assert_eq!(faults.strike("aws", LISTEN, None), None);
        let counts: Vec<_> = faults.rules().into_iter().map(|(_, count)| count).collect();
        assert_eq!(counts, [4, 4, 1]);
    }
}
