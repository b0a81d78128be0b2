//! Everything that was promised about the speed of the gateway, measured side by side in one run. Called by
//! `benches/compare`, which builds and installs what it needs.

mod bench;
mod events;
mod idle;
mod promises;
mod requests;
mod routes;
mod soak;

use std::{fs, io, path::PathBuf};

use clap::Parser;
use isobar_benches::{
    calls, composed,
    contenders::{CONTENDERS, FEATURES},
    process::placement,
    report::Section,
};
use serde::Deserialize;
use serde_json::json;

use bench::Bench;

/// Isobar side by side with a bare Pingora proxy, and with nginx, `HAProxy` and Envoy where they are installed.
#[derive(Parser)]
struct Arguments {
    /// Workloads; all without any (`--list` names them)
    workloads: Vec<String>,
    /// Name the workloads and end
    #[arg(long)]
    list: bool,
    /// Seconds of load for each contender in each round; many short rounds tell more than few long ones
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Rounds; contenders alternate within each
    #[arg(long, default_value_t = 13)]
    rounds: usize,
    /// Three rounds, and only the first workload unless others are named
    #[arg(long)]
    quick: bool,
    /// Only contenders whose name contains this (the first always runs)
    #[arg(long)]
    only: Option<String>,
    /// Idle connections that are opened, if the machine allows so many
    #[arg(long, default_value_t = 10_000)]
    idle: u64,
    /// Seconds of the soak
    #[arg(long, default_value_t = 600)]
    soak: u64,
    /// Envoy's program
    #[arg(long)]
    envoy: Option<PathBuf>,
    /// Folder with Node's and Python's packages for the composition by hand; only Rust without
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Folder with the programs in Node and Python
    #[arg(long, default_value = "benches/byhand")]
    scripts: PathBuf,
    /// Where the tables go, beside the same as JSON with every sample
    #[arg(long, default_value = "target/compare.md")]
    out: PathBuf,
    /// Keep what was measured before of workloads that do not run now
    #[arg(long)]
    keep: bool,
}

/// Something to be measured.
enum Workload {
    Requests(requests::Requests),
    Other(&'static str, fn(&Bench) -> io::Result<Vec<Section>>),
}

impl Workload {
    fn name(&self) -> &'static str {
        match self {
            Self::Requests(requests) => requests.name,
            Self::Other(name, _) => name,
        }
    }

    fn run(&self, bench: &Bench) -> io::Result<Vec<Section>> {
        match self {
            Self::Requests(requests) => Ok(vec![requests.run(bench)?]),
            Self::Other(_, run) => run(bench),
        }
    }
}

fn workloads() -> Vec<Workload> {
    let requests = requests::ALL.into_iter().map(Workload::Requests);
    requests
        .chain([
            Workload::Other("events", |bench| Ok(vec![events::run(bench)?])),
            Workload::Other("idle", |bench| Ok(vec![idle::run(bench)?])),
            Workload::Other("routes", |bench| Ok(vec![routes::run(bench)?])),
            Workload::Other("composition", |bench| {
                composed::run(&composed::Options {
                    rounds: bench.arguments.rounds,
                    seconds: bench.arguments.seconds,
                    cache: bench.arguments.cache.as_deref(),
                    scripts: &bench.arguments.scripts,
                })
            }),
            Workload::Other("calls", |bench| {
                calls::run(bench.arguments.rounds, bench.arguments.seconds)
            }),
            Workload::Other("soak", |bench| Ok(vec![soak::run(bench)?])),
        ])
        .collect()
}

fn main() -> io::Result<()> {
    let mut arguments = Arguments::parse();
    let all = workloads();
    if arguments.list {
        for workload in &all {
            println!("{}", workload.name());
        }
        return Ok(());
    }
    let known = |name: &String| all.iter().any(|workload| workload.name() == name);
    if let Some(unknown) = arguments.workloads.iter().find(|name| !known(name)) {
        return Err(io::Error::other(format!(
            "no workload is called {unknown}; see --list"
        )));
    }
    if arguments.quick {
        arguments.rounds = 3;
        if arguments.workloads.is_empty() {
            arguments
                .workloads
                .extend(all.first().map(|first| first.name().to_owned()));
        }
    }
    let wanted = arguments.workloads.clone();
    let mut report = Report::new(&arguments)?;
    let bench = Bench::start(arguments)?;
    report.about = about(&bench);
    println!("{}", report.about.join("\n"));
    let mut failed = Vec::new();
    let chosen = all
        .iter()
        .filter(|workload| wanted.is_empty() || wanted.iter().any(|name| name == workload.name()));
    for workload in chosen {
        match workload.run(&bench) {
            Ok(sections) => {
                for section in sections {
                    print!("{}", section.markdown());
                    report.add(section);
                }
                report.write()?;
            }
            Err(error) => {
                eprintln!("{}: {error}", workload.name());
                failed.push(workload.name());
            }
        }
    }
    print!("{}", promises::table(&report.sections));
    eprintln!("\nAlso in {} and .json beside it.", report.out.display());
    if failed.is_empty() {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "not measured: {}",
            failed.join(", ")
        )))
    }
}

/// What must be known to read any of the tables.
fn about(bench: &Bench) -> Vec<String> {
    let ground = bench.ground();
    let versions = CONTENDERS.iter().filter_map(|one| ground.version(one.kind));
    let mut versions: Vec<String> = versions.collect();
    versions.dedup();
    vec![
        format!(
            "{}; one proxy thread or worker; {} rounds of {} s, alternated; medians (least to most), and beside them the ratios of the quiet \
             quartiles: the lower of costs, the upper of rates.",
            placement(bench.pinned),
            bench.arguments.rounds,
            bench.arguments.seconds
        ),
        FEATURES.to_owned(),
        format!("{}.", versions.join("; ")),
    ]
}

/// What is read of an earlier run.
#[derive(Deserialize)]
struct Kept {
    sections: Vec<Section>,
}

/// All that was measured, in files that are current after each workload.
struct Report {
    out: PathBuf,
    about: Vec<String>,
    sections: Vec<Section>,
}

impl Report {
    fn new(arguments: &Arguments) -> io::Result<Self> {
        let out = arguments.out.clone();
        let sections = if arguments.keep {
            let text = fs::read(out.with_extension("json"))?;
            let kept: Kept = serde_json::from_slice(&text)?;
            kept.sections
        } else {
            Vec::new()
        };
        Ok(Self {
            out,
            about: Vec::new(),
            sections,
        })
    }

    fn add(&mut self, section: Section) {
        let same = |known: &&mut Section| known.key == section.key;
        match self.sections.iter_mut().find(same) {
            Some(known) => *known = section,
            None => self.sections.push(section),
        }
    }

    fn write(&self) -> io::Result<()> {
        let tables: String = self.sections.iter().map(Section::markdown).collect();
        let text = format!(
            "{}\n{tables}{}",
            self.about.join("\n\n"),
            promises::table(&self.sections)
        );
        fs::write(&self.out, text)?;
        let json = json!({ "about": self.about, "sections": self.sections });
        fs::write(
            self.out.with_extension("json"),
            serde_json::to_vec_pretty(&json)?,
        )
    }
}
