//! Where the engine is installed, and whether it is all there.
//!
//! A file in the folder says so. It is written first, as a claim to the folder, and says `ready` only after the engine
//! has been tried: an environment that was left half made never looks finished.

use std::{
    env,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{PACKAGE, VERSION};

/// Name of the file.
const FILE: &str = "isobar-engines.json";

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    ready: bool,
    package: String,
    version: String,
}

/// The folder of the engine.
#[derive(Debug)]
pub(super) struct Home {
    folder: PathBuf,
}

/// What is in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Empty,
    /// An installation that was not finished, or one of another version.
    Unfinished,
    /// Files of somebody else.
    Foreign,
    /// The engine.
    Ready,
}

/// The right to change the folder, which ends with this value or with the process.
pub(super) struct Claim {
    file: File,
}

impl Home {
    /// The folder that was named, or the user's.
    pub(super) fn new(named: Option<PathBuf>) -> io::Result<Self> {
        let absolute = |name: &str| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let usual = || {
            let data =
                absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
            Some(data?.join("isobar/engines"))
        };
        let folder = named.or_else(usual).ok_or_else(|| {
            io::Error::other("there is no home folder; say where the engine is with `--dir DIR`")
        })?;
        Ok(Self {
            folder: std::path::absolute(folder)?,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The environment's Python.
    pub(super) fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    pub(super) fn state(&self) -> io::Result<State> {
        match fs::read(self.folder.join(FILE)) {
            Ok(text) => Ok(match serde_json::from_slice::<Note>(&text) {
                Ok(note) if note.ready && note.package == PACKAGE && note.version == VERSION => {
                    State::Ready
                }
                _ => State::Unfinished,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match fs::read_dir(&self.folder) {
                    Ok(mut entries) => Ok(match entries.next() {
                        Some(_) => State::Foreign,
                        None => State::Empty,
                    }),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::Empty),
                    Err(error) => Err(self.failed(&error)),
                }
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Claims the folder for an installation, unless one is going on.
    pub(super) fn claim(&self) -> io::Result<Claim> {
        fs::create_dir_all(&self.folder).map_err(|error| self.failed(&error))?;
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(self.folder.join(FILE))
            .map_err(|error| self.failed(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Claim { file }),
            Err(TryLockError::WouldBlock) => Err(io::Error::other(format!(
                "another `isobar engines install` is at work in {}",
                self.folder.display()
            ))),
            Err(TryLockError::Error(error)) => Err(self.failed(&error)),
        }
    }

    /// Takes away everything but the claim.
    pub(super) fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name() == FILE {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.folder.display()))
    }
}

impl Claim {
    /// Says whether the engine is all there. What breaks off in the middle of this reads as "no".
    pub(super) fn write(&mut self, ready: bool) -> io::Result<()> {
        let note = Note {
            ready,
            package: PACKAGE.to_owned(),
            version: VERSION.to_owned(),
        };
        self.file.set_len(0)?;
        io::Seek::rewind(&mut self.file)?;
        serde_json::to_writer(&mut self.file, &note)?;
        self.file.write_all(b"\n")?;
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_finished_is_ready() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::new(Some(place.path().join("engines"))).unwrap();
        assert_eq!(home.state().unwrap(), State::Empty);
        let mut claim = home.claim().unwrap();
        assert_eq!(home.state().unwrap(), State::Unfinished);
        assert!(home.claim().is_err(), "two at once");
        claim.write(false).unwrap();
        assert_eq!(home.state().unwrap(), State::Unfinished);
        claim.write(true).unwrap();
        assert_eq!(home.state().unwrap(), State::Ready);
        let note = home.folder().join(FILE);
        let text = fs::read_to_string(&note).unwrap();
        for kept in 0..text.trim_end().len() {
            fs::write(&note, &text[..kept]).unwrap();
            assert_eq!(home.state().unwrap(), State::Unfinished, "{kept}");
        }
        fs::write(&note, text.replace(VERSION, "0.0.1")).unwrap();
        assert_eq!(home.state().unwrap(), State::Unfinished);
    }

    #[test]
    fn a_folder_of_somebody_else_is_told() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("letter"), "dear").unwrap();
        let home = Home::new(Some(place.path().to_owned())).unwrap();
        assert_eq!(home.state().unwrap(), State::Foreign);
    }
}
