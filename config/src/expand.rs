//! `${VARIABLE}`, `${VARIABLE:-default}` and `file(path)` in texts. Expanded after parsing, so that what a variable
//! holds can never change the file's structure.

use std::{io, path::Path, time::SystemTime};

use crate::{diagnostic::Diagnostic, document::Node};

/// What a configuration may ask of the outside; checking itself touches nothing else.
pub trait Environment {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// The text of a file, relative to the configuration's folder.
    fn file(&self, path: &Path) -> io::Result<String>;

    /// The time, by which certificates are over; without one, none is.
    fn now(&self) -> Option<SystemTime> {
        None
    }
}

/// An outside with nothing in it.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// What a text stands for, with its variables put in or as the content of the file that it names, and whether any of it
/// came from outside.
pub fn expanded(
    node: &Node,
    text: &str,
    environment: &dyn Environment,
) -> Result<(String, bool), Diagnostic> {
    expand(node, text, environment).map(|expanded| (expanded.text, expanded.from_outside))
}

/// A text with what it named put in.
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Whether any of it came from outside the file.
    pub(crate) from_outside: bool,
}

/// Expands a text node's value.
pub(crate) fn expand(
    node: &Node,
    text: &str,
    environment: &dyn Environment,
) -> Result<Expanded, Diagnostic> {
    if let Some(path) = text
        .strip_prefix("file(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        return match environment.file(Path::new(path.trim())) {
            Ok(text) => Ok(Expanded {
                text: text.trim_end_matches(['\n', '\r']).to_owned(),
                from_outside: true,
            }),
            Err(error) => {
                let message = format!("the file `{}` cannot be read: {error}", path.trim());
                Err(Diagnostic::error("E0602", node.at, message)
                    .help("paths are relative to the configuration file"))
            }
        };
    }
    let mut expanded = Expanded {
        text: String::with_capacity(text.len()),
        from_outside: false,
    };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(literal) = before.strip_suffix('$') {
            expanded.text.push_str(literal);
            expanded.text.push_str("${");
            rest = after;
            continue;
        }
        expanded.text.push_str(before);
        let Some((inside, after)) = after.split_once('}') else {
            let message = "`${` has no `}`";
            return Err(Diagnostic::error("E0603", node.at, message)
                .help("write `${NAME}`, or `$${` for the characters themselves"));
        };
        let (name, default) = inside
            .split_once(":-")
            .map_or((inside, None), |(name, default)| (name, Some(default)));
        let good = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !good {
            let message = format!("`{name}` is not the name of a variable");
            return Err(Diagnostic::error("E0603", node.at, message)
                .help("names have letters, digits and `_`"));
        }
        let value = environment.variable(name);
        let Some(value) = value.as_deref().or(default) else {
            let message = format!("the variable `{name}` is not set");
            return Err(Diagnostic::error("E0601", node.at, message)
                .help(format!("set it, or give a default: `${{{name}:-default}}`")));
        };
        expanded.text.push_str(value);
        expanded.from_outside = true;
        rest = after;
    }
    expanded.text.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{document::Value, place::Span};

    struct One;

    impl Environment for One {
        fn variable(&self, name: &str) -> Option<String> {
            (name == "KEY").then(|| "secret".to_owned())
        }

        fn file(&self, path: &Path) -> io::Result<String> {
            if path == Path::new("a.key") {
                Ok("secret of a file\n".to_owned())
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        }
    }

    #[test]
    fn texts_tell_what_they_stand_for_and_whether_it_is_from_outside() {
        let check = |text: &str, expected: Option<(&str, bool)>| {
            let node = Node {
                value: Value::Text(text.to_owned()),
                at: Span::default(),
            };
            let seen = expanded(&node, text, &One).ok();
            let expected = expected.map(|(text, outside)| (text.to_owned(), outside));
            assert_eq!(seen, expected, "{text}");
        };
        check("plain", Some(("plain", false)));
        check("a ${KEY}", Some(("a secret", true)));
        check("${NONE:-b}", Some(("b", true)));
        check("$${KEY}", Some(("${KEY}", false)));
        check("file(a.key)", Some(("secret of a file", true)));
        for bad in ["${NONE}", "${KEY", "${a b}", "file(b.key)"] {
            check(bad, None);
        }
    }
}
