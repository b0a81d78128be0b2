//! I-Regexp (RFC 9485), the patterns of `match` and `search`: read strictly, so that none means one thing here and
//! another thing elsewhere, and run by an engine whose time is linear. `^` and `$` anchor, as the compliance suite has it.

use std::{iter::Peekable, str::Chars};

use regex::{Regex, RegexBuilder};

/// Memory for one compiled pattern, in bytes.
const LARGEST: usize = 1 << 18;

/// Compiles a pattern, which must fit all of a text if it is `whole`, or else a part of it.
pub(super) fn compile(pattern: &str, whole: bool) -> Result<Regex, String> {
    let mut reader = Reader {
        rest: pattern.chars().peekable(),
        made: String::with_capacity(pattern.len() + 8),
    };
    reader.pattern()?;
    let made = if whole {
        format!(r"\A(?:{})\z", reader.made)
    } else {
        reader.made
    };
    RegexBuilder::new(&made)
        .size_limit(LARGEST)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            error => {
                let said = error.to_string();
                let last = said.lines().last().unwrap_or_default();
                last.trim_start_matches("error: ").to_owned()
            }
        })
}

struct Reader<'p> {
    rest: Peekable<Chars<'p>>,
    made: String,
}

impl Reader<'_> {
    fn pattern(&mut self) -> Result<(), String> {
        let mut open = 0_usize;
        // Whether the piece before may be repeated.
        let mut repeatable = false;
        while let Some(c) = self.rest.next() {
            match c {
                '(' => {
                    open += 1;
                    self.made.push_str("(?:");
                }
                ')' => {
                    open = open.checked_sub(1).ok_or("`)` closes nothing")?;
                    self.made.push(')');
                }
                '*' | '+' | '?' | '{' if !repeatable => {
                    return Err(format!("`{c}` repeats nothing"));
                }
                '*' | '+' | '?' | '|' | '^' | '$' => self.made.push(c),
                '{' => self.counts()?,
                '.' => self.made.push_str(r"[^\n\r]"),
                '[' => self.class()?,
                '\\' => self.escape()?,
                ']' | '}' => return Err(format!("`{c}` closes nothing; write `\\{c}`")),
                c => self.literal(c),
            }
            repeatable = !matches!(c, '(' | '|' | '*' | '+' | '?' | '{' | '^' | '$');
        }
        if open > 0 {
            return Err("`(` is not closed".to_owned());
        }
        Ok(())
    }

    fn literal(&mut self, c: char) {
        self.made
            .push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    /// `{2}`, `{2,}`, `{2,3}`, after the brace.
    fn counts(&mut self) -> Result<(), String> {
        let mut inside = String::new();
        loop {
            match self.rest.next() {
                Some('}') => break,
                Some(c) if c.is_ascii_digit() || c == ',' => inside.push(c),
                _ => return Err("`{` is not closed".to_owned()),
            }
        }
        let (least, most) = inside.split_once(',').unwrap_or((&inside, ""));
        if least.is_empty() || most.contains(',') {
            return Err(format!("`{{{inside}}}` is no count"));
        }
        self.made.extend(["{", &inside, "}"]);
        Ok(())
    }

    /// What follows a backslash outside a class.
    fn escape(&mut self) -> Result<(), String> {
        match self.rest.next() {
            Some(c @ ('n' | 'r' | 't')) => {
                self.made.push('\\');
                self.made.push(c);
            }
            Some(c @ ('p' | 'P')) => self.category(c)?,
            Some(c) if is_escapable(c) => self.literal(c),
            Some(c) => return Err(unescapable(c)),
            None => return Err("it ends in `\\`".to_owned()),
        }
        Ok(())
    }

    /// `{Lu}` after `\p` or `\P`.
    fn category(&mut self, letter: char) -> Result<(), String> {
        let mut name = String::new();
        let opened = self.rest.next() == Some('{');
        loop {
            match self.rest.next() {
                Some('}') if opened && CATEGORIES.contains(&name.as_str()) => break,
                Some(c) if opened && c.is_ascii_alphabetic() && name.len() < 2 => name.push(c),
                _ => {
                    return Err(format!(
                        "`\\{letter}` has a general category after it, such as `\\{letter}{{Lu}}`"
                    ));
                }
            }
        }
        self.made.extend(['\\', letter, '{']);
        self.made.extend([&name, "}"]);
        Ok(())
    }

    /// A class, after its bracket.
    fn class(&mut self) -> Result<(), String> {
        let open = || "`[` is not closed".to_owned();
        self.made.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.made.push('^');
        }
        let mut first = true;
        loop {
            match self.rest.next().ok_or_else(open)? {
                ']' if first => return Err("`[]` has nothing in it".to_owned()),
                ']' => break,
                '-' if first || self.rest.peek() == Some(&']') => self.made.push_str("\\-"),
                '-' => return Err("`-` in `[…]` is written `\\-`, or first or last".to_owned()),
                '[' => return Err("`[` in `[…]` is written `\\[`".to_owned()),
                '\\' if matches!(self.rest.peek(), Some('p' | 'P')) => {
                    let letter = self.rest.next().unwrap_or('p');
                    self.category(letter)?;
                }
                c => {
                    let from = self.member(c)?;
                    member(&mut self.made, from);
                    let mut ahead = self.rest.clone();
                    if ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']') {
                        self.rest.next();
                        let to = self.rest.next().ok_or_else(open)?;
                        let to = self.member(to)?;
                        if to < from {
                            return Err(format!("`{from}-{to}` goes backwards"));
                        }
                        self.made.push('-');
                        member(&mut self.made, to);
                    }
                }
            }
            first = false;
        }
        self.made.push(']');
        Ok(())
    }

    /// The character that `c` and what follows it stand for in a class.
    fn member(&mut self, c: char) -> Result<char, String> {
        match c {
            '\\' => match self.rest.next() {
                Some('n') => Ok('\n'),
                Some('r') => Ok('\r'),
                Some('t') => Ok('\t'),
                Some(c) if is_escapable(c) => Ok(c),
                Some(c) => Err(unescapable(c)),
                None => Err("it ends in `\\`".to_owned()),
            },
            '[' | ']' | '-' => Err(format!("`{c}` in `[…]` is written `\\{c}`")),
            c => Ok(c),
        }
    }
}

/// Writes a character into a class of the engine, where more characters are special than in I-Regexp.
fn member(made: &mut String, c: char) {
    if c.is_ascii_punctuation() {
        made.push('\\');
    }
    made.push(c);
}

fn is_escapable(c: char) -> bool {
    // The RFC has no escape for `$`, and no way to say it where it is an anchor.
    matches!(
        c,
        '(' | ')' | '*' | '+' | '-' | '.' | '?' | '[' | '\\' | ']' | '^' | '{' | '|' | '}' | '$'
    )
}

fn unescapable(c: char) -> String {
    let instead = match c {
        'd' => "; write `[0-9]`",
        'w' => "; write `[A-Za-z0-9_]`",
        's' => "; write `[ \\t\\n\\r]`",
        _ => "",
    };
    format!("there is no `\\{c}`{instead}")
}

/// Unicode's general categories, as the RFC lists them.
const CATEGORIES: [&str; 36] = [
    "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P", "Pc",
    "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Z", "Zl", "Zp", "Zs", "S", "Sc", "Sk", "Sm", "So", "C",
    "Cc", "Cf", "Cn", "Co",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_the_rfc_says() {
        let check = |pattern: &str, text: &str, expected: bool| {
            let made = compile(pattern, true).unwrap();
            assert_eq!(made.is_match(text), expected, "{pattern} on {text:?}");
        };
        check("a.c", "a\u{2028}c", true);
        check("a.c", "a\rc", false);
        check("a|b", "ab", false);
        check("(ab)+", "abab", true);
        check("[a-c]{2,3}", "abcd", false);
        check("[-x]", "-", true);
        check("[x-]", "-", true);
        check("[^&&]", "&", false);
        check("[a~~b]", "~", true);
        check(r"[\]\\]", "]", true);
        check(r"\p{Lu}\P{Lu}", "Жж", true);
        check(r"[\p{Nd}_]+", "1_2", true);
        check("#x y", "#x y", true);
        check("", "", true);
    }

    #[test]
    fn patterns_of_other_dialects_are_refused() {
        for bad in [
            r"\d",
            r"\w+",
            r"\b",
            "(?i)a",
            "(?:a)",
            "a+?",
            "a**",
            "*",
            "a{,2}",
            "a{2",
            "a{3,2}",
            "[",
            "[]",
            "[a",
            "[[:alpha:]]",
            "[b-a]",
            "[a-b-c]",
            "(",
            ")",
            "a]",
            "a}",
            r"\p{Greek}",
            r"\p",
            r"\",
            r"[\d]",
            "a{99999}{99999}",
        ] {
            assert!(compile(bad, true).is_err(), "{bad}");
        }
    }
}
