//! What a text tells of people: names, addresses, and numbers that belong to one person, by their form.

use super::text::{self, Span};

/// Something personal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Private {
    /// Where, and how it is written there.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) kind: Kind,
    /// 0 to 1.
    pub(crate) confidence: f64,
}

/// What it is; each vendor has its own names for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A human's name.
    Person,
    /// A company.
    Organization,
    /// A date or a time.
    DateTime,
    /// An e-mail address.
    Email,
    /// A link.
    Url,
    /// A telephone number.
    Phone,
    /// An IPv4 address.
    Ip,
    /// A social security number of the United States.
    SocialSecurity,
    /// The number of a payment card.
    Card,
}

/// Everything personal, in order, without overlaps.
pub(crate) fn found(text: &str) -> Vec<Private> {
    let mut all = numbers(text);
    for entity in text::entities(text) {
        let kind = match entity.kind {
            text::Kind::Person => Kind::Person,
            text::Kind::Organization => Kind::Organization,
            text::Kind::DateTime => Kind::DateTime,
            text::Kind::Email => Kind::Email,
            text::Kind::Url => Kind::Url,
            _ => continue,
        };
        if !all.iter().any(|known| overlap(&known.span, &entity.span)) {
            all.push(Private {
                span: entity.span,
                kind,
                confidence: entity.confidence,
            });
        }
    }
    all.sort_by_key(|known| known.span.offset);
    all
}

/// The text with a star for each code point that is personal.
pub(crate) fn redacted(text: &str, found: &[Private]) -> String {
    let hidden = |at: usize| {
        let inside = |span: &Span| (span.offset..span.offset + span.length).contains(&at);
        found.iter().any(|known| inside(&known.span))
    };
    let letters = text.chars().enumerate();
    letters
        .map(|(at, letter)| if hidden(at) { '*' } else { letter })
        .collect()
}

fn overlap(one: &Span, other: &Span) -> bool {
    one.offset < other.offset + other.length && other.offset < one.offset + one.length
}

/// Runs of digits and the marks between them.
fn numbers(text: &str) -> Vec<Private> {
    let letters: Vec<char> = text.chars().collect();
    let part = |letter: &char| letter.is_ascii_digit() || "+-. ()".contains(*letter);
    let mut found = Vec::new();
    let mut at = 0;
    for run in letters.chunk_by(|one, next| part(one) == part(next)) {
        let start = at;
        at += run.len();
        let worded = |place: Option<usize>| {
            let letter = place.and_then(|place| letters.get(place));
            letter.is_some_and(|letter| letter.is_alphabetic() || "$€£@_".contains(*letter))
        };
        let begin = run
            .iter()
            .position(|letter| letter.is_ascii_digit() || "+(".contains(*letter));
        let end = run.iter().rposition(char::is_ascii_digit);
        let (Some(begin), Some(end)) = (begin, end) else {
            continue;
        };
        let glued = (begin == 0 && worded(start.checked_sub(1)))
            || (end + 1 == run.len() && worded(Some(at)));
        let Some(number) = run.get(begin..=end).filter(|_| !glued) else {
            continue;
        };
        let written: String = number.iter().collect();
        if let Some((kind, confidence)) = kind(&written) {
            found.push(Private {
                span: Span {
                    length: number.len(),
                    offset: start + begin,
                    text: written,
                },
                kind,
                confidence,
            });
        }
    }
    found
}

fn kind(written: &str) -> Option<(Kind, f64)> {
    let groups = |mark: char| -> Vec<usize> { written.split(mark).map(str::len).collect() };
    let digits: String = written.chars().filter(char::is_ascii_digit).collect();
    let only = |marks: &str| {
        let mut letters = written.chars();
        letters.all(|letter| letter.is_ascii_digit() || marks.contains(letter))
    };
    let parts: Vec<_> = written.split('.').collect();
    if parts.len() == 4 && parts.iter().all(|part| part.parse::<u8>().is_ok()) {
        return Some((Kind::Ip, 0.8));
    }
    if only("-") && groups('-') == [3, 2, 4] {
        return Some((Kind::SocialSecurity, 0.85));
    }
    if only("- ") && (13..=19).contains(&digits.len()) && luhn(&digits) {
        return Some((Kind::Card, 0.95));
    }
    let dated = only("-") && groups('-') == [4, 2, 2];
    let least = if written.starts_with(['+', '(']) || written.contains('-') {
        7
    } else {
        9
    };
    let apart = written.len() > digits.len() || written.starts_with('0');
    let phone = !dated && apart && !written.contains('.') && (least..=15).contains(&digits.len());
    phone.then_some((Kind::Phone, 0.8))
}

/// The check digit of payment cards.
fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .chars()
        .rev()
        .filter_map(|digit| digit.to_digit(10))
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => digit,
            (_, twice) if twice > 9 => twice - 9,
            (_, twice) => twice,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_things_are_found_where_they_stand() {
        let text = "😀 We asked Maria at 06 21 32 43 54 or (206) 555-0100, mail a@b.com. SSN 859-98-0987, card 4111 1111 1111 1111, host 10.0.0.1, on 2024-01-05 for $12 and 34 others.";
        let letters: Vec<char> = text.chars().collect();
        let all = found(text);
        for known in &all {
            let end = known.span.offset + known.span.length;
            let slice: String = letters[known.span.offset..end].iter().collect();
            assert_eq!(slice, known.span.text);
        }
        let named: Vec<_> = all
            .iter()
            .map(|known| (known.span.text.as_str(), known.kind))
            .collect();
        assert_eq!(
            named,
            [
                ("Maria", Kind::Person),
                ("06 21 32 43 54", Kind::Phone),
                ("(206) 555-0100", Kind::Phone),
                ("a@b.com", Kind::Email),
                ("859-98-0987", Kind::SocialSecurity),
                ("4111 1111 1111 1111", Kind::Card),
                ("10.0.0.1", Kind::Ip),
                ("2024-01-05", Kind::DateTime),
            ]
        );
    }

    #[test]
    fn what_is_personal_becomes_stars() {
        let text = "My SSN is 859-98-0987 😀";
        assert_eq!(redacted(text, &found(text)), "My SSN is *********** 😀");
        assert_eq!(
            redacted("Nothing here.", &found("Nothing here.")),
            "Nothing here."
        );
    }
}
