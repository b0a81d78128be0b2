//! How deep an expression is, looked at before its parser: that calls itself for every bracket and operator on the way
//! down and has no limit of its own that holds, so a hostile expression would use up the stack and end the process.

/// Deepest way down, as weighed below; far more than a person would write.
const DEEPEST: usize = 32;
/// What a bracket weighs; an operator weighs 1.
const BRACKET: usize = 4;

/// Refuses expressions that are too deep, and those whose texts the parser could read in another way than this does.
pub(crate) fn check(expression: &str) -> Result<(), String> {
    let mut groups = vec![Group::default()];
    let mut rest = expression.chars();
    let mut word = String::new();
    let mut before = ' ';
    while let Some(c) = rest.next() {
        if is_word(c) {
            if !is_word(before) {
                word.clear();
            }
            word.push(c);
            before = c;
            continue;
        }
        let group = groups.last_mut().ok_or("a bracket closes nothing")?;
        if is_word(before) && word == "in" {
            group.operators += 1;
        }
        match c {
            '\'' | '"' => {
                let prefix = if is_word(before) {
                    word.to_ascii_lowercase()
                } else {
                    String::new()
                };
                let raw = match prefix.as_str() {
                    "" | "b" => false,
                    "r" | "br" | "rb" => true,
                    _ => return Err(format!("a text stands right behind `{word}`")),
                };
                skip_text(&mut rest, c, raw)?;
            }
            '/' if rest.as_str().starts_with('/') => {
                rest.find(|c| *c == '\n');
            }
            '(' | '[' | '{' => {
                // A call, an index: it belongs to what is before it.
                group.operators +=
                    usize::from(is_word(before) || matches!(before, ')' | ']' | '}'));
                groups.push(Group::default());
            }
            ')' | ']' | '}' => {
                let closed = groups.pop().unwrap_or_default().depth() + BRACKET;
                let outer = groups.last_mut().ok_or("a bracket closes nothing")?;
                outer.deepest = outer.deepest.max(closed);
            }
            ',' => group.next(),
            '&' | '|' if before == c => group.next(),
            '+' | '-' | '*' | '/' | '%' | '<' | '>' | '?' => group.operators += 1,
            '=' if matches!(before, '=' | '!') => group.operators += 1,
            _ => {}
        }
        if !c.is_whitespace() {
            before = c;
        } else if is_word(before) {
            before = ' ';
        }
    }
    let depth = groups.iter().rev().fold(0, |inner, group| {
        group.depth().max(group.operators + inner) + BRACKET
    });
    if depth > DEEPEST + BRACKET {
        return Err("it is too deep; use fewer brackets and operators in one term".to_owned());
    }
    Ok(())
}

/// What stands between two brackets.
#[derive(Default)]
struct Group {
    /// Operators since the last `,`, `&&` or `||`.
    operators: usize,
    /// The deepest bracket since then.
    deepest: usize,
    /// The deepest of what was before.
    done: usize,
}

impl Group {
    fn depth(&self) -> usize {
        self.done.max(self.operators + self.deepest)
    }

    fn next(&mut self) {
        self.done = self.depth();
        self.operators = 0;
        self.deepest = 0;
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Goes behind a text's closing quote. A text that the parser would not take for one is refused: it would go on within it.
fn skip_text(rest: &mut std::str::Chars<'_>, quote: char, raw: bool) -> Result<(), String> {
    let open = || "a text is not closed".to_owned();
    let three = String::from_iter([quote; 3]);
    let long = rest
        .as_str()
        .starts_with(three.get(1..).unwrap_or_default());
    if long {
        rest.nth(1);
    }
    loop {
        if long && rest.as_str().starts_with(&three) {
            rest.nth(2);
            return Ok(());
        }
        match rest.next().ok_or_else(open)? {
            c if c == quote && !long => return Ok(()),
            '\n' | '\r' if !long => return Err(open()),
            '\\' if !raw => {
                let escaped = rest.next().ok_or_else(open)?;
                let digits = match escaped {
                    'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' | '?' | '\'' | '"' | '`' => 0,
                    'x' | 'X' | '0'..='3' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => return Err(format!("a text has `\\{escaped}`, which is no escape")),
                };
                let radix = if escaped.is_ascii_digit() { 8 } else { 16 };
                if !(0..digits).all(|_| rest.next().is_some_and(|c| c.is_digit(radix))) {
                    return Err(format!(
                        "a text has `\\{escaped}` without its {digits} digits"
                    ));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_not_too_deep() {
        for good in [
            "request.method == 'GET'",
            "client.name in ['a', 'b'] && (request.path.startsWith('/x') || !(request.path == '/y'))",
            "size(request.headers.filter(h, h.startsWith('x-') && h.size() in [3, 4, (2 + 3) * 2])) > 0",
            &"request.path == '/a' || ".repeat(100),
            "'((((((((((((((((((((((((' == \"]]\\\"]]\" // ))))))))))",
            r"request.path.matches(r'\(\(\(\(') && '''it's (((((''' != ''",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_would_use_up_the_stack_is_refused() {
        let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(9), close.repeat(9));
        for bad in [
            nested("(", ")"),
            nested("[", "]"),
            nested("{1: ", "}"),
            nested("size(", ")"),
            nested("!(", ")"),
            nested("(", ""),
            nested("[1].all(x, ", ")"),
            format!("1{}", " + 1".repeat(40)),
            format!("1{}", "<1".repeat(40)),
            format!("a{}", "[0]".repeat(40)),
            format!("a{}", " in b".repeat(40)),
            format!("a{}", ".f()".repeat(40)),
            format!("((((1{})))) + 1 + 1", " + 1".repeat(20)),
        ] {
            assert!(check(&bad).is_err_and(|why| why.contains("deep")), "{bad}");
        }
        for bad in [
            "'",
            "'\\q((('",
            "'a\n'",
            "\"\"\"a\"",
            "'\\x0'",
            "a'b'",
            ")",
            "(1))",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
