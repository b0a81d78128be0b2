//! Reloads when a configuration file changes on disk.

use std::{path::Path, sync::Arc, time::Duration};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{sync::mpsc, task::JoinHandle};

use super::Inner;

/// Editors write in several steps; this long after the last of them the file is read.
const SETTLE: Duration = Duration::from_millis(150);

/// Watches the source, if there is one.
pub(super) fn start(inner: &Arc<Inner>) -> Option<JoinHandle<()>> {
    let source = inner.source.clone()?;
    // The folder is watched, not the file, since many editors replace the file.
    let folder = if source.is_dir() {
        source.clone()
    } else {
        parent(&source)
    };
    let (told, mut changes) = mpsc::channel::<()>(1);
    let watched = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let matters = event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_)));
        if matters {
            let _ = told.try_send(());
        }
    });
    let watcher = watched.and_then(|mut watcher: RecommendedWatcher| {
        watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    let watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => {
            log::warn!(
                "changes of {} are not noticed ({error}); SIGHUP still reloads",
                folder.display()
            );
            return None;
        }
    };
    let inner = Arc::clone(inner);
    let mut seen = contents(&source);
    Some(tokio::spawn(async move {
        let _watcher = watcher;
        while changes.recv().await.is_some() {
            while tokio::time::timeout(SETTLE, changes.recv())
                .await
                .is_ok_and(|change| change.is_some())
            {}
            let now = contents(&source);
            if now == seen {
                continue;
            }
            seen = now;
            match inner.reload().await {
                Ok(reload) => log::info!(
                    "the configuration changed; plan {} is in force",
                    reload.generation
                ),
                Err(error) => log::error!("{error}"),
            }
        }
    }))
}

fn parent(file: &Path) -> std::path::PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => Path::new(".").to_owned(),
    }
}

/// The configuration's text, so that a touched file or a neighbour's change is not a reload.
fn contents(source: &Path) -> Vec<(std::path::PathBuf, Option<String>)> {
    let mut files: Vec<_> = match std::fs::read_dir(source) {
        Ok(entries) => entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect(),
        Err(_) => vec![source.to_owned()],
    };
    files.retain(|file| {
        file.extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml")
            || file == source
    });
    files.sort();
    files
        .into_iter()
        .map(|file| (file.clone(), std::fs::read_to_string(&file).ok()))
        .collect()
}
