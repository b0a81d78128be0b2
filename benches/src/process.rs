//! Processes that are measured, and those that measure.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

/// Core of what is measured.
pub const PROXY_CORE: &str = "0";
/// Core of the rest.
pub const LOAD_CORE: &str = "1";

/// Whether processes can have cores of their own here.
pub fn pin_is_possible() -> bool {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    cores > 1
        && Command::new("taskset")
            .args(["-c", PROXY_CORE, "true"])
            .status()
            .is_ok_and(|status| status.success())
}

/// A program, on a core of its own where that is possible.
pub fn command(pinned: bool, core: &str, program: &Path) -> Command {
    if pinned {
        let mut command = Command::new("taskset");
        command.args(["-c", core]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// An address on loopback that nobody listens on.
pub fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Waits until something listens.
pub fn wait_for(address: SocketAddr) -> io::Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Seconds of user and system time that a process has used.
pub fn cpu(process: u32) -> io::Result<f64> {
    // Nanoseconds on the run queue's clock, of every thread; finer than the ticks of `stat`.
    let mut total = 0_u64;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        total += text
            .split(' ')
            .next()
            .and_then(|word| word.parse::<u64>().ok())
            .unwrap_or_default();
    }
    if total > 0 {
        return Ok(Duration::from_nanos(total).as_secs_f64());
    }
    // user and system time are fields 14 and 15, in hundredths of a second on every Linux in use.
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |field: usize| {
        after
            .split_whitespace()
            .nth(field)
            .and_then(|word| word.parse::<f64>().ok())
    };
    Ok((ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default()) / 100.0)
}

/// Ends a process that this one started.
pub fn stop(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}
