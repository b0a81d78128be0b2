//! iFlytek's signed WebSocket addresses: the signature travels in the query, for a handshake takes no other headers.
//!
//! <https://www.xfyun.cn/doc/asr/voicedictation/API.html>

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    SignError, date::Moment, digest::hmac_sha256, encode::encode_query, error::check_credential,
};

/// The query, without `?`, that opens `wss://{host}{path}` within five minutes of `now`.
///
/// It holds no secret but opens a session in the account's name: it does not belong in a log. Fails if a credential
/// cannot be right.
pub(crate) fn sign_url(
    host: &str,
    path: &str,
    api_key: &str,
    api_secret: &str,
    now: SystemTime,
) -> Result<String, SignError> {
    check_credential("API key", api_key)?;
    check_credential("API secret", api_secret)?;
    if api_key.contains(['"', ',']) {
        return Err(SignError::Credential {
            name: "API key",
            problem: "holds a quotation mark or a comma",
        });
    }
    Moment::of(now)?;
    let date = httpdate::fmt_http_date(now);
    let to_sign = format!("host: {host}\ndate: {date}\nGET {path} HTTP/1.1");
    let signature = STANDARD.encode(hmac_sha256(api_secret.as_bytes(), to_sign.as_bytes()));
    let authorization = STANDARD.encode(format!(
        r#"api_key="{api_key}", algorithm="hmac-sha256", headers="host date request-line", signature="{signature}""#
    ));
    Ok(encode_query(&[
        ("authorization", &authorization),
        ("date", &date),
        ("host", host),
    ]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const HOST: &str = "iat-api.xfyun.cn";
    const PATH: &str = "/v2/iat";
    const KEY: &str = "keyxxxxxxxx8ee279348519exxxxxxxx";
    const SECRET: &str = "secretxxxxxxxx2df7900c09xxxxxxxx";

    #[test]
    fn the_vendors_example_is_signed_as_the_vendor_prints_it() {
        let now = httpdate::parse_http_date("Wed, 10 Jul 2019 07:35:43 GMT").unwrap();
        assert_eq!(
            sign_url(HOST, PATH, KEY, SECRET, now).unwrap(),
            "authorization=YXBpX2tleT0ia2V5eHh4eHh4eHg4ZWUyNzkzNDg1MTlleHh4eHh4eHgiLCBhbGdvcml0aG09ImhtYWMtc2hhMjU2\
             IiwgaGVhZGVycz0iaG9zdCBkYXRlIHJlcXVlc3QtbGluZSIsIHNpZ25hdHVyZT0iSHAzVHk0WmtTQm1MOGpLeU9McFFpdjlTcjVu\
             dm1lWUVIN1dzTC9aTzJKZz0i\
             &date=Wed%2C%2010%20Jul%202019%2007%3A35%3A43%20GMT&host=iat-api.xfyun.cn"
        );
    }

    #[test]
    fn bad_credentials_are_named_and_not_shown() {
        for (key, secret, expected) in [
            ("", SECRET, "the API key is empty"),
            (
                r#"k","x"#,
                SECRET,
                "the API key holds a quotation mark or a comma",
            ),
            (
                KEY,
                "s3cret\n",
                "the API secret holds a space, a control character or a letter outside ASCII",
            ),
        ] {
            let error = sign_url(HOST, PATH, key, secret, SystemTime::UNIX_EPOCH).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        let year_10000 = SystemTime::UNIX_EPOCH + Duration::from_hours(70_389_528);
        let error = sign_url(HOST, PATH, KEY, SECRET, year_10000).unwrap_err();
        assert_eq!(error, SignError::Clock);
    }

    proptest! {
        #[test]
        fn a_signature_depends_on_every_signed_part(
            host in "[a-z]{1,10}",
            path in "/[a-z0-9/]{0,10}",
            secret in "[A-Za-z0-9]{1,32}",
            seconds in 0u64..4_000_000_000,
        ) {
            let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let sign = |host: &str, path: &str, secret: &str, seconds| {
                let query = sign_url(host, path, KEY, secret, at(seconds)).unwrap();
                query.split_once('&').unwrap().0.to_owned()
            };
            let reference = sign(&host, &path, &secret, seconds);
            prop_assert_eq!(&reference, &sign(&host, &path, &secret, seconds));
            prop_assert_ne!(&reference, &sign(&format!("{host}x"), &path, &secret, seconds));
            prop_assert_ne!(&reference, &sign(&host, &format!("{path}x"), &secret, seconds));
            prop_assert_ne!(&reference, &sign(&host, &path, &format!("{secret}x"), seconds));
            prop_assert_ne!(&reference, &sign(&host, &path, &secret, seconds + 1));
        }
    }
}
