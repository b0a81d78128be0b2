//! Memory of a gateway while many large recordings are sent at once.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Stdio,
    thread,
};

use isobar_benches::{
    load::KEY,
    process::{
        PROXY_CORE, Running, command, free_port, peak, pin_is_possible, programs, resident,
        start_origin, wait_for,
    },
    recording,
};

/// Uploads at once.
const UPLOADS: usize = 32;
/// Bytes of sound in each.
const SIZE: u32 = 25_000_000;

pub(super) fn run() -> io::Result<()> {
    println!(
        "\n### {UPLOADS} uploads of {} MB at once, `speech.transcribe`\n",
        SIZE / 1_000_000
    );
    println!(
        "| budget (`body_memory`) | resident before, MiB | peak resident (VmHWM), MiB | peak over budget, MiB | answered |\n| --- | --- | --- | --- | --- |"
    );
    for budget in [64, 256] {
        let (before, peak, answered) = with_budget(budget)?;
        println!(
            "| {budget} MiB | {before} | {peak} | {} | {answered} of {UPLOADS} |",
            peak.saturating_sub(budget)
        );
    }
    println!(
        "\nAll uploads together are {} MiB.",
        (u64::from(SIZE) * UPLOADS as u64) >> 20
    );
    Ok(())
}

/// MiB resident before and at most, and how many were answered with 200.
fn with_budget(budget: u64) -> io::Result<(u64, u64, usize)> {
    let folder = programs()?;
    let scratch = tempfile::tempdir()?;
    let pinned = pin_is_possible();
    let mut running = Running::default();
    measure(&folder, scratch.path(), pinned, budget, &mut running)
}

fn measure(
    folder: &Path,
    scratch: &Path,
    pinned: bool,
    budget: u64,
    running: &mut Running,
) -> io::Result<(u64, u64, usize)> {
    let origin = start_origin(folder, pinned, running)?;
    let address = free_port()?;
    let file = scratch.join("memory.yaml");
    let key = isobar_config::hash_key(KEY);
    fs::write(
        &file,
        format!(
            "isobar: 1\nlisten: [ {{ http: \"{address}\" }} ]\nlog: {{ access: \"off\" }}\nlimits: {{ body_memory: {budget}MiB }}\n\
             clients: {{ bench: {{ key: \"{key}\" }} }}\n\
             accounts: {{ deepgram: {{ vendor: deepgram, key: a-key, base: \"http://{origin}/deepgram\" }} }}\n"
        ),
    )?;
    let gateway = command(pinned, PROXY_CORE, &folder.join("isobar"))
        .args(["serve", "-c"])
        .arg(&file)
        .current_dir(scratch)
        .stdout(Stdio::null())
        .stderr(fs::File::create(scratch.join("memory.log"))?)
        .spawn()?;
    let process = gateway.id();
    running.0.push(gateway);
    wait_for(address)?;
    if !upload(address, 16_000)? {
        return Err(io::Error::other("the gateway does not transcribe"));
    }
    let before = resident(process)? >> 20;
    let uploads: Vec<_> = (0..UPLOADS)
        .map(|_| thread::spawn(move || upload(address, SIZE)))
        .collect();
    let answered = uploads
        .into_iter()
        .filter_map(|upload| upload.join().ok()?.ok())
        .filter(|done| *done)
        .count();
    Ok((before, peak(process)? >> 20, answered))
}

/// Sends a recording as a form; whether it was transcribed.
fn upload(address: SocketAddr, size: u32) -> io::Result<bool> {
    let start = "--bench\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\ncontent-type: audio/wav\r\n\r\n";
    let end = "\r\n--bench--\r\n";
    let sound = recording(size);
    let length = start.len() + sound.len() + end.len();
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    write!(
        stream,
        "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: isobar\r\nauthorization: Bearer {KEY}\r\ncontent-type: multipart/form-data; boundary=bench\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{start}"
    )?;
    stream.write_all(&sound)?;
    stream.write_all(end.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}
