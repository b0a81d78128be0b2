//! From the library's model of a path to ours, with the types of RFC 9535, section 2.4.3, checked: what may be compared,
//! what is a condition, and what a function takes.

use jsonpath_rust::parser::model::{
    Comparable, Comparison, Filter, FilterAtom, FnArg, Literal, Segment as Parsed,
    Selector as ParsedSelector, SingularQuery, SingularQuerySegment, Test, TestFunction,
};
use serde_json::{Number, Value};

use super::{
    Condition, Operand, Operator, PathError, Pattern, Query, Segment, Selector, Step, lexical,
    pattern, singular,
};

type Compiled<T> = Result<T, PathError>;

pub(super) fn segments(parsed: &[Parsed]) -> Compiled<Vec<Segment>> {
    parsed.iter().map(segment).collect()
}

fn segment(parsed: &Parsed) -> Compiled<Segment> {
    Ok(match parsed {
        Parsed::Descendant(inner) => Segment {
            descendant: true,
            ..segment(inner)?
        },
        Parsed::Selector(one) => Segment {
            descendant: false,
            selectors: vec![selector(one)?],
        },
        Parsed::Selectors(several) => Segment {
            descendant: false,
            selectors: several.iter().map(selector).collect::<Compiled<_>>()?,
        },
    })
}

fn selector(parsed: &ParsedSelector) -> Compiled<Selector> {
    Ok(match parsed {
        ParsedSelector::Name(name) => Selector::Name(name.clone()),
        ParsedSelector::Wildcard => Selector::Wildcard,
        ParsedSelector::Index(index) => Selector::Index(*index),
        ParsedSelector::Slice(start, end, step) => Selector::Slice {
            start: *start,
            end: *end,
            step: step.unwrap_or(1),
        },
        ParsedSelector::Filter(filter) => Selector::Filter(condition(filter)?),
    })
}

fn condition(parsed: &Filter) -> Compiled<Condition> {
    Ok(match parsed {
        Filter::Or(several) => {
            Condition::Any(several.iter().map(condition).collect::<Compiled<_>>()?)
        }
        Filter::And(several) => {
            Condition::All(several.iter().map(condition).collect::<Compiled<_>>()?)
        }
        Filter::Atom(FilterAtom::Filter { expr, not }) => negated(condition(expr)?, *not),
        Filter::Atom(FilterAtom::Test { expr, not }) => negated(test(expr)?, *not),
        Filter::Atom(FilterAtom::Comparison(comparison)) => compared(comparison)?,
    })
}

fn negated(condition: Condition, not: bool) -> Condition {
    if not {
        Condition::Not(Box::new(condition))
    } else {
        condition
    }
}

fn test(parsed: &Test) -> Compiled<Condition> {
    match parsed {
        Test::RelQuery(_) | Test::AbsQuery(_) => Ok(Condition::Exists(query(parsed)?)),
        Test::Function(function) => match &**function {
            TestFunction::Match(value, pattern) => {
                Ok(Condition::Match(operand(value)?, matched(pattern, true)?))
            }
            TestFunction::Search(value, pattern) => {
                Ok(Condition::Match(operand(value)?, matched(pattern, false)?))
            }
            TestFunction::Custom(name, _) => Err(unknown(name)),
            TestFunction::Length(_) => Err(uncompared("length")),
            TestFunction::Count(_) => Err(uncompared("count")),
            TestFunction::Value(_) => Err(uncompared("value")),
        },
    }
}

fn compared(parsed: &Comparison) -> Compiled<Condition> {
    let operator = match parsed {
        Comparison::Eq(..) => Operator::Equal,
        Comparison::Ne(..) => Operator::NotEqual,
        Comparison::Gt(..) => Operator::Greater,
        Comparison::Gte(..) => Operator::GreaterOrEqual,
        Comparison::Lt(..) => Operator::Less,
        Comparison::Lte(..) => Operator::LessOrEqual,
    };
    let (left, right) = parsed.vals();
    Ok(Condition::Compare(
        comparable(left)?,
        operator,
        comparable(right)?,
    ))
}

fn comparable(parsed: &Comparable) -> Compiled<Operand> {
    Ok(match parsed {
        Comparable::Literal(written) => Operand::Literal(literal(written)?),
        Comparable::Function(function) => value_of(function)?,
        Comparable::SingularQuery(query) => {
            let (from_root, parsed) = match query {
                SingularQuery::Current(steps) => (false, steps),
                SingularQuery::Root(steps) => (true, steps),
            };
            let step = |parsed: &SingularQuerySegment| match parsed {
                SingularQuerySegment::Index(index) => Step::Index(*index),
                SingularQuerySegment::Name(name) => Step::Name(name.clone()),
            };
            Operand::Singular {
                from_root,
                steps: parsed.iter().map(step).collect(),
            }
        }
    })
}

/// A function whose result is a value.
fn value_of(parsed: &TestFunction) -> Compiled<Operand> {
    Ok(match parsed {
        TestFunction::Length(value) => Operand::Length(Box::new(operand(value)?)),
        TestFunction::Count(FnArg::Test(nodes)) => Operand::Count(query(nodes)?),
        TestFunction::Value(FnArg::Test(nodes)) => Operand::Value(query(nodes)?),
        TestFunction::Count(_) | TestFunction::Value(_) => return Err(no_query()),
        TestFunction::Match(..) | TestFunction::Search(..) => {
            return Err(PathError(lexical::CONDITIONS.to_owned()));
        }
        TestFunction::Custom(name, _) => return Err(unknown(name)),
    })
}

/// An argument that is a value.
fn operand(argument: &FnArg) -> Compiled<Operand> {
    match argument {
        FnArg::Literal(written) => Ok(Operand::Literal(literal(written)?)),
        FnArg::Test(test) => match &**test {
            Test::Function(function) => value_of(function),
            Test::RelQuery(_) | Test::AbsQuery(_) => {
                let Query {
                    from_root,
                    segments,
                } = query(test)?;
                match singular(&segments) {
                    Some(steps) => Ok(Operand::Singular { from_root, steps }),
                    None => Err(PathError(
                        "a function takes one value here, and the path in it may select several"
                            .to_owned(),
                    )),
                }
            }
        },
        FnArg::Filter(_) => Err(PathError(
            "a function takes a value here, and has a condition in it".to_owned(),
        )),
    }
}

fn query(parsed: &Test) -> Compiled<Query> {
    match parsed {
        Test::RelQuery(parsed) => Ok(Query {
            from_root: false,
            segments: segments(parsed)?,
        }),
        Test::AbsQuery(parsed) => Ok(Query {
            from_root: true,
            segments: segments(&parsed.segments)?,
        }),
        Test::Function(_) => Err(no_query()),
    }
}

fn matched(argument: &FnArg, whole: bool) -> Compiled<Pattern> {
    Ok(match operand(argument)? {
        Operand::Literal(Value::String(text)) => {
            let made = pattern::compile(&text, whole).map_err(|why| {
                PathError(format!("`{text}` is not a pattern of RFC 9485: {why}"))
            })?;
            Pattern::Fixed(made)
        }
        operand => Pattern::Made { operand, whole },
    })
}

fn literal(parsed: &Literal) -> Compiled<Value> {
    Ok(match parsed {
        Literal::Int(number) => Value::from(*number),
        Literal::Float(number) => match Number::from_f64(*number) {
            Some(number) => Value::Number(number),
            None => return Err(PathError("a number in it is too large".to_owned())),
        },
        Literal::String(text) => Value::String(text.clone()),
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Null => Value::Null,
    })
}

fn unknown(name: &str) -> PathError {
    PathError(format!(
        "there is no function `{name}`; `length`, `count`, `value`, `match` and `search` are known"
    ))
}

fn uncompared(name: &str) -> PathError {
    PathError(format!(
        "`{name}(…)` is no condition; compare it, as in `{name}(…) > 1`"
    ))
}

fn no_query() -> PathError {
    PathError("`count` and `value` take a path, such as `@.*`".to_owned())
}
