//! Connections that are kept and do nothing: what each costs in memory.

use std::{io, thread, time::Duration};

use isobar_benches::{
    contenders::{CONTENDERS, Kind},
    load::Request,
    process::{Running, resident},
    report::{Figure, Row, Section},
    rounds::alternate,
};

use super::{bench::Bench, requests::in_mib};

/// Memory hardly differs from one time to the next.
const ROUNDS: usize = 3;
/// Until what was needed to open them has been given back, if it is.
const REST: Duration = Duration::from_secs(2);

/// Bytes resident before and with the connections, and how many there were.
struct Kept {
    before: u64,
    with: u64,
    connections: u64,
}

pub(super) fn run(bench: &Bench) -> io::Result<Section> {
    // Some files are not connections.
    let possible = bench.open_files.saturating_sub(256);
    let connections = bench.arguments.idle.min(possible);
    let mut contenders = bench.chosen(&CONTENDERS);
    // Both ways keep connections alike.
    contenders.retain(|contender| contender.kind != Kind::Stream);
    contenders.retain(|contender| {
        let there = bench.ground().program(contender.kind).is_some();
        if !there {
            eprintln!("{} is not installed and is left out.", contender.name());
        }
        there
    });
    let rounds = bench.arguments.rounds.min(ROUNDS);
    // One at a time, each begun anew.
    let samples = alternate("idle", rounds, &contenders, |contender| {
        let mut running = Running::default();
        let subject = bench.ground().start(
            *contender,
            |wanted| wanted.connections = connections + 1024,
            &mut running,
        )?;
        let subject = subject.ok_or_else(|| io::Error::other("it has gone"))?;
        let load = bench.load(0.2, 200);
        load.on(subject.at(), 32, &Request::get("/v1/items/42"))?;
        let before = resident(subject.process)?;
        let kept = load.idle(subject.address, connections, |opened| {
            thread::sleep(REST);
            Ok(Kept {
                before,
                with: resident(subject.process)?,
                connections: opened.connections,
            })
        });
        kept.map_err(|error| io::Error::other(format!("{}: {error}", subject.name)))
    })?;
    let rows = contenders
        .iter()
        .zip(&samples)
        .map(|(contender, kept)| Row {
            name: contender.name(),
            figures: vec![
                Figure::cost("KiB/connection", kept.iter().map(each)).compared(),
                Figure::cost(
                    "resident before, MiB",
                    kept.iter().map(|kept| in_mib(kept.before)),
                ),
                Figure::cost("with them, MiB", kept.iter().map(|kept| in_mib(kept.with))),
            ],
        });
    let asked = bench.arguments.idle;
    let less = if connections < asked {
        format!(
            " The machine allows {} open files, not enough for {asked}.",
            bench.open_files
        )
    } else {
        String::new()
    };
    Ok(Section {
        key: "idle".to_owned(),
        title: format!("{connections} idle connections"),
        note: format!(
            "Each was answered once and is kept.{less} Resident memory of the process; the kernel's part of a connection is not in it. nginx sets aside \
             memory for connections when it starts."
        ),
        rows: rows.collect(),
    })
}

/// KiB of memory for each connection.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 bytes")]
fn each(kept: &Kept) -> f64 {
    let more = kept.with as f64 - kept.before as f64;
    more / 1024.0 / kept.connections.max(1) as f64
}
