//! Servers to try Isobar against without any vendor: they behave, and misbehave on demand.
//!
//! [`Sandbox`] simulates vendors: it checks their authentication for real, answers in their shapes, keeps a [`ledger`]
//! and fails by script ([`faults`]). [`Upstream`] is a plain HTTP server that misbehaves at the level of bytes.
//!
//! Uses none of Isobar's other crates, so that a mistake there cannot hide here. `README.md` beside the manifest says
//! how a vendor is added.

mod answer;
mod answers;
mod auth;
mod call;
pub mod credentials;
pub mod faults;
mod jobs;
pub mod ledger;
mod listen;
mod serve;
pub mod upstream;
mod vendor;
mod vendors;

use std::{fmt, io, net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, task::AbortHandle};

pub use credentials::print_config;
pub use upstream::{Entry, Fault, Gate, Upstream, Vacant};

/// A short recording, "the weather is …", that every simulated speech vendor knows the words of.
pub const WEATHER: &[u8] = include_bytes!("../fixtures/weather.wav");

/// Simulators of every vendor behind one address. Dropping it closes its listener and its connections.
pub struct Sandbox {
    address: SocketAddr,
    site: Arc<serve::Site>,
    accepting: AbortHandle,
}

impl Sandbox {
    /// Starts on this address; port 0 lets the system choose.
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let site = Arc::new(serve::Site::new());
        let router = serve::routes(Arc::clone(&site));
        let accepting = tokio::spawn(listen::accept(listener, router)).abort_handle();
        Ok(Self {
            address,
            site,
            accepting,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`; a vendor is at `http://ADDRESS/NAME`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The script of what goes wrong.
    pub fn faults(&self) -> &faults::Faults {
        &self.site.faults
    }

    /// What reached the vendors.
    pub fn ledger(&self) -> &ledger::Ledger {
        &self.site.ledger
    }

    /// Forgets faults, ledger, and the vendors' jobs, uploads and tokens.
    pub fn reset(&self) {
        self.site.reset();
    }

    /// The `accounts:` section of a configuration that points every vendor here.
    pub fn print_config(&self) -> String {
        print_config(&self.url())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sandbox")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The routes of a sandbox of its own, to be served elsewhere. There a connection to be reset is answered with 502.
pub fn router() -> axum::Router {
    serve::routes(Arc::new(serve::Site::new()))
}
