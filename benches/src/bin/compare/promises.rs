//! The promises about speed in one table, with what the other tables say of them.

use std::fmt::Write as _;

use isobar_benches::report::{Section, number, ratio};

/// What a figure is measured against.
#[derive(Clone, Copy)]
enum Against {
    /// Another row of the same table.
    Row(&'static str),
    /// The same row of another table.
    Section(&'static str),
    /// Nothing: the figure itself is the promise.
    Nothing,
}

struct Promise {
    text: &'static str,
    aim: &'static str,
    section: &'static str,
    figure: &'static str,
    against: Against,
    rows: &'static [&'static str],
}

const BOTH: &[&str] = &["Isobar, exchange", "Isobar, stream"];
const FLOOR: Against = Against::Row("bare Pingora");
const CPU: &str = "CPU µs/request";

const SMALL: Promise = Promise {
    text: "",
    aim: "≤ 1.0",
    section: "json-32",
    figure: CPU,
    against: FLOOR,
    rows: BOTH,
};

const PROMISES: &[Promise] = &[
    Promise {
        text: "small JSON, 32 connections: CPU, to bare Pingora",
        ..SMALL
    },
    Promise {
        text: "the same, to Envoy with the same features",
        aim: "≤ 0.6",
        against: Against::Row("Envoy"),
        ..SMALL
    },
    Promise {
        text: "the same, to nginx with the same features",
        aim: "towards 1.25",
        against: Against::Row("nginx"),
        ..SMALL
    },
    Promise {
        text: "the same, to nginx without any",
        aim: "–",
        against: Against::Row("nginx, bare"),
        ..SMALL
    },
    Promise {
        text: "small JSON, 32 connections: p99, to bare Pingora",
        aim: "≤ 1.2",
        figure: "p99 µs",
        ..SMALL
    },
    Promise {
        text: "small JSON, 1 connection: CPU, to bare Pingora",
        section: "json-1",
        aim: "–",
        ..SMALL
    },
    Promise {
        text: "small JSON, 256 connections: CPU, to bare Pingora",
        section: "json-256",
        aim: "–",
        ..SMALL
    },
    Promise {
        text: "small JSON over TLS, HTTP/1.1: CPU, to bare Pingora",
        section: "tls",
        aim: "–",
        ..SMALL
    },
    Promise {
        text: "small JSON over TLS, HTTP/2: CPU, to bare Pingora",
        section: "h2",
        aim: "–",
        ..SMALL
    },
    Promise {
        text: "GET 1 MiB: throughput, to bare Pingora",
        aim: "≥ 0.95",
        section: "get-1m",
        figure: "MiB/s",
        ..SMALL
    },
    Promise {
        text: "GET 100 MiB: throughput, to bare Pingora",
        aim: "≥ 0.95",
        section: "get-100m",
        figure: "MiB/s",
        ..SMALL
    },
    Promise {
        text: "POST 1 MiB: throughput, to bare Pingora",
        aim: "≥ 0.95",
        section: "post-1m",
        figure: "MiB/s",
        ..SMALL
    },
    Promise {
        text: "POST 100 MiB: throughput, to bare Pingora",
        aim: "≥ 0.95",
        section: "post-100m",
        figure: "MiB/s",
        ..SMALL
    },
    Promise {
        text: "peak memory, GET 100 MiB to GET 1 MiB",
        aim: "about 1",
        section: "get-100m",
        figure: "peak MiB",
        against: Against::Section("get-1m"),
        ..SMALL
    },
    Promise {
        text: "peak memory, POST 100 MiB to POST 1 MiB",
        aim: "about 1",
        section: "post-100m",
        figure: "peak MiB",
        against: Against::Section("post-1m"),
        ..SMALL
    },
    Promise {
        text: "first event of a stream, p50 over no proxy, µs",
        aim: "≤ 200",
        section: "events",
        figure: "over no proxy µs",
        against: Against::Nothing,
        ..SMALL
    },
    Promise {
        text: "reads an event",
        aim: "1",
        section: "events",
        figure: "reads an event",
        against: Against::Nothing,
        ..SMALL
    },
    Promise {
        text: "memory of an idle connection, to bare Pingora",
        section: "idle",
        figure: "KiB/connection",
        ..SMALL
    },
    Promise {
        text: "CPU with 1,000 routes, to 10",
        section: "routes",
        against: Against::Row("10 routes"),
        rows: &["1000 routes"],
        ..SMALL
    },
    Promise {
        text: "composition, 32 connections: CPU, to axum and reqwest by hand",
        section: "composition-32",
        against: Against::Row("by hand: axum and reqwest"),
        rows: &["Isobar"],
        ..SMALL
    },
    Promise {
        text: "the same, 8 connections",
        section: "composition-8",
        against: Against::Row("by hand: axum and reqwest"),
        rows: &["Isobar"],
        ..SMALL
    },
    Promise {
        text: "composition: requests a second, to Node and undici",
        aim: "≥ 2",
        section: "composition-32",
        figure: "requests/s",
        against: Against::Row("by hand: Node and undici"),
        rows: &["Isobar"],
    },
    Promise {
        text: "composition: requests a second, to FastAPI with aiohttp and orjson",
        aim: "≥ 6",
        section: "composition-32",
        figure: "requests/s",
        against: Against::Row("by hand: FastAPI, aiohttp and orjson"),
        rows: &["Isobar"],
    },
    Promise {
        text: "composition: requests a second, to FastAPI and httpx",
        aim: "≥ 50",
        section: "composition-32",
        figure: "requests/s",
        against: Against::Row("by hand: FastAPI and httpx"),
        rows: &["Isobar"],
    },
    Promise {
        text: "composition alone, over the critical path of its own calls, µs",
        aim: "≤ 100",
        section: "alone-composition",
        figure: "over its own calls µs",
        against: Against::Nothing,
        rows: &["Isobar"],
    },
    Promise {
        text: "composition alone, over the same calls by a client beside the upstream, µs",
        aim: "≤ 100",
        section: "alone-composition",
        figure: "over the critical path µs",
        against: Against::Nothing,
        rows: &["Isobar"],
    },
    Promise {
        text: "`speech.transcribe`, 32 connections: CPU, to axum and reqwest by hand",
        aim: "≤ 1.2",
        section: "call-transcribe-32",
        figure: "CPU µs/call",
        against: Against::Row("by hand: axum and reqwest"),
        rows: &["Isobar"],
    },
    Promise {
        text: "the same, 8 connections",
        aim: "≤ 1.2",
        section: "call-transcribe-8",
        figure: "CPU µs/call",
        against: Against::Row("by hand: axum and reqwest"),
        rows: &["Isobar"],
    },
    Promise {
        text: "`translation.translate`, 32 connections: CPU, to axum and reqwest by hand",
        aim: "≤ 1.2",
        section: "call-translate-32",
        figure: "CPU µs/call",
        against: Against::Row("by hand: axum and reqwest"),
        rows: &["Isobar"],
    },
    Promise {
        text: "the same, 8 connections",
        aim: "≤ 1.2",
        section: "call-translate-8",
        figure: "CPU µs/call",
        against: Against::Row("by hand: axum and reqwest"),
        rows: &["Isobar"],
    },
    Promise {
        text: "soak: growth of memory, KiB a minute",
        aim: "about 0",
        section: "soak",
        figure: "slope, KiB a minute",
        against: Against::Nothing,
        rows: &["Isobar"],
    },
];

/// What can be said with these tables; nothing without any.
pub(super) fn table(sections: &[Section]) -> String {
    let mut text = String::new();
    for promise in PROMISES {
        let measured: Vec<String> = promise
            .rows
            .iter()
            .filter_map(|row| Some(format!("{row}: {}", measured(promise, row, sections)?)))
            .collect();
        if !measured.is_empty() {
            let _ = writeln!(
                text,
                "| {} | {} | {} |",
                promise.text,
                promise.aim,
                measured.join("; ")
            );
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "\n### Promises\n\nMedian, and in brackets that of the quiet quartiles.\n\n| | aim | measured |\n| --- | --- | --- |\n{text}"
    )
}

fn measured(promise: &Promise, row: &str, sections: &[Section]) -> Option<String> {
    let find = |key: &str| sections.iter().find(|section| section.key == key);
    let section = find(promise.section)?;
    let (middle, quiet) = section.figure(row, promise.figure)?;
    let (base, base_quiet) = match promise.against {
        Against::Nothing => return Some(format!("{} ({})", number(middle), number(quiet))),
        Against::Row(base) => section.figure(base, promise.figure)?,
        Against::Section(other) => find(other)?.figure(row, promise.figure)?,
    };
    Some(format!(
        "{} ({})",
        ratio(middle, base),
        ratio(quiet, base_quiet)
    ))
}

#[cfg(test)]
mod tests {
    use isobar_benches::report::{Figure, Row, Section};

    use super::table;

    #[test]
    fn only_what_was_measured_is_said() {
        let row = |name: &str, cpu: [f64; 3]| Row {
            name: name.to_owned(),
            figures: vec![Figure::cost("CPU µs/request", cpu)],
        };
        let sections = [Section {
            key: "json-32".to_owned(),
            title: String::new(),
            note: String::new(),
            rows: vec![
                row("bare Pingora", [20.0, 20.0, 20.0]),
                row("Isobar, exchange", [22.0, 18.0, 30.0]),
            ],
        }];
        let expected = "| small JSON, 32 connections: CPU, to bare Pingora | ≤ 1.0 | Isobar, exchange: 1.10 (0.90) |\n";
        assert!(table(&sections).ends_with(expected), "{}", table(&sections));
        assert_eq!(table(&[]), "");
    }
}
