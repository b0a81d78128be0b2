//! Text from recordings.

use serde_json::{Map, Value, json};

use super::{BODY, ElevenLabs, failure, invalid, missing};
use crate::{
    answer::Answer,
    answers::{
        audio::{self, Audio, Unreadable, as_f64, rounded},
        speech::{self, Transcript, Word},
        text,
    },
    call::{Call, Part},
    vendor::{Class, Vendor as _},
};

const MODELS: [&str; 2] = ["scribe_v1", "scribe_v2"];
/// Languages by ISO 639-1 and ISO 639-3; both are taken, the longer is answered.
const LANGUAGES: [(&str, &str); 27] = [
    ("ar", "ara"),
    ("bg", "bul"),
    ("cs", "ces"),
    ("da", "dan"),
    ("de", "deu"),
    ("el", "ell"),
    ("en", "eng"),
    ("es", "spa"),
    ("fi", "fin"),
    ("fr", "fra"),
    ("he", "heb"),
    ("hi", "hin"),
    ("hu", "hun"),
    ("id", "ind"),
    ("it", "ita"),
    ("ja", "jpn"),
    ("ko", "kor"),
    ("nl", "nld"),
    ("pl", "pol"),
    ("pt", "por"),
    ("ro", "ron"),
    ("ru", "rus"),
    ("sv", "swe"),
    ("th", "tha"),
    ("tr", "tur"),
    ("uk", "ukr"),
    ("zh", "zho"),
];
/// Seconds, least.
const LEAST: f64 = 0.1;

/// The form's fields, found to be right.
#[expect(
    clippy::struct_excessive_bools,
    reason = "the form has that many switches"
)]
struct Order<'a> {
    model: String,
    language: Option<&'static str>,
    file: &'a Part,
    samples: bool,
    diarize: bool,
    granularity: String,
    channels: bool,
    entities: bool,
    webhook: bool,
}

impl ElevenLabs {
    pub(super) fn listen(&self, call: &Call) -> Result<Answer, Answer> {
        let parts = call.multipart().map_err(|_| missing("model_id"))?;
        let form = Form(&parts);
        let order = self.order(call, &form)?;
        let audio = order.audio()?;
        let heard = speech::transcribe(&order.file.body, &audio);
        let id = call.hex_id("transcription", 20);
        if order.webhook {
            let message = "Request accepted. Transcription result will be sent to the webhook.";
            let body = json!({ "message": message, "request_id": call.hex_id("request", 20), "transcription_id": id });
            return Ok(Answer::json(202, &body));
        }
        let mut body = if order.channels {
            json!({ "transcripts": [order.chunk(&heard, Some(0))] })
        } else {
            order.chunk(&heard, None)
        };
        if let Some(body) = body.as_object_mut() {
            body.insert("transcription_id".to_owned(), json!(id));
            body.insert("audio_duration_secs".to_owned(), json!(heard.duration));
        }
        self.keep(call, &id, &body);
        let answer = Answer::json(200, &body).header("request-id", call.hex_id("request", 20));
        Ok(answer
            .fact("model", order.model)
            .fact("seconds", heard.duration))
    }

    fn order<'a>(&self, call: &Call, form: &Form<'a>) -> Result<Order<'a>, Answer> {
        let model = form.one_of("model_id", &MODELS)?;
        let model = model.ok_or_else(|| missing("model_id"))?;
        let url = form.text("source_url").or(form.text("cloud_storage_url"));
        let file = match (form.part("file"), url) {
            (Some(file), None) => file,
            (None, Some(_)) => {
                let message = "The file at the given URL could not be fetched.";
                return Err(failure(400, "invalid_url", message));
            }
            _ => {
                let message = "Exactly one of file, source_url and cloud_storage_url is wanted.";
                return Err(failure(400, "invalid_parameters", message));
            }
        };
        let code = form.text("language_code");
        let language = code.as_deref().map(long_code);
        if language == Some(None) {
            let message = format!(
                "Language code {} is not supported.",
                code.unwrap_or_default()
            );
            return Err(self.error(call, Class::Unsupported, &message));
        }
        form.number("num_speakers", 1.0, 32.0)?;
        form.number("temperature", 0.0, 2.0)?;
        let granularity = form.one_of("timestamps_granularity", &["none", "word", "character"])?;
        let format = form.one_of("file_format", &["pcm_s16le_16", "other"])?;
        form.flag("tag_audio_events")?;
        Ok(Order {
            model,
            language: language.flatten(),
            file,
            samples: format.as_deref() == Some("pcm_s16le_16"),
            diarize: form.flag("diarize")?,
            granularity: granularity.unwrap_or_else(|| "word".to_owned()),
            channels: form.flag("use_multi_channel")?,
            entities: form.text("entity_detection").is_some(),
            webhook: form.flag("webhook")?,
        })
    }
}

/// The parts of a form, read as the vendor's validation does.
struct Form<'a>(&'a [Part]);

impl<'a> Form<'a> {
    fn part(&self, name: &str) -> Option<&'a Part> {
        self.0.iter().find(|part| part.name == name)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.part(name)
            .map(Part::text)
            .filter(|text| !text.is_empty())
    }

    fn one_of(&self, name: &str, allowed: &[&str]) -> Result<Option<String>, Answer> {
        match self.text(name) {
            Some(value) if !allowed.contains(&value.as_str()) => {
                let message = format!("Input should be one of {}", allowed.join(", "));
                Err(invalid(&["body", name], "enum", &message))
            }
            value => Ok(value),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, Answer> {
        let value = self.text(name).map(|value| value.to_lowercase());
        match value.as_deref() {
            None | Some("false" | "0" | "off" | "no") => Ok(false),
            Some("true" | "1" | "on" | "yes") => Ok(true),
            Some(_) => {
                let message = "Input should be a valid boolean, unable to interpret input";
                Err(invalid(&["body", name], "bool_parsing", message))
            }
        }
    }

    fn number(&self, name: &str, least: f64, most: f64) -> Result<(), Answer> {
        let value = self.text(name).map(|value| value.parse::<f64>());
        match value {
            Some(Ok(value)) if (least..=most).contains(&value) => Ok(()),
            None => Ok(()),
            Some(_) => {
                let message = format!("Input should be a number from {least} to {most}");
                Err(invalid(&["body", name], "value_error", &message))
            }
        }
    }
}

fn long_code(code: &str) -> Option<&'static str> {
    let known = |(short, long): &&(&str, &str)| *short == code || *long == code;
    LANGUAGES.iter().find(known).map(|(_, long)| *long)
}

impl Order<'_> {
    fn audio(&self) -> Result<Audio<'_>, Answer> {
        let bytes = &self.file.body;
        if bytes.len() >= BODY {
            let message = "The uploaded file is too large.";
            return Err(failure(413, "file_too_large", message));
        }
        let audio = if self.samples {
            audio::pcm(bytes, 16_000)
        } else {
            audio::probe(bytes)
        };
        let audio = audio.map_err(|reason| match reason {
            Unreadable::Empty => failure(400, "empty_file", "The uploaded file is empty."),
            Unreadable::Unknown => {
                let message = "The uploaded file is no audio or video, or it is corrupted.";
                failure(400, "invalid_audio", message)
            }
        })?;
        if audio.duration < LEAST {
            let message = "The audio is too short; at least 100 milliseconds are wanted.";
            return Err(failure(400, "audio_too_short", message));
        }
        Ok(audio)
    }

    fn chunk(&self, heard: &Transcript, channel: Option<u32>) -> Value {
        let heard_code = long_code(&heard.language).unwrap_or("eng");
        let mut body = json!({
            "language_code": self.language.unwrap_or(heard_code),
            "language_probability": if self.language.is_some() { 1.0 } else { 0.98 },
            "text": heard.text(),
            "words": self.words(heard, channel),
        });
        if let Some(body) = body.as_object_mut() {
            if let Some(channel) = channel {
                body.insert("channel_index".to_owned(), json!(channel));
            }
            if self.entities {
                body.insert("entities".to_owned(), entities(&heard.text()));
            }
        }
        body
    }

    /// Words with the spaces between them.
    fn words(&self, heard: &Transcript, channel: Option<u32>) -> Vec<Value> {
        let mut items = Vec::new();
        let mut before: Option<&Word> = None;
        for word in &heard.words {
            if let Some(before) = before {
                let space = Word {
                    text: " ".to_owned(),
                    start: before.end,
                    end: word.start,
                    ..before.clone()
                };
                items.push(self.item("spacing", &space, channel));
            }
            items.push(self.item("word", word, channel));
            before = Some(word);
        }
        items
    }

    fn item(&self, kind: &str, word: &Word, channel: Option<u32>) -> Value {
        let timed = self.granularity != "none";
        let mut item = Map::new();
        let mut set = |name: &str, value: Value| item.insert(name.to_owned(), value);
        set("text", json!(word.text));
        set("start", json!(timed.then_some(word.start)));
        set("end", json!(timed.then_some(word.end)));
        set("type", json!(kind));
        let speaker = self.diarize.then(|| format!("speaker_{}", word.speaker));
        set("speaker_id", json!(speaker));
        set("logprob", json!(rounded(word.confidence.ln())));
        if self.granularity == "character" {
            set("characters", json!(characters(word)));
        }
        if let Some(channel) = channel {
            set("channel_index", json!(channel));
        }
        Value::Object(item)
    }
}

/// A word's characters, evenly over its time.
fn characters(word: &Word) -> Vec<Value> {
    let letters: Vec<_> = word.text.chars().collect();
    let step = (word.end - word.start) / as_f64(letters.len().max(1));
    let at = |number: usize| rounded(word.start + step * as_f64(number));
    let one = |(number, letter): (usize, &char)| json!({ "text": letter.to_string(), "start": at(number), "end": at(number + 1) });
    letters.iter().enumerate().map(one).collect()
}

/// Places count characters from 0; the end is behind the last.
fn entities(whole: &str) -> Value {
    let kind = |kind| match kind {
        text::Kind::Person => "name",
        text::Kind::Organization => "organization",
        text::Kind::Location => "location",
        text::Kind::DateTime => "date",
        text::Kind::Quantity => "number",
        text::Kind::Money => "money",
        text::Kind::Email => "email_address",
        text::Kind::Url => "url",
        text::Kind::Other => "other",
    };
    let found = text::entities(whole).into_iter().map(|entity| {
        let span = entity.span;
        json!({ "text": span.text, "entity_type": kind(entity.kind), "start_char": span.offset, "end_char": span.offset + span.length })
    });
    found.collect()
}
