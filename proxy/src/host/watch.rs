//! Reloads when a configuration file changes on disk.
//!
//! Files are looked at twice a second rather than watched: that works on every file system, for files that are replaced
//! (editors) or linked anew (orchestrators), and costs nothing when other files of the folder are busy.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::task::JoinHandle;

use super::Inner;

/// Time between two looks. A change is taken up at the second look that finds it the same, so that a file is not read
/// while it is being written.
const PERIOD: Duration = Duration::from_millis(250);

/// What tells one state of the files from another, without reading them.
type Look = Vec<(PathBuf, Option<(u64, u64, SystemTime)>)>;

/// Watches the source, if there is one.
pub(super) fn start(inner: &Arc<Inner>) -> Option<JoinHandle<()>> {
    let source = inner.source.clone()?;
    let inner = Arc::clone(inner);
    let mut read = contents(&source);
    let (mut settled, mut last) = (look(&source), look(&source));
    Some(tokio::spawn(async move {
        loop {
            tokio::time::sleep(PERIOD).await;
            let now = look(&source);
            let steady = now == last;
            last = now;
            if !steady || last == settled {
                continue;
            }
            settled.clone_from(&last);
            // A touched file is no change.
            let text = contents(&source);
            if text == read {
                continue;
            }
            read = text;
            match inner.reload().await {
                Ok(reload) if reload.needs_restart.is_empty() => log::info!(
                    "the configuration changed; plan {} is in force",
                    reload.generation
                ),
                Ok(reload) => log::warn!(
                    "the configuration changed; plan {} is in force; a restart is needed for: {}",
                    reload.generation,
                    reload.needs_restart.join(", ")
                ),
                Err(error) => log::error!("{error}"),
            }
        }
    }))
}

fn files(source: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(source) else {
        return vec![source.to_owned()];
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| {
            let ending = file.extension();
            ending.is_some_and(|ending| ending == "yaml" || ending == "yml")
        })
        .collect();
    files.sort();
    files
}

fn look(source: &Path) -> Look {
    let state = |file: &PathBuf| {
        let known = fs::metadata(file).ok()?;
        Some((known.ino(), known.len(), known.modified().ok()?))
    };
    files(source)
        .into_iter()
        .map(|file| {
            let state = state(&file);
            (file, state)
        })
        .collect()
}

fn contents(source: &Path) -> Vec<(PathBuf, Option<String>)> {
    files(source)
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).ok();
            (file, text)
        })
        .collect()
}
