//! Serves a sandbox until it is stopped: `cargo run -p isobar-sandbox --example serve -- 127.0.0.1:8100`.

use std::{error::Error, net::SocketAddr};

use isobar_sandbox::Sandbox;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address: SocketAddr = address.as_deref().unwrap_or("127.0.0.1:0").parse()?;
    let sandbox = Sandbox::start(address).await?;
    println!("{}", sandbox.print_config());
    std::future::pending().await
}
