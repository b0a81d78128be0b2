//! The containers and codecs that recordings come in, and how a container is told from its first bytes.

/// A container: what the file is, whatever codec is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// RIFF (or RF64) WAVE.
    Wav,
    /// MPEG audio, layer III.
    Mp3,
    /// Native FLAC.
    Flac,
    /// Ogg; [`Encoding`] says whether Opus, Vorbis or FLAC is inside.
    Ogg,
    /// Matroska with the document type `webm`.
    Webm,
    /// Any other Matroska.
    Mkv,
    /// ISO base media (MPEG-4).
    Mp4,
    /// ISO base media whose brand says that it holds audio only.
    M4a,
    /// Apple `QuickTime`.
    Mov,
    /// 3GPP or 3GPP2 phone recording.
    ThreeGp,
    /// AAC in ADTS frames.
    Aac,
    /// Adaptive multi-rate, narrow band (8 kHz).
    Amr,
    /// Adaptive multi-rate, wide band (16 kHz).
    AmrWb,
    /// AIFF or AIFF-C.
    Aiff,
}

impl Format {
    /// Every format, in the order in which they are listed to people.
    pub const ALL: [Self; 14] = [
        Self::Wav,
        Self::Mp3,
        Self::Flac,
        Self::Ogg,
        Self::Webm,
        Self::Mp4,
        Self::M4a,
        Self::Aac,
        Self::Amr,
        Self::AmrWb,
        Self::Mkv,
        Self::Mov,
        Self::ThreeGp,
        Self::Aiff,
    ];

    /// The word that manifests, messages and metrics use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Mp3 => "mp3",
            Self::Flac => "flac",
            Self::Ogg => "ogg",
            Self::Webm => "webm",
            Self::Mkv => "mkv",
            Self::Mp4 => "mp4",
            Self::M4a => "m4a",
            Self::Mov => "mov",
            Self::ThreeGp => "3gp",
            Self::Aac => "aac",
            Self::Amr => "amr",
            Self::AmrWb => "amr-wb",
            Self::Aiff => "aiff",
        }
    }

    /// The format whose [`name`](Self::name) this is.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// What to write into `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Mp3 => "audio/mpeg",
            Self::Flac => "audio/flac",
            Self::Ogg => "audio/ogg",
            Self::Webm => "audio/webm",
            Self::Mkv => "video/x-matroska",
            Self::Mp4 | Self::M4a => "audio/mp4",
            Self::Mov => "video/quicktime",
            Self::ThreeGp => "audio/3gpp",
            Self::Aac => "audio/aac",
            Self::Amr => "audio/amr",
            Self::AmrWb => "audio/amr-wb",
            Self::Aiff => "audio/aiff",
        }
    }

    /// The ending of a file name, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::AmrWb => "awb",
            other => other.name(),
        }
    }
}

/// A codec: how the samples are written inside the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Unsigned 8-bit samples.
    PcmU8,
    /// Signed 8-bit samples.
    PcmS8,
    /// Signed 16-bit samples, little endian.
    PcmS16le,
    /// Signed 16-bit samples, big endian.
    PcmS16be,
    /// Signed 24-bit samples, little endian.
    PcmS24le,
    /// Signed 24-bit samples, big endian.
    PcmS24be,
    /// Signed 32-bit samples, little endian.
    PcmS32le,
    /// Signed 32-bit samples, big endian.
    PcmS32be,
    /// 32-bit floating point, little endian.
    PcmF32le,
    /// 32-bit floating point, big endian.
    PcmF32be,
    /// 64-bit floating point, little endian.
    PcmF64le,
    /// 64-bit floating point, big endian.
    PcmF64be,
    /// G.711 µ-law.
    Mulaw,
    /// G.711 A-law.
    Alaw,
    /// Microsoft's ADPCM.
    AdpcmMs,
    /// IMA ADPCM in blocks as WAVE has them.
    AdpcmIma,
    /// MPEG audio, layer III.
    Mp3,
    /// FLAC.
    Flac,
    /// Apple Lossless.
    Alac,
    /// Advanced Audio Coding.
    Aac,
    /// Opus.
    Opus,
    /// Vorbis.
    Vorbis,
    /// Adaptive multi-rate, narrow band.
    AmrNb,
    /// Adaptive multi-rate, wide band.
    AmrWb,
}

impl Encoding {
    /// The word that manifests and messages use.
    pub fn name(self) -> &'static str {
        match self {
            Self::PcmU8 => "pcm_u8",
            Self::PcmS8 => "pcm_s8",
            Self::PcmS16le => "pcm_s16le",
            Self::PcmS16be => "pcm_s16be",
            Self::PcmS24le => "pcm_s24le",
            Self::PcmS24be => "pcm_s24be",
            Self::PcmS32le => "pcm_s32le",
            Self::PcmS32be => "pcm_s32be",
            Self::PcmF32le => "pcm_f32le",
            Self::PcmF32be => "pcm_f32be",
            Self::PcmF64le => "pcm_f64le",
            Self::PcmF64be => "pcm_f64be",
            Self::Mulaw => "mulaw",
            Self::Alaw => "alaw",
            Self::AdpcmMs => "adpcm_ms",
            Self::AdpcmIma => "adpcm_ima",
            Self::Mp3 => "mp3",
            Self::Flac => "flac",
            Self::Alac => "alac",
            Self::Aac => "aac",
            Self::Opus => "opus",
            Self::Vorbis => "vorbis",
            Self::AmrNb => "amr_nb",
            Self::AmrWb => "amr_wb",
        }
    }
}

/// What a file that starts with `head` is, as far as its content tells. An ID3 tag must have been skipped.
pub(super) fn sniff(head: &[u8]) -> Option<Format> {
    let at = |from: usize, len: usize| head.get(from..from + len).unwrap_or_default();
    match (at(0, 4), at(8, 4)) {
        (b"RIFF" | b"RF64", b"WAVE") => return Some(Format::Wav),
        (b"FORM", b"AIFF" | b"AIFC") => return Some(Format::Aiff),
        (b"fLaC", _) => return Some(Format::Flac),
        (b"OggS", _) => return Some(Format::Ogg),
        ([0x1a, 0x45, 0xdf, 0xa3], _) => return matroska(head),
        _ => {}
    }
    if at(4, 4) == b"ftyp" {
        return Some(iso(at(8, 4)));
    }
    if at(0, 6) == b"#!AMR\n" {
        return Some(Format::Amr);
    }
    if at(0, 9) == b"#!AMR-WB\n" {
        return Some(Format::AmrWb);
    }
    // A recording cut out of a stream may begin in the middle of a frame.
    (0..head.len().min(MAX_LEADING_JUNK)).find_map(|start| frames(head.get(start..)?, start == 0))
}

/// Length in bytes of the `ID3v2` tag that `head` starts with; 0 if there is none.
pub(super) fn id3_length(head: &[u8]) -> u64 {
    let Some([b'I', b'D', b'3', _, _, flags, a, b, c, d]) = head.first_chunk::<10>() else {
        return 0;
    };
    if [a, b, c, d].into_iter().any(|byte| *byte > 0x7f) {
        return 0;
    }
    let size = [a, b, c, d]
        .into_iter()
        .fold(0, |size, byte| size << 7 | u64::from(*byte));
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    10 + size + footer
}

/// How far into a file the first whole MPEG or ADTS frame may be.
const MAX_LEADING_JUNK: usize = 4 * 1024;
/// Frames that must follow one another for bytes to be taken for MPEG or ADTS.
const FRAMES_IN_A_ROW: usize = 3;

fn matroska(head: &[u8]) -> Option<Format> {
    const DOC_TYPE: &[u8] = &[0x42, 0x82];
    let head = head.get(..head.len().min(128))?;
    let at = head.windows(2).position(|window| window == DOC_TYPE)?;
    let value = head.get(at + 3..)?;
    if value.starts_with(b"webm") {
        Some(Format::Webm)
    } else if value.starts_with(b"matroska") {
        Some(Format::Mkv)
    } else {
        None
    }
}

fn iso(brand: &[u8]) -> Format {
    match brand {
        b"M4A " | b"M4B " | b"M4P " => Format::M4a,
        b"qt  " => Format::Mov,
        [b'3', b'g', ..] => Format::ThreeGp,
        _ => Format::Mp4,
    }
}

/// MPEG audio and ADTS have no magic number but a header before every frame, so several in a row must fit. Fewer do
/// only where the file ends early and nothing comes before them.
fn frames(bytes: &[u8], at_start: bool) -> Option<Format> {
    let (first, mut length) = frame(bytes)?;
    let mut rest = bytes.get(length..);
    for _ in 1..FRAMES_IN_A_ROW {
        match rest {
            Some(next) if next.len() >= 7 => {
                let (same, next_length) = frame(next)?;
                if same != first {
                    return None;
                }
                length = next_length;
                rest = next.get(length..);
            }
            _ => return at_start.then_some(first),
        }
    }
    Some(first)
}

/// The format and length in bytes of the frame whose header these bytes are.
fn frame(bytes: &[u8]) -> Option<(Format, usize)> {
    let [0xff, b1, b2, b3, b4, b5, ..] = *bytes else {
        return None;
    };
    // ADTS: twelve bits of sync and layer 0; the length stands in thirteen bits.
    if b1 & 0xf6 == 0xf0 {
        let length = usize::from(b3 & 0x03) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
        let known_rate = (b2 >> 2) & 0x0f < 13;
        return (known_rate && length >= 7).then_some((Format::Aac, length));
    }
    let mpeg1 = match (b1 & 0xe0, (b1 >> 3) & 0x03, (b1 >> 1) & 0x03) {
        (0xe0, 3, 1) => true,
        (0xe0, 0 | 2, 1) => false,
        _ => return None,
    };
    let quarter = b1 & 0x18 == 0;
    let kbits: [usize; 15] = if mpeg1 {
        [
            0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
        ]
    } else {
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
    };
    let bits_per_second = 1000
        * kbits
            .get(usize::from(b2 >> 4))
            .filter(|kbits| **kbits > 0)?;
    let rate = [44_100, 48_000, 32_000].get(usize::from(b2 >> 2 & 0x03))?
        / if quarter { 4 } else { 2 - usize::from(mpeg1) };
    let padding = usize::from(b2 >> 1 & 0x01);
    let samples_by_eight = if mpeg1 { 144 } else { 72 };
    Some((
        Format::Mp3,
        samples_by_eight * bits_per_second / rate + padding,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_its_own_name_and_is_found_by_it() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
            assert!(format.media_type().contains('/'));
            assert!(!format.extension().contains('.'));
        }
        assert_eq!(Format::from_name("WAV"), None);
    }

    #[test]
    fn magic_numbers_are_recognised() {
        let cases: [(&[u8], Option<Format>); 17] = [
            (b"RIFF\0\0\0\0WAVEfmt ", Some(Format::Wav)),
            (b"RF64\xff\xff\xff\xffWAVEds64", Some(Format::Wav)),
            (b"RIFF\0\0\0\0AVI LIST", None),
            (b"FORM\0\0\0\0AIFC", Some(Format::Aiff)),
            (b"fLaC\0\0\0\x22", Some(Format::Flac)),
            (b"OggS\0\x02", Some(Format::Ogg)),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", Some(Format::Webm)),
            (
                b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska",
                Some(Format::Mkv),
            ),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84else", None),
            (b"\0\0\0\x1cftypM4A \0\0\x02\0", Some(Format::M4a)),
            (b"\0\0\0\x1cftypisom\0\0\x02\0", Some(Format::Mp4)),
            (b"\0\0\0\x14ftypqt  ", Some(Format::Mov)),
            (b"\0\0\0\x14ftyp3gp4", Some(Format::ThreeGp)),
            (b"#!AMR\n\x3c", Some(Format::Amr)),
            (b"#!AMR-WB\n\x3c", Some(Format::AmrWb)),
            (b"<!doctype html><p>not a recording", None),
            (b"", None),
        ];
        for (head, expected) in cases {
            assert_eq!(sniff(head), expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn one_mpeg_header_among_other_bytes_is_not_enough() {
        let mut bytes = vec![0x20; 2000];
        bytes[700..704].copy_from_slice(&[0xff, 0xfb, 0x90, 0x00]);
        assert_eq!(sniff(&bytes), None);
        bytes.drain(..700);
        assert_eq!(sniff(&bytes), None, "the next frame is missing");
    }

    #[test]
    fn an_mpeg_stream_cut_in_the_middle_of_a_frame_is_recognised() {
        let mut bytes = vec![0x55; 300];
        for _ in 0..4 {
            bytes.extend([0xff, 0xfb, 0x90, 0x00]);
            bytes.resize(bytes.len() + 413, 0);
        }
        assert_eq!(sniff(&bytes), Some(Format::Mp3));
    }

    #[test]
    fn an_id3_tag_is_as_long_as_it_says() {
        assert_eq!(id3_length(b"ID3\x04\0\0\0\0\x02\x01rest"), 10 + 257);
        assert_eq!(id3_length(b"ID3\x04\0\x10\0\0\0\x01rest"), 10 + 1 + 10);
        assert_eq!(id3_length(b"ID3\x04\0\0\xff\0\0\x01rest"), 0);
        assert_eq!(id3_length(b"ID3"), 0);
    }
}
