//! What vendors say when something is wrong, in the shapes of their descriptions, and what it means to a caller.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and what they share"
)]

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use isobar_adapters::{Account, Failure, Job, Kind, Response, built_in};
use serde_json::{Value, json};

fn refused(vendor: &str, operation: &str, status: u16, body: &Value) -> Failure {
    let vendor = Arc::clone(built_in().0.get(vendor).unwrap());
    let account = Account::new("mine".to_owned(), Arc::clone(&vendor), None, Vec::new());
    let input = json!({ "text": "a", "to": "fr" });
    let job = Job {
        input: input.as_object().unwrap().clone(),
        blobs: Vec::new(),
    };
    let response = Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.to_string().into(),
    };
    let operation = vendor.operation(operation).unwrap();
    let mut outputs = operation.interpret(&account, &[job], &response);
    outputs.remove(0).unwrap_err()
}

fn check(vendor: &str, operation: &str, rows: &[(u16, Value, Kind)]) {
    for (status, body, kind) in rows {
        let failure = refused(vendor, operation, *status, body);
        assert_eq!(
            failure.kind, *kind,
            "{vendor}: {status} {body}: {failure:?}"
        );
        assert_eq!(failure.status, Some(*status));
    }
}

#[test]
fn google_has_one_shape_and_two_vocabularies() {
    let error = |code: u16, status: &str, message: &str| json!({ "error": { "code": code, "message": message, "status": status } });
    check(
        "google",
        "text.sentiment",
        &[
            (
                400,
                error(400, "INVALID_ARGUMENT", "Invalid JSON payload received."),
                Kind::Invalid,
            ),
            (
                400,
                error(
                    400,
                    "INVALID_ARGUMENT",
                    "API key not valid. Please pass a valid API key.",
                ),
                Kind::Auth,
            ),
            (
                401,
                error(
                    401,
                    "UNAUTHENTICATED",
                    "Request had invalid authentication credentials.",
                ),
                Kind::Auth,
            ),
            (
                403,
                error(
                    403,
                    "PERMISSION_DENIED",
                    "The API has not been used in project 1 before or it is disabled.",
                ),
                Kind::Auth,
            ),
            (
                403,
                error(
                    403,
                    "PERMISSION_DENIED",
                    "This API method requires billing to be enabled.",
                ),
                Kind::Quota,
            ),
            (
                400,
                error(
                    400,
                    "INVALID_ARGUMENT",
                    "The language xx is not supported for entity analysis.",
                ),
                Kind::Unsupported,
            ),
            (
                400,
                error(
                    400,
                    "INVALID_ARGUMENT",
                    "Invalid text content: too few tokens (words) to process.",
                ),
                Kind::Unsupported,
            ),
            (
                400,
                error(
                    400,
                    "INVALID_ARGUMENT",
                    "Request payload size exceeds the limit: 10485760 bytes.",
                ),
                Kind::TooLarge,
            ),
            (
                429,
                error(
                    429,
                    "RESOURCE_EXHAUSTED",
                    "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute'.",
                ),
                Kind::RateLimited,
            ),
            (
                429,
                error(
                    429,
                    "RESOURCE_EXHAUSTED",
                    "Quota exceeded for quota metric 'Requests' and limit 'Requests per day'.",
                ),
                Kind::Quota,
            ),
            (
                500,
                error(500, "INTERNAL", "Internal error encountered."),
                Kind::Internal,
            ),
            (
                503,
                error(503, "UNAVAILABLE", "The service is currently unavailable."),
                Kind::Unavailable,
            ),
            (
                504,
                error(504, "DEADLINE_EXCEEDED", "Deadline exceeded."),
                Kind::Timeout,
            ),
        ],
    );
    let reason = |code: u16, reason: &str| json!({ "error": { "code": code, "message": "Told by the reason", "errors": [{ "domain": "usageLimits", "reason": reason, "message": "…" }], "status": "PERMISSION_DENIED" } });
    check(
        "google",
        "translation.translate",
        &[
            (403, reason(403, "userRateLimitExceeded"), Kind::RateLimited),
            (403, reason(403, "rateLimitExceeded"), Kind::RateLimited),
            (403, reason(403, "dailyLimitExceeded"), Kind::Quota),
            (403, reason(403, "forbidden"), Kind::Auth),
            (400, reason(400, "invalid"), Kind::Invalid),
        ],
    );
    check(
        "google",
        "speech.transcribe",
        &[(
            400,
            error(
                400,
                "INVALID_ARGUMENT",
                "Sync input too long. For audio longer than 1 min use LongRunningRecognize.",
            ),
            Kind::TooLarge,
        )],
    );
    let told = json!({ "error": { "code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Slow down.", "details": [
        { "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED" },
        { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s" },
    ] } });
    let failure = refused("google", "text.sentiment", 429, &told);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(3)));
}

#[test]
fn azure_has_a_shape_for_each_service() {
    let error =
        |code: &str, message: &str| json!({ "error": { "code": code, "message": message } });
    let inner = |code: &str, message: &str| json!({ "error": { "code": "InvalidRequest", "message": "Invalid Request.", "innererror": { "code": code, "message": message } } });
    check(
        "azure",
        "text.sentiment",
        &[
            (
                401,
                error(
                    "401",
                    "Access denied due to invalid subscription key or wrong API endpoint.",
                ),
                Kind::Auth,
            ),
            (
                403,
                error("QuotaExceeded", "Out of call volume quota."),
                Kind::Quota,
            ),
            (
                403,
                error(
                    "403",
                    "Out of call volume quota. Quota will be replenished in 1 day.",
                ),
                Kind::Quota,
            ),
            (
                429,
                error("TooManyRequests", "Slow down."),
                Kind::RateLimited,
            ),
            (
                429,
                error("429", "Requests have exceeded call rate limit."),
                Kind::RateLimited,
            ),
            (
                400,
                inner(
                    "InvalidDocumentBatch",
                    "Batch request contains too many records.",
                ),
                Kind::Invalid,
            ),
            (
                400,
                inner("UnsupportedLanguageCode", "Invalid language code."),
                Kind::Unsupported,
            ),
            (
                413,
                error("RequestEntityTooLarge", "Request body is too large."),
                Kind::TooLarge,
            ),
            (
                500,
                error("InternalServerError", "Internal Server Error."),
                Kind::Internal,
            ),
            (
                503,
                error("ServiceUnavailable", "Try later."),
                Kind::Unavailable,
            ),
        ],
    );
    let number = |code: u32| json!({ "error": { "code": code, "message": "Told by the number." } });
    check(
        "azure",
        "translation.translate",
        &[
            (400, number(400_036), Kind::Unsupported),
            (400, number(400_035), Kind::Unsupported),
            (400, number(400_077), Kind::TooLarge),
            (400, number(400_000), Kind::Invalid),
            (401, number(401_000), Kind::Auth),
            (403, number(403_001), Kind::Quota),
            (429, number(429_000), Kind::RateLimited),
            (429, number(429_002), Kind::RateLimited),
            (503, number(503_000), Kind::Unavailable),
        ],
    );
    let bare = |code: &str, message: &str| json!({ "code": code, "message": message });
    check(
        "azure",
        "speech.transcribe",
        &[
            (
                400,
                bare("InvalidRequest", "The audio is not valid."),
                Kind::Invalid,
            ),
            (
                400,
                bare("InvalidRequest", "The specified locale is not supported."),
                Kind::Unsupported,
            ),
            (
                401,
                bare("Unauthorized", "Authentication is required."),
                Kind::Auth,
            ),
            (
                429,
                bare("TooManyRequests", "Slow down."),
                Kind::RateLimited,
            ),
        ],
    );
    check(
        "azure",
        "speech.synthesize",
        &[
            (400, Value::Null, Kind::Invalid),
            (401, Value::Null, Kind::Auth),
            (415, Value::Null, Kind::Unsupported),
            (429, Value::Null, Kind::RateLimited),
            (502, Value::Null, Kind::Internal),
        ],
    );
}

#[test]
fn aws_names_its_errors() {
    let named = |name: &str| json!({ "__type": format!("com.amazonaws.comprehend#{name}"), "Message": "…" });
    check(
        "aws",
        "text.sentiment",
        &[
            (400, named("ThrottlingException"), Kind::RateLimited),
            (400, named("TextSizeLimitExceededException"), Kind::TooLarge),
            (
                400,
                named("UnsupportedLanguageException"),
                Kind::Unsupported,
            ),
            (400, named("InvalidRequestException"), Kind::Invalid),
            (400, named("UnrecognizedClientException"), Kind::Auth),
            (403, named("InvalidSignatureException"), Kind::Auth),
            (400, named("ExpiredTokenException"), Kind::Auth),
            (400, named("SubscriptionRequiredException"), Kind::Quota),
            (500, named("InternalServerException"), Kind::Internal),
            (503, named("ServiceUnavailable"), Kind::Unavailable),
        ],
    );
    check(
        "aws",
        "translation.translate",
        &[
            (429, named("TooManyRequestsException"), Kind::RateLimited),
            (400, named("LimitExceededException"), Kind::RateLimited),
            (
                400,
                named("UnsupportedLanguagePairException"),
                Kind::Unsupported,
            ),
            (
                400,
                named("DetectedLanguageLowConfidenceException"),
                Kind::Unsupported,
            ),
            (404, named("ResourceNotFoundException"), Kind::Invalid),
        ],
    );
}

#[test]
fn openai_tells_a_rate_from_an_empty_purse_by_the_code() {
    let error = |code: Value, kind: &str| json!({ "error": { "message": "…", "type": kind, "param": null, "code": code } });
    check(
        "openai",
        "text.sentiment",
        &[
            (
                400,
                error(Value::Null, "invalid_request_error"),
                Kind::Invalid,
            ),
            (
                400,
                error(json!("context_length_exceeded"), "invalid_request_error"),
                Kind::TooLarge,
            ),
            (
                401,
                error(json!("invalid_api_key"), "invalid_request_error"),
                Kind::Auth,
            ),
            (
                404,
                error(json!("model_not_found"), "invalid_request_error"),
                Kind::Unsupported,
            ),
            (
                429,
                error(json!("rate_limit_exceeded"), "requests"),
                Kind::RateLimited,
            ),
            (
                429,
                error(json!("insufficient_quota"), "insufficient_quota"),
                Kind::Quota,
            ),
            (500, error(Value::Null, "server_error"), Kind::Internal),
            (503, error(Value::Null, "server_error"), Kind::Unavailable),
        ],
    );
}
