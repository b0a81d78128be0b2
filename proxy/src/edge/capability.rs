//! The doors of capabilities: a client's request → checked inputs, and answers → what the client asked to see.
//!
//! Recordings come as `multipart/form-data` in the `OpenAI` dialect or as the body itself; texts come as JSON, one alone or
//! up to 25 as `documents`.

use std::{
    fmt::Write as _,
    io,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, header};
use isobar_adapters::{
    Blob, Content, Contract, Failure, Job, Output, Source,
    capabilities::speech,
    dialects::subtitles,
    media::{self, Media},
};
use pingora_core::protocols::http::ServerSession as Session;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    gateway::{Unread, too_large},
    problem::{Kind, Problem},
    strict,
};
use crate::serve::{
    body::{Kept, Space},
    capability::{Answered, Served},
};

/// Texts that one request may have.
const DOCUMENTS: usize = 25;
/// Bytes of a form's fields without its file.
const FIELDS: usize = 256 * 1024;
/// Fields of a form.
const MOST_FIELDS: usize = 64;
/// Bytes of a form that may be read before what is there is taken on.
const AHEAD: usize = 256 * 1024;
/// Bytes of a form in which its parser finds no part and no piece of one: a head without end.
const HEADLESS: usize = 1024 * 1024;
/// Bytes of JSON, which is read whole and takes a multiple of them in memory. What is larger comes as a part of a form, or
/// as a body that is nothing else.
const JSON: u64 = 8 * 1024 * 1024;

/// Largest recording in memory that is looked at without asking a thread that may block.
const AT_HAND: u64 = 256 * 1024;

/// What a client asked for.
pub(crate) struct Asked {
    pub(crate) jobs: Vec<Job>,
    /// Whether it asked for many at once, and wants a list.
    pub(crate) many: bool,
    /// Whether answers carry what the vendor said beyond the contract.
    pub(crate) extra: bool,
    pub(crate) shape: Shape,
}

/// How an answer is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Everything, as the contract has it.
    Full,
    /// `OpenAI`'s `json`: the text alone.
    Json,
    Verbose,
    Text,
    Srt,
    Vtt,
    /// `OpenAI`'s `diarized_json`.
    Diarized,
    /// Server-sent events in the `OpenAI` dialect.
    Events,
    /// The recording itself.
    Audio,
}

/// An answer, ready to be written.
pub(crate) struct Written {
    pub(crate) media_type: &'static str,
    pub(crate) body: Bytes,
}

/// Reads a request for an operation.
pub(crate) async fn read(
    session: &mut Session,
    contract: &'static Contract,
    space: &Space,
    length: Option<u64>,
    limit: u64,
) -> Result<Asked, Unread> {
    let media_type = content_type(&session.req_header().headers);
    let reading = Reading {
        space,
        length,
        limit,
    };
    if contract.blobs.is_empty() {
        if media_type == "multipart/form-data" {
            return Err(bad(415, "send JSON, as `application/json`"));
        }
        let body = reading.json(session).await?;
        return texts(contract, &body).map_err(Unread::Problem);
    }
    // Kept apart: texts, which are most requests, need none of the room that forms take while they are read.
    if media_type == "multipart/form-data" {
        let is_file = |name: &str| name == "file" || name == "audio";
        let reading = async {
            let form = reading.form(session, &is_file, 1).await?;
            recording(contract, form).await
        };
        return Box::pin(reading).await;
    }
    if media_type.starts_with("audio/")
        || media_type.starts_with("video/")
        || media_type == "application/octet-stream"
    {
        let reading = async {
            let query = session.req_header().uri.query().unwrap_or_default();
            let query = query.to_owned();
            let kept = reading.kept(session).await?;
            let fields = query_fields(&query).map_err(Unread::Problem)?;
            let file = File {
                kept,
                name: "audio".to_owned(),
                media_type,
            };
            let files = vec![("file".to_owned(), file)];
            recording(contract, Form { fields, files }).await
        };
        return Box::pin(reading).await;
    }
    Err(bad(
        415,
        "send the recording as `multipart/form-data` with a part `file`, or as the body with its `audio/…` type",
    ))
}

/// Reads a body within the budget.
pub(super) struct Reading<'a> {
    pub(super) space: &'a Space,
    /// As announced.
    pub(super) length: Option<u64>,
    /// Most bytes.
    pub(super) limit: u64,
}

/// A form's texts, and its files as they were kept.
pub(super) struct Form {
    pub(super) fields: Vec<(String, String)>,
    pub(super) files: Vec<(String, File)>,
}

pub(super) struct File {
    kept: Kept,
    name: String,
    media_type: String,
}

impl Reading<'_> {
    pub(super) async fn kept(&self, session: &mut Session) -> Result<Kept, Unread> {
        let mut keeping = self.space.keep(self.length.unwrap_or(self.limit)).await?;
        let mut read = 0;
        while let Some(piece) = session
            .read_request_body()
            .await
            .map_err(Unread::from_client)?
        {
            read += piece.len() as u64;
            if read > self.limit {
                return Err(Unread::Problem(too_large(self.limit)));
            }
            keeping.push(piece).await?;
        }
        Ok(keeping.done().await?)
    }

    pub(super) async fn bytes(&self, session: &mut Session) -> Result<Bytes, Unread> {
        let kept = self.kept(session).await?;
        KeptSource(kept)
            .whole()
            .await
            .map_err(|error| Unread::from(crate::serve::body::Full::Io(error)))
    }

    /// A body that is read whole: JSON, or a text.
    pub(super) async fn json(&self, session: &mut Session) -> Result<Bytes, Unread> {
        let limit = self.limit.min(JSON);
        if self.length.is_some_and(|length| length > limit) {
            return Err(Unread::Problem(too_large(limit)));
        }
        let reading = Reading {
            space: self.space,
            length: self.length,
            limit,
        };
        reading.bytes(session).await
    }

    /// A form with so many files at most, which are kept as they arrive. Parts that have a file name, or are known to be
    /// files, are files.
    pub(super) async fn form(
        &self,
        session: &mut Session,
        known: &(dyn Fn(&str) -> bool + Sync),
        most: usize,
    ) -> Result<Form, Unread> {
        let text = session
            .get_header(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let boundary = multer::parse_boundary(text)
            .map_err(|_| bad(400, "the form's content type has no boundary"))?;
        let (limit, mut read) = (self.limit, 0_u64);
        // What went wrong at the client's end, which the parser would hide.
        let broken = parking_lot::Mutex::new(None);
        let pieces = stream::unfold(session, |session| async {
            match session.read_request_body().await {
                Ok(piece) => piece.map(|piece| (Ok(piece), session)),
                Err(error) => {
                    *broken.lock() = Some(Unread::from_client(error));
                    Some((
                        Err(io::Error::other("the client's body broke off")),
                        session,
                    ))
                }
            }
        });
        let unused = AtomicUsize::new(0);
        let mut parts = multer::Multipart::new(paced(pieces, &unused), boundary);
        let mut form = Form {
            fields: Vec::new(),
            files: Vec::new(),
        };
        let mut small = 0;
        loop {
            let next = parts.next_field().await;
            unused.store(0, Relaxed);
            let next = match next {
                Ok(next) => next,
                Err(_) => {
                    return Err(broken
                        .lock()
                        .take()
                        .unwrap_or_else(|| bad(400, "the form is not well formed")));
                }
            };
            let Some(mut part) = next else {
                return Ok(form);
            };
            let name = part.name().unwrap_or_default().to_owned();
            let is_file = part.file_name().is_some() || known(&name);
            let file_name = part.file_name().unwrap_or("audio").to_owned();
            let media_type = part
                .content_type()
                .map(ToString::to_string)
                .unwrap_or_default();
            let mut keeping = if is_file {
                Some(self.space.keep(self.length.unwrap_or(self.limit)).await?)
            } else {
                None
            };
            let mut value = Vec::new();
            loop {
                let piece = part.chunk().await;
                unused.store(0, Relaxed);
                let piece = match piece {
                    Ok(Some(piece)) => piece,
                    Ok(None) => break,
                    Err(_) => {
                        return Err(broken
                            .lock()
                            .take()
                            .unwrap_or_else(|| bad(400, "the form is not well formed")));
                    }
                };
                read += piece.len() as u64;
                if read > limit {
                    return Err(Unread::Problem(too_large(limit)));
                }
                if let Some(keeping) = &mut keeping {
                    keeping.push(piece).await?
                } else {
                    small += piece.len();
                    if small > FIELDS {
                        return Err(bad(413, "the form's fields are too large"));
                    }
                    value.extend_from_slice(&piece);
                }
            }
            match keeping {
                Some(keeping) if form.files.len() < most => {
                    let file = File {
                        kept: keeping.done().await?,
                        name: file_name,
                        media_type,
                    };
                    form.files.push((name, file));
                }
                Some(_) if most == 1 => return Err(bad(400, "the form has two files")),
                Some(_) => return Err(bad(400, "the form has too many files")),
                None if form.fields.len() >= MOST_FIELDS => {
                    return Err(bad(400, "the form has too many fields"));
                }
                None => {
                    let value = String::from_utf8(value)
                        .map_err(|_| bad(400, &format!("the field `{name}` is not UTF-8")))?;
                    form.fields.push((name, value));
                }
            }
        }
    }
}

/// The same pieces, with a pause after so many bytes: the parser of forms takes all that comes without one into its
/// memory, which no budget counts. They end when the parser has no use for them, for it would keep them all.
fn paced(
    pieces: impl Stream<Item = io::Result<Bytes>> + Send,
    unused: &AtomicUsize,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let mut ahead = 0;
    pieces.then(move |piece| {
        let length = piece.as_ref().map_or(0, Bytes::len);
        ahead += length;
        let piece = if unused.fetch_add(length, Relaxed) > HEADLESS {
            Err(io::Error::other("a head of the form has no end"))
        } else {
            piece
        };
        let pause = ahead >= AHEAD;
        if pause {
            ahead = 0;
        }
        async move {
            if pause {
                tokio::task::yield_now().await;
            }
            piece
        }
    })
}

/// A kept body as adapters read it.
struct KeptSource(Kept);

impl Source for KeptSource {
    fn length(&self) -> u64 {
        self.0.length()
    }

    fn read(&self, offset: u64, most: usize) -> io::Result<Bytes> {
        self.0.read_at(offset, most)
    }

    fn in_memory(&self) -> bool {
        self.0.in_memory()
    }
}

impl KeptSource {
    async fn whole(self) -> io::Result<Bytes> {
        if self.in_memory() {
            return join(&self);
        }
        tokio::task::spawn_blocking(move || join(&self))
            .await
            .map_err(io::Error::other)?
    }
}

fn join(source: &dyn Source) -> io::Result<Bytes> {
    let length = usize::try_from(source.length()).unwrap_or(usize::MAX);
    let first = source.read(0, length)?;
    if first.len() == length {
        return Ok(first);
    }
    let mut whole = first.to_vec();
    while whole.len() < length {
        let piece = source.read(whole.len() as u64, length)?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

/// Reads a source as a file, for what looks into recordings.
struct Seeker<'a> {
    source: &'a dyn Source,
    at: u64,
}

impl io::Read for Seeker<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.source.read(self.at, buffer.len())?;
        let (into, _) = buffer.split_at_mut(piece.len());
        into.copy_from_slice(&piece);
        self.at += piece.len() as u64;
        Ok(piece.len())
    }
}

impl io::Seek for Seeker<'_> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let at = match to {
            io::SeekFrom::Start(at) => Some(at),
            io::SeekFrom::End(by) => self.source.length().checked_add_signed(by),
            io::SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// A recording with what its content tells, and its digest if it is not in memory.
async fn blob(file: File) -> io::Result<Blob> {
    let at_hand = file.kept.in_memory() && file.kept.length() <= AT_HAND;
    let look = move || {
        let source = KeptSource(file.kept);
        let length = source.length();
        let head = source.read(0, media::HEAD)?;
        let mut media: Media = media::probe(&head, length);
        if media.duration.is_none() && media.format.is_some() {
            media = media::probe_reader(Seeker {
                source: &source,
                at: 0,
            })
            .unwrap_or(media);
        }
        // The content is believed, not the name or the type that came along.
        let media_type = match media.format {
            Some(format) => format.media_type().to_owned(),
            None if file.media_type.is_empty() => "application/octet-stream".to_owned(),
            None => file.media_type,
        };
        let name = named(&file.name, media);
        Blob::new(Box::new(source), media, media_type, name)
    };
    if at_hand {
        return look();
    }
    tokio::task::spawn_blocking(look)
        .await
        .map_err(io::Error::other)?
}

/// A kept body as a blob.
pub(super) async fn blob_of(kept: Kept, name: &str, media_type: String) -> Result<Blob, Unread> {
    let name = name.to_owned();
    let file = File {
        kept,
        name,
        media_type,
    };
    blob_of_file(file).await
}

/// A file of a form as a blob.
pub(super) async fn blob_of_file(file: File) -> Result<Blob, Unread> {
    blob(file)
        .await
        .map_err(|error| Unread::from(crate::serve::body::Full::Io(error)))
}

/// A file name that vendors which look at its ending understand.
fn named(given: &str, media: Media) -> String {
    let stem: String = given
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(64)
        .collect();
    match media.format {
        Some(format) => {
            let stem = stem
                .rsplit_once('.')
                .map_or(stem.as_str(), |(stem, _)| stem);
            let stem = if stem.is_empty() { "audio" } else { stem };
            format!("{stem}.{}", format.extension())
        }
        None if stem.is_empty() => "audio".to_owned(),
        None => stem,
    }
}

/// A form in the `OpenAI` dialect as an input.
async fn recording(contract: &'static Contract, mut form: Form) -> Result<Asked, Unread> {
    let mut input = Map::new();
    let mut shape = Shape::Json;
    let (mut extra, mut keywords, mut stream) = (false, Vec::new(), false);
    let flag = |name: &str, value: &str| match value {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err(bad(400, &format!("`{name}` is `true` or `false`"))),
    };
    let number = |name: &str, value: &str| {
        serde_json::from_str::<serde_json::Number>(value.trim())
            .map(Value::Number)
            .map_err(|_| bad(400, &format!("`{name}` is a number")))
    };
    for (name, value) in form.fields {
        match name.trim_end_matches("[]") {
            "language" | "model" | "prompt" => {
                if !value.trim().is_empty() {
                    input.insert(name.clone(), Value::String(value));
                }
            }
            "keywords" => keywords.extend(
                value
                    .split(',')
                    .map(|word| word.trim().to_owned())
                    .filter(|word| !word.is_empty()),
            ),
            "temperature" => drop(input.insert(name.clone(), number(&name, &value)?)),
            "speakers_max" => drop(input.insert(name.clone(), number(&name, &value)?)),
            "speakers" | "diarize" => {
                drop(input.insert("speakers".to_owned(), Value::Bool(flag(&name, &value)?)));
            }
            "words" => drop(input.insert(name.clone(), Value::Bool(flag(&name, &value)?))),
            "timestamp_granularities" => {
                if value == "word" {
                    input.insert("words".to_owned(), Value::Bool(true));
                } else if value != "segment" {
                    return Err(bad(
                        400,
                        "`timestamp_granularities[]` is `word` or `segment`",
                    ));
                }
            }
            "response_format" => {
                shape = match value.as_str() {
                    "json" => Shape::Json,
                    "verbose_json" => Shape::Verbose,
                    "text" => Shape::Text,
                    "srt" => Shape::Srt,
                    "vtt" => Shape::Vtt,
                    "diarized_json" => Shape::Diarized,
                    "full" => Shape::Full,
                    _ => {
                        return Err(bad(
                            400,
                            "`response_format` is json, verbose_json, text, srt, vtt, diarized_json or full",
                        ));
                    }
                }
            }
            "stream" => stream = flag(&name, &value)?,
            "extra" => extra = flag(&name, &value)?,
            // Options of single vendors of the dialect, which change nothing that is promised.
            "chunking_strategy"
            | "include"
            | "known_speaker_names"
            | "known_speaker_references"
            | "languages" => {}
            _ => {
                return Err(bad(
                    400,
                    &format!("`{name}` is not a field of this operation"),
                ));
            }
        }
    }
    if !keywords.is_empty() {
        input.insert("keywords".to_owned(), keywords.into());
    }
    if shape == Shape::Diarized {
        input.insert("speakers".to_owned(), Value::Bool(true));
    }
    if stream {
        shape = Shape::Events;
    }
    let input = contract.check(input).map_err(|why| bad(400, &why))?;
    let file = form
        .files
        .pop()
        .map(|(_, file)| file)
        .ok_or_else(|| bad(400, "the form has no `file`"))?;
    if file.kept.length() == 0 {
        return Err(bad(400, "the recording is empty"));
    }
    let blob = blob(file)
        .await
        .map_err(|error| Unread::from(crate::serve::body::Full::Io(error)))?;
    let job = Job {
        input,
        blobs: vec![("audio", blob)],
    };
    Ok(Asked {
        jobs: vec![job],
        many: false,
        extra,
        shape,
    })
}

/// A JSON body as inputs: one text, or `documents` / `texts` with many.
fn texts(contract: &'static Contract, body: &[u8]) -> Result<Asked, Problem> {
    let input = |why: &str| Problem::new(400, Kind::BadInput, why);
    let value =
        strict::value(body).map_err(|why| input(&format!("the body is not JSON: {why}")))?;
    let Value::Object(mut fields) = value else {
        return Err(input("the body is not a JSON object"));
    };
    let extra = match take(&mut fields, "extra") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(_) => return Err(input("`extra` is true or false")),
    };
    let speech = contract.name == "speech.synthesize";
    if speech {
        // The OpenAI dialect has other names for the same.
        for (theirs, ours) in [("input", "text"), ("response_format", "format")] {
            if let Some(value) = take(&mut fields, theirs) {
                fields.insert(ours.to_owned(), value);
            }
        }
        match take(&mut fields, "stream_format")
            .as_ref()
            .map(Value::as_str)
        {
            None | Some(Some("audio")) => {}
            Some(_) => return Err(input("`stream_format` can only be `audio`")),
        }
    }
    let (documents, texts) = (take(&mut fields, "documents"), take(&mut fields, "texts"));
    let (key, listed) = match (documents, texts) {
        (None, None) => {
            let input_fields = contract.check(fields).map_err(|why| input(&why))?;
            let job = Job {
                input: input_fields,
                blobs: Vec::new(),
            };
            return Ok(Asked {
                jobs: vec![job],
                many: false,
                extra,
                shape: if speech { Shape::Audio } else { Shape::Full },
            });
        }
        (Some(listed), None) => ("documents", listed),
        (None, Some(listed)) => ("texts", listed),
        (Some(_), Some(_)) => {
            return Err(input(
                "`documents` and `texts` are two ways to say the same; keep one",
            ));
        }
    };
    if !contract.batch {
        return Err(input("this operation takes one input at a time"));
    }
    let Value::Array(listed) = listed else {
        return Err(input(&format!("`{key}` is a list")));
    };
    if listed.is_empty() || listed.len() > DOCUMENTS {
        return Err(input(&format!("`{key}` has 1 to {DOCUMENTS} items")));
    }
    let mut jobs = Vec::with_capacity(listed.len());
    for (index, item) in listed.into_iter().enumerate() {
        let mut own = fields.clone();
        match item {
            Value::String(text) => drop(own.insert("text".to_owned(), Value::String(text))),
            Value::Object(item) => own.extend(item.into_iter().filter(|(name, _)| name != "id")),
            _ => {
                return Err(input(&format!(
                    "item {index} of `{key}` is neither a text nor an object"
                )));
            }
        }
        let checked = contract
            .check(own)
            .map_err(|why| input(&format!("item {index} of `{key}`: {why}")))?;
        jobs.push(Job {
            input: checked,
            blobs: Vec::new(),
        });
    }
    Ok(Asked {
        jobs,
        many: true,
        extra,
        shape: Shape::Full,
    })
}

/// Takes a field out. Most inputs have few fields and not this one.
fn take(fields: &mut Map<String, Value>, name: &str) -> Option<Value> {
    isobar_config::member(fields, name)?;
    fields.remove(name)
}

/// Fields of a query, for recordings that are the body.
pub(super) fn query_fields(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let decode = |text: &str| {
        let plain = text.replace('+', " ");
        percent_encoding::percent_decode_str(&plain)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| Problem::new(400, Kind::BadInput, "the query is not UTF-8"))
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

pub(super) fn content_type(headers: &HeaderMap) -> String {
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    text.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

fn bad(status: u16, why: &str) -> Unread {
    Unread::Problem(Problem::new(status, Kind::BadInput, why))
}

/// Writes answers as the client asked to see them.
pub(crate) fn write(asked: &Asked, served: &Served) -> Result<Written, Problem> {
    if asked.many {
        return Ok(json_body(&list(served)));
    }
    let answered = match served.first() {
        Some(Ok(answered)) => answered,
        _ => {
            return Err(Problem::new(
                500,
                Kind::Internal,
                "there is no answer to write",
            ));
        }
    };
    let Content::Transcript(transcript) = &answered.output.content else {
        if let (Shape::Audio, Content::Speech(speech)) = (asked.shape, &answered.output.content) {
            let body = speech
                .audio
                .to_bytes()
                .map_err(|_| Problem::new(500, Kind::Internal, "the recording cannot be read"))?;
            let known = [
                "audio/mpeg",
                "audio/wav",
                "audio/ogg",
                "audio/flac",
                "audio/aac",
                "audio/pcm",
            ];
            let media_type = known
                .into_iter()
                .find(|known| *known == speech.audio.media_type());
            return Ok(Written {
                media_type: media_type.unwrap_or("application/octet-stream"),
                body,
            });
        }
        return Ok(json_body(&Full::of(answered)));
    };
    let plain = |media_type, text: String| Written {
        media_type,
        body: text.into(),
    };
    let cues = || {
        let whole = [subtitles::Spoken {
            start: 0.0,
            end: transcript.duration.unwrap_or(1.0),
            text: &transcript.text,
            speaker: None,
        }];
        if !transcript.words.is_empty() {
            subtitles::cues(
                transcript.words.iter().map(spoken_word),
                transcript.duration,
            )
        } else if !transcript.segments.is_empty() {
            subtitles::cues(
                transcript.segments.iter().map(spoken_segment),
                transcript.duration,
            )
        } else {
            subtitles::cues(whole, transcript.duration)
        }
    };
    Ok(match asked.shape {
        Shape::Full | Shape::Audio => json_body(&Full::of(answered)),
        Shape::Json => {
            json_body(&json!({ "text": transcript.text, "usage": usage(&answered.output) }))
        }
        Shape::Text => plain(
            "text/plain; charset=utf-8",
            format!("{}\n", transcript.text),
        ),
        Shape::Srt => plain(
            "application/x-subrip; charset=utf-8",
            subtitles::srt(&cues()),
        ),
        Shape::Vtt => plain("text/vtt; charset=utf-8", subtitles::vtt(&cues())),
        Shape::Verbose => json_body(&verbose(answered)),
        Shape::Diarized => json_body(&diarized(answered)),
        Shape::Events => plain("text/event-stream", events(answered)),
    })
}

fn spoken_word(word: &speech::Word) -> subtitles::Spoken<'_> {
    subtitles::Spoken {
        start: word.start,
        end: word.end,
        text: &word.text,
        speaker: word.speaker.as_deref(),
    }
}

fn spoken_segment(segment: &speech::Segment) -> subtitles::Spoken<'_> {
    subtitles::Spoken {
        start: segment.start,
        end: segment.end,
        text: &segment.text,
        speaker: segment.speaker.as_deref(),
    }
}

/// An answer with who gave it.
#[derive(Serialize)]
struct Full<'a> {
    #[serde(flatten)]
    output: &'a Output,
    vendor: &'a str,
}

impl<'a> Full<'a> {
    fn of(answered: &'a Answered) -> Self {
        Self {
            output: &answered.output,
            vendor: answered.account.name(),
        }
    }
}

/// Many answers: those that are there, and why the others are not.
fn list(served: &Served) -> Value {
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for (index, served) in served.iter().enumerate() {
        match served {
            Ok(answered) => {
                let mut result = serde_json::to_value(Full::of(answered)).unwrap_or_default();
                if let Some(fields) = result.as_object_mut() {
                    fields.insert("index".to_owned(), json!(index));
                }
                results.push(result);
            }
            Err(failure) => errors.push(error_of(index, failure)),
        }
    }
    json!({ "results": results, "errors": errors })
}

fn error_of(index: usize, failure: &Failure) -> Value {
    json!({ "index": index, "kind": failure.kind.name(), "code": failure.code, "message": failure.message })
}

fn usage(output: &Output) -> Value {
    json!({ "type": "duration", "seconds": output.usage.quantity })
}

/// `OpenAI`'s `verbose_json`.
fn verbose(answered: &Answered) -> Value {
    let Content::Transcript(transcript) = &answered.output.content else {
        return Value::Null;
    };
    let segments = transcript.segments.iter().enumerate().map(|(id, segment)| {
        json!({
            "id": id, "start": segment.start, "end": segment.end, "text": segment.text, "speaker": segment.speaker,
            "confidence": segment.confidence, "avg_logprob": segment.confidence.map(f64::ln), "no_speech_prob": null,
            "seek": 0, "tokens": [], "temperature": 0.0, "compression_ratio": null,
        })
    });
    let words = transcript.words.iter().map(|word| {
        json!({ "word": word.text, "start": word.start, "end": word.end, "confidence": word.confidence, "speaker": word.speaker })
    });
    json!({
        "task": "transcribe", "language": transcript.language, "duration": transcript.duration, "text": transcript.text,
        "segments": segments.collect::<Vec<_>>(), "words": words.collect::<Vec<_>>(), "usage": usage(&answered.output),
        "provider": { "name": answered.account.name(), "model": answered.output.model, "cost_estimate_usd": answered.output.usage.cost_usd },
        "extra": answered.output.extra,
    })
}

/// `OpenAI`'s `diarized_json`.
fn diarized(answered: &Answered) -> Value {
    let Content::Transcript(transcript) = &answered.output.content else {
        return Value::Null;
    };
    let segments = transcript.segments.iter().enumerate().map(|(id, segment)| {
        json!({ "type": "transcript.text.segment", "id": format!("seg_{id:03}"), "start": segment.start, "end": segment.end, "text": segment.text, "speaker": segment.speaker })
    });
    json!({
        "task": "transcribe", "duration": transcript.duration, "text": transcript.text,
        "segments": segments.collect::<Vec<_>>(), "usage": usage(&answered.output),
    })
}

/// The dialect's events: a delta for each segment, then all of it. Vendors answer when they are done, so these come together.
fn events(answered: &Answered) -> String {
    let Content::Transcript(transcript) = &answered.output.content else {
        return String::new();
    };
    let mut text = String::new();
    let mut send = |event: &Value| {
        let _ = write!(text, "data: {event}\n\n");
    };
    let deltas: Vec<&str> = if transcript.segments.is_empty() {
        vec![&transcript.text]
    } else {
        transcript
            .segments
            .iter()
            .map(|segment| segment.text.as_str())
            .collect()
    };
    for (index, delta) in deltas.iter().enumerate() {
        let delta = if index == 0 {
            (*delta).to_owned()
        } else {
            format!(" {delta}")
        };
        send(&json!({ "type": "transcript.text.delta", "delta": delta }));
    }
    send(
        &json!({ "type": "transcript.text.done", "text": transcript.text, "usage": usage(&answered.output) }),
    );
    text
}

fn json_body(value: &impl Serialize) -> Written {
    Written {
        media_type: "application/json",
        body: serde_json::to_vec(value).unwrap_or_default().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_form_that_is_all_there_is_still_read_in_pieces() {
        let (piece, pieces) = (64 * 1024, 64);
        let taken = AtomicUsize::new(0);
        let start =
            "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n".into();
        let body = std::iter::once(start)
            .chain(std::iter::repeat_n(Bytes::from(vec![7; piece]), pieces))
            .chain(std::iter::once("\r\n--b--\r\n".into()))
            .inspect(|piece: &Bytes| {
                taken.fetch_add(piece.len(), Relaxed);
            });
        let unused = AtomicUsize::new(0);
        let mut form = multer::Multipart::new(paced(stream::iter(body.map(Ok)), &unused), "b");
        let mut file = form.next_field().await.unwrap().unwrap();
        let mut given = 0;
        while let Some(piece) = file.chunk().await.unwrap() {
            unused.store(0, Relaxed);
            let held = taken.load(Relaxed) - given;
            assert!(held <= 3 * AHEAD, "the parser holds {held} bytes");
            given += piece.len();
        }
        assert_eq!(given, piece * pieces);
    }

    #[tokio::test]
    async fn a_form_whose_head_does_not_end_is_given_up() {
        let taken = AtomicUsize::new(0);
        let start = "--b\r\ncontent-disposition: form-data; name=\"".into();
        let body = std::iter::once(start)
            .chain(std::iter::repeat_n(
                Bytes::from(vec![b'n'; 64 * 1024]),
                1_000,
            ))
            .inspect(|piece: &Bytes| {
                taken.fetch_add(piece.len(), Relaxed);
            });
        let unused = AtomicUsize::new(0);
        let mut form = multer::Multipart::new(paced(stream::iter(body.map(Ok)), &unused), "b");
        assert!(form.next_field().await.is_err());
        let held = taken.load(Relaxed);
        assert!(held <= 2 * HEADLESS, "the parser holds {held} bytes");
    }
}
