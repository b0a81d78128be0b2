//! The notation of types: `string`, `list(enum(a, b))?`, `blob(25MB)`.

use super::Shape;

/// Largest blob unless it says otherwise, in bytes.
pub(crate) const BLOB: u64 = 25_000_000;
/// Largest blob that there can be, in bytes.
const LARGEST: u64 = 1_000_000_000;
/// Deepest that lists can be in lists.
const DEEPEST: usize = 8;
/// Most words of a choice.
const WORDS: usize = 100;

/// A type as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Noted {
    pub(crate) shape: Shape,
    /// Largest size, of a blob.
    pub(crate) most: Option<u64>,
}

/// Why a text is no type: where, in bytes; what is wrong; and what to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NoType {
    pub(crate) at: usize,
    pub(crate) length: usize,
    pub(crate) message: String,
    pub(crate) help: String,
    /// The word that should be a type's name.
    pub(crate) word: Option<String>,
}

/// Names of types.
pub(crate) const NAMES: [&str; 9] = [
    "string", "integer", "number", "boolean", "any", "object", "blob", "list", "enum",
];

/// Reads a type.
pub(crate) fn notation(text: &str) -> Result<Noted, NoType> {
    let mut reader = Reader { text, at: 0 };
    let noted = reader.kind(0)?;
    reader.blanks();
    if reader.at < text.len() {
        return Err(reader.wrong("nothing follows a type", "remove what stands behind it"));
    }
    Ok(noted)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn takes(&mut self, sign: char) -> bool {
        self.blanks();
        let there = self.rest().starts_with(sign);
        if there {
            self.at += sign.len_utf8();
        }
        there
    }

    /// What stands here, up to one of the signs that end a word.
    fn word(&mut self) -> (usize, String) {
        self.blanks();
        let rest = self.rest();
        let end = rest.find(['(', ')', ',', '?']).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        let start = self.at;
        let text = word.trim_end().to_owned();
        self.at += end;
        (start, text)
    }

    fn wrong(&self, message: &str, help: &str) -> NoType {
        NoType {
            at: self.at,
            length: self.rest().chars().next().map_or(0, char::len_utf8),
            message: message.to_owned(),
            help: help.to_owned(),
            word: None,
        }
    }

    fn close(&mut self) -> Result<(), NoType> {
        if self.takes(')') {
            Ok(())
        } else {
            Err(self.wrong("a bracket of the type is not closed", "add `)`"))
        }
    }

    fn kind(&mut self, depth: usize) -> Result<Noted, NoType> {
        if depth > DEEPEST {
            return Err(self.wrong(
                "lists are nested too deep",
                "8 levels are the most; use `any` for what is further down",
            ));
        }
        let (start, word) = self.word();
        let mut most = None;
        let mut shape = match word.as_str() {
            "string" => Shape::text(),
            "integer" => Shape::Integer,
            "number" => Shape::Number,
            "boolean" => Shape::Bool,
            "any" => Shape::Any,
            "object" => Shape::any_object(),
            "blob" => {
                most = Some(self.size()?);
                Shape::Blob
            }
            "list" => Shape::List(Box::new(self.item(depth)?)),
            "enum" => self.words()?,
            _ => {
                return Err(NoType {
                    at: start,
                    length: word.len(),
                    message: if word.is_empty() {
                        "a type is missing here".to_owned()
                    } else {
                        format!("`{word}` is not a type")
                    },
                    help: "types are `string`, `integer`, `number`, `boolean`, `any`, `object`, `blob(25MB)`, `list(string)` and `enum(a, b)`, each with `?` if it may be absent".to_owned(),
                    word: Some(word),
                });
            }
        };
        if self.takes('?') {
            shape = match shape {
                // What may be anything may be nothing, and then it need not be there.
                Shape::Any => Shape::Optional(Box::new(Shape::Any)),
                shape => shape.optional(),
            };
        }
        Ok(Noted { shape, most })
    }

    fn size(&mut self) -> Result<u64, NoType> {
        if !self.takes('(') {
            return Ok(BLOB);
        }
        let (start, word) = self.word();
        let wrong = |message: String| NoType {
            at: start,
            length: word.len(),
            message,
            help: "write the largest size, from `1B` to `1GB`: `blob(25MB)`".to_owned(),
            word: None,
        };
        let size =
            isobar_config::size(&word).ok_or_else(|| wrong(format!("`{word}` is not a size")))?;
        if !(1..=LARGEST).contains(&size) {
            return Err(wrong(format!("a blob of `{word}` is out of range")));
        }
        self.close()?;
        Ok(size)
    }

    fn item(&mut self, depth: usize) -> Result<Shape, NoType> {
        if !self.takes('(') {
            return Err(self.wrong(
                "it is not said what the list has",
                "write `list(string)`, or `list(any)` if it is not known",
            ));
        }
        self.blanks();
        let start = self.at;
        let item = self.kind(depth + 1)?;
        if item.most.is_some() {
            return Err(NoType {
                at: start,
                length: self.at - start,
                message: "a list cannot have blobs in it".to_owned(),
                help: "take one blob by an input of its own".to_owned(),
                word: None,
            });
        }
        self.close()?;
        Ok(item.shape)
    }

    fn words(&mut self) -> Result<Shape, NoType> {
        if !self.takes('(') {
            return Err(self.wrong(
                "it is not said which words may be chosen",
                "write `enum(a, b)`",
            ));
        }
        let mut words: Vec<String> = Vec::new();
        loop {
            let (start, word) = self.word();
            let wrong = |message: String| NoType {
                at: start,
                length: word.len(),
                message,
                help: "write the words between commas: `enum(short, long)`".to_owned(),
                word: None,
            };
            if word.is_empty() {
                return Err(wrong("a word of the choice is empty".to_owned()));
            }
            if words.contains(&word) {
                return Err(wrong(format!("`{word}` is there twice")));
            }
            if words.len() >= WORDS {
                return Err(wrong("these are more than 100 words".to_owned()));
            }
            words.push(word);
            if !self.takes(',') {
                break;
            }
        }
        self.close()?;
        Ok(Shape::Text(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Shape) {
        assert_eq!(notation(text).unwrap().shape, expected, "{text}");
    }

    #[test]
    fn types_are_read() {
        check("string", Shape::text());
        check(" number ? ", Shape::Number.optional());
        check("any?", Shape::Optional(Box::new(Shape::Any)));
        check("object", Shape::any_object());
        check(
            "list( list(integer?) )",
            Shape::List(Box::new(Shape::List(Box::new(Shape::Integer.optional())))),
        );
        check(
            "enum(a, b c)?",
            Shape::Text(vec!["a".to_owned(), "b c".to_owned()]).optional(),
        );
    }

    #[test]
    fn blobs_have_a_largest_size() {
        let most = |text: &str| notation(text).unwrap().most;
        assert_eq!(most("blob"), Some(25_000_000));
        assert_eq!(most("blob(1MB)?"), Some(1_000_000));
        assert_eq!(most("string"), None);
    }

    #[test]
    fn what_is_no_type_is_told_with_its_place() {
        for (text, at) in [
            ("", 0),
            ("text", 0),
            ("list", 4),
            ("list(strin)", 5),
            ("list(string", 11),
            ("list(blob)", 5),
            ("string string", 0),
            ("string?x", 7),
            ("enum()", 5),
            ("enum(a, a)", 8),
            ("blob(big)", 5),
            ("blob(2GB)", 5),
        ] {
            assert_eq!(notation(text).unwrap_err().at, at, "{text}");
        }
        let deep = "list(".repeat(40);
        assert!(notation(&deep).is_err());
    }
}
