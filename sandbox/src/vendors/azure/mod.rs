//! Azure: speech (fast, short and batch transcription, voices), language, translator.
//!
//! Services that have hosts of their own in reality are told apart by their paths. Key in `Ocp-Apim-Subscription-Key`,
//! for the translator's global address (`/translate`) together with its region; or a bearer token, from
//! `POST /sts/v1.0/issueToken` for the key, or from `POST /{tenant}/oauth2/v2.0/token` for the client
//! `sandbox-azure-client` with the secret `sandbox-azure-secret`.
//!
//! Batch transcription reads what was put into storage here: `PUT /blob/{container}/{name}?sig=sandbox-azure-sas`.

mod access;
mod errors;
mod language;
mod speech;
mod storage;
mod translator;
mod voice;

use serde_json::Value;

use crate::{
    answer::Answer,
    auth::{Keys, keys::Tokens},
    call::Call,
    jobs::Jobs,
    vendor::{Class, Operation, Vendor},
};

const KEYS: Keys = Keys { vendor: "azure" };

/// Most bytes of a body. Fast transcription takes 250 MB; this is what a simulator holds in memory.
const BODY: usize = 128 * 1024 * 1024;

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct Azure {
    tokens: Tokens,
    jobs: Jobs<speech::batch::Job>,
    blobs: storage::Blobs,
}

/// The services, each with a host of its own in reality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    /// `{region}.api.cognitive.microsoft.com/sts`.
    Token,
    /// `login.microsoftonline.com`.
    Login,
    /// `{resource}.cognitiveservices.azure.com/speechtotext`.
    Transcription,
    /// `{region}.stt.speech.microsoft.com`.
    Recognition,
    /// `{region}.tts.speech.microsoft.com`.
    Voice,
    /// `{resource}.cognitiveservices.azure.com/language`.
    Language,
    /// `api.cognitive.microsofttranslator.com`, or `{resource}.cognitiveservices.azure.com/translator`.
    Translator,
    /// `{account}.blob.core.windows.net`.
    Storage,
    /// None.
    Unknown,
}

impl Service {
    fn of(call: &Call) -> Self {
        let path = call.path.as_str();
        let within = |prefix: &str| path.starts_with(prefix);
        match path {
            "/sts/v1.0/issueToken" => Self::Token,
            _ if path.ends_with("/oauth2/v2.0/token") => Self::Login,
            _ if within("/speechtotext/") => Self::Transcription,
            _ if within("/speech/recognition/") => Self::Recognition,
            _ if within("/cognitiveservices/") => Self::Voice,
            _ if within("/language/") => Self::Language,
            _ if within("/blob/") => Self::Storage,
            _ if translator::verb(path).is_some() => Self::Translator,
            _ => Self::Unknown,
        }
    }
}

const UNKNOWN: Operation = Operation::other("Unknown");
const TRANSCRIBE: &str = "speech.transcribe";

impl Vendor for Azure {
    fn name(&self) -> &'static str {
        KEYS.vendor
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("base", base.to_owned()),
            ("key", KEYS.first()),
            ("region", access::REGION.to_owned()),
        ]
    }

    fn body_limit(&self) -> usize {
        BODY
    }

    fn operation(&self, call: &Call) -> Operation {
        match Service::of(call) {
            Service::Token => Operation::other("IssueToken"),
            Service::Login => Operation::other("Login"),
            Service::Transcription => match speech::batch::route(call) {
                _ if call.path == "/speechtotext/transcriptions:transcribe" => {
                    Operation::new("Transcribe", TRANSCRIBE)
                }
                Some(speech::batch::Route::Create) => {
                    Operation::new("Transcriptions_Create", TRANSCRIBE)
                }
                Some(speech::batch::Route::Job(_)) if call.method.as_str() == "DELETE" => {
                    Operation::new("Transcriptions_Delete", TRANSCRIBE)
                }
                Some(speech::batch::Route::Job(_)) => {
                    Operation::new("Transcriptions_Get", TRANSCRIBE)
                }
                Some(speech::batch::Route::Files(_)) => {
                    Operation::new("Transcriptions_ListFiles", TRANSCRIBE)
                }
                Some(speech::batch::Route::File(..)) => {
                    Operation::new("Transcriptions_GetFile", TRANSCRIBE)
                }
                None => UNKNOWN,
            },
            Service::Recognition => Operation::new("Recognize", TRANSCRIBE),
            Service::Voice => match call.path.as_str() {
                "/cognitiveservices/v1" => Operation::new("Synthesize", "speech.synthesize"),
                "/cognitiveservices/voices/list" => Operation::other("ListVoices"),
                _ => UNKNOWN,
            },
            Service::Language if call.path == "/language/:analyze-text" => language::Kind::of(call)
                .map_or(Operation::other("AnalyzeText"), |kind| Operation {
                    call: kind.name(),
                    of: kind.operation(),
                }),
            Service::Language | Service::Unknown => UNKNOWN,
            Service::Translator => match translator::verb(&call.path) {
                Some("translate") => Operation::new("Translate", "translation.translate"),
                Some("detect") => Operation::new("Detect", "translation.detect"),
                _ => Operation::other("Languages"),
            },
            Service::Storage => Operation::other("Blob"),
        }
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        access::authenticate(call, &self.tokens)
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        let operation = self.operation(call);
        let method = call.method.as_str();
        if operation == UNKNOWN {
            return Err(errors::class(call, Class::NotFound, "Resource not found"));
        }
        let wanted: &[&str] = match operation.call {
            "Blob" => &["GET", "HEAD", "PUT", "DELETE"],
            "Transcriptions_Delete" => &["DELETE"],
            "Transcriptions_Get"
            | "Transcriptions_ListFiles"
            | "Transcriptions_GetFile"
            | "ListVoices"
            | "Languages" => &["GET"],
            _ => &["POST"],
        };
        if !wanted.contains(&method) {
            return Err(errors::method(call));
        }
        match Service::of(call) {
            Service::Token => Ok(access::issue(call, &self.tokens)),
            Service::Login => Ok(access::login(call, &self.tokens)),
            Service::Transcription if operation.call == "Transcribe" => speech::fast(call),
            Service::Transcription => speech::batch::serve(call, &self.jobs, &self.blobs),
            Service::Recognition => speech::short(call),
            Service::Voice if operation.call == "ListVoices" => Ok(voice::list()),
            Service::Voice => voice::synthesize(call),
            Service::Language => language::analyze(call),
            Service::Translator => translator::serve(call),
            Service::Storage => storage::serve(call, &self.blobs),
            Service::Unknown => Err(errors::class(call, Class::NotFound, "Resource not found")),
        }
    }

    fn error(&self, call: &Call, class: Class, message: &str) -> Answer {
        errors::class(call, class, message)
    }

    fn coded(&self, call: &Call, code: &str, message: &str) -> Option<Answer> {
        errors::coded(call, code, message)
    }

    fn reset(&self) {
        self.tokens.clear();
        self.jobs.clear();
        self.blobs.clear();
    }
}

/// JSON as these services send it, with the id of the request.
fn answer(call: &Call, status: u16, body: &Value) -> Answer {
    let id = if Service::of(call) == Service::Translator {
        "x-requestid"
    } else {
        "apim-request-id"
    };
    Answer::json(status, body)
        .header("content-type", "application/json; charset=utf-8")
        .header(id, call.uuid("request"))
}
