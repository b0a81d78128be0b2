//! Reads configuration files: one, or every `*.yaml` of a folder.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use crate::{
    check::check,
    diagnostic::{Diagnostic, Report},
    expand::Environment,
    model::Config,
    place::Span,
};

/// One file's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Name for messages.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// A configuration read from disk.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Warnings.
    pub report: Report,
    /// Every file that was read, secrets included.
    pub files: Vec<PathBuf>,
}

/// Reads and checks `path`, a file or a folder. Paths in it are relative to its folder.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    let unreadable = |path: &Path, error: &io::Error| {
        let source = Source {
            name: path.display().to_string(),
            text: String::new(),
        };
        let start = Span {
            line: 1,
            column: 1,
            ..Span::default()
        };
        let diagnostic = Diagnostic::error(
            "E0104",
            start,
            format!("`{}` cannot be read: {error}", path.display()),
        )
        .help("name a YAML file or a folder of them with `-c`");
        Report::new(vec![source], vec![diagnostic])
    };
    let files = files(path).map_err(|error| unreadable(path, &error))?;
    let mut sources = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
        sources.push(Source {
            name: file.display().to_string(),
            text,
        });
    }
    let folder = if path.is_dir() {
        path
    } else {
        path.parent().unwrap_or(Path::new(""))
    };
    let system = System {
        folder: folder.to_owned(),
        read: Mutex::default(),
    };
    let (config, report) = check(&sources, &system);
    let Some(mut config) = config else {
        return Err(report);
    };
    if config.state.is_relative() {
        config.state = folder.join(&config.state);
    }
    if let crate::model::AccessLog::File(file) = &mut config.log.access
        && file.is_relative()
    {
        *file = folder.join(&*file);
    }
    Ok(Loaded {
        config,
        report,
        files: files.into_iter().chain(system.read.into_inner()).collect(),
    })
}

fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let yaml = file
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml");
        let hidden = file
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if yaml && !hidden && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(io::Error::other("the folder has no *.yaml file"));
    }
    Ok(files)
}

/// The process's variables, and files beside the configuration.
struct System {
    folder: PathBuf,
    read: Mutex<Vec<PathBuf>>,
}

impl Environment for System {
    fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        let path = self.folder.join(path);
        let text = fs::read_to_string(&path)?;
        self.read.lock().push(path);
        Ok(text)
    }
}
