//! The shape that two shapes have in common.

use std::collections::BTreeMap;

use super::Shape;

impl Shape {
    /// What a value is that is of one shape or the other; `None` if they have nothing in common.
    pub(crate) fn join(&self, other: &Self) -> Option<Self> {
        Some(match (self, other) {
            (one, two) if one == two => one.clone(),
            (Self::Any, _) | (_, Self::Any) => Self::Any,
            (Self::Nothing, known) | (known, Self::Nothing) => known.clone().optional(),
            (Self::Optional(one), Self::Optional(two)) => one.join(two)?.optional(),
            (Self::Optional(one), two) | (two, Self::Optional(one)) => one.join(two)?.optional(),
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Self::Number,
            (Self::Text(one), Self::Text(two)) => {
                if one.is_empty() || two.is_empty() {
                    Self::text()
                } else {
                    let more = two.iter().filter(|word| !one.contains(word));
                    Self::Text(one.iter().chain(more).cloned().collect())
                }
            }
            (Self::List(one), Self::List(two)) => Self::List(Box::new(one.join(two)?)),
            (
                Self::Object { fields, others },
                Self::Object {
                    fields: second,
                    others: more,
                },
            ) => {
                let mut joined = BTreeMap::new();
                let names = fields.keys().chain(second.keys());
                for name in names {
                    let shape = match (fields.get(name), second.get(name)) {
                        (Some(one), Some(two)) => one.join(two).unwrap_or(Self::Any),
                        (Some(one), None) | (None, Some(one)) => one.clone().optional(),
                        (None, None) => continue,
                    };
                    joined.insert(name.clone(), shape);
                }
                let shared = fields.keys().any(|name| second.contains_key(name));
                if !shared && !fields.is_empty() && !second.is_empty() {
                    return None;
                }
                let others = match (others, more) {
                    (None, None) => None,
                    (Some(one), None) | (None, Some(one)) => Some(one.clone()),
                    (Some(one), Some(two)) => Some(Box::new(one.join(two).unwrap_or(Self::Any))),
                };
                Self::Object {
                    fields: joined,
                    others,
                }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(one: &str, two: &str, expected: Option<&str>) {
        let read = |text: &str| super::super::notation(text).unwrap().shape;
        let expected = expected.map(read);
        assert_eq!(read(one).join(&read(two)), expected, "{one} and {two}");
        if !one.starts_with("enum") {
            assert_eq!(read(two).join(&read(one)), expected, "{two} and {one}");
        }
    }

    #[test]
    fn shapes_have_something_in_common_or_not() {
        check("integer", "number", Some("number"));
        check("string?", "string", Some("string?"));
        check("enum(a, b)", "enum(b, c)", Some("enum(a, b, c)"));
        check("enum(a)", "string", Some("string"));
        check("list(integer)", "list(number?)", Some("list(number?)"));
        check("any", "blob", Some("any"));
        check("string", "integer", None);
        check("object", "list(any)", None);
    }

    #[test]
    fn members_of_one_alone_may_be_absent() {
        let one = Shape::object([("a", Shape::text()), ("b", Shape::Bool)]);
        let two = Shape::object([("a", Shape::text()), ("c", Shape::Integer)]);
        let joined = one.join(&two).unwrap();
        assert_eq!(joined.member("a"), Ok(Shape::text()));
        assert_eq!(joined.member("b"), Ok(Shape::Bool.optional()));
        assert!(joined.member("d").is_err());
        let three = Shape::object([("d", Shape::text())]);
        assert_eq!(one.join(&three), None);
    }
}
