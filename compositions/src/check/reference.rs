//! References: a JSONPath whose first name is an input, a step, the run or the item.

use isobar_config::{Hop, JsonPath, Node};

use super::{
    paths::{outside_quotes, segments},
    reading::Reading,
    scope::{NoRoot, ROOTS, Scope, Uses},
};
use crate::{
    plan::{Reference, Root},
    shape::{NoMember, Shape},
};

impl Reading<'_> {
    /// Reads a reference and says what it finds.
    pub(crate) fn reference(
        &mut self,
        node: &Node,
        text: &str,
        scope: &Scope<'_>,
        uses: &mut Uses,
    ) -> Option<(Reference, Shape)> {
        let path = match JsonPath::parse(text) {
            Ok(path) => path,
            Err(reason) => {
                self.error(
                    "E0701",
                    node.at,
                    format!("`{text}` is not a JSONPath: {reason}"),
                    "references are JSONPath (RFC 9535), such as `$.heard.words[*].text`; a text that really starts so is written `$$.`",
                );
                return None;
            }
        };
        let (hops, places) = (path.hops(), segments(text));
        let at = |segment: usize| {
            let place = places.get(segment).cloned().unwrap_or(0..text.len());
            // The name itself is what is wrong, and not the dot before it.
            let dots = text
                .get(place.clone())
                .map_or(0, |text| text.len() - text.trim_start_matches('.').len());
            (place.start + dots, place.len() - dots)
        };
        let Some((Hop::Name(name), rest)) = hops.split_first() else {
            self.error(
                "E1037",
                node.at,
                format!("`{text}` does not say first what it looks into"),
                format!(
                    "start with an input or a step: `$.input.…`, {}",
                    scope
                        .steps
                        .first()
                        .map_or("`$.STEP.…`".to_owned(), |step| format!(
                            "`$.{}.…`",
                            step.name
                        ))
                ),
            );
            return None;
        };
        let (start, length) = at(0);
        let whole = self.part(node, start, length);
        let root = self.root(name, whole, scope)?;
        let named: Vec<String> = rest
            .iter()
            .map_while(|hop| match hop {
                Hop::Name(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        uses.add(root.0, &named, whole);
        if root.0 == Root::Run
            && named.first().is_some_and(|name| name == "degraded")
            && !scope.answer
        {
            let (start, length) = at(1);
            let place = self.part(node, start, length);
            self.degraded(place);
            return None;
        }
        let below = text.get(places.first()?.end..).unwrap_or_default();
        if let Some((place, _)) = outside_quotes(below).find(|(_, c)| *c == '$') {
            let place = self.part(node, text.len() - below.len() + place, 1);
            self.error(
                "E0701",
                place,
                "`$` within a filter does not reach other steps",
                "filter with an expression: `= heard.words.filter(word, word.text == input.word)`",
            );
            return None;
        }
        let mut walk = Walk {
            path: vec![name.clone()],
            shape: root.1,
            several: None,
            straight: true,
        };
        for (index, hop) in rest.iter().enumerate() {
            if walk.straight && scope.is_present(&walk.path) {
                walk.shape = walk.shape.present().clone();
            }
            if let Err(wrong) = walk.go(hop) {
                let (start, length) = at(index + 1);
                let place = self.part(node, start, length);
                let so_far = text
                    .get(..places.get(index).map_or(0, |before| before.end))
                    .unwrap_or_default();
                self.no_member(place, so_far, hop, &wrong);
                return None;
            }
        }
        if walk.straight && scope.is_present(&walk.path) {
            walk.shape = walk.shape.present().clone();
        }
        let shape = walk.end();
        let blob = if shape.is_blob() {
            match rest {
                [] => Some(String::new()),
                [Hop::Name(member)] => Some(member.clone()),
                _ => {
                    self.error(
                        "E1028",
                        node.at,
                        format!("`{text}` is a blob within a list or further down"),
                        "a blob can be referred to as an input, as a step's output or as a member of it",
                    );
                    return None;
                }
            }
        } else {
            if within_list(&shape) {
                self.error(
                    "E1028",
                    node.at,
                    format!("`{text}` is a list of blobs"),
                    "the blobs of `each` are not kept; use the blob of a step that runs once",
                );
                return None;
            }
            None
        };
        let path = JsonPath::parse(&format!("${below}")).ok()?;
        Some((
            Reference {
                root: root.0,
                path,
                blob,
                text: text.to_owned(),
            },
            shape,
        ))
    }

    /// Whose value a name is; says so if it is nobody's.
    pub(crate) fn root(
        &mut self,
        name: &str,
        at: isobar_config::Span,
        scope: &Scope<'_>,
    ) -> Option<(Root, Shape)> {
        match scope.root(name) {
            Ok(found) => Some(found),
            Err(NoRoot::NoItem) => {
                self.error(
                    "E1036",
                    at,
                    format!("there is no `{name}` here"),
                    "only a step with `each` has an item: `each: $.heard.segments`",
                );
                None
            }
            Err(NoRoot::Own) => {
                self.error(
                    "E1012",
                    at,
                    format!("`{name}` waits for itself"),
                    "a step cannot look at its own output; only its `undo` can",
                );
                None
            }
            Err(NoRoot::Unknown) => {
                let message = format!("there is no step `{name}`");
                if scope.inputs.member(name).is_ok() {
                    let help = format!("inputs are in `input`: `$.input.{name}`, `input.{name}`");
                    self.error("E1001", at, message, help);
                } else {
                    let names = scope.names();
                    self.unknown("E1001", at, message, name, names, "name a step");
                }
                None
            }
        }
    }

    pub(crate) fn degraded(&mut self, at: isobar_config::Span) {
        self.error(
            "E1031",
            at,
            "which parts are degraded is known only when all steps have ended",
            "use it in `output`, `status` or `headers`",
        );
    }

    fn no_member(&mut self, at: isobar_config::Span, before: &str, hop: &Hop, wrong: &Wrong) {
        match (wrong, hop) {
            (Wrong::Member(NoMember::Unknown(known)), Hop::Name(name)) => {
                let message = format!("`{before}` has no field `{name}`");
                let known = known.iter().map(String::as_str);
                self.unknown("E1002", at, message, name, known, "it has no fields at all");
            }
            (Wrong::Member(_), Hop::Name(name)) => {
                self.error(
                    "E1002",
                    at,
                    format!("`{before}` is no object, and has no field `{name}`"),
                    "leave the field out; of a list take an item, `[0]`, or all of them, `[*]`",
                );
            }
            (Wrong::Is(shape), _) => {
                self.error(
                    "E1002",
                    at,
                    format!("`{before}` is {shape}, and has no items"),
                    "leave `[…]` out, or refer to a list",
                );
            }
            (Wrong::Member(_), _) => {}
        }
    }
}

/// A way down from a root.
struct Walk {
    path: Vec<String>,
    shape: Shape,
    /// Whether it may select several values, and then whether the list of them may be absent.
    several: Option<bool>,
    /// Whether there were only names so far.
    straight: bool,
}

/// Why a path leads nowhere.
enum Wrong {
    Member(NoMember),
    Is(Shape),
}

impl Walk {
    fn go(&mut self, hop: &Hop) -> Result<(), Wrong> {
        match hop {
            Hop::Name(name) => {
                self.shape = self.shape.member(name).map_err(Wrong::Member)?;
                self.path.push(name.clone());
            }
            Hop::Index(_) => {
                self.straight = false;
                self.shape = self.shape.item().ok_or_else(|| self.is())?;
            }
            Hop::Several => {
                self.straight = false;
                let whole = self.shape.is_optional();
                self.several.get_or_insert(whole);
                let present = self.shape.present();
                self.shape = match present {
                    Shape::Object { fields, others } => fields
                        .values()
                        .chain(others.as_deref())
                        .cloned()
                        .reduce(|one, two| one.join(&two).unwrap_or(Shape::Any))
                        .unwrap_or(Shape::Any),
                    Shape::Blob => Shape::Any,
                    list => list.item().ok_or_else(|| self.is())?,
                };
            }
            Hop::Deep => {
                self.straight = false;
                let whole = self.shape.is_optional();
                self.several.get_or_insert(whole);
                self.shape = Shape::Any;
            }
        }
        Ok(())
    }

    fn is(&self) -> Wrong {
        Wrong::Is(self.shape.present().clone())
    }

    fn end(self) -> Shape {
        match self.several {
            None => self.shape,
            Some(whole) => {
                let list = Shape::List(Box::new(self.shape));
                if whole { list.optional() } else { list }
            }
        }
    }
}

fn within_list(shape: &Shape) -> bool {
    match shape.present() {
        Shape::List(item) => item.is_blob() || within_list(item),
        _ => false,
    }
}

/// Whether a step cannot have this name.
pub(crate) fn is_reserved(name: &str) -> bool {
    const WORDS: [&str; 22] = [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "optional",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    ];
    ROOTS.contains(&name) || WORDS.contains(&name)
}
