//! Percent-encoding as RFC 3986 and every signing scheme want it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Encodes all but the unreserved characters.
pub(super) const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The same for a whole path.
pub(super) const PATH: &AsciiSet = &VALUE.remove(b'/');

/// Names and values as a query or form; spaces as `%20`, which both read.
pub(super) fn encode_query(pairs: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, VALUE);
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stay() {
        let kept = "-._~0123456789ABCXYZabcxyz";
        assert_eq!(encode_query(&[(kept, kept)]), format!("{kept}={kept}"));
        assert_eq!(
            encode_query(&[("a b", "+&=/?#%*'()!ሴ"), ("c", "")]),
            "a%20b=%2B%26%3D%2F%3F%23%25%2A%27%28%29%21%E1%88%B4&c="
        );
        assert_eq!(utf8_percent_encode("/a b/", PATH).to_string(), "/a%20b/");
    }
}
