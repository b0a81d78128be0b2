//! The configuration reference for the guide; follows from the table.

use std::fmt::Write as _;

use crate::{
    shape::{Record, Shape},
    table::FILE,
};

/// Markdown of every key.
pub fn reference() -> String {
    let mut page = "# Configuration reference\n\n\
        Made from the program's own table by `isobar schema --reference`; do not edit. `isobar schema` prints the JSON \
        Schema for editors.\n\n\
        In every text, `${NAME}` is an environment variable, `${NAME:-default}` one with a default, and a text that is \
        `file(PATH)` the content of a file. A value that starts with `$.` or `$[` is a JSONPath (RFC 9535) over the \
        request, one that starts with `=` a CEL expression; write `$$.`, `$$[` and `==` for texts that really start so.\n"
        .to_owned();
    let mut done: Vec<&str> = Vec::new();
    let mut waiting: Vec<&'static Record> = vec![&FILE];
    while !waiting.is_empty() {
        let record = waiting.remove(0);
        if done.contains(&record.name) {
            continue;
        }
        done.push(record.name);
        section(&mut page, record);
        for field in record.fields {
            inner(&field.shape, &mut waiting);
        }
    }
    page
}

fn section(page: &mut String, record: &Record) {
    let _ = write!(
        page,
        "\n## {}\n\n{}\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n",
        heading(record.name),
        record.doc
    );
    for field in record.fields {
        let default = if field.required {
            "**required**".to_owned()
        } else if field.default.is_empty() {
            String::new()
        } else {
            field.default.to_owned()
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | {default} | {} |",
            field.key,
            value(&field.shape),
            field.doc
        );
    }
}

fn heading(name: &str) -> String {
    if name == "file" {
        "The file".to_owned()
    } else {
        format!("`{name}`")
    }
}

fn value(shape: &Shape) -> String {
    match shape {
        Shape::Text(kind) if kind.example() == kind.name() => kind.name().to_owned(),
        Shape::Text(kind) => format!("{}, `{}`", kind.name(), kind.example()),
        Shape::Integer(least, most) if *least == i64::MIN => {
            format!("whole number up to {most}").replace(&format!(" up to {}", i64::MAX), "")
        }
        Shape::Integer(least, most) => format!("whole number, {least} to {most}"),
        Shape::Number(least, most) => format!("number, {least} to {most}"),
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Choice(words) => words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Shape::List(_, item) => format!("list of: {}", value(item)),
        Shape::Map(inner) => format!("map from names to: {}", value(inner)),
        Shape::Headers(inner) => format!("map from header names to: {}", value(inner)),
        Shape::Record(record) | Shape::OneOf(record) => {
            format!("[{}](#{})", record.name, record.name.replace(' ', "-"))
        }
        Shape::Account(at_upstream, at_vendor) => format!(
            "{} — or {}",
            value(&Shape::Record(at_upstream)),
            value(&Shape::Record(at_vendor))
        ),
        Shape::Either(shapes) => shapes.iter().map(value).collect::<Vec<_>>().join(" — or "),
        Shape::Nothing => "nothing".to_owned(),
    }
}

fn inner(shape: &Shape, waiting: &mut Vec<&'static Record>) {
    match shape {
        Shape::Record(record) | Shape::OneOf(record) => waiting.push(record),
        Shape::Account(at_upstream, at_vendor) => waiting.extend([at_upstream, at_vendor]),
        Shape::List(_, inner_shape) | Shape::Map(inner_shape) | Shape::Headers(inner_shape) => {
            inner(inner_shape, waiting);
        }
        Shape::Either(shapes) => shapes.iter().for_each(|shape| inner(shape, waiting)),
        Shape::Text(_)
        | Shape::Integer(..)
        | Shape::Number(..)
        | Shape::Bool
        | Shape::Choice(_)
        | Shape::Nothing => {}
    }
}
