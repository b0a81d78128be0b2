//! Which processes are at work in a state folder. Each has a name of its own and holds the lock of a file that is called so
//! for as long as it runs; the system lets go of a lock when its process ends, however that comes about.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Folder of the files, within the state folder.
const FOLDER: &str = "running";
/// Letters of a name, hexadecimal.
const LETTERS: usize = 32;
/// A younger file may be one that its process has made and not locked yet.
const YOUNG: Duration = Duration::from_mins(1);
/// Follows the name where recovery is busy with what others have left.
const TAKEN: char = '+';

/// This process, as the store knows it.
#[derive(Debug)]
pub(super) struct Owner {
    name: String,
    folder: PathBuf,
    _lock: File,
}

impl Owner {
    /// A new name, which counts as running until this is dropped. Blocks.
    pub(super) fn new(state: &Path) -> io::Result<Self> {
        let folder = state.join(FOLDER);
        fs::create_dir_all(&folder)?;
        sweep(&folder);
        let name = format!("{:032x}", fastrand::u128(..));
        let lock = File::create_new(folder.join(&name))?;
        lock.lock()?;
        Ok(Self {
            name,
            folder,
            _lock: lock,
        })
    }

    /// Whose its runs' effects and keys are.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whose the effects are that recovery takes back.
    pub(super) fn taken(&self) -> String {
        format!("{}{TAKEN}", self.name)
    }

    /// Whether a process is busy with what has this owner: a run, this process's or another's, or another's recovery.
    pub(super) fn is_busy(&self, owner: &str) -> bool {
        let name = owner.strip_suffix(TAKEN).unwrap_or(owner);
        if name == self.name {
            return owner == name;
        }
        is_name(name) && is_locked(&self.folder.join(name))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.join(&self.name));
    }
}

fn is_name(text: &str) -> bool {
    text.len() == LETTERS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a process holds the lock. What cannot be found out is taken for running: nothing is taken from under anybody.
fn is_locked(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => !matches!(file.try_lock(), Ok(())),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Removes what killed processes have left.
fn sweep(folder: &Path) {
    let Ok(files) = fs::read_dir(folder) else {
        return;
    };
    for file in files.flatten() {
        let made = file.metadata().and_then(|about| about.modified());
        let age = made.map(|made| SystemTime::now().duration_since(made));
        if matches!(age, Ok(Ok(age)) if age > YOUNG) && !is_locked(&file.path()) {
            let _ = fs::remove_file(file.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_is_busy_and_who_has_left_is_not() {
        let state = tempfile::tempdir().unwrap();
        let (one, other) = (
            Owner::new(state.path()).unwrap(),
            Owner::new(state.path()).unwrap(),
        );
        assert!(one.is_busy(one.name()) && one.is_busy(other.name()));
        assert!(!one.is_busy(&one.taken()), "its recovery goes on");
        assert!(one.is_busy(&other.taken()));
        let left = [other.name().to_owned(), other.taken()];
        drop(other);
        assert!(!left.iter().any(|owner| one.is_busy(owner)));
        for nobody in ["", "+", "../../etc/passwd", &"0".repeat(32)] {
            assert!(!one.is_busy(nobody), "{nobody}");
        }
    }

    #[test]
    fn what_a_killed_process_left_is_nobody_and_is_swept() {
        let state = tempfile::tempdir().unwrap();
        let one = Owner::new(state.path()).unwrap();
        let file = |name: &str| state.path().join(FOLDER).join(name);
        let (old, young) = ("a".repeat(32), "b".repeat(32));
        for name in [&old, &young] {
            File::create(file(name)).unwrap();
            assert!(!one.is_busy(name));
        }
        let long_ago = SystemTime::now() - 2 * YOUNG;
        let opened = File::options().write(true).open(file(&old)).unwrap();
        opened.set_modified(long_ago).unwrap();
        let own = File::options().write(true).open(file(one.name())).unwrap();
        own.set_modified(long_ago).unwrap();
        drop(Owner::new(state.path()).unwrap());
        assert!(!file(&old).exists() && file(&young).exists());
        assert!(file(one.name()).exists(), "it runs");
    }
}
