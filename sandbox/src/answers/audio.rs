//! What can be told of a recording without listening to it.

/// A recording's container, length and, for WAV, its samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Audio<'a> {
    /// Container, by its first bytes: `wav`, `mp3`, `flac`, `ogg`, `webm` or `mp4`.
    pub(crate) format: &'static str,
    /// Seconds. From the header for WAV; otherwise estimated at 128 kbit/s.
    pub(crate) duration: f64,
    /// Samples per second; 0 if unknown.
    pub(crate) rate: u32,
    /// Channels; 1 if unknown.
    pub(crate) channels: u16,
    /// Samples as stored, for WAV; everything otherwise.
    pub(crate) samples: &'a [u8],
    /// Nothing but zeros.
    pub(crate) silent: bool,
}

/// Why bytes are not a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// There are none.
    Empty,
    /// They are no container known here, or a WAV without format or samples.
    Unknown,
}

/// Looks at the container.
pub(crate) fn probe(bytes: &[u8]) -> Result<Audio<'_>, Unreadable> {
    if bytes.is_empty() {
        return Err(Unreadable::Empty);
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WAVE") {
        return wav(bytes).ok_or(Unreadable::Unknown);
    }
    let frame = |two: &[u8]| matches!(two, [0xff, second] if second & 0xe0 == 0xe0);
    let format = match bytes {
        _ if bytes.starts_with(b"fLaC") => "flac",
        _ if bytes.starts_with(b"OggS") => "ogg",
        _ if bytes.starts_with(b"ID3") || bytes.get(..2).is_some_and(frame) => "mp3",
        _ if bytes.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) => "webm",
        _ if bytes.get(4..8) == Some(b"ftyp") => "mp4",
        _ => return Err(Unreadable::Unknown),
    };
    Ok(Audio {
        format,
        duration: rounded(as_f64(bytes.len()) / 16_000.0),
        rate: 0,
        channels: 1,
        samples: bytes,
        silent: false,
    })
}

/// Looks at bytes that the caller says are of that kind: a container or codec by its usual name, or `pcm` at this rate.
pub(crate) fn named<'a>(bytes: &'a [u8], kind: &str, rate: u32) -> Result<Audio<'a>, Unreadable> {
    let container = match kind {
        "pcm" => return pcm(bytes, rate),
        "amr" => return coded(bytes, "amr", b"#!AMR"),
        "silk" => return coded(bytes, "silk", b"#!SILK"),
        "speex" | "ogg-opus" => "ogg",
        "m4a" | "3gp" => "mp4",
        // Its frames begin as those of MP3 do.
        "aac" => "mp3",
        kind => kind,
    };
    let audio = probe(bytes)?;
    if audio.format == container {
        Ok(audio)
    } else {
        Err(Unreadable::Unknown)
    }
}

/// Speech codecs at about 12 kbit/s, known by their first bytes.
fn coded<'a>(bytes: &'a [u8], format: &'static str, head: &[u8]) -> Result<Audio<'a>, Unreadable> {
    if bytes.is_empty() {
        return Err(Unreadable::Empty);
    }
    // Silk files may have one byte before their name.
    if !bytes.starts_with(head) && bytes.get(1..=head.len()) != Some(head) {
        return Err(Unreadable::Unknown);
    }
    Ok(Audio {
        format,
        duration: rounded(as_f64(bytes.len()) / 1500.0),
        rate: 0,
        channels: 1,
        samples: bytes,
        silent: false,
    })
}

/// Bare 16-bit samples of one channel.
pub(crate) fn pcm(bytes: &[u8], rate: u32) -> Result<Audio<'_>, Unreadable> {
    if bytes.is_empty() || rate == 0 {
        return Err(Unreadable::Empty);
    }
    Ok(Audio {
        format: "pcm",
        duration: rounded(as_f64(bytes.len()) / f64::from(rate) / 2.0),
        rate,
        channels: 1,
        samples: bytes,
        silent: bytes.iter().all(|byte| *byte == 0),
    })
}

fn wav(bytes: &[u8]) -> Option<Audio<'_>> {
    let mut at = 12;
    let mut format: Option<(u16, u32, u32)> = None;
    while let Some(head) = bytes.get(at..at + 8) {
        let size = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?);
        let size = usize::try_from(size).ok()?;
        let content = at + 8;
        if head.starts_with(b"fmt ") {
            let word = |offset: usize| {
                Some(u16::from_le_bytes(
                    bytes
                        .get(content + offset..content + offset + 2)?
                        .try_into()
                        .ok()?,
                ))
            };
            let long = |offset: usize| {
                Some(u32::from_le_bytes(
                    bytes
                        .get(content + offset..content + offset + 4)?
                        .try_into()
                        .ok()?,
                ))
            };
            format = Some((word(2)?, long(4)?, long(8)?));
        }
        if head.starts_with(b"data") {
            let (channels, rate, per_second) = format?;
            // Streamed files carry no true size here.
            let end = content.saturating_add(size).min(bytes.len());
            let samples = bytes.get(content..end)?;
            if channels == 0 || rate == 0 || per_second == 0 || samples.is_empty() {
                return None;
            }
            return Some(Audio {
                format: "wav",
                duration: rounded(as_f64(samples.len()) / f64::from(per_second)),
                rate,
                channels,
                samples,
                silent: samples.iter().all(|byte| *byte == 0),
            });
        }
        at = content.checked_add(size)?.checked_add(size % 2)?;
    }
    None
}

/// Three decimals.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
pub(crate) fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wav_has_its_real_length() {
        let bytes = include_bytes!("../../fixtures/weather.wav");
        let audio = probe(bytes).unwrap();
        assert_eq!(
            (audio.format, audio.rate, audio.channels),
            ("wav", 16_000, 1)
        );
        assert!((audio.duration - 4.185).abs() < 1e-9, "{}", audio.duration);
        assert!(!audio.silent);
        let bare = pcm(audio.samples, 16_000).unwrap();
        assert!((bare.duration - audio.duration).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_recording_is_told_apart() {
        assert_eq!(probe(b""), Err(Unreadable::Empty));
        assert_eq!(probe(b"hello, this is text"), Err(Unreadable::Unknown));
        assert_eq!(probe(b"RIFF\0\0\0\0WAVE"), Err(Unreadable::Unknown));
        assert_eq!(
            probe(b"RIFF\0\0\0\0WAVEdata\xff\xff\xff\xff12"),
            Err(Unreadable::Unknown)
        );
        assert_eq!(probe(b"ID3 and so on").unwrap().format, "mp3");
        assert_eq!(probe(b"OggS and so on").unwrap().format, "ogg");
        assert_eq!(
            named(b"#!AMR\n and so on", "amr", 8000).unwrap().format,
            "amr"
        );
        assert_eq!(named(b"\x02#!SILK_V3", "silk", 0).unwrap().format, "silk");
        assert_eq!(named(b"OggS and so on", "wav", 0), Err(Unreadable::Unknown));
        assert_eq!(named(b"OggS and so on", "amr", 0), Err(Unreadable::Unknown));
        assert_eq!(named(b"", "pcm", 16_000), Err(Unreadable::Empty));
    }
}
