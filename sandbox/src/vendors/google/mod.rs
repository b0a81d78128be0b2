//! Google Cloud: speech v1, natural language v1 and v2, translation v2 and v3, text to speech v1.
//!
//! Services that have hosts of their own in reality are told apart by their paths. Key in `?key=` or `X-Goog-Api-Key`,
//! or a bearer token: one from `POST /token` for an assertion signed with the account's service-account key, or such
//! an assertion itself. Translation v3 takes bearer tokens only. `gs://` objects do not exist here.

mod access;
mod errors;
mod fields;
mod language;
mod speech;
mod translate;
mod voice;

use serde_json::Value;

use crate::{
    answer::Answer,
    auth::{Keys, keys::Tokens},
    call::Call,
    jobs::Jobs,
    vendor::{Class, Operation, Vendor},
};

const KEYS: Keys = Keys { vendor: "google" };

/// Most bytes of a body, whichever service.
const BODY: usize = 10_485_760;

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct Google {
    tokens: Tokens,
    operations: Jobs<speech::Recognition>,
}

/// The services, each with a host of its own in reality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    /// `oauth2.googleapis.com`.
    Token,
    /// `speech.googleapis.com`.
    Speech,
    /// `language.googleapis.com`, v1 or v2.
    Language(u8),
    /// `translation.googleapis.com/language/translate/v2`.
    Basic,
    /// `translation.googleapis.com/v3`.
    Advanced,
    /// `texttospeech.googleapis.com`.
    Voice,
    /// None.
    Unknown,
}

impl Service {
    fn of(call: &Call) -> Self {
        let path = call.path.as_str();
        let within = |prefix: &str| path.starts_with(prefix);
        match path {
            "/token" => Self::Token,
            _ if within("/v1/speech:") || within("/v1/operations") => Self::Speech,
            _ if within("/v1/documents:") => Self::Language(1),
            _ if within("/v2/documents:") => Self::Language(2),
            _ if within("/language/translate/v2") => Self::Basic,
            _ if within("/v3/projects/") => Self::Advanced,
            _ if within("/v1/text:") || within("/v1/voices") => Self::Voice,
            _ => Self::Unknown,
        }
    }

    /// Its host, as errors name it.
    fn host(self) -> &'static str {
        match self {
            Self::Token => "oauth2.googleapis.com",
            Self::Speech => "speech.googleapis.com",
            Self::Language(_) => "language.googleapis.com",
            Self::Basic | Self::Advanced => "translate.googleapis.com",
            Self::Voice => "texttospeech.googleapis.com",
            Self::Unknown => "googleapis.com",
        }
    }
}

const UNKNOWN: Operation = Operation::other("Unknown");

impl Vendor for Google {
    fn name(&self) -> &'static str {
        KEYS.vendor
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("base", base.to_owned()),
            ("key", KEYS.first()),
            ("project", access::PROJECT.to_owned()),
            ("service_account", access::service_account(base)),
        ]
    }

    fn body_limit(&self) -> usize {
        BODY
    }

    fn operation(&self, call: &Call) -> Operation {
        let action = call.path.rsplit([':', '/']).next().unwrap_or_default();
        match Service::of(call) {
            Service::Token => Operation::other("token"),
            Service::Speech if call.path.starts_with("/v1/operations/") => {
                Operation::new("GetOperation", "speech.transcribe")
            }
            Service::Speech => match action {
                "recognize" => Operation::new("Recognize", "speech.transcribe"),
                "longrunningrecognize" => {
                    Operation::new("LongRunningRecognize", "speech.transcribe")
                }
                _ => UNKNOWN,
            },
            Service::Language(_) => match action {
                "analyzeSentiment" => Operation::new("AnalyzeSentiment", "text.sentiment"),
                "analyzeEntities" => Operation::new("AnalyzeEntities", "text.entities"),
                "classifyText" => Operation::new("ClassifyText", "text.classify"),
                "annotateText" => Operation::other("AnnotateText"),
                _ => UNKNOWN,
            },
            Service::Basic => match action {
                "v2" => Operation::new("Translate", "translation.translate"),
                "detect" => Operation::new("Detect", "translation.detect"),
                "languages" => Operation::other("Languages"),
                _ => UNKNOWN,
            },
            Service::Advanced => match action {
                "translateText" => Operation::new("TranslateText", "translation.translate"),
                "detectLanguage" => Operation::new("DetectLanguage", "translation.detect"),
                "supportedLanguages" => Operation::other("GetSupportedLanguages"),
                _ => UNKNOWN,
            },
            Service::Voice => match action {
                "synthesize" => Operation::new("SynthesizeSpeech", "speech.synthesize"),
                "voices" => Operation::other("ListVoices"),
                _ => UNKNOWN,
            },
            Service::Unknown => UNKNOWN,
        }
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        access::authenticate(call, &self.tokens)
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        let operation = self.operation(call);
        let unknown = || errors::class(call, Class::NotFound, "Method not found.");
        let wanted: &[&str] = match operation.call {
            "GetOperation" | "ListVoices" | "GetSupportedLanguages" => &["GET"],
            "Translate" | "Detect" | "Languages" => &["GET", "POST"],
            _ => &["POST"],
        };
        if operation == UNKNOWN || !wanted.contains(&call.method.as_str()) {
            return Err(unknown());
        }
        match operation.call {
            "token" => Ok(access::grant(call, &self.tokens)),
            "Recognize" => speech::recognize(call),
            "LongRunningRecognize" => speech::submit(call, &self.operations),
            "GetOperation" => speech::poll(call, &self.operations),
            "AnalyzeSentiment" => language::sentiment(call),
            "AnalyzeEntities" => language::entities(call),
            "ClassifyText" => language::classify(call),
            "AnnotateText" => language::annotate(call),
            "Translate" => translate::basic(call),
            "Detect" => translate::basic_detect(call),
            "Languages" => translate::basic_languages(call),
            "TranslateText" => translate::advanced(call),
            "DetectLanguage" => translate::advanced_detect(call),
            "GetSupportedLanguages" => translate::advanced_languages(call),
            "SynthesizeSpeech" => voice::synthesize(call),
            "ListVoices" => Ok(voice::list(call)),
            _ => Err(unknown()),
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
        self.operations.clear();
    }
}

/// A successful answer.
fn answer(body: &Value) -> Answer {
    Answer::json(200, body).header("content-type", "application/json; charset=UTF-8")
}
