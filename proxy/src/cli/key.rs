//! `isobar key`.

use std::{
    io::{self, Read as _, Write as _},
    process::ExitCode,
};

use base64::Engine as _;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Read a key from standard input and print only its digest
    #[arg(long)]
    hash: bool,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    if arguments.hash {
        let mut key = String::new();
        io::stdin().lock().read_to_string(&mut key)?;
        let key = key.trim();
        if key.is_empty() {
            return Err(io::Error::other("standard input has no key"));
        }
        writeln!(out, "{}", isobar_config::hash_key(key))?;
        return Ok(ExitCode::SUCCESS);
    }
    let key = made()?;
    writeln!(out, "key     {key}")?;
    writeln!(out, "digest  {}", isobar_config::hash_key(&key))?;
    writeln!(out)?;
    writeln!(
        out,
        "The app sends the key as `Authorization: Bearer KEY`; the configuration has the digest:"
    )?;
    writeln!(out)?;
    writeln!(out, "clients:")?;
    writeln!(
        out,
        "  my-app: {{ key: \"{}\" }}",
        isobar_config::hash_key(&key)
    )?;
    Ok(ExitCode::SUCCESS)
}

/// 256 random bits.
fn made() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    Ok(format!("iso_{text}"))
}
