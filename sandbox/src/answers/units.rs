//! Places in a text, counted in the unit that a vendor counts in.

use unicode_segmentation::UnicodeSegmentation as _;

use super::text::Span;

/// What an offset counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes of UTF-8.
    Bytes,
    /// UTF-16 code units.
    Utf16,
    /// Unicode code points.
    CodePoints,
    /// Grapheme clusters by the rules of Unicode 8, as .NET's text elements.
    Graphemes,
}

/// A text measured once, to be asked often.
#[derive(Debug, Clone)]
pub(crate) struct Ruler {
    /// Units before each code point, and behind the last one.
    before: Vec<usize>,
}

impl Ruler {
    /// Measures a text.
    pub(crate) fn new(text: &str, unit: Unit) -> Self {
        let mut before = Vec::with_capacity(text.len() + 1);
        let mut count = 0;
        let mut last = None;
        for letter in text.chars() {
            // A cluster counts where it begins, so whatever is inside stands behind it.
            if unit == Unit::Graphemes && last.is_none_or(|last| parted(last, letter)) {
                before.push(count);
                count += 1;
            } else {
                before.push(count);
            }
            count += match unit {
                Unit::Bytes => letter.len_utf8(),
                Unit::Utf16 => letter.len_utf16(),
                Unit::CodePoints => 1,
                Unit::Graphemes => 0,
            };
            last = Some(letter);
        }
        before.push(count);
        Self { before }
    }

    /// Units before a code point.
    pub(crate) fn at(&self, code_points: usize) -> usize {
        let place = self.before.get(code_points).or(self.before.last());
        place.copied().unwrap_or_default()
    }

    /// Offset and length of a stretch.
    pub(crate) fn span(&self, span: &Span) -> (usize, usize) {
        let start = self.at(span.offset);
        let end = self.at(span.offset + span.length);
        (start, end.saturating_sub(start))
    }

    /// Units in the whole text.
    pub(crate) fn length(&self) -> usize {
        self.before.last().copied().unwrap_or_default()
    }
}

/// Whether Unicode 8 has a cluster boundary between two letters. Its rules look at two neighbours alone, so each pair
/// is asked by itself; what has become part of the letter before it since then (skin tones, tags) is told apart.
fn parted(one: char, next: char) -> bool {
    if one.is_ascii() && next.is_ascii() {
        return !(one == '\r' && next == '\n');
    }
    let younger =
        |letter: char| matches!(letter, '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}');
    if younger(one) || younger(next) {
        return true;
    }
    let pair: String = [one, next].into_iter().collect();
    pair.graphemes(true).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_measured_in_each_unit() {
        // A smile, a family joined by zero-width joiners, an accent of its own, Chinese, a skin tone.
        for (text, bytes, utf16, points, graphemes) in [
            ("abc", 3, 3, 3, 3),
            ("😀 好", 8, 4, 3, 3),
            ("e\u{301}!", 4, 3, 3, 2),
            ("\r\n", 2, 2, 2, 1),
            ("👨\u{200d}👩", 11, 5, 3, 2),
            ("👍🏽", 8, 4, 2, 2),
            ("🇩🇪", 8, 4, 2, 1),
            ("", 0, 0, 0, 0),
        ] {
            let lengths = [Unit::Bytes, Unit::Utf16, Unit::CodePoints, Unit::Graphemes]
                .map(|unit| Ruler::new(text, unit).length());
            assert_eq!(lengths, [bytes, utf16, points, graphemes], "{text}");
        }
    }

    #[test]
    fn a_stretch_behind_wide_letters_is_placed() {
        let text = "e\u{301}😀 伦敦 London";
        let span = Span {
            text: "London".to_owned(),
            offset: 7,
            length: 6,
        };
        let placed = |unit| Ruler::new(text, unit).span(&span);
        assert_eq!(placed(Unit::CodePoints), (7, 6));
        assert_eq!(placed(Unit::Utf16), (8, 6));
        assert_eq!(placed(Unit::Bytes), (15, 6));
        assert_eq!(placed(Unit::Graphemes), (6, 6));
    }
}
