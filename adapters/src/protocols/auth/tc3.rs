//! TC3-HMAC-SHA256, Tencent Cloud's request signature.
//!
//! Signs the content type, the host and the body; the action, version, region and token headers are not signed, and the
//! path counts as `/`, the only one that its API has.
//! <https://www.tencentcloud.com/document/api/213/33224>

use std::time::SystemTime;

use http::{
    HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
    request::Parts,
};

use super::{
    SignError,
    date::Moment,
    digest::{hex, hmac_sha256, sha256},
    error::{check_credential, sensitive_value},
};

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const SIGNED: &str = "content-type;host";
const TIMESTAMP: HeaderName = HeaderName::from_static("x-tc-timestamp");

/// Signs a request in its `authorization` header and dates it in `x-tc-timestamp`.
///
/// `service` is the first label of the vendor's own host, such as `asr`. Fails if a credential cannot be right or the
/// request has no `host` or `content-type` header, and then leaves the request as it was.
pub(crate) fn sign(
    parts: &mut Parts,
    body_sha256: [u8; 32],
    secret_id: &str,
    secret_key: &str,
    service: &str,
    now: SystemTime,
) -> Result<(), SignError> {
    check_credential("secret id", secret_id)?;
    check_credential("secret key", secret_key)?;
    check_credential("service", service)?;
    let moment = Moment::of(now)?;
    let canonical = canonical_request(parts, body_sha256)?;

    let scope = format!("{}/{service}/tc3_request", moment.day());
    let to_sign = string_to_sign(&canonical, &scope, moment);
    let secret = format!("TC3{secret_key}");
    let day = hmac_sha256(secret.as_bytes(), moment.day().as_bytes());
    let key = hmac_sha256(&hmac_sha256(&day, service.as_bytes()), b"tc3_request");
    let signature = hex(&hmac_sha256(&key, to_sign.as_bytes()));
    let authorization = sensitive_value(
        "secret id",
        &format!(
            "{ALGORITHM} Credential={secret_id}/{scope}, SignedHeaders={SIGNED}, Signature={signature}"
        ),
    )?;

    parts
        .headers
        .insert(TIMESTAMP, HeaderValue::from(moment.unix));
    parts.headers.insert(AUTHORIZATION, authorization);
    Ok(())
}

fn canonical_request(parts: &Parts, body_sha256: [u8; 32]) -> Result<Vec<u8>, SignError> {
    let header = |name: HeaderName, text: &'static str| {
        let value = parts
            .headers
            .get(name)
            .ok_or(SignError::MissingHeader(text))?;
        Ok(value.as_bytes().trim_ascii())
    };
    let content_type = header(CONTENT_TYPE, "content-type")?;
    let host = header(HOST, "host")?;
    let query = parts.uri.query().unwrap_or_default();
    Ok([
        parts.method.as_str().as_bytes(),
        b"\n/\n",
        query.as_bytes(),
        b"\ncontent-type:",
        content_type,
        b"\nhost:",
        host,
        b"\n\n",
        SIGNED.as_bytes(),
        b"\n",
        hex(&body_sha256).as_bytes(),
    ]
    .concat())
}

fn string_to_sign(canonical: &[u8], scope: &str, moment: Moment) -> String {
    format!(
        "{ALGORITHM}\n{}\n{scope}\n{}",
        moment.unix,
        hex(&sha256(canonical))
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE";
    const KEY: &str = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE";
    const BODY: &str =
        r#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;

    fn example() -> Parts {
        let request = Request::post("https://cvm.tencentcloudapi.com/")
            .header("Host", "cvm.tencentcloudapi.com")
            .header("Content-Type", "application/json; charset=utf-8")
            .header("X-TC-Action", "DescribeInstances")
            .header("X-TC-Version", "2017-03-12")
            .header("X-TC-Region", "ap-guangzhou");
        request.body(()).unwrap().into_parts().0
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// The two headers that signing sets, once nothing else was found to change.
    fn signed(mut parts: Parts, body: &str, key: &str, seconds: u64) -> (String, String) {
        let before = parts.headers.clone();
        sign(
            &mut parts,
            sha256(body.as_bytes()),
            ID,
            key,
            "cvm",
            at(seconds),
        )
        .unwrap();
        let mut take = |name| {
            let value: HeaderValue = parts.headers.remove(name).unwrap();
            value.to_str().unwrap().to_owned()
        };
        let set = (take("authorization"), take("x-tc-timestamp"));
        assert_eq!(parts.headers, before);
        set
    }

    #[test]
    fn the_vendors_example_is_signed_as_the_vendor_prints_it() {
        let canonical = canonical_request(&example(), sha256(BODY.as_bytes())).unwrap();
        assert_eq!(
            String::from_utf8(canonical.clone()).unwrap(),
            "POST\n/\n\ncontent-type:application/json; charset=utf-8\nhost:cvm.tencentcloudapi.com\n\n\
             content-type;host\n35e9c5b0e3ae67532d3c9f17ead6c90222632e5b1ff7f6e89887f1398934f064"
        );
        assert_eq!(
            string_to_sign(
                &canonical,
                "2019-02-25/cvm/tc3_request",
                Moment::of(at(1_551_113_065)).unwrap()
            ),
            "TC3-HMAC-SHA256\n1551113065\n2019-02-25/cvm/tc3_request\n\
             5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031"
        );
        assert_eq!(
            signed(example(), BODY, KEY, 1_551_113_065),
            (
                "TC3-HMAC-SHA256 \
                 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/cvm/tc3_request, \
                 SignedHeaders=content-type;host, \
                 Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
                    .to_owned(),
                "1551113065".to_owned()
            )
        );
    }

    #[test]
    fn a_second_signature_replaces_the_first() {
        let mut parts = example();
        for seconds in [1_551_113_065, 1_551_113_066] {
            sign(
                &mut parts,
                sha256(BODY.as_bytes()),
                ID,
                KEY,
                "cvm",
                at(seconds),
            )
            .unwrap();
        }
        assert_eq!(parts.headers.get_all("x-tc-timestamp").iter().count(), 1);
        assert_eq!(
            parts.headers["authorization"].to_str().unwrap(),
            signed(example(), BODY, KEY, 1_551_113_066).0
        );
    }

    #[test]
    fn what_cannot_be_signed_is_named_and_left_alone() {
        let check = |parts: Parts, id: &str, key: &str, expected: &str| {
            let mut after = parts.clone();
            let error = sign(&mut after, [0; 32], id, key, "cvm", at(1)).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(after.headers, parts.headers);
        };
        let without = |name: &str| {
            let mut parts = example();
            parts.headers.remove(name);
            parts
        };
        check(example(), "", KEY, "the secret id is empty");
        check(
            example(),
            ID,
            "s3cret key",
            "the secret key holds a space, a control character or a letter outside ASCII",
        );
        check(
            without("host"),
            ID,
            KEY,
            "the request has no `host` header to sign",
        );
        check(
            without("content-type"),
            ID,
            KEY,
            "the request has no `content-type` header to sign",
        );
    }

    proptest! {
        #[test]
        fn a_signature_depends_on_every_signed_part_and_on_nothing_else(
            body in "[ -~]{0,40}",
            other_body in "[ -~]{0,40}",
            key in "[A-Za-z0-9]{1,40}",
            other_key in "[A-Za-z0-9]{1,40}",
            seconds in 0u64..4_000_000_000,
            later in 1u64..1_000_000,
        ) {
            let reference = signed(example(), &body, &key, seconds).0;
            prop_assert_eq!(&reference, &signed(example(), &body, &key, seconds).0);
            prop_assert_eq!(body == other_body, reference == signed(example(), &other_body, &key, seconds).0);
            prop_assert_eq!(key == other_key, reference == signed(example(), &body, &other_key, seconds).0);
            prop_assert_ne!(&reference, &signed(example(), &body, &key, seconds + later).0);
            for (name, value) in [("host", "asr.tencentcloudapi.com"), ("content-type", "application/json")] {
                let mut parts = example();
                parts.headers.insert(name, HeaderValue::from_static(value));
                prop_assert_ne!(&reference, &signed(parts, &body, &key, seconds).0);
            }
            let mut parts = example();
            parts.headers.insert("x-tc-action", HeaderValue::from_static("DescribeZones"));
            prop_assert_eq!(&reference, &signed(parts, &body, &key, seconds).0);
        }
    }
}
