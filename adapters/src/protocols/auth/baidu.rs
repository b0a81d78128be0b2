//! Baidu's token call: client credentials in the query of an empty POST; the token, good for a month, goes in later
//! queries.
//!
//! <https://ai.baidu.com/ai-doc/REFERENCE/Ck3dwjhhu>

use super::oauth::client_credentials_form;

/// The query, without `?`, of `POST /oauth/2.0/token`. It holds the secret.
pub(crate) fn token_query(api_key: &str, secret_key: &str) -> String {
    client_credentials_form(api_key, secret_key, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_the_documented_one() {
        assert_eq!(
            token_query("exampleApiKey", "exampleSecretKey"),
            "grant_type=client_credentials&client_id=exampleApiKey\
             &client_secret=exampleSecretKey"
        );
    }
}
