//! Baidu AI: a token for key and secret, then each service in its own manner.
//!
//! `POST /oauth/2.0/token`, speech at `/server_api` and `/text2audio`, language and translation under `/rpc/2.0/`.
//! The vendor has them on several hosts; here they are all behind one. Nearly every failure is a 200 with a code in the
//! body, whose name and numbers differ from service to service.

mod mt;
mod nlp;
mod speech;

use serde_json::{Value, json};

use crate::{
    answer::Answer,
    auth::{
        Keys,
        keys::{Tokens, same},
    },
    call::Call,
    vendor::{Class, Operation, Vendor},
};

const KEYS: Keys = Keys { vendor: "baidu" };
const SECRET: &str = "sandbox-baidu-secret";
const TOKEN: Operation = Operation::other("token");
const UNKNOWN: Operation = Operation::other("unknown");
/// Paths and what is there.
const CALLS: [(&str, Operation); 9] = [
    ("/oauth/2.0/token", TOKEN),
    (
        "/server_api",
        Operation::new("server_api", "speech.transcribe"),
    ),
    (
        "/text2audio",
        Operation::new("text2audio", "speech.synthesize"),
    ),
    (
        "/rpc/2.0/nlp/v1/sentiment_classify",
        Operation::new("sentiment_classify", "text.sentiment"),
    ),
    (
        "/rpc/2.0/nlp/v1/lexer",
        Operation::new("lexer", "text.entities"),
    ),
    (
        "/rpc/2.0/nlp/v1/keyword",
        Operation::new("keyword", "text.key_phrases"),
    ),
    (
        "/rpc/2.0/nlp/v1/txt_keywords_extraction",
        Operation::new("txt_keywords_extraction", "text.key_phrases"),
    ),
    (
        "/rpc/2.0/nlp/v1/topic",
        Operation::new("topic", "text.classify"),
    ),
    (
        "/rpc/2.0/mt/texttrans/v1",
        Operation::new("texttrans", "translation.translate"),
    ),
];
/// Seconds for which a token is good.
const LIFE: u64 = 2_592_000;
/// Most bytes of a request.
const BODY: usize = 10 * 1024 * 1024;

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct Baidu {
    tokens: Tokens,
}

/// Which shape failures have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    /// `error`, with a status.
    Oauth,
    /// `err_no`.
    Speech,
    /// `err_no` and what lies behind it in `err_subcode`.
    Voice,
    /// `error_code`.
    Open,
}

impl Vendor for Baidu {
    fn name(&self) -> &'static str {
        KEYS.vendor
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("base", base.to_owned()),
            ("api_key", KEYS.first()),
            ("secret_key", SECRET.to_owned()),
        ]
    }

    fn body_limit(&self) -> usize {
        BODY
    }

    fn operation(&self, call: &Call) -> Operation {
        let found = CALLS.iter().find(|(path, _)| *path == call.path);
        found.map_or(UNKNOWN, |(_, operation)| *operation)
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        let service = service(call);
        if service == Service::Oauth {
            return client(call);
        }
        let token = match service {
            Service::Speech => speech::token(call),
            Service::Voice => speech::parameter(call, "tok"),
            _ => call.query("access_token"),
        };
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            // The services that have a code for a missing token.
            let code = if service == Service::Open { 100 } else { 110 };
            return Err(refused(call, code));
        };
        if let Some(owner) = self.tokens.owner(&token, call.now) {
            return Ok(owner);
        }
        let expired = self.tokens.knows(&token);
        Err(refused(call, if expired { 111 } else { 110 }))
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        let operation = self.operation(call);
        let reads = operation.call == "text2audio" && call.method == "GET";
        if operation == UNKNOWN || (call.method != "POST" && !reads && operation != TOKEN) {
            return Err(failure(call, 3, "Unsupported openapi method"));
        }
        match operation.call {
            "token" => Ok(self.token(call)),
            "server_api" => speech::listen(call),
            "text2audio" => speech::speak(call),
            "texttrans" => mt::translate(call),
            _ => nlp::analyze(call, operation.call),
        }
    }

    fn error(&self, call: &Call, class: Class, message: &str) -> Answer {
        let service = service(call);
        if service == Service::Oauth {
            let (status, error) = match class {
                Class::Auth => (401, "invalid_client"),
                Class::Quota | Class::Rate => (429, "request_limit_reached"),
                Class::Internal => (500, "server_error"),
                Class::Unavailable => (503, "temporarily_unavailable"),
                _ => (400, "invalid_request"),
            };
            return oauth(status, error, message);
        }
        failure(call, code(service, class), message)
    }

    fn coded(&self, call: &Call, code: &str, message: &str) -> Option<Answer> {
        if service(call) == Service::Oauth {
            let status = if code == "invalid_client" { 401 } else { 400 };
            return Some(oauth(status, code, message));
        }
        Some(failure(call, code.parse().ok()?, message))
    }

    fn reset(&self) {
        self.tokens.clear();
    }
}

impl Baidu {
    fn token(&self, call: &Call) -> Answer {
        let body = json!({
            "refresh_token": format!("25.{}", call.hex_id("refresh", 32)),
            "expires_in": LIFE,
            "session_key": call.hex_id("session", 64),
            "access_token": self.tokens.issue(call, LIFE),
            "scope": "public brain_all_scope audio_voice_assistant_get audio_tts_post",
            "session_secret": call.hex_id("secret", 32),
        });
        Answer::json(200, &body)
    }
}

/// Who asks for a token; its parameters may stand in the query or in a form.
fn client(call: &Call) -> Result<String, Answer> {
    let parameter = |name: &str| speech::parameter(call, name).unwrap_or_default();
    if parameter("grant_type") != "client_credentials" {
        let message = "The authorization grant type is not supported";
        return Err(oauth(400, "unsupported_grant_type", message));
    }
    let owner = KEYS.owner(&parameter("client_id"));
    let owner = owner.ok_or_else(|| oauth(401, "invalid_client", "unknown client id"))?;
    let suffix = owner.strip_prefix(KEYS.vendor).unwrap_or_default();
    if !same(&parameter("client_secret"), &format!("{SECRET}{suffix}")) {
        let message = "Client authentication failed";
        return Err(oauth(401, "invalid_client", message));
    }
    Ok(owner)
}

fn oauth(status: u16, error: &str, message: &str) -> Answer {
    let body = json!({ "error": error, "error_description": message });
    Answer::json(status, &body)
}

fn service(call: &Call) -> Service {
    match call.path.as_str() {
        "/oauth/2.0/token" => Service::Oauth,
        "/server_api" => Service::Speech,
        "/text2audio" => Service::Voice,
        _ => Service::Open,
    }
}

fn code(service: Service, class: Class) -> u32 {
    match (service, class) {
        (Service::Speech, Class::Auth) => 3302,
        (Service::Speech, Class::Quota) => 3305,
        (Service::Speech, Class::Rate) => 3304,
        (Service::Speech, Class::Invalid | Class::NotFound) => 3300,
        (Service::Speech, Class::TooLarge) => 3310,
        (Service::Speech, Class::Unsupported) => 3312,
        (Service::Speech, Class::Internal) => 3307,
        (Service::Speech, Class::Unavailable) => 3303,
        (Service::Voice, Class::Invalid | Class::TooLarge | Class::NotFound) => 501,
        (Service::Voice, Class::Unsupported) => 500,
        (Service::Voice, Class::Internal | Class::Unavailable) => 503,
        (_, Class::Auth) => 110,
        (_, Class::Quota) => 17,
        (_, Class::Rate) => 18,
        (_, Class::Invalid) => 282_133,
        (_, Class::TooLarge) => 282_131,
        (_, Class::Unsupported) => 216_100,
        (_, Class::NotFound) => 3,
        (_, Class::Internal) => 282_000,
        (_, Class::Unavailable) => 2,
    }
}

/// A token that is not accepted.
fn refused(call: &Call, code: u32) -> Answer {
    let code = if service(call) == Service::Speech {
        3302
    } else {
        code
    };
    failure(call, code, "authentication failed")
}

/// A failure, inside a 200. What the vendor always says of a code stands instead of the message.
fn failure(call: &Call, code: u32, message: &str) -> Answer {
    let message = match code {
        2 => "Service temporarily unavailable",
        4 => "Open api request limit reached",
        17 => "Open api daily request limit reached",
        18 => "Open api qps request limit reached",
        19 => "Open api total request limit reached",
        100 => "Invalid parameter",
        110 => "Access token invalid or no longer valid",
        111 => "Access token expired",
        3302 => "authentication failed.",
        3304 | 3305 => "request pv too much.",
        282_000 => "internal error",
        _ => message,
    };
    let body = match service(call) {
        Service::Speech => json!({ "err_no": code, "err_msg": message, "sn": serial(call) }),
        Service::Voice if (500..600).contains(&code) => json!({
            "err_no": code,
            "err_msg": message,
            "sn": serial(call),
            "idx": 1,
        }),
        // What has to do with tokens and allowances is one code here; which it was stands behind it.
        Service::Voice => json!({
            "err_no": 502,
            "err_msg": "authentication failed.",
            "err_subcode": code,
            "err_detail": message,
            "tts_logid": number(call),
        }),
        _ => json!({ "error_code": code, "error_msg": message, "log_id": number(call) }),
    };
    Answer::json(200, &body).not_executed()
}

fn serial(call: &Call) -> String {
    format!("{}{}", call.unix(), call.hex_id("serial", 16))
}

/// The number by which the vendor finds a call in its log.
fn number(call: &Call) -> u64 {
    u64::from_str_radix(&call.hex_id("log", 15), 16).unwrap_or_default()
}

/// A string in a JSON body.
fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name)?.as_str()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_token_whose_time_is_over_is_told_from_one_that_never_was() {
        let baidu = Baidu::default();
        let mut asking = Call::test("POST", "baidu", "/oauth/2.0/token", &[], b"");
        asking.account = "baidu-2".to_owned();
        let token = baidu.tokens.issue(&asking, LIFE);
        let with = |token: &str, later: u64| {
            let target = format!("/rpc/2.0/nlp/v1/lexer?access_token={token}");
            let mut call = Call::test("POST", "baidu", &target, &[], b"{}");
            call.now = asking.now + Duration::from_secs(later);
            baidu.authenticate(&call)
        };
        assert_eq!(with(&token, LIFE - 1).unwrap(), "baidu-2");
        for (token, later, code) in [(token.as_str(), LIFE, "111"), ("another", 0, "110")] {
            let refusal = with(token, later).unwrap_err();
            let crate::answer::Content::Whole(body) = refusal.content else {
                panic!("no body");
            };
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error_code"].to_string(), code);
        }
    }
}
