//! Runs the subjects side by side and prints one table a workload. Called by `benches/compare`, which builds them.

use std::{
    env, fs, io,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use clap::Parser;
use isobar_benches::{
    Loaded, gateway,
    process::{LOAD_CORE, PROXY_CORE, command, cpu, free_port, pin_is_possible, stop, wait_for},
};

/// Side by side: Isobar's two paths, a bare Pingora proxy, and nginx and `HAProxy` where they are installed.
#[derive(Parser)]
struct Arguments {
    /// Seconds of load for each subject in each round; many short rounds tell more than few long ones
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Rounds; subjects alternate within each
    #[arg(long, default_value_t = 13)]
    rounds: usize,
    /// One workload, three rounds
    #[arg(long)]
    quick: bool,
    /// Only subjects whose name contains this (the floor always runs)
    #[arg(long)]
    only: Option<String>,
}

struct Workload {
    name: &'static str,
    connections: usize,
    path: &'static str,
    post: Option<usize>,
}

const WORKLOADS: [Workload; 5] = [
    Workload {
        name: "small JSON, 32 connections",
        connections: 32,
        path: "/v1/items/42",
        post: None,
    },
    Workload {
        name: "small JSON, 1 connection",
        connections: 1,
        path: "/v1/items/42",
        post: None,
    },
    Workload {
        name: "small JSON, 256 connections",
        connections: 256,
        path: "/v1/items/42",
        post: None,
    },
    Workload {
        name: "GET 1 MiB, 8 connections",
        connections: 8,
        path: "/bytes/1048576",
        post: None,
    },
    Workload {
        name: "POST 1 MiB, 8 connections",
        connections: 8,
        path: "/v1/items/42",
        post: Some(1 << 20),
    },
];

/// A proxy under test.
struct Subject {
    name: &'static str,
    process: Child,
    address: SocketAddr,
}

/// One measurement.
#[derive(Clone, Copy)]
struct Sample {
    rate: f64,
    p50: f64,
    p99: f64,
    /// Microseconds of user and system time of the proxy.
    cpu: f64,
}

fn main() -> io::Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments.rounds = 3;
    }
    let folder = env::current_exe()?
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default();
    let scratch = tempfile::tempdir()?;
    let pinned = pin_is_possible();
    let mut origin = command(pinned, LOAD_CORE, &folder.join("origin"))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(out) = origin.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    let upstream: SocketAddr = line.trim().parse().map_err(io::Error::other)?;
    let subjects = start(
        &folder,
        scratch.path(),
        upstream,
        pinned,
        arguments.only.as_deref(),
    );
    let measured = subjects.and_then(|mut subjects| {
        let done = measure(&arguments, &folder, &subjects, pinned);
        for subject in &mut subjects {
            stop(&mut subject.process);
        }
        done
    });
    stop(&mut origin);
    measured
}

fn measure(
    arguments: &Arguments,
    folder: &Path,
    subjects: &[Subject],
    pinned: bool,
) -> io::Result<()> {
    println!(
        "Proxy on {}, clients and upstream {}; one proxy thread; {} rounds of {} s, alternated; medians.",
        if pinned {
            "one core"
        } else {
            "no core of its own (taskset or a second core is missing)"
        },
        if pinned { "on another" } else { "anywhere" },
        arguments.rounds,
        arguments.seconds,
    );
    println!(
        "Isobar: API key, rate limit, 100 routes, metrics, JSON access log to a file. The others: bare."
    );
    let workloads = WORKLOADS
        .iter()
        .take(if arguments.quick { 1 } else { WORKLOADS.len() });
    for workload in workloads {
        let mut samples: Vec<Vec<Sample>> = subjects.iter().map(|_| Vec::new()).collect();
        for round in 0..arguments.rounds {
            for step in 0..subjects.len() {
                // Each round begins with another subject.
                let at = (step + round) % subjects.len();
                let (Some(subject), Some(kept)) = (subjects.get(at), samples.get_mut(at)) else {
                    continue;
                };
                eprint!(
                    "\r{}: round {} of {}, {:<20}",
                    workload.name,
                    round + 1,
                    arguments.rounds,
                    subject.name
                );
                let _ = io::stderr().flush();
                kept.push(sample(arguments, folder, subject, workload, pinned)?);
            }
        }
        eprint!("\r{:<79}\r", "");
        table(workload.name, subjects, &samples);
    }
    Ok(())
}

fn sample(
    arguments: &Arguments,
    folder: &Path,
    subject: &Subject,
    workload: &Workload,
    pinned: bool,
) -> io::Result<Sample> {
    let mut load = command(pinned, LOAD_CORE, &folder.join("load"));
    load.arg(subject.address.to_string())
        .args(["--connections", &workload.connections.to_string()])
        .args(["--seconds", &arguments.seconds.to_string()])
        .args(["--path", workload.path]);
    if let Some(length) = workload.post {
        load.args(["--post", &length.to_string(), "--warm-up", "64"]);
    }
    if workload.path.starts_with("/bytes") {
        load.args(["--warm-up", "64"]);
    }
    let warm = if workload.post.is_some() || workload.path.starts_with("/bytes") {
        64
    } else {
        2_000
    };
    let before = cpu(subject.process.id())?;
    let output = load.stderr(Stdio::inherit()).output()?;
    let spent = cpu(subject.process.id())? - before;
    let loaded: Loaded = serde_json::from_slice(&output.stdout)
        .map_err(|error| io::Error::other(format!("{}: the load failed: {error}", subject.name)))?;
    if loaded.errors > 0 || loaded.requests == 0 {
        let failed = format!(
            "{}: {} of {} requests failed",
            subject.name,
            loaded.errors,
            loaded.requests + loaded.errors
        );
        return Err(io::Error::other(failed));
    }
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
    let requests = loaded.requests as f64;
    Ok(Sample {
        rate: requests / loaded.seconds,
        p50: loaded.p50.into(),
        p99: loaded.p99.into(),
        cpu: spent * 1e6 / (requests + f64::from(warm)),
    })
}

fn table(name: &str, subjects: &[Subject], samples: &[Vec<Sample>]) {
    let sorted = |kept: &[Sample], what: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = kept.iter().map(what).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let at = |values: &[f64], part: usize| {
        let place = values.len().saturating_sub(1) * part / 4;
        values.get(place).copied().unwrap_or_default()
    };
    let median = |kept: &[Sample], what: fn(&Sample) -> f64| at(&sorted(kept, what), 2);
    let floor = samples
        .first()
        .map(|kept| sorted(kept, |sample| sample.cpu));
    let floor = floor.unwrap_or_default();
    let floor_p99 = samples
        .first()
        .map_or(1.0, |kept| median(kept, |sample| sample.p99));
    println!("\n### {name}\n");
    println!(
        "| | CPU µs/request (range) | ratio to bare Pingora | of lower quartiles | requests/s | p50 µs | p99 µs | p99 ratio |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (subject, kept) in subjects.iter().zip(samples) {
        let cpu = sorted(kept, |sample| sample.cpu);
        let p99 = median(kept, |sample| sample.p99);
        println!(
            "| {} | {:.1} ({:.1} to {:.1}) | {:.2} | {:.2} | {:.0} | {:.0} | {p99:.0} | {:.2} |",
            subject.name,
            at(&cpu, 2),
            at(&cpu, 0),
            at(&cpu, 4),
            at(&cpu, 2) / at(&floor, 2),
            // What others do on the machine only ever makes a round slower.
            at(&cpu, 1) / at(&floor, 1),
            median(kept, |sample| sample.rate),
            median(kept, |sample| sample.p50),
            p99 / floor_p99,
        );
    }
}

fn start(
    folder: &Path,
    scratch: &Path,
    upstream: SocketAddr,
    pinned: bool,
    only: Option<&str>,
) -> io::Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    let mut add = |name: &'static str,
                   program: &Path,
                   arguments: &dyn Fn(SocketAddr) -> io::Result<Vec<String>>|
     -> io::Result<()> {
        if !subjects.is_empty() && only.is_some_and(|only| !name.contains(only)) {
            return Ok(());
        }
        let address = free_port()?;
        let mut command = command(pinned, PROXY_CORE, program);
        command
            .args(arguments(address)?)
            .current_dir(scratch)
            .stdout(Stdio::null());
        let log = fs::File::create(scratch.join(format!("{}.log", name.replace(' ', "-"))))?;
        let mut process = command.stderr(log).spawn()?;
        if let Err(error) = wait_for(address) {
            stop(&mut process);
            return Err(io::Error::other(format!("{name} does not answer: {error}")));
        }
        subjects.push(Subject {
            name,
            process,
            address,
        });
        Ok(())
    };
    add("bare Pingora", &folder.join("floor"), &|address| {
        Ok(vec![address.to_string(), upstream.to_string()])
    })?;
    for (name, mode) in [
        ("Isobar, exchange", "exchange"),
        ("Isobar, stream", "stream"),
    ] {
        add(name, &folder.join("isobar"), &|address| {
            let file = scratch.join(format!("{mode}.yaml"));
            fs::write(&file, gateway(address, upstream, mode))?;
            Ok(vec![
                "serve".to_owned(),
                "--threads".to_owned(),
                "1".to_owned(),
                "-c".to_owned(),
                file.display().to_string(),
            ])
        })?;
    }
    for (name, program, config) in [
        (
            "nginx",
            "nginx",
            nginx as fn(SocketAddr, SocketAddr) -> String,
        ),
        ("HAProxy", "haproxy", haproxy),
    ] {
        let Some(path) = installed(program) else {
            println!("{name} is not installed and is left out (Debian package `{program}`).");
            continue;
        };
        add(name, &path, &|address| {
            let file = scratch.join(format!("{program}.conf"));
            fs::write(&file, config(address, upstream))?;
            let file = file.display().to_string();
            Ok(if program == "nginx" {
                vec![
                    "-p".to_owned(),
                    scratch.display().to_string(),
                    "-c".to_owned(),
                    file,
                ]
            } else {
                vec!["-db".to_owned(), "-f".to_owned(), file]
            })
        })?;
    }
    Ok(subjects)
}

fn nginx(address: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "daemon off; worker_processes 1; master_process off; pid nginx.pid; error_log stderr crit;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; client_max_body_size 0; keepalive_requests 1000000000;\n\
         client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n\
         upstream origin {{ server {upstream}; keepalive 512; keepalive_requests 1000000000; }}\n\
         server {{ listen {address}; location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }} }}\n"
    )
}

fn haproxy(address: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 4096\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  http-reuse always\n\
         frontend f\n  bind {address}\n  default_backend b\nbackend b\n  server s {upstream}\n"
    )
}

fn installed(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
