//! The words of a text one by one, as lexers tell them apart. Offsets count Unicode code points.

use super::text::{self, Kind, Span};

/// One word, sign or name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// Where, and how it is written there.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) class: Class,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A name, a date and the like.
    Named(Kind),
    /// A punctuation mark or another sign.
    Mark,
    /// Digits.
    Number,
    /// A word that stands for a person or thing: "she", "我".
    Pronoun,
    /// Any other word.
    Word,
}

/// Smallest pieces: words of letters and digits, single Chinese or Japanese letters, single marks.
pub(crate) fn basic(text: &str) -> Vec<Token> {
    let letters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(letter) = letters.get(at) {
        let start = at;
        at += 1;
        if letter.is_whitespace() {
            continue;
        }
        if letter.is_alphanumeric() && !wide(*letter) {
            while joins(&letters, at) {
                at += 1;
            }
        }
        let text: String = letters.get(start..at).unwrap_or_default().iter().collect();
        found.push(Token {
            class: class(&text),
            span: Span {
                text,
                offset: start,
                length: at - start,
            },
        });
    }
    found
}

/// The same with what belongs to one name made one piece; the second part holds the pieces of each.
pub(crate) fn compound(text: &str) -> Vec<(Token, Vec<Token>)> {
    let mut names = text::entities(text).into_iter().peekable();
    let mut found: Vec<(Token, Vec<Token>)> = Vec::new();
    let mut end = 0;
    for token in basic(text) {
        if token.span.offset < end {
            if let Some((_, pieces)) = found.last_mut() {
                pieces.push(token);
            }
            continue;
        }
        // A name that begins inside a piece is none here.
        while names
            .next_if(|name| name.span.offset < token.span.offset)
            .is_some()
        {}
        let name = names.next_if(|name| name.span.offset == token.span.offset);
        let whole = match name {
            Some(name) => {
                end = name.span.offset + name.span.length;
                Token {
                    class: Class::Named(name.kind),
                    span: name.span,
                }
            }
            None => token.clone(),
        };
        found.push((whole, vec![token]));
    }
    found
}

/// Letters that make a word each.
fn wide(letter: char) -> bool {
    matches!(letter, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
}

/// Whether the letter at this place goes on with the word before it.
fn joins(letters: &[char], at: usize) -> bool {
    let narrow = |place: usize| {
        letters
            .get(place)
            .is_some_and(|letter| letter.is_alphanumeric() && !wide(*letter))
    };
    let inner = letters
        .get(at)
        .is_some_and(|letter| "'’-.@_".contains(*letter));
    narrow(at) || (inner && narrow(at + 1))
}

fn class(text: &str) -> Class {
    const PRONOUNS: [&str; 13] = [
        "i", "you", "he", "she", "it", "we", "they", "me", "us", "我", "你", "他", "她",
    ];
    if PRONOUNS.contains(&text.to_lowercase().as_str()) {
        return Class::Pronoun;
    }
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if first.is_ascii_digit() => Class::Number,
        Some(first) if first.is_alphanumeric() => Class::Word,
        _ => Class::Mark,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<(String, Class)> {
        let whole = compound(text).into_iter();
        whole
            .map(|(token, _)| (token.span.text, token.class))
            .collect()
    }

    #[test]
    fn names_are_one_piece_and_know_their_parts() {
        let text = "She met Barack Obama, 3 times.";
        let all = compound(text);
        assert_eq!(
            parts(text),
            [
                ("She".to_owned(), Class::Pronoun),
                ("met".to_owned(), Class::Word),
                ("Barack Obama".to_owned(), Class::Named(Kind::Person)),
                (",".to_owned(), Class::Mark),
                ("3".to_owned(), Class::Named(Kind::Quantity)),
                ("times".to_owned(), Class::Word),
                (".".to_owned(), Class::Mark),
            ]
        );
        assert_eq!(all[2].1.len(), 2);
        assert_eq!(all[2].1[1].span.offset, 15);
    }

    #[test]
    fn chinese_letters_are_words_and_everything_is_covered() {
        let text = "我在北京喝coffee。";
        assert_eq!(
            parts(text),
            [
                ("我".to_owned(), Class::Pronoun),
                ("在".to_owned(), Class::Word),
                ("北京".to_owned(), Class::Named(Kind::Location)),
                ("喝".to_owned(), Class::Word),
                ("coffee".to_owned(), Class::Word),
                ("。".to_owned(), Class::Mark),
            ]
        );
        let letters: String = basic(text)
            .into_iter()
            .map(|token| token.span.text)
            .collect();
        assert_eq!(letters, text);
    }
}
