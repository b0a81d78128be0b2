//! `isobar demo`: two local servers and a sandbox of vendors, the gateway in front, failures and what becomes of them.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use isobar::Host;
use isobar_config::{Nothing, Source};
use isobar_sandbox::{Fault, Sandbox, Upstream};

use super::{insights, logging, style::Style};

/// Where the demo listens when the port is free.
const PORT: u16 = 8080;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Leave after the show; the exit code is 0 only if everything that was shown worked
    #[arg(long)]
    once: bool,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    logging::start();
    tokio::runtime::Runtime::new()?.block_on(show(arguments.once, Style::stdout()))
}

/// What one request came to.
struct Seen {
    status: u16,
    vendor: String,
    attempts: String,
    timing: String,
    body: String,
}

/// Counts what did not go as it should.
pub(super) struct Stage {
    pub(super) style: Style,
    failures: u32,
}

impl Stage {
    pub(super) fn expect(&mut self, what: &str, holds: bool) {
        let mark = if holds {
            self.style.good("✓")
        } else {
            self.failures += 1;
            self.style.bad("✗")
        };
        say(&format!("     {mark} {what}"));
    }

    pub(super) fn act(&self, number: u32, title: &str) {
        say(&format!(
            "\n  {} {}",
            self.style.bold(&format!("{number}.")),
            self.style.bold(title)
        ));
    }
}

pub(super) fn say(line: &str) {
    // A reader that went away is no reason to stop serving.
    let _ = writeln!(io::stdout(), "{line}");
}

async fn show(once: bool, style: Style) -> io::Result<ExitCode> {
    let mut stage = Stage { style, failures: 0 };
    let (north, south) = (
        Upstream::start("north").await?,
        Upstream::start("south").await?,
    );
    let sandbox = Sandbox::start((Ipv4Addr::LOCALHOST, 0).into()).await?;
    let state = tempfile::tempdir()?;
    let (checked, text) = config(&north, &south, &sandbox, state.path()).await?;
    let host = Host::start(checked, None).await.map_err(io::Error::other)?;
    let Some(address) = host.addresses().first().copied() else {
        return Err(io::Error::other("the gateway listens nowhere"));
    };
    say(&format!(
        "{}  one URL in front of two equal services, and of vendors that the sandbox simulates\n",
        style.bold("isobar demo")
    ));
    for line in text.lines() {
        say(&format!("    {}", style.dim(line)));
    }
    if address.port() != PORT {
        let taken = format!(
            "# port {PORT} is taken; the system chose {}",
            address.port()
        );
        say(&format!("    {}", style.dim(&taken)));
    }
    let url = format!("http://{address}/hello");

    stage.act(1, "A request goes to the first account");
    say(&format!("     $ curl -i {url}"));
    let seen = ask(&url, reqwest::Method::GET, &[]).await?;
    tell(&seen, style);
    stage.expect(
        "north answered, at the first attempt",
        seen.status == 200 && seen.vendor == "north" && seen.attempts == "1",
    );

    stage.act(
        2,
        "north breaks: it takes requests and drops the connection",
    );
    north.always(Fault::ResetBeforeHead);
    let seen = ask(&url, reqwest::Method::GET, &[]).await?;
    tell(&seen, style);
    stage.expect(
        "the client saw nothing of it: south answered the second attempt",
        seen.status == 200 && seen.vendor == "south" && seen.attempts == "2",
    );

    stage.act(3, "A payment is not sent twice");
    let before = south.ledger().len();
    let seen = ask(&url, reqwest::Method::POST, &[]).await?;
    tell(&seen, style);
    say(&format!("     {}", style.dim(&seen.body)));
    stage.expect(
        "north may have carried it out, so the gateway stopped and said so",
        seen.status == 502 && seen.body.contains("outcome-unknown"),
    );
    stage.expect("nothing reached south", south.ledger().len() == before);

    stage.act(
        4,
        "north keeps failing: its breaker opens, and requests no longer wait for it",
    );
    for _ in 0..5 {
        ask(&url, reqwest::Method::GET, &[]).await?;
    }
    let before = north.ledger().len();
    let seen = ask(&url, reqwest::Method::GET, &[]).await?;
    tell(&seen, style);
    stage.expect(
        "south answered, and north was not asked",
        seen.status == 200 && seen.vendor == "south" && north.ledger().len() == before,
    );

    stage.act(5, "north is well again");
    north.always(Fault::None);
    let mut seen = ask(&url, reqwest::Method::GET, &[]).await?;
    for _ in 0..30 {
        if seen.vendor == "north" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        seen = ask(&url, reqwest::Method::GET, &[]).await?;
    }
    tell(&seen, style);
    stage.expect(
        "a trial request found out, and north serves again",
        seen.vendor == "north",
    );

    insights::show(&mut stage, address, &sandbox).await?;

    say("");
    if stage.failures > 0 {
        say(&style.bad(&format!(
            "{} of the things shown did not work",
            stage.failures
        )));
    }
    if once {
        host.drain(Some(Duration::from_secs(2))).await;
        return Ok(if stage.failures == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    say(&format!(
        "  It keeps serving at http://{address} until Ctrl-C. Try:\n"
    ));
    say(&format!("     curl -i http://{address}/hello"));
    say(&format!(
        "     curl -i -H 'authorization: Bearer any' -F audio=@{} http://{address}/v1/voice/insights",
        insights::recording(state.path())?.display()
    ));
    say(&format!(
        "     curl -i -H 'authorization: Bearer any' -d '{{\"text\":\"Das gefällt mir sehr.\"}}' http://{address}/v1/feedback\n"
    ));
    tokio::signal::ctrl_c().await?;
    host.drain(Some(Duration::from_secs(2))).await;
    Ok(if stage.failures == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The configuration of the show, checked as any other is.
async fn config(
    north: &Upstream,
    south: &Upstream,
    sandbox: &Sandbox,
    state: &std::path::Path,
) -> io::Result<(isobar::Checked, String)> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let port = match tokio::net::TcpListener::bind(wanted).await {
        Ok(_) => PORT,
        Err(_) => 0,
    };
    let text = format!(
        "isobar: 1\n\
         listen: [ {{ http: \"127.0.0.1:{port}\" }} ]\n\
         log: {{ access: \"off\" }}\n\
         upstreams:\n  \
           north: {{ url: \"{}\", breaker: {{ open_for: 2s }} }}\n  \
           south: \"{}\"\n\
         routes: [ {{ match: \"/*\", forward: [north, south], anonymous: true }} ]\n\
         compositions: library\n",
        north.url(),
        south.url(),
    );
    // Their credentials are long and mean nothing: the show tells of the rest.
    let whole = format!(
        "{text}state: {}\n{}",
        state.display(),
        insights::accounts(sandbox).await
    );
    let source = Source {
        name: "demo.yaml".to_owned(),
        text: whole,
    };
    let (vendors, _) = isobar_adapters::built_in();
    let (config, report) =
        isobar_config::check_with(&[source], &Nothing, &isobar::catalog(vendors));
    let config = config.ok_or_else(|| io::Error::other(report.text(false)))?;
    let known = isobar::compositions::known(&config)
        .map_err(|report| io::Error::other(report.text(false)))?;
    let sources = isobar::compositions::shipped();
    let (plans, report) = isobar_compositions::check(&sources, &known, &Nothing);
    if report.has_errors() {
        return Err(io::Error::other(report.text(false)));
    }
    Ok((isobar::compositions::with(config, plans), text))
}

async fn ask(url: &str, method: reqwest::Method, headers: &[(&str, &str)]) -> io::Result<Seen> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(io::Error::other)?;
    let mut request = client.request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.map_err(io::Error::other)?;
    let text = |name: &str| {
        let value = answer.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or("-")
            .to_owned()
    };
    Ok(Seen {
        status: answer.status().as_u16(),
        vendor: text("isobar-vendor"),
        attempts: text("isobar-attempts"),
        timing: text("server-timing"),
        body: answer.text().await.map_err(io::Error::other)?,
    })
}

fn tell(seen: &Seen, style: Style) {
    say(&format!(
        "     {} {}   isobar-vendor: {}   isobar-attempts: {}   server-timing: {}",
        style.dim("<"),
        seen.status,
        style.bold(&seen.vendor),
        seen.attempts,
        seen.timing
    ));
}
