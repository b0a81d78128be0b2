//! S3, as far as staging a file needs it: put, get, head and delete one object, path style.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::{Aws, BUCKET, OBJECT, REGION};
use crate::{
    answer::Answer,
    auth::{
        same,
        sigv4::{Refusal, hmac},
    },
    call::{Call, hex},
    vendor::{Class, Operation},
};

/// Where transcripts lie that were not ordered into a bucket of the caller's.
const TRANSCRIPTS: &str = "aws-transcribe-us-east-1-prod";
/// Seconds for which a presigned URL is good.
const GOOD_FOR: u64 = 900;
/// Key of the sandbox's own presigned URLs.
const OWN: &[u8] = b"the sandbox signs its transcripts with this";

/// An object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) body: Bytes,
    pub(super) content_type: String,
    etag: String,
}

impl Object {
    pub(super) fn new(body: Bytes, content_type: &str) -> Self {
        let etag = format!("\"{}\"", hex(&Md5::digest(&body)));
        Self {
            body,
            content_type: content_type.to_owned(),
            etag,
        }
    }
}

pub(super) fn operation(call: &Call) -> Operation {
    const PART: &str = "speech.transcribe";
    if is_presigned(call) {
        return Operation::new("GetTranscript", PART);
    }
    match call.method.as_str() {
        "PUT" => Operation::new("PutObject", PART),
        "GET" => Operation::new("GetObject", PART),
        "HEAD" => Operation::new("HeadObject", PART),
        "DELETE" => Operation::new("DeleteObject", PART),
        _ => Operation::other("UnknownS3"),
    }
}

/// Whether this asks for a transcript.
pub(super) fn is_presigned(call: &Call) -> bool {
    call.path.starts_with(&format!("/{TRANSCRIPTS}/"))
}

/// Errors of S3 are XML.
pub(super) fn failure(call: &Call, status: u16, code: &str, message: &str) -> Answer {
    let escaped = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    };
    let id = call.hex_id("request", 16).to_uppercase();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{}</Message><Resource>{}</Resource><RequestId>{id}</RequestId><HostId>sandbox</HostId></Error>",
        escaped(message),
        escaped(&call.path),
    );
    let mut answer = marked(call, Answer::text(status, "application/xml", body));
    if call.method.as_str() == "HEAD" {
        answer.content = crate::answer::Content::Whole(Bytes::new());
    }
    answer
}

fn marked(call: &Call, answer: Answer) -> Answer {
    answer
        .header(
            "x-amz-request-id",
            call.hex_id("request", 16).to_uppercase(),
        )
        .header("x-amz-id-2", STANDARD.encode(call.seed("host")))
        .header("server", "AmazonS3")
}

pub(super) fn error(call: &Call, class: Class, message: &str) -> Answer {
    let (status, code) = match class {
        Class::Auth => (403, "InvalidAccessKeyId"),
        Class::Quota => (403, "AccountProblem"),
        Class::Rate => (503, "SlowDown"),
        Class::Invalid => (400, "InvalidRequest"),
        Class::TooLarge => (400, "EntityTooLarge"),
        Class::Unsupported => (501, "NotImplemented"),
        Class::NotFound => (404, "NoSuchKey"),
        Class::Internal => (500, "InternalError"),
        Class::Unavailable => (503, "ServiceUnavailable"),
    };
    failure(call, status, code, message)
}

pub(super) fn refused(call: &Call, reason: &Refusal) -> Answer {
    let streamed = call
        .header("x-amz-content-sha256")
        .is_some_and(|hash| hash.starts_with("STREAMING-"));
    let (status, code, message) = match reason {
        Refusal::Missing => (403, "AccessDenied", "Access Denied"),
        Refusal::UnknownKey => (
            403,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        Refusal::Incomplete(what) => (400, "AuthorizationHeaderMalformed", *what),
        Refusal::Scope => (
            400,
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; incorrect service.",
        ),
        Refusal::Skewed => (
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
        Refusal::Payload if streamed => (
            501,
            "NotImplemented",
            "A header you provided implies functionality that is not implemented.",
        ),
        Refusal::Payload => (
            400,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        ),
        Refusal::Mismatch => (
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
        ),
    };
    failure(call, status, code, message)
}

impl Aws {
    pub(super) fn storage(&self, call: &Call) -> Result<Answer, Answer> {
        if is_presigned(call) {
            return self.transcript(call);
        }
        let segments = call.path.trim_start_matches('/').split_once('/');
        let Some((bucket, key)) = segments.filter(|(_, key)| !key.is_empty()) else {
            return Err(failure(
                call,
                501,
                "NotImplemented",
                "Only calls for one object are simulated.",
            ));
        };
        if bucket != BUCKET {
            return Err(failure(
                call,
                404,
                "NoSuchBucket",
                "The specified bucket does not exist",
            ));
        }
        let id = format!("{bucket}/{}", crate::call::decode(key, false));
        match call.method.as_str() {
            "PUT" => self.put(call, &id),
            "GET" | "HEAD" => {
                let (_, object) = self.objects.peek(&id).ok_or_else(|| no_such_key(call))?;
                let mut answer = Answer::bytes(200, &object.content_type, object.body.clone());
                if call.method.as_str() == "HEAD" {
                    answer.content = crate::answer::Content::Whole(Bytes::new());
                    answer = answer.header("content-length", object.body.len().to_string());
                }
                Ok(marked(
                    call,
                    answer
                        .header("etag", object.etag)
                        .header("accept-ranges", "bytes"),
                ))
            }
            "DELETE" => {
                self.objects.remove(&id);
                Ok(marked(call, Answer::empty(204)))
            }
            _ => Err(failure(
                call,
                405,
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
            )),
        }
    }

    fn put(&self, call: &Call, id: &str) -> Result<Answer, Answer> {
        if call.body.len() > OBJECT {
            return Err(failure(
                call,
                400,
                "EntityTooLarge",
                "Your proposed upload exceeds the maximum allowed size",
            ));
        }
        let sums = [
            ("content-md5", STANDARD.encode(Md5::digest(&call.body))),
            (
                "x-amz-checksum-crc32",
                STANDARD.encode(crc32(&call.body).to_be_bytes()),
            ),
            (
                "x-amz-checksum-sha256",
                STANDARD.encode(Sha256::digest(&call.body)),
            ),
        ];
        let wrong = sums
            .iter()
            .find(|(name, actual)| call.header(name).is_some_and(|given| given != actual));
        if let Some((name, _)) = wrong {
            let message = format!("The {name} you specified did not match what we received.");
            return Err(failure(call, 400, "BadDigest", &message));
        }
        let object = Object::new(
            call.body.clone(),
            call.header("content-type").unwrap_or("binary/octet-stream"),
        );
        let mut answer = Answer::empty(200).header("etag", object.etag.clone());
        for (name, actual) in sums {
            if name != "content-md5" && call.header(name).is_some() {
                answer = answer.header(name, actual);
            }
        }
        self.store(id, object);
        Ok(marked(call, answer).fact("bytes", call.body.len()))
    }

    /// Puts an object, in place of what is there.
    pub(super) fn store(&self, id: &str, object: Object) {
        self.objects.remove(id);
        self.objects.submit(id, object, false);
    }

    /// A transcript, by its presigned URL and nothing else.
    fn transcript(&self, call: &Call) -> Result<Answer, Answer> {
        if call.header("authorization").is_some() {
            let message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified";
            return Err(failure(call, 400, "InvalidArgument", message));
        }
        let given = call.query("X-Amz-Signature");
        let issued = call
            .query("X-Amz-Date")
            .and_then(|date| date.parse::<u64>().ok());
        let (Some(given), Some(issued)) = (given, issued) else {
            return Err(failure(call, 403, "AccessDenied", "Access Denied"));
        };
        if !same(&given, &signature(&call.path, issued)) {
            return Err(failure(
                call,
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
            ));
        }
        if call.unix() > issued + GOOD_FOR {
            return Err(failure(call, 403, "AccessDenied", "Request has expired"));
        }
        if call.method.as_str() != "GET" {
            return Err(failure(
                call,
                405,
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
            ));
        }
        let id = call.path.trim_start_matches('/');
        let (_, object) = self.objects.peek(id).ok_or_else(|| no_such_key(call))?;
        Ok(marked(
            call,
            Answer::bytes(200, &object.content_type, object.body).header("etag", object.etag),
        ))
    }
}

fn no_such_key(call: &Call) -> Answer {
    failure(call, 404, "NoSuchKey", "The specified key does not exist.")
}

fn signature(path: &str, issued: u64) -> String {
    hex(&hmac(OWN, &format!("{path}\n{issued}")))
}

/// Where the transcript of a job lies: the key in [`Aws::store`].
pub(super) fn transcript_key(job: &str, id: &str) -> String {
    format!("{TRANSCRIPTS}/{}/{job}/{id}/asrOutput.json", super::ACCOUNT)
}

/// A URL that is good for a quarter of an hour without any other credential.
pub(super) fn presigned(call: &Call, key: &str) -> String {
    let path = format!("/{key}");
    let issued = call.unix();
    format!(
        "{}{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=sandbox%2F{REGION}%2Fs3%2Faws4_request&X-Amz-Date={issued}&X-Amz-Expires={GOOD_FOR}&X-Amz-SignedHeaders=host&X-Amz-Signature={}",
        call.base,
        signature(&path, issued),
    )
}

/// CRC-32 as in gzip.
fn crc32(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256_u32)
        .map(|byte| {
            (0..8).fold(byte, |sum, _| {
                if sum & 1 == 1 {
                    sum >> 1 ^ 0xedb8_8320
                } else {
                    sum >> 1
                }
            })
        })
        .collect();
    let step = |sum: u32, byte: &u8| {
        let place = usize::from(sum.to_le_bytes()[0] ^ byte);
        sum >> 8 ^ table.get(place).copied().unwrap_or_default()
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_of_crc_32() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
