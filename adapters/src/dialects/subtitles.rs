//! A transcript as subtitles: words or segments grouped into cues that can be read, and cues written as SRT or `WebVTT`.
//!
//! Vendors' times are taken as hints. Whatever they are, cues come out in order, apart from one another, inside the
//! recording, and with all of the text.

use std::fmt::Write as _;

/// What was said in one go: a word or a longer segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spoken<'t> {
    /// When it begins, in seconds.
    pub start: f64,
    /// When it ends, in seconds.
    pub end: f64,
    /// One word or many.
    pub text: &'t str,
    /// Who says it.
    pub speaker: Option<&'t str>,
}

/// What stands on the screen for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Cue {
    /// When it appears, in seconds.
    pub start: f64,
    /// When it goes, in seconds.
    pub end: f64,
    /// One line or several, parted by `\n`.
    pub text: String,
    /// Who says it.
    pub speaker: Option<String>,
}

/// Columns in a line; a Chinese character takes two.
pub const LINE: usize = 42;
/// Lines in a cue.
pub const LINES: usize = 2;
/// Milliseconds that a cue stands at most.
const LONGEST: u64 = 7_000;
/// Milliseconds of silence that end a cue.
const PAUSE: u64 = 800;
/// A full stop after one of these ends no sentence.
const ABBREVIATIONS: [&str; 9] = [
    "Mr.", "Mrs.", "Ms.", "Dr.", "Prof.", "St.", "vs.", "e.g.", "i.e.",
];

/// Groups what was said into cues: at most [`LINES`] lines of [`LINE`] columns and seven seconds each, parted at the
/// ends of sentences, at pauses and where another speaks.
///
/// `duration` is that of the recording, in seconds; no cue goes beyond it.
pub fn cues<'t>(spoken: impl IntoIterator<Item = Spoken<'t>>, duration: Option<f64>) -> Vec<Cue> {
    let mut drafts: Vec<Draft> = Vec::new();
    for word in words(spoken) {
        if !drafts.last_mut().is_some_and(|draft| draft.takes(&word)) {
            drafts.push(Draft::new(&word));
        }
    }
    timed(drafts, duration.map(milliseconds))
}

/// Writes cues as `SubRip`. A change of speaker is written before the text.
pub fn srt(cues: &[Cue]) -> String {
    let mut out = String::new();
    let mut number = 0;
    let mut heard = None;
    for cue in cues {
        // The format has no escapes, and readers look for the arrow to find where a cue begins.
        let lines: Vec<String> = lines(&cue.text)
            .map(|line| line.replace("-->", "-- >"))
            .collect();
        if lines.is_empty() {
            continue;
        }
        number += 1;
        let (start, end) = times(cue);
        let _ = writeln!(
            out,
            "{number}\n{} --> {}",
            clock(start, ','),
            clock(end, ',')
        );
        let speaker = cue
            .speaker
            .as_deref()
            .map(one_line)
            .filter(|name| !name.is_empty());
        if let Some(name) = speaker.as_ref().filter(|_| speaker != heard) {
            let _ = write!(out, "{}: ", name.replace("-->", "-- >"));
        }
        heard = speaker;
        let _ = writeln!(out, "{}\n", lines.join("\n"));
    }
    out
}

/// Writes cues as `WebVTT`, speakers as voice tags.
pub fn vtt(cues: &[Cue]) -> String {
    let mut out = String::from("WEBVTT\n\n");
    for cue in cues {
        let lines: Vec<String> = lines(&cue.text).map(|line| escaped(&line)).collect();
        if lines.is_empty() {
            continue;
        }
        let (start, end) = times(cue);
        let _ = writeln!(out, "{} --> {}", clock(start, '.'), clock(end, '.'));
        let speaker = cue
            .speaker
            .as_deref()
            .map(one_line)
            .filter(|name| !name.is_empty());
        if let Some(name) = speaker {
            let _ = write!(out, "<v {}>", escaped(&name));
        }
        let _ = writeln!(out, "{}\n", lines.join("\n"));
    }
    out
}

/// A piece of text that no line break may part. Times in milliseconds.
#[derive(Debug)]
struct Word<'t> {
    start: u64,
    end: u64,
    text: &'t str,
    speaker: Option<&'t str>,
    /// Whether it stands apart from the word before.
    spaced: bool,
}

/// What was said, word by word. Times never run backwards, and words of one segment share its time by their length.
fn words<'t>(spoken: impl IntoIterator<Item = Spoken<'t>>) -> impl Iterator<Item = Word<'t>> {
    let mut start = 0;
    let mut before = None;
    spoken.into_iter().flat_map(
        move |Spoken {
                  start: from,
                  end: to,
                  text,
                  speaker,
              }| {
            start = milliseconds(from).max(start);
            let length = milliseconds(to).max(start) - start;
            let total = pieces(text)
                .map(|(piece, _)| width(piece) as u64)
                .sum::<u64>()
                .max(1);
            let share = |columns: u64| {
                start
                    + u64::try_from(u128::from(length) * u128::from(columns) / u128::from(total))
                        .unwrap_or(length)
            };
            let mut columns = 0;
            let mut found = Vec::new();
            for (piece, apart) in pieces(text) {
                let from = columns;
                columns += width(piece) as u64;
                let spaced = apart && before.is_some_and(|before| spaced(before, piece));
                before = piece.chars().next_back();
                found.push(Word {
                    start: share(from),
                    end: share(columns),
                    text: piece,
                    speaker,
                    spaced,
                });
            }
            found
        },
    )
}

/// The unbreakable pieces of a text, and whether each begins a word rather than going on with one.
fn pieces(text: &str) -> impl Iterator<Item = (&str, bool)> {
    text.split(|char: char| char.is_whitespace() || char.is_control())
        .flat_map(|word| {
            let mut rest = word;
            let mut first = true;
            std::iter::from_fn(move || {
                let (piece, left) = rest.split_at(piece_end(rest));
                rest = left;
                (!piece.is_empty()).then(|| (piece, std::mem::take(&mut first)))
            })
        })
}

/// Where the first piece of a word ends: before a character that may stand on a line of its own, or where a line is full.
fn piece_end(word: &str) -> usize {
    let mut columns = 0;
    let mut before = None;
    for (at, char) in word.char_indices() {
        columns += columns_of(char);
        let breakable = before.is_some_and(|before| {
            (ideographic(char) || ideographic(before)) && !hangs(char) && !opens(before)
        });
        if at > 0 && (breakable || columns > LINE) {
            return at;
        }
        before = Some(char);
    }
    word.len()
}

/// Whether a space belongs between a word that ends with `before` and the word `next`.
fn spaced(before: char, next: &str) -> bool {
    let Some(first) = next.chars().next() else {
        return false;
    };
    let punctuation = next
        .chars()
        .all(|char| hangs(char) || matches!(char, '.' | ',' | '!' | '?' | ';' | ':' | '%'));
    !(punctuation || unspaced(before) && unspaced(first))
}

/// A cue that is being filled.
#[derive(Debug)]
struct Draft {
    start: u64,
    end: u64,
    lines: Vec<String>,
    speaker: Option<String>,
    /// Whether its last word ends a sentence.
    complete: bool,
}

impl Draft {
    fn new(word: &Word) -> Self {
        Self {
            start: word.start,
            end: word.end,
            lines: vec![word.text.into()],
            speaker: word.speaker.map(str::to_owned),
            complete: ends_sentence(word.text),
        }
    }

    /// Adds the word if it belongs here and has room.
    fn takes(&mut self, word: &Word) -> bool {
        let hanging = !word.spaced && word.text.chars().all(hangs);
        let apart = self.complete && !hanging
            || self.speaker.as_deref() != word.speaker
            || word.start.saturating_sub(self.end) > PAUSE
            || word.end.saturating_sub(self.start) > LONGEST;
        let Some(line) = self.lines.last_mut().filter(|_| !apart) else {
            return false;
        };
        if width(line) + usize::from(word.spaced) + width(word.text) <= LINE {
            if word.spaced {
                line.push(' ');
            }
            line.push_str(word.text);
        } else if self.lines.len() < LINES {
            self.lines.push(word.text.into());
        } else {
            return false;
        }
        self.end = self.end.max(word.end);
        self.complete = ends_sentence(word.text);
        true
    }
}

/// Gives every draft a time of its own of at least a millisecond, inside the recording where that has room for all.
fn timed(drafts: Vec<Draft>, duration: Option<u64>) -> Vec<Cue> {
    let count = drafts.len() as u64;
    let duration = duration
        .filter(|duration| *duration >= count)
        .unwrap_or(u64::MAX);
    let mut starts: Vec<u64> = Vec::with_capacity(drafts.len());
    for (draft, left) in drafts.iter().zip((1..=count).rev()) {
        let free = starts.last().map_or(0, |before| before + 1);
        starts.push(draft.start.min(duration - left).max(free));
    }
    let next = starts.iter().copied().skip(1).chain([duration]);
    let spans: Vec<(u64, u64)> = starts.iter().copied().zip(next).collect();
    drafts
        .into_iter()
        .zip(spans)
        .map(|(draft, (start, next))| Cue {
            start: seconds(start),
            end: seconds(
                draft
                    .end
                    .min(start.saturating_add(LONGEST))
                    .min(next)
                    .max(start + 1),
            ),
            text: draft.lines.join("\n"),
            speaker: draft.speaker,
        })
        .collect()
}

fn ends_sentence(word: &str) -> bool {
    let closed = word.trim_end_matches(['"', '\'', '”', '’', ')', ']', '»', '」', '』', '）']);
    let initial = closed
        .strip_suffix('.')
        .is_some_and(|name| name.chars().count() == 1 && name.chars().all(char::is_alphabetic));
    closed.ends_with(['.', '?', '!', '…', '。', '？', '！'])
        && !initial
        && !ABBREVIATIONS.contains(&closed)
}

/// The lines of a text, none of them empty, without anything that a reader could take for an end of line.
fn lines(text: &str) -> impl Iterator<Item = String> {
    text.split(['\n', '\r', '\x0b', '\x0c', '\u{85}', '\u{2028}', '\u{2029}'])
        .map(one_line)
        .filter(|line| !line.is_empty())
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|char: char| char.is_whitespace() || char.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Start and end in milliseconds, the end after the start.
fn times(cue: &Cue) -> (u64, u64) {
    let start = milliseconds(cue.start);
    (start, milliseconds(cue.end).max(start + 1))
}

/// `HH:MM:SS` and milliseconds after `point`; hours take more digits when they need to.
fn clock(milliseconds: u64, point: char) -> String {
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}")
}

/// Nearest millisecond; what is no time at all counts as the start, and no time is beyond 10,000 hours.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what fits; NaN becomes 0"
)]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round().clamp(0.0, 3.6e10) as u64
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// Columns that a character takes, as East Asian width has it.
fn columns_of(char: char) -> usize {
    let wide = matches!(char,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}' | '\u{1f900}'..='\u{1f9ff}' | '\u{20000}'..='\u{3fffd}');
    if wide { 2 } else { 1 }
}

/// Characters that a line may be broken between: Chinese and Japanese.
fn ideographic(char: char) -> bool {
    matches!(char, '\u{2e80}'..='\u{312f}' | '\u{31a0}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff01}'..='\u{ff60}' | '\u{20000}'..='\u{3fffd}')
}

/// Characters of scripts that put no spaces between words.
fn unspaced(char: char) -> bool {
    // Thai, Lao, Burmese and Khmer.
    ideographic(char)
        || matches!(char, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

/// Closing punctuation that begins no line.
fn hangs(char: char) -> bool {
    matches!(
        char,
        '、' | '。'
            | '，'
            | '．'
            | '！'
            | '？'
            | '：'
            | '；'
            | '」'
            | '』'
            | '）'
            | '】'
            | '》'
            | '〉'
            | '”'
            | '’'
            | '…'
            | 'ー'
            | '々'
    )
}

/// Opening punctuation that ends no line.
fn opens(char: char) -> bool {
    matches!(char, '「' | '『' | '（' | '【' | '《' | '〈' | '“' | '‘')
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "there are few words")]
mod tests;
