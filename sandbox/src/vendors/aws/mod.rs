//! AWS: Transcribe (with S3 to stage in), Comprehend, Translate and Polly behind one address.
//!
//! The real hosts differ by service; here they are told apart as follows, and each verifies that the signature is for
//! its own signing name:
//! - `POST /` with `X-Amz-Target`: Transcribe, Comprehend, Translate (JSON 1.1)
//! - `/v1/speech`, `/v1/voices`: Polly
//! - `/{bucket}/{key}`: S3, path style; `/aws-transcribe-us-east-1-prod/…` are transcripts behind presigned URLs

mod comprehend;
mod polly;
mod storage;
mod transcribe;
mod translate;

use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    auth::{
        same,
        sigv4::{self, Refusal},
    },
    call::Call,
    jobs::Jobs,
    vendor::{Class, Operation, Vendor},
};

const NAME: &str = "aws";
/// The first account's; the second's have `-2` behind them.
const KEY: &str = "AKIASANDBOXEXAMPLE01";
const SECRET: &str = "sandbox-aws-secret-access-key";
const REGION: &str = "us-east-1";
/// The bucket that exists. Both accounts may use it.
const BUCKET: &str = "isobar-staging";
const ACCOUNT: &str = "111122223333";
/// Most bytes of an object. S3 takes 5 GB; this is what a simulator holds in memory.
const OBJECT: usize = 128 * 1024 * 1024;

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct Aws {
    objects: Jobs<storage::Object>,
    jobs: Jobs<transcribe::Job>,
}

/// One service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Transcribe,
    Comprehend,
    Translate,
    Polly,
    Storage,
}

impl Service {
    fn of(call: &Call) -> Self {
        let target = call.header("x-amz-target").unwrap_or_default();
        match target.split('.').next().unwrap_or_default() {
            "Transcribe" => Self::Transcribe,
            "Comprehend_20171127" => Self::Comprehend,
            "AWSShineFrontendService_20170701" => Self::Translate,
            _ if ["/v1/speech", "/v1/voices"].contains(&call.path.as_str()) => Self::Polly,
            // The binary protocol's path; it is refused, in the words of the service that it names.
            _ if call.path.starts_with("/service/Comprehend") => Self::Comprehend,
            _ if call.path.starts_with("/service/AWSShine") => Self::Translate,
            _ if call.path.starts_with("/service/") => Self::Transcribe,
            _ => Self::Storage,
        }
    }

    fn signing_name(self) -> &'static str {
        match self {
            Self::Transcribe => "transcribe",
            Self::Comprehend => "comprehend",
            Self::Translate => "translate",
            Self::Polly => "polly",
            Self::Storage => "s3",
        }
    }
}

impl Vendor for Aws {
    fn name(&self) -> &'static str {
        NAME
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("base", base.to_owned()),
            ("access_key_id", KEY.to_owned()),
            ("secret_access_key", SECRET.to_owned()),
            ("region", REGION.to_owned()),
            ("bucket", BUCKET.to_owned()),
        ]
    }

    fn body_limit(&self) -> usize {
        OBJECT
    }

    fn operation(&self, call: &Call) -> Operation {
        let target = call.header("x-amz-target").unwrap_or_default();
        let action = target.split_once('.').map_or("", |(_, action)| action);
        match Service::of(call) {
            Service::Transcribe => transcribe::operation(action),
            Service::Comprehend => comprehend::operation(action),
            Service::Translate => translate::operation(action),
            Service::Polly => polly::operation(call),
            Service::Storage => storage::operation(call),
        }
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        let service = Service::of(call);
        if storage::is_presigned(call) {
            // Checked where the object is fetched.
            return Ok("anonymous".to_owned());
        }
        let secret_of = |id: &str| {
            if same(id, KEY) {
                return Some(SECRET.to_owned());
            }
            same(id, &format!("{KEY}-2")).then(|| format!("{SECRET}-2"))
        };
        let verified = sigv4::verify(call, service.signing_name(), secret_of);
        let id = verified.map_err(|reason| refused(call, service, &reason))?;
        if service == Service::Storage && call.header("x-amz-content-sha256").is_none() {
            let message = "Missing required header for this request: x-amz-content-sha256";
            return Err(storage::failure(call, 400, "InvalidRequest", message));
        }
        Ok(if id == KEY {
            NAME.to_owned()
        } else {
            format!("{NAME}-2")
        })
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        let service = Service::of(call);
        if call.path.starts_with("/service/") {
            let message = "The protocol rpc-v2-cbor is not simulated; use AWS JSON 1.1.";
            return Err(failure(call, 400, "UnsupportedProtocolException", message));
        }
        match service {
            Service::Polly => return polly::serve(call),
            Service::Storage => return self.storage(call),
            _ => {}
        }
        if call.method.as_str() != "POST"
            || call.path != "/"
            || !call.media_type().starts_with("application/x-amz-json-1.")
        {
            let message = "The request must be a POST to / of type application/x-amz-json-1.1.";
            return Err(failure(call, 400, "SerializationException", message));
        }
        let Ok(Value::Object(input)) = call.json() else {
            return Err(failure(
                call,
                400,
                "SerializationException",
                "The body is not a JSON object.",
            ));
        };
        match service {
            Service::Transcribe => self.transcribe(call, &input),
            Service::Comprehend => comprehend::serve(call, &input),
            _ => translate::serve(call, &input),
        }
    }

    fn error(&self, call: &Call, class: Class, message: &str) -> Answer {
        let service = Service::of(call);
        if service == Service::Storage {
            return storage::error(call, class, message);
        }
        let (status, name) = match (class, service) {
            (Class::Auth, Service::Polly) => (403, "UnrecognizedClientException"),
            (Class::Auth, _) => (400, "UnrecognizedClientException"),
            (Class::Quota, Service::Polly) => (402, "ServiceQuotaExceededException"),
            (Class::Quota, Service::Translate) => (400, "LimitExceededException"),
            (Class::Quota, _) => (400, "SubscriptionRequiredException"),
            (Class::Rate, Service::Translate) => (429, "TooManyRequestsException"),
            (Class::Rate, _) => (400, "ThrottlingException"),
            (Class::TooLarge, Service::Comprehend | Service::Translate) => {
                (400, "TextSizeLimitExceededException")
            }
            (Class::TooLarge, Service::Polly) => (400, "TextLengthExceededException"),
            (Class::Unsupported, Service::Comprehend) => (400, "UnsupportedLanguageException"),
            (Class::Unsupported, Service::Translate) => (400, "UnsupportedLanguagePairException"),
            (Class::Unsupported, Service::Polly) => (400, "LanguageNotSupportedException"),
            (Class::NotFound, Service::Transcribe) => (404, "NotFoundException"),
            (Class::NotFound, Service::Comprehend) => (404, "ResourceUnavailableException"),
            (Class::NotFound, Service::Translate) => (404, "ResourceNotFoundException"),
            (Class::NotFound, _) => (404, "UnknownOperationException"),
            (Class::Invalid | Class::TooLarge | Class::Unsupported, Service::Transcribe) => {
                (400, "BadRequestException")
            }
            (Class::Invalid, Service::Comprehend | Service::Translate) => {
                (400, "InvalidRequestException")
            }
            (Class::Invalid | Class::TooLarge | Class::Unsupported, _) => {
                (400, "ValidationException")
            }
            (Class::Internal, Service::Transcribe) => (500, "InternalFailureException"),
            (Class::Internal, Service::Polly) => (500, "ServiceFailureException"),
            (Class::Internal, _) => (500, "InternalServerException"),
            (Class::Unavailable, _) => (503, "ServiceUnavailableException"),
        };
        failure(call, status, name, message)
    }

    fn reset(&self) {
        self.objects.clear();
        self.jobs.clear();
    }
}

/// An error of a service that speaks JSON. What is not modelled by the service has its message in lower case.
fn failure(call: &Call, status: u16, name: &str, message: &str) -> Answer {
    failure_with(call, status, name, message, Map::new())
}

fn failure_with(
    call: &Call,
    status: u16,
    name: &str,
    message: &str,
    more: Map<String, Value>,
) -> Answer {
    let common = [
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "ThrottlingException",
        "ValidationException",
        "SerializationException",
        "UnknownOperationException",
        "SubscriptionRequiredException",
        "ServiceUnavailableException",
    ];
    let polly = Service::of(call) == Service::Polly;
    let field = if polly || common.contains(&name) {
        "message"
    } else {
        "Message"
    };
    let mut body = Map::new();
    if !polly {
        body.insert("__type".to_owned(), json!(name));
    }
    body.insert(field.to_owned(), json!(message));
    body.extend(more);
    let kind = if polly {
        "application/json"
    } else {
        "application/x-amz-json-1.1"
    };
    let answer = Answer::bytes(status, kind, Value::Object(body).to_string());
    let answer = answer.header("x-amzn-requestid", call.uuid("request"));
    if polly {
        answer.header("x-amzn-errortype", name)
    } else {
        answer
    }
}

fn refused(call: &Call, service: Service, reason: &Refusal) -> Answer {
    if service == Service::Storage {
        return storage::refused(call, reason);
    }
    let scope = format!(
        "Credential should be scoped to correct service: '{}'.",
        service.signing_name()
    );
    let (name, message) = match reason {
        Refusal::Missing => (
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ),
        Refusal::UnknownKey => (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        Refusal::Incomplete(what) => ("IncompleteSignatureException", *what),
        Refusal::Scope => ("InvalidSignatureException", scope.as_str()),
        Refusal::Skewed => (
            "InvalidSignatureException",
            "Signature expired: the request's date is more than five minutes off.",
        ),
        Refusal::Payload | Refusal::Mismatch => (
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
        ),
    };
    let status = if service == Service::Polly { 403 } else { 400 };
    failure(call, status, name, message)
}

/// A success of a service that speaks JSON 1.1.
fn success(call: &Call, body: &Value) -> Answer {
    let answer = Answer::bytes(200, "application/x-amz-json-1.1", body.to_string());
    answer.header("x-amzn-requestid", call.uuid("request"))
}

/// The refusal of a value that breaks a rule of the service's model.
fn constraint(call: &Call, field: &str, value: &Value, rule: &str) -> Answer {
    let shown = match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => format!("'{}'", text.chars().take(100).collect::<String>()),
        other => format!("'{other}'"),
    };
    let message = format!(
        "1 validation error detected: Value {shown} at '{field}' failed to satisfy constraint: {rule}"
    );
    let name = if Service::of(call) == Service::Transcribe {
        "BadRequestException"
    } else {
        "ValidationException"
    };
    failure(call, 400, name, &message)
}

/// A text that must be there; with its name as the service's messages have it, the first letter small.
fn required<'a>(
    call: &Call,
    input: &'a Map<String, Value>,
    field: &str,
) -> Result<&'a str, Answer> {
    let small = small(field);
    match input.get(field) {
        None | Some(Value::Null) => Err(constraint(
            call,
            &small,
            &Value::Null,
            "Member must not be null",
        )),
        Some(Value::String(text)) if text.is_empty() => Err(constraint(
            call,
            &small,
            &json!(""),
            "Member must have length greater than or equal to 1",
        )),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(failure(
            call,
            400,
            "SerializationException",
            &format!("{field} is not a string"),
        )),
    }
}

fn small(field: &str) -> String {
    let mut letters = field.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// Seconds since 1970 with three decimals.
fn epoch(call: &Call) -> Value {
    let since = call
        .now
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    json!(crate::answers::audio::rounded(since.as_secs_f64()))
}
