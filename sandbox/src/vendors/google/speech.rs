//! Speech v1: `speech:recognize`, `speech:longrunningrecognize`, `operations/{name}`.
//!
//! Times are durations such as `"0.180s"`; what is zero is left out. Audio of more than a minute must lie in a bucket,
//! for both calls, and there are no buckets here.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{
    answer, errors,
    fields::{self, Field, Kind, Message},
};
use crate::{
    answer::Answer,
    answers::{
        audio::{self, Audio, as_f64, rounded},
        language,
        speech::{self, Transcript, Word},
        text,
    },
    call::{Call, rfc3339},
    jobs::{Jobs, Stage},
    vendor::Class,
};

/// Most seconds of audio inside a request.
const INLINE: f64 = 60.0;

const ENCODINGS: &[&str] = &[
    "ENCODING_UNSPECIFIED",
    "LINEAR16",
    "FLAC",
    "MULAW",
    "AMR",
    "AMR_WB",
    "OGG_OPUS",
    "SPEEX_WITH_HEADER_BYTE",
    "MP3",
    "WEBM_OPUS",
    "ALAW",
];
const MODELS: [&str; 10] = [
    "latest_long",
    "latest_short",
    "command_and_search",
    "phone_call",
    "video",
    "default",
    "telephony",
    "telephony_short",
    "medical_conversation",
    "medical_dictation",
];

const DIARIZATION: &[Field] = &[
    ("enableSpeakerDiarization", Kind::Flag),
    ("minSpeakerCount", Kind::Whole),
    ("maxSpeakerCount", Kind::Whole),
    ("speakerTag", Kind::Whole),
];
const CONTEXT: &[Field] = &[
    ("phrases", Kind::List(&Kind::Text)),
    ("boost", Kind::Number),
];
const CONFIG: &[Field] = &[
    ("adaptation", Kind::Any),
    ("alternativeLanguageCodes", Kind::List(&Kind::Text)),
    ("audioChannelCount", Kind::Whole),
    ("diarizationConfig", Kind::Message(DIARIZATION)),
    ("enableAutomaticPunctuation", Kind::Flag),
    ("enableSeparateRecognitionPerChannel", Kind::Flag),
    ("enableSpokenEmojis", Kind::Flag),
    ("enableSpokenPunctuation", Kind::Flag),
    ("enableWordConfidence", Kind::Flag),
    ("enableWordTimeOffsets", Kind::Flag),
    ("encoding", Kind::One(ENCODINGS)),
    ("languageCode", Kind::Text),
    ("maxAlternatives", Kind::Whole),
    ("metadata", Kind::Any),
    ("model", Kind::Text),
    ("profanityFilter", Kind::Flag),
    ("sampleRateHertz", Kind::Whole),
    ("speechContexts", Kind::List(&Kind::Message(CONTEXT))),
    ("transcriptNormalization", Kind::Any),
    ("useEnhanced", Kind::Flag),
];
const AUDIO: &[Field] = &[("content", Kind::Bytes), ("uri", Kind::Text)];
const OUTPUT: &[Field] = &[("gcsUri", Kind::Text)];
const RECOGNIZE: &[Field] = &[
    ("config", Kind::Message(CONFIG)),
    ("audio", Kind::Message(AUDIO)),
];
const SUBMIT: &[Field] = &[
    ("config", Kind::Message(CONFIG)),
    ("audio", Kind::Message(AUDIO)),
    ("outputConfig", Kind::Message(OUTPUT)),
];

/// A long-running recognition.
#[derive(Debug, Clone)]
pub(super) struct Recognition {
    owner: String,
    started: String,
    response: Map<String, Value>,
}

/// Recognises at once.
pub(super) fn recognize(call: &Call) -> Result<Answer, Answer> {
    let request = fields::read(call, RECOGNIZE)?;
    let too_long = "Sync input too long. For audio longer than 1 min use LongRunningRecognize with a 'uri' parameter.";
    let heard = hear(call, &request, too_long)?;
    Ok(heard.noted(answer(&Value::Object(heard.response(call)))))
}

/// Takes a recognition in and answers with its name.
pub(super) fn submit(call: &Call, operations: &Jobs<Recognition>) -> Result<Answer, Answer> {
    let request = fields::read(call, SUBMIT)?;
    let too_long = "Inline audio exceeds duration limit. Please use a GCS URI.";
    let heard = hear(call, &request, too_long)?;
    let name = number(call, "operation");
    let recognition = Recognition {
        owner: call.account.clone(),
        started: rfc3339(call.now),
        response: heard.response(call),
    };
    operations.submit(&name, recognition, call.fail_job);
    let submitted = answer(&json!({ "name": name })).fact("job", name);
    Ok(heard.noted(submitted))
}

/// How far a recognition is, and its result once it is done.
pub(super) fn poll(call: &Call, operations: &Jobs<Recognition>) -> Result<Answer, Answer> {
    let name = call.segments().pop().unwrap_or_default();
    let missing = || errors::class(call, Class::NotFound, "Operation not found.");
    let known = operations.peek(&name).ok_or_else(missing)?;
    if known.1.owner != call.account {
        return Err(missing());
    }
    if call.fail_job {
        operations.fail(&name);
    }
    let (stage, recognition) = operations.poll(&name).ok_or_else(missing)?;
    let mut metadata = json!({
        "@type": "type.googleapis.com/google.cloud.speech.v1.LongRunningRecognizeMetadata",
        "startTime": recognition.started,
        "lastUpdateTime": rfc3339(call.now),
    });
    let percent = match stage {
        Stage::Queued => None,
        Stage::Running => Some(40),
        Stage::Done | Stage::Failed => Some(100),
    };
    if let (Some(percent), Some(metadata)) = (percent, metadata.as_object_mut()) {
        metadata.insert("progressPercent".to_owned(), json!(percent));
    }
    let mut body = json!({ "name": name, "metadata": metadata });
    let mut set = |name: &str, value: Value| {
        if let Some(body) = body.as_object_mut() {
            body.insert(name.to_owned(), value);
        }
    };
    match stage {
        Stage::Queued | Stage::Running => {}
        Stage::Done => {
            let kind = "type.googleapis.com/google.cloud.speech.v1.LongRunningRecognizeResponse";
            let mut response = Map::from_iter([("@type".to_owned(), json!(kind))]);
            response.extend(recognition.response);
            set("done", json!(true));
            set("response", Value::Object(response));
        }
        Stage::Failed => {
            set("done", json!(true));
            set(
                "error",
                json!({ "code": 13, "message": "Internal error encountered." }),
            );
        }
    }
    Ok(answer(&body).fact("job", name))
}

/// A decimal number of this call's own, as ids are here.
fn number(call: &Call, purpose: &str) -> String {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(call.seed(purpose)) {
        *to = from;
    }
    (u64::from_be_bytes(bytes) >> 2).to_string()
}

/// A recording that was understood, and how it is to be told.
struct Heard {
    transcript: Transcript,
    language: String,
    model: String,
    channels: u16,
    config: Message,
}

fn hear(call: &Call, request: &Message, too_long: &str) -> Result<Heard, Answer> {
    let config = request.message("config");
    let wrong = |field: &str, message: &str| errors::invalid(call, field, message);
    let unsupported = |code: &&str| language::name(code).is_none();
    let language = config.text("languageCode").unwrap_or_default();
    let others = config.texts("alternativeLanguageCodes");
    if unsupported(&language) || others.iter().any(unsupported) {
        let message = "Invalid recognition 'config': bad language code.";
        return Err(wrong("config.language_code", message));
    }
    if others.len() > 3 {
        let message = "Invalid recognition 'config': at most 3 alternative language codes.";
        return Err(wrong("config.alternative_language_codes", message));
    }
    let model = config.text("model").unwrap_or("default");
    if !MODELS.contains(&model) {
        let message = format!(
            "Invalid recognition 'config': The requested model is currently not supported for language : {language}."
        );
        return Err(wrong("config.model", &message));
    }
    if !(0..=30).contains(&config.whole("maxAlternatives")) {
        let message = "Invalid recognition 'config': bad max alternatives.";
        return Err(wrong("config.max_alternatives", message));
    }
    let content = content(call, &request.message("audio"))?;
    let audio = probe(call, &config, &content)?;
    if audio.duration > INLINE {
        return Err(wrong("audio.content", too_long));
    }
    let count = config.whole("audioChannelCount");
    if audio.format == "wav" && count != 0 && count != i64::from(audio.channels) {
        let message = format!(
            "audio_channel_count `{count}` in RecognitionConfig must either be unspecified or match the value in the WAV header `{}`.",
            audio.channels
        );
        return Err(wrong("config.audio_channel_count", &message));
    }
    let transcript = speech::transcribe(&content, &audio);
    let spoken = |code: &&str| code.starts_with(&transcript.language);
    let told = std::iter::once(language).chain(others);
    let told = told.into_iter().find(spoken).unwrap_or(language);
    let (language, model) = (told.to_lowercase(), model.to_owned());
    Ok(Heard {
        language,
        model,
        channels: audio.channels,
        config,
        transcript,
    })
}

/// The bytes of the audio, which must be in the request itself.
fn content(call: &Call, audio: &Message) -> Result<Vec<u8>, Answer> {
    let wrong = |field: &str, message: &str| errors::invalid(call, field, message);
    match (audio.text("content"), audio.text("uri")) {
        (Some(content), None) => {
            let bytes = STANDARD.decode(content);
            bytes.map_err(|_| {
                wrong(
                    "audio.content",
                    "Invalid value at 'audio.content' (TYPE_BYTES), Base64 decoding failed",
                )
            })
        }
        (None, Some(uri)) if uri.starts_with("gs://") => Err(errors::failure(
            call,
            404,
            "Requested entity was not found.",
            &[],
        )),
        (None, Some(_)) => Err(wrong(
            "audio.uri",
            "Request contains an invalid argument: audio.uri must begin with gs://",
        )),
        _ => Err(wrong("audio", "RecognitionAudio not set.")),
    }
}

/// Looks at the audio as the configuration says it is.
fn probe<'a>(call: &Call, config: &Message, bytes: &'a [u8]) -> Result<Audio<'a>, Answer> {
    let wrong = |field: &str, message: &str| errors::invalid(call, field, message);
    let encoding = config.text("encoding").unwrap_or("ENCODING_UNSPECIFIED");
    let unclear = || {
        wrong(
            "config.encoding",
            "Unable to recognize speech, possible error in encoding or channel config. Please correct the config and retry the request.",
        )
    };
    let rate = config.whole("sampleRateHertz");
    if rate != 0 && !(8000..=48_000).contains(&rate) {
        let message = "Invalid recognition 'config': bad sample rate hertz.";
        return Err(wrong("config.sample_rate_hertz", message));
    }
    let stated = u32::try_from(rate).unwrap_or_default();
    let found = audio::probe(bytes).ok();
    if let Some(found) = found
        && found.format == "wav"
        && ["ENCODING_UNSPECIFIED", "LINEAR16", "MULAW", "ALAW"].contains(&encoding)
    {
        if stated != 0 && stated != found.rate {
            let message = format!(
                "sample_rate_hertz ({stated}) in RecognitionConfig must either be unspecified or match the value in the WAV header `{}`.",
                found.rate
            );
            return Err(wrong("config.sample_rate_hertz", &message));
        }
        return Ok(found);
    }
    let contained = |format: &str| found.filter(|found| found.format == format);
    let bare = |bytes_per_second: u32, bytes: &'a [u8]| {
        (!bytes.is_empty()).then(|| Audio {
            format: "pcm",
            duration: rounded(as_f64(bytes.len()) / f64::from(bytes_per_second.max(1))),
            rate: stated,
            channels: 1,
            samples: bytes,
            silent: bytes.iter().all(|byte| *byte == 0),
        })
    };
    let probed = match encoding {
        "ENCODING_UNSPECIFIED" => {
            let message = "Invalid recognition 'config': bad encoding..";
            let found = contained("flac");
            return found.ok_or_else(|| wrong("config.encoding", message));
        }
        "FLAC" => contained("flac"),
        "MP3" => contained("mp3"),
        "OGG_OPUS" | "SPEEX_WITH_HEADER_BYTE" => contained("ogg"),
        "WEBM_OPUS" => contained("webm"),
        "AMR" => bytes
            .starts_with(b"#!AMR\n")
            .then(|| bare(1525, bytes))
            .flatten(),
        "AMR_WB" => bytes
            .starts_with(b"#!AMR-WB\n")
            .then(|| bare(2981, bytes))
            .flatten(),
        _ if stated == 0 => {
            let message = "Invalid recognition 'config': bad sample rate hertz.";
            return Err(wrong("config.sample_rate_hertz", message));
        }
        "LINEAR16" => audio::pcm(bytes, stated).ok(),
        _ => bare(stated, bytes),
    };
    probed.ok_or_else(unclear)
}

impl Heard {
    fn times(&self) -> bool {
        self.config.flag("enableWordTimeOffsets")
    }

    fn confidences(&self) -> bool {
        self.config.flag("enableWordConfidence")
    }

    /// `RecognizeResponse`.
    fn response(&self, call: &Call) -> Map<String, Value> {
        let mut results = Vec::new();
        let separate = self.channels > 1 && self.config.flag("enableSeparateRecognitionPerChannel");
        let channels = if separate { self.channels } else { 1 };
        for channel in 1..=channels {
            for (place, sentence) in self.transcript.sentences().into_iter().enumerate() {
                let mut result = self.result(sentence, place > 0);
                if separate {
                    result.insert("channelTag".to_owned(), json!(channel));
                }
                results.push(Value::Object(result));
            }
        }
        let speakers = self.config.message("diarizationConfig");
        if speakers.flag("enableSpeakerDiarization") && !self.transcript.words.is_empty() {
            // Everything again, for its speakers alone.
            let words = self.words(&self.transcript.words, true);
            let language = &self.language;
            results.push(json!({ "alternatives": [{ "words": words }], "languageCode": language }));
        }
        let seconds = self.transcript.duration.ceil() * f64::from(channels);
        let mut response = Map::new();
        if !results.is_empty() {
            response.insert("results".to_owned(), json!(results));
        }
        response.insert("totalBilledTime".to_owned(), json!(format!("{seconds}s")));
        response.insert("requestId".to_owned(), json!(number(call, "request")));
        response
    }

    fn result(&self, sentence: &[Word], later: bool) -> Map<String, Value> {
        let written: Vec<_> = sentence
            .iter()
            .enumerate()
            .map(|(place, word)| self.written(word, place == 0))
            .collect();
        let space = if later { " " } else { "" };
        let mut alternative = Map::new();
        let transcript = format!("{space}{}", written.join(" "));
        alternative.insert("transcript".to_owned(), json!(transcript));
        let confidence = speech::confidence(sentence);
        if confidence > 0.0 {
            alternative.insert("confidence".to_owned(), json!(confidence));
        }
        if self.times() || self.confidences() {
            let words = self.words(sentence, false);
            alternative.insert("words".to_owned(), json!(words));
        }
        let mut result = Map::new();
        result.insert("alternatives".to_owned(), json!([alternative]));
        let end = sentence.last().and_then(|word| duration(word.end));
        result.extend(end.map(|end| ("resultEndTime".to_owned(), json!(end))));
        result.insert("languageCode".to_owned(), json!(self.language));
        result
    }

    fn words(&self, words: &[Word], speakers: bool) -> Vec<Value> {
        let first = |place: usize| {
            let before = place.checked_sub(1).and_then(|place| words.get(place));
            before.is_none_or(|word| word.text.ends_with(['.', '?', '!']))
        };
        let render = |(place, word): (usize, &Word)| {
            let mut told = Map::new();
            if self.times() {
                let start = duration(word.start);
                told.extend(start.map(|start| ("startTime".to_owned(), json!(start))));
                let end = duration(word.end);
                told.extend(end.map(|end| ("endTime".to_owned(), json!(end))));
            }
            told.insert("word".to_owned(), json!(self.written(word, first(place))));
            if self.confidences() && word.confidence > 0.0 {
                told.insert("confidence".to_owned(), json!(word.confidence));
            }
            if speakers {
                let tag = word.speaker + 1;
                told.insert("speakerTag".to_owned(), json!(tag));
                told.insert("speakerLabel".to_owned(), json!(tag.to_string()));
            }
            Value::Object(told)
        };
        words.iter().enumerate().map(render).collect()
    }

    /// A word with its punctuation, or without it and without a sentence's capital.
    fn written(&self, word: &Word, first: bool) -> String {
        if self.config.flag("enableAutomaticPunctuation") {
            return word.text.clone();
        }
        let bare = word.unpunctuated();
        let named = bare == "I" || bare.starts_with("I'") || names(bare);
        if first && !named {
            bare.to_lowercase()
        } else {
            bare.to_owned()
        }
    }

    fn noted(&self, answer: Answer) -> Answer {
        answer
            .fact("model", self.model.as_str())
            .fact("seconds", self.transcript.duration)
    }
}

/// Whether a word is someone's or something's name.
fn names(word: &str) -> bool {
    let found = text::entities(word);
    let kinds = [
        text::Kind::Person,
        text::Kind::Location,
        text::Kind::Organization,
    ];
    found.iter().any(|entity| kinds.contains(&entity.kind))
}

/// Seconds as the vendor writes them; `None` for zero, which is left out.
fn duration(seconds: f64) -> Option<String> {
    let seconds = rounded(seconds);
    if seconds <= 0.0 {
        return None;
    }
    if seconds.fract() == 0.0 {
        return Some(format!("{seconds}s"));
    }
    Some(format!("{seconds:.3}s"))
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_have_three_decimals_or_none_and_zero_is_left_out() {
        assert_eq!(duration(0.0), None);
        assert_eq!(duration(1.2).as_deref(), Some("1.200s"));
        assert_eq!(duration(3.0).as_deref(), Some("3s"));
    }
}
