//! WAVE headers. Recorders write them before they know how much will follow, so the sizes in them are only claims.

use std::io::{Read, Seek, SeekFrom};

use super::{Encoding, Format, Media};

/// What the header says, and where the samples really are.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Header {
    encoding: Option<Encoding>,
    channels: u16,
    sample_rate: u32,
    bytes_per_second: u32,
    block_align: u16,
    /// Of a compressed block; 0 if the header does not tell.
    samples_per_block: u16,
    /// First byte of the samples; `None` if the header was not seen to its end.
    pub(super) data: Option<u64>,
    /// Length of the samples in bytes, never more than there are.
    pub(super) data_len: u64,
    /// Whether the header names exactly this length.
    pub(super) honest: bool,
}

/// Real files have a handful of chunks before the samples.
const MAX_CHUNKS: usize = 256;

/// Most bytes of a `fmt ` chunk that are looked at.
const FMT: u32 = 40;

/// Reads the header of a file of `total` bytes, as far as `reader` has it. Whatever is missing or odd stays empty.
pub(super) fn header(mut reader: impl Read + Seek, total: u64) -> Header {
    let mut header = Header::default();
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let mut chunk = [0; 8];
        if reader.seek(SeekFrom::Start(at)).is_err() || reader.read_exact(&mut chunk).is_err() {
            break;
        }
        let [a, b, c, d, size @ ..] = chunk;
        let size = u32::from_le_bytes(size);
        match &[a, b, c, d] {
            b"fmt " => {
                let mut body = Vec::with_capacity(FMT as usize);
                if reader
                    .by_ref()
                    .take(u64::from(size.min(FMT)))
                    .read_to_end(&mut body)
                    .is_err()
                {
                    break;
                }
                header.format(&body);
            }
            b"data" => {
                let left = total.saturating_sub(at + 8);
                let unknown = size == 0 || size == u32::MAX;
                header.data = Some(at + 8);
                header.data_len = if unknown { left } else { left.min(size.into()) };
                header.honest = u64::from(size) == header.data_len;
                break;
            }
            _ => {}
        }
        at += 8 + u64::from(size) + u64::from(size & 1);
    }
    header
}

impl Header {
    /// Takes in the body of the `fmt ` chunk.
    fn format(&mut self, body: &[u8]) {
        let u16_at = |at: usize| {
            body.get(at..at + 2)?
                .try_into()
                .ok()
                .map(u16::from_le_bytes)
        };
        let u32_at = |at: usize| {
            body.get(at..at + 4)?
                .try_into()
                .ok()
                .map(u32::from_le_bytes)
        };
        // 0xfffe: the real tag is the start of the identifier in the extension.
        let tag = match u16_at(0) {
            Some(0xfffe) => u16_at(24),
            tag => tag,
        };
        self.channels = u16_at(2).unwrap_or_default();
        self.sample_rate = u32_at(4).unwrap_or_default();
        self.bytes_per_second = u32_at(8).unwrap_or_default();
        self.block_align = u16_at(12).unwrap_or_default();
        self.samples_per_block = u16_at(18).unwrap_or_default();
        let sample_bytes = self.block_align.checked_div(self.channels);
        self.encoding = match (tag, sample_bytes) {
            (Some(1), Some(1)) => Some(Encoding::PcmU8),
            (Some(1), Some(2)) => Some(Encoding::PcmS16le),
            (Some(1), Some(3)) => Some(Encoding::PcmS24le),
            (Some(1), Some(4)) => Some(Encoding::PcmS32le),
            (Some(3), Some(4)) => Some(Encoding::PcmF32le),
            (Some(3), Some(8)) => Some(Encoding::PcmF64le),
            (Some(2), _) => Some(Encoding::AdpcmMs),
            (Some(6), _) => Some(Encoding::Alaw),
            (Some(7), _) => Some(Encoding::Mulaw),
            (Some(0x11), _) => Some(Encoding::AdpcmIma),
            (Some(0x55), _) => Some(Encoding::Mp3),
            _ => None,
        };
    }

    /// Seconds of sound, from the rate that the header states.
    fn duration(&self) -> Option<f64> {
        self.data?;
        let (len, rate, align) = (
            self.data_len,
            u64::from(self.sample_rate),
            u64::from(self.block_align),
        );
        match self.encoding {
            Some(Encoding::AdpcmMs | Encoding::AdpcmIma) => {
                let blocks = len.checked_div(align)?;
                super::ratio(blocks * u64::from(self.samples_per_block), rate)
            }
            Some(Encoding::Mp3) | None => super::ratio(len, self.bytes_per_second.into()),
            Some(_) => super::ratio(len, rate * align),
        }
    }

    pub(super) fn media(&self) -> Media {
        Media {
            format: Some(Format::Wav),
            duration: self.duration(),
            sample_rate: Some(self.sample_rate).filter(|rate| *rate > 0),
            channels: Some(self.channels).filter(|channels| *channels > 0),
            encoding: self.encoding,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn file(fmt: &[u8], size: u32, samples: usize) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt ".to_vec();
        bytes.extend(u32::try_from(fmt.len()).unwrap().to_le_bytes());
        bytes.extend(fmt);
        bytes.extend(b"data");
        bytes.extend(size.to_le_bytes());
        bytes.resize(bytes.len() + samples, 0);
        bytes
    }

    /// 8 kHz, mono, 16 bits.
    const FMT: &[u8] = &[1, 0, 1, 0, 0x40, 0x1f, 0, 0, 0x80, 0x3e, 0, 0, 2, 0, 16, 0];

    #[test]
    fn sizes_are_believed_no_further_than_the_file_goes() {
        for (size, samples, seconds) in [
            (16_000, 16_000, 1.0),
            (16_000, 16_100, 1.0),
            (16_000, 8_000, 0.5),
            (u32::MAX, 8_000, 0.5),
            (0, 8_000, 0.5),
            (0, 0, 0.0),
        ] {
            let bytes = file(FMT, size, samples);
            let media = header(Cursor::new(&bytes), bytes.len() as u64).media();
            assert_eq!(
                media.duration,
                Some(seconds),
                "size {size}, {samples} bytes"
            );
            assert_eq!(media.encoding, Some(Encoding::PcmS16le));
        }
    }

    #[test]
    fn a_header_of_zeros_divides_by_nothing() {
        let bytes = file(&[0; 16], 100, 100);
        let media = header(Cursor::new(&bytes), bytes.len() as u64).media();
        assert_eq!(
            media,
            Media {
                format: Some(Format::Wav),
                ..Media::default()
            }
        );
    }

    #[test]
    fn chunks_of_no_length_do_not_hold_it_up() {
        let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
        bytes.extend(b"junk\0\0\0\0".repeat(100_000));
        assert_eq!(
            header(Cursor::new(&bytes), bytes.len() as u64),
            Header::default()
        );
    }
}
