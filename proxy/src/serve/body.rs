//! Request bodies that can be sent more than once.
//!
//! A body is held in memory while the global budget lasts, and in an unlinked file of the state folder beyond it.

use std::{
    future::Future as _,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use sha2::{Digest as _, Sha256};
use tokio::{fs::File, io::AsyncWriteExt, sync::mpsc, task::JoinHandle};

use super::live::Draw;

/// Size of the pieces in which a spooled body is read back.
const PIECE: usize = 64 * 1024;

/// Space for bodies, over all requests.
#[derive(Debug)]
pub(crate) struct Space {
    memory: Arc<Quota>,
    spool: Arc<Quota>,
    folder: PathBuf,
}

/// So many bytes, shared; survives reloads so that what is in flight stays counted.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    used: AtomicU64,
    limit: AtomicU64,
}

/// Part of a quota; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Share {
    quota: Arc<Quota>,
    bytes: u64,
}

/// Why a body could not be kept.
#[derive(Debug)]
pub(crate) enum Full {
    /// Neither memory nor spool space is left.
    NoSpace,
    /// The spool file failed.
    Io(io::Error),
}

impl Space {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            memory: Arc::default(),
            spool: Arc::default(),
            folder: state.join("spool"),
        }
    }

    /// Sets the limits, in bytes; what is over them stays until it is given back.
    pub(crate) fn limit(&self, memory: u64, spool: u64) {
        self.memory.limit.store(memory, Relaxed);
        self.spool.limit.store(spool, Relaxed);
    }

    /// Bytes held in memory and in files now.
    pub(crate) fn used(&self) -> (u64, u64) {
        (
            self.memory.used.load(Relaxed),
            self.spool.used.load(Relaxed),
        )
    }

    /// A place for a body of this many bytes.
    pub(crate) async fn keep(&self, bytes: u64) -> Result<Keeping, Full> {
        if let Some(share) = Quota::take(&self.memory, bytes) {
            return Ok(Keeping::Memory {
                pieces: Vec::new(),
                share,
            });
        }
        let share = Quota::take(&self.spool, bytes).ok_or(Full::NoSpace)?;
        let folder = self.folder.clone();
        let made = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder)?;
            tempfile::tempfile_in(&folder)
        });
        let file = made
            .await
            .map_err(io::Error::other)
            .and_then(|file| file)
            .map_err(Full::Io)?;
        Ok(Keeping::File {
            file: File::from_std(file),
            share,
            length: 0,
        })
    }
}

impl Quota {
    fn take(quota: &Arc<Self>, bytes: u64) -> Option<Share> {
        let limit = quota.limit.load(Relaxed);
        quota
            .used
            .fetch_update(Relaxed, Relaxed, |used| {
                used.checked_add(bytes).filter(|total| *total <= limit)
            })
            .ok()
            .map(|_| Share {
                quota: Arc::clone(quota),
                bytes,
            })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.quota.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// A body that is still arriving.
#[derive(Debug)]
pub(crate) enum Keeping {
    #[doc(hidden)]
    Memory { pieces: Vec<Bytes>, share: Share },
    #[doc(hidden)]
    File {
        file: File,
        share: Share,
        length: u64,
    },
}

impl Keeping {
    /// Appends what arrived.
    pub(crate) async fn push(&mut self, piece: Bytes) -> Result<(), Full> {
        match self {
            Self::Memory { pieces, .. } => pieces.push(piece),
            Self::File { file, length, .. } => {
                file.write_all(&piece).await.map_err(Full::Io)?;
                *length += piece.len() as u64;
            }
        }
        Ok(())
    }

    /// The whole body has arrived.
    pub(crate) async fn done(self) -> Result<Kept, Full> {
        Ok(match self {
            Self::Memory { pieces, share } => Kept::Memory(Arc::new((pieces, share))),
            Self::File {
                mut file,
                share,
                length,
            } => {
                file.flush().await.map_err(Full::Io)?;
                Kept::File(Arc::new((file.into_std().await, share)), length)
            }
        })
    }
}

/// A whole body, kept until the last clone is gone.
#[derive(Debug, Clone)]
pub(crate) enum Kept {
    /// The request has none.
    Empty,
    #[doc(hidden)]
    Memory(Arc<(Vec<Bytes>, Share)>),
    #[doc(hidden)]
    File(Arc<(std::fs::File, Share)>, u64),
}

impl Kept {
    /// Bytes in all.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Memory(kept) => kept.0.iter().map(|piece| piece.len() as u64).sum(),
            Self::File(_, length) => *length,
        }
    }

    /// Whether reading never blocks.
    pub(crate) fn in_memory(&self) -> bool {
        !matches!(self, Self::File(..))
    }

    /// Up to `most` bytes from a position; empty at the end. Blocks on a file.
    pub(crate) fn read_at(&self, offset: u64, most: usize) -> io::Result<Bytes> {
        match self {
            Self::Empty => Ok(Bytes::new()),
            Self::Memory(kept) => {
                let mut left = offset;
                for piece in &kept.0 {
                    let length = piece.len() as u64;
                    if left < length {
                        let from = usize::try_from(left).unwrap_or(usize::MAX);
                        return Ok(piece.slice(from..piece.len().min(from.saturating_add(most))));
                    }
                    left -= length;
                }
                Ok(Bytes::new())
            }
            Self::File(kept, length) => {
                let left = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
                let mut piece = vec![0; left.min(most)];
                kept.0.read_exact_at(&mut piece, offset)?;
                Ok(piece.into())
            }
        }
    }

    /// SHA-256 of all of it.
    pub(crate) async fn sha256(&self) -> io::Result<[u8; 32]> {
        let hash = |kept: &Self| {
            let mut hash = Sha256::new();
            let mut at = 0;
            loop {
                let piece = kept.read_at(at, PIECE)?;
                if piece.is_empty() {
                    return Ok(hash.finalize().into());
                }
                at += piece.len() as u64;
                hash.update(&piece);
            }
        };
        if self.in_memory() {
            return hash(self);
        }
        let kept = self.clone();
        let hashed = tokio::task::spawn_blocking(move || hash(&kept));
        hashed.await.map_err(io::Error::other)?
    }

    /// A fresh copy to send; pieces are shared, not copied. Copies may be sent at the same time.
    pub(crate) fn replay(&self) -> Replay {
        match self {
            Self::Empty => Replay::Memory {
                kept: None,
                next: 0,
                left: 0,
            },
            Self::Memory(kept) => {
                let left = kept.0.iter().map(|piece| piece.len() as u64).sum();
                Replay::Memory {
                    kept: Some(Arc::clone(kept)),
                    next: 0,
                    left,
                }
            }
            Self::File(kept, length) => Replay::File {
                kept: Arc::clone(kept),
                at: 0,
                left: *length,
                reading: None,
            },
        }
    }
}

/// One sending of a body.
#[derive(Debug)]
pub(crate) enum Replay {
    /// Of one that is still coming.
    Live(Draw),
    /// Of one that is sent once: bytes that are there.
    Once(Bytes),
    /// The same, in pieces as they are made, and how many bytes are still to come.
    Pieces { pieces: Pieces, left: u64 },
    /// Of one that had begun when its connection turned out to take nothing: what had been taken from it, and the rest.
    Returned {
        first: Bytes,
        rest: Option<Box<Replay>>,
    },
    #[doc(hidden)]
    Memory {
        kept: Option<Arc<(Vec<Bytes>, Share)>>,
        next: usize,
        left: u64,
    },
    #[doc(hidden)]
    File {
        kept: Arc<(std::fs::File, Share)>,
        at: u64,
        left: u64,
        reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
    },
}

/// Where a body's pieces come from.
pub(crate) enum Pieces {
    /// Made without waiting.
    Here(Box<dyn Iterator<Item = io::Result<Bytes>> + Send>),
    /// Read by a thread that may block.
    Elsewhere(mpsc::Receiver<io::Result<Bytes>>),
}

impl Pieces {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self {
            Self::Here(pieces) => Poll::Ready(pieces.next()),
            Self::Elsewhere(pieces) => pieces.poll_recv(cx),
        }
    }
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Here(_) => "Here",
            Self::Elsewhere(_) => "Elsewhere",
        })
    }
}

impl Replay {
    /// The same body from its beginning, where it is kept.
    pub(crate) fn again(&self) -> Option<Self> {
        let kept = match self {
            Self::Live(_) | Self::Pieces { .. } | Self::Returned { .. } => return None,
            Self::Once(bytes) => return Some(Self::Once(bytes.clone())),
            Self::Memory { kept: None, .. } => Kept::Empty,
            Self::Memory {
                kept: Some(kept), ..
            } => Kept::Memory(Arc::clone(kept)),
            Self::File { kept, at, left, .. } => Kept::File(Arc::clone(kept), at + left),
        };
        Some(kept.replay())
    }
}

/// Reads at a position, not at the file's own offset, which all copies share.
fn read(
    kept: &Arc<(std::fs::File, Share)>,
    at: u64,
    length: usize,
) -> JoinHandle<io::Result<Vec<u8>>> {
    let kept = Arc::clone(kept);
    tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; length];
        kept.0.read_exact_at(&mut piece, at)?;
        Ok(piece)
    })
}

impl Body for Replay {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Live(draw) => Pin::new(draw).poll_frame(cx),
            Self::Once(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Returned { first, rest } => match rest {
                _ if !first.is_empty() => Poll::Ready(Some(Ok(Frame::data(std::mem::take(first))))),
                Some(rest) => Pin::new(rest.as_mut()).poll_frame(cx),
                None => Poll::Ready(None),
            },
            Self::Pieces { pieces, left } => pieces.poll_next(cx).map(|piece| match piece {
                Some(Ok(piece)) => {
                    *left = left.saturating_sub(piece.len() as u64);
                    Some(Ok(Frame::data(piece)))
                }
                Some(Err(error)) => Some(Err(error)),
                None if *left > 0 => Some(Err(io::ErrorKind::UnexpectedEof.into())),
                None => None,
            }),
            Self::Memory { kept, next, left } => {
                let piece = kept.as_ref().and_then(|kept| kept.0.get(*next)).cloned();
                *next += 1;
                Poll::Ready(piece.map(|piece| {
                    *left -= piece.len() as u64;
                    Ok(Frame::data(piece))
                }))
            }
            Self::File { left: 0, .. } => Poll::Ready(None),
            Self::File {
                kept,
                at,
                left,
                reading,
            } => {
                let length = usize::try_from(*left).unwrap_or(PIECE).min(PIECE);
                let piece = reading.get_or_insert_with(|| read(kept, *at, length));
                let Poll::Ready(read) = Pin::new(piece).poll(cx) else {
                    return Poll::Pending;
                };
                *reading = None;
                let piece = match read.map_err(io::Error::other).and_then(|piece| piece) {
                    Ok(piece) => piece,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                };
                *at += piece.len() as u64;
                *left -= piece.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(piece.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Live(draw) => draw.is_end_stream(),
            Self::Once(bytes) => bytes.is_empty(),
            Self::Returned { first, rest } => {
                first.is_empty() && rest.as_ref().is_none_or(|rest| rest.is_end_stream())
            }
            Self::Pieces { left, .. } | Self::Memory { left, .. } | Self::File { left, .. } => {
                *left == 0
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Live(draw) => draw.size_hint(),
            Self::Once(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Returned { first, rest } => {
                let rest = rest
                    .as_ref()
                    .map_or(Some(0), |rest| rest.size_hint().exact());
                rest.map_or_else(SizeHint::default, |rest| {
                    SizeHint::with_exact(first.len() as u64 + rest)
                })
            }
            Self::Pieces { left, .. } | Self::Memory { left, .. } | Self::File { left, .. } => {
                SizeHint::with_exact(*left)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn check(memory: u64, spool: u64) -> Option<bool> {
        let folder = tempfile::tempdir().unwrap();
        let space = Space::new(folder.path());
        space.limit(memory, spool);
        let mut keeping = space.keep(300_000).await.ok()?;
        let in_memory = matches!(keeping, Keeping::Memory { .. });
        let piece = Bytes::from(vec![7; 100_000]);
        for _ in 0..3 {
            keeping.push(piece.clone()).await.unwrap();
        }
        let kept = keeping.done().await.unwrap();
        for _ in 0..2 {
            let sent = kept.replay();
            assert_eq!(sent.size_hint().exact(), Some(300_000));
            assert_eq!(sent.collect().await.unwrap().to_bytes(), vec![7; 300_000]);
        }
        drop(kept);
        assert_eq!(space.used(), (0, 0));
        assert_eq!(
            std::fs::read_dir(folder.path().join("spool")).map_or(0, Iterator::count),
            0,
            "no file stays behind"
        );
        Some(in_memory)
    }

    #[tokio::test]
    async fn a_body_within_the_budget_stays_in_memory_and_replays() {
        assert_eq!(check(1 << 20, 0).await, Some(true));
    }

    #[tokio::test]
    async fn a_body_beyond_the_budget_spills_and_replays() {
        assert_eq!(check(1_000, 1 << 20).await, Some(false));
    }

    #[tokio::test]
    async fn a_body_beyond_both_is_refused() {
        assert_eq!(check(1_000, 1_000).await, None);
    }

    #[tokio::test]
    async fn copies_of_a_spooled_body_can_be_sent_at_the_same_time() {
        let folder = tempfile::tempdir().unwrap();
        let space = Space::new(folder.path());
        space.limit(0, 1 << 20);
        let mut keeping = space.keep(300_000).await.unwrap();
        let body: Vec<u8> = (0..300_000_u32).map(|at| at.to_le_bytes()[1]).collect();
        keeping.push(body.clone().into()).await.unwrap();
        let kept = keeping.done().await.unwrap();
        // Both begin before either ends, and one is given up half-way: what a hedge and a retry do.
        let (mut given_up, first) = (kept.replay(), kept.replay());
        given_up.frame().await.unwrap().unwrap();
        let (first, second) = tokio::join!(first.collect(), kept.replay().collect());
        assert!(first.unwrap().to_bytes() == body && second.unwrap().to_bytes() == body);
    }
}
