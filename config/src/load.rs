//! Reads configuration files: one, or every `*.yaml` of a folder.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use parking_lot::Mutex;

use crate::{
    catalog::Catalog,
    check::check_with,
    diagnostic::{Diagnostic, Report},
    document,
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
    load_with(path, &|_| Ok((Catalog::default(), Vec::new())))
}

/// Says what may be named, for the folder of further manifests if there is one, and which files say so.
pub type Named = dyn Fn(Option<&Path>) -> Result<(Catalog, Vec<PathBuf>), Report>;

/// The same, where vendors and operations may be named. `catalog` is given the folder of the `adapters` key, if there is
/// one, and says what may be named and which files say so.
pub fn load_with(path: &Path, catalog: &Named) -> Result<Loaded, Report> {
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
        // In a folder, compositions may stand beside the configuration.
        if files.len() > 1
            && document::parse(&text, 0).is_ok_and(|node| node.get("composition").is_some())
        {
            continue;
        }
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
    let adapters = sources
        .iter()
        .enumerate()
        .filter_map(|(index, source)| document::parse(&source.text, index).ok())
        .find_map(|node| node.get("adapters")?.text().map(|text| folder.join(text)));
    let (catalog, manifests) = catalog(adapters.as_deref())?;
    let (config, report) = check_with(&sources, &system, &catalog);
    let Some(mut config) = config else {
        return Err(report);
    };
    config.adapters = adapters;
    for compositions in &mut config.compositions {
        if let crate::model::Compositions::Path(path) = compositions {
            *path = folder.join(&*path);
        }
    }
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
        files: files
            .into_iter()
            .chain(system.read.into_inner())
            .chain(manifests)
            .collect(),
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

    fn now(&self) -> Option<SystemTime> {
        Some(SystemTime::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "routes: [ { match: /*, respond: { body: hi }, anonymous: true } ]\n";
    const START: &str = "isobar: 1\nlisten: [ { http: 127.0.0.1:0 } ]\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn codes(report: &Report) -> Vec<&'static str> {
        report
            .diagnostics()
            .iter()
            .map(|found| found.code)
            .collect()
    }

    #[test]
    fn a_folder_is_merged_and_its_paths_start_there() {
        let folder = folder(&[
            ("10-start.yaml", START),
            ("20-routes.yml", ROUTES),
            (
                "30-again.yaml",
                "isobar: 1\nlog: { access: file:access.log }\n",
            ),
            (".hidden.yaml", "nonsense: 1\n"),
            ("README.md", "nonsense: 1\n"),
        ]);
        let loaded = load(folder.path()).unwrap();
        assert_eq!(loaded.files.len(), 3);
        assert_eq!(loaded.config.state, folder.path().join("./state"));
        let log = crate::AccessLog::File(folder.path().join("access.log"));
        assert_eq!(loaded.config.log.access, log);
    }

    #[test]
    fn a_secret_file_is_watched_with_the_configuration() {
        let upstreams = "upstreams: { a: { url: http://h, auth: { bearer: file(a.key) } } }\n\
            routes: [ { match: /*, forward: [a], anonymous: true } ]\n";
        let folder = folder(&[
            ("isobar.yaml", &format!("{START}{upstreams}")),
            ("a.key", "secret\n"),
        ]);
        let loaded = load(&folder.path().join("isobar.yaml")).unwrap();
        assert!(loaded.files.contains(&folder.path().join("a.key")));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let empty = folder(&[("notes.txt", "")]);
        assert_eq!(codes(&load(empty.path()).unwrap_err()), ["E0104"]);
        let missing = load(&empty.path().join("none.yaml")).unwrap_err();
        assert_eq!(codes(&missing), ["E0104"]);
        assert!(
            missing.text(false).contains("none.yaml"),
            "{}",
            missing.text(false)
        );
        let latin = folder(&[]);
        fs::write(latin.path().join("isobar.yaml"), b"isobar: \xe9").unwrap();
        assert_eq!(codes(&load(latin.path()).unwrap_err()), ["E0104"]);
    }

    #[test]
    fn what_two_files_give_is_said_at_the_second() {
        let folder = folder(&[
            (
                "a.yaml",
                &format!("{START}{ROUTES}admin: 127.0.0.1:1\nupstreams: {{ a: http://h }}\n"),
            ),
            (
                "b.yaml",
                "isobar: 2\nadmin: 127.0.0.1:2\nupstreams: { a: http://h, b: http://h }\n",
            ),
            ("c.yaml", "- 1\n"),
        ]);
        let report = load(folder.path()).unwrap_err();
        let found: Vec<String> = report
            .diagnostics()
            .iter()
            .map(|found| {
                let at = report.location(found);
                let file = Path::new(&*at.file).file_name().unwrap().to_string_lossy();
                format!("{} {file}:{}:{}", found.code, at.line, at.column)
            })
            .collect();
        let expected = [
            "E0305 b.yaml:1:1",
            "E0305 b.yaml:2:1",
            "E0305 b.yaml:3:14",
            "E0202 c.yaml:1:1",
        ];
        assert_eq!(found, expected, "{}", report.text(false));
    }
}
