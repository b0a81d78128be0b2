//! `isobar call`: one operation from the command line.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use serde_json::{Map, Value};

use super::{Source, style::Style};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Such as `speech.transcribe`; `isobar vendors` lists them
    operation: String,
    /// Recording to send
    #[arg(long, value_name = "FILE")]
    audio: Option<PathBuf>,
    /// Text to send; `-` reads standard input
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Another input, such as `to=fr` or `words=true`
    #[arg(short, long = "input", value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// Where a recording that is made goes
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let config = match isobar::load(&arguments.source.config) {
        Ok(loaded) => loaded.checked.config,
        Err(report) => {
            let text = report.text(Style::stderr().is_coloured());
            io::stderr().write_all(text.as_bytes())?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut input = Map::new();
    if let Some(text) = &arguments.text {
        let text = if text == "-" {
            io::read_to_string(io::stdin())?
        } else {
            text.clone()
        };
        input.insert("text".to_owned(), Value::String(text));
    }
    for written in &arguments.inputs {
        let Some((name, value)) = written.split_once('=') else {
            return Err(io::Error::other(format!(
                "`{written}` is not NAME=VALUE, such as `to=fr`"
            )));
        };
        // `true`, `3` and `["a"]` are what they look like; anything else is a text.
        let value = serde_json::from_str(value)
            .ok()
            .filter(|value: &Value| !value.is_null())
            .unwrap_or_else(|| Value::String(value.to_owned()));
        input.insert(name.to_owned(), value);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let style = Style::stderr();
    let progress = Arc::new(move |what: &str, came: &str, took: Duration| {
        let line = format!("{what}  {came}  {} ms", took.as_millis());
        let _ = writeln!(io::stderr(), "{}", style.dim(&line));
    });
    let called = runtime.block_on(isobar::call(
        config,
        &arguments.operation,
        &input,
        arguments.audio.as_deref(),
        progress,
    ));
    let outcome = called.map_err(io::Error::other)?;
    for attempt in &outcome.attempts {
        writeln!(io::stderr(), "{attempt}")?;
    }
    if let Some(audio) = &outcome.audio {
        match &arguments.output {
            Some(path) => std::fs::write(path, audio)?,
            None if io::stdout().is_terminal() => {
                return Err(io::Error::other(
                    "a recording was made; say where it goes with `--output FILE`",
                ));
            }
            None => {
                io::stdout().lock().write_all(audio)?;
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &outcome.answer)?;
    writeln!(out)?;
    Ok(if outcome.worked {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
