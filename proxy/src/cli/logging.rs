//! Messages of the program itself, on standard error; the access log is apart.

use tracing_subscriber::EnvFilter;

use super::style::Style;

/// Starts logging; `ISOBAR_LOG` sets the level, such as `debug` or `isobar=debug,pingora=info`.
pub(super) fn start() {
    let filter = EnvFilter::try_from_env("ISOBAR_LOG")
        .unwrap_or_else(|_| EnvFilter::new("error,isobar=info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(Style::stderr().is_coloured())
        .finish();
    // A second start within one process finds the first one's logger, which is as good.
    let _ = tracing::subscriber::set_global_default(subscriber);
    let _ = tracing_log::LogTracer::init();
}
