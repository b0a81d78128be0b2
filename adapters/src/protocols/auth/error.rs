//! Why a request could not be signed: always before anything was sent, never with a byte of the credential.

use http::HeaderValue;

/// What keeps a request from being signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignError {
    /// A value of the account cannot be right.
    #[error("the {name} {problem}")]
    Credential {
        /// Which of the account's values, in words.
        name: &'static str,
        /// What is wrong with it, as the rest of a sentence.
        problem: &'static str,
    },
    /// A service account's key file cannot be used.
    #[error("the service account key {0}")]
    KeyFile(String),
    /// The request lacks a header that the scheme signs.
    #[error("the request has no `{0}` header to sign")]
    MissingHeader(&'static str),
    /// The time cannot be written in the scheme's format.
    #[error("the clock shows no year from 1970 to 9999")]
    Clock,
}

/// Refuses a value that no vendor issues: empty, or with spaces, control characters or letters outside ASCII, as a
/// copied line break leaves behind.
pub(super) fn check_credential(name: &'static str, value: &str) -> Result<(), SignError> {
    let problem = if value.is_empty() {
        "is empty"
    } else if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        "holds a space, a control character or a letter outside ASCII"
    } else {
        return Ok(());
    };
    Err(SignError::Credential { name, problem })
}

/// Makes a header's value of a text that came from `name`, marked so that printing the headers does not show it.
pub(super) fn sensitive_value(name: &'static str, text: &str) -> Result<HeaderValue, SignError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| SignError::Credential {
        name,
        problem: "holds a character that no header can carry",
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_credential_is_named_and_not_shown() {
        for (value, expected) in [
            ("", "the secret key is empty"),
            (
                "abc\n",
                "the secret key holds a space, a control character or a letter outside ASCII",
            ),
            (
                "ключ",
                "the secret key holds a space, a control character or a letter outside ASCII",
            ),
        ] {
            let error = check_credential("secret key", value).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        assert_eq!(check_credential("secret key", "aB3/+=_-"), Ok(()));
        let error = sensitive_value("session token", "s3cret\r\n").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
        let value = sensitive_value("session token", "s3cret").unwrap();
        assert!(!format!("{value:?}").contains("s3cret"));
    }
}
