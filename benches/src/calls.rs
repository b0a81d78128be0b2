//! Calls of capabilities through a gateway, beside the same calls written by hand: processor time and added latency.

use std::{
    fs, io,
    net::SocketAddr,
    process::{Command, Stdio},
};

use crate::{
    composed::CONNECTIONS,
    load::{KEY, Load, Request},
    process::{
        LOAD_CORE, PROXY_CORE, Running, command, free_port, pin_is_possible, placement, programs,
        start_origin, wait_for,
    },
    recording,
    report::{Figure, Row, Section},
    rounds::alternate,
    spread::Spread,
};

const WARM_UP: u32 = 500;

/// A sentence to be translated: the path at a gateway, and the body.
pub const SENTENCE: (&str, &str) = (
    "/v1/translate",
    r#"{"text":"The weather in London is sunny today.","from":"en","to":"fr"}"#,
);

/// What is asked for.
struct Workload {
    key: &'static str,
    name: &'static str,
    /// At the gateway, and at what is written by hand.
    front: &'static str,
    /// At the vendor.
    back: &'static str,
    front_type: &'static str,
    back_type: &'static str,
    scheme: &'static str,
    vendor: &'static str,
    front_body: Vec<u8>,
    back_body: Vec<u8>,
}

impl Workload {
    fn front(&self) -> Request<'_> {
        Request::post(self.front, self.front_type, &self.front_body)
    }
}

/// The workloads: a recording of half a second in a form, and a sentence.
fn workloads() -> [Workload; 2] {
    let sound = recording(16_000);
    let mut form = Vec::new();
    for (name, value) in [("language", "en"), ("response_format", "full")] {
        form.extend_from_slice(
            format!(
                "--bench\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
            .as_bytes(),
        );
    }
    form.extend_from_slice(b"--bench\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\ncontent-type: audio/wav\r\n\r\n");
    form.extend_from_slice(&sound);
    form.extend_from_slice(b"\r\n--bench--\r\n");
    [
        Workload {
            key: "transcribe",
            name: "speech.transcribe: 16 kB form in, raw body out, 2 KiB answer read, all of it written",
            front: "/v1/audio/transcriptions",
            back: "/deepgram/v1/listen?model=nova-3&smart_format=true&language=en",
            front_type: "multipart/form-data; boundary=bench",
            back_type: "audio/wav",
            scheme: "Token",
            vendor: "deepgram",
            front_body: form,
            back_body: sound,
        },
        Workload {
            key: "translate",
            name: "translation.translate: a sentence, JSON in and out",
            front: SENTENCE.0,
            back: "/deepl/v2/translate",
            front_type: "application/json",
            back_type: "application/json",
            scheme: "DeepL-Auth-Key",
            vendor: "deepl",
            front_body: SENTENCE.1.as_bytes().to_vec(),
            back_body: br#"{"text":["The weather in London is sunny today."],"source_lang":"EN","target_lang":"FR","show_billed_characters":true}"#.to_vec(),
        },
    ]
}

/// A process under test, in front of each of the upstreams.
struct Subject {
    name: &'static str,
    /// In front of the origin, which answers from memory.
    fast: (SocketAddr, u32),
    /// In front of the sandbox, which looks at what it is sent.
    real: SocketAddr,
}

/// Two calls through Isobar and by hand: processor time under load, and what a call alone takes longer than the vendor.
pub fn run(rounds: usize, seconds: f64) -> io::Result<Vec<Section>> {
    let folder = programs()?;
    let scratch = tempfile::tempdir()?;
    let pinned = pin_is_possible();
    let mut running = Running::default();

    let origin = start_origin(&folder, pinned, &mut running)?;
    let sandbox = free_port()?;
    let isobar = folder.join("isobar");
    let mut simulators = command(pinned, LOAD_CORE, &isobar);
    simulators
        .args(["sandbox", "--listen", &sandbox.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    running.0.push(simulators.spawn()?);
    wait_for(sandbox)?;
    let printed = Command::new(&isobar)
        .args([
            "sandbox",
            "--listen",
            &sandbox.to_string(),
            "--print-config",
        ])
        .output()?;
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();

    let mut subjects = Vec::new();
    for (name, gateway) in [("by hand: axum and reqwest", false), ("Isobar", true)] {
        let mut one = |upstream: SocketAddr, label: &str| -> io::Result<(SocketAddr, u32)> {
            let address = free_port()?;
            let mut process = command(
                pinned,
                PROXY_CORE,
                &if gateway {
                    isobar.clone()
                } else {
                    folder.join("byhand")
                },
            );
            if gateway {
                let file = scratch.path().join(format!("{label}.yaml"));
                fs::write(
                    &file,
                    config(
                        address,
                        &printed.replace(&sandbox.to_string(), &upstream.to_string()),
                        label,
                    ),
                )?;
                process.args(["serve", "--threads", "1", "-c"]).arg(&file);
            } else {
                process
                    .arg(address.to_string())
                    .arg(format!("http://{upstream}"));
                process.args([key(&printed, "deepgram"), key(&printed, "deepl")]);
            }
            process.current_dir(scratch.path()).stdout(Stdio::null());
            process.stderr(fs::File::create(
                scratch.path().join(format!("{label}-{gateway}.log")),
            )?);
            let process = process.spawn()?;
            let id = process.id();
            running.0.push(process);
            wait_for(address)?;
            Ok((address, id))
        };
        subjects.push(Subject {
            name,
            fast: one(origin, "fast")?,
            real: one(sandbox, "real")?.0,
        });
    }
    let load = Load {
        folder: &folder,
        scratch: scratch.path(),
        pinned,
        seconds,
        warm_up: WARM_UP,
    };
    let note = format!(
        "{}; one thread; {rounds} rounds of {seconds} s. Isobar: client key, two accounts, metrics, JSON access log to a file. By hand: none of these.",
        placement(pinned)
    );
    let mut sections = Vec::new();
    for workload in workloads() {
        for connections in CONNECTIONS {
            sections.push(busy(
                &load,
                rounds,
                connections,
                &workload,
                &subjects,
                &note,
            )?);
        }
        sections.push(waiting(
            &load, rounds, &workload, &subjects, sandbox, &printed,
        )?);
    }
    Ok(sections)
}

/// A gateway with accounts at both vendors.
fn config(address: SocketAddr, printed: &str, label: &str) -> String {
    let key = isobar_config::hash_key(KEY);
    let account = |vendor: &str| {
        let start = format!("  {vendor}:");
        printed
            .lines()
            .find(|line| line.starts_with(&start))
            .unwrap_or_default()
            .to_owned()
    };
    format!(
        "isobar: 1\nlisten: [ {{ http: \"{address}\" }} ]\nlog: {{ access: \"file:./calls-{label}.log\" }}\n\
         clients: {{ bench: {{ key: \"{key}\" }} }}\nlimits: {{ connections_per_ip: 100000 }}\naccounts:\n{}\n{}\n",
        account("deepgram"),
        account("deepl"),
    )
}

/// The key in a vendor's printed account.
fn key(printed: &str, vendor: &str) -> String {
    let start = format!("  {vendor}:");
    let line = printed
        .lines()
        .find(|line| line.starts_with(&start))
        .unwrap_or_default();
    let after = line.split_once(" key: ").map_or("", |(_, after)| after);
    let end = after.find([',', ' ']).unwrap_or(after.len());
    after
        .get(..end)
        .unwrap_or_default()
        .trim_matches('"')
        .to_owned()
}

/// Processor time of a call under load.
fn busy(
    load: &Load<'_>,
    rounds: usize,
    connections: usize,
    workload: &Workload,
    subjects: &[Subject],
    note: &str,
) -> io::Result<Section> {
    let key = format!("{}-{connections}", workload.key);
    let samples = alternate(&key, rounds, subjects, |subject| {
        load.on(subject.fast, connections, &workload.front())
    })?;
    let rows = subjects.iter().zip(&samples).map(|(subject, kept)| Row {
        name: subject.name.to_owned(),
        figures: vec![
            Figure::cost("CPU µs/call", kept.iter().map(|loaded| loaded.cpu_each())).compared(),
            Figure::gain("calls/s", kept.iter().map(|loaded| loaded.rate())),
        ],
    });
    Ok(Section {
        key: format!("call-{key}"),
        title: format!("{}, {connections} connections", workload.name),
        note: note.to_owned(),
        rows: rows.collect(),
    })
}

/// Latency of a call alone, in front of the sandbox, and of the sandbox itself.
fn waiting(
    load: &Load<'_>,
    rounds: usize,
    workload: &Workload,
    subjects: &[Subject],
    sandbox: SocketAddr,
    printed: &str,
) -> io::Result<Section> {
    let own = format!("{} {}", workload.scheme, key(printed, workload.vendor));
    let back = Request {
        authorization: &own,
        ..Request::post(workload.back, workload.back_type, &workload.back_body)
    };
    // The sandbox first, then those in front of it.
    let mut ways = vec![("the vendor itself", sandbox, &back)];
    let front = workload.front();
    ways.extend(
        subjects
            .iter()
            .map(|subject| (subject.name, subject.real, &front)),
    );
    let label = format!("{}, alone", workload.key);
    let samples = alternate(&label, rounds, &ways, |(_, address, request)| {
        let loaded = load.on((*address, std::process::id()), 1, request)?;
        Ok(f64::from(loaded.p50))
    })?;
    let alone = samples.first().map_or(0.0, |kept| Spread::of(kept).median);
    let rows = ways.iter().zip(&samples).map(|((name, ..), kept)| Row {
        name: (*name).to_owned(),
        figures: vec![
            Figure::cost("p50 µs", kept.iter().copied()),
            Figure::cost("added µs", kept.iter().map(|p50| p50 - alone)),
        ],
    });
    Ok(Section {
        key: format!("alone-{}", workload.key),
        title: format!("{}, one at a time", workload.name),
        note: "In front of the sandbox, which looks at what it is sent.".to_owned(),
        rows: rows.collect(),
    })
}
