//! Google's service accounts: a signed assertion (RFC 7523) that buys an access token.
//!
//! The key file names the address of the token call; the answer is read by `token`.
//! <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>

use std::{fmt, sync::Arc, time::SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Uri;
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};

use super::{SignError, date::Moment, encode::encode_query};

const DEFAULT_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// The longest that Google allows, in seconds.
const LIFETIME: u64 = 3600;

/// A service account, as its JSON key file describes it.
#[derive(Clone)]
pub(crate) struct ServiceAccount {
    /// Who the account is; not secret.
    pub(crate) client_email: String,
    /// Names the key among the account's keys; not secret.
    pub(crate) private_key_id: Option<String>,
    /// Absolute `http` or `https` address of the token call.
    pub(crate) token_uri: String,
    key: Arc<RsaKeyPair>,
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("client_email", &self.client_email)
            .field("private_key_id", &self.private_key_id)
            .field("token_uri", &self.token_uri)
            .finish_non_exhaustive()
    }
}

/// What is read of a key file; the rest is of no use here.
#[derive(Deserialize)]
struct KeyFile {
    r#type: Option<String>,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
}

impl ServiceAccount {
    /// Reads a key file's text. Errors say what is wrong with it and show nothing of it but its `type`.
    pub(crate) fn parse(json: &str) -> Result<Self, SignError> {
        let wrong = |problem: String| SignError::KeyFile(problem);
        // serde_json's own sentence may quote a value, and the value may be the key.
        let file: KeyFile = serde_json::from_str(json).map_err(|error| {
            let problem = match error.classify() {
                serde_json::error::Category::Data => "has a value of the wrong type",
                _ => "is not JSON",
            };
            wrong(format!("{problem}, line {}", error.line()))
        })?;
        if let Some(kind) = file.r#type.filter(|kind| kind != "service_account") {
            let kind: String = kind.chars().take(40).collect();
            return Err(wrong(format!(
                "is of the type `{kind}`, not `service_account`"
            )));
        }
        let present = |name, value: Option<String>| {
            value
                .filter(|value| !value.trim().is_empty())
                .ok_or_else(|| wrong(format!("has no `{name}`")))
        };
        let client_email = present("client_email", file.client_email)?;
        let private_key = present("private_key", file.private_key)?;
        let token_uri = file
            .token_uri
            .unwrap_or_else(|| DEFAULT_TOKEN_URI.to_owned());
        if !is_absolute(&token_uri) {
            return Err(wrong(
                "has a `token_uri` that is no http or https address".to_owned(),
            ));
        }
        Ok(Self {
            client_email,
            private_key_id: file.private_key_id.filter(|id| !id.is_empty()),
            token_uri,
            key: Arc::new(rsa_key(&private_key)?),
        })
    }
}

fn is_absolute(uri: &str) -> bool {
    let Ok(uri) = uri.parse::<Uri>() else {
        return false;
    };
    matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some()
}

fn rsa_key(pem: &str) -> Result<RsaKeyPair, SignError> {
    let wrong = |problem: &str| SignError::KeyFile(format!("has a `private_key` that {problem}"));
    // The reader's own error may quote a line of the key.
    let key = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        Ok(_) => return Err(wrong("is no RSA key")),
        Err(_) => return Err(wrong("is no private key in PEM form")),
    };
    // Ring's reason is one word of a fixed set, such as `TooSmall`.
    key.map_err(|reason| wrong(&format!("cannot be used: {reason}")))
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

/// The signed statement, good for an hour from `now`, that the account asks for `scope`.
///
/// It buys a token and does not belong in a log. Costs about a millisecond: for the token call, not for each request.
pub(crate) fn assertion(
    account: &ServiceAccount,
    scope: &str,
    now: SystemTime,
) -> Result<String, SignError> {
    let iat = Moment::of(now)?.unix;
    let header = Header {
        alg: "RS256",
        typ: "JWT",
        kid: account.private_key_id.as_deref(),
    };
    let claims = Claims {
        iss: &account.client_email,
        scope,
        aud: &account.token_uri,
        iat,
        exp: iat + LIFETIME,
    };
    let mut jwt = format!("{}.{}", encode(&header)?, encode(&claims)?);
    let mut signature = vec![0; account.key.public().modulus_len()];
    account
        .key
        .sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            jwt.as_bytes(),
            &mut signature,
        )
        .map_err(|_| SignError::KeyFile("has a `private_key` that does not sign".to_owned()))?;
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(&signature, &mut jwt);
    Ok(jwt)
}

fn encode(part: &impl Serialize) -> Result<String, SignError> {
    let json = serde_json::to_vec(part)
        .map_err(|_| SignError::KeyFile("cannot be written as JSON".to_owned()))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// The `application/x-www-form-urlencoded` body of the token call.
pub(crate) fn token_form(assertion: &str) -> String {
    encode_query(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", assertion),
    ])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::{Value, json};

    use super::*;

    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!("../../../../tests/fixtures/auth/", $name))
        };
    }

    const PKCS8: &str = fixture!("rsa.pkcs8.pem");
    const PKCS1: &str = fixture!("rsa.pkcs1.pem");
    const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

    fn key_file(pem: &str) -> Value {
        json!({
            "type": "service_account",
            "project_id": "example-project",
            "private_key_id": "a1b2c3",
            "private_key": pem,
            "client_email": "isobar@example-project.iam.gserviceaccount.com",
            "client_id": "100000000000000000000",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "universe_domain": "googleapis.com",
        })
    }

    fn account(pem: &str) -> ServiceAccount {
        ServiceAccount::parse(&key_file(pem).to_string()).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn an_assertion_is_signed_as_openssl_signs_it() {
        let expected = fixture!("google-assertion.jwt").trim();
        for pem in [PKCS8, PKCS1] {
            assert_eq!(
                assertion(&account(pem), SCOPE, at(1_700_000_000)).unwrap(),
                expected
            );
        }
    }

    #[test]
    fn an_assertion_says_who_asks_for_what_until_when() {
        let mut file = key_file(PKCS8);
        file["token_uri"] = json!("http://127.0.0.1:9000/google/token");
        file["client_email"] = json!("a\"b@example.com");
        file.as_object_mut().unwrap().remove("private_key_id");
        let account = ServiceAccount::parse(&file.to_string()).unwrap();
        let jwt = assertion(&account, "one two", at(1_800_000_000)).unwrap();

        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let read = |part: &str| serde_json::from_slice::<Value>(&decode(part)).unwrap();
        assert_eq!(read(header), json!({"alg": "RS256", "typ": "JWT"}));
        assert_eq!(
            read(claims),
            json!({
                "iss": "a\"b@example.com",
                "scope": "one two",
                "aud": "http://127.0.0.1:9000/google/token",
                "iat": 1_800_000_000,
                "exp": 1_800_003_600,
            })
        );
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, account.key.public_key());
        public
            .verify(signed.as_bytes(), &decode(signature))
            .unwrap();
        public
            .verify(b"another text", &decode(signature))
            .unwrap_err();
    }

    #[test]
    fn an_assertion_changes_with_all_that_it_says() {
        let account = account(PKCS8);
        let reference = assertion(&account, SCOPE, at(1)).unwrap();
        assert_eq!(assertion(&account, SCOPE, at(1)).unwrap(), reference);
        let other = ServiceAccount {
            token_uri: "https://example.com/token".to_owned(),
            ..account.clone()
        };
        for changed in [
            assertion(&account, SCOPE, at(2)),
            assertion(&account, "other", at(1)),
            assertion(&other, SCOPE, at(1)),
        ] {
            let changed = changed.unwrap();
            let signature = |jwt: &str| jwt.rsplit_once('.').unwrap().1.to_owned();
            assert_ne!(signature(&changed), signature(&reference));
        }
    }

    #[test]
    fn the_form_asks_for_a_token_by_assertion() {
        assert_eq!(
            token_form("e30.e30.c2ln-_"),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=e30.e30.c2ln-_"
        );
    }

    #[test]
    fn the_token_address_has_a_default() {
        let mut file = key_file(PKCS8);
        file.as_object_mut().unwrap().remove("token_uri");
        let account = ServiceAccount::parse(&file.to_string()).unwrap();
        assert_eq!(account.token_uri, "https://oauth2.googleapis.com/token");
    }

    #[test]
    fn bad_key_files_are_explained_without_the_key() {
        let with = |name: &str, value: Value| {
            let mut file = key_file(PKCS8);
            file[name] = value;
            file.to_string()
        };
        let cut = PKCS8.lines().take(9).collect::<Vec<_>>().join("\n");
        let garbled = PKCS8.replacen("MII", "AAA", 1);
        for (file, expected) in [
            (String::new(), "is not JSON, line 1"),
            (PKCS8.to_owned(), "is not JSON, line 1"),
            (
                json!([1]).to_string(),
                "has a value of the wrong type, line 1",
            ),
            (
                with("private_key", json!([PKCS8])),
                "has a value of the wrong type, line 1",
            ),
            (
                with("type", json!("authorized_user")),
                "is of the type `authorized_user`, not `service_account`",
            ),
            (with("client_email", json!(null)), "has no `client_email`"),
            (with("private_key", json!(" ")), "has no `private_key`"),
            (
                with("token_uri", json!("/token")),
                "has a `token_uri` that is no http or https address",
            ),
            (
                with("token_uri", json!("ftp://example.com/token")),
                "has a `token_uri` that is no http or https address",
            ),
            (
                with("private_key", json!("hunter2")),
                "has a `private_key` that is no private key in PEM form",
            ),
            (
                with("private_key", json!(cut)),
                "has a `private_key` that is no private key in PEM form",
            ),
            (
                with("private_key", json!(garbled)),
                "has a `private_key` that cannot be used: InvalidEncoding",
            ),
            (
                with("private_key", json!(fixture!("ec.sec1.pem"))),
                "has a `private_key` that is no RSA key",
            ),
            (
                with("private_key", json!(fixture!("ec.pkcs8.pem"))),
                "has a `private_key` that cannot be used: WrongAlgorithm",
            ),
            (
                with("private_key", json!(fixture!("rsa1024.pkcs8.pem"))),
                "has a `private_key` that cannot be used: TooSmall",
            ),
        ] {
            let error = ServiceAccount::parse(&file).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the service account key {expected}")
            );
            let shown = format!("{error:?}");
            assert!(
                !PKCS8
                    .lines()
                    .skip(1)
                    .any(|line| shown.contains(&line[..20]))
            );
        }
    }

    #[test]
    fn printing_an_account_does_not_print_its_key() {
        let shown = format!("{:?}", account(PKCS8));
        assert_eq!(
            shown,
            "ServiceAccount { client_email: \"isobar@example-project.iam.gserviceaccount.com\", private_key_id: \
             Some(\"a1b2c3\"), token_uri: \"https://oauth2.googleapis.com/token\", .. }"
        );
    }
}
