//! `isobar engines status`.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    process::ExitCode,
};

use super::{
    MODEL, PACKAGE, VERSION,
    home::{Home, State},
    supervise,
};

pub(super) async fn run(home: &Home, listen: SocketAddr) -> io::Result<ExitCode> {
    let state = home.state()?;
    let installed = match state {
        State::Ready => format!("{PACKAGE} {VERSION}"),
        State::Empty => "no: run `isobar engines install`".to_owned(),
        State::Unfinished => {
            "not to the end, or another version: run `isobar engines install`".to_owned()
        }
        State::Foreign => "no, and the folder has other files in it".to_owned(),
    };
    let answers = supervise::answers(listen).await;
    let mut out = io::stdout().lock();
    writeln!(out, "folder     {}", home.folder().display())?;
    writeln!(out, "installed  {installed}")?;
    if state == State::Ready {
        writeln!(out, "model      {MODEL}")?;
    }
    if answers {
        writeln!(out, "answers    yes, at http://{listen}")?;
    } else {
        writeln!(
            out,
            "answers    no, at http://{listen}: `isobar engines` runs it"
        )?;
    }
    Ok(if answers && state == State::Ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
