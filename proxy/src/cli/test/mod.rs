//! `isobar test`: tries the cases that stand beside compositions.

mod report;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use isobar::{compositions, trying};
use isobar_compositions::{
    Plan,
    cases::{Cases, Coverage, differences},
};
use isobar_config::{Compositions, Config, Report};

use self::report::{Done, Outcome};
use super::style::Style;

/// How files of cases are named.
const ENDINGS: [&str; 2] = [".test.yaml", ".test.yml"];

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Cases, a composition, or a folder of them; the configuration's compositions if there is none
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,
    /// Configuration whose pools and accounts the compositions name; its accounts are simulated
    #[arg(
        short,
        long,
        value_name = "FILE|DIR",
        env = "ISOBAR_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// Only cases whose names contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write a report in JUnit's format, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Files of cases, and the compositions that they are of.
struct Suite {
    plans: Vec<Arc<Plan>>,
    config: Option<Config>,
    cases: Vec<(PathBuf, Cases)>,
    /// Names of the compositions whose coverage is told.
    covered: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let mut suites = Vec::new();
    let mut mistakes: Option<Report> = None;
    for (place, files) in places(arguments)? {
        match suite(arguments, &place, &files) {
            Ok((suite, report)) => {
                suites.push(suite);
                mistakes = Some(mistakes.take().unwrap_or_default().and(report));
            }
            Err(report) => mistakes = Some(mistakes.take().unwrap_or_default().and(report)),
        }
    }
    let mistakes = mistakes.unwrap_or_default();
    let as_json = arguments.json && mistakes.has_errors();
    if !(mistakes.is_empty() || as_json) {
        let text = mistakes.text(Style::stderr().is_coloured());
        io::stderr().write_all(text.as_bytes())?;
    }
    if mistakes.has_errors() {
        if arguments.json {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &mistakes.json())?;
            writeln!(out)?;
        }
        return Ok(ExitCode::FAILURE);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let style = Style::stdout();
    let mut done = Done::default();
    for suite in &suites {
        let tried = runtime.block_on(all(arguments, suite, style));
        done.add(tried.map_err(io::Error::other)?);
    }
    if let Some(path) = &arguments.junit {
        fs::write(path, done.junit())?;
    }
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &done.json())?;
        writeln!(out)?;
    } else {
        out.write_all(done.summary(style).as_bytes())?;
    }
    Ok(if done.failed() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Tries every case of a suite.
async fn all(arguments: &Arguments, suite: &Suite, style: Style) -> Result<Done, String> {
    let bench = trying::Bench::start(suite.config.clone()).await?;
    let mut done = Done::default();
    let covered = suite
        .plans
        .iter()
        .filter(|plan| suite.covered.contains(&plan.name));
    done.coverage = covered.map(|plan| Coverage::of(plan)).collect();
    for (file, cases) in &suite.cases {
        if !arguments.json {
            let name = file.display().to_string();
            let _ = writeln!(io::stdout(), "{}", style.bold(&name));
        }
        for case in &cases.cases {
            let named = |only: &String| case.name.contains(only.as_str());
            if !arguments.only.as_ref().is_none_or(named) {
                continue;
            }
            let seen = bench.run(&suite.plans, &cases.plan, case).await?;
            for coverage in &mut done.coverage {
                coverage.add(&cases.plan, &seen);
            }
            let outcome = Outcome {
                file: file.display().to_string(),
                line: case.at.line,
                composition: cases.plan.name.clone(),
                name: case.name.clone(),
                took: seen.took,
                differences: differences(case, &seen),
            };
            if !arguments.json {
                let _ = io::stdout().write_all(outcome.line(style).as_bytes());
            }
            done.outcomes.push(outcome);
        }
    }
    Ok(done)
}

/// Reads the cases of these files, or every mistake in them or in their compositions.
fn suite(
    arguments: &Arguments,
    place: &Path,
    files: &[PathBuf],
) -> Result<(Suite, Report), Report> {
    let config = arguments.config.clone().or_else(usual_config);
    // Compositions by themselves need no configuration, and one that happens to be here is none of theirs.
    let config = config.filter(|_| arguments.path.is_none() || arguments.config.is_some());
    let (plans, config) = compositions::around(place, config.as_deref())?;
    let accounts = trying::accounts(config.as_ref())?;
    let (mut report, mut cases) = (Report::default(), Vec::new());
    for file in files {
        let text = fs::read_to_string(file).unwrap_or_default();
        let (read, mistakes) = trying::cases(file, text, &plans, &accounts);
        report = report.and(mistakes);
        cases.extend(read.map(|read| (file.clone(), read)));
    }
    if report.has_errors() {
        return Err(report);
    }
    // Of a folder all are told, also those that have no case.
    let whole = arguments.path.as_deref().is_none_or(Path::is_dir);
    let here = |plan: &Arc<Plan>| {
        let names = [format!("{}.yaml", plan.name), format!("{}.yml", plan.name)];
        whole && names.iter().any(|name| place.join(name).exists())
    };
    let tried = |plan: &Arc<Plan>| cases.iter().any(|(_, cases)| cases.plan.name == plan.name);
    let covered = plans.iter().filter(|plan| here(plan) || tried(plan));
    let covered = covered.map(|plan| plan.name.clone()).collect();
    let suite = Suite {
        plans,
        config,
        cases,
        covered,
    };
    Ok((suite, report))
}

/// The configuration in this folder, if there is one.
fn usual_config() -> Option<PathBuf> {
    let usual = PathBuf::from("isobar.yaml");
    usual.exists().then_some(usual)
}

/// Where compositions are, with the files of cases beside them.
fn places(arguments: &Arguments) -> io::Result<Vec<(PathBuf, Vec<PathBuf>)>> {
    let mut places = Vec::new();
    match &arguments.path {
        Some(path) => places.push(place(path)?),
        None => match arguments.config.clone().or_else(usual_config) {
            None => places.push(place(Path::new("."))?),
            Some(config) => {
                let loaded = isobar::load(&config).map_err(|report| {
                    let text = report.text(Style::stderr().is_coloured());
                    io::Error::other(format!("{}\n{text}", config.display()))
                })?;
                for named in &loaded.checked.config.compositions {
                    if let Compositions::Path(path) = named {
                        places.push(place(path)?);
                    }
                }
            }
        },
    }
    let found = places.iter().map(|(_, files)| files.len()).sum::<usize>();
    if found == 0 {
        let folders: Vec<String> = places
            .iter()
            .map(|(place, _)| place.display().to_string())
            .collect();
        let place = if folders.is_empty() {
            "the configuration names no compositions".to_owned()
        } else {
            folders.join(", ")
        };
        return Err(io::Error::other(format!(
            "there are no cases ({place}): they stand beside a composition, in NAME.test.yaml"
        )));
    }
    Ok(places)
}

fn place(path: &Path) -> io::Result<(PathBuf, Vec<PathBuf>)> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if path.is_dir() {
        let mut files = Vec::new();
        for entry in fs::read_dir(path)? {
            let file = entry?.path();
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if is_cases(&name) && file.is_file() {
                files.push(file);
            }
        }
        files.sort();
        return Ok((path.to_owned(), files));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    if is_cases(&name) {
        // A file that is not there is told by its name.
        fs::metadata(path)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        return Ok((folder, vec![path.to_owned()]));
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let beside = ENDINGS
        .iter()
        .map(|ending| folder.join(format!("{stem}{ending}")));
    let files = beside.filter(|file| file.exists()).collect();
    Ok((folder, files))
}

fn is_cases(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.ends_with(ending)) && !name.starts_with('.')
}
