//! Instructions per small request, counted by valgrind's callgrind: a figure that other load on the machine does not
//! disturb. Called by `benches/instructions`, which builds the subjects.

use std::{
    env, fs,
    io::{self, BufRead as _, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use isobar_benches::gateway;

/// Requests of the shorter and the longer run; their difference is what is divided.
const REQUESTS: [u64; 2] = [1_024, 4_096];
/// Longest wait for a proxy to listen; valgrind is slow.
const PATIENCE: Duration = Duration::from_mins(1);

/// Instructions per small request of both of Isobar's ways, beside a bare Pingora proxy.
#[derive(Parser)]
struct Arguments {
    /// Fail when a way takes more than so many times the bare proxy's instructions
    #[arg(long)]
    most: Option<f64>,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let folder = env::current_exe()?
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default();
    let scratch = tempfile::tempdir()?;
    let mut origin = Command::new(folder.join("origin"))
        .stdout(Stdio::piped())
        .spawn()?;
    let counted = read_address(&mut origin).and_then(|upstream| {
        ["floor", "exchange", "stream"]
            .into_iter()
            .map(|way| Ok((way, each(&folder, scratch.path(), upstream, way)?)))
            .collect::<io::Result<Vec<_>>>()
    });
    end(&mut origin, "-KILL")?;
    let counted = counted?;
    let floor = counted.first().map_or(1, |(_, floor)| *floor);
    let mut over = false;
    for (way, instructions) in counted {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let ratio = instructions as f64 / floor as f64;
        println!("{way:<10} {instructions:>8} instructions a request  {ratio:.2}");
        over |= arguments.most.is_some_and(|most| ratio > most);
    }
    if over {
        return Err(io::Error::other("more than was promised"));
    }
    Ok(())
}

fn read_address(origin: &mut Child) -> io::Result<SocketAddr> {
    let mut line = String::new();
    if let Some(out) = origin.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    line.trim().parse().map_err(io::Error::other)
}

/// Instructions per request of one subject.
fn each(folder: &Path, scratch: &Path, upstream: SocketAddr, way: &str) -> io::Result<u64> {
    let [fewer, more] = REQUESTS;
    let low = run(folder, scratch, upstream, way, fewer)?;
    let high = run(folder, scratch, upstream, way, more)?;
    Ok(high.saturating_sub(low) / (more - fewer))
}

/// Instructions of a whole run.
fn run(
    folder: &Path,
    scratch: &Path,
    upstream: SocketAddr,
    way: &str,
    requests: u64,
) -> io::Result<u64> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let told = scratch.join("callgrind.txt");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--log-file={}", told.display()))
        .current_dir(scratch)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if way == "floor" {
        valgrind.arg(folder.join("floor"));
        valgrind.args([address.to_string(), upstream.to_string()]);
    } else {
        let file = scratch.join("isobar.yaml");
        fs::write(&file, gateway(address, upstream, way))?;
        valgrind.arg(folder.join("isobar"));
        valgrind.args(["serve", "--threads", "1", "-c"]).arg(file);
    }
    let mut proxy = valgrind.spawn()?;
    let served = wait_for(address).and_then(|()| {
        let mut load = Command::new(folder.join("load"));
        load.args([&address.to_string(), "--connections", "32"]);
        load.args(["--seconds", "0", "--warm-up", &requests.to_string()]);
        load.stdout(Stdio::null()).status()
    });
    end(&mut proxy, "-INT")?;
    if !served?.success() {
        return Err(io::Error::other(format!("{way} did not serve the load")));
    }
    collected(&fs::read_to_string(told)?)
}

/// The number in callgrind's `Collected : 286650931`.
fn collected(text: &str) -> io::Result<u64> {
    let number = text.lines().find_map(|line| {
        let (_, number) = line.split_once("Collected : ")?;
        number.trim().parse().ok()
    });
    number.ok_or_else(|| io::Error::other(format!("callgrind counted nothing: {text}")))
}

fn wait_for(address: SocketAddr) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn end(process: &mut Child, signal: &str) -> io::Result<()> {
    Command::new("kill")
        .args([signal, &process.id().to_string()])
        .status()?;
    process.wait()?;
    Ok(())
}
