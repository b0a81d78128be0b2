//! How Google says no: `error{code, message, status, details}`, with `errors[]` in translation v2, and OAuth's own shape
//! for tokens.

use serde_json::{Value, json};

use super::Service;
use crate::{
    answer::{Answer, Content},
    call::Call,
    vendor::Class,
};

/// Seconds after which a caller that came too often may come again.
const AGAIN: &str = "3s";

/// Canonical statuses with the HTTP status that each comes under; of one HTTP status, the usual one first.
const STATUSES: [(&str, u16); 15] = [
    ("INVALID_ARGUMENT", 400),
    ("FAILED_PRECONDITION", 400),
    ("OUT_OF_RANGE", 400),
    ("UNAUTHENTICATED", 401),
    ("PERMISSION_DENIED", 403),
    ("NOT_FOUND", 404),
    ("ABORTED", 409),
    ("ALREADY_EXISTS", 409),
    ("RESOURCE_EXHAUSTED", 429),
    ("CANCELLED", 499),
    ("INTERNAL", 500),
    ("DATA_LOSS", 500),
    ("UNIMPLEMENTED", 501),
    ("UNAVAILABLE", 503),
    ("DEADLINE_EXCEEDED", 504),
];

/// The canonical status of an HTTP status.
fn status_name(code: u16) -> &'static str {
    let found = STATUSES.iter().find(|(_, known)| *known == code);
    found.map_or("INTERNAL", |(name, _)| *name)
}

/// An error with these details, in the shape of the service that was called.
pub(super) fn failure(call: &Call, code: u16, message: &str, details: &[Value]) -> Answer {
    let reason = match code {
        401 => "authError",
        403 => "forbidden",
        404 => "notFound",
        429 => "rateLimitExceeded",
        500..=599 => "backendError",
        _ => "badRequest",
    };
    with_reason(call, code, message, ("global", reason), details)
}

/// The same with translation v2's own domain and reason; the other services do not send them.
pub(super) fn with_reason(
    call: &Call,
    code: u16,
    message: &str,
    (domain, reason): (&str, &str),
    details: &[Value],
) -> Answer {
    let mut error = json!({ "code": code, "message": message });
    let mut set = |name: &str, value: Value| {
        if let Some(error) = error.as_object_mut() {
            error.insert(name.to_owned(), value);
        }
    };
    if Service::of(call) == Service::Basic {
        let one = json!({ "message": message, "domain": domain, "reason": reason });
        set("errors", json!([one]));
    }
    set("status", json!(status_name(code)));
    if !details.is_empty() {
        set("details", json!(details));
    }
    Answer::json(code, &json!({ "error": error }))
        .header("content-type", "application/json; charset=UTF-8")
}

/// A request that is wrong in these fields: path with dots, and what is wrong.
pub(super) fn violations(call: &Call, found: &[(String, String)]) -> Answer {
    let sentences: Vec<_> = found
        .iter()
        .map(|(_, sentence)| sentence.as_str())
        .collect();
    let fields = found
        .iter()
        .map(|(field, sentence)| json!({ "field": field, "description": sentence }));
    let detail = json!({
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": fields.collect::<Vec<_>>(),
    });
    failure(call, 400, &sentences.join("\n"), &[detail])
}

/// A request that is wrong in one field.
pub(super) fn invalid(call: &Call, field: &str, message: &str) -> Answer {
    violations(call, &[(field.to_owned(), message.to_owned())])
}

/// `google.rpc.ErrorInfo`.
pub(super) fn info(call: &Call, reason: &str, more: &[(&str, &str)]) -> Value {
    let mut metadata = json!({ "service": Service::of(call).host() });
    for (name, value) in more {
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert((*name).to_owned(), json!(value));
        }
    }
    json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": metadata,
    })
}

/// OAuth's shape, which the token address answers in.
pub(super) fn oauth(code: u16, error: &str, description: &str) -> Answer {
    let body = json!({ "error": error, "error_description": description });
    Answer::json(code, &body).header("content-type", "application/json; charset=utf-8")
}

/// An error by its canonical status or its reason; for tokens, by OAuth's name for it.
pub(super) fn coded(call: &Call, code: &str, message: &str) -> Option<Answer> {
    const REASONS: [&str; 6] = [
        "accessNotConfigured",
        "dailyLimitExceeded",
        "forbidden",
        "quotaExceeded",
        "rateLimitExceeded",
        "userRateLimitExceeded",
    ];
    let service = Service::of(call);
    if service == Service::Token {
        let known = ["invalid_grant", "invalid_scope", "invalid_client"];
        return known.contains(&code).then(|| oauth(400, code, message));
    }
    if service == Service::Basic && REASONS.contains(&code) {
        return Some(with_reason(call, 403, message, ("usageLimits", code), &[]));
    }
    if code == "API_KEY_INVALID" {
        return Some(wrong_key(call));
    }
    let (name, status) = STATUSES.iter().find(|(name, _)| *name == code)?;
    let answer = failure(call, *status, message, &[]);
    Some(renamed(answer, name))
}

/// The same error under another canonical status of its HTTP status.
fn renamed(mut answer: Answer, name: &str) -> Answer {
    if let Content::Whole(bytes) = &answer.content
        && let Ok(mut body) = serde_json::from_slice::<Value>(bytes)
        && let Some(status) = body.pointer_mut("/error/status")
    {
        *status = json!(name);
        answer.content = Content::Whole(body.to_string().into());
    }
    answer
}

/// A key that is none. Not 401: a wrong key is an invalid argument to this vendor.
pub(super) fn wrong_key(call: &Call) -> Answer {
    let detail = info(call, "API_KEY_INVALID", &[]);
    let message = "API key not valid. Please pass a valid API key.";
    failure(call, 400, message, &[detail])
}

/// An error of a class.
pub(super) fn class(call: &Call, class: Class, message: &str) -> Answer {
    match Service::of(call) {
        Service::Token => token(class, message),
        Service::Basic if matches!(class, Class::Quota | Class::Rate) => {
            let (message, reason) = match class {
                Class::Quota => ("Daily Limit Exceeded", "dailyLimitExceeded"),
                _ => ("User Rate Limit Exceeded", "userRateLimitExceeded"),
            };
            with_reason(call, 403, message, ("usageLimits", reason), &[])
        }
        _ => plain(call, class, message),
    }
}

fn token(class: Class, message: &str) -> Answer {
    match class {
        Class::Auth => oauth(400, "invalid_grant", message),
        Class::Quota | Class::Rate => oauth(429, "rate_limit_exceeded", message),
        Class::Invalid | Class::TooLarge | Class::Unsupported | Class::NotFound => {
            oauth(400, "invalid_request", message)
        }
        Class::Internal => oauth(500, "internal_failure", message),
        Class::Unavailable => oauth(503, "temporarily_unavailable", message),
    }
}

fn plain(call: &Call, class: Class, message: &str) -> Answer {
    let limit = |span: &str, name: &str| {
        let message = format!(
            "Quota exceeded for quota metric 'Requests' and limit '{name}' of service '{}': {message}",
            Service::of(call).host()
        );
        let metadata = [("quota_limit", name), ("quota_unit", span)];
        (message, info(call, "RATE_LIMIT_EXCEEDED", &metadata))
    };
    match class {
        Class::Auth => {
            let detail = info(call, "ACCESS_TOKEN_TYPE_UNSUPPORTED", &[]);
            failure(call, 401, message, &[detail])
        }
        Class::Quota => {
            let (message, detail) = limit("1/d/{project}", "Requests per day");
            let violation = json!({ "subject": "project", "description": message });
            let quota = json!({ "@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation] });
            failure(call, 429, &message, &[detail, quota])
        }
        Class::Rate => {
            let (message, detail) = limit("1/min/{project}", "Requests per minute");
            let retry =
                json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": AGAIN });
            failure(call, 429, &message, &[detail, retry])
        }
        Class::Invalid | Class::Unsupported => invalid(call, "", message),
        Class::TooLarge => {
            let message = format!("Request payload size exceeds the limit: {message}");
            failure(call, 400, &message, &[])
        }
        Class::NotFound => failure(call, 404, message, &[]),
        Class::Internal => failure(call, 500, message, &[]),
        Class::Unavailable => failure(call, 503, message, &[]),
    }
}
