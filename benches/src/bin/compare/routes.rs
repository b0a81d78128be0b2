//! What many routes cost a request.

use std::io;

use isobar_benches::{
    contenders::{Contender, Kind},
    load::Request,
    process::Running,
    report::{Figure, Row, Section},
    rounds::alternate,
};

use super::bench::Bench;

const ROUTES: [usize; 3] = [10, 100, 1000];

pub(super) fn run(bench: &Bench) -> io::Result<Section> {
    let isobar = Contender {
        kind: Kind::Exchange,
        features: true,
    };
    let mut running = Running::default();
    let mut subjects = Vec::new();
    for routes in ROUTES {
        let started =
            bench
                .ground()
                .start(isobar, |wanted| wanted.routes = routes, &mut running)?;
        subjects.extend(started.map(|subject| (routes, subject)));
    }
    let load = bench.load(bench.arguments.seconds, 2_000);
    let request = Request::get("/v1/items/42");
    let samples = alternate(
        "routes",
        bench.arguments.rounds,
        &subjects,
        |(_, subject)| {
            let loaded = load.on(subject.at(), 32, &request);
            bench.ground().empty_logs()?;
            loaded
        },
    )?;
    let rows = subjects
        .iter()
        .zip(&samples)
        .map(|((routes, _), kept)| Row {
            name: format!("{routes} routes"),
            figures: vec![
                Figure::cost(
                    "CPU µs/request",
                    kept.iter().map(|loaded| loaded.cpu_each()),
                )
                .compared(),
                Figure::gain("requests/s", kept.iter().map(|loaded| loaded.rate())).compared(),
                Figure::cost("p99 µs", kept.iter().map(|loaded| loaded.p99.into())).compared(),
            ],
        });
    Ok(Section {
        key: "routes".to_owned(),
        title: "Small JSON through Isobar (exchange), 32 connections, the last of so many routes"
            .to_owned(),
        note: String::new(),
        rows: rows.collect(),
    })
}
