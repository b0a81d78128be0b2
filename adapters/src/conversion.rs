//! Recordings as the vendors want them that take one encoding only: 16-bit samples, one channel, 16 kHz.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    blob::{Blob, Memory},
    failure::{Failure, Kind},
    media::{Encoding, Format, Media, pcm},
};

/// Samples a second of every conversion.
const RATE: u32 = 16_000;
/// Bytes a second: two for a sample.
const BYTES: f64 = 32_000.0;

/// What a recording is made into before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// A WAVE file.
    Wav,
    /// The samples alone.
    Pcm,
}

impl Conversion {
    /// Every conversion, by the word that manifests use.
    pub(crate) const NAMED: [(&'static str, Self); 2] =
        [("wav_16k_mono", Self::Wav), ("pcm_16k_mono", Self::Pcm)];

    /// Converts a recording of at most `longest`. Decodes and may read a file: not for threads that serve requests.
    ///
    /// What cannot be decoded here is a gap of this vendor alone: one that takes the recording as it is may do better.
    pub(crate) fn of(self, blob: &Blob, longest: Duration) -> Result<Blob, Failure> {
        if self == Self::Wav && is_wav_already(blob.media()) {
            return Ok(blob.clone());
        }
        let unreadable = |_| Failure::new(Kind::Internal, "the recording cannot be read");
        let content = blob.to_bytes().map_err(unreadable)?;
        let (format, ending, header) = match self {
            Self::Wav => (Some(Format::Wav), "wav", pcm::WAV_HEADER),
            Self::Pcm => (None, "pcm", 0),
        };
        let converted = match self {
            Self::Wav => pcm::to_wav_16k_mono(&content, longest),
            Self::Pcm => pcm::to_raw_16k_mono(&content, longest),
        };
        let converted = Bytes::from(converted.map_err(|error| refused(&error))?);
        #[expect(
            clippy::cast_precision_loss,
            reason = "recordings are far shorter than 2^53 bytes"
        )]
        let seconds = converted.len().saturating_sub(header) as f64 / BYTES;
        let media = Media {
            format,
            duration: Some(seconds),
            sample_rate: Some(RATE),
            channels: Some(1),
            encoding: Some(Encoding::PcmS16le),
        };
        let media_type = if self == Self::Wav {
            "audio/wav"
        } else {
            "audio/pcm"
        };
        let name = blob
            .name()
            .rsplit_once('.')
            .map_or(blob.name(), |(name, _)| name);
        let name = format!("{}.{ending}", if name.is_empty() { "audio" } else { name });
        Blob::new(
            Box::new(Memory(vec![converted])),
            media,
            media_type.to_owned(),
            name,
        )
        .map_err(unreadable)
    }
}

fn is_wav_already(media: &Media) -> bool {
    media.format == Some(Format::Wav)
        && media.encoding == Some(Encoding::PcmS16le)
        && media.sample_rate == Some(RATE)
        && media.channels == Some(1)
}

fn refused(error: &pcm::Error) -> Failure {
    let kind = match error {
        pcm::Error::TooLong(_) => Kind::TooLarge,
        pcm::Error::Unknown
        | pcm::Error::Unsupported(..)
        | pcm::Error::Damaged(..)
        | pcm::Error::Empty => Kind::Unsupported,
    };
    Failure::new(kind, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_mins(1);

    fn fixture(name: &str) -> Blob {
        let path = format!(
            "{}/../tests/fixtures/audio/{name}",
            env!("CARGO_MANIFEST_DIR")
        );
        Blob::of_bytes(std::fs::read(path).unwrap().into(), name)
    }

    #[test]
    fn any_recording_becomes_what_the_vendor_takes() {
        for name in [
            "tone_vbr_stereo.mp3",
            "tone_s24_stereo.wav",
            "tone_opus.webm",
            "tone.flac",
            "tone_aac.m4a",
        ] {
            let given = fixture(name);
            let seconds = given.media().duration.unwrap();
            let wav = Conversion::Wav.of(&given, LONGEST).unwrap();
            let probed = crate::media::probe(&wav.to_bytes().unwrap(), wav.length());
            assert_eq!(
                (probed.sample_rate, probed.channels, probed.encoding),
                (Some(16_000), Some(1), Some(Encoding::PcmS16le)),
                "{name}"
            );
            assert!(
                (probed.duration.unwrap() - seconds).abs() < 0.1
                    && (wav.media().duration.unwrap() - seconds).abs() < 0.1,
                "{name}"
            );
            assert_eq!(wav.name().rsplit_once('.').unwrap().1, "wav");
            let raw = Conversion::Pcm.of(&given, LONGEST).unwrap();
            assert_eq!(
                raw.to_bytes().unwrap(),
                wav.to_bytes().unwrap().slice(pcm::WAV_HEADER..),
                "{name}"
            );
            assert_eq!(
                (raw.media().format, raw.media().sample_rate),
                (None, Some(16_000))
            );
        }
    }

    #[test]
    fn what_is_right_already_is_left_alone() {
        let right = Conversion::Wav.of(&fixture("tone.flac"), LONGEST).unwrap();
        let again = Blob::of_bytes(right.to_bytes().unwrap(), "said.wav");
        assert_eq!(
            Conversion::Wav.of(&again, LONGEST).unwrap().name(),
            "said.wav"
        );
        assert_eq!(
            Conversion::Wav.of(&again, LONGEST).unwrap().digest(),
            right.digest()
        );
    }

    #[test]
    fn what_cannot_be_converted_is_a_gap_of_this_vendor() {
        for (blob, longest, kind) in [
            (
                Blob::of_bytes(Bytes::from_static(b"no recording"), "x.wav"),
                LONGEST,
                Kind::Unsupported,
            ),
            (fixture("tone.amr"), LONGEST, Kind::Unsupported),
            (
                fixture("tone.flac"),
                Duration::from_millis(100),
                Kind::TooLarge,
            ),
        ] {
            assert_eq!(Conversion::Pcm.of(&blob, longest).unwrap_err().kind, kind);
        }
    }
}
