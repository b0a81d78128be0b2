//! Calls of capabilities through a gateway, beside the same calls written by hand: processor time and added latency.

use std::{
    fs, io,
    net::SocketAddr,
    process::{Command, Stdio},
};

use isobar_benches::{
    process::{
        LOAD_CORE, Load, PROXY_CORE, Request, Running, command, free_port, median, pin_is_possible,
        programs, start_origin, wait_for,
    },
    recording,
};

const WARM_UP: u32 = 500;

/// What is asked for.
struct Workload {
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
        Request {
            path: self.front,
            media_type: self.front_type,
            authorization: "Bearer bench-key-0123456789abcdef",
            body: &self.front_body,
        }
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
            name: "translation.translate: a sentence, JSON in and out",
            front: "/v1/translate",
            back: "/deepl/v2/translate",
            front_type: "application/json",
            back_type: "application/json",
            scheme: "DeepL-Auth-Key",
            vendor: "deepl",
            front_body: br#"{"text":"The weather in London is sunny today.","from":"en","to":"fr"}"#.to_vec(),
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

pub(super) fn run(rounds: usize, seconds: f64) -> io::Result<()> {
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
    println!(
        "\nProxy on {}, clients and upstream {}; one thread; {rounds} rounds of {seconds} s, alternated; medians.\n\
         Isobar: client key, two accounts, metrics, JSON access log to a file. By hand: none of these.",
        if pinned {
            "one core"
        } else {
            "no core of its own"
        },
        if pinned { "on another" } else { "anywhere" },
    );
    let load = Load {
        folder: &folder,
        scratch: scratch.path(),
        pinned,
        seconds,
        warm_up: WARM_UP,
    };
    for workload in workloads() {
        busy(&load, rounds, &workload, &subjects)?;
        waiting(&load, rounds, &workload, &subjects, sandbox, &printed)?;
    }
    Ok(())
}

/// A gateway with accounts at both vendors.
fn config(address: SocketAddr, printed: &str, label: &str) -> String {
    let key = isobar_config::hash_key("bench-key-0123456789abcdef");
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
    workload: &Workload,
    subjects: &[Subject],
) -> io::Result<()> {
    let mut samples: Vec<(Vec<f64>, Vec<f64>)> =
        subjects.iter().map(|_| (Vec::new(), Vec::new())).collect();
    for round in 0..rounds {
        for step in 0..subjects.len() {
            let at = (step + round) % subjects.len();
            let (Some(subject), Some((times, rates))) = (subjects.get(at), samples.get_mut(at))
            else {
                continue;
            };
            let (loaded, spent) = load.on(subject.fast, 32, &workload.front())?;
            times.push(spent);
            rates.push(loaded.rate());
        }
    }
    println!("\n### {}, 32 connections\n", workload.name);
    println!("| | CPU µs/call (range) | ratio | calls/s |\n| --- | --- | --- | --- |");
    let base = samples.first().map_or(1.0, |(times, _)| median(times).0);
    for (subject, (times, rates)) in subjects.iter().zip(&samples) {
        let (middle, least, most) = median(times);
        println!(
            "| {} | {middle:.1} ({least:.1} to {most:.1}) | {:.2} | {:.0} |",
            subject.name,
            middle / base,
            median(rates).0
        );
    }
    Ok(())
}

/// Latency of a call alone, in front of the sandbox, and of the sandbox itself.
fn waiting(
    load: &Load<'_>,
    rounds: usize,
    workload: &Workload,
    subjects: &[Subject],
    sandbox: SocketAddr,
    printed: &str,
) -> io::Result<()> {
    let own = format!("{} {}", workload.scheme, key(printed, workload.vendor));
    let mut direct = Vec::new();
    let mut samples: Vec<Vec<f64>> = subjects.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        let back = Request {
            path: workload.back,
            media_type: workload.back_type,
            authorization: &own,
            body: &workload.back_body,
        };
        let loaded = load.at(sandbox, 1, &back)?;
        direct.push(f64::from(loaded.p50));
        for (subject, kept) in subjects.iter().zip(&mut samples) {
            let loaded = load.at(subject.real, 1, &workload.front())?;
            kept.push(f64::from(loaded.p50));
        }
    }
    let alone = median(&direct).0;
    println!("\nOne call at a time, p50: the sandbox itself {alone:.0} µs\n");
    println!("| | p50 µs (range) | added µs |\n| --- | --- | --- |");
    for (subject, kept) in subjects.iter().zip(&samples) {
        let (middle, least, most) = median(kept);
        println!(
            "| {} | {middle:.0} ({least:.0} to {most:.0}) | {:.0} |",
            subject.name,
            middle - alone
        );
    }
    Ok(())
}
