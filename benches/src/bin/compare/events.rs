//! Server-sent events: how long one takes from leaving the upstream to arriving at the client, and whether each comes
//! alone and whole.

use std::io;

use isobar_benches::{
    contenders::{CONTENDERS, Contender, Kind},
    load::{Heard, Request},
    process::Running,
    report::{Figure, Row, Section},
    rounds::alternate,
    spread::Spread,
};

use super::bench::Bench;

/// Clients that listen at once.
const LISTENERS: usize = 8;
/// Twenty events, five milliseconds apart.
const PATH: &str = "/events/20/5000";

pub(super) fn run(bench: &Bench) -> io::Result<Section> {
    let mut contenders = vec![Contender {
        kind: Kind::Direct,
        features: false,
    }];
    contenders.extend(CONTENDERS);
    let mut running = Running::default();
    let subjects = bench.subjects(&contenders, |_| {}, &mut running)?;
    let (subjects, note) = bench.serving(subjects, &Request::get("/v1/items/42"));
    let load = bench.load(bench.arguments.seconds, 0);
    let samples = alternate("events", bench.arguments.rounds, &subjects, |subject| {
        load.events(subject.address, LISTENERS, PATH)
            .map_err(|error| io::Error::other(format!("{}: {error}", subject.name)))
    })?;
    let of = |kept: &[Heard], what: fn(&Heard) -> u32| -> Vec<f64> {
        kept.iter().map(|heard| what(heard).into()).collect()
    };
    // Both programs of the bench share a core, and take this long between themselves.
    let direct = samples.first().map_or(&[][..], |kept| kept);
    let direct = Spread::of(&of(direct, |heard| heard.first.0)).median;
    let rows = subjects.iter().zip(&samples).map(|(subject, kept)| Row {
        name: subject.name.clone(),
        figures: vec![
            Figure::cost("first event p50 µs", of(kept, |heard| heard.first.0)),
            Figure::cost(
                "over no proxy µs",
                of(kept, |heard| heard.first.0)
                    .iter()
                    .map(|p50| p50 - direct),
            ),
            Figure::cost("first event p99 µs", of(kept, |heard| heard.first.1)),
            Figure::cost("later p50 µs", of(kept, |heard| heard.later.0)),
            Figure::cost("later p99 µs", of(kept, |heard| heard.later.1)),
            Figure::cost("reads an event", kept.iter().map(reads)),
        ],
    });
    let streams: u64 = samples.iter().flatten().map(|heard| heard.streams).sum();
    Ok(Section {
        key: "events".to_owned(),
        title: format!("Server-sent events, {LISTENERS} listeners"),
        note: format!(
            "{note}Twenty events a stream, 5 ms apart; {streams} streams. From the moment before the upstream writes an event to the moment after \
             the client has read it. \"Reads an event\": 1 when each came alone and in one piece."
        ),
        rows: rows.collect(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 events")]
fn reads(heard: &Heard) -> f64 {
    heard.reads as f64 / heard.events.max(1) as f64
}
