//! What an uploaded recording is: container, codec, length, rate, channels; told from the content, never from a name.
//!
//! Pure: bytes in, facts out. Uploads are hostile until shown otherwise, so nothing here trusts a size that a file
//! states, reads or loops beyond a fixed budget, or lets a panic of a demuxer or decoder out.

mod amr;
mod demux;
mod format;
pub mod pcm;
mod resample;
mod wav;

use std::io::{Cursor, Read, Seek, SeekFrom};

pub use format::{Encoding, Format};

use demux::Source;

/// What is known about a recording. Anything that the content does not tell is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Media {
    /// The container; `None` if it is no recording that we know.
    pub format: Option<Format>,
    /// Seconds of sound, finite and not negative.
    pub duration: Option<f64>,
    /// Samples per second and channel. Opus always says 48,000.
    pub sample_rate: Option<u32>,
    /// Number of channels.
    pub channels: Option<u16>,
    /// The codec inside the container.
    pub encoding: Option<Encoding>,
}

/// Bytes from the start of a file that always suffice to tell what it is, short of a longer ID3 tag.
pub const HEAD: usize = 64 * 1024;

/// Bytes in which all names of formats and lengths of tags stand.
const SIGNATURE: usize = 16;

/// Tells what a recording of `total_bytes` is from its first bytes ([`HEAD`] of them, or fewer).
///
/// If `head` is the whole file this is as good as [`probe_reader`]. Otherwise the duration may be missing (Ogg, MP4
/// with its index at the end, live `WebM`) or extrapolated from the first frames (MP3 without index, AAC, AMR).
pub fn probe(head: &[u8], total_bytes: u64) -> Media {
    let whole = head.len() as u64 >= total_bytes;
    let id3 = format::id3_length(head);
    if whole {
        return probe_reader(Cursor::new(head)).unwrap_or_default();
    }
    let Some(start) = usize::try_from(id3)
        .ok()
        .and_then(|id3| head.get(id3..))
        .filter(|start| !start.is_empty())
    else {
        // The tag is longer than the head. Such tags hold cover pictures, and those come with MP3.
        return Media {
            format: Some(Format::Mp3),
            ..Media::default()
        };
    };
    match format::sniff(start) {
        Some(format) => inspect(
            format,
            start,
            Source::new(Cursor::new(head), id3, total_bytes),
            false,
        ),
        None => Media::default(),
    }
}

/// Tells what a recording is, looking wherever in the file the answer stands.
///
/// Reads the beginning and what indexes need; every frame only where no index tells the duration, and then at most
/// 64 MiB. Errors are those of `reader`; what is wrong with the content leaves fields empty instead.
pub fn probe_reader(mut reader: impl Read + Seek + Send + Sync) -> std::io::Result<Media> {
    let total = reader.seek(SeekFrom::End(0))?;
    let (format, start, head) = locate(&mut reader, total)?;
    Ok(match format {
        Some(format) => inspect(format, &head, Source::new(reader, start, total), true),
        None => Media::default(),
    })
}

/// The format of a file, where it starts after any ID3 tags, and its first bytes from there: few where its name is all that
/// is needed of them, or else [`HEAD`].
fn locate(
    reader: &mut (impl Read + Seek),
    total: u64,
) -> std::io::Result<(Option<Format>, u64, Vec<u8>)> {
    const MAX_TAGS: usize = 4;
    let mut start = 0;
    let mut head = Vec::with_capacity(SIGNATURE);
    for _ in 0..MAX_TAGS {
        head.clear();
        reader.seek(SeekFrom::Start(start))?;
        reader
            .by_ref()
            .take(SIGNATURE as u64)
            .read_to_end(&mut head)?;
        match format::id3_length(&head) {
            0 => break,
            tag => start += tag,
        }
    }
    let named = format::sniff(&head);
    if let Some(Format::Wav | Format::Amr | Format::AmrWb) = named {
        return Ok((named, start, head));
    }
    let left = usize::try_from(total.saturating_sub(start)).map_or(HEAD, |left| left.min(HEAD));
    head.reserve_exact(left.saturating_sub(head.len()));
    reader
        .by_ref()
        .take(HEAD.saturating_sub(head.len()) as u64)
        .read_to_end(&mut head)?;
    Ok((format::sniff(&head), start, head))
}

/// `source` starts where `head` does.
fn inspect<R: Read + Seek + Send + Sync>(
    format: Format,
    head: &[u8],
    source: Source<R>,
    whole: bool,
) -> Media {
    let total = source.len();
    match format {
        Format::Wav => wav::header(source, total).media(),
        Format::Amr | Format::AmrWb => amr::media(source, format, total, whole),
        _ => demux::media(format, head, source, whole),
    }
}

/// Seconds, or nothing where the division has no sense.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact below 2^53, which no recording reaches"
)]
fn ratio(amount: u64, per_second: u64) -> Option<f64> {
    (per_second > 0).then(|| amount as f64 / per_second as f64)
}

#[cfg(test)]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "samples and their numbers are small"
)]
mod tests;
