//! Real recordings of every format, whole, cut short and damaged.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../../tests/fixtures/audio/", $name)).as_slice(),
        )
    };
}

type File = (&'static str, &'static [u8]);

const FILES: [File; 21] = [
    fixture!("tone.wav"),
    fixture!("tone_mulaw.wav"),
    fixture!("tone_adpcm.wav"),
    fixture!("tone_s24_stereo.wav"),
    fixture!("tone_f32_streamed.wav"),
    fixture!("tone.aiff"),
    fixture!("tone.flac"),
    fixture!("tone_cbr_id3.mp3"),
    fixture!("tone_vbr_stereo.mp3"),
    fixture!("tone_vbr_bare.mp3"),
    fixture!("tone_vorbis.ogg"),
    fixture!("tone_opus.ogg"),
    fixture!("two_tones_opus.ogg"),
    fixture!("tone_opus.webm"),
    fixture!("tone_live.webm"),
    fixture!("tone_aac.m4a"),
    fixture!("tone_aac.mp4"),
    fixture!("tone_frag.mp4"),
    fixture!("tone_alac.m4a"),
    fixture!("tone.aac"),
    fixture!("tone.amr"),
];

const MINUTE: Duration = Duration::from_mins(1);

fn file(name: &str) -> &'static [u8] {
    FILES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bytes)| *bytes)
        .expect("a fixture of this name")
}

fn describe(media: Media) -> String {
    let Media {
        format,
        duration,
        sample_rate,
        channels,
        encoding,
    } = media;
    let word = |known: Option<String>| known.unwrap_or_else(|| "?".into());
    [
        word(format.map(|format| format.name().into())),
        word(encoding.map(|encoding| encoding.name().into())),
        word(sample_rate.map(|rate| rate.to_string())),
        word(channels.map(|channels| channels.to_string())),
        word(duration.map(|seconds| format!("{seconds:.3}"))),
    ]
    .join(" ")
}

#[test]
fn whole_files_tell_everything() {
    let expected = [
        "tone.wav: wav pcm_s16le 8000 1 1.000",
        "tone_mulaw.wav: wav mulaw 8000 1 1.000",
        "tone_adpcm.wav: wav adpcm_ms 8000 1 0.255",
        "tone_s24_stereo.wav: wav pcm_s24le 8000 2 0.100",
        "tone_f32_streamed.wav: wav pcm_f32le 8000 1 0.100",
        "tone.aiff: aiff pcm_s16be 8000 1 0.100",
        "tone.flac: flac flac 8000 1 0.500",
        "tone_cbr_id3.mp3: mp3 mp3 16000 1 1.000",
        "tone_vbr_stereo.mp3: mp3 mp3 44100 2 1.000",
        "tone_vbr_bare.mp3: mp3 mp3 22050 1 1.071",
        "tone_vorbis.ogg: ogg vorbis 16000 1 1.000",
        "tone_opus.ogg: ogg opus 48000 1 1.006",
        "two_tones_opus.ogg: ogg opus 48000 2 0.507",
        "tone_opus.webm: webm opus 48000 1 1.008",
        "tone_live.webm: webm opus 48000 1 1.015",
        "tone_aac.m4a: m4a aac 16000 1 1.000",
        "tone_aac.mp4: mp4 aac 16000 1 1.000",
        "tone_frag.mp4: mp4 aac 16000 1 1.064",
        "tone_alac.m4a: m4a alac 16000 1 0.100",
        "tone.aac: aac aac 16000 1 1.088",
        "tone.amr: amr amr_nb 8000 1 1.000",
    ];
    let found: Vec<String> = FILES
        .iter()
        .map(|(name, bytes)| format!("{name}: {}", describe(probe(bytes, bytes.len() as u64))))
        .collect();
    assert_eq!(found, expected, "{found:#?}");
}

#[test]
fn heads_of_files_tell_what_they_can() {
    let expected = [
        "tone.wav: wav pcm_s16le 8000 1 1.000",
        "tone_mulaw.wav: wav mulaw 8000 1 1.000",
        "tone_adpcm.wav: wav adpcm_ms 8000 1 0.255",
        "tone_s24_stereo.wav: wav pcm_s24le 8000 2 0.100",
        "tone_f32_streamed.wav: wav pcm_f32le 8000 1 0.100",
        "tone.aiff: aiff pcm_s16be 8000 1 0.100",
        "tone.flac: flac flac 8000 1 0.500",
        "tone_cbr_id3.mp3: mp3 mp3 16000 1 1.000",
        "tone_vbr_stereo.mp3: mp3 mp3 44100 2 1.000",
        "tone_vbr_bare.mp3: mp3 mp3 22050 1 ?",
        "tone_vorbis.ogg: ogg ? ? ? ?",
        "tone_opus.ogg: ogg ? ? ? ?",
        "two_tones_opus.ogg: ogg ? ? ? ?",
        "tone_opus.webm: webm opus 48000 1 1.008",
        "tone_live.webm: webm opus 48000 1 ?",
        "tone_aac.m4a: m4a ? ? ? ?",
        "tone_aac.mp4: mp4 aac 16000 1 1.000",
        "tone_frag.mp4: mp4 aac 16000 1 ?",
        "tone_alac.m4a: m4a ? ? ? ?",
        "tone.aac: aac aac 16000 1 1.024",
        "tone.amr: amr amr_nb 8000 1 1.000",
    ];
    let found: Vec<String> = FILES
        .iter()
        .map(|(name, bytes)| {
            format!(
                "{name}: {}",
                describe(probe(&bytes[..bytes.len() / 2], bytes.len() as u64))
            )
        })
        .collect();
    assert_eq!(found, expected, "{found:#?}");
}

/// How strong `hertz` is in 16 kHz samples: 1 for a sine at full scale.
fn strength(samples: &[i16], hertz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let angle = TAU * hertz * n as f64 / 16_000.0;
        re += f64::from(*sample) * angle.cos();
        im += f64::from(*sample) * angle.sin();
    }
    2.0 * re.hypot(im) / samples.len() as f64 / 32_768.0
}

fn samples(raw: &[u8]) -> Vec<i16> {
    raw.chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

#[test]
fn every_format_but_amr_decodes_to_the_same_tone() {
    for (name, bytes) in FILES {
        let raw = pcm::to_raw_16k_mono(bytes, MINUTE);
        if name == "tone.amr" {
            assert!(
                matches!(raw, Err(pcm::Error::Unsupported(Format::Amr, _))),
                "{raw:?}"
            );
            continue;
        }
        let samples = samples(&raw.unwrap_or_else(|error| panic!("{name}: {error}")));
        let seconds = samples.len() as f64 / 16_000.0;
        let stated = probe(bytes, bytes.len() as u64).duration.unwrap();
        assert!(
            (seconds - stated).abs() < 0.1,
            "{name}: {seconds} s decoded, {stated} s stated"
        );
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        let (tone, other) = (strength(middle, 440.0), strength(middle, 1_500.0));
        // Either half of the mix, or a stereo file whose channels the encoder was given 3 dB softer.
        let expected = match name {
            "two_tones_opus.ogg" => 0.25,
            "tone_s24_stereo.wav" | "tone_vbr_stereo.mp3" => 0.5 * FRAC_1_SQRT_2,
            _ => 0.5,
        };
        assert!((tone - expected).abs() < 0.06, "{name}: {tone} of 440 Hz");
        assert!(other < 0.02, "{name}: {other} of 1,500 Hz");
    }
}

#[test]
fn both_channels_are_heard_in_the_mix() {
    let samples = samples(&pcm::to_raw_16k_mono(file("two_tones_opus.ogg"), MINUTE).unwrap());
    let middle = &samples[1_000..7_000];
    for hertz in [440.0, 880.0] {
        let tone = strength(middle, hertz);
        assert!((tone - 0.25).abs() < 0.03, "{tone} of {hertz} Hz");
    }
}

#[test]
fn a_file_that_is_right_already_keeps_every_sample() {
    let noise: Vec<i16> = (0..20_000_i32)
        .map(|n| (n.wrapping_mul(7_919) ^ n << 3) as i16)
        .collect();
    let wav = wav_file(16_000, &noise);
    let converted = pcm::to_wav_16k_mono(&wav, MINUTE).unwrap();
    assert_eq!(samples(&converted[pcm::WAV_HEADER..]), noise);
    let media = probe(&converted, converted.len() as u64);
    assert_eq!(describe(media), "wav pcm_s16le 16000 1 1.250");
}

/// A WAVE file of one channel.
fn wav_file(rate: u32, samples: &[i16]) -> Vec<u8> {
    let bytes: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    let len = u32::try_from(bytes.len()).unwrap();
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((len + 36).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(rate.to_le_bytes());
    file.extend((2 * rate).to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(len.to_le_bytes());
    file.extend(bytes);
    file
}

#[test]
fn sizes_left_open_by_a_recorder_do_not_cost_the_sound() {
    let whole = wav_file(16_000, &vec![1_000; 16_000]);
    for size in [0, u32::MAX, 40_000_000] {
        let mut open = whole.clone();
        open[40..44].copy_from_slice(&size.to_le_bytes());
        assert_eq!(
            pcm::to_wav_16k_mono(&open, MINUTE).unwrap(),
            whole,
            "{size}"
        );
    }
}

#[test]
fn samples_that_are_no_numbers_become_silence() {
    let mut bytes = file("tone_f32_streamed.wav").to_vec();
    let start = bytes.len() - 400;
    for (n, sample) in bytes[start..].chunks_exact_mut(4).enumerate() {
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX][n % 4];
        sample.copy_from_slice(&odd.to_le_bytes());
    }
    let found = samples(&pcm::to_raw_16k_mono(&bytes, MINUTE).unwrap());
    assert_eq!(
        found.len(),
        samples(&pcm::to_raw_16k_mono(file("tone_f32_streamed.wav"), MINUTE).unwrap()).len()
    );
    assert!(
        strength(&found[200..600], 440.0) > 0.4,
        "what comes before them is kept"
    );
}

#[test]
fn conversion_stops_at_the_longest_allowed() {
    let second = Duration::from_secs(1);
    let longer = |samples| pcm::to_raw_16k_mono(&wav_file(16_000, &vec![0; samples]), second);
    assert_eq!(longer(16_000).unwrap().len(), 32_000);
    assert_eq!(longer(16_001), Err(pcm::Error::TooLong(second)));
    for name in ["tone_vbr_stereo.mp3", "tone_opus.webm", "tone_aac.mp4"] {
        let half = Duration::from_millis(500);
        assert_eq!(
            pcm::to_raw_16k_mono(file(name), half),
            Err(pcm::Error::TooLong(half)),
            "{name}"
        );
    }
}

#[test]
fn what_is_no_sound_is_refused_with_its_reason() {
    let error = |bytes: &[u8]| pcm::to_wav_16k_mono(bytes, MINUTE).unwrap_err();
    assert_eq!(error(b""), pcm::Error::Unknown);
    assert_eq!(error(b"{\"not\": \"a recording\"}"), pcm::Error::Unknown);
    assert_eq!(error(&wav_file(16_000, &[])), pcm::Error::Empty);
    assert_eq!(
        error(&wav_file(100, &[0; 1_000])).to_string(),
        "this wav recording cannot be converted: its sample rate is 100 Hz"
    );
    assert!(matches!(
        error(&file("tone_aac.mp4")[..200]),
        pcm::Error::Damaged(Format::Mp4, _) | pcm::Error::Unsupported(Format::Mp4, _)
    ));
}

#[test]
fn the_length_of_an_mp3_without_index_is_counted_or_extrapolated() {
    // The frames of the indexed file, less the index, twenty times over.
    let tagged = file("tone_cbr_id3.mp3");
    let start = usize::try_from(format::id3_length(tagged)).unwrap();
    let frames = tagged[start + 108..].repeat(20);
    let counted = probe(&frames, frames.len() as u64);
    assert_eq!(describe(counted), "mp3 mp3 16000 1 21.600");
    let guessed = probe(&frames[..8_000], frames.len() as u64)
        .duration
        .unwrap();
    assert!((guessed - 21.6).abs() < 1.0, "{guessed}");
}

#[test]
fn a_tag_longer_than_the_head_does_not_hide_the_recording() {
    let mut tagged = b"ID3\x04\0\0\0\x08\0\0".to_vec();
    tagged.resize(10 + (8 << 14), 0xff);
    tagged.extend(file("tone.flac"));
    let media = probe_reader(Cursor::new(&tagged)).unwrap();
    assert_eq!(describe(media), "flac flac 8000 1 0.500");
    assert_eq!(
        pcm::to_raw_16k_mono(&tagged, MINUTE),
        pcm::to_raw_16k_mono(file("tone.flac"), MINUTE)
    );
    assert_eq!(
        probe(&tagged[..HEAD], tagged.len() as u64).format,
        Some(Format::Mp3),
        "a guess"
    );
}

#[test]
fn a_cut_off_recording_gives_the_sound_that_it_has() {
    for name in [
        "tone.wav",
        "tone.flac",
        "tone_vbr_stereo.mp3",
        "tone_live.webm",
        "tone.aac",
    ] {
        let bytes = file(name);
        let part = pcm::to_raw_16k_mono(&bytes[..bytes.len() * 7 / 10], MINUTE)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let whole = pcm::to_raw_16k_mono(bytes, MINUTE).unwrap();
        assert!(
            part.len() < whole.len() && part.len() > whole.len() / 3,
            "{name}: {} of {}",
            part.len(),
            whole.len()
        );
    }
}

/// A way to spoil a file; places count from its start, and from there again past its end.
#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    /// A number of four bytes, as headers hold them.
    Number(usize, u32),
    Cut(usize),
    Remove(usize, usize),
    Repeat(usize, usize),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len().max(1);
        let end = |from: usize, count: usize| (from % len + count).min(bytes.len());
        match *self {
            _ if bytes.is_empty() => {}
            Self::Set(at, value) => bytes[at % len] = value,
            Self::Number(at, value) => {
                bytes.splice(at % len..end(at, 4), value.to_be_bytes());
            }
            Self::Cut(at) => bytes.truncate(at % len),
            Self::Remove(at, count) => {
                bytes.drain(at % len..end(at, count));
            }
            Self::Repeat(at, count) => {
                let again = bytes[at % len..end(at, count)].to_vec();
                bytes.splice(at % len..at % len, again);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    // Most of what matters stands near the start.
    let at = || prop_oneof![0..600_usize, 0..16_000_usize];
    let number = prop_oneof![
        Just(0),
        Just(1),
        Just(0x7fff_ffff),
        Just(0x8000_0000),
        Just(u32::MAX),
        any::<u32>()
    ];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, value)| Damage::Set(at, value)),
        4 => (at(), number).prop_map(|(at, value)| Damage::Number(at, value)),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), 1..2_000_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => (at(), 1..2_000_usize).prop_map(|(at, count)| Damage::Repeat(at, count)),
    ]
}

/// Whatever the bytes are, everything ends soon, within its bounds and without a panic.
fn stays_within_bounds(bytes: &[u8]) -> Result<(), TestCaseError> {
    let started = Instant::now();
    let heads = [0, 1, 11, 100, 1_000, bytes.len() / 2, bytes.len()];
    let probed = heads.map(|head| probe(&bytes[..head.min(bytes.len())], bytes.len() as u64));
    let lied_to = probe(bytes, u64::MAX);
    let read = probe_reader(Cursor::new(bytes)).expect("memory does not fail");
    prop_assert_eq!(probed[6], read);
    for media in probed.into_iter().chain([lied_to]) {
        prop_assert!(
            media
                .duration
                .is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0),
            "{:?}",
            media
        );
        prop_assert!(
            media.format.is_some() || media == Media::default(),
            "{:?}",
            media
        );
        prop_assert!(
            media.sample_rate != Some(0) && media.channels != Some(0),
            "{:?}",
            media
        );
    }
    let longest = Duration::from_secs(2);
    if let Ok(raw) = pcm::to_raw_16k_mono(bytes, longest) {
        prop_assert!(
            !raw.is_empty() && raw.len() <= 64_000 && raw.len() % 2 == 0,
            "{} bytes",
            raw.len()
        );
    }
    prop_assert!(
        started.elapsed() < Duration::from_secs(20),
        "took {:?}",
        started.elapsed()
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_recordings_are_survived((_, bytes) in select(&FILES[..]), damages in prop::collection::vec(damage(), 1..8)) {
        let mut bytes = bytes.to_vec();
        for damage in damages {
            damage.apply(&mut bytes);
        }
        stays_within_bounds(&bytes)?;
    }

    #[test]
    fn any_bytes_after_any_beginning_are_survived(
        (_, bytes) in select(&FILES[..]),
        keep in 0..64_usize,
        rest in prop::collection::vec(any::<u8>(), 0..3_000),
    ) {
        let mut bytes = bytes[..keep].to_vec();
        bytes.extend(rest);
        stays_within_bounds(&bytes)?;
    }

    #[test]
    fn any_samples_at_any_rate_come_out_at_their_length(
        samples in prop::collection::vec(any::<i16>(), 1..3_000),
        rate in 4_000..100_000_u32,
    ) {
        let raw = pcm::to_raw_16k_mono(&wav_file(rate, &samples), MINUTE).unwrap();
        let expected = (samples.len() as u64 * 16_000).div_ceil(u64::from(rate));
        prop_assert_eq!(raw.len() as u64 / 2, expected);
    }
}
