//! Recordings and other large bodies, passed by reference: never copied between attempts, steps or encodings.

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::media::Media;

/// Bytes read at a time from a source that is not in memory.
const PIECE: usize = 64 * 1024;

/// Where a blob's bytes are.
pub trait Source: Send + Sync {
    /// Bytes in all.
    fn length(&self) -> u64;
    /// Up to `most` bytes from `offset`; empty at the end. May block on a file.
    fn read(&self, offset: u64, most: usize) -> io::Result<Bytes>;
    /// Whether reading never blocks.
    fn in_memory(&self) -> bool;
}

/// A body of any size with what is known about it.
#[derive(Clone)]
pub struct Blob(Arc<Inner>);

struct Inner {
    source: Box<dyn Source>,
    media: Media,
    media_type: String,
    name: String,
    /// Known from the start where reading may block, and worked out when it is wanted where the bytes are at hand.
    digest: OnceLock<[u8; 32]>,
}

impl Blob {
    /// Wraps a source. Reads it once if it is not in memory, to know its digest: call it where blocking is allowed then.
    pub fn new(
        source: Box<dyn Source>,
        media: Media,
        media_type: String,
        name: String,
    ) -> io::Result<Self> {
        let digest = OnceLock::new();
        if !source.in_memory() {
            let _ = digest.set(digest_of(&*source)?);
        }
        Ok(Self(Arc::new(Inner {
            source,
            media,
            media_type,
            name,
            digest,
        })))
    }

    /// Wraps bytes in memory, and looks at them to know what they are.
    pub fn of_bytes(bytes: Bytes, name: &str) -> Self {
        let media = crate::media::probe(&bytes, bytes.len() as u64);
        let media_type = media
            .format
            .map_or("application/octet-stream", crate::media::Format::media_type)
            .to_owned();
        Self::in_one(bytes, media, media_type, name)
    }

    /// Wraps bytes in memory that are of this media type.
    pub fn of_type(bytes: Bytes, media_type: &str, name: &str) -> Self {
        let media = crate::media::probe(&bytes, bytes.len() as u64);
        Self::in_one(bytes, media, media_type.to_owned(), name)
    }

    fn in_one(bytes: Bytes, media: Media, media_type: String, name: &str) -> Self {
        Self(Arc::new(Inner {
            source: Box::new(Memory(vec![bytes])),
            media,
            media_type,
            name: name.to_owned(),
            digest: OnceLock::new(),
        }))
    }

    /// Bytes in all.
    pub fn length(&self) -> u64 {
        self.0.source.length()
    }

    /// Format, duration and rate, as far as the content tells.
    pub fn media(&self) -> &Media {
        &self.0.media
    }

    /// Media type to send along, such as `audio/wav`.
    pub fn media_type(&self) -> &str {
        &self.0.media_type
    }

    /// File name to send along.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// SHA-256 of the content.
    pub fn digest(&self) -> [u8; 32] {
        let source = &*self.0.source;
        *self
            .0
            .digest
            // What is in memory can be read.
            .get_or_init(|| digest_of(source).unwrap_or_default())
    }

    /// Whether reading never blocks.
    pub fn in_memory(&self) -> bool {
        self.0.source.in_memory()
    }

    /// Up to `most` bytes from `offset`; empty at the end.
    pub fn read(&self, offset: u64, most: usize) -> io::Result<Bytes> {
        self.0.source.read(offset, most)
    }

    /// The content, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = io::Result<Bytes>> + '_ {
        Pieces {
            source: &*self.0.source,
            offset: 0,
        }
    }

    /// The whole content in one piece.
    pub fn to_bytes(&self) -> io::Result<Bytes> {
        let most = usize::try_from(self.length()).unwrap_or(usize::MAX);
        let first = self.read(0, most)?;
        if first.len() as u64 == self.length() {
            return Ok(first);
        }
        let mut whole = Vec::with_capacity(most);
        for piece in self.pieces() {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole.into())
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes of {})", self.length(), self.media_type())
    }
}

fn digest_of(source: &dyn Source) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    for piece in (Pieces { source, offset: 0 }) {
        hash.update(&piece?);
    }
    Ok(hash.finalize().into())
}

struct Pieces<'a> {
    source: &'a dyn Source,
    offset: u64,
}

impl Iterator for Pieces<'_> {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.offset >= self.source.length() {
            return None;
        }
        let read = self.source.read(self.offset, PIECE);
        match &read {
            Ok(piece) if piece.is_empty() => return Some(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(piece) => self.offset += piece.len() as u64,
            Err(_) => self.offset = u64::MAX,
        }
        Some(read)
    }
}

/// Pieces in memory, shared with whoever keeps them.
pub struct Memory(pub Vec<Bytes>);

impl Source for Memory {
    fn length(&self) -> u64 {
        self.0.iter().map(|piece| piece.len() as u64).sum()
    }

    fn read(&self, mut offset: u64, most: usize) -> io::Result<Bytes> {
        for piece in &self.0 {
            let length = piece.len() as u64;
            if offset < length {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let to = piece.len().min(from.saturating_add(most));
                return Ok(piece.slice(from..to));
            }
            offset -= length;
        }
        Ok(Bytes::new())
    }

    fn in_memory(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_in_memory_read_as_one() {
        let source = Memory(vec![
            Bytes::from_static(b"abc"),
            Bytes::new(),
            Bytes::from_static(b"defg"),
        ]);
        let blob = Blob::new(
            Box::new(source),
            Media::default(),
            "audio/wav".to_owned(),
            "x".to_owned(),
        )
        .unwrap();
        assert_eq!(blob.length(), 7);
        assert_eq!(blob.to_bytes().unwrap(), "abcdefg");
        assert_eq!(blob.read(4, 2).unwrap(), "ef");
        assert_eq!(blob.read(7, 2).unwrap(), "");
        assert_eq!(blob.digest(), <[u8; 32]>::from(Sha256::digest(b"abcdefg")));
    }
}
