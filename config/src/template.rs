//! Values that look into a request: references (JSONPath) and expressions (CEL), compiled once.
//!
//! A text is a reference when it starts with `$.` or `$[`, an expression when it starts with `=`, and itself otherwise;
//! a text that really starts so is written `$$.`, `$$[` or `==`.

use std::sync::{Arc, LazyLock};

use cel::{
    Context, Env, Program, Value as Cel,
    common::ast::{Expr, IdedExpr, LiteralValue, operators},
};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{
    depth,
    jsonpath::{JsonPath, member},
    loops::{self, Left},
    names::{self, Looked, Seen},
};

/// Longest expression, in bytes.
const LONGEST: usize = 4_096;

/// A text, or where to find one.
#[derive(Debug, Clone)]
pub struct Template(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Literal(String),
    Path(JsonPath),
    Expression(Expression),
}

/// A condition or value in CEL.
#[derive(Debug, Clone)]
pub struct Expression {
    text: Arc<str>,
    program: Arc<Program>,
    /// The same with its loops bounded, if it has any.
    bounded: Option<Arc<IdedExpr>>,
    /// Variables that it looks at.
    names: Arc<[String]>,
    /// How much of each: the rest need not be made known.
    looked: Arc<Looked>,
    /// What it compares, if that is all it does.
    compared: Option<Arc<Compared>>,
}

/// The language's own functions, the same for every evaluation: there are hundreds to be listed.
static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Names that expressions of a configuration may use.
const REQUEST: [&str; 2] = ["request", "client"];

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
        let kind = if text.starts_with("$$.") || text.starts_with("$$[") {
            Kind::Literal(text.replacen("$$", "$", 1))
        } else if let Some(rest) = text.strip_prefix("==") {
            Kind::Literal(format!("={rest}"))
        } else if let Some(expression) = text.strip_prefix('=') {
            Kind::Expression(Expression::parse(expression)?)
        } else if text.starts_with("$.") || text.starts_with("$[") {
            Kind::Path(JsonPath::parse(text).map_err(|error| TemplateError::Path {
                path: text.to_owned(),
                reason: error.to_string(),
            })?)
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

    /// The value for `document`: of a path that can select one value at most, that value; of any other the list of what
    /// it selects. `None` when the path selects nothing.
    pub fn render(&self, document: &Value) -> Result<Option<Value>, EvalError> {
        match &*self.0 {
            Kind::Literal(text) => Ok(Some(Value::String(text.clone()))),
            Kind::Path(path) => {
                let found = path
                    .select(document)
                    .map_err(|error| EvalError(error.to_string()))?;
                Ok(match found.as_slice() {
                    [] => None,
                    [only] if path.is_singular() => Some((*only).clone()),
                    found => Some(found.iter().copied().cloned().collect()),
                })
            }
            Kind::Expression(expression) => {
                expression.value_for(&|name| document.get(name)).map(Some)
            }
        }
    }

    /// As written.
    pub fn source(&self) -> &str {
        match &*self.0 {
            Kind::Literal(text) => text,
            Kind::Path(path) => path.source(),
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

    /// Compiles CEL over `request` and `client`, written without its leading `=`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Self::parse_over(text, &REQUEST)
    }

    /// Compiles CEL over any names, written without its leading `=`.
    pub fn parse_free(text: &str) -> Result<Self, TemplateError> {
        let failed = |reason: String| TemplateError::Expression {
            expression: text.trim().to_owned(),
            reason,
        };
        if text.trim().is_empty() {
            return Err(TemplateError::Expression {
                expression: "=".to_owned(),
                reason: "it is empty".to_owned(),
            });
        }
        if text.len() > LONGEST {
            return Err(failed(format!("it is longer than {LONGEST} bytes")));
        }
        depth::check(text).map_err(failed)?;
        let program = Program::compile(text).map_err(|errors| {
            let first = errors.errors.first();
            failed(first.map_or_else(String::new, |error| complaint(text, error.pos, &error.msg)))
        })?;
        let mut looked = Looked::new();
        names::free(program.expression(), &mut Vec::new(), &mut looked);
        let names: Vec<String> = looked.keys().cloned().collect();
        Ok(Self {
            text: text.trim().into(),
            names: names.into(),
            compared: Compared::of(&program.expression().expr).map(Arc::new),
            looked: Arc::new(looked),
            bounded: loops::bounded(program.expression()).map(Arc::new),
            program: Arc::new(program),
        })
    }

    /// Compiles CEL over these names, written without its leading `=`.
    pub fn parse_over(text: &str, known: &[&str]) -> Result<Self, TemplateError> {
        let expression = Self::parse_free(text)?;
        let names = &expression.names;
        if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
            let listed: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            let listed = match listed.split_last() {
                Some((last, [])) => format!("{last} is known"),
                Some((last, others)) => format!("{} and {last} are known", others.join(", ")),
                None => "no name is known".to_owned(),
            };
            return Err(TemplateError::Expression {
                expression: text.trim().to_owned(),
                reason: format!("there is no `{name}` here; {listed}"),
            });
        }
        Ok(expression)
    }

    /// Where a part of its tree stands: bytes from the start of the text that was compiled. Of a selection and a call it
    /// is where the dot or the bracket stands, of an operation its operator.
    pub fn place(&self, id: u64) -> Option<usize> {
        let (start, _) = self.program.source_info().offset_for(id)?;
        usize::try_from(start).ok()
    }

    /// Variables that it looks at, in alphabetical order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What it looks at of a variable: each a way down its members, to a value that it looks at whole. The empty way is the
    /// variable itself.
    pub fn looks_at(&self, name: &str) -> Vec<Vec<&str>> {
        let mut ways = Vec::new();
        if let Some(seen) = self.looked.get(name) {
            seen.ways(&mut Vec::new(), &mut ways);
        }
        ways
    }

    /// What it is made of.
    pub fn tree(&self) -> &cel::common::ast::IdedExpr {
        self.program.expression()
    }

    /// Whether the condition holds for `document`, an object with `request` and `client`.
    pub fn holds(&self, document: &Value) -> Result<bool, EvalError> {
        self.holds_for(&|name| document.get(name))
    }

    /// Whether the condition holds where its names have these values; a name without one is null.
    pub fn holds_for<'d>(
        &self,
        look: &dyn Fn(&str) -> Option<&'d Value>,
    ) -> Result<bool, EvalError> {
        if let Some(holds) = self.compare(look) {
            return Ok(holds);
        }
        match self.evaluate(look)? {
            Cel::Bool(holds) => Ok(holds),
            other => Err(EvalError(format!(
                "`{}` is {}, not true or false",
                self.text,
                other.type_of()
            ))),
        }
    }

    /// Its value where its names have these values; a name without one is null.
    pub fn value_for<'d>(
        &self,
        look: &dyn Fn(&str) -> Option<&'d Value>,
    ) -> Result<Value, EvalError> {
        if let Some(holds) = self.compare(look) {
            return Ok(holds.into());
        }
        self.evaluate(look)?
            .json()
            .map_err(|error| EvalError(error.to_string()))
    }

    /// A comparison of two texts, which needs nothing of the language.
    fn compare<'d>(&self, look: &dyn Fn(&str) -> Option<&'d Value>) -> Option<bool> {
        let compared = self.compared.as_ref()?;
        let (name, way) = compared.way.split_first()?;
        let found = way
            .iter()
            .try_fold(look(name)?, |value, name| member(value.as_object()?, name))?;
        Some((found.as_str()? == compared.text) == compared.equal)
    }

    fn evaluate<'d>(&self, look: &dyn Fn(&str) -> Option<&'d Value>) -> Result<Cel, EvalError> {
        self.evaluate_within(Left::all, look)
    }

    /// Evaluates with so much for its loops.
    pub(crate) fn evaluate_within<'d>(
        &self,
        allowed: impl FnOnce() -> Left,
        look: &dyn Fn(&str) -> Option<&'d Value>,
    ) -> Result<Cel, EvalError> {
        let failed = |error: &dyn std::fmt::Display| EvalError(error.to_string());
        let left = self.bounded.as_ref().map(|_| allowed());
        let mut context = Context::with_env(Arc::clone(&LANGUAGE));
        for (name, seen) in &*self.looked {
            let value = cel::to_value(look(name).map(|value| Signed(value, seen)))
                .map_err(|error| failed(&error))?;
            context.add_variable_from_value(name.as_str(), value);
        }
        let (Some(bounded), Some(left)) = (&self.bounded, &left) else {
            return self
                .program
                .execute(&context)
                .map_err(|error| failed(&error));
        };
        left.count(&mut context).map_err(|error| failed(&error))?;
        Cel::resolve(bounded, &context).map_err(|error| match left.exhausted() {
            Some(why) => EvalError(format!("`{}`: {why}", self.text)),
            None => failed(&error),
        })
    }
}

/// `a.b == 'text'` or `a.b != 'text'`: what most conditions are.
#[derive(Debug)]
struct Compared {
    /// A variable, and the way down its members.
    way: Vec<String>,
    text: String,
    equal: bool,
}

impl Compared {
    fn of(expression: &Expr) -> Option<Self> {
        let Expr::Call(call) = expression else {
            return None;
        };
        let equal = match call.func_name.as_str() {
            operators::EQUALS => true,
            operators::NOT_EQUALS => false,
            _ => return None,
        };
        let [left, right] = call.args.as_slice() else {
            return None;
        };
        let (way, text) = match (&left.expr, &right.expr) {
            (way, Expr::Literal(LiteralValue::String(text)))
            | (Expr::Literal(LiteralValue::String(text)), way) => (way, text),
            _ => return None,
        };
        let mut names = Vec::new();
        let mut at = way;
        while let Expr::Select(select) = at
            && !select.test
        {
            names.push(select.field.clone());
            at = &select.operand.expr;
        }
        let Expr::Ident(name) = at else {
            return None;
        };
        names.push(name.clone());
        names.reverse();
        Some(Self {
            way: names,
            text: text.inner().to_owned(),
            equal,
        })
    }
}

/// What is looked at of a value. Whole numbers are CEL's `int` wherever they fit: it tells them from `uint`, and
/// `1 + index` would have none of it.
struct Signed<'v>(&'v Value, &'v Seen);

impl Serialize for Signed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = |value| Signed(value, &Seen::Whole);
        match (self.0, self.1) {
            (Value::Number(number), _) => match number.as_i64() {
                Some(whole) => serializer.serialize_i64(whole),
                None => number.serialize(serializer),
            },
            (Value::Array(items), _) => serializer.collect_seq(items.iter().map(whole)),
            (Value::Object(fields), Seen::Whole) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, whole(value))))
            }
            (Value::Object(fields), Seen::Members(members)) => {
                let seen = members
                    .iter()
                    .filter_map(|(name, seen)| Some((name, Signed(fields.get(name)?, seen))));
                serializer.collect_map(seen)
            }
            (plain, _) => plain.serialize(serializer),
        }
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("= {}", self.text))
    }
}

/// A parser's complaint in words: its own lists every token of the language.
fn complaint(text: &str, (line, column): (isize, isize), said: &str) -> String {
    let said = said.strip_prefix("Syntax error: ").unwrap_or(said);
    if !said.starts_with("mismatched")
        && !said.starts_with("extraneous")
        && !said.starts_with("no viable")
        && !said.starts_with("missing")
    {
        return said.to_owned();
    }
    let count = |number: isize, less: isize| usize::try_from(number - less).unwrap_or_default();
    let lines: Vec<&str> = text.split('\n').skip(count(line, 1)).collect();
    let rest: String = lines.join("\n").chars().skip(count(column, 1)).collect();
    if rest.trim().is_empty() || said.contains("<EOF>' expecting") {
        "it ends too early".to_owned()
    } else {
        let shown: String = rest.trim().chars().take(24).collect();
        format!("it makes no sense from `{shown}` on")
    }
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
        check("$$[0]", Some(json!("$[0]")));
        check("==x", Some(json!("=x")));
        check("$.request.headers['x-tier']", Some(json!("gold")));
        check("$.request.list[-1]", Some(json!(3)));
        check("$.request.list[5]", None);
        check("$[ 'request' ]['list'][ 0 ]", Some(json!(1)));
        check("$.request.list[?@ > 1]", Some(json!([2, 3])));
        check("$.request.list[?@ == 1]", Some(json!([1])));
        check("$.request.list[?@ > 5]", None);
        check("= request.headers['x-tier'] + '!'", Some(json!("gold!")));
    }

    #[test]
    fn conditions_are_true_or_false_and_anything_else_is_an_error() {
        let holds = |text: &str| Expression::parse(text).unwrap().holds(&document());
        assert_eq!(holds("request.headers['x-tier'] == 'gold'"), Ok(true));
        assert_eq!(holds("client.name == 'shop'"), Ok(false));
        let asked = "'x-tier' in request.headers && request.headers['x-tier'] == 'gold'";
        assert_eq!(holds(asked), Ok(true));
        assert_eq!(holds(&asked.replace("x-tier", "x-none")), Ok(false));
        assert_eq!(holds("has(request.headers.nope)"), Ok(false));
        assert!(holds("1 + 1").is_err());
        assert!(holds("request.headers.nope == 'x'").is_err());
        assert!(holds("1 / 0 == 1").is_err());
    }

    #[test]
    fn comparisons_of_texts_agree_with_the_language() {
        let values = [
            json!("en"),
            json!("de"),
            json!(null),
            json!(1),
            json!(["en"]),
            json!({ "en": "en" }),
        ];
        for text in ["a.b == 'en'", "'en' == a.b", "a.b != 'en'", "a == 'en'"] {
            let short = Expression::parse_free(text).unwrap();
            assert!(short.compared.is_some(), "{text}");
            let long = Expression {
                compared: None,
                ..short.clone()
            };
            for value in &values {
                for document in [json!({ "b": value }), json!({}), value.clone()] {
                    let look = |_: &str| Some(&document);
                    assert_eq!(
                        short.value_for(&look),
                        long.value_for(&look),
                        "{text} of {document}"
                    );
                }
            }
            assert_eq!(short.value_for(&|_| None), long.value_for(&|_| None));
        }
        for text in [
            "has(a.b) == true",
            "a.b == c.d",
            "a.b == 1",
            "!(a.b == 'en')",
        ] {
            assert!(Expression::parse_free(text).unwrap().compared.is_none());
        }
    }

    #[test]
    fn names_that_an_expression_makes_itself_are_not_looked_up() {
        let asked = Expression::parse_free(
            "people.filter(p, p.age > least).map(p, p.name) + [x.y, {'k': z}[w]] + (has(v.u) ? [1] : [])",
        )
        .unwrap();
        assert_eq!(asked.names(), ["least", "people", "v", "w", "x", "z"]);
        let listed = Expression::parse("request.list.exists(item, item > 2)").unwrap();
        assert_eq!(listed.holds(&document()), Ok(true));
        assert!(Expression::parse("request.list.exists(item, other > 2)").is_err());
        // Only within: outside its own brackets the name is another one.
        assert!(Expression::parse("[1].exists(a, a == 1) && a == 1").is_err());
    }

    #[test]
    fn whole_numbers_are_reckoned_with() {
        check("= request.list[0] + 1", Some(json!(2)));
        check("= request.list[2] - request.list[0] * 5", Some(json!(-2)));
        check("= request.list.map(item, item % 2)", Some(json!([1, 0, 1])));
        check("= size(request.list) == request.list[2]", Some(json!(true)));
    }

    #[test]
    fn members_that_are_not_looked_at_do_not_matter() {
        check("= request.headers == {'x-tier': 'gold'}", Some(json!(true)));
        check("= request.list[1] + size(request.headers)", Some(json!(3)));
        check(
            "= has(request.list) && !has(request.body)",
            Some(json!(true)),
        );
        check(
            "= request.map(name, name).size() == 2 && has(request.list)",
            Some(json!(true)),
        );
        check("= [request].map(r, r.list[0])[0]", Some(json!(1)));
        let expression =
            Expression::parse("request.a.b == request.a.c && has(client.name)").unwrap();
        let members = |names: &[&str]| {
            Seen::Members(
                names
                    .iter()
                    .map(|name| ((*name).to_owned(), Seen::Whole))
                    .collect(),
            )
        };
        let request = Seen::Members([("a".to_owned(), members(&["b", "c"]))].into());
        let expected = [
            ("client".to_owned(), members(&["name"])),
            ("request".to_owned(), request),
        ];
        assert_eq!(*expression.looked, expected.into());
    }

    #[test]
    fn parts_of_an_expression_have_places() {
        let text = " é == heard.text + 1";
        let expression = Expression::parse_free(text);
        assert!(expression.is_err());
        let text = "  'é' == heard.text";
        let expression = Expression::parse_free(text).unwrap();
        let place = expression.place(expression.tree().id).unwrap();
        assert_eq!(&text[place..], "== heard.text");
    }

    #[test]
    fn broken_ones_are_refused() {
        for bad in ["$.a[", "$.a[?]", "= 1 +", "= other == 1", "= "] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
