//! Where the segments of a JSONPath stand in its text.

use std::ops::Range;

/// The stretches of the segments of a path that is known to be right: `.name`, `[…]`, either after `..`.
pub(crate) fn segments(path: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 1;
    while let Some(rest) = path.get(at..) {
        let blanks = rest.len() - rest.trim_start().len();
        at += blanks;
        let rest = path.get(at..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
        let dots = rest.len() - rest.trim_start_matches('.').len();
        let named = rest.get(dots..).unwrap_or_default();
        let length = if named.starts_with('[') {
            bracket(named)
        } else {
            let end = |c: char| c == '.' || c == '[' || c.is_whitespace();
            named.find(end).unwrap_or(named.len())
        };
        let end = at + dots + length;
        if end == at {
            break;
        }
        found.push(at..end);
        at = end;
    }
    found
}

/// Length up to the bracket that closes the first one.
fn bracket(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in outside_quotes(text) {
        match c {
            '[' => depth += 1,
            ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// The characters that are in no quotes, with their places.
pub(crate) fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    let mut escaped = false;
    text.char_indices().filter(move |(_, c)| match quote {
        Some(_) if escaped => {
            escaped = false;
            false
        }
        Some(_) if *c == '\\' => {
            escaped = true;
            false
        }
        Some(open) => {
            if *c == open {
                quote = None;
            }
            false
        }
        None if matches!(c, '\'' | '"') => {
            quote = Some(*c);
            false
        }
        None => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_told_apart() {
        let check = |path: &str, expected: &[&str]| {
            let seen: Vec<&str> = segments(path)
                .into_iter()
                .map(|range| &path[range])
                .collect();
            assert_eq!(seen, expected, "{path}");
        };
        check("$", &[]);
        check("$.heard.text", &[".heard", ".text"]);
        check("$['heard'].words[0]", &["['heard']", ".words", "[0]"]);
        check("$.a['x]y'].b", &[".a", "['x]y']", ".b"]);
        check("$.a[?@['b'] == ']'].c", &[".a", "[?@['b'] == ']']", ".c"]);
        check("$..name", &["..name"]);
        check("$.a [0] .b", &[".a", "[0]", ".b"]);
        check("$.é['\\''].b", &[".é", "['\\'']", ".b"]);
    }
}
