//! What all workloads share: the upstream, the certificate, the files of contenders.

use std::{fs, io, net::SocketAddr, path::PathBuf};

use isobar_benches::{
    contenders::{Certificate, Contender, Ground, Subject, Wanted},
    load::{Load, Request},
    process::{Running, pin_is_possible, programs, raise_open_files, start_origin},
};

use super::Arguments;

pub(super) struct Bench {
    pub(super) arguments: Arguments,
    pub(super) pinned: bool,
    pub(super) origin: SocketAddr,
    pub(super) certificate: Certificate,
    /// Files that a process may have open here.
    pub(super) open_files: u64,
    folder: PathBuf,
    /// Contenders' folders.
    homes: tempfile::TempDir,
    /// Other files.
    files: tempfile::TempDir,
    _running: Running,
}

impl Bench {
    pub(super) fn start(mut arguments: Arguments) -> io::Result<Self> {
        // Contenders are started in folders of their own.
        arguments.envoy = arguments.envoy.map(fs::canonicalize).transpose()?;
        // Each idle connection is a file of the client's and one of the proxy's.
        let open_files = raise_open_files(arguments.idle.saturating_mul(2) + 4096);
        let folder = programs()?;
        let pinned = pin_is_possible();
        let files = tempfile::tempdir()?;
        let mut running = Running::default();
        Ok(Self {
            origin: start_origin(&folder, pinned, &mut running)?,
            certificate: Certificate::make(files.path())?,
            homes: tempfile::tempdir()?,
            _running: running,
            arguments,
            pinned,
            open_files,
            folder,
            files,
        })
    }

    pub(super) fn ground(&self) -> Ground<'_> {
        Ground {
            folder: &self.folder,
            scratch: self.homes.path(),
            pinned: self.pinned,
            origin: self.origin,
            envoy: self.arguments.envoy.as_deref(),
        }
    }

    pub(super) fn load(&self, seconds: f64, warm_up: u32) -> Load<'_> {
        Load {
            folder: &self.folder,
            scratch: self.files.path(),
            pinned: self.pinned,
            seconds,
            warm_up,
        }
    }

    /// Those of the contenders that were asked for; the first is what others are compared with.
    pub(super) fn chosen(&self, contenders: &[Contender]) -> Vec<Contender> {
        let only = self.arguments.only.as_deref();
        let chosen = contenders.iter().enumerate().filter(|(place, contender)| {
            *place == 0 || only.is_none_or(|only| contender.name().contains(only))
        });
        chosen.map(|(_, contender)| *contender).collect()
    }

    /// Starts those that were asked for and are installed.
    pub(super) fn subjects<'a>(
        &'a self,
        contenders: &[Contender],
        wants: impl Fn(&mut Wanted<'a>),
        running: &mut Running,
    ) -> io::Result<Vec<Subject>> {
        let mut subjects = Vec::new();
        for contender in self.chosen(contenders) {
            match self.ground().start(contender, &wants, running) {
                Ok(Some(subject)) => subjects.push(subject),
                Ok(None) => eprintln!("{} is not installed and is left out.", contender.name()),
                // Ratios are to the first.
                Err(error) if subjects.is_empty() => return Err(error),
                Err(error) => eprintln!("{} is left out: {error}", contender.name()),
            }
        }
        Ok(subjects)
    }

    /// Those that serve a request; what is said of the others.
    pub(super) fn serving(
        &self,
        subjects: Vec<Subject>,
        request: &Request<'_>,
    ) -> (Vec<Subject>, String) {
        let (mut serving, mut note) = (Vec::new(), String::new());
        for subject in subjects {
            match self.load(0.0, 0).on(subject.at(), 1, request) {
                Ok(_) => serving.push(subject),
                Err(error) => {
                    let said = format!("{} is left out: {error}. ", subject.name);
                    eprintln!("{said}");
                    note.push_str(&said);
                }
            }
        }
        (serving, note)
    }
}
