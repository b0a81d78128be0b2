//! Clients of the benches: closed-loop load, listeners to streams of events, and connections that do nothing. Reports one
//! line of JSON.

mod events;
mod h1;
mod h2;
mod idle;
mod requests;
mod wire;

use std::{io, time::Duration};

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much longer than asked for it may take to connect, to warm up and to hear the last answers.
const GRACE: Duration = Duration::from_mins(2);

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand)]
enum Kind {
    /// Closed-loop: each connection sends its next request when the last is answered
    Requests(requests::Arguments),
    /// Hears streams of events and says how long they took
    Events(events::Arguments),
    /// Opens connections, asks once on each and keeps them until standard input ends
    Idle(idle::Arguments),
}

fn main() -> io::Result<()> {
    let kind = Arguments::parse().kind;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let line = runtime.block_on(async {
        match &kind {
            Kind::Requests(arguments) => {
                let loaded = within(arguments.seconds, requests::run(arguments)).await?;
                Ok::<_, io::Error>(serde_json::to_string(&loaded)?)
            }
            Kind::Events(arguments) => {
                let heard = within(arguments.seconds, events::run(arguments)).await?;
                Ok(serde_json::to_string(&heard)?)
            }
            Kind::Idle(arguments) => {
                within(0.0, idle::run(arguments)).await?;
                Ok(String::new())
            }
        }
    })?;
    // Whoever waited for the connections has heard of them and listens no more.
    if !line.is_empty() {
        println!("{line}");
    }
    Ok(())
}

/// Gives up when something hangs.
async fn within<T>(seconds: f64, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(Duration::from_secs_f64(seconds) + GRACE, work)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
