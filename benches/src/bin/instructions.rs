//! Instructions per request, counted by valgrind's callgrind: a figure that other load on the machine does not disturb, so
//! that a change of a few percent can be told. Compared with counts that are kept. Called by `benches/instructions`, which
//! builds the subjects.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use clap::{Parser, ValueEnum};
use isobar_benches::{
    calls, composed,
    contenders::{Wanted, gateway},
    load::KEY,
    process::{Running, free_port, programs, start_origin, wait_for},
};
use serde::{Deserialize, Serialize};

/// Instructions per request of Isobar's ways, beside a bare Pingora proxy, and whether they are more than before.
#[derive(Parser)]
struct Arguments {
    /// Ways; all without any
    ways: Vec<Way>,
    /// Counts that are kept
    #[arg(long, default_value = "benches/instructions.json")]
    kept: PathBuf,
    /// Write what is counted to that file instead of comparing with it
    #[arg(long)]
    renew: bool,
    /// Also fail when exchange or stream takes more than so many times the bare proxy's instructions
    #[arg(long)]
    most: Option<f64>,
    /// Requests of the shorter run; the longer has four times as many, and their difference is what is divided
    #[arg(long, default_value_t = 1_024)]
    requests: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    /// A bare Pingora proxy
    Floor,
    /// Small JSON, read first
    Exchange,
    /// Small JSON, passed on
    Stream,
    /// A sentence translated
    Capability,
    /// One call, then two at once, merged
    Composition,
    /// The same by hand, with axum and reqwest
    ByHand,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Exchange => "exchange",
            Self::Stream => "stream",
            Self::Capability => "capability",
            Self::Composition => "composition",
            Self::ByHand => "by hand",
        }
    }
}

/// Counts of a release build.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// How much more than its count a way may take, as a part of it.
    tolerance: f64,
    /// Instructions a request.
    instructions: BTreeMap<Way, u64>,
}

fn main() -> io::Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.ways.is_empty() {
        arguments.ways = Way::value_variants().to_vec();
    }
    let mut kept = match fs::read(&arguments.kept) {
        Ok(text) => serde_json::from_slice(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Kept {
            tolerance: 0.03,
            instructions: BTreeMap::new(),
        },
        Err(error) => return Err(error),
    };
    let folder = programs()?;
    let mut running = Running::default();
    let upstream = start_origin(&folder, false, &mut running)?;
    let mut counted = BTreeMap::new();
    for way in arguments.ways {
        let count = each(&folder, upstream, way, arguments.requests)?;
        counted.insert(way, count);
        println!("{:<12} {count:>9} instructions a request", way.name());
    }
    let mut wrong = over_the_floor(&counted, arguments.most);
    if arguments.renew {
        kept.instructions.extend(counted);
        fs::write(&arguments.kept, serde_json::to_vec_pretty(&kept)?)?;
        println!("Written to {}.", arguments.kept.display());
    } else {
        wrong.extend(compared(&kept, &counted));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(io::Error::other(wrong.join("; ")))
    }
}

/// Ways that take more than so many times what the floor takes.
fn over_the_floor(counted: &BTreeMap<Way, u64>, most: Option<f64>) -> Vec<String> {
    let Some(floor) = counted.get(&Way::Floor) else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    for way in [Way::Exchange, Way::Stream] {
        if let Some(count) = counted.get(&way) {
            let ratio = ratio(*count, *floor);
            println!("{} to floor: {ratio:.2}", way.name());
            if most.is_some_and(|most| ratio > most) {
                wrong.push(format!("{} takes {ratio:.2} times the floor", way.name()));
            }
        }
    }
    wrong
}

/// Ways that take more than before, or of which nothing is kept.
fn compared(kept: &Kept, counted: &BTreeMap<Way, u64>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (way, count) in counted {
        let name = way.name();
        let Some(known) = kept.instructions.get(way) else {
            wrong.push(format!("no count of {name} is kept (--renew writes one)"));
            continue;
        };
        let ratio = ratio(*count, *known);
        println!("{name}: {ratio:.3} of the {known} that are kept");
        if ratio > 1.0 + kept.tolerance {
            wrong.push(format!("{name} takes {ratio:.3} times what it took"));
        } else if ratio < 1.0 - kept.tolerance {
            println!("{name} takes less than it did: --renew keeps that.");
        }
    }
    wrong
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn ratio(count: u64, base: u64) -> f64 {
    count as f64 / base as f64
}

/// Instructions per request of one way.
fn each(folder: &Path, upstream: SocketAddr, way: Way, requests: u64) -> io::Result<u64> {
    let low = run(folder, upstream, way, requests)?;
    let high = run(folder, upstream, way, requests * 4)?;
    Ok(high.saturating_sub(low) / (requests * 3))
}

/// Instructions of a whole run.
fn run(folder: &Path, upstream: SocketAddr, way: Way, requests: u64) -> io::Result<u64> {
    let scratch = tempfile::tempdir()?;
    let address = free_port()?;
    let told = scratch.path().join("callgrind.txt");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--log-file={}", told.display()))
        .current_dir(scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match way {
        Way::Floor => valgrind.arg(folder.join("floor")).args([
            address.to_string(),
            upstream.to_string(),
            "1".to_owned(),
        ]),
        Way::ByHand => valgrind
            .arg(folder.join("aggregate"))
            .args([address.to_string(), format!("http://{upstream}")]),
        Way::Exchange | Way::Stream | Way::Capability | Way::Composition => valgrind
            .arg(folder.join("isobar"))
            .args(["serve", "--threads", "1", "-c"])
            .arg(configuration(way, address, upstream, scratch.path())?),
    };
    let mut proxy = valgrind.spawn()?;
    let served = wait_for(address).and_then(|()| {
        let mut load = Command::new(folder.join("load"));
        load.args(["requests", &address.to_string(), "--connections", "32"]);
        load.args(["--seconds", "0", "--warm-up", &requests.to_string()]);
        let (path, body) = match way {
            Way::Floor | Way::Exchange | Way::Stream => ("/v1/items/42", None),
            Way::Capability => (calls::SENTENCE.0, Some(calls::SENTENCE.1)),
            Way::Composition | Way::ByHand => (composed::PATH, Some(composed::ASKED)),
        };
        load.args(["--path", path]);
        if let Some(body) = body {
            let file = scratch.path().join("body");
            fs::write(&file, body)?;
            load.args(["--content-type", "application/json", "--body"]);
            load.arg(file);
        }
        load.stdout(Stdio::null()).status()
    });
    interrupt(&mut proxy)?;
    if !served?.success() {
        return Err(io::Error::other(format!(
            "{} did not serve the load",
            way.name()
        )));
    }
    collected(&fs::read_to_string(told)?)
}

/// Writes the configuration of a way and tells its file.
fn configuration(
    way: Way,
    address: SocketAddr,
    upstream: SocketAddr,
    scratch: &Path,
) -> io::Result<PathBuf> {
    let file = scratch.join("gateway.yaml");
    let text = match way {
        Way::Composition => return composed::gateway(address, upstream, scratch),
        Way::Capability => format!(
            "isobar: 1\nlisten: [ {{ http: \"{address}\" }} ]\nlog: {{ access: \"file:./access.log\" }}\n\
             clients: {{ bench: {{ key: \"{}\" }} }}\n\
             accounts: {{ deepl: {{ vendor: deepl, key: a-key, base: \"http://{upstream}/deepl\" }} }}\n",
            isobar_config::hash_key(KEY)
        ),
        Way::Floor | Way::ByHand | Way::Exchange | Way::Stream => {
            let wanted = Wanted {
                address,
                upstream,
                routes: 100,
                tls: None,
                threads: 1,
                connections: 4096,
            };
            gateway(&wanted, way.name())
        }
    };
    fs::write(&file, text)?;
    Ok(file)
}

/// The number in callgrind's `Collected : 286650931`.
fn collected(text: &str) -> io::Result<u64> {
    let number = text.lines().find_map(|line| {
        let (_, number) = line.split_once("Collected : ")?;
        number.trim().parse().ok()
    });
    number.ok_or_else(|| io::Error::other(format!("callgrind counted nothing: {text}")))
}

/// Lets a process end by itself, so that callgrind can tell.
fn interrupt(process: &mut Child) -> io::Result<()> {
    Command::new("kill")
        .args(["-INT", &process.id().to_string()])
        .status()?;
    process.wait()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Kept, Way, collected, compared, over_the_floor};

    fn kept() -> Kept {
        Kept {
            tolerance: 0.03,
            instructions: BTreeMap::from([(Way::Exchange, 1_000), (Way::Stream, 1_000)]),
        }
    }

    #[test]
    fn only_more_than_the_tolerance_is_wrong() {
        let counted = BTreeMap::from([(Way::Exchange, 1_029), (Way::Stream, 900)]);
        assert!(compared(&kept(), &counted).is_empty());
        let counted = BTreeMap::from([(Way::Exchange, 1_031), (Way::Composition, 7)]);
        assert_eq!(
            compared(&kept(), &counted),
            [
                "exchange takes 1.031 times what it took",
                "no count of composition is kept (--renew writes one)"
            ]
        );
    }

    #[test]
    fn ways_are_held_to_the_floor_where_that_is_asked() {
        let counted = BTreeMap::from([(Way::Floor, 100), (Way::Exchange, 111), (Way::Stream, 99)]);
        assert!(over_the_floor(&counted, None).is_empty());
        assert_eq!(
            over_the_floor(&counted, Some(1.1)),
            ["exchange takes 1.11 times the floor"]
        );
    }

    #[test]
    fn the_count_is_in_what_callgrind_says() {
        assert_eq!(
            collected("==1== \n==1== Collected : 286650931\n").unwrap(),
            286_650_931
        );
        assert!(collected("==1== killed").is_err());
    }
}
