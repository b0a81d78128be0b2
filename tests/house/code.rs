//! Rust as far as a search needs it: names and texts, without comments and tests.

/// A name, or a whole text within quotes.
pub(crate) struct Word {
    /// As written; a text in lower case.
    pub(crate) text: String,
    pub(crate) quoted: bool,
    /// From 1.
    pub(crate) line: usize,
}

impl Word {
    /// Whether a word of it is this one: `OpenAiAnswer`, `for_openai` and `"at OpenAI's"` have `openai`.
    pub(crate) fn has(&self, name: &str) -> bool {
        let lower = self.text.to_ascii_lowercase();
        lower.match_indices(name).any(|(at, _)| {
            let (before, within) = self.text.split_at(at);
            let after = &within[name.len()..];
            // A capital begins a word after a small letter, and ends one before it.
            let begins = before.chars().next_back().is_none_or(|c| {
                !c.is_ascii_alphanumeric()
                    || c.is_ascii_lowercase()
                        && within.starts_with(|c: char| c.is_ascii_uppercase())
            });
            let ends = after
                .chars()
                .next()
                .is_none_or(|c| !c.is_ascii_alphanumeric() || c.is_ascii_uppercase());
            begins && ends
        })
    }
}

/// Names and texts of code in order; without comments, and up to the tests below it.
pub(crate) fn words(code: &str) -> Vec<Word> {
    let code = code
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let mut words = Vec::new();
    let mut rest = code;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(hashes) = raw(rest) {
            let (open, close) = (2 + hashes, format!("\"{}", "#".repeat(hashes)));
            let length = rest[open..].find(&close).unwrap_or(rest.len() - open);
            words.push(quoted(&rest[open..open + length], line));
            (open + length + close.len()).min(rest.len())
        } else if first == '"' {
            let length = text_length(&rest[1..]);
            words.push(quoted(&rest[1..=length], line));
            (length + 2).min(rest.len())
        } else if first == '\'' {
            // A character, or the start of a lifetime's name.
            let bytes = rest.as_bytes();
            match (bytes.get(1), bytes.get(2), bytes.get(3)) {
                (Some(b'\\'), _, Some(b'\'')) => 4,
                (_, Some(b'\''), _) => 3,
                _ => 1,
            }
        } else if first.is_ascii_alphanumeric() || first == '_' {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            words.push(Word {
                text: rest[..end].to_owned(),
                quoted: false,
                line,
            });
            end
        } else {
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    words
}

fn quoted(text: &str, line: usize) -> Word {
    Word {
        text: text.to_ascii_lowercase(),
        quoted: true,
        line,
    }
}

/// Hashes of a raw text that begins here.
fn raw(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

/// Bytes up to the quote that ends a text.
fn text_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return at,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}
