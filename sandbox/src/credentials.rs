//! The credentials that the sandbox accepts, as configuration.
//!
//! Every vendor accepts two, so that two accounts at one vendor can be tried: the printed one, and the same with `-2`
//! behind its key (and its key id or the like, where there is one). The ledger tells them apart as `NAME` and `NAME-2`.

use std::fmt::Write as _;

use crate::serve;

/// An `accounts:` section in which each account is named after its vendor and points at `base_url`
/// (`http://HOST:PORT`, no slash at its end).
pub fn print_config(base_url: &str) -> String {
    let mut text = String::from("accounts:\n");
    for (name, fields) in serve::accounts(base_url.trim_end_matches('/')) {
        let _ = write!(text, "  {name}: {{ vendor: {name}");
        for (field, value) in fields {
            let _ = write!(text, ", {field}: {}", quoted(&value));
        }
        text.push_str(" }\n");
    }
    text
}

/// A YAML scalar: plain where that is safe.
fn quoted(value: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    let starts = value.starts_with(|letter: char| letter.is_ascii_alphabetic());
    if starts && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("{}", serde_json::Value::from(value))
    }
}
