//! One channel from any usual rate to 16 kHz, in pieces, so that memory does not grow with the recording.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler};

/// Samples per second that come out.
pub(super) const RATE: u32 = 16_000;
/// Rates that go in. Beyond them a file is broken, and the filter would grow without need.
pub(super) const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// A resampler on its way through one recording.
pub(super) struct To16k {
    rate: u32,
    /// `None` where nothing has to be done.
    filter: Option<Filter>,
    received: u64,
    sent: u64,
}

struct Filter {
    fft: Fft<f32>,
    /// Received, not yet filtered.
    waiting: Vec<f32>,
    filtered: Vec<f32>,
    /// Samples still to drop, because the filter answers late.
    late: usize,
}

impl To16k {
    /// A resampler from `rate`; `None` if it is none of [`RATES`].
    pub(super) fn new(rate: u32) -> Option<Self> {
        if !RATES.contains(&rate) {
            return None;
        }
        let filter = if rate == RATE {
            None
        } else {
            Some(Filter::new(rate)?)
        };
        Some(Self {
            rate,
            filter,
            received: 0,
            sent: 0,
        })
    }

    /// The rate that it converts from.
    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes in samples and hands those that are ready to `send`.
    pub(super) fn push<E>(
        &mut self,
        samples: &[f32],
        mut send: impl FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.received += samples.len() as u64;
        let Some(filter) = &mut self.filter else {
            return send(samples);
        };
        filter.waiting.extend_from_slice(samples);
        let total = &mut self.sent;
        filter.run(|ready| {
            *total += ready.len() as u64;
            send(ready)
        })
    }

    /// Hands over what the filter still holds; exactly as much sound has then come out as went in.
    pub(super) fn finish<E>(
        mut self,
        mut send: impl FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let due = (self.received * u64::from(RATE)).div_ceil(u64::from(self.rate));
        let Some(filter) = &mut self.filter else {
            return Ok(());
        };
        while self.sent < due {
            let before = self.sent;
            let length = filter.waiting.len() + filter.fft.input_frames_next();
            filter.waiting.resize(length, 0.0);
            let total = &mut self.sent;
            let late = filter.late;
            filter.run(|ready| {
                let left = usize::try_from(due - *total).unwrap_or(usize::MAX);
                let ready = ready.get(..left.min(ready.len())).unwrap_or_default();
                *total += ready.len() as u64;
                send(ready)
            })?;
            if self.sent == before && filter.late == late {
                break;
            }
        }
        Ok(())
    }
}

impl Filter {
    fn new(rate: u32) -> Option<Self> {
        let fft = Fft::new(rate as usize, RATE as usize, 2048, 1, FixedSync::Both).ok()?;
        let filtered = vec![0.0; fft.output_frames_max()];
        let late = fft.output_delay();
        Some(Self {
            fft,
            waiting: Vec::new(),
            filtered,
            late,
        })
    }

    /// Filters whole chunks of what waits.
    fn run<E>(&mut self, mut send: impl FnMut(&[f32]) -> Result<(), E>) -> Result<(), E> {
        let mut done = 0;
        while self.waiting.len() - done >= self.fft.input_frames_next() {
            let room = self.filtered.len();
            let Ok(input) = InterleavedSlice::new(&self.waiting, 1, self.waiting.len()) else {
                break;
            };
            let Ok(mut output) = InterleavedSlice::new_mut(&mut self.filtered, 1, room) else {
                break;
            };
            let indexing = Indexing::new().input_offset(done);
            let Ok((read, written)) =
                self.fft
                    .process_into_buffer(&input, &mut output, Some(&indexing))
            else {
                break;
            };
            if read == 0 {
                break;
            }
            done += read;
            let drop = self.late.min(written);
            self.late -= drop;
            send(self.filtered.get(drop..written).unwrap_or_default())?;
        }
        self.waiting.drain(..done);
        Ok(())
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "samples and their numbers are small"
)]
mod tests {
    use std::convert::Infallible;
    use std::f64::consts::TAU;

    use super::*;

    fn tone(hertz: f64, rate: u32, seconds: f64) -> Vec<f32> {
        let samples = (f64::from(rate) * seconds) as usize;
        (0..samples)
            .map(|n| (0.5 * (TAU * hertz * n as f64 / f64::from(rate)).sin()) as f32)
            .collect()
    }

    fn resampled(samples: &[f32], rate: u32, piece: usize) -> Vec<f32> {
        let mut out = Vec::new();
        let mut send = |ready: &[f32]| {
            out.extend_from_slice(ready);
            Ok::<(), Infallible>(())
        };
        let mut resampler = To16k::new(rate).unwrap();
        for piece in samples.chunks(piece) {
            resampler.push(piece, &mut send).unwrap();
        }
        resampler.finish(&mut send).unwrap();
        out
    }

    #[test]
    fn a_tone_keeps_its_pitch_phase_strength_and_length() {
        for rate in [
            4_000, 8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 44_101,
        ] {
            let out = resampled(&tone(440.0, rate, 0.5), rate, 777);
            let expected = tone(440.0, RATE, 0.5);
            assert!(
                out.len().abs_diff(expected.len()) <= 1,
                "{rate}: {} samples",
                out.len()
            );
            let middle = 1_000..expected.len() - 1_000;
            let loudest = middle.clone().map(|n| out[n].abs()).fold(0.0, f32::max);
            assert!((loudest - 0.5).abs() < 0.005, "{rate}: {loudest} loud");
            // One sample late or early is as far as two samples of the tone are apart.
            let worst = middle
                .map(|n| (out[n] - expected[n]).abs())
                .fold(0.0, f32::max);
            assert!(
                worst < 0.5 * TAU as f32 * 440.0 / 16_000.0,
                "{rate}: off by {worst}"
            );
        }
    }

    #[test]
    fn what_16_khz_cannot_hold_is_taken_out_and_not_folded_back() {
        let out = resampled(&tone(10_000.0, 48_000, 0.5), 48_000, 1_000);
        let loudest = out[500..out.len() - 500]
            .iter()
            .fold(0.0, |loudest: f32, sample| loudest.max(sample.abs()));
        assert!(loudest < 0.001, "{loudest}");
    }

    #[test]
    fn pieces_do_not_matter() {
        let samples = tone(300.0, 44_100, 0.3);
        let whole = resampled(&samples, 44_100, samples.len());
        for piece in [1, 13, 4096] {
            assert_eq!(resampled(&samples, 44_100, piece), whole);
        }
    }

    #[test]
    fn short_and_empty_recordings_come_out_at_their_length() {
        for samples in [0_usize, 1, 2, 3, 100] {
            let out = resampled(&vec![0.1; samples], 48_000, 1_000);
            assert_eq!(out.len(), samples.div_ceil(3), "{samples}");
        }
    }

    #[test]
    fn rates_that_no_recorder_has_are_refused() {
        for rate in [0, 1, 3_999, 384_001, u32::MAX] {
            assert!(To16k::new(rate).is_none(), "{rate}");
        }
    }
}
