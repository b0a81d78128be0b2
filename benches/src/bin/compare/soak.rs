//! Memory of a gateway over minutes of mixed load, connections coming and going.

use std::{
    io,
    time::{Duration, Instant},
};

use isobar_benches::{
    contenders::{Contender, Kind},
    load::{Body, Request},
    process::{Running, resident},
    report::{Figure, Row, Section},
};

use super::{bench::Bench, requests::in_mib};

/// Seconds of one kind of load, after which all its connections close and memory is looked at.
const TURN: f64 = 2.0;
/// Memory grows until everything has been needed once: this part of the time is not looked at.
const SETTLING: f64 = 0.2;

pub(super) fn run(bench: &Bench) -> io::Result<Section> {
    let isobar = Contender {
        kind: Kind::Auto,
        features: true,
    };
    let mut running = Running::default();
    let subject = bench.ground().start(isobar, |_| {}, &mut running)?;
    let subject = subject.ok_or_else(|| io::Error::other("Isobar is not there"))?;
    let load = bench.load(TURN, 32);
    let post = |length| Request {
        body: Body::Length(length),
        ..Request::get("/v1/items/42")
    };
    let turns = [
        (32, Request::get("/v1/items/42")),
        (16, post(64 << 10)),
        (8, Request::get("/bytes/1048576")),
        // Larger than what is kept to be sent again.
        (4, post(4 << 20)),
    ];
    let whole = Duration::from_secs(bench.arguments.soak);
    let began = Instant::now();
    let (mut memory, mut requests, mut errors) = (Vec::new(), 0, Vec::new());
    while began.elapsed() < whole {
        for (connections, request) in &turns {
            match load.on(subject.at(), *connections, request) {
                Ok(loaded) => requests += loaded.requests,
                Err(error) => errors.push(error.to_string()),
            }
        }
        load.events(subject.address, 8, "/events/20/5000")?;
        bench.ground().empty_logs()?;
        let now = in_mib(resident(subject.process)?);
        memory.push((began.elapsed().as_secs_f64(), now));
        let seconds = began.elapsed().as_secs();
        eprintln!(
            "soak: {seconds} of {} s, {now:.1} MiB resident",
            whole.as_secs()
        );
    }
    let settled = whole.as_secs_f64() * SETTLING;
    let looked: Vec<_> = memory
        .iter()
        .filter(|(at, _)| *at >= settled)
        .copied()
        .collect();
    let slope = slope(&looked) * 60.0 * 1024.0;
    let mut note = format!(
        "{requests} requests in {} s: small answers, bodies of 64 KiB, 1 MiB and 4 MiB, streams of events, by turns. Memory was looked at {} times; the slope leaves the \
         first {:.0} s out.",
        whole.as_secs(),
        memory.len(),
        settled,
    );
    if let Some(first) = errors.first() {
        note.push_str(&format!(
            " {} turns failed, the first: {first}.",
            errors.len()
        ));
    }
    Ok(Section {
        key: "soak".to_owned(),
        title: "Soak".to_owned(),
        note,
        rows: vec![Row {
            name: subject.name,
            figures: vec![
                Figure::cost("resident, MiB (median)", memory.iter().map(|(_, now)| *now)),
                Figure::cost("when settled", looked.first().map(|(_, now)| *now)),
                Figure::cost("at the end", looked.last().map(|(_, now)| *now)),
                Figure::cost("slope, KiB a minute", [slope]),
            ],
        }],
    })
}

/// Of the line with the least squares: how much the second grows when the first grows by one.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = f64::from(u32::try_from(points.len()).unwrap_or(u32::MAX)).max(1.0);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let both: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let square: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if square > 0.0 { both / square } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn a_line_has_its_slope_and_a_point_none() {
        assert!((slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) - 2.0).abs() < 1e-9);
        assert!(slope(&[(0.0, 5.0), (1.0, 6.0), (2.0, 5.0)]).abs() < 1e-9);
        assert!(slope(&[(3.0, 5.0)]).abs() < 1e-9);
    }
}
