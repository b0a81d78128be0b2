//! Reloads when a file changes on disk that the running configuration was read from: its own files, and those that it names,
//! such as secrets.
//!
//! Files are looked at four times a second rather than watched: that works on every file system, for files that are replaced
//! (editors) or linked anew (orchestrators), and costs nothing when other files of the folder are busy.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use super::Inner;

/// Time between two looks. A change is taken up at the second look that finds it the same, so that a file is not read
/// while it is being written.
const PERIOD: Duration = Duration::from_millis(250);

/// What is known of the files, in one way or another; nothing of those that are not there.
#[derive(Clone, PartialEq)]
struct Known<S> {
    /// The configuration itself: one that comes or goes is a change.
    own: BTreeMap<PathBuf, Option<S>>,
    /// What it names; which those are changes with it.
    named: BTreeMap<PathBuf, Option<S>>,
}

/// A file's content, as its digest: it may be a secret.
type Content = [u8; 32];

/// What the files that a configuration was read from had in them then.
pub(super) type Contents = BTreeMap<PathBuf, Option<Content>>;

impl Known<Content> {
    /// Whether a file is not as it was before, or for one that was not looked at then, as it was `loaded`.
    fn differs(&self, before: &Self, loaded: &Contents) -> bool {
        let changed = |(file, content): (&PathBuf, &Option<Content>)| {
            let known = before.named.get(file).or_else(|| loaded.get(file));
            known.is_some_and(|known| known != content)
        };
        self.own != before.own || self.named.iter().any(changed)
    }
}

/// What is in files.
pub(super) fn contents(files: Vec<PathBuf>) -> Contents {
    let with_content = |file: PathBuf| {
        let content = digest(&file);
        (file, content)
    };
    files.into_iter().map(with_content).collect()
}

/// Watches the source, if there is one.
pub(super) fn start(inner: &Arc<Inner>) -> Option<JoinHandle<()>> {
    let source = inner.source.clone()?;
    let inner = Arc::clone(inner);
    let mut read = known(&source, &inner, digest);
    let mut last = known(&source, &inner, look);
    let mut settled = last.clone();
    Some(tokio::spawn(async move {
        loop {
            tokio::time::sleep(PERIOD).await;
            let now = known(&source, &inner, look);
            let steady = now == last;
            last = now;
            if !steady || last == settled {
                continue;
            }
            settled.clone_from(&last);
            // A touched file is no change.
            let text = known(&source, &inner, digest);
            let changed = text.differs(&read, &inner.files.lock());
            read = text;
            if !changed {
                continue;
            }
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

/// Everything there is to look at, seen through `state`.
fn known<S>(source: &Path, inner: &Inner, state: fn(&Path) -> Option<S>) -> Known<S> {
    let see = |file: PathBuf| {
        let state = state(&file);
        (file, state)
    };
    let own: BTreeMap<_, _> = own(source).into_iter().map(see).collect();
    let named: Vec<PathBuf> = inner.files.lock().keys().cloned().collect();
    let named = named.into_iter().filter(|file| !own.contains_key(file));
    Known {
        named: named.map(see).collect(),
        own,
    }
}

fn own(source: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(source) else {
        return vec![source.to_owned()];
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| {
            let ending = file.extension();
            ending.is_some_and(|ending| ending == "yaml" || ending == "yml")
        })
        .collect()
}

/// What tells one state of a file from another, without reading it.
fn look(file: &Path) -> Option<(u64, u64, SystemTime)> {
    let known = fs::metadata(file).ok()?;
    Some((known.ino(), known.len(), known.modified().ok()?))
}

fn digest(file: &Path) -> Option<Content> {
    let content = fs::read(file).ok()?;
    Some(Sha256::digest(content).into())
}
