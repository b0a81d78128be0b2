//! A transcript as subtitles, one sentence each.

use std::{fmt::Write as _, time::Duration};

use super::speech::{self, Transcript, Word};

/// `SubRip`.
pub(crate) fn srt(heard: &Transcript) -> String {
    let mut text = String::new();
    for (at, words) in heard.sentences().into_iter().enumerate() {
        let (start, end) = bounds(words, ',');
        let _ = write!(
            text,
            "{}\n{start} --> {end}\n{}\n\n",
            at + 1,
            speech::joined(words)
        );
    }
    text
}

/// `WebVTT`.
pub(crate) fn vtt(heard: &Transcript) -> String {
    let mut text = String::from("WEBVTT\n\n");
    for words in heard.sentences() {
        let (start, end) = bounds(words, '.');
        let _ = write!(text, "{start} --> {end}\n{}\n\n", speech::joined(words));
    }
    text
}

fn bounds(words: &[Word], point: char) -> (String, String) {
    let start = words.first().map_or(0.0, |word| word.start);
    let end = words.last().map_or(0.0, |word| word.end);
    (clock(start, point), clock(end, point))
}

/// `00:00:04,180`.
fn clock(seconds: f64, point: char) -> String {
    // A tenth of a millisecond more: 4.18 is a little less than it looks.
    let time = Duration::from_secs_f64(seconds.max(0.0) + 0.000_1);
    let whole = time.as_secs();
    let (hours, minutes) = (whole / 3600, whole / 60 % 60);
    format!(
        "{hours:02}:{minutes:02}:{:02}{point}{:03}",
        whole % 60,
        time.subsec_millis()
    )
}
