//! Symphonia's demuxers, fenced in: the format is chosen by us, what they may read is counted, their panics are caught.

use std::io::{Error as IoError, Read, Result as IoResult, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, well_known as codec};
use symphonia::core::errors::{Error, Result};
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::units::{Duration, TimeBase};
use symphonia::default::formats::{
    AdtsReader, AiffReader, FlacReader, IsoMp4Reader, MkvReader, MpaReader, OggReader, WavReader,
};

use super::{Encoding, Format, Media};

/// Bytes that looking at a file may cost, rereading included.
const MAX_READ: u64 = 64 * 1024 * 1024;
/// Packets that counting them may cost; five hours of MP3.
const MAX_PACKETS: usize = 1_000_000;

/// A file without its leading tags, of a stated length, that can be read only so much.
pub(super) struct Source<R> {
    inner: R,
    start: u64,
    len: u64,
    at: u64,
    allowance: u64,
    seekable: bool,
}

impl<R: Read + Seek> Source<R> {
    /// A file of `total` bytes that starts at `start`. `inner` may end earlier.
    pub(super) fn new(inner: R, start: u64, total: u64) -> Self {
        // The first read must seek, wherever `inner` stands.
        Self {
            inner,
            start,
            len: total.saturating_sub(start),
            at: u64::MAX,
            allowance: MAX_READ,
            seekable: true,
        }
    }

    /// Bytes from the start on.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bars jumps to other parts of the file, for when they are not there.
    pub(super) fn in_order(self) -> Self {
        Self {
            seekable: false,
            ..self
        }
    }

    /// Allows to read so many bytes in total.
    pub(super) fn allow(self, allowance: u64) -> Self {
        Self { allowance, ..self }
    }
}

impl<R: Read + Seek> Read for Source<R> {
    fn read(&mut self, buf: &mut [u8]) -> IoResult<usize> {
        if self.at == u64::MAX {
            self.seek(SeekFrom::Start(0))?;
        }
        if self.allowance == 0 && !buf.is_empty() {
            return Err(IoError::other("reads more than it may"));
        }
        let most = usize::try_from(self.allowance)
            .unwrap_or(usize::MAX)
            .min(buf.len());
        let read = self.inner.read(buf.get_mut(..most).unwrap_or_default())?;
        self.at = self.at.saturating_add(read as u64);
        self.allowance -= read as u64;
        Ok(read)
    }
}

impl<R: Read + Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> IoResult<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) if self.at == u64::MAX => 0_u64.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        let inner = at.and_then(|at| self.start.checked_add(at));
        let (Some(at), Some(inner)) = (at, inner) else {
            return Err(IoError::other("seeks out of the file"));
        };
        self.inner.seek(SeekFrom::Start(inner))?;
        self.at = at;
        Ok(at)
    }
}

impl<R: Read + Seek + Send + Sync> MediaSource for Source<R> {
    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len)
    }
}

/// The demuxer for a file of this format.
pub(super) fn open<'s>(
    format: Format,
    source: impl MediaSource + 's,
) -> Result<Box<dyn FormatReader + 's>> {
    let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
    let options = FormatOptions::default();
    Ok(match format {
        Format::Wav => Box::new(WavReader::try_new(stream, options)?),
        Format::Mp3 => Box::new(MpaReader::try_new(stream, options)?),
        Format::Flac => Box::new(FlacReader::try_new(stream, options)?),
        Format::Ogg => Box::new(OggReader::try_new(stream, options)?),
        Format::Webm | Format::Mkv => Box::new(MkvReader::try_new(stream, options)?),
        Format::Mp4 | Format::M4a | Format::Mov | Format::ThreeGp => {
            Box::new(IsoMp4Reader::try_new(stream, options)?)
        }
        Format::Aac => Box::new(AdtsReader::try_new(stream, options)?),
        Format::Aiff => Box::new(AiffReader::try_new(stream, options)?),
        Format::Amr | Format::AmrWb => return Err(Error::Unsupported("amr")),
    })
}

/// Runs code of a demuxer or decoder that hostile bytes may drive into a panic; `None` if they did.
pub(super) fn fenced<T>(run: impl FnOnce() -> T) -> Option<T> {
    // Whatever was being worked on is dropped with the closure, so nobody sees it half done.
    catch_unwind(AssertUnwindSafe(run)).ok()
}

/// The track that is heard and its codec's parameters.
pub(super) fn audio(reader: &dyn FormatReader) -> Option<(&Track, &AudioCodecParameters)> {
    let track = reader.default_track(TrackType::Audio)?;
    match &track.codec_params {
        Some(CodecParameters::Audio(parameters)) => Some((track, parameters)),
        _ => None,
    }
}

/// What the demuxer says of the file; without `whole`, `source` ends before the file does.
pub(super) fn media<R>(format: Format, head: &[u8], source: Source<R>, whole: bool) -> Media
where
    R: Read + Seek + Send + Sync,
{
    let known = Media {
        format: Some(format),
        ..Media::default()
    };
    // These two extrapolate from the first frames, but only where they believe that they could go on.
    let extrapolates = matches!(format, Format::Mp3 | Format::Aac);
    let source = if whole || extrapolates {
        source
    } else {
        source.in_order()
    };
    fenced(|| {
        let mut reader = open(format, source).ok()?;
        let (track, parameters) = audio(&*reader)?;
        let (id, time_base) = (track.id, track.time_base);
        let found = Media {
            sample_rate: parameters.sample_rate.filter(|rate| *rate > 0),
            channels: parameters
                .channels
                .as_ref()
                .and_then(|channels| u16::try_from(channels.count()).ok()),
            encoding: encoding(parameters.codec),
            ..known
        };
        let info = reader.media_info();
        let stated =
            seconds(info.duration, info.time_base).or_else(|| seconds(track.duration, time_base));
        let counted = if whole && (stated.is_none() || !indexed(format, head)) {
            count(&mut *reader, id, time_base)
        } else {
            None
        };
        Some(Media {
            duration: counted.or(stated),
            ..found
        })
    })
    .flatten()
    .unwrap_or(known)
}

/// Whether the demuxer's duration comes from the file and is no estimate from the first frames.
pub(super) fn indexed(format: Format, head: &[u8]) -> bool {
    match format {
        Format::Aac => false,
        Format::Mp3 => {
            let first = head.get(..head.len().min(8 * 1024)).unwrap_or_default();
            first
                .windows(4)
                .any(|window| matches!(window, b"Xing" | b"Info" | b"VBRI"))
        }
        _ => true,
    }
}

fn seconds(duration: Option<Duration>, time_base: Option<TimeBase>) -> Option<f64> {
    let seconds = time_base?.calc_duration(duration?)?.as_secs_f64();
    (seconds > 0.0 && seconds.is_finite()).then_some(seconds)
}

/// Seconds from the packets themselves; `None` if there are too many to count.
fn count(reader: &mut dyn FormatReader, track: u32, time_base: Option<TimeBase>) -> Option<f64> {
    let mut end = 0_u64;
    let mut last_start = None;
    for _ in 0..MAX_PACKETS {
        let packet = match reader.next_packet() {
            Ok(Some(packet)) => packet,
            // A cut off file has as much sound as there is of it.
            Ok(None) | Err(Error::DecodeError(_) | Error::ResetRequired) => {
                return seconds(Some(Duration::new(end)), time_base);
            }
            Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return seconds(Some(Duration::new(end)), time_base);
            }
            Err(_) => return None,
        };
        if packet.track_id != track {
            continue;
        }
        let start = packet.pts.get();
        // Matroska leaves out how long a packet lasts: take it to last as long as the one before.
        let lasts = match packet.dur.get() {
            0 => last_start.map_or(0, |last: i64| start.saturating_sub(last).unsigned_abs()),
            lasts => lasts,
        };
        last_start = Some(start);
        end = end.max(
            u64::try_from(start)
                .unwrap_or_default()
                .saturating_add(lasts),
        );
    }
    None
}

/// Our name for the codec; `None` for those that we neither decode nor tell apart.
pub(super) fn encoding(id: AudioCodecId) -> Option<Encoding> {
    Some(match id {
        codec::CODEC_ID_PCM_U8 => Encoding::PcmU8,
        codec::CODEC_ID_PCM_S8 => Encoding::PcmS8,
        codec::CODEC_ID_PCM_S16LE => Encoding::PcmS16le,
        codec::CODEC_ID_PCM_S16BE => Encoding::PcmS16be,
        codec::CODEC_ID_PCM_S24LE => Encoding::PcmS24le,
        codec::CODEC_ID_PCM_S24BE => Encoding::PcmS24be,
        codec::CODEC_ID_PCM_S32LE => Encoding::PcmS32le,
        codec::CODEC_ID_PCM_S32BE => Encoding::PcmS32be,
        codec::CODEC_ID_PCM_F32LE => Encoding::PcmF32le,
        codec::CODEC_ID_PCM_F32BE => Encoding::PcmF32be,
        codec::CODEC_ID_PCM_F64LE => Encoding::PcmF64le,
        codec::CODEC_ID_PCM_F64BE => Encoding::PcmF64be,
        codec::CODEC_ID_PCM_MULAW => Encoding::Mulaw,
        codec::CODEC_ID_PCM_ALAW => Encoding::Alaw,
        codec::CODEC_ID_ADPCM_MS => Encoding::AdpcmMs,
        codec::CODEC_ID_ADPCM_IMA_WAV => Encoding::AdpcmIma,
        codec::CODEC_ID_MP3 => Encoding::Mp3,
        codec::CODEC_ID_FLAC => Encoding::Flac,
        codec::CODEC_ID_ALAC => Encoding::Alac,
        codec::CODEC_ID_AAC => Encoding::Aac,
        codec::CODEC_ID_OPUS => Encoding::Opus,
        codec::CODEC_ID_VORBIS => Encoding::Vorbis,
        _ => return None,
    })
}
