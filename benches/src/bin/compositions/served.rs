//! One call, then two at once with a value of the first one's answer, merged: served by Isobar, and written by hand.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use isobar_benches::process::{
    Load, PROXY_CORE, Request, Running, command, free_port, median, pin_is_possible, programs,
    start_origin, wait_for,
};
use serde_json::Value;

use super::Arguments;

const KEY: &str = "Bearer bench-key-0123456789abcdef";
const PATH: &str = "/v1/insights";
const ASKED: &str = r#"{"call":"call-4711"}"#;
const WARM_UP: u32 = 320;

/// A server under test.
struct Subject {
    name: &'static str,
    at: (SocketAddr, u32),
    samples: Vec<Sample>,
    /// p50 of requests sent one by one, microseconds.
    alone: Vec<f64>,
}

struct Sample {
    cpu: f64,
    rate: f64,
    p50: f64,
    p99: f64,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<()> {
    let folder = programs()?;
    let scratch = tempfile::tempdir()?;
    let pinned = pin_is_possible();
    let mut running = Running::default();
    let origin = start_origin(&folder, pinned, &mut running)?;
    let mut subjects = start(
        arguments,
        &folder,
        scratch.path(),
        origin,
        pinned,
        &mut running,
    )?;
    check(&subjects)?;
    let load = Load {
        folder: &folder,
        scratch: scratch.path(),
        pinned,
        seconds: arguments.seconds,
        warm_up: WARM_UP,
    };
    let request = |path, body: &'static str| Request {
        path,
        media_type: "application/json",
        authorization: KEY,
        body: body.as_bytes(),
    };
    println!(
        "\nProxy on {}, clients and upstream {}; one thread or worker; {} rounds of {} s, alternated; medians.\n\
         Isobar: client key, limits, metrics, JSON access log to a file. The others: bare.",
        if pinned {
            "one core"
        } else {
            "no core of its own"
        },
        if pinned { "on another" } else { "anywhere" },
        arguments.rounds,
        arguments.seconds,
    );
    let mut direct = Vec::new();
    for round in 0..arguments.rounds {
        // The way that no order of calls makes shorter: the first and one of the others.
        let text = r#"{"text":"Good morning.","language":"en"}"#;
        let first = load.at(origin, 1, &request("/heard", ASKED))?;
        let second = load.at(origin, 1, &request("/mood", text))?;
        direct.push(f64::from(first.p50) + f64::from(second.p50));
        let count = subjects.len();
        for step in 0..count {
            // Each round begins with another subject.
            let Some(subject) = subjects.get_mut((step + round) % count) else {
                continue;
            };
            let (loaded, cpu) = load.on(subject.at, 32, &request(PATH, ASKED))?;
            subject.samples.push(Sample {
                cpu,
                rate: loaded.rate(),
                p50: loaded.p50.into(),
                p99: loaded.p99.into(),
            });
            let loaded = load.at(subject.at.0, 1, &request(PATH, ASKED))?;
            subject.alone.push(loaded.p50.into());
        }
    }
    table(&subjects, median(&direct).0);
    Ok(())
}

fn table(subjects: &[Subject], direct: f64) {
    let of = |subject: &Subject, what: fn(&Sample) -> f64| {
        median(&subject.samples.iter().map(what).collect::<Vec<_>>())
    };
    let base = subjects.first().map_or((1.0, 1.0), |first| {
        (of(first, |s| s.cpu).0, of(first, |s| s.rate).0)
    });
    println!("\n### One call, then two at once, merged; 32 connections\n");
    println!(
        "| | CPU µs/request (range) | ratio | requests/s | ratio | p50 µs | p99 µs |\n| --- | --- | --- | --- | --- | --- | --- |"
    );
    for subject in subjects {
        let (cpu, least, most) = of(subject, |sample| sample.cpu);
        let rate = of(subject, |sample| sample.rate).0;
        println!(
            "| {} | {cpu:.1} ({least:.1} to {most:.1}) | {:.2} | {rate:.0} | {:.3} | {:.0} | {:.0} |",
            subject.name,
            cpu / base.0,
            rate / base.1,
            of(subject, |sample| sample.p50).0,
            of(subject, |sample| sample.p99).0,
        );
    }
    println!(
        "\nOne request at a time, p50: the first call and one of the others without anything between, {direct:.0} µs\n"
    );
    println!("| | p50 µs (range) | over the critical path, µs |\n| --- | --- | --- |");
    for subject in subjects {
        let (middle, least, most) = median(&subject.alone);
        println!(
            "| {} | {middle:.0} ({least:.0} to {most:.0}) | {:.0} |",
            subject.name,
            middle - direct
        );
    }
}

/// Starts what can be started here; the first is what the others are measured against.
fn start(
    arguments: &Arguments,
    folder: &Path,
    scratch: &Path,
    origin: SocketAddr,
    pinned: bool,
    running: &mut Running,
) -> io::Result<Vec<Subject>> {
    let base = format!("http://{origin}");
    let mut subjects = Vec::new();
    let mut add = |name: &'static str,
                   address: SocketAddr,
                   program: &Path,
                   given: &[&str],
                   modules: Option<PathBuf>|
     -> io::Result<()> {
        let mut command = command(pinned, PROXY_CORE, program);
        command.args(given).stdout(Stdio::null());
        if let Some(modules) = modules {
            command.env("NODE_PATH", modules);
        }
        let log = scratch.join(format!("{}.log", subjects.len()));
        let process = command.stderr(fs::File::create(&log)?).spawn()?;
        let id = process.id();
        running.extend([process]);
        wait_for(address).map_err(|error| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            io::Error::other(format!("{name} does not answer: {error}\n{said}"))
        })?;
        subjects.push(Subject {
            name,
            at: (address, id),
            samples: Vec::new(),
            alone: Vec::new(),
        });
        Ok(())
    };
    let address = free_port()?;
    let listen = address.to_string();
    add(
        "by hand: axum and reqwest",
        address,
        &folder.join("aggregate"),
        &[&listen, &base],
        None,
    )?;
    let address = free_port()?;
    let file = scratch.join("isobar.yaml");
    fs::write(&file, gateway(address, scratch))?;
    fs::write(scratch.join("insights.yaml"), composition(origin))?;
    let file = file.display().to_string();
    add(
        "Isobar",
        address,
        &folder.join("isobar"),
        &["serve", "--threads", "1", "-c", &file],
        None,
    )?;
    if arguments.rust {
        return Ok(subjects);
    }
    let modules = fs::canonicalize(arguments.cache.join("node_modules")).ok();
    let has_undici = modules
        .as_ref()
        .is_some_and(|modules| modules.join("undici").is_dir());
    if let (Some(node), true) = (installed("node"), has_undici) {
        let address = free_port()?;
        let script = arguments.scripts.join("aggregate.cjs");
        let script = script.display().to_string();
        add(
            "by hand: Node and undici",
            address,
            &node,
            &[&script, &address.to_string(), &base],
            modules,
        )?;
    } else {
        println!("Node or undici is not installed; they are left out.");
    }
    if arguments.cache.join("python/ready").exists() {
        let address = free_port()?;
        let script = arguments.scripts.join("aggregate.py");
        let script = script.display().to_string();
        add(
            "by hand: FastAPI and httpx",
            address,
            &arguments.cache.join("python/bin/python"),
            &[&script, &address.to_string(), &base],
            None,
        )?;
    } else {
        println!("FastAPI and httpx are not installed; they are left out.");
    }
    Ok(subjects)
}

fn installed(program: &str) -> Option<PathBuf> {
    let output = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .ok()?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !path.is_empty()).then(|| path.into())
}

/// Isobar with its whole pipeline on.
fn gateway(address: SocketAddr, scratch: &Path) -> String {
    let key = isobar_config::hash_key("bench-key-0123456789abcdef");
    let folder = scratch.display();
    format!(
        "isobar: 1\nlisten: [ {{ http: \"{address}\" }} ]\nstate: \"{folder}/state\"\nlog: {{ access: \"file:{folder}/access.log\" }}\n\
         clients: {{ bench: {{ key: \"{key}\" }} }}\nlimits: {{ rate: 1000000000/s, connections_per_ip: 100000 }}\n\
         compositions: ./insights.yaml\n"
    )
}

fn composition(origin: SocketAddr) -> String {
    format!(
        "composition: insights\nexpose: POST {PATH}\ninput: {{ call: string }}\nhosts: [\"{origin}\"]\nsteps:\n\
         \x20 heard: {{ http: {{ method: POST, url: \"http://{origin}/heard\", json: {{ call: $.input.call }} }} }}\n\
         \x20 mood: {{ http: {{ method: POST, url: \"http://{origin}/mood\", json: {{ text: $.heard.body.text, language: $.heard.body.language }} }} }}\n\
         \x20 people: {{ http: {{ method: POST, url: \"http://{origin}/people\", json: {{ text: $.heard.body.text, language: $.heard.body.language }} }} }}\n\
         output:\n  text: $.heard.body.text\n  mood: $.mood.body.label\n  score: $.mood.body.score\n\
         \x20 people: $.people.body.entities[*].name\n  english: \"= heard.body.language == 'en'\"\n"
    )
}

/// Looks whether all give the same answer.
fn check(subjects: &[Subject]) -> io::Result<()> {
    let mut first = None;
    for subject in subjects {
        let answer = ask(subject.at.0)?;
        let known = first.get_or_insert_with(|| answer.clone());
        if *known != answer {
            return Err(io::Error::other(format!(
                "{} answers {answer}, not {known}",
                subject.name
            )));
        }
    }
    Ok(())
}

fn ask(address: SocketAddr) -> io::Result<Value> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "POST {PATH} HTTP/1.1\r\nhost: isobar\r\nauthorization: {KEY}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{ASKED}",
        ASKED.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if !head.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(answer));
    }
    serde_json::from_str(body).map_err(io::Error::other)
}
