//! Deepgram: audio as the request's body, options in the query.
//!
//! `POST /v1/listen`, `/v1/speak`, `/v1/read`, `/v1/auth/grant`, `GET /v1/models`. Key behind the word `Token`, or a
//! short-lived token behind `Bearer`. Remote files are not fetched: a `url` is answered as unreachable.

use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    answers::{
        audio::{self, as_f64, rounded},
        language,
        speech::{self, Transcript, Word},
        text, voice,
    },
    auth::{
        Keys,
        keys::{Tokens, after_scheme},
    },
    call::Call,
    vendor::{Class, Operation, Vendor},
};

const KEYS: Keys = Keys { vendor: "deepgram" };
const LISTEN: Operation = Operation::new("listen", "speech.transcribe");
const SPEAK: Operation = Operation::new("speak", "speech.synthesize");
const READ: Operation = Operation::new("read", "text.sentiment");
const GRANT: Operation = Operation::other("grant");
const MODELS: Operation = Operation::other("models");
const UNKNOWN: Operation = Operation::other("unknown");

/// First words of the models that listen.
const FAMILIES: [&str; 10] = [
    "nova-3",
    "nova-2",
    "nova",
    "enhanced",
    "base",
    "whisper",
    "meeting",
    "phonecall",
    "general",
    "video",
];
/// Most characters that are spoken in one call.
const SPOKEN: usize = 2000;
/// Most bytes of a body. The vendor takes 2 GB; this is what a simulator holds in memory.
const BODY: usize = 128 * 1024 * 1024;

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct Deepgram {
    tokens: Tokens,
}

impl Vendor for Deepgram {
    fn name(&self) -> &'static str {
        KEYS.vendor
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![("base", base.to_owned()), ("key", KEYS.first())]
    }

    fn body_limit(&self) -> usize {
        BODY
    }

    fn operation(&self, call: &Call) -> Operation {
        match call.path.as_str() {
            "/v1/listen" => LISTEN,
            "/v1/speak" => SPEAK,
            "/v1/read" => READ,
            "/v1/auth/grant" => GRANT,
            "/v1/models" => MODELS,
            _ => UNKNOWN,
        }
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        let owner = KEYS.authorization(call, "Token");
        let bearer = || self.tokens.owner(after_scheme(call, "Bearer")?, call.now);
        owner
            .or_else(bearer)
            .ok_or_else(|| self.error(call, Class::Auth, "Invalid credentials."))
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        let operation = self.operation(call);
        let expected = if operation == MODELS { "GET" } else { "POST" };
        if operation == UNKNOWN {
            return Err(self.error(
                call,
                Class::NotFound,
                "The requested resource was not found.",
            ));
        }
        if call.method.as_str() != expected {
            return Err(failure(
                call,
                405,
                "METHOD_NOT_ALLOWED",
                "This method is not allowed here.",
            ));
        }
        match operation.call {
            "listen" => self.listen(call),
            "speak" => self.speak(call),
            "read" => self.read(call),
            "grant" => Ok(self.grant(call)),
            _ => Ok(models()),
        }
    }

    fn error(&self, call: &Call, class: Class, message: &str) -> Answer {
        let (status, code) = match class {
            Class::Auth => (401, "INVALID_AUTH"),
            Class::Quota => (402, "ASR_PAYMENT_REQUIRED"),
            Class::Rate => (429, "TOO_MANY_REQUESTS"),
            Class::Invalid | Class::Unsupported => (400, "Bad Request"),
            Class::TooLarge => (413, "PAYLOAD_TOO_LARGE"),
            Class::NotFound => (404, "NOT_FOUND"),
            Class::Internal => (500, "INTERNAL_SERVER_ERROR"),
            Class::Unavailable => (503, "SERVICE_UNAVAILABLE"),
        };
        failure(call, status, code, message)
    }

    fn reset(&self) {
        self.tokens.clear();
    }
}

/// The older of its two error shapes, which nearly everything still uses.
fn failure(call: &Call, status: u16, code: &str, message: &str) -> Answer {
    let id = call.uuid("request");
    let body = json!({ "err_code": code, "err_msg": message, "request_id": id });
    Answer::json(status, &body).header("dg-request-id", id)
}

impl Deepgram {
    fn bad(&self, call: &Call, message: &str) -> Answer {
        self.error(call, Class::Invalid, &format!("Bad Request: {message}"))
    }

    fn listen(&self, call: &Call) -> Result<Answer, Answer> {
        if call.media_type() == "application/json" {
            return Err(self.remote(call));
        }
        let model = call
            .query("model")
            .unwrap_or_else(|| "base-general".to_owned());
        let known = FAMILIES.iter().any(|family| model.starts_with(family));
        let language = call.query("language");
        let spoken = language
            .as_deref()
            .is_none_or(|code| code == "multi" || language::name(code).is_some());
        if !known || !spoken {
            return Err(self.bad(call, "No such model/language/tier combination found."));
        }
        let corrupt = |_| self.bad(call, "failed to process audio: corrupt or unsupported data");
        let audio = match call.query("encoding").as_deref() {
            Some("linear16") => {
                let rate = call.query("sample_rate").and_then(|rate| rate.parse().ok());
                audio::pcm(&call.body, rate.unwrap_or(16_000)).map_err(corrupt)?
            }
            _ => audio::probe(&call.body).map_err(corrupt)?,
        };
        let heard = speech::transcribe(&call.body, &audio);
        let id = call.uuid("request");
        if call.query("callback").is_some() {
            return Ok(Answer::json(200, &json!({ "request_id": id })).header("dg-request-id", id));
        }
        let model_id = call.uuid(&model);
        let body = json!({
            "metadata": {
                "transaction_key": "deprecated",
                "request_id": id,
                "sha256": call.digest(),
                "created": call.timestamp(),
                "duration": heard.duration,
                "channels": 1,
                "models": [model_id],
                "model_info": { model_id.as_str(): { "name": model, "version": "2026-01-09.0", "arch": architecture(&model) } },
            },
            "results": results(call, &heard),
        });
        let answer = Answer::json(200, &body).header("dg-request-id", id);
        Ok(answer.fact("model", model).fact("seconds", heard.duration))
    }

    /// A body that names a file elsewhere.
    fn remote(&self, call: &Call) -> Answer {
        let Ok(body) = call.json() else {
            return self.bad(call, "failed to deserialize JSON: invalid JSON");
        };
        if body.get("url").and_then(Value::as_str).is_none() {
            return self.bad(call, "failed to deserialize JSON: missing field `url`");
        }
        failure(
            call,
            400,
            "REMOTE_CONTENT_ERROR",
            "The remote server hosting the media could not be reached.",
        )
    }

    fn speak(&self, call: &Call) -> Result<Answer, Answer> {
        let body = call
            .json()
            .map_err(|_| self.bad(call, "the payload is not valid JSON"))?;
        let text = body.get("text").and_then(Value::as_str).unwrap_or_default();
        if text.trim().is_empty() {
            return Err(failure(
                call,
                400,
                "Bad Request",
                "Input text contained no characters.",
            ));
        }
        let characters = text.chars().count();
        if characters > SPOKEN {
            let message = format!("Input text exceeds maximum character limit of {SPOKEN}.");
            return Err(self.error(call, Class::TooLarge, &message));
        }
        let model = call
            .query("model")
            .unwrap_or_else(|| "aura-asteria-en".to_owned());
        if !model.starts_with("aura-") {
            return Err(self.bad(call, "No such model found."));
        }
        let encoding = call.query("encoding").unwrap_or_else(|| "mp3".to_owned());
        let rate = call
            .query("sample_rate")
            .map_or(Ok(24_000), |rate| rate.parse::<u32>());
        let Ok(rate @ 8000..=48_000) = rate else {
            return Err(self.bad(
                call,
                "Unsupported audio format: `sample_rate` is not offered.",
            ));
        };
        let bare = call
            .query("container")
            .is_some_and(|container| container == "none");
        let (content_type, bytes) = match encoding.as_str() {
            "mp3" => ("audio/mpeg", voice::coded(text, "mp3")),
            "opus" => ("audio/ogg;codecs=opus", voice::coded(text, "opus")),
            "flac" => ("audio/flac", voice::coded(text, "flac")),
            "aac" => ("audio/aac", voice::coded(text, "aac")),
            "linear16" if bare => ("audio/l16", voice::samples(text, rate)),
            "linear16" | "mulaw" | "alaw" => ("audio/wav", voice::wav(text, rate)),
            _ => return Err(self.bad(call, "Unsupported audio format: `encoding` is not offered.")),
        };
        let answer = Answer::bytes(200, content_type, bytes)
            .header("dg-request-id", call.uuid("request"))
            .header("dg-model-name", model.as_str())
            .header("dg-model-uuid", call.uuid(&model))
            .header("dg-char-count", characters.to_string());
        Ok(answer.fact("model", model).fact("characters", characters))
    }

    fn read(&self, call: &Call) -> Result<Answer, Answer> {
        let body = call
            .json()
            .map_err(|_| self.bad(call, "failed to deserialize JSON: invalid JSON"))?;
        let Some(text) = body.get("text").and_then(Value::as_str) else {
            return Err(self.remote(call));
        };
        if text.trim().is_empty() {
            return Err(self.bad(call, "the text is empty"));
        }
        let language = call.query("language").unwrap_or_else(|| "en".to_owned());
        if !language.to_lowercase().starts_with("en") {
            return Err(self.bad(call, "Only English text can be analyzed."));
        }
        let wanted = |name: &str| call.query(name).is_some_and(|value| value != "false");
        if !["sentiment", "summarize", "topics", "intents"]
            .into_iter()
            .any(wanted)
        {
            return Err(self.bad(
                call,
                "at least one of sentiment, summarize, topics and intents must be set",
            ));
        }
        let mut results = Map::new();
        let mut metadata = json!({ "request_id": call.uuid("request"), "created": call.timestamp(), "language": language });
        let mut add = |name: &str, info: &str, result: Value| {
            results.insert(name.to_owned(), result);
            let info_of = json!({ "model_uuid": call.uuid(info), "input_tokens": text.split_whitespace().count(), "output_tokens": 0 });
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert(info.to_owned(), info_of);
            }
        };
        if wanted("sentiment") {
            add("sentiments", "sentiment_info", sentiments(text));
        }
        if wanted("summarize") {
            let first = text::sentences(text)
                .into_iter()
                .next()
                .map(|span| span.text);
            add(
                "summary",
                "summary_info",
                json!({ "text": first.unwrap_or_default() }),
            );
        }
        if wanted("topics") {
            add("topics", "topics_info", json!({ "segments": topics(text) }));
        }
        if wanted("intents") {
            add("intents", "intents_info", json!({ "segments": [] }));
        }
        let body = json!({ "metadata": metadata, "results": results });
        let answer = Answer::json(200, &body).header("dg-request-id", call.uuid("request"));
        Ok(answer.fact("characters", text.chars().count()))
    }

    fn grant(&self, call: &Call) -> Answer {
        let body = call.json().unwrap_or_default();
        let seconds = body
            .get("ttl_seconds")
            .and_then(Value::as_u64)
            .unwrap_or(30)
            .clamp(1, 3600);
        let token = self.tokens.issue(call, seconds);
        Answer::json(
            200,
            &json!({ "access_token": token, "expires_in": seconds }),
        )
    }
}

fn architecture(model: &str) -> &str {
    let found = FAMILIES.iter().find(|family| model.starts_with(*family));
    found.copied().unwrap_or("base")
}

fn models() -> Answer {
    let listening = |name: &str| json!({ "name": name, "canonical_name": name, "architecture": architecture(name), "languages": ["en", "en-US"], "version": "2026-01-09.0", "uuid": "00000000-0000-4000-8000-000000000001", "batch": true, "streaming": true, "formatted_output": true });
    let speaking = json!({ "name": "thalia", "canonical_name": "aura-2-thalia-en", "architecture": "aura-2", "languages": ["en", "en-US"], "version": "2026-01-09.0", "uuid": "00000000-0000-4000-8000-000000000002", "metadata": { "accent": "American", "color": "#7800ED", "image": "", "sample": "", "tags": [] } });
    Answer::json(
        200,
        &json!({ "stt": [listening("nova-3"), listening("nova-2")], "tts": [speaking] }),
    )
}

fn results(call: &Call, heard: &Transcript) -> Value {
    let smart = call.query_flag("smart_format");
    let options = Options {
        punctuate: smart || call.query_flag("punctuate"),
        diarize: call.query_flag("diarize") || call.query("diarize_model").is_some(),
    };
    let mut alternative = json!({
        "transcript": transcript(&heard.words, options),
        "confidence": heard.confidence,
        "words": words(&heard.words, options),
    });
    if smart || call.query_flag("paragraphs") {
        set(&mut alternative, "paragraphs", paragraphs(heard));
    }
    if call.query_flag("detect_entities") {
        set(&mut alternative, "entities", entities(heard));
    }
    let mut channel = json!({ "alternatives": [alternative] });
    let detect = call
        .query_pairs()
        .iter()
        .any(|(name, value)| name == "detect_language" && value != "false");
    if detect {
        set(&mut channel, "detected_language", json!(heard.language));
        set(&mut channel, "language_confidence", json!(0.99));
    }
    let mut results = json!({ "channels": [channel] });
    if call.query_flag("utterances") {
        let utterances = heard
            .sentences()
            .into_iter()
            .enumerate()
            .map(|(number, sentence)| {
                let mut utterance = json!({
                    "start": sentence.first().map(|word| word.start),
                    "end": sentence.last().map(|word| word.end),
                    "confidence": speech::confidence(sentence),
                    "channel": 0,
                    "transcript": transcript(sentence, options),
                    "words": words(sentence, options),
                    "id": call.uuid(&format!("utterance {number}")),
                });
                if options.diarize {
                    set(
                        &mut utterance,
                        "speaker",
                        json!(sentence.first().map(|word| word.speaker)),
                    );
                }
                utterance
            });
        set(&mut results, "utterances", utterances.collect());
    }
    if call.query_flag("sentiment") {
        set(&mut results, "sentiments", sentiments(&heard.text()));
    }
    if call.query_flag("topics") {
        set(
            &mut results,
            "topics",
            json!({ "segments": topics(&heard.text()) }),
        );
    }
    results
}

#[derive(Debug, Clone, Copy)]
struct Options {
    punctuate: bool,
    diarize: bool,
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn transcript(words: &[Word], options: Options) -> String {
    if options.punctuate {
        return speech::joined(words);
    }
    let bare: Vec<_> = words.iter().map(Word::bare).collect();
    bare.join(" ")
}

fn words(words: &[Word], options: Options) -> Value {
    let render = |word: &Word| {
        let mut value = json!({ "word": word.bare(), "start": word.start, "end": word.end, "confidence": word.confidence });
        if options.diarize {
            set(&mut value, "speaker", json!(word.speaker));
            set(&mut value, "speaker_confidence", json!(0.71));
        }
        if options.punctuate {
            set(&mut value, "punctuated_word", json!(word.text));
        }
        value
    };
    words.iter().map(render).collect()
}

fn paragraphs(heard: &Transcript) -> Value {
    let sentences = heard.sentences();
    let by_speaker = sentences.chunk_by(|one, next| {
        one.first().map(|word| word.speaker) == next.first().map(|word| word.speaker)
    });
    let paragraph = |group: &[&[Word]]| {
        let all = group.concat();
        let sentence = |words: &&[Word]| json!({ "text": speech::joined(words), "start": words.first().map(|word| word.start), "end": words.last().map(|word| word.end) });
        json!({
            "sentences": group.iter().map(sentence).collect::<Vec<_>>(),
            "speaker": all.first().map(|word| word.speaker),
            "num_words": all.len(),
            "start": all.first().map(|word| word.start),
            "end": all.last().map(|word| word.end),
        })
    };
    let text = format!("\n{}", heard.text());
    json!({ "transcript": text, "paragraphs": by_speaker.map(paragraph).collect::<Vec<_>>() })
}

fn entities(heard: &Transcript) -> Value {
    let label = |kind| match kind {
        text::Kind::Person => "NAME",
        text::Kind::Organization => "ORGANIZATION",
        text::Kind::Location => "LOCATION",
        text::Kind::DateTime => "DATE",
        text::Kind::Quantity => "CARDINAL",
        text::Kind::Money => "MONEY",
        text::Kind::Email => "EMAIL_ADDRESS",
        text::Kind::Url => "URL",
        text::Kind::Other => "OTHER",
    };
    let all = heard.text();
    let found = text::entities(&all).into_iter().map(|entity| {
        let before: String = all.chars().take(entity.span.offset).collect();
        let start = before.split_whitespace().count();
        let count = entity.span.text.split_whitespace().count();
        json!({ "label": label(entity.kind), "value": entity.span.text, "raw_value": entity.span.text, "confidence": entity.confidence, "start_word": start, "end_word": start + count })
    });
    found.collect()
}

/// Words are counted from 0; the end is the number of the last one.
fn sentiments(all: &str) -> Value {
    let mut before = 0;
    let segments = text::sentences(all).into_iter().map(|sentence| {
        let (label, score) = mood(&sentence.text);
        let start = before;
        before += sentence.text.split_whitespace().count();
        json!({ "text": sentence.text, "start_word": start, "end_word": before.saturating_sub(1), "sentiment": label, "sentiment_score": score })
    });
    let segments: Vec<_> = segments.collect();
    let scores = segments
        .iter()
        .filter_map(|segment| segment.get("sentiment_score")?.as_f64());
    let average = rounded(scores.sum::<f64>() / as_f64(segments.len().max(1)));
    json!({ "segments": segments, "average": { "sentiment": label_of(average), "sentiment_score": average } })
}

fn mood(sentence: &str) -> (&'static str, f64) {
    let score = text::mood(sentence).score;
    (label_of(score), score)
}

/// There is no `mixed` here.
fn label_of(score: f64) -> &'static str {
    match score {
        score if score > 0.33 => "positive",
        score if score < -0.33 => "negative",
        _ => "neutral",
    }
}

fn topics(all: &str) -> Vec<Value> {
    let found = text::categories(all);
    if found.is_empty() {
        return Vec::new();
    }
    let topic = |category: &text::Category| {
        let name = category.path.rsplit('/').next().unwrap_or_default();
        json!({ "topic": name, "confidence_score": category.confidence })
    };
    let last = all.split_whitespace().count().saturating_sub(1);
    vec![
        json!({ "text": all, "start_word": 0, "end_word": last, "topics": found.iter().map(topic).collect::<Vec<_>>() }),
    ]
}
