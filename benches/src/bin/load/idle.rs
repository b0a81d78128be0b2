//! Connections that have been answered once and then do nothing.

use std::{
    io::{self, Read as _},
    net::SocketAddr,
};

use clap::Args;
use isobar_benches::load::{BEARER, HOST, Opened};
use tokio::{io::AsyncWriteExt as _, task::JoinSet};

use super::{
    h1,
    wire::{Dialer, Wire},
};

/// Connections that are being opened at once; as many must the upstream take.
const AT_ONCE: usize = 32;

#[derive(Args)]
pub(super) struct Arguments {
    address: SocketAddr,
    #[arg(long)]
    connections: usize,
    #[arg(long, default_value = "/v1/items/42")]
    path: String,
}

pub(super) async fn run(arguments: &Arguments) -> io::Result<()> {
    let mut kept = Vec::with_capacity(arguments.connections);
    while kept.len() < arguments.connections {
        let some = AT_ONCE.min(arguments.connections - kept.len());
        let mut opening = JoinSet::new();
        for _ in 0..some {
            let dialer = Dialer::new(arguments.address, None, "http/1.1")?;
            let request = format!(
                "GET {} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: {BEARER}\r\n\r\n",
                arguments.path
            );
            opening.spawn(async move {
                let mut wire = dialer.dial().await?;
                wire.write_all(request.as_bytes()).await?;
                let answered = h1::answer(&mut wire, None).await?.ok;
                answered
                    .then_some(wire)
                    .ok_or_else(|| io::Error::other("a connection was not answered with 200"))
            });
        }
        while let Some(opened) = opening.join_next().await {
            let wire: Box<dyn Wire> = opened.map_err(io::Error::other)??;
            kept.push(wire);
        }
    }
    let opened = Opened {
        connections: kept.len() as u64,
    };
    println!("{}", serde_json::to_string(&opened)?);
    // Until whoever started this has seen enough.
    tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new()))
        .await
        .map_err(io::Error::other)??;
    Ok(())
}
