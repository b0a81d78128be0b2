//! Swapping plans while requests run.
//!
//! A new configuration is read, checked and compiled beside the running plan. Requests pin the plan that they began
//! with; a broken one is refused with its diagnostics and changes nothing.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use isobar_config::{Config, Log, Report};

use super::{Inner, watch};
use crate::{route::compile, serve::vendors::Checked};

/// A plan that was swapped in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// Number of the plan; the first is 1.
    pub generation: u64,
    /// What a restart would change and a reload does not.
    pub needs_restart: Vec<&'static str>,
}

/// Why the running plan was kept.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration has mistakes.
    #[error("the configuration has mistakes; the running plan is kept\n{}", .0.text(false))]
    Mistakes(Report),
    /// The configuration cannot be put on the wire.
    #[error("the configuration cannot be compiled; the running plan is kept: {0}")]
    Compile(String),
    /// There is no file to read.
    #[error("this gateway was not started from a file")]
    NoSource,
}

/// What the admin port tells of reloads.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) swapped_at: Option<SystemTime>,
    pub(crate) refused: Option<(SystemTime, String)>,
    pub(crate) needs_restart: Vec<&'static str>,
}

/// What only a start takes up, as it was then; the sockets of clients, too, which are the doors.
#[derive(Debug)]
pub(super) struct Fixed {
    admin: Option<SocketAddr>,
    log: Log,
    state: PathBuf,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            admin: config.admin,
            log: config.log.clone(),
            state: config.state.clone(),
        }
    }
}

impl Inner {
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<Reload, ReloadError> {
        let source = self.source.clone().ok_or(ReloadError::NoSource)?;
        let inner = Arc::clone(self);
        // Reading files and compiling expressions may block.
        let done =
            tokio::task::spawn_blocking(move || match crate::serve::vendors::load(&source) {
                Ok(loaded) => {
                    let files = watch::contents(loaded.files);
                    let swapped = inner.swap(loaded.checked)?;
                    *inner.files.lock() = files;
                    Ok(swapped)
                }
                Err(report) => Err(inner.refused(ReloadError::Mistakes(report))),
            });
        done.await
            .unwrap_or_else(|error| Err(self.refused(ReloadError::Compile(error.to_string()))))
    }

    pub(crate) fn swap(&self, checked: Checked) -> Result<Reload, ReloadError> {
        let config = &checked.config;
        // One at a time, so that generations are in order.
        let mut history = self.history.lock();
        let running = self.plan.load_full();
        let needs_restart = self.needs_restart(config);
        let generation = running.generation + 1;
        match compile::compile(checked, &self.registry, generation) {
            Ok(snapshot) => {
                super::open_doors(&self.doors, &snapshot);
                self.plan.store(Arc::new(snapshot));
                let metrics = &self.registry.metrics;
                metrics.reloads.with_label_values(&["swapped"]).inc();
                metrics
                    .generation
                    .set(i64::try_from(generation).unwrap_or(i64::MAX));
                history.swapped_at = Some(SystemTime::now());
                history.refused = None;
                history.needs_restart.clone_from(&needs_restart);
                Ok(Reload {
                    generation,
                    needs_restart,
                })
            }
            Err(error) => {
                drop(history);
                Err(self.refused(ReloadError::Compile(error.to_string())))
            }
        }
    }

    /// What is not as it was at the start. Certificates may differ.
    fn needs_restart(&self, config: &Config) -> Vec<&'static str> {
        let mut doors = self.doors.iter().zip(&config.listen);
        let is_served =
            self.doors.len() == config.listen.len() && doors.all(|(door, listen)| door.is(listen));
        let kept = [
            ("listen", is_served),
            ("admin", self.fixed.admin == config.admin),
            ("log", self.fixed.log == config.log),
            ("state", self.fixed.state == config.state),
        ];
        let differing = kept.into_iter().filter(|(_, is_kept)| !is_kept);
        differing.map(|(name, _)| name).collect()
    }

    fn refused(&self, error: ReloadError) -> ReloadError {
        self.registry
            .metrics
            .reloads
            .with_label_values(&["refused"])
            .inc();
        self.history.lock().refused = Some((SystemTime::now(), error.to_string()));
        error
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
