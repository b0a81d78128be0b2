//! Who calls: API keys, service accounts, and the tokens that they are given.
//!
//! Both accounts sign with the one test key of `fixtures/google-service-account.pem`, which protects nothing; their
//! e-mail addresses and key ids tell them apart.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{KEYS, Service, errors};
use crate::{
    answer::Answer,
    auth::{
        jwt::{Broken, Jwt, Rs256},
        keys::{Tokens, after_scheme},
    },
    call::Call,
};

/// The project of both accounts.
pub(super) const PROJECT: &str = "isobar-sandbox";
const PRIVATE_KEY: &str = include_str!("../../../fixtures/google-service-account.pem");
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Where the vendor's own host would hand out tokens; assertions made for it are good here too.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const SCOPES: &str = "https://www.googleapis.com/auth/cloud-";
/// Seconds that a token is good for.
const LIFE: u64 = 3599;
/// Seconds that clocks may differ by.
const SKEW: u64 = 300;

/// E-mail address, key id and name in the ledger of each account.
const ACCOUNTS: [(&str, &str, &str); 2] = [
    (
        "sandbox-google@isobar-sandbox.iam.gserviceaccount.com",
        "sandbox-google-key-id",
        "google",
    ),
    (
        "sandbox-google-2@isobar-sandbox.iam.gserviceaccount.com",
        "sandbox-google-key-id-2",
        "google-2",
    ),
];

static KEY: LazyLock<Option<Rs256>> = LazyLock::new(|| Rs256::of_private(PRIVATE_KEY));

/// The first account's key file, as the vendor hands it out; its tokens come from here.
pub(super) fn service_account(base: &str) -> String {
    let [(email, id, _), _] = ACCOUNTS;
    let file = json!({
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": id,
        "private_key": PRIVATE_KEY,
        "client_email": email,
        "client_id": "100000000000000000001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": format!("{base}/token"),
        "universe_domain": "googleapis.com",
    });
    file.to_string()
}

/// Whose call it is.
pub(super) fn authenticate(call: &Call, tokens: &Tokens) -> Result<String, Answer> {
    let service = Service::of(call);
    if service == Service::Token {
        return asserted(call);
    }
    if let Some(token) = after_scheme(call, "Bearer") {
        let owner = tokens.owner(token, call.now);
        return owner.or_else(|| self_signed(call, token)).ok_or_else(|| {
            let detail = errors::info(call, "ACCESS_TOKEN_TYPE_UNSUPPORTED", &[]);
            errors::failure(
                call,
                401,
                "Request had invalid authentication credentials.",
                &[detail],
            )
        });
    }
    let key = call.header("x-goog-api-key").map(str::to_owned);
    let key = key.or_else(|| call.query("key"));
    match key {
        _ if service == Service::Advanced => {
            let message = match key {
                Some(_) => {
                    "API keys are not supported by this API. Expected an OAuth 2 access token."
                }
                None => "Request is missing required authentication credential.",
            };
            let detail = errors::info(call, "CREDENTIALS_MISSING", &[]);
            Err(errors::failure(call, 401, message, &[detail]))
        }
        Some(key) => KEYS.owner(&key).ok_or_else(|| errors::wrong_key(call)),
        None => {
            let message = "Method doesn't allow unregistered callers.";
            Err(errors::failure(call, 403, message, &[]))
        }
    }
}

/// A token for the account that has authenticated.
pub(super) fn grant(call: &Call, tokens: &Tokens) -> Answer {
    let token = tokens.issue(call, LIFE);
    let body = json!({ "access_token": token, "expires_in": LIFE, "token_type": "Bearer" });
    Answer::json(200, &body).header("content-type", "application/json; charset=utf-8")
}

/// The account whose assertion the form carries.
fn asserted(call: &Call) -> Result<String, Answer> {
    let form = call.form();
    let field = |name: &str| {
        let found = form.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    if field("grant_type") != GRANT {
        let message = format!("Invalid grant_type: {}", field("grant_type"));
        return Err(errors::oauth(400, "unsupported_grant_type", &message));
    }
    let refused = |message: &str| errors::oauth(400, "invalid_grant", message);
    let (owner, jwt) = signed(field("assertion")).map_err(refused)?;
    let audience = text(&jwt.claims, "aud");
    if audience != TOKEN_URI && audience != format!("{}/token", call.base) {
        return Err(refused("Invalid JWT: Failed audience check."));
    }
    timely(call, &jwt.claims).map_err(refused)?;
    let scope = text(&jwt.claims, "scope");
    if !scope.split(' ').any(|scope| scope.starts_with(SCOPES)) {
        let message = "Invalid OAuth scope or ID token audience provided.";
        return Err(errors::oauth(400, "invalid_scope", message));
    }
    Ok(owner)
}

/// The account that has signed a token for this very service.
fn self_signed(call: &Call, token: &str) -> Option<String> {
    let (owner, jwt) = signed(token).ok()?;
    timely(call, &jwt.claims).ok()?;
    let audience = text(&jwt.claims, "aud");
    let scoped = text(&jwt.claims, "scope").starts_with(SCOPES);
    let host = Service::of(call).host();
    let ours = audience == format!("https://{host}/")
        || (Service::of(call) == Service::Advanced
            && audience == "https://translation.googleapis.com/");
    (ours || (audience.is_empty() && scoped)).then_some(owner)
}

fn signed(token: &str) -> Result<(String, Jwt), &'static str> {
    let key = KEY.as_ref().ok_or("The key is not readable.")?;
    let jwt = key.verify(token).map_err(|broken| match broken {
        Broken::Malformed => "Invalid JWT: not a signed token.",
        Broken::Algorithm => "Invalid JWT: the algorithm is not RS256.",
        Broken::Signature => "Invalid JWT Signature.",
    })?;
    let issuer = text(&jwt.claims, "iss");
    let account = ACCOUNTS.iter().find(|(email, _, _)| *email == issuer);
    let (_, id, owner) = account.ok_or("Invalid grant: account not found")?;
    let key_id = text(&jwt.header, "kid");
    if !key_id.is_empty() && key_id != *id {
        return Err("Invalid JWT Signature.");
    }
    Ok(((*owner).to_owned(), jwt))
}

fn timely(call: &Call, claims: &Value) -> Result<(), &'static str> {
    let time = |name: &str| claims.get(name).and_then(Value::as_u64);
    let (Some(issued), Some(expires)) = (time("iat"), time("exp")) else {
        return Err("Invalid JWT: iat and exp are required.");
    };
    let now = call.unix();
    let short = issued < expires && expires - issued <= 3600;
    if short && issued <= now + SKEW && now < expires + SKEW {
        Ok(())
    } else {
        Err(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
        )
    }
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}
