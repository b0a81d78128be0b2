//! Messages of the program itself, on standard error; the access log is apart.

use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt as _};

use super::style::Style;

/// Starts logging; `ISOBAR_LOG` sets the level, such as `debug` or `isobar=debug,hickory_resolver=info`.
pub(super) fn start() {
    let filter = EnvFilter::try_from_env("ISOBAR_LOG")
        .unwrap_or_else(|_| EnvFilter::new("error,isobar=info"));
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(Style::stderr().is_coloured());
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(may_be_told))
        .with(lines);
    // A second start within one process finds the first one's logger, which is as good.
    let _ = tracing::subscriber::set_global_default(subscriber);
    let _ = tracing_log::LogTracer::init();
}

/// Whatever `ISOBAR_LOG` asks for: below `info`, Pingora writes whole heads, with the keys in them.
fn may_be_told(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || !metadata.target().starts_with("pingora")
}
