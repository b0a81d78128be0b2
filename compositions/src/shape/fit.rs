//! Whether what a value can be fits where it is given.

use super::Shape;

/// Why a value does not fit. `within` is the way down to what does not, such as `.words[*].text`; mostly empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Misfit {
    /// It is something else.
    Kind {
        within: String,
        is: Shape,
        wanted: Shape,
    },
    /// It may be absent, and must not be.
    Absent { within: String, wanted: Shape },
    /// A member that is wanted is never there.
    Missing { within: String, name: String },
    /// A member that is not taken is there.
    Extra { within: String, name: String },
}

impl Shape {
    /// Whether every value of this shape that can be known to be wrong for `wanted` is ruled out.
    pub(crate) fn fits(&self, wanted: &Self) -> Result<(), Misfit> {
        fit(self, wanted, "")
    }

    /// Whether some value could be of both shapes.
    pub(crate) fn can_equal(&self, other: &Self) -> bool {
        match (self.present(), other.present()) {
            (Self::Any | Self::Nothing, _) | (_, Self::Any | Self::Nothing) => true,
            (Self::Integer | Self::Number, Self::Integer | Self::Number) => true,
            (Self::Text(one), Self::Text(two)) => {
                one.is_empty() || two.is_empty() || one.iter().any(|word| two.contains(word))
            }
            (Self::List(one), Self::List(two)) => one.can_equal(two),
            (Self::Object { .. }, Self::Object { .. }) => true,
            (one, two) => std::mem::discriminant(one) == std::mem::discriminant(two),
        }
    }
}

fn fit(is: &Shape, wanted: &Shape, within: &str) -> Result<(), Misfit> {
    let other = || {
        Err(Misfit::Kind {
            within: within.to_owned(),
            is: is.clone(),
            wanted: wanted.clone(),
        })
    };
    match (is, wanted) {
        (Shape::Any, _) | (_, Shape::Any) => Ok(()),
        (Shape::Nothing, Shape::Optional(_) | Shape::Nothing) => Ok(()),
        (Shape::Optional(inner), Shape::Optional(wanted)) => fit(inner, wanted, within),
        (Shape::Optional(inner), _) => {
            fit(inner, wanted, within)?;
            Err(Misfit::Absent {
                within: within.to_owned(),
                wanted: wanted.clone(),
            })
        }
        (is, Shape::Optional(wanted)) => fit(is, wanted, within),
        (Shape::Bool, Shape::Bool)
        | (Shape::Integer, Shape::Integer | Shape::Number)
        | (Shape::Number, Shape::Number)
        | (Shape::Blob, Shape::Blob) => Ok(()),
        (Shape::Text(words), Shape::Text(known)) => {
            // A text that is not known until it runs may be one of the words.
            if known.is_empty() || words.is_empty() || words.iter().any(|word| known.contains(word))
            {
                Ok(())
            } else {
                other()
            }
        }
        (Shape::List(item), Shape::List(wanted)) => fit(item, wanted, &format!("{within}[*]")),
        (
            Shape::Object { fields, others },
            Shape::Object {
                fields: wanted,
                others: more,
            },
        ) => {
            for (name, shape) in wanted {
                match fields.get(name) {
                    Some(is) => fit(is, shape, &format!("{within}.{name}"))?,
                    None if others.is_some() || shape.is_optional() || *shape == Shape::Any => {}
                    None => {
                        return Err(Misfit::Missing {
                            within: within.to_owned(),
                            name: name.clone(),
                        });
                    }
                }
            }
            for (name, is) in fields {
                match more {
                    _ if wanted.contains_key(name) => {}
                    Some(more) => fit(
                        is,
                        &more.as_ref().clone().optional(),
                        &format!("{within}.{name}"),
                    )?,
                    None => {
                        return Err(Misfit::Extra {
                            within: within.to_owned(),
                            name: name.clone(),
                        });
                    }
                }
            }
            Ok(())
        }
        _ => other(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(is: &str, wanted: &str, expected: &str) {
        let read = |text: &str| super::super::notation(text).unwrap().shape;
        let seen = match read(is).fits(&read(wanted)) {
            Ok(()) => "fits".to_owned(),
            Err(Misfit::Kind { within, is, wanted }) => format!("{within} is {is}, not {wanted}"),
            Err(Misfit::Absent { within, .. }) => format!("{within} may be absent"),
            Err(Misfit::Missing { within, name }) => format!("{within} has no {name}"),
            Err(Misfit::Extra { within, name }) => format!("{within} has {name}"),
        };
        assert_eq!(seen, expected, "{is} to {wanted}");
    }

    #[test]
    fn what_is_not_known_fits_everywhere() {
        for wanted in [
            "string",
            "list(integer)",
            "blob",
            "boolean?",
            "object",
            "enum(a)",
        ] {
            check("any", wanted, "fits");
            check(wanted, "any", "fits");
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        check("integer", "number", "fits");
        check("number", "integer", " is a number, not a whole number");
        check("string", "integer", " is a text, not a whole number");
        check("boolean", "string", " is true or false, not a text");
        check("blob", "string", " is a blob, not a text");
        check(
            "list(string)",
            "list(number)",
            "[*] is a text, not a number",
        );
        check("object", "list(any)", " is an object, not a list");
    }

    #[test]
    fn choices_overlap_or_not() {
        check("enum(a, b)", "enum(b, c)", "fits");
        check("string", "enum(b, c)", "fits");
        check(
            "enum(a)",
            "enum(b, c)",
            " is the text `a`, not one of `b`, `c`",
        );
        check("enum(a)", "string", "fits");
    }

    #[test]
    fn what_may_be_absent_fits_only_what_may() {
        check("string?", "string?", "fits");
        check("string?", "string", " may be absent");
        check("string", "string?", "fits");
        check("string?", "integer", " is a text, not a whole number");
        check("list(string?)", "list(string)", "[*] may be absent");
    }

    #[test]
    fn members_are_looked_at() {
        let object = |fields: &[(&str, Shape)], others: Option<Shape>| Shape::Object {
            fields: fields
                .iter()
                .map(|(name, shape)| ((*name).to_owned(), shape.clone()))
                .collect(),
            others: others.map(Box::new),
        };
        let wanted = object(
            &[("a", Shape::text()), ("b", Shape::Integer.optional())],
            None,
        );
        let fits = |is: Shape| is.fits(&wanted).is_ok();
        assert!(fits(object(&[("a", Shape::text())], None)));
        assert!(fits(object(&[], Some(Shape::Any))));
        assert!(!fits(object(&[("b", Shape::Integer)], None)));
        assert!(!fits(object(
            &[("a", Shape::text()), ("c", Shape::Bool)],
            None
        )));
        assert!(!fits(object(&[("a", Shape::Bool)], None)));
        let texts = object(&[], Some(Shape::text()));
        assert!(object(&[("x", Shape::text())], None).fits(&texts).is_ok());
        assert!(object(&[("x", Shape::Bool)], None).fits(&texts).is_err());
    }

    #[test]
    fn only_what_could_be_the_same_is_compared() {
        let equal = |one: &Shape, two: &Shape| one.can_equal(two);
        assert!(equal(&Shape::Integer, &Shape::Number));
        assert!(equal(&Shape::text().optional(), &Shape::Nothing));
        assert!(!equal(&Shape::text(), &Shape::Number));
        assert!(!equal(
            &Shape::Text(vec!["a".to_owned()]),
            &Shape::Text(vec!["b".to_owned()])
        ));
    }
}
