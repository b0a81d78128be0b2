//! Who calls: keys, regions, tokens for keys, and tokens for clients of a tenant.

use serde_json::json;

use super::{KEYS, Service, errors, storage, translator};
use crate::{
    answer::Answer,
    auth::{
        keys::{Tokens, after_scheme},
        same,
    },
    call::Call,
    vendor::Class,
};

/// Where both accounts' resources are.
pub(super) const REGION: &str = "westeurope";

const CLIENT: &str = "sandbox-azure-client";
const SECRET: &str = "sandbox-azure-secret";
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
/// Seconds that tokens are good for: for a key, and for a client.
const KEY_LIFE: u64 = 600;
const CLIENT_LIFE: u64 = 3599;

/// Whose call it is.
pub(super) fn authenticate(call: &Call, tokens: &Tokens) -> Result<String, Answer> {
    match Service::of(call) {
        Service::Login => return client(call),
        Service::Storage => return storage::authenticate(call),
        Service::Translator if translator::verb(&call.path) == Some("languages") => {
            return Ok("anonymous".to_owned());
        }
        _ => {}
    }
    let refused = || errors::class(call, Class::Auth, "the credential is missing or wrong");
    if let Some(key) = call.header("ocp-apim-subscription-key") {
        let owner = KEYS.owner(key).ok_or_else(refused)?;
        // The global address serves every region, so the resource's own has to be named.
        let global = Service::of(call) == Service::Translator && translator::global(&call.path);
        let region = call.header("ocp-apim-subscription-region");
        return if global && region != Some(REGION) {
            Err(refused())
        } else {
            Ok(owner)
        };
    }
    let token = after_scheme(call, "Bearer").filter(|_| Service::of(call) != Service::Token);
    let owner = token.and_then(|token| tokens.owner(token, call.now));
    owner.ok_or_else(refused)
}

/// A token for the key, as bare text.
pub(super) fn issue(call: &Call, tokens: &Tokens) -> Answer {
    Answer::text(
        200,
        "application/jwt; charset=us-ascii",
        tokens.issue(call, KEY_LIFE),
    )
}

/// A token for the client.
pub(super) fn login(call: &Call, tokens: &Tokens) -> Answer {
    let token = tokens.issue(call, CLIENT_LIFE);
    let body = json!({
        "token_type": "Bearer",
        "expires_in": CLIENT_LIFE,
        "ext_expires_in": CLIENT_LIFE,
        "access_token": token,
    });
    Answer::json(200, &body).header("content-type", "application/json; charset=utf-8")
}

/// The client whose secret the form carries.
fn client(call: &Call) -> Result<String, Answer> {
    let form = call.form();
    let field = |name: &str| {
        let found = form.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let refused = |status: u16, error: &str, code: u32, message: &str| {
        errors::login(call, status, error, code, message)
    };
    if field("grant_type") != "client_credentials" {
        let message = "The app requested an unsupported grant type.";
        return Err(refused(400, "unsupported_grant_type", 70_003, message));
    }
    let owners = [("", "azure"), ("-2", "azure-2")];
    let known = owners
        .into_iter()
        .find(|(behind, _)| field("client_id") == format!("{CLIENT}{behind}"));
    let Some((behind, owner)) = known else {
        let message = "The application was not found in the directory.";
        return Err(refused(400, "unauthorized_client", 700_016, message));
    };
    if !same(field("client_secret"), &format!("{SECRET}{behind}")) {
        let message = "Invalid client secret provided.";
        return Err(refused(401, "invalid_client", 7_000_215, message));
    }
    if field("scope") != SCOPE {
        let message = "The provided value for the input parameter 'scope' is not valid.";
        return Err(refused(400, "invalid_scope", 70_011, message));
    }
    Ok(owner.to_owned())
}
