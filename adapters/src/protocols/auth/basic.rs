//! User and password in one header (RFC 7617).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;

use super::{SignError, error::sensitive_value};

/// The value of `Authorization` for a user and a password, which may be empty.
pub(crate) fn basic(user: &str, password: &str) -> Result<HeaderValue, SignError> {
    let problem = |name, problem| Err(SignError::Credential { name, problem });
    if user.contains(':') {
        return problem("user name", "holds a colon");
    }
    if user.chars().any(char::is_control) {
        return problem("user name", "holds a control character");
    }
    if password.chars().any(char::is_control) {
        return problem("password", "holds a control character");
    }
    let pair = STANDARD.encode(format!("{user}:{password}"));
    sensitive_value("password", &format!("Basic {pair}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pairs_of_the_standard_are_encoded() {
        // The examples of RFC 7617, sections 2 and 2.1.
        for (user, password, expected) in [
            (
                "Aladdin",
                "open sesame",
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            ),
            ("test", "123£", "Basic dGVzdDoxMjPCow=="),
            ("key", "", "Basic a2V5Og=="),
        ] {
            let value = basic(user, password).unwrap();
            assert_eq!(value, expected);
            assert_eq!(format!("{value:?}"), "Sensitive");
        }
    }

    #[test]
    fn pairs_that_cannot_be_taken_apart_again_are_refused() {
        for (user, password, expected) in [
            ("a:b", "s3cret", "the user name holds a colon"),
            ("a\n", "s3cret", "the user name holds a control character"),
            ("a", "s3cret\n", "the password holds a control character"),
        ] {
            let error = basic(user, password).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
