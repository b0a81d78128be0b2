//! Any recording as 16-bit PCM, one channel, 16 kHz, for the vendors that take nothing else.
//!
//! Decoding is the one costly thing in this crate (some ten seconds for an hour of MP3): callers keep it off the threads
//! that serve requests. Memory is that of the result and a few packets.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};
use std::sync::LazyLock;
use std::time::Duration;

use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error as Fault;
use symphonia_adapter_libopus::OpusDecoder;

use super::demux::{self, Source};
use super::resample::{RATE, To16k};
use super::{Format, locate, wav};

/// Why a recording cannot be had as PCM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The content is none of [`Format`].
    #[error("not a recording in a known format")]
    Unknown,
    /// A recording, but with a codec, rate or layout that is not decoded.
    #[error("this {name} recording cannot be converted: {1}", name = .0.name())]
    Unsupported(Format, String),
    /// A known format whose content makes no sense.
    #[error("the {name} recording is damaged: {1}", name = .0.name())]
    Damaged(Format, String),
    /// It holds no sound at all.
    #[error("the recording holds no sound")]
    Empty,
    /// More sound than was allowed.
    #[error("the recording is longer than {} s", .0.as_secs_f64())]
    TooLong(Duration),
}

/// Length of the header that [`to_wav_16k_mono`] puts before the samples.
pub const WAV_HEADER: usize = 44;

/// Decodes a whole recording to a WAVE file of 16-bit samples, one channel, 16 kHz.
///
/// More channels are averaged. Work stops once `longest` is passed, whatever the file says of itself.
pub fn to_wav_16k_mono(bytes: &[u8], longest: Duration) -> Result<Vec<u8>, Error> {
    let mut out = vec![0; WAV_HEADER];
    decode(bytes, longest, &mut out)?;
    let samples = u32::try_from(out.len() - WAV_HEADER).map_err(|_| Error::TooLong(longest))?;
    let header = wav_header(samples);
    if let Some(place) = out.first_chunk_mut() {
        *place = header;
    }
    Ok(out)
}

/// Decodes a whole recording to bare samples: 16-bit little endian, one channel, 16 kHz.
///
/// As [`to_wav_16k_mono`], without the header.
pub fn to_raw_16k_mono(bytes: &[u8], longest: Duration) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    decode(bytes, longest, &mut out)?;
    Ok(out)
}

/// Channels beyond which a header is taken for nonsense: a decoder's buffers grow with them.
const MAX_CHANNELS: usize = 32;
/// Samples per packet and channel beyond which a header is taken for nonsense.
const MAX_PACKET_SAMPLES: u64 = 1 << 20;
/// Packets of sound per second that a file may have; the shortest that Opus has last 2.5 ms.
const MAX_PACKETS_PER_SECOND: u64 = 500;
/// How far beyond full scale a sample may go before it is cut.
const LOUDEST: f32 = 4.0;
/// How often a file may be read over, at most: some formats are not read in order.
const MAX_READS: u64 = 8;

fn wav_header(samples: u32) -> [u8; WAV_HEADER] {
    let mut header =
        *b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\x02\0\x10\0data\0\0\0\0";
    for (at, value) in [
        (4, samples.saturating_add(36)),
        (24, RATE),
        (28, 2 * RATE),
        (40, samples),
    ] {
        if let Some(field) = header.get_mut(at..at + 4) {
            field.copy_from_slice(&value.to_le_bytes());
        }
    }
    header
}

fn decode(bytes: &[u8], longest: Duration, out: &mut Vec<u8>) -> Result<(), Error> {
    let located = locate(&mut Cursor::new(bytes), bytes.len() as u64);
    let Ok((Some(format), start, head)) = located else {
        return Err(Error::Unknown);
    };
    let mended = if format == Format::Wav {
        mended_wav(bytes)
    } else {
        bytes.into()
    };
    demux::fenced(|| {
        convert(
            format,
            &mended,
            start,
            &head,
            longest,
            &mut Output::new(out, longest),
        )
    })
    .unwrap_or_else(|| Err(Error::Damaged(format, "its decoder gave up".into())))
}

/// The file with the true length of its samples written into the header, where that stated another.
fn mended_wav(bytes: &[u8]) -> Cow<'_, [u8]> {
    let header = wav::header(Cursor::new(bytes), bytes.len() as u64);
    let length = u32::try_from(header.data_len).ok();
    let (false, Some(data), Some(length)) = (header.honest, header.data, length) else {
        return bytes.into();
    };
    let mut mended = bytes.to_vec();
    let field = usize::try_from(data)
        .ok()
        .and_then(|data| mended.get_mut(data.checked_sub(4)?..data));
    if let Some(field) = field {
        field.copy_from_slice(&length.to_le_bytes());
    }
    if let Some(magic) = mended.get_mut(..4) {
        magic.copy_from_slice(b"RIFF");
    }
    mended.into()
}

fn convert(
    format: Format,
    bytes: &[u8],
    start: u64,
    head: &[u8],
    longest: Duration,
    output: &mut Output,
) -> Result<(), Error> {
    let total = bytes.len() as u64;
    let source = Source::new(Cursor::new(bytes), start, total)
        .allow(total.saturating_add(64 * 1024).saturating_mul(MAX_READS));
    // Without an index Symphonia estimates how much sound there is, and drops what goes beyond.
    let source = if demux::indexed(format, head) {
        source
    } else {
        source.in_order()
    };
    let mut reader = demux::open(format, source).map_err(|fault| explain(format, &fault))?;
    let Some((track, parameters)) = demux::audio(&*reader) else {
        return Err(Error::Unsupported(format, "it has no sound track".into()));
    };
    let track = track.id;
    let mut decoder = decoder(format, parameters)?;
    let mut samples = Vec::new();
    let mut broken = None;
    let mut most = longest
        .as_secs()
        .saturating_add(2)
        .saturating_mul(MAX_PACKETS_PER_SECOND);
    loop {
        let packet = match reader.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(Fault::IoError(error)) if error.kind() != ErrorKind::UnexpectedEof => {
                return Err(explain(format, &Fault::IoError(error)));
            }
            // What comes before the place where a file is cut off or broken is worth having.
            Err(fault) => {
                broken = Some(fault);
                break;
            }
        };
        most = most.checked_sub(1).ok_or(Error::TooLong(longest))?;
        if packet.track_id != track {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(sound) => {
                sound.copy_to_vec_interleaved(&mut samples);
                output.push(
                    format,
                    sound.spec().rate(),
                    sound.spec().channels().count(),
                    &samples,
                )?;
            }
            // Players go on with the next packet, and so do we.
            Err(fault @ (Fault::DecodeError(_) | Fault::IoError(_))) => broken = Some(fault),
            Err(fault) => return Err(explain(format, &fault)),
        }
    }
    match (output.finish()?, broken) {
        (true, _) => Ok(()),
        (false, Some(fault)) => Err(explain(format, &fault)),
        (false, None) => Err(Error::Empty),
    }
}

fn explain(format: Format, fault: &Fault) -> Error {
    match fault {
        Fault::Unsupported(what) => Error::Unsupported(format, (*what).into()),
        other => Error::Damaged(format, other.to_string()),
    }
}

/// Symphonia's decoders, and libopus for what Symphonia has no decoder of its own for.
fn decoder(
    format: Format,
    parameters: &AudioCodecParameters,
) -> Result<Box<dyn AudioDecoder>, Error> {
    static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
        let mut codecs = CodecRegistry::new();
        symphonia::default::register_enabled_codecs(&mut codecs);
        codecs.register_audio_decoder::<OpusDecoder>();
        codecs
    });
    let unsupported = |reason: &str| Err(Error::Unsupported(format, reason.into()));
    if parameters
        .channels
        .as_ref()
        .is_some_and(|channels| channels.count() > MAX_CHANNELS)
    {
        return unsupported("it has too many channels");
    }
    if parameters
        .max_frames_per_packet
        .is_some_and(|frames| frames > MAX_PACKET_SAMPLES)
    {
        return unsupported("its packets are too long");
    }
    if demux::encoding(parameters.codec).is_none() {
        return unsupported("its codec is unknown");
    }
    CODECS
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|fault| explain(format, &fault))
}

/// Where the samples go: mixed, resampled, counted.
struct Output<'o> {
    out: &'o mut Vec<u8>,
    /// Bytes that `out` may have.
    most: usize,
    longest: Duration,
    resampler: Option<To16k>,
    mixed: Vec<f32>,
}

impl<'o> Output<'o> {
    fn new(out: &'o mut Vec<u8>, longest: Duration) -> Self {
        let samples = longest.as_millis().saturating_mul(u128::from(RATE)) / 1000;
        let most = usize::try_from(samples.saturating_mul(2))
            .unwrap_or(usize::MAX)
            .saturating_add(out.len());
        Self {
            out,
            most,
            longest,
            resampler: None,
            mixed: Vec::new(),
        }
    }

    fn push(
        &mut self,
        format: Format,
        rate: u32,
        channels: usize,
        interleaved: &[f32],
    ) -> Result<(), Error> {
        if interleaved.is_empty() || channels == 0 {
            return Ok(());
        }
        let mut resampler = match self.resampler.take() {
            Some(resampler) if resampler.rate() == rate => resampler,
            Some(_) => {
                return Err(Error::Unsupported(
                    format,
                    "its sample rate changes midway".into(),
                ));
            }
            None => To16k::new(rate).ok_or_else(|| {
                Error::Unsupported(format, format!("its sample rate is {rate} Hz"))
            })?,
        };
        let mut mixed = std::mem::take(&mut self.mixed);
        mixed.clear();
        #[expect(clippy::cast_precision_loss, reason = "at most 32 channels")]
        let share = 1.0 / channels as f32;
        // Floating point files may hold what is no number, or so much that filters go beyond all numbers.
        let sane = |sum: f32| {
            if sum.is_finite() {
                sum.clamp(-LOUDEST, LOUDEST)
            } else {
                0.0
            }
        };
        mixed.extend(
            interleaved
                .chunks_exact(channels)
                .map(|frame| sane(frame.iter().sum::<f32>() * share)),
        );
        let pushed = resampler.push(&mixed, |ready| self.samples(ready));
        self.mixed = mixed;
        self.resampler = Some(resampler);
        pushed
    }

    /// Writes what the resampler still holds, and tells whether there was any sound.
    fn finish(&mut self) -> Result<bool, Error> {
        let Some(resampler) = self.resampler.take() else {
            return Ok(false);
        };
        resampler.finish(|ready| self.samples(ready))?;
        Ok(true)
    }

    fn samples(&mut self, samples: &[f32]) -> Result<(), Error> {
        if self.out.len() + 2 * samples.len() > self.most {
            return Err(Error::TooLong(self.longest));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "casts of floats saturate, and NaN becomes silence"
        )]
        let rounded = samples
            .iter()
            .map(|sample| (sample * 32_768.0).round() as i16);
        self.out.extend(rounded.flat_map(i16::to_le_bytes));
        Ok(())
    }
}
