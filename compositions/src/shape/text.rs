//! Shapes in words, for messages.

use std::fmt;

use super::Shape;

/// Most words of a choice that are told.
const TOLD: usize = 6;

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Nothing => f.write_str("nothing"),
            Self::Bool => f.write_str("true or false"),
            Self::Integer => f.write_str("a whole number"),
            Self::Number => f.write_str("a number"),
            Self::Text(words) => match words.as_slice() {
                [] => f.write_str("a text"),
                [word] => write!(f, "the text `{}`", short(word)),
                words => {
                    let told: Vec<String> = words
                        .iter()
                        .take(TOLD)
                        .map(|word| format!("`{}`", short(word)))
                        .collect();
                    let more = words.len().saturating_sub(TOLD);
                    write!(f, "one of {}", told.join(", "))?;
                    if more > 0 {
                        write!(f, " and {more} more")?;
                    }
                    Ok(())
                }
            },
            Self::Blob => f.write_str("a blob"),
            Self::List(item) => match item.as_ref() {
                Self::Any => f.write_str("a list"),
                item => write!(f, "a list (of: {item})"),
            },
            Self::Object { .. } => f.write_str("an object"),
            Self::Optional(inner) => write!(f, "{inner}, or nothing"),
        }
    }
}

fn short(word: &str) -> String {
    const MOST: usize = 24;
    if word.chars().count() <= MOST {
        word.to_owned()
    } else {
        let start: String = word.chars().take(MOST).collect();
        format!("{start}…")
    }
}
