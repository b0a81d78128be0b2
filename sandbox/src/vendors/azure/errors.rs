//! How Azure says no: each service in a shape of its own.

use serde_json::{Value, json};

use super::{Service, answer};
use crate::{answer::Answer, call::Call, vendor::Class};

/// Seconds after which a caller that came too often may come again.
const AGAIN: &str = "2";

/// An error of a class.
pub(super) fn class(call: &Call, class: Class, message: &str) -> Answer {
    let answer = match Service::of(call) {
        Service::Language => language_class(call, class, message),
        Service::Transcription => speech_class(call, class, message),
        Service::Translator => {
            let code = match class {
                Class::Auth => 401_000,
                Class::Quota => 403_001,
                Class::Rate => 429_001,
                Class::Invalid => 400_000,
                Class::TooLarge => 400_077,
                Class::Unsupported => 400_036,
                Class::NotFound => 404_000,
                Class::Internal => 500_000,
                Class::Unavailable => 503_000,
            };
            return translator(call, code, message);
        }
        Service::Recognition | Service::Voice => plain(call, status(class), message),
        Service::Login => return login(call, status(class), login_code(class), 90_000, message),
        Service::Storage => return storage(call, status(class), storage_code(class), message),
        Service::Token | Service::Unknown => gateway(call, status(class), message),
    };
    match class {
        Class::Rate => answer.header("retry-after", AGAIN),
        _ => answer,
    }
}

/// Codes of language and of transcription with the status that each comes under.
const CODES: [(&str, u16); 14] = [
    ("InvalidRequest", 400),
    ("InvalidArgument", 400),
    ("Unauthorized", 401),
    ("Forbidden", 403),
    ("QuotaExceeded", 403),
    ("NotFound", 404),
    ("Timeout", 408),
    ("Conflict", 409),
    ("UnsupportedMediaType", 415),
    ("UnprocessableEntity", 422),
    ("TooManyRequests", 429),
    ("InternalServerError", 500),
    ("PipelineError", 500),
    ("ServiceUnavailable", 503),
];

/// An error by the service's own code: six digits, a word, or a recognition's status inside a 200.
pub(super) fn coded(call: &Call, code: &str, message: &str) -> Option<Answer> {
    let service = Service::of(call);
    match service {
        Service::Translator => {
            let number: u32 = code.parse().ok()?;
            (400_000..600_000)
                .contains(&number)
                .then(|| translator(call, number, message))
        }
        Service::Recognition => {
            let known = ["NoMatch", "InitialSilenceTimeout", "BabbleTimeout", "Error"];
            let body = json!({ "RecognitionStatus": code, "Offset": 0, "Duration": 0 });
            let failed = || answer(call, 200, &body).not_executed();
            known.contains(&code).then(failed)
        }
        Service::Language | Service::Transcription => {
            let (name, status) = CODES.iter().find(|(name, _)| *name == code)?;
            let answer = if service == Service::Language {
                language(call, *status, name, message, None)
            } else {
                speech(call, *status, name, message, None)
            };
            Some(match *status {
                429 => answer.header("retry-after", AGAIN),
                _ => answer,
            })
        }
        _ => None,
    }
}

/// A method that is not served at this path.
pub(super) fn method(call: &Call) -> Answer {
    match Service::of(call) {
        Service::Translator => {
            let message = "The request method is not supported for the requested resource.";
            translator(call, 405_000, message)
        }
        Service::Recognition | Service::Voice => plain(call, 405, ""),
        _ => gateway(call, 405, "The method is not allowed for this resource."),
    }
}

fn status(class: Class) -> u16 {
    match class {
        Class::Auth => 401,
        Class::Quota => 403,
        Class::Rate => 429,
        Class::Invalid | Class::Unsupported => 400,
        Class::TooLarge => 413,
        Class::NotFound => 404,
        Class::Internal => 500,
        Class::Unavailable => 503,
    }
}

/// What stands before the services: `error{code, message}` with the status for a code.
pub(super) fn gateway(call: &Call, status: u16, message: &str) -> Answer {
    let error = json!({ "code": status.to_string(), "message": message });
    answer(call, status, &json!({ "error": error }))
}

/// A wrong key, as the gateway says it.
fn denied(call: &Call) -> Answer {
    let message = "Access denied due to invalid subscription key or wrong API endpoint.";
    gateway(call, 401, message)
}

/// Language: `error{code, message, innererror}`.
pub(super) fn language(
    call: &Call,
    status: u16,
    code: &str,
    message: &str,
    inner: Option<(&str, &str)>,
) -> Answer {
    let error = language_error(code, message, inner);
    answer(call, status, &json!({ "error": error })).header("x-ms-error-code", code)
}

/// What is inside `error`, which single documents have too.
pub(super) fn language_error(code: &str, message: &str, inner: Option<(&str, &str)>) -> Value {
    let mut error = json!({ "code": code, "message": message });
    if let (Some((code, message)), Some(error)) = (inner, error.as_object_mut()) {
        let inner = json!({ "code": code, "message": message });
        error.insert("innererror".to_owned(), inner);
    }
    error
}

fn language_class(call: &Call, class: Class, message: &str) -> Answer {
    let bad = |inner: &str| {
        let said = "Invalid request.";
        language(call, 400, "InvalidRequest", said, Some((inner, message)))
    };
    match class {
        Class::Auth => denied(call),
        Class::Quota => {
            let message = format!("Out of call volume quota: {message}");
            language(call, 403, "QuotaExceeded", &message, None)
        }
        Class::Rate => language(call, 429, "TooManyRequests", message, None),
        Class::Invalid => bad("InvalidRequest"),
        Class::TooLarge => bad("InvalidDocumentBatch"),
        Class::Unsupported => bad("UnsupportedLanguageCode"),
        Class::NotFound => language(call, 404, "NotFound", message, None),
        Class::Internal => language(call, 500, "InternalServerError", message, None),
        Class::Unavailable => language(call, 503, "ServiceUnavailable", message, None),
    }
}

/// Fast and batch transcription: `code, message, innerError`, nothing around it.
pub(super) fn speech(
    call: &Call,
    status: u16,
    code: &str,
    message: &str,
    inner: Option<&str>,
) -> Answer {
    let mut body = json!({ "code": code, "message": message });
    if let (Some(inner), Some(body)) = (inner, body.as_object_mut()) {
        let inner = json!({ "code": inner, "message": message });
        body.insert("innerError".to_owned(), inner);
    }
    answer(call, status, &body)
}

fn speech_class(call: &Call, class: Class, message: &str) -> Answer {
    match class {
        Class::Auth => denied(call),
        Class::Quota => {
            let message = format!("Out of call volume quota: {message}");
            speech(call, 403, "Forbidden", &message, Some("QuotaViolation"))
        }
        Class::Rate => speech(call, 429, "TooManyRequests", message, None),
        Class::Invalid => speech(call, 400, "InvalidRequest", message, Some("InvalidPayload")),
        Class::TooLarge => speech(call, 413, "InvalidRequest", message, Some("InvalidPayload")),
        Class::Unsupported => speech(call, 400, "InvalidArgument", message, Some("InvalidLocale")),
        Class::NotFound => speech(call, 404, "NotFound", message, None),
        Class::Internal => speech(call, 500, "InternalServerError", message, None),
        Class::Unavailable => speech(call, 503, "ServiceUnavailable", message, None),
    }
}

/// Translator: six digits, of which the first three are the status.
pub(super) fn translator(call: &Call, code: u32, message: &str) -> Answer {
    let status = u16::try_from(code / 1000).unwrap_or(500);
    let error = json!({ "code": code, "message": message });
    answer(call, status, &json!({ "error": error }))
}

/// Short audio and voices: a status, and a sentence where there is something to say.
pub(super) fn plain(call: &Call, status: u16, message: &str) -> Answer {
    let answer = match status {
        400 | 404 | 413 | 415 if !message.is_empty() => Answer::text(status, "text/plain", message),
        status => Answer::empty(status),
    };
    answer.header("x-requestid", call.uuid("request"))
}

/// The directory: OAuth's shape with numbers of its own.
pub(super) fn login(call: &Call, status: u16, error: &str, code: u32, message: &str) -> Answer {
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{code}: {message}"),
        "error_codes": [code],
        "timestamp": call.timestamp(),
        "trace_id": call.uuid("trace"),
        "correlation_id": call.uuid("correlation"),
    });
    Answer::json(status, &body).header("content-type", "application/json; charset=utf-8")
}

fn login_code(class: Class) -> &'static str {
    match class {
        Class::Auth => "invalid_client",
        Class::Internal | Class::Unavailable | Class::Rate | Class::Quota => {
            "temporarily_unavailable"
        }
        _ => "invalid_request",
    }
}

/// Storage: XML.
pub(super) fn storage(call: &Call, status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    Answer::text(status, "application/xml", body)
        .header("x-ms-error-code", code)
        .header("x-ms-request-id", call.uuid("request"))
}

fn storage_code(class: Class) -> &'static str {
    match class {
        Class::Auth | Class::Quota => "AuthenticationFailed",
        Class::Rate | Class::Unavailable => "ServerBusy",
        Class::TooLarge => "RequestBodyTooLarge",
        Class::NotFound => "BlobNotFound",
        Class::Internal => "InternalError",
        Class::Invalid | Class::Unsupported => "InvalidInput",
    }
}
