//! `isobar check`.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use isobar_config::Report;

use super::style::Style;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What to check: a configuration, a composition, or a folder of either
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,
    /// Configuration; for a composition, the one whose pools and accounts it may name
    #[arg(
        short,
        long,
        value_name = "FILE|DIR",
        env = "ISOBAR_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "sarif")]
    json: bool,
    /// Print SARIF 2.1.0, for code hosts
    #[arg(long)]
    sarif: bool,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let usual = PathBuf::from("isobar.yaml");
    let config = arguments.config.as_ref();
    let path = arguments.path.as_ref().or(config).unwrap_or(&usual);
    let (summary, report) = match isobar::compositions::alone(path, config.map(PathBuf::as_path)) {
        Some(Ok((plans, report))) => (Some(compositions(&plans)), report),
        Some(Err(report)) => (None, report),
        None => match isobar::load(path) {
            Ok(loaded) => (Some(summary(&loaded.checked.config)), loaded.report),
            Err(report) => (None, report),
        },
    };
    let mut out = io::stdout().lock();
    let machine = if arguments.json {
        Some(report.json())
    } else if arguments.sarif {
        Some(report.sarif())
    } else {
        None
    };
    if let Some(value) = machine {
        serde_json::to_writer_pretty(&mut out, &value)?;
        out.write_all(b"\n")?;
    } else {
        let style = Style::stdout();
        out.write_all(report.text(style.is_coloured()).as_bytes())?;
        match &summary {
            Some(summary) => writeln!(out, "{}  {}: {summary}", style.good("ok"), path.display())?,
            None => writeln!(out, "{}  {}", style.bad("refused"), counts(&report))?,
        }
    }
    Ok(if summary.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// `1 error`, `2 errors, 1 warning`.
pub(super) fn counts(report: &Report) -> String {
    let all = report.diagnostics();
    let errors = all
        .iter()
        .filter(|diagnostic| diagnostic.severity == isobar_config::Severity::Error)
        .count();
    let mut text = count(errors, "error");
    if all.len() > errors {
        text = format!("{text}, {}", count(all.len() - errors, "warning"));
    }
    text
}

pub(super) fn count(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

/// `2 routes over 3 accounts in 1 pool`.
pub(super) fn summary(config: &isobar_config::Config) -> String {
    format!(
        "{} over {} in {}",
        count(config.routes.len(), "route"),
        count(config.accounts.len(), "account"),
        count(config.pools.len(), "pool"),
    )
}

/// `voice-insights at POST /v1/voice/insights, 5 steps`
fn compositions(plans: &[std::sync::Arc<isobar_compositions::Plan>]) -> String {
    let one = |plan: &std::sync::Arc<isobar_compositions::Plan>| {
        let place = plan.expose.as_ref().map_or_else(
            || "for other compositions".to_owned(),
            |expose| format!("at {}", expose.text),
        );
        let steps = match plan.steps.len() {
            1 => "1 step".to_owned(),
            many => format!("{many} steps"),
        };
        format!("{} {place}, {steps}", plan.name)
    };
    plans.iter().map(one).collect::<Vec<_>>().join("; ")
}
