//! Text between tags, for vendors that translate HTML and XML.

/// A stretch of marked-up text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// `<…>`, brackets included.
    Tag(&'a str),
    /// What stands between two tags; never empty.
    Text(&'a str),
}

/// Cuts at the tags. A bracket that opens no tag (`a < b`) is text.
pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices('<') {
        if at < start {
            continue;
        }
        let Some(tag) = tag(text.get(at..).unwrap_or_default()) else {
            continue;
        };
        push_text(&mut pieces, text.get(start..at));
        pieces.push(Piece::Tag(tag));
        start = at + tag.len();
    }
    push_text(&mut pieces, text.get(start..));
    pieces
}

/// Changes what stands between tags, and nothing inside the elements named in `kept`.
pub(crate) fn between_tags(text: &str, kept: &[String], change: impl Fn(&str) -> String) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut inside = 0_usize;
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) if inside == 0 => changed.push_str(&change(text)),
            Piece::Text(text) => changed.push_str(text),
            Piece::Tag(tag) => {
                changed.push_str(tag);
                if !kept.iter().any(|name| name == element(tag)) {
                    continue;
                }
                if tag.starts_with("</") {
                    inside = inside.saturating_sub(1);
                } else if !tag.ends_with("/>") {
                    inside += 1;
                }
            }
        }
    }
    changed
}

/// Everything but the tags.
pub(crate) fn without_tags(text: &str) -> String {
    let texts = pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Text(text) => Some(text),
        Piece::Tag(_) => None,
    });
    texts.collect()
}

/// The tag at the beginning.
fn tag(text: &str) -> Option<&str> {
    let after = text.chars().nth(1)?;
    let opens = after.is_ascii_alphabetic() || "/!?".contains(after);
    let end = text.find('>').filter(|_| opens)?;
    text.get(..=end)
}

/// The name of a tag's element.
fn element(tag: &str) -> &str {
    let rest = tag.trim_start_matches(['<', '/']);
    let end = rest.find(|letter: char| letter.is_whitespace() || "/>".contains(letter));
    rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
}

fn push_text<'a>(pieces: &mut Vec<Piece<'a>>, text: Option<&'a str>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        pieces.push(Piece::Text(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, kept: &[&str], expected: &str) {
        let kept: Vec<_> = kept.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            between_tags(text, &kept, str::to_uppercase),
            expected,
            "{text}"
        );
    }

    #[test]
    fn only_what_stands_between_tags_changes() {
        check(
            "<p class=\"a\">one <b>two</b></p> three",
            &[],
            "<p class=\"a\">ONE <b>TWO</b></p> THREE",
        );
        check("a < b and c > d", &[], "A < B AND C > D");
        check("an <open", &[], "AN <OPEN");
        check("", &[], "");
    }

    #[test]
    fn kept_elements_stay_whole() {
        check(
            "a <x i='1'>b <x>c</x> d</x><x/> e",
            &["x"],
            "A <x i='1'>b <x>c</x> d</x><x/> E",
        );
    }

    #[test]
    fn tags_are_taken_away() {
        assert_eq!(without_tags("<p>one <br/>two</p><!-- no -->"), "one two");
    }
}
