//! Values that look into a request: references (JSONPath) and expressions (CEL), compiled once.
//!
//! A text is a reference when it starts with `$.`, an expression when it starts with `=`, and itself otherwise; a text
//! that really starts so is written `$$.` or `==`.

use std::sync::Arc;

use cel::{Context, Program, Value as Cel};
use jsonpath_rust::{parser::model::JpQuery, parser::parse_json_path, query::js_path_process};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Longest reference or expression, in bytes.
const LONGEST: usize = 4_096;

/// A text, or where to find one.
#[derive(Debug, Clone)]
pub struct Template(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Literal(String),
    /// A singular path, which selects at most one value: walked directly.
    Walk {
        text: String,
        steps: Vec<Step>,
    },
    /// Any other path; its value is the list of what it selects.
    Query {
        text: String,
        query: JpQuery,
    },
    Expression(Expression),
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

/// A condition or value in CEL.
#[derive(Debug, Clone)]
pub struct Expression {
    text: Arc<str>,
    program: Arc<Program>,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Not a JSONPath.
    #[error("`{path}` is not a JSONPath: {reason}")]
    Path {
        /// The path as written.
        path: String,
        /// What the parser said.
        reason: String,
    },
    /// Not a CEL expression.
    #[error("`{expression}` is not a CEL expression: {reason}")]
    Expression {
        /// The expression as written.
        expression: String,
        /// What the parser said.
        reason: String,
    },
}

/// Why a template has no value for one request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvalError(String);

impl Template {
    /// Compiles a text as written.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let kind = if let Some(rest) = text.strip_prefix("$$.") {
            Kind::Literal(format!("$.{rest}"))
        } else if let Some(rest) = text.strip_prefix("==") {
            Kind::Literal(format!("={rest}"))
        } else if let Some(expression) = text.strip_prefix('=') {
            Kind::Expression(Expression::parse(expression)?)
        } else if text.starts_with("$.") || text.starts_with("$[") {
            path(text)?
        } else {
            Kind::Literal(text.to_owned())
        };
        Ok(Self(Arc::new(kind)))
    }

    /// The text itself, if it looks into nothing.
    pub fn literal(&self) -> Option<&str> {
        if let Kind::Literal(text) = &*self.0 {
            Some(text)
        } else {
            None
        }
    }

    /// The value for `document`; `None` when the path selects nothing.
    pub fn render(&self, document: &Value) -> Result<Option<Value>, EvalError> {
        match &*self.0 {
            Kind::Literal(text) => Ok(Some(Value::String(text.clone()))),
            Kind::Walk { steps, .. } => Ok(walk(steps, document).cloned()),
            Kind::Query { query, .. } => {
                let found = js_path_process(query, document)
                    .map_err(|error| EvalError(error.to_string()))?;
                let values: Vec<Value> =
                    found.into_iter().map(|found| found.val().clone()).collect();
                Ok((!values.is_empty()).then_some(Value::Array(values)))
            }
            Kind::Expression(expression) => {
                let value = expression.evaluate(document)?;
                value
                    .json()
                    .map(Some)
                    .map_err(|error| EvalError(error.to_string()))
            }
        }
    }

    /// As written.
    pub fn source(&self) -> &str {
        match &*self.0 {
            Kind::Literal(text) | Kind::Walk { text, .. } | Kind::Query { text, .. } => text,
            Kind::Expression(expression) => &expression.text,
        }
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.source())
    }
}

impl Expression {
    /// As written, without the leading `=`.
    pub fn source(&self) -> &str {
        &self.text
    }

    /// Compiles CEL, written without its leading `=`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let failed = |reason: String| TemplateError::Expression {
            expression: text.trim().to_owned(),
            reason,
        };
        if text.len() > LONGEST {
            return Err(failed(format!("it is longer than {LONGEST} bytes")));
        }
        let program = Program::compile(text).map_err(|errors| {
            let first = errors
                .errors
                .first()
                .map_or_else(String::new, |error| error.msg.clone());
            failed(first)
        })?;
        let unknown = program
            .references()
            .variables()
            .into_iter()
            .find(|name| !["request", "client"].contains(name))
            .map(str::to_owned);
        if let Some(name) = unknown {
            return Err(failed(format!(
                "there is no `{name}` here; `request` and `client` are known"
            )));
        }
        Ok(Self {
            text: text.trim().into(),
            program: Arc::new(program),
        })
    }

    /// Whether the condition holds for `document`, an object with `request` and `client`.
    pub fn holds(&self, document: &Value) -> Result<bool, EvalError> {
        match self.evaluate(document)? {
            Cel::Bool(holds) => Ok(holds),
            other => Err(EvalError(format!(
                "`{}` is {}, not true or false",
                self.text,
                other.type_of()
            ))),
        }
    }

    fn evaluate(&self, document: &Value) -> Result<Cel, EvalError> {
        let mut context = Context::default();
        for name in ["request", "client"] {
            let value =
                cel::to_value(document.get(name)).map_err(|error| EvalError(error.to_string()))?;
            context.add_variable_from_value(name, value);
        }
        self.program
            .execute(&context)
            .map_err(|error| EvalError(error.to_string()))
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("= {}", self.text))
    }
}

fn path(text: &str) -> Result<Kind, TemplateError> {
    let failed = |reason: String| TemplateError::Path {
        path: text.to_owned(),
        reason,
    };
    if text.len() > LONGEST {
        return Err(failed(format!("it is longer than {LONGEST} bytes")));
    }
    let query = parse_json_path(text).map_err(|error| {
        let said = error.to_string();
        failed(
            said.lines()
                .last()
                .unwrap_or_default()
                .trim()
                .trim_start_matches("= ")
                .to_owned(),
        )
    })?;
    Ok(match steps(text).filter(|steps| !steps.contains(&Step::Every)) {
        Some(steps) => Kind::Walk {
            text: text.to_owned(),
            steps,
        },
        None => Kind::Query {
            text: text.to_owned(),
            query,
        },
    })
}

/// The steps of a path that has only names, indexes and `[*]`; `None` for any other.
pub fn steps(text: &str) -> Option<Vec<Step>> {
    let mut rest = text.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
            if name.is_empty()
                || !name.chars().all(plain)
                || name.starts_with(|c: char| c.is_ascii_digit())
            {
                return None;
            }
            steps.push(Step::Name(name.to_owned()));
            rest = after;
        } else {
            let after = rest.strip_prefix('[')?;
            if let Some(quote) = after.chars().next().filter(|c| matches!(c, '\'' | '"')) {
                let (name, after) = after.get(1..)?.split_once(quote)?;
                if name.contains('\\') {
                    return None;
                }
                steps.push(Step::Name(name.to_owned()));
                rest = after.strip_prefix(']')?;
            } else if let Some(after) = after.strip_prefix("*]") {
                steps.push(Step::Every);
                rest = after;
            } else {
                let (index, after) = after.split_once(']')?;
                steps.push(Step::Index(index.parse().ok()?));
                rest = after;
            }
        }
    }
    Some(steps)
}

fn walk<'v>(steps: &[Step], document: &'v Value) -> Option<&'v Value> {
    steps.iter().try_fold(document, |value, step| match step {
        Step::Name(name) => value.as_object()?.get(name),
        Step::Index(index) => {
            let items = value.as_array()?;
            let at = if *index < 0 {
                items
                    .len()
                    .checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
            } else {
                usize::try_from(*index).ok()?
            };
            items.get(at)
        }
        Step::Every => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({ "request": { "headers": { "x-tier": "gold" }, "list": [1, 2, 3] }, "client": { "name": null } })
    }

    fn check(text: &str, expected: Option<Value>) {
        let template = Template::parse(text).unwrap();
        assert_eq!(template.render(&document()), Ok(expected), "{text}");
    }

    #[test]
    fn literals_references_and_expressions_are_told_apart() {
        check("plain", Some(json!("plain")));
        check("$5", Some(json!("$5")));
        check("$$.x", Some(json!("$.x")));
        check("==x", Some(json!("=x")));
        check("$.request.headers['x-tier']", Some(json!("gold")));
        check("$.request.list[-1]", Some(json!(3)));
        check("$.request.list[5]", None);
        check("$.request.list[?@ > 1]", Some(json!([2, 3])));
        check("= request.headers['x-tier'] + '!'", Some(json!("gold!")));
    }

    #[test]
    fn conditions_are_true_or_false_and_anything_else_is_an_error() {
        let holds = |text: &str| Expression::parse(text).unwrap().holds(&document());
        assert_eq!(holds("request.headers['x-tier'] == 'gold'"), Ok(true));
        assert_eq!(holds("client.name == 'shop'"), Ok(false));
        assert_eq!(holds("has(request.headers.nope)"), Ok(false));
        assert!(holds("1 + 1").is_err());
        assert!(holds("request.headers.nope == 'x'").is_err());
        assert!(holds("1 / 0 == 1").is_err());
    }

    #[test]
    fn broken_ones_are_refused() {
        for bad in ["$.a[", "$.a[?]", "= 1 +", "= other == 1", "= "] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_walk_is_what_the_library_would_find() {
        for text in [
            "$.request",
            "$.request.list[0]",
            "$['request'][\"list\"][-2]",
            "$.request.nope",
            "$.request.list.x",
            "$.client.name",
        ] {
            let Kind::Walk { steps, .. } = path(text).unwrap() else {
                panic!("{text} is singular")
            };
            let document = document();
            let query = parse_json_path(text).unwrap();
            let found: Vec<Value> = js_path_process(&query, &document)
                .unwrap()
                .into_iter()
                .map(|found| found.val().clone())
                .collect();
            assert_eq!(walk(&steps, &document), found.first(), "{text}");
        }
    }
}
