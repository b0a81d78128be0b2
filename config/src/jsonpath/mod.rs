//! JSONPath as RFC 9535 defines it, compiled once.
//!
//! `jsonpath-rust` parses. What its parser lets through although the RFC forbids it is refused here, and evaluation is
//! our own: the library's orders `$..['a','b']` differently, loses filters within filters, takes numbers for equal that
//! are near, and has no limit on its work.

mod compile;
mod lexical;
mod pattern;
mod run;

use regex::Regex;
use serde_json::{Map, Number, Value};

/// Longest path, in bytes.
const LONGEST: usize = 4_096;

/// Members of an object that are compared one by one.
const FEW: usize = 8;

/// A path into a JSON document.
#[derive(Debug, Clone)]
pub struct JsonPath {
    text: String,
    segments: Vec<Segment>,
    /// The steps of a path that selects at most one value, which is walked directly.
    steps: Option<Vec<Step>>,
}

/// Why a text is no path: half a sentence that goes on after "is not a JSONPath: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(String);

/// The path looks at more values than any request is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path looks at more than {} values", run::MOST)]
pub struct TooMuch;

impl JsonPath {
    /// Compiles a path, which starts with `$`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > LONGEST {
            return Err(PathError(format!("it is longer than {LONGEST} bytes")));
        }
        lexical::check(text)?;
        let parsed = jsonpath_rust::parser::parse_json_path(text)
            .map_err(|error| lexical::explain(text, &error.to_string()))?;
        let segments = compile::segments(&parsed.segments)?;
        Ok(Self {
            text: text.to_owned(),
            steps: singular(&segments),
            segments,
        })
    }

    /// As written.
    pub fn source(&self) -> &str {
        &self.text
    }

    /// Whether the path has only names and indexes, and so selects at most one value.
    pub fn is_singular(&self) -> bool {
        self.steps.is_some()
    }

    /// Where each segment goes.
    pub fn hops(&self) -> Vec<Hop> {
        let hop = |segment: &Segment| match segment.selectors.as_slice() {
            _ if segment.descendant => Hop::Deep,
            [Selector::Name(name)] => Hop::Name(name.clone()),
            [Selector::Index(index)] => Hop::Index(*index),
            [Selector::Wildcard | Selector::Slice { .. } | Selector::Filter(_)] => Hop::Several,
            _ => Hop::Deep,
        };
        self.segments.iter().map(hop).collect()
    }

    /// The values selected in `document`, in the RFC's order; members of an object in the order they have there.
    pub fn select<'d>(&self, document: &'d Value) -> Result<Vec<&'d Value>, TooMuch> {
        match &self.steps {
            Some(steps) => Ok(follow(document, steps).into_iter().collect()),
            None => run::Run::new(document).select(&self.segments, document),
        }
    }
}

/// `.name`, `[…]` or either after `..`.
#[derive(Debug, Clone)]
struct Segment {
    /// Whether it looks at every value below, too.
    descendant: bool,
    selectors: Vec<Selector>,
}

#[derive(Debug, Clone)]
enum Selector {
    Name(String),
    Wildcard,
    Index(i64),
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    },
    Filter(Condition),
}

/// What one segment of a path goes to, in broad terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hop {
    /// One member of an object.
    Name(String),
    /// One item of an array.
    Index(i64),
    /// Several members or items of the value: `[*]`, a slice, a filter.
    Several,
    /// Anything else: several selectors, or values at any depth.
    Deep,
}

/// One step of a path that can be walked without a query engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The member of an object.
    Name(String),
    /// The item of an array; negative counts from its end.
    Index(i64),
    /// Every item of an array: `[*]`.
    Every,
}

/// The steps of a path that has only names, indexes and `[*]`; `None` for any other text.
pub fn steps(text: &str) -> Option<Vec<Step>> {
    let path = JsonPath::parse(text).ok()?;
    let step = |segment: &Segment| match segment.selectors.as_slice() {
        _ if segment.descendant => None,
        [Selector::Name(name)] => Some(Step::Name(name.clone())),
        [Selector::Index(index)] => Some(Step::Index(*index)),
        [Selector::Wildcard] => Some(Step::Every),
        _ => None,
    };
    path.segments.iter().map(step).collect()
}

#[derive(Debug, Clone)]
enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    /// The query selects something.
    Exists(Query),
    Match(Operand, Pattern),
    Compare(Operand, Operator, Operand),
}

/// A path within a filter, from the value that is looked at (`@`) or the document (`$`).
#[derive(Debug, Clone)]
struct Query {
    from_root: bool,
    segments: Vec<Segment>,
}

/// Something that is a value, or nothing.
#[derive(Debug, Clone)]
enum Operand {
    Literal(Value),
    Singular { from_root: bool, steps: Vec<Step> },
    Length(Box<Operand>),
    Count(Query),
    Value(Query),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What `match` and `search` look for.
#[derive(Debug, Clone)]
enum Pattern {
    Fixed(Regex),
    /// Made from a value of the document.
    Made {
        operand: Operand,
        whole: bool,
    },
}

fn singular(segments: &[Segment]) -> Option<Vec<Step>> {
    let step = |segment: &Segment| match segment {
        Segment {
            descendant: false,
            selectors,
        } => match selectors.as_slice() {
            [Selector::Name(name)] => Some(Step::Name(name.clone())),
            [Selector::Index(index)] => Some(Step::Index(*index)),
            _ => None,
        },
        Segment { .. } => None,
    };
    segments.iter().map(step).collect()
}

/// The value that steps lead to; [`Step::Every`] leads nowhere.
pub fn follow<'d>(document: &'d Value, steps: &[Step]) -> Option<&'d Value> {
    steps.iter().try_fold(document, |value, step| match step {
        Step::Name(name) => member(value.as_object()?, name),
        Step::Index(index) => item(value.as_array()?, *index),
        Step::Every => None,
    })
}

/// The value that steps lead to in an object.
pub fn follow_in<'d>(object: &'d Map<String, Value>, steps: &[Step]) -> Option<&'d Value> {
    match steps.split_first()? {
        (Step::Name(name), rest) => follow(member(object, name)?, rest),
        _ => None,
    }
}

/// The member of an object, or `None`. Most objects have few, and comparing their names costs a fraction of hashing one.
pub fn member<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    if object.len() > FEW {
        return object.get(name);
    }
    object
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// The item at an index, which counts from the end if it is negative.
pub fn item<T>(items: &[T], index: i64) -> Option<&T> {
    let index = if index < 0 {
        items
            .len()
            .checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(index).ok()?
    };
    items.get(index)
}

/// How two numbers stand, by what they are and not by how they are written.
fn compare(one: &Number, other: &Number) -> Option<std::cmp::Ordering> {
    let whole = |number: &Number| {
        let integer = number.as_i64().map(i128::from);
        integer.or_else(|| number.as_u64().map(i128::from))
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is within the range of an i128, and has no fraction"
    )]
    let exact = |number: &Number| {
        let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
        (float.abs() < 1e30).then_some(float as i128)
    };
    let exactly = |number: &Number| whole(number).or_else(|| exact(number));
    match (exactly(one), exactly(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}
