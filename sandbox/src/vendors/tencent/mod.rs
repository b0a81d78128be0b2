//! Tencent Cloud: every call is `POST /`, told apart by `X-TC-Action`, `X-TC-Version` and the service that signed it.
//!
//! Speech recognition (`asr`), speech synthesis (`tts`), language (`nlp`, which the vendor has switched off and the
//! sandbox still serves) and translation (`tmt`). Signed with TC3-HMAC-SHA256. Every answer, also a failure, is a 200
//! with everything under `Response`. Remote files are not fetched: a `Url` fails as one that cannot be downloaded.

mod asr;
mod nlp;
mod params;
mod tmt;
mod tts;

use serde_json::{Map, Value, json};

use self::params::{Field, Params};
use crate::{
    answer::Answer,
    auth::tc3::{self, Refusal},
    call::Call,
    jobs::Jobs,
    vendor::{Class, Operation, Vendor},
};

const NAME: &str = "tencent";
const SECRET_ID: &str = "AKIDsandbox-tencent";
const SECRET_KEY: &str = "sandbox-tencent-secret";
const REGION: &str = "ap-guangzhou";
const UNKNOWN: Operation = Operation::other("unknown");
/// Most bytes of a request.
const BODY: usize = 10 * 1024 * 1024;

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct Tencent {
    tasks: Jobs<asr::Task>,
}

/// One call of the catalogue.
struct Action {
    service: &'static str,
    version: &'static str,
    operation: Operation,
    fields: &'static [Field],
    serve: fn(&Tencent, &Call, &Params) -> Result<Answer, Answer>,
}

const ACTIONS: [&Action; 10] = [
    &asr::SENTENCE_RECOGNITION,
    &asr::CREATE_REC_TASK,
    &asr::DESCRIBE_TASK_STATUS,
    &tts::TEXT_TO_VOICE,
    &nlp::ANALYZE_SENTIMENT,
    &nlp::PARSE_WORDS,
    &nlp::SENTENCE_CORRECTION,
    &tmt::TEXT_TRANSLATE,
    &tmt::TEXT_TRANSLATE_BATCH,
    &tmt::LANGUAGE_DETECT,
];

impl Vendor for Tencent {
    fn name(&self) -> &'static str {
        NAME
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("base", base.to_owned()),
            ("secret_id", SECRET_ID.to_owned()),
            ("secret_key", SECRET_KEY.to_owned()),
            ("region", REGION.to_owned()),
        ]
    }

    fn body_limit(&self) -> usize {
        BODY
    }

    fn operation(&self, call: &Call) -> Operation {
        action(call).map_or(UNKNOWN, |action| action.operation)
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        for (header, name) in [
            ("x-tc-action", "Action"),
            ("x-tc-version", "Version"),
            ("x-tc-timestamp", "Timestamp"),
        ] {
            if call.header(header).is_none_or(str::is_empty) {
                let message = format!("The request is missing a required parameter `{name}`.");
                return Err(failure(call, "MissingParameter", &message));
            }
        }
        let id = tc3::verify(call, secret_of).map_err(|refusal| refused(call, &refusal))?;
        let second = id != SECRET_ID;
        Ok(if second {
            format!("{NAME}-2")
        } else {
            NAME.to_owned()
        })
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        if call.method != "POST" {
            let message = "Only POST is served here.";
            return Err(failure(call, "UnsupportedProtocol", message));
        }
        let Some(action) = action(call).filter(|_| call.path == "/") else {
            let message = "The action or path is invalid for this service.";
            return Err(failure(call, "InvalidAction", message));
        };
        if call.header("x-tc-version") != Some(action.version) {
            let message = "The request's version is not a version of this service.";
            return Err(failure(call, "NoSuchVersion", message));
        }
        if action.service == "tmt" {
            region(call)?;
        }
        let params = Params::read(call, action.fields)?;
        (action.serve)(self, call, &params)
    }

    fn error(&self, call: &Call, class: Class, message: &str) -> Answer {
        let service = tc3::service(call).unwrap_or_default();
        // Nothing was read of a body beyond the limit: then it is the request that is too large, not its content.
        let code = if class == Class::TooLarge && call.body.is_empty() {
            "RequestSizeLimitExceeded"
        } else {
            code(&service, class)
        };
        failure(call, code, message)
    }

    fn coded(&self, call: &Call, code: &str, message: &str) -> Option<Answer> {
        Some(failure(call, code, message))
    }

    fn reset(&self) {
        self.tasks.clear();
    }
}

/// What a class is called by the services; most share the common codes, each has its own for money and size.
fn code(service: &str, class: Class) -> &'static str {
    match (class, service) {
        (Class::Auth, _) => "AuthFailure.SignatureFailure",
        (Class::Quota, "asr") => "FailedOperation.UserHasNoAmount",
        (Class::Quota, "tmt") => "FailedOperation.NoFreeAmount",
        (Class::Quota, "tts") => "UnsupportedOperation.NoFreeAccount",
        (Class::Quota, "nlp") => "ResourceInsufficient.QuotaRunOut",
        (Class::Quota, _) => "FailedOperation.ServiceIsolate",
        (Class::Rate, _) => "RequestLimitExceeded",
        (Class::Invalid, "nlp" | "tts") => "InvalidParameterValue.Text",
        (Class::Invalid, _) => "InvalidParameterValue",
        (Class::TooLarge, "asr") => "InvalidParameterValue.ErrorVoicedataTooLong",
        (Class::TooLarge, "nlp") => "InvalidParameterValue.TextTooLong",
        (Class::TooLarge, "tmt" | "tts") => "UnsupportedOperation.TextTooLong",
        (Class::TooLarge, _) => "RequestSizeLimitExceeded",
        (Class::Unsupported, "asr") => "InvalidParameterValue.ErrorInvalidVoiceFormat",
        (Class::Unsupported, "tmt") => "UnsupportedOperation.UnsupportedLanguage",
        (Class::Unsupported, "tts") => "InvalidParameterValue.Codec",
        (Class::Unsupported, _) => "UnsupportedOperation",
        (Class::NotFound, "asr") => "FailedOperation.NoSuchTask",
        (Class::NotFound, _) => "ResourceNotFound",
        (Class::Internal, _) => "InternalError",
        (Class::Unavailable, _) => "ServiceUnavailable",
    }
}

/// A failure, inside a 200.
fn failure(call: &Call, code: &str, message: &str) -> Answer {
    let error = json!({ "Code": code, "Message": message });
    let body = json!({ "Response": { "Error": error, "RequestId": call.uuid("request") } });
    Answer::json(200, &body).not_executed()
}

/// The members of an answer, with the request's id behind them.
fn success(call: &Call, members: Value) -> Answer {
    let mut response = match members {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    response.insert("RequestId".to_owned(), json!(call.uuid("request")));
    Answer::json(200, &json!({ "Response": response }))
}

fn action(call: &Call) -> Option<&'static Action> {
    let (service, name) = (tc3::service(call)?, call.header("x-tc-action")?);
    let mut known = ACTIONS.into_iter();
    known.find(|action| action.service == service && action.operation.call == name)
}

fn secret_of(id: &str) -> Option<String> {
    match id.strip_prefix(SECRET_ID)? {
        "" => Some(SECRET_KEY.to_owned()),
        "-2" => Some(format!("{SECRET_KEY}-2")),
        _ => None,
    }
}

fn refused(call: &Call, refusal: &Refusal) -> Answer {
    let (code, message) = match refusal {
        Refusal::Missing => (
            "AuthFailure.InvalidAuthorization",
            "The Authorization header is missing or of an unknown scheme.".to_owned(),
        ),
        Refusal::Incomplete(what) => (
            "AuthFailure.InvalidAuthorization",
            format!("The Authorization header is incomplete: {what}."),
        ),
        Refusal::UnknownKey => (
            "AuthFailure.SecretIdNotFound",
            "The SecretId is not found, please ensure that your SecretId is correct.".to_owned(),
        ),
        Refusal::Skewed => (
            "AuthFailure.SignatureExpire",
            "The signature has expired: the timestamp is more than five minutes off.".to_owned(),
        ),
        Refusal::Date => (
            "AuthFailure.SignatureFailure",
            "The credential's date is not the timestamp's date in UTC.".to_owned(),
        ),
        Refusal::Mismatch => (
            "AuthFailure.SignatureFailure",
            "The provided credentials could not be validated: the signature is wrong.".to_owned(),
        ),
    };
    failure(call, code, &message)
}

/// Translation is offered by region; the other services take none.
fn region(call: &Call) -> Result<(), Answer> {
    const AREAS: [&str; 4] = ["ap", "eu", "na", "sa"];
    let Some(region) = call.header("x-tc-region") else {
        let message = "The request is missing a required parameter `Region`.";
        return Err(failure(call, "MissingParameter", message));
    };
    match region.split_once('-') {
        Some((area, place)) if AREAS.contains(&area) && !place.is_empty() => Ok(()),
        _ => Err(failure(
            call,
            "UnsupportedRegion",
            "The region is not supported by this service.",
        )),
    }
}
