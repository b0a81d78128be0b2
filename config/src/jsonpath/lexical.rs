//! What the library's parser gets wrong about characters, looked at before it: its grammar skips blanks within names and
//! after dots, and takes time that doubles with each function in a function. And its messages, in words.

use super::PathError;

/// What is wrong with `match(…) == true`.
pub(super) const CONDITIONS: &str = "`match` and `search` are conditions, and have no value to use";
/// Functions in one path.
const FUNCTIONS: usize = 8;
/// Brackets in brackets.
const DEPTH: usize = 32;

/// Refuses what the parser must not see.
pub(super) fn check(text: &str) -> Result<(), PathError> {
    let refuse = |why: String| Err(PathError(why));
    let mut quote = None;
    let mut escaped = false;
    let mut depth: usize = 0;
    let mut functions = 0;
    let mut before = ' ';
    let mut blank = false;
    for c in text.chars() {
        if let Some(open) = quote {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == open {
                quote = None;
            }
            before = c;
            continue;
        }
        if matches!(c, ' ' | '\t' | '\n' | '\r') {
            if before == '.' {
                return refuse("a blank stands after a dot".to_owned());
            }
            blank = true;
            continue;
        }
        if c.is_whitespace() {
            return refuse("a name with blanks is written in quotes: `['a name']`".to_owned());
        }
        if blank && is_word(before) && is_word(c) {
            return refuse("a name with blanks is written in quotes: `['a name']`".to_owned());
        }
        match c {
            '\'' | '"' => quote = Some(c),
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        functions += usize::from(c == '(' && is_word(before));
        if depth > DEPTH {
            return refuse(format!("its brackets are more than {DEPTH} deep"));
        }
        if functions > FUNCTIONS {
            return refuse(format!("it has more than {FUNCTIONS} functions"));
        }
        before = c;
        blank = false;
    }
    Ok(())
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

/// The parser's complaint in words: it says where it stopped, and names rules of its grammar that mean nothing to others.
pub(super) fn explain(text: &str, said: &str) -> PathError {
    let stopped = said
        .split_once("--> ")
        .and_then(|(_, place)| place.lines().next()?.split_once(':'))
        .and_then(|(line, column)| Some((line.parse().ok()?, column.trim().parse().ok()?)));
    if said.contains("is not comparable") {
        return PathError(CONDITIONS.to_owned());
    }
    let Some((line, column)) = stopped else {
        let said = said
            .strip_prefix("Invalid json path: ")
            .unwrap_or(said)
            .trim_end();
        return PathError(format!("the parser says \"{said}\""));
    };
    let line: usize = line;
    let column: usize = column;
    let rest: String = text
        .split('\n')
        .skip(line.saturating_sub(1))
        .collect::<Vec<_>>()
        .join("\n")
        .chars()
        .skip(column.saturating_sub(1))
        .collect();
    PathError(if rest.trim().is_empty() {
        "it ends too early".to_owned()
    } else {
        let shown: String = rest.chars().take(24).collect();
        let more = if shown.len() < rest.len() { "…" } else { "" };
        // The most usual slip there is.
        let hint = if rest.starts_with('-') {
            "; a name with `-` is written in quotes: `['a-name']`"
        } else {
            ""
        };
        format!("it makes no sense from `{shown}{more}` on{hint}")
    })
}
