//! `isobar run`: one composition from the command line.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use isobar_compositions::run::{AnswerBody, Ran, StepOutcome, StepReport, Watch};
use serde_json::{Map, Value, json};

use super::{Source, style::Style};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name of the composition
    name: String,
    /// An input: `text=hello`, `count=3`, `audio=@call.wav` for a file, `text=-` for standard input
    #[arg(short, long = "input", value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// Where an answer goes that is a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print everything that is known of the run as JSON, and no progress
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let checked = match isobar::load(&arguments.source.config) {
        Ok(loaded) => loaded.checked,
        Err(report) => {
            let text = report.text(Style::stderr().is_coloured());
            io::stderr().write_all(text.as_bytes())?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let (fields, files) = inputs(&arguments.inputs)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let progress = Progress {
        style: Style::stderr(),
        quiet: arguments.json,
    };
    let running = isobar::run(checked, &arguments.name, fields, files, &progress);
    let ran = runtime.block_on(running).map_err(io::Error::other)?;
    let worked = ran.result.is_ok();
    if arguments.json {
        let mut out = io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &document(&ran))?;
        writeln!(out)?;
    } else {
        tell(arguments, &ran)?;
    }
    Ok(if worked {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// `NAME=VALUE`, `NAME=@FILE`, `NAME=-`.
fn inputs(written: &[String]) -> io::Result<(Map<String, Value>, Vec<(String, PathBuf)>)> {
    let (mut fields, mut files) = (Map::new(), Vec::new());
    for written in written {
        let Some((name, value)) = written.split_once('=') else {
            let message =
                format!("`{written}` is not NAME=VALUE, such as `text=hello` or `audio=@call.wav`");
            return Err(io::Error::other(message));
        };
        if let Some(path) = value.strip_prefix('@') {
            files.push((name.to_owned(), PathBuf::from(path)));
            continue;
        }
        let value = if value == "-" {
            Value::String(io::read_to_string(io::stdin())?)
        } else {
            // `true`, `3` and `["a"]` are what they look like; anything else is a text.
            serde_json::from_str(value)
                .ok()
                .filter(|value: &Value| !value.is_null())
                .unwrap_or_else(|| Value::String(value.to_owned()))
        };
        fields.insert(name.to_owned(), value);
    }
    Ok((fields, files))
}

/// Tells of each step as it ends.
struct Progress {
    style: Style,
    quiet: bool,
}

impl Watch for Progress {
    fn ended(&self, report: &StepReport) {
        if self.quiet {
            return;
        }
        let mark = match report.outcome {
            StepOutcome::Done => self.style.good("✓"),
            StepOutcome::Skipped | StepOutcome::Cancelled => self.style.dim("–"),
            StepOutcome::Degraded | StepOutcome::Failed => self.style.bad("✗"),
        };
        let who = match (&report.vendor, report.attempts.len()) {
            (Some(vendor), 0 | 1) => vendor.clone(),
            (Some(vendor), many) => format!("{vendor}, {many} attempts"),
            (None, _) => report.outcome.name().to_owned(),
        };
        let reason = report.reason.as_deref().unwrap_or_default();
        let _ = writeln!(
            io::stderr(),
            "{mark} {:<16} {}  {:.0} ms  {who}  {reason}",
            report.step,
            self.style.dim(&format!("{:<22}", report.work)),
            report.took_ms,
        );
    }
}

/// Everything that is known of a run.
fn document(ran: &Ran) -> Value {
    let (output, error) = match &ran.result {
        Ok(answer) => (Some(output(&answer.body)), None),
        Err(failed) => {
            let error = json!({ "status": failed.status, "kind": failed.kind, "step": failed.step, "reason": failed.reason });
            (None, Some(error))
        }
    };
    let status = ran
        .result
        .as_ref()
        .map(|answer| answer.status.as_u16())
        .ok();
    json!({
        "status": status, "output": output, "error": error, "steps": ran.steps, "degraded": ran.degraded, "undone": ran.undone,
    })
}

fn output(body: &AnswerBody) -> Value {
    match body {
        AnswerBody::Json(_) => body.value().unwrap_or_default(),
        AnswerBody::Blob(blob) => {
            json!({ "media_type": blob.media_type(), "bytes": blob.length() })
        }
    }
}

fn tell(arguments: &Arguments, ran: &Ran) -> io::Result<()> {
    let answer = match &ran.result {
        Ok(answer) => answer,
        Err(failed) => {
            let style = Style::stderr();
            writeln!(io::stderr(), "{}  {failed}", style.bad("failed"))?;
            for undone in &ran.undone {
                let outcome = serde_json::to_value(undone.outcome).unwrap_or_default();
                writeln!(
                    io::stderr(),
                    "  what `{}` did: {}",
                    undone.step,
                    outcome.as_str().unwrap_or_default()
                )?;
            }
            return Ok(());
        }
    };
    if !ran.degraded.is_empty() {
        writeln!(io::stderr(), "degraded: {}", ran.degraded.join(", "))?;
    }
    match (&answer.body, &arguments.output) {
        (AnswerBody::Json(_), None) => {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &answer.body.value())?;
            writeln!(out)
        }
        (AnswerBody::Json(json), Some(path)) => std::fs::write(path, json),
        (AnswerBody::Blob(blob), Some(path)) => std::fs::write(path, blob.to_bytes()?),
        (AnswerBody::Blob(_), None) if io::stdout().is_terminal() => Err(io::Error::other(
            "the answer is a file; say where it goes with `--output FILE`",
        )),
        (AnswerBody::Blob(blob), None) => io::stdout().lock().write_all(&blob.to_bytes()?),
    }
}
