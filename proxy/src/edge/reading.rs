//! Bodies of requests for capabilities and compositions, within their budget: kept as they come, as bytes, as JSON, as
//! forms with files, and recordings with what their content tells.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, header};
use isobar_adapters::{
    Blob, Source,
    media::{self, Media},
};
use pingora_core::protocols::http::ServerSession as Session;

use super::{
    gateway::{Unread, too_large},
    problem::{Kind, Problem},
};
use crate::serve::body::{Full, Kept, Space};

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
    pub(super) kept: Kept,
    pub(super) name: String,
    pub(super) media_type: String,
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
            .map_err(|error| Unread::from(Full::Io(error)))
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
        let malformed = |_| {
            let broken = broken.lock().take();
            broken.unwrap_or_else(|| bad(400, "the form is not well formed"))
        };
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
            let Some(mut part) = next.map_err(malformed)? else {
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
                let Some(piece) = piece.map_err(malformed)? else {
                    break;
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
                        .map_err(|_| bad(400, format!("the field `{name}` is not UTF-8")))?;
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
        .map_err(|error| Unread::from(Full::Io(error)))
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

/// A request that cannot be read as it is.
pub(super) fn bad(status: u16, why: impl Into<String>) -> Unread {
    Unread::Problem(Problem::new(status, Kind::BadInput, why))
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
