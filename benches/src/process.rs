//! Processes that are measured, and those that measure.

use std::{
    env, fs, io,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// How long a process that is asked to end may take.
const LEAVING: Duration = Duration::from_secs(3);
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

/// Where processes run, in words.
pub fn placement(pinned: bool) -> &'static str {
    if pinned {
        "Proxy on one core, clients and upstream on another"
    } else {
        "Proxy, clients and upstream on any core (taskset or a second core is missing)"
    }
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

/// Where a program lies that is installed on this machine.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// An address on loopback that nobody listens on.
pub fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Longest wait for a server to listen: some begin under valgrind, or on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until something listens.
pub fn wait_for(address: SocketAddr) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Lets this process and those that it starts have so many files open, or as many as the machine allows; how many that
/// is.
pub fn raise_open_files(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    for most in [limit.maximum.map(|most| most.max(wanted)), limit.maximum] {
        let raised = Rlimit {
            current: most.map(|most| wanted.min(most)),
            maximum: most,
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(wanted)
}

/// A process, its children, and theirs.
fn family(process: u32) -> io::Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Those that have ended meanwhile have no file.
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        if let Some(parent) = after_name(&stat).nth(1) {
            parents.push((id, parent.parse::<u32>().unwrap_or_default()));
        }
    }
    let mut family = vec![process];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        let children = parents.iter().filter(|(_, of)| *of == parent);
        family.extend(children.map(|(id, _)| *id));
        at += 1;
    }
    Ok(family)
}

/// The words of `/proc/PID/stat` after the program's name, which may have spaces in it.
fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    let (_, after) = stat.rsplit_once(')').unwrap_or_default();
    after.split_whitespace()
}

/// Seconds of user and system time that a process and its children have used.
pub fn cpu(process: u32) -> io::Result<f64> {
    let spent = family(process)?.into_iter().map(alone);
    Ok(spent.flatten().sum())
}

/// Seconds of user and system time of one process.
fn alone(process: u32) -> io::Result<f64> {
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
    // In hundredths of a second on every Linux in use.
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let ticks = after_name(&stat).skip(11).take(2);
    Ok(ticks
        .filter_map(|word| word.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0)
}

/// Bytes of memory that a process and its children have now.
pub fn resident(process: u32) -> io::Result<u64> {
    memory(process, "VmRSS:")
}

/// The most bytes that a process and its children had at once since [`forget_peak`].
pub fn peak(process: u32) -> io::Result<u64> {
    memory(process, "VmHWM:")
}

/// Begins to look for the most memory again.
pub fn forget_peak(process: u32) -> io::Result<()> {
    for process in family(process)? {
        fs::write(format!("/proc/{process}/clear_refs"), "5")?;
    }
    Ok(())
}

fn memory(process: u32, line: &str) -> io::Result<u64> {
    let mut total = 0;
    for process in family(process)? {
        let text = fs::read_to_string(format!("/proc/{process}/status"))?;
        let rest = text.lines().find_map(|known| known.strip_prefix(line));
        let kib = rest.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        total += kib.unwrap_or_default() * 1024;
    }
    Ok(total)
}

/// Ends a process that this one started.
pub fn stop(process: &mut Child) {
    // What counts its own work for the compiler (`deploy/build`) writes it down when it is asked to end.
    let asked = kill_process(Pid::from_child(process), Signal::TERM);
    let until = Instant::now() + LEAVING;
    while asked.is_ok() && Instant::now() < until {
        if !matches!(process.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = process.kill();
    let _ = process.wait();
}

/// Processes that end with this value.
#[derive(Default)]
pub struct Running(pub Vec<Child>);

impl Extend<Child> for Running {
    fn extend<T: IntoIterator<Item = Child>>(&mut self, children: T) {
        self.0.extend(children);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for process in &mut self.0 {
            stop(process);
        }
    }
}

/// Folder of this program and the others of the benches.
pub fn programs() -> io::Result<PathBuf> {
    let folder = env::current_exe()?.parent().map(Path::to_owned);
    Ok(folder.unwrap_or_default())
}

/// The upstream that answers from memory.
pub fn start_origin(
    folder: &Path,
    pinned: bool,
    running: &mut impl Extend<Child>,
) -> io::Result<SocketAddr> {
    let mut origin = command(pinned, LOAD_CORE, &folder.join("origin"))
        .stdout(Stdio::piped())
        .spawn()?;
    let out = origin.stdout.take();
    running.extend([origin]);
    let mut line = String::new();
    if let Some(out) = out {
        BufReader::new(out).read_line(&mut line)?;
    }
    line.trim().parse().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::process::{self, Command, Stdio};

    use super::{Running, cpu, family, peak, resident};

    #[test]
    fn children_belong_to_a_process() {
        let child = Command::new("sleep")
            .arg("10")
            .stdout(Stdio::null())
            .spawn();
        let running = Running(vec![child.unwrap()]);
        let family = family(process::id()).unwrap();
        assert_eq!(family[0], process::id());
        assert!(family.contains(&running.0[0].id()), "{family:?}");
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let me = process::id();
        assert!(cpu(me).unwrap() > 0.0);
        assert!(resident(me).unwrap() > 100_000);
        assert!(peak(me).unwrap() >= 100_000);
    }
}
