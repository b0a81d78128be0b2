//! Tags and entities in texts: HTML and XML whose text is translated, SSML that is spoken.

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

/// The text with each tag replaced by as many spaces as it has code points, so that places stay what they are.
pub(crate) fn blanked(text: &str) -> String {
    let blank = |piece: Piece<'_>| match piece {
        Piece::Tag(tag) => " ".repeat(tag.chars().count()),
        Piece::Text(text) => text.to_owned(),
    };
    pieces(text).into_iter().map(blank).collect()
}

const NAMED: [(&str, char); 6] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
];

/// Entities become what they stand for; unknown ones stay.
pub(crate) fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let entity = after
            .split_once(';')
            .and_then(|(name, tail)| Some((character(name)?, tail)));
        if let Some((letter, tail)) = entity {
            plain.push(letter);
            rest = tail;
        } else {
            plain.push('&');
            rest = after;
        }
    }
    plain.push_str(rest);
    plain
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    let found = NAMED.iter().find(|(known, _)| *known == name);
    found.map(|(_, letter)| *letter)
}

/// The five characters of HTML as entities, the apostrophe by its number.
pub(crate) fn escaped(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => marked.push_str("&amp;"),
            '<' => marked.push_str("&lt;"),
            '>' => marked.push_str("&gt;"),
            '"' => marked.push_str("&quot;"),
            '\'' => marked.push_str("&#39;"),
            letter => marked.push(letter),
        }
    }
    marked
}

/// A well-formed document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    /// In the order in which they begin; the first is the root.
    pub(crate) elements: Vec<Element>,
    /// All text, entities resolved, space at the ends removed.
    pub(crate) text: String,
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element {
    /// Its name with prefix.
    pub(crate) name: String,
    /// Names and values.
    pub(crate) attributes: Vec<(String, String)>,
}

impl Document {
    /// Name of the root.
    pub(crate) fn root(&self) -> &str {
        let root = self.elements.first();
        root.map_or("", |element| element.name.as_str())
    }

    /// An attribute of the first element of that name.
    pub(crate) fn attribute(&self, element: &str, name: &str) -> Option<&str> {
        let element = self.elements.iter().find(|known| known.name == element)?;
        let found = element.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Reads XML: one root, every element closed in order, every attribute quoted. `None` if it is not well-formed.
pub(crate) fn document(source: &str) -> Option<Document> {
    let mut elements = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut text = String::new();
    for piece in pieces(source) {
        match piece {
            Piece::Text(between) if open.is_empty() => between.trim().is_empty().then_some(())?,
            Piece::Text(between) => {
                (!between.contains('<')).then_some(())?;
                text.push_str(&unescaped(between));
            }
            Piece::Tag(tag) if tag.starts_with("<?") || tag.starts_with("<!") => {}
            Piece::Tag(tag) => {
                let inner = tag.get(1..tag.len() - 1)?;
                if let Some(name) = inner.strip_prefix('/') {
                    (open.pop()? == name.trim()).then_some(())?;
                    continue;
                }
                (!open.is_empty() || elements.is_empty()).then_some(())?;
                let (inner, empty) = match inner.strip_suffix('/') {
                    Some(inner) => (inner, true),
                    None => (inner, false),
                };
                let element = read_element(inner)?;
                if !empty {
                    open.push(element.name.clone());
                }
                elements.push(element);
            }
        }
    }
    (open.is_empty() && !elements.is_empty()).then(|| Document {
        elements,
        text: text.trim().to_owned(),
    })
}

fn read_element(inner: &str) -> Option<Element> {
    let end = inner.find(char::is_whitespace).unwrap_or(inner.len());
    let (name, mut rest) = inner.split_at(end);
    let mut attributes = Vec::new();
    while !rest.trim().is_empty() {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let quote = after
            .chars()
            .next()
            .filter(|quote| "\"'".contains(*quote))?;
        let (value, tail) = after.get(1..)?.split_once(quote)?;
        attributes.push((name.trim().to_owned(), unescaped(value)));
        rest = tail;
    }
    Some(Element {
        name: name.to_owned(),
        attributes,
    })
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

    #[test]
    fn a_text_is_cut_at_its_tags() {
        let text = "1 < 2 <b>good</b> <br/>😀<";
        let found = pieces(text);
        assert_eq!(
            found,
            [
                Piece::Text("1 < 2 "),
                Piece::Tag("<b>"),
                Piece::Text("good"),
                Piece::Tag("</b>"),
                Piece::Text(" "),
                Piece::Tag("<br/>"),
                Piece::Text("😀<"),
            ]
        );
        assert_eq!(blanked(text), "1 < 2    good          😀<");
    }

    #[test]
    fn entities_go_there_and_back() {
        assert_eq!(
            unescaped("a &amp; b &#39;c&#x27; &what; &"),
            "a & b 'c' &what; &"
        );
        let text = "Tom's \"<&>\"";
        assert_eq!(escaped(text), "Tom&#39;s &quot;&lt;&amp;&gt;&quot;");
        assert_eq!(unescaped(&escaped(text)), text);
    }

    #[test]
    fn documents_are_well_formed_or_none() {
        let speech = "<?xml version=\"1.0\"?><speak version='1.0' xml:lang=\"en-US\"><voice name=\"x\">Fish &amp; <break time=\"1s\"/>chips</voice></speak>";
        let read = document(speech).unwrap();
        assert_eq!((read.root(), read.text.as_str()), ("speak", "Fish & chips"));
        assert_eq!(read.attribute("voice", "name"), Some("x"));
        assert_eq!(read.attribute("speak", "xml:lang"), Some("en-US"));
        for broken in [
            "",
            "hello",
            "<speak>",
            "<speak>x</spoke>",
            "<speak><b>x</speak></b>",
            "<speak a=b>x</speak>",
            "<speak/><speak/>",
            "x<speak/>",
            "<speak>1 < 2</speak>",
        ] {
            assert_eq!(document(broken), None, "{broken}");
        }
    }
}
