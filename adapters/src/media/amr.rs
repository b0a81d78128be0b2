//! AMR files: a magic line, then frames of 20 ms whose first byte tells their length.

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::{Encoding, Format, Media};

/// Frames per second, in both bands.
const RATE: u64 = 50;
/// More than 11 days.
const MAX_FRAMES: u64 = 50_000_000;

/// Body bytes that follow the first byte of a frame, by frame type; reserved types have none.
const NARROW: [u8; 16] = [12, 13, 15, 17, 19, 20, 26, 31, 5, 0, 0, 0, 0, 0, 0, 0];
const WIDE: [u8; 16] = [17, 23, 32, 36, 40, 46, 50, 58, 60, 5, 0, 0, 0, 0, 0, 0];

/// What the file is. With `whole`, every frame is visited; otherwise the rate of the first frame stands for all.
pub(super) fn media(reader: impl Read + Seek, format: Format, total: u64, whole: bool) -> Media {
    let wide = format == Format::AmrWb;
    let (magic, bodies) = if wide { (9, WIDE) } else { (6, NARROW) };
    let mut reader = BufReader::new(reader);
    let left = total.saturating_sub(magic);
    let frames = reader.seek(SeekFrom::Start(magic)).ok().and_then(|_| {
        if whole {
            return Some(count(&mut reader, bodies, left));
        }
        let mut first = [0];
        reader.read_exact(&mut first).ok()?;
        Some(left / length(first, bodies))
    });
    Media {
        format: Some(format),
        duration: frames.and_then(|frames| super::ratio(frames, RATE)),
        sample_rate: Some(if wide { 16_000 } else { 8_000 }),
        channels: Some(1),
        encoding: Some(if wide {
            Encoding::AmrWb
        } else {
            Encoding::AmrNb
        }),
    }
}

fn count(reader: &mut BufReader<impl Read + Seek>, bodies: [u8; 16], mut left: u64) -> u64 {
    let mut frames = 0;
    let mut first = [0];
    while frames < MAX_FRAMES && reader.read_exact(&mut first).is_ok() {
        let length = length(first, bodies);
        let Some(rest) = left.checked_sub(length) else {
            break;
        };
        left = rest;
        frames += 1;
        if reader.seek_relative(length.cast_signed() - 1).is_err() {
            break;
        }
    }
    frames
}

/// Bytes of the whole frame that starts with this byte.
fn length([first]: [u8; 1], bodies: [u8; 16]) -> u64 {
    let body = bodies
        .get(usize::from(first >> 3 & 0x0f))
        .copied()
        .unwrap_or_default();
    1 + u64::from(body)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn frames_of_changing_length_are_counted_one_by_one() {
        let mut bytes = b"#!AMR\n".to_vec();
        for (kind, body) in [(7, 31), (8, 5), (15, 0), (0, 12)].repeat(25) {
            bytes.push(kind << 3 | 4);
            bytes.resize(bytes.len() + body, 0xaa);
        }
        bytes.extend([7 << 3 | 4, 1, 2]); // A frame that was cut off does not count.
        let media = media(Cursor::new(&bytes), Format::Amr, bytes.len() as u64, true);
        assert_eq!(media.duration, Some(2.0));
        assert_eq!((media.sample_rate, media.channels), (Some(8_000), Some(1)));
    }

    #[test]
    fn the_first_frame_stands_for_those_not_seen() {
        let mut head = b"#!AMR-WB\n".to_vec();
        head.extend([8 << 3 | 4, 1, 2, 3]);
        let media = media(Cursor::new(&head), Format::AmrWb, 9 + 61 * 500, false);
        assert_eq!(media.duration, Some(10.0));
        assert_eq!(media.encoding, Some(Encoding::AmrWb));
    }
}
