//! The answer to a token call, in the shape that all OAuth-like services share (RFC 6749, sections 5.1 and 5.2).

use std::time::{Duration, SystemTime};

use isobar_config::Secret;
use serde_json::{Map, Value};

/// What a token is taken to live when the answer does not say.
const UNSAID_LIFE: Duration = Duration::from_mins(10);
/// Nobody issues longer ones; keeps a nonsensical number from overflowing the clock.
const LONGEST_LIFE: Duration = Duration::from_hours(366 * 24);
/// Enough of a vendor's explanation for a log line, in characters.
const LONGEST_DESCRIPTION: usize = 300;

/// A short-lived credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// What to send.
    pub(crate) value: Secret,
    /// When the issuer stops honouring it; to be replaced somewhat earlier.
    pub(crate) expires_at: SystemTime,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// The issuer does not accept the credential or the request; asking again changes nothing.
    #[error("the token was refused: {code}{}", explained(description.as_deref()))]
    Refused {
        /// Such as `invalid_client` or `invalid_grant`.
        code: String,
        /// The issuer's words.
        description: Option<String>,
    },
    /// The issuer cannot answer now.
    #[error("no token for now: {code}{}", explained(description.as_deref()))]
    Unavailable {
        /// Such as `temporarily_unavailable`.
        code: String,
        /// The issuer's words.
        description: Option<String>,
    },
    /// The answer is neither a token nor an error; it is not shown, for it may hold half a token.
    #[error("the answer to the token call {0}")]
    Unreadable(&'static str),
}

fn explained(description: Option<&str>) -> String {
    description.map_or_else(String::new, |text| format!(" ({text})"))
}

/// Reads the body of a token call's answer, whatever its status, that arrived at `now`.
///
/// A missing `expires_in` counts as ten minutes; one written as text is read too.
pub(crate) fn parse_token_answer(body: &[u8], now: SystemTime) -> Result<Token, TokenError> {
    let Ok(Value::Object(answer)) = serde_json::from_slice(body) else {
        return Err(TokenError::Unreadable("is not a JSON object"));
    };
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        return Err(refusal(error, &answer));
    }
    let Some(Value::String(token)) = answer.get("access_token") else {
        return Err(TokenError::Unreadable("has neither a token nor an error"));
    };
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Unreadable(
            "has a token that no header can carry",
        ));
    }
    let life = match answer.get("expires_in") {
        None | Some(Value::Null) => UNSAID_LIFE,
        Some(seconds) => life(seconds).ok_or(TokenError::Unreadable(
            "has an `expires_in` that is no number of seconds",
        ))?,
    };
    Ok(Token {
        value: Secret::new(token.as_str()),
        expires_at: now.checked_add(life).unwrap_or(now),
    })
}

fn life(seconds: &Value) -> Option<Duration> {
    let seconds = match seconds {
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        number => number.as_f64()?,
    };
    let longest = LONGEST_LIFE.as_secs_f64();
    let seconds = if seconds > longest { longest } else { seconds };
    Duration::try_from_secs_f64(seconds).ok()
}

/// Reads `{"error": "code", "error_description": "…"}` and Google's `{"error": {"status": …, "message": …}}`.
fn refusal(error: &Value, answer: &Map<String, Value>) -> TokenError {
    let (code, description) = match error {
        Value::Object(error) => (
            error.get("status").or_else(|| error.get("code")),
            error.get("message"),
        ),
        code => (Some(code), answer.get("error_description")),
    };
    let code = match code {
        Some(Value::String(code)) => shortened(code),
        Some(Value::Number(code)) => code.to_string(),
        _ => "unnamed error".to_owned(),
    };
    let description = description.and_then(Value::as_str).map(shortened);
    match code.as_str() {
        "temporarily_unavailable"
        | "server_error"
        | "internal_failure"
        | "slow_down"
        | "UNAVAILABLE"
        | "INTERNAL"
        | "RESOURCE_EXHAUSTED" => TokenError::Unavailable { code, description },
        _ => TokenError::Refused { code, description },
    }
}

/// One line of bounded length.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(LONGEST_DESCRIPTION).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn seconds_of(answer: &str) -> u64 {
        let token = parse_token_answer(answer.as_bytes(), NOW).unwrap();
        token.expires_at.duration_since(NOW).unwrap().as_secs()
    }

    #[test]
    fn tokens_of_every_issuer_are_read() {
        // Google, Microsoft (also the older number as text), Baidu.
        for (answer, value, seconds) in [
            (
                r#"{"access_token":"ya29.c.b0Aaek","expires_in":3599,"token_type":"Bearer"}"#,
                "ya29.c.b0Aaek",
                3599,
            ),
            (
                r#"{"token_type":"Bearer","expires_in":"3599","ext_expires_in":"3599","access_token":"eyJ0.eyJ1.c2ln"}"#,
                "eyJ0.eyJ1.c2ln",
                3599,
            ),
            (
                r#"{"refresh_token":"25.b55f","expires_in":2592000,"session_key":"9mzd","access_token":"24.6c5e",
                    "scope":"public brain_all_scope","session_secret":"6a1e"}"#,
                "24.6c5e",
                2_592_000,
            ),
            (r#"{"access_token":"t"}"#, "t", 600),
            (r#"{"access_token":"t","expires_in":null}"#, "t", 600),
            (r#"{"access_token":"t","expires_in":0}"#, "t", 0),
            (
                r#"{"access_token":"t","expires_in":59.5,"error":null}"#,
                "t",
                59,
            ),
        ] {
            let token = parse_token_answer(answer.as_bytes(), NOW).unwrap();
            assert_eq!(token.value.expose(), value);
            assert_eq!(seconds_of(answer), seconds, "{answer}");
            assert!(!format!("{token:?}").contains(value) || value == "t");
        }
    }

    #[test]
    fn an_absurd_life_is_cut_to_a_year() {
        let year = LONGEST_LIFE.as_secs();
        assert_eq!(
            seconds_of(r#"{"access_token":"t","expires_in":1e300}"#),
            year
        );
        assert_eq!(
            seconds_of(r#"{"access_token":"t","expires_in":"inf"}"#),
            year
        );
    }

    #[test]
    fn refusals_keep_the_issuers_words() {
        for (answer, expected) in [
            (
                r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#,
                "the token was refused: invalid_grant (Invalid JWT Signature.)",
            ),
            (
                r#"{"error_description":"unknown client id","error":"invalid_client"}"#,
                "the token was refused: invalid_client (unknown client id)",
            ),
            (
                r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret.\r\nTrace ID: 1"}"#,
                "the token was refused: invalid_client (AADSTS7000215: Invalid client secret. Trace ID: 1)",
            ),
            (
                r#"{"error":"invalid_scope"}"#,
                "the token was refused: invalid_scope",
            ),
            (
                r#"{"error":{"code":401,"message":"Request is missing a key.","status":"UNAUTHENTICATED"}}"#,
                "the token was refused: UNAUTHENTICATED (Request is missing a key.)",
            ),
            (r#"{"error":{"code":404}}"#, "the token was refused: 404"),
            (r#"{"error":[]}"#, "the token was refused: unnamed error"),
            (
                r#"{"error":"temporarily_unavailable"}"#,
                "no token for now: temporarily_unavailable",
            ),
        ] {
            let error = parse_token_answer(answer.as_bytes(), NOW).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        let long = format!(
            r#"{{"error":"invalid_grant","error_description":"{}"}}"#,
            "ж".repeat(5000)
        );
        let error = parse_token_answer(long.as_bytes(), NOW).unwrap_err();
        assert!(error.to_string().chars().count() < 400);
    }

    #[test]
    fn answers_that_are_neither_say_so_without_showing_themselves() {
        for (answer, expected) in [
            ("", "is not a JSON object"),
            ("<html>s3cret</html>", "is not a JSON object"),
            (r#"["s3cret"]"#, "is not a JSON object"),
            (r#"{"access_token":"s3cret""#, "is not a JSON object"),
            (r#"{"token":"s3cret"}"#, "has neither a token nor an error"),
            (
                r#"{"access_token":["s3cret"]}"#,
                "has neither a token nor an error",
            ),
            (
                r#"{"access_token":""}"#,
                "has a token that no header can carry",
            ),
            (
                r#"{"access_token":"s3cret\r\nx: y"}"#,
                "has a token that no header can carry",
            ),
            (
                r#"{"access_token":"s3cret","expires_in":-1}"#,
                "has an `expires_in` that is no number of seconds",
            ),
            (
                r#"{"access_token":"s3cret","expires_in":"soon"}"#,
                "has an `expires_in` that is no number of seconds",
            ),
            (
                r#"{"access_token":"s3cret","expires_in":"NaN"}"#,
                "has an `expires_in` that is no number of seconds",
            ),
        ] {
            let error = parse_token_answer(answer.as_bytes(), NOW).unwrap_err();
            assert_eq!(error, TokenError::Unreadable(expected), "{answer}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_fall_over(bytes in prop::collection::vec(any::<u8>(), 0..200), life in any::<f64>()) {
            let _ = parse_token_answer(&bytes, NOW);
            let answer = format!(r#"{{"access_token":"t","expires_in":"{life}"}}"#);
            let _ = parse_token_answer(answer.as_bytes(), NOW);
        }
    }
}
