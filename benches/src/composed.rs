//! One call, then two at once with a value of the first one's answer, merged: served by Isobar, and written by hand.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;

use crate::{
    load::{BEARER, KEY, Load, Request},
    process::{
        PROXY_CORE, Running, command, free_port, installed, pin_is_possible, placement, programs,
        start_origin, wait_for,
    },
    report::{Figure, Row, Section},
    rounds::alternate,
    spread::Spread,
};

/// Where the composition is served.
pub const PATH: &str = "/v1/insights";
/// What it is asked.
pub const ASKED: &str = r#"{"call":"call-4711"}"#;
const WARM_UP: u32 = 320;
/// Connections that are busy at once: a few, and so many that what they need together no longer fits the nearer caches.
pub(crate) const CONNECTIONS: [usize; 2] = [32, 8];

/// How it is measured, and beside whom.
pub struct Options<'a> {
    /// Rounds; subjects alternate within each.
    pub rounds: usize,
    /// Seconds of load for each subject in each round.
    pub seconds: f64,
    /// Folder with Node's and Python's packages; without it only the two in Rust are measured.
    pub cache: Option<&'a Path>,
    /// Folder with the programs in Node and Python.
    pub scripts: &'a Path,
}

/// A server under test.
struct Subject {
    name: &'static str,
    at: (SocketAddr, u32),
}

/// A composition under load, and one request at a time.
pub fn run(options: &Options<'_>) -> io::Result<Vec<Section>> {
    let folder = programs()?;
    let scratch = tempfile::tempdir()?;
    let pinned = pin_is_possible();
    let mut running = Running::default();
    let origin = start_origin(&folder, pinned, &mut running)?;
    let subjects = start(
        options,
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
        seconds: options.seconds,
        warm_up: WARM_UP,
    };
    let note = format!(
        "{}; one thread or worker; {} rounds of {} s. Isobar: client key, limits, metrics, JSON access log to a file. The others: bare.",
        placement(pinned),
        options.rounds,
        options.seconds,
    );
    let mut sections = Vec::new();
    for connections in CONNECTIONS {
        sections.push(busy(&load, options.rounds, connections, &subjects, &note)?);
    }
    sections.push(alone(&load, options.rounds, &subjects, origin)?);
    Ok(sections)
}

fn asked(path: &'static str, body: &'static str) -> Request<'static> {
    Request::post(path, "application/json", body.as_bytes())
}

fn busy(
    load: &Load<'_>,
    rounds: usize,
    connections: usize,
    subjects: &[Subject],
    note: &str,
) -> io::Result<Section> {
    let key = format!("composition-{connections}");
    let samples = alternate(&key, rounds, subjects, |subject| {
        load.on(subject.at, connections, &asked(PATH, ASKED))
    })?;
    let rows = subjects.iter().zip(&samples).map(|(subject, kept)| Row {
        name: subject.name.to_owned(),
        figures: vec![
            Figure::cost(
                "CPU µs/request",
                kept.iter().map(|loaded| loaded.cpu_each()),
            )
            .compared(),
            Figure::gain("requests/s", kept.iter().map(|loaded| loaded.rate())).compared(),
            Figure::cost("p50 µs", kept.iter().map(|loaded| loaded.p50.into())),
            Figure::cost("p99 µs", kept.iter().map(|loaded| loaded.p99.into())),
        ],
    });
    Ok(Section {
        key,
        title: format!("One call, then two at once, merged; {connections} connections"),
        note: note.to_owned(),
        rows: rows.collect(),
    })
}

/// One request at a time, beside the way that no order of calls makes shorter: the first and one of the others. Its shortest
/// time is that of a client beside the upstream; what a server makes of it is in its own `Server-Timing`, if it tells.
fn alone(
    load: &Load<'_>,
    rounds: usize,
    subjects: &[Subject],
    origin: SocketAddr,
) -> io::Result<Section> {
    let nobody = std::process::id();
    let mut ways = vec![("the first call and one of the others", (origin, nobody))];
    ways.extend(subjects.iter().map(|subject| (subject.name, subject.at)));
    let samples = alternate("composition, alone", rounds, &ways, |(_, at)| {
        if at.0 != origin {
            let mut asked = asked(PATH, ASKED);
            asked.calls = Some("heard,mood|people");
            let loaded = load.on(*at, 1, &asked)?;
            return Ok((f64::from(loaded.p50), loaded.beyond.map(f64::from)));
        }
        let text = r#"{"text":"Good morning.","language":"en"}"#;
        let first = load.on(*at, 1, &asked("/heard", ASKED))?;
        let second = load.on(*at, 1, &asked("/mood", text))?;
        Ok((f64::from(first.p50) + f64::from(second.p50), None))
    })?;
    let p50 = |kept: &[(f64, Option<f64>)]| kept.iter().map(|(p50, _)| *p50).collect::<Vec<_>>();
    let direct = samples
        .first()
        .map_or(0.0, |kept| Spread::of(&p50(kept)).median);
    let rows = ways.iter().zip(&samples).map(|((name, _), kept)| {
        let over = p50(kept).into_iter().map(|p50| p50 - direct);
        let beyond = kept.iter().filter_map(|(_, beyond)| *beyond);
        let figures = vec![
            Figure::cost("p50 µs", p50(kept)),
            Figure::cost("over the critical path µs", over),
            Figure::cost("over its own calls µs", beyond),
        ];
        Row {
            name: (*name).to_owned(),
            figures,
        }
    });
    Ok(Section {
        key: "alone-composition".to_owned(),
        title: "One call, then two at once, merged; one request at a time".to_owned(),
        note: "The critical path is the first call and one of the others, made by a client beside the upstream; a server's own \
               calls are those of `Server-Timing`."
            .to_owned(),
        rows: rows.collect(),
    })
}

/// Starts what can be started here; the first is what the others are measured against.
fn start(
    options: &Options<'_>,
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
    let file = gateway(address, origin, scratch)?.display().to_string();
    add(
        "Isobar",
        address,
        &folder.join("isobar"),
        &["serve", "--threads", "1", "-c", &file],
        None,
    )?;
    let Some(cache) = options.cache else {
        return Ok(subjects);
    };
    let modules = fs::canonicalize(cache.join("node_modules")).ok();
    let has_undici = modules
        .as_ref()
        .is_some_and(|modules| modules.join("undici").is_dir());
    if let (Some(node), true) = (installed("node"), has_undici) {
        let address = free_port()?;
        let script = options.scripts.join("aggregate.cjs");
        let script = script.display().to_string();
        add(
            "by hand: Node and undici",
            address,
            &node,
            &[&script, &address.to_string(), &base],
            modules,
        )?;
    } else {
        eprintln!("Node or undici is not installed; they are left out.");
    }
    for (name, script, ready) in [
        (
            "by hand: FastAPI, aiohttp and orjson",
            "aggregate_aiohttp.py",
            "python/ready-aiohttp",
        ),
        ("by hand: FastAPI and httpx", "aggregate.py", "python/ready"),
    ] {
        if !cache.join(ready).exists() {
            eprintln!("{name}: not installed and left out.");
            continue;
        }
        let address = free_port()?;
        let script = options.scripts.join(script);
        let script = script.display().to_string();
        add(
            name,
            address,
            &cache.join("python/bin/python"),
            &[&script, &address.to_string(), &base],
            None,
        )?;
    }
    Ok(subjects)
}

/// Writes the configuration of Isobar with its whole pipeline on, and the composition beside it.
pub fn gateway(address: SocketAddr, origin: SocketAddr, scratch: &Path) -> io::Result<PathBuf> {
    let key = isobar_config::hash_key(KEY);
    let folder = scratch.display();
    let text = format!(
        "isobar: 1\nlisten: [ {{ http: \"{address}\" }} ]\nstate: \"{folder}/state\"\nlog: {{ access: \"file:{folder}/access.log\" }}\n\
         clients: {{ bench: {{ key: \"{key}\" }} }}\nlimits: {{ rate: 1000000000/s, connections_per_ip: 100000 }}\n\
         compositions: ./insights.yaml\n"
    );
    let file = scratch.join("isobar.yaml");
    fs::write(&file, text)?;
    fs::write(scratch.join("insights.yaml"), composition(origin))?;
    Ok(file)
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
        "POST {PATH} HTTP/1.1\r\nhost: isobar\r\nauthorization: {BEARER}\r\ncontent-type: application/json\r\n\
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
