//! OAuth 2.0 client credentials (RFC 6749, section 4.4): the body of the token call.
//!
//! The answer is read by `token`.

use super::encode::encode_query;

/// The `application/x-www-form-urlencoded` body that asks for a token. It holds the secret.
pub(crate) fn client_credentials_form(
    client_id: &str,
    client_secret: &str,
    scope: Option<&str>,
) -> String {
    let mut pairs = vec![
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("client_secret", client_secret),
    ];
    pairs.extend(scope.map(|scope| ("scope", scope)));
    encode_query(&pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_carries_every_value_encoded() {
        assert_eq!(
            client_credentials_form(
                "3f2504e0-4f89-11d3",
                "a+b/c=d&e~f g",
                Some("https://cognitiveservices.azure.com/.default")
            ),
            "grant_type=client_credentials&client_id=3f2504e0-4f89-11d3&client_secret=a%2Bb%2Fc%3Dd%26e~f%20g\
             &scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"
        );
    }

    #[test]
    fn a_scope_is_optional() {
        assert_eq!(
            client_credentials_form("id", "ключ", None),
            "grant_type=client_credentials&client_id=id&client_secret=%D0%BA%D0%BB%D1%8E%D1%87"
        );
    }
}
