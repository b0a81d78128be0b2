//! Recognition of short recordings, and synthesis.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use encoding_rs::GBK;
use serde_json::{Value, json};

use super::{failure, number, serial, text};
use crate::{
    answer::Answer,
    answers::{
        audio::{self, Audio},
        speech::{self, Word},
        voice,
    },
    call::{self, Call},
};

/// Languages that are recognised, by `dev_pid`, and whether their text has punctuation.
const MODELS: [(u64, bool); 5] = [
    (1537, true),
    (1536, false),
    (1737, false),
    (1637, true),
    (1837, true),
];
const FORMATS: [&str; 4] = ["pcm", "wav", "amr", "m4a"];
/// Most seconds of a recording.
const SECONDS: f64 = 60.0;
/// Most bytes of a text to be spoken, in GBK.
const SPOKEN: usize = 1024;

/// What is to be recognised, in either form of the call.
struct Request {
    format: String,
    rate: u64,
    model: u64,
    cuid: String,
    bytes: Vec<u8>,
}

/// Whether the body is the recording itself. Anything else is JSON: the vendor's own client says nothing of its type.
fn is_raw(call: &Call) -> bool {
    call.media_type().starts_with("audio/")
}

/// The token of a recognition: in the JSON body, or in the query when the body is the recording.
pub(super) fn token(call: &Call) -> Option<String> {
    if is_raw(call) {
        return call.query("token");
    }
    text(&call.json().ok()?, "token").map(str::to_owned)
}

/// A parameter in the query or else in the form.
pub(super) fn parameter(call: &Call, name: &str) -> Option<String> {
    let in_form = || {
        let found = call.form().into_iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    };
    call.query(name).or_else(in_form)
}

pub(super) fn listen(call: &Call) -> Result<Answer, Answer> {
    let bad = |message: &str| failure(call, 3300, message);
    let request = if is_raw(call) {
        raw(call)
    } else {
        in_json(call)?
    };
    if request.cuid.is_empty() || request.cuid.len() > 60 {
        return Err(bad("cuid is missing or too long."));
    }
    if !FORMATS.contains(&request.format.as_str()) {
        return Err(failure(call, 3312, "format is not supported."));
    }
    let rate = match request.rate {
        8000 => 8000,
        16_000 => 16_000,
        _ => return Err(failure(call, 3311, "rate is not 8000 or 16000.")),
    };
    let known = MODELS.iter().find(|(model, _)| *model == request.model);
    let Some((_, punctuated)) = known else {
        return Err(bad("dev_pid is unknown."));
    };
    if request.bytes.is_empty() {
        return Err(bad("the recording is empty."));
    }
    let audio = recording(call, &request, rate)?;
    let heard = speech::transcribe(&request.bytes, &audio);
    if heard.words.is_empty() {
        return Err(failure(call, 3301, "speech quality error."));
    }
    let said = if *punctuated {
        heard.text()
    } else {
        let bare: Vec<_> = heard.words.iter().map(Word::bare).collect();
        bare.join(" ")
    };
    let body = json!({
        "corpus_no": number(call).to_string(),
        "err_msg": "success.",
        "err_no": 0,
        "result": [said],
        "sn": serial(call),
    });
    let answer = Answer::json(200, &body).fact("model", request.model);
    Ok(answer.fact("seconds", heard.duration))
}

fn recording<'a>(call: &Call, request: &'a Request, rate: u32) -> Result<Audio<'a>, Answer> {
    let spoilt = |message: &str| failure(call, 3309, message);
    let audio = audio::named(&request.bytes, &request.format, rate)
        .map_err(|_| spoilt("the data is not of this format."))?;
    if audio.channels != 1 {
        return Err(spoilt("the recording is not of one channel."));
    }
    if audio.rate != 0 && audio.rate != rate {
        return Err(spoilt("the recording is not of this rate."));
    }
    if audio.duration > SECONDS {
        return Err(failure(
            call,
            3308,
            "the recording is longer than 60 seconds.",
        ));
    }
    Ok(audio)
}

fn in_json(call: &Call) -> Result<Request, Answer> {
    let bad = |message: &str| failure(call, 3300, message);
    let body = call.json().map_err(|_| bad("the body is not JSON."))?;
    let count = |name: &str| body.get(name).and_then(Value::as_u64);
    if count("channel") != Some(1) {
        return Err(bad("channel must be 1."));
    }
    let speech = text(&body, "speech").unwrap_or_default();
    let bytes = STANDARD
        .decode(speech)
        .map_err(|_| bad("speech is not base64."))?;
    if count("len") != u64::try_from(bytes.len()).ok() {
        return Err(bad("len is not the length of speech before base64."));
    }
    Ok(Request {
        format: text(&body, "format").unwrap_or_default().to_lowercase(),
        rate: count("rate").unwrap_or_default(),
        model: match body.get("dev_pid") {
            None => 1537,
            Some(model) => model.as_u64().unwrap_or_default(),
        },
        cuid: text(&body, "cuid").unwrap_or_default().to_owned(),
        bytes,
    })
}

/// The recording as the body; format and rate in its content type, the rest in the query.
fn raw(call: &Call) -> Request {
    let media = call.media_type();
    let format = media.strip_prefix("audio/").unwrap_or_default();
    let whole = call.header("content-type").unwrap_or_default();
    let rate = whole
        .split(';')
        .filter_map(|part| part.trim().split_once('='));
    let mut rates = rate.filter(|(name, _)| name.eq_ignore_ascii_case("rate"));
    let rate = rates.next().and_then(|(_, rate)| rate.trim().parse().ok());
    let model = call.query("dev_pid").map(|model| model.parse());
    Request {
        format: format.to_owned(),
        rate: rate.unwrap_or_default(),
        model: model.map_or(1537, Result::unwrap_or_default),
        cuid: call.query("cuid").unwrap_or_default(),
        bytes: call.body.to_vec(),
    }
}

pub(super) fn speak(call: &Call) -> Result<Answer, Answer> {
    let bad = |message: &str| failure(call, 501, message);
    let parameter = |name: &str| parameter(call, name).unwrap_or_default();
    if parameter("cuid").is_empty() || parameter("ctp") != "1" || parameter("lan") != "zh" {
        return Err(bad("cuid is missing, or ctp is not 1, or lan is not zh."));
    }
    // The text is encoded twice; what came encoded once is decoded all the same, and suffers for it.
    let text = call::decode(&parameter("tex"), true);
    if text.trim().is_empty() {
        return Err(bad("tex is empty."));
    }
    if GBK.encode(&text).0.len() > SPOKEN {
        return Err(bad("tex is too long."));
    }
    for (name, most) in [("spd", 15), ("pit", 15), ("vol", 15)] {
        let value = parameter(name);
        if !value.is_empty() && value.parse::<u32>().map_or(true, |value| value > most) {
            return Err(bad("spd, pit or vol is out of its range."));
        }
    }
    let (content_type, audio) = match parameter("aue").as_str() {
        "" | "3" => ("audio/mp3", voice::coded(&text, "mp3")),
        "4" => (
            "audio/basic;codec=pcm;rate=16000;channel=1",
            voice::samples(&text, 16_000),
        ),
        "5" => (
            "audio/basic;codec=pcm;rate=8000;channel=1",
            voice::samples(&text, 8000),
        ),
        "6" => ("audio/wav", voice::wav(&text, 16_000)),
        _ => return Err(bad("aue is unknown.")),
    };
    let answer = Answer::bytes(200, content_type, audio);
    Ok(answer
        .fact("characters", text.chars().count())
        .fact("text", text))
}
