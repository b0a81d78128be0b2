//! iFlytek: dictation over a websocket at `/v2/iat`, whose address is signed.
//!
//! The caller sends frames of base64 audio with a status (0 the first, 1 more, 2 the last); the answers hold pieces of
//! text that are to be put together. What is wrong with the signature is said at the handshake, everything else with a
//! code in a frame, and then the conversation ends.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    answers::{
        audio::{self, as_f64, rounded},
        speech::{self, Transcript, Word},
    },
    auth::iflytek::{self, Refusal},
    call::{Call, wants_socket},
    vendor::{Class, Operation, Reply, Session, Vendor},
};

const NAME: &str = "iflytek";
const APP_ID: &str = "sandbox1";
const KEY: &str = "sandbox-iflytek-key";
const SECRET: &str = "sandbox-iflytek-secret";
const IAT: Operation = Operation::new("iat", "speech.transcribe");
const UNKNOWN: Operation = Operation::other("unknown");
/// Most bytes of one frame's audio, in base64.
const FRAME: usize = 13_000;
/// Most seconds of a recording.
const SECONDS: f64 = 60.0;

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct Iflytek;

impl Vendor for Iflytek {
    fn name(&self) -> &'static str {
        NAME
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("base", base.replacen("http", "ws", 1)),
            ("app_id", APP_ID.to_owned()),
            ("api_key", KEY.to_owned()),
            ("api_secret", SECRET.to_owned()),
        ]
    }

    fn operation(&self, call: &Call) -> Operation {
        if call.path == "/v2/iat" { IAT } else { UNKNOWN }
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        let key = iflytek::verify(call, secret_of).map_err(refused)?;
        let suffix = key.strip_prefix(KEY).unwrap_or_default();
        Ok(format!("{NAME}{suffix}"))
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        if self.operation(call) == UNKNOWN {
            return Err(at_handshake(404, "no Route matched with those values"));
        }
        Err(at_handshake(
            400,
            "the client is not using the websocket protocol",
        ))
    }

    fn error(&self, call: &Call, class: Class, message: &str) -> Answer {
        match class {
            Class::Auth => at_handshake(401, "HMAC signature does not match"),
            Class::NotFound => at_handshake(404, "no Route matched with those values"),
            Class::Unavailable => at_handshake(503, "the upstream server is unavailable"),
            Class::Quota => in_frame(call, 11_201, message),
            Class::Rate => in_frame(call, 11_202, message),
            Class::Invalid | Class::TooLarge | Class::Unsupported => {
                in_frame(call, 10_163, message)
            }
            Class::Internal => in_frame(call, 10_019, message),
        }
    }

    fn coded(&self, call: &Call, code: &str, message: &str) -> Option<Answer> {
        let code: u32 = code.parse().ok()?;
        match u16::try_from(code) {
            Ok(403) => Some(refused(Refusal::Skewed)),
            Ok(status @ 400..600) => Some(at_handshake(status, message)),
            _ => Some(in_frame(call, code, message)),
        }
    }

    fn socket(&self, call: &Call) -> Option<Box<dyn Session>> {
        (self.operation(call) == IAT).then(|| {
            let session: Box<dyn Session> = Box::new(Dictation::new(serial(call)));
            session
        })
    }
}

fn secret_of(key: &str) -> Option<String> {
    match key.strip_prefix(KEY)? {
        "" => Some(SECRET.to_owned()),
        "-2" => Some(format!("{SECRET}-2")),
        _ => None,
    }
}

fn refused(refusal: Refusal) -> Answer {
    let (status, message) = match refusal {
        Refusal::Missing => (401, "Unauthorized"),
        Refusal::Unreadable | Refusal::UnknownKey => (401, "HMAC signature cannot be verified"),
        Refusal::Mismatch => (401, "HMAC signature does not match"),
        Refusal::Skewed => (
            403,
            "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication",
        ),
    };
    at_handshake(status, message)
}

fn at_handshake(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({ "message": message }))
}

/// A failure in the first frame; without a websocket, where nothing else is possible, as a body.
fn in_frame(call: &Call, code: u32, message: &str) -> Answer {
    let answer = Answer::frames(failure(&serial(call), code, message));
    if wants_socket(&call.headers) {
        answer
    } else {
        answer.with_status(400)
    }
}

fn failure(sid: &str, code: u32, message: &str) -> Vec<Reply> {
    let body = json!({ "code": code, "message": message, "sid": sid });
    vec![Reply::Text(body.to_string()), Reply::Close(1000)]
}

fn serial(call: &Call) -> String {
    format!("iat{}", call.hex_id("sid", 24))
}

/// What the caller wants, from the first frame.
#[derive(Debug, Clone)]
struct Wish {
    language: String,
    /// Whether words have their places in the recording.
    places: bool,
    /// Whether results may replace earlier ones.
    dynamic: bool,
    /// Whether text has punctuation.
    punctuated: bool,
    rate: u32,
    encoding: &'static str,
}

/// One recording.
#[derive(Debug)]
struct Dictation {
    sid: String,
    wish: Option<Wish>,
    bytes: Vec<u8>,
    over: bool,
    heard: Option<f64>,
}

/// A code and what it says.
type Mistake = (u32, String);

impl Session for Dictation {
    fn receive(&mut self, frame: &[u8]) -> Vec<Reply> {
        if self.over {
            return Vec::new();
        }
        match self.take(frame) {
            Ok(replies) => replies,
            Err((code, message)) => {
                self.over = true;
                failure(&self.sid, code, &message)
            }
        }
    }

    fn finish(&mut self) -> (bool, Vec<(&'static str, Value)>) {
        let mut facts = vec![("bytes", json!(self.bytes.len()))];
        if let Some(wish) = &self.wish {
            facts.push(("model", json!(wish.language)));
        }
        facts.extend(self.heard.map(|seconds| ("seconds", json!(seconds))));
        (self.heard.is_some(), facts)
    }
}

impl Dictation {
    fn new(sid: String) -> Self {
        Self {
            sid,
            wish: None,
            bytes: Vec::new(),
            over: false,
            heard: None,
        }
    }

    fn take(&mut self, frame: &[u8]) -> Result<Vec<Reply>, Mistake> {
        let Ok(frame) = serde_json::from_slice::<Value>(frame) else {
            return Err((10_160, "parse request json error".to_owned()));
        };
        let status = frame.pointer("/data/status").and_then(Value::as_u64);
        match (status, &self.wish) {
            (Some(0), None) => self.wish = Some(wish(&frame)?),
            (Some(0), Some(_)) => return Err(invalid("/data/status 0 is for the first frame")),
            (Some(1 | 2), None) => return Err((10_165, "invalid handle".to_owned())),
            (Some(1 | 2), Some(_)) => {}
            _ => return Err(invalid("/data/status must be 0, 1 or 2")),
        }
        let audio = frame.pointer("/data/audio").and_then(Value::as_str);
        let audio = audio.unwrap_or_default();
        if audio.len() > FRAME {
            return Err(invalid("/data/audio is longer than 13000 bytes"));
        }
        let decoded = STANDARD.decode(audio);
        let decoded = decoded.map_err(|_| (10_161, "parse base64 string error".to_owned()))?;
        self.bytes.extend_from_slice(&decoded);
        let Some(wish) = self.wish.clone() else {
            return Ok(Vec::new());
        };
        let seconds = as_f64(self.bytes.len()) / f64::from(wish.rate) / 2.0;
        if wish.encoding == "pcm" && seconds > SECONDS {
            return Err((10_114, "session timeout".to_owned()));
        }
        if status == Some(2) {
            return self.answer(&wish);
        }
        Ok(Vec::new())
    }

    /// Everything that was heard, once the last frame is there.
    fn answer(&mut self, wish: &Wish) -> Result<Vec<Reply>, Mistake> {
        let heard = match audio::named(&self.bytes, wish.encoding, wish.rate) {
            Ok(audio) => speech::transcribe(&self.bytes, &audio),
            Err(audio::Unreadable::Empty) => nothing(),
            Err(audio::Unreadable::Unknown) => {
                return Err((10_043, "Syscall AudioCodingDecode error".to_owned()));
            }
        };
        self.over = true;
        self.heard = Some(heard.duration);
        let mut results = results(&heard, wish);
        let last = results.len().saturating_sub(1);
        if let Some(result) = results.last_mut() {
            result.insert("ls".to_owned(), json!(true));
        }
        let frame = |(place, result): (usize, Map<String, Value>)| {
            let status = match place {
                place if place == last => 2,
                0 => 0,
                _ => 1,
            };
            let data = json!({ "status": status, "result": result });
            let body = json!({ "code": 0, "message": "success", "sid": self.sid, "data": data });
            Reply::Text(body.to_string())
        };
        let mut replies: Vec<_> = results.into_iter().enumerate().map(frame).collect();
        replies.push(Reply::Close(1000));
        Ok(replies)
    }
}

fn nothing() -> Transcript {
    Transcript {
        language: "en".to_owned(),
        duration: 0.0,
        confidence: 0.0,
        words: Vec::new(),
    }
}

fn invalid(what: &str) -> Mistake {
    (10_163, format!("param validate error:{what}"))
}

/// Reads and checks the first frame.
fn wish(frame: &Value) -> Result<Wish, Mistake> {
    let text = |pointer: &str| {
        let value = frame.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    match text("/common/app_id").as_str() {
        APP_ID => {}
        "" => return Err((10_313, "appid cannot be empty".to_owned())),
        _ => return Err((10_313, "invalid appid".to_owned())),
    }
    let language = text("/business/language");
    if !["zh_cn", "en_us"].contains(&language.as_str()) {
        return Err(invalid("/business/language is not supported"));
    }
    if !["iat", "medical"].contains(&text("/business/domain").as_str()) {
        return Err(invalid("/business/domain is not supported"));
    }
    let flag = |name: &str, usual: u64| match frame.pointer(&format!("/business/{name}")) {
        None => Ok(usual == 1),
        Some(value) => match value.as_u64() {
            Some(value @ (0 | 1)) => Ok(value == 1),
            _ => Err(invalid(&format!("/business/{name} must be 0 or 1"))),
        },
    };
    let rate = match text("/data/format").as_str() {
        "audio/L16;rate=16000" => 16_000,
        "audio/L16;rate=8000" => 8000,
        _ => return Err(invalid("/data/format is not supported")),
    };
    let encoding = match text("/data/encoding").as_str() {
        "raw" => "pcm",
        "lame" => "mp3",
        "speex" | "speex-wb" => "speex",
        _ => return Err(invalid("/data/encoding is not supported")),
    };
    Ok(Wish {
        places: flag("vinfo", 0)?,
        punctuated: flag("ptt", 1)?,
        // Results that replace others are offered for Chinese alone.
        dynamic: text("/business/dwa") == "wpgs" && language == "zh_cn",
        language,
        rate,
        encoding,
    })
}

/// One result for each sentence; with replacement, first its beginning and then the whole in its place.
fn results(heard: &Transcript, wish: &Wish) -> Vec<Map<String, Value>> {
    let mut found = Vec::new();
    let mut said = false;
    let mut number = 0;
    for words in heard.sentences() {
        if wish.dynamic && words.len() > 1 {
            let half = words.get(..words.len().div_ceil(2)).unwrap_or_default();
            number += 1;
            let mut result = result(number, &pieces(half, wish, said));
            result.insert("pgs".to_owned(), json!("apd"));
            found.push(result);
        }
        number += 1;
        let mut whole = result(number, &pieces(words, wish, said));
        if wish.dynamic && words.len() > 1 {
            whole.insert("pgs".to_owned(), json!("rpl"));
            whole.insert("rg".to_owned(), json!([number - 1, number - 1]));
        } else if wish.dynamic {
            whole.insert("pgs".to_owned(), json!("apd"));
        }
        found.push(whole);
        said = true;
    }
    if found.is_empty() {
        found.push(result(1, &[]));
    }
    found
}

fn result(number: usize, pieces: &[Value]) -> Map<String, Value> {
    let result = json!({ "sn": number, "ls": false, "bg": 0, "ed": 0, "ws": pieces });
    match result {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Words and marks, in pieces that only need to be put together: a word brings the space before it.
fn pieces(words: &[Word], wish: &Wish, said: bool) -> Vec<Value> {
    let mut pieces = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let space = if place > 0 || said { " " } else { "" };
        let begin = if wish.places { frames(word.start) } else { 0 };
        let text = format!("{space}{}", word.unpunctuated());
        pieces.push(json!({ "bg": begin, "cw": [{ "w": text, "sc": 0 }] }));
        if wish.punctuated && !word.mark().is_empty() {
            let end = if wish.places { frames(word.end) } else { 0 };
            pieces.push(json!({ "bg": end, "cw": [{ "w": word.mark(), "sc": 0 }] }));
        }
    }
    pieces
}

/// Places are counted in hundredths of a second.
#[expect(clippy::cast_possible_truncation, reason = "recordings last a minute")]
fn frames(seconds: f64) -> i64 {
    rounded(seconds * 100.0).round() as i64
}
