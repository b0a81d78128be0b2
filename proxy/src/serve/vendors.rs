//! The vendors that a configuration may name: built in, and from a folder of manifests.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use isobar_adapters::{CONTRACTS, Files, Vendors, built_in};
use isobar_compositions::Plan;
use isobar_config::{
    Config, Diagnostic, Report, Source, Span,
    catalog::{Catalog, Field, Operation, Vendor},
    load_with,
};

use super::compositions;

/// A configuration that is known to be right, with its compositions.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The configuration, with a route for each composition that is served.
    pub config: Config,
    /// Every composition, also those that only others use.
    pub compositions: Vec<Arc<Plan>>,
}

impl From<Config> for Checked {
    fn from(config: Config) -> Self {
        Self {
            config,
            compositions: Vec::new(),
        }
    }
}

/// A configuration read from disk.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub checked: Checked,
    /// Warnings.
    pub report: Report,
    /// Every file that was read, secrets included.
    pub files: Vec<PathBuf>,
}

/// Reads and checks a configuration, with every vendor that it may name and its compositions.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    let loaded = load_with(path, &|adapters| {
        let (vendors, files) = vendors(adapters)?;
        Ok((catalog(&vendors), files))
    })?;
    let mut files = loaded.files;
    let (checked, report) = compositions::add(loaded.config, &mut files)?;
    Ok(Loaded {
        checked,
        report: loaded.report.and(report),
        files,
    })
}

/// Every vendor: built in, and from a folder of manifests.
pub fn all(adapters: Option<&Path>) -> Result<Vendors, Report> {
    vendors(adapters).map(|(vendors, _)| vendors)
}

/// The vendors, and the files that a user's are from.
pub(crate) fn vendors(adapters: Option<&Path>) -> Result<(Vendors, Vec<PathBuf>), Report> {
    let (own, _) = built_in();
    let Some(folder) = adapters else {
        return Ok((own.clone(), Vec::new()));
    };
    let (folders, files) = read(folder).map_err(|error| unreadable(folder, &error))?;
    let (vendors, report) = own.with(&folders);
    if report.has_errors() {
        return Err(report);
    }
    Ok((vendors, files))
}

/// Vendors and operations as a configuration sees them.
pub fn catalog(vendors: &Vendors) -> Catalog {
    let vendor = |vendor: &std::sync::Arc<isobar_adapters::Vendor>| Vendor {
        name: vendor.name.clone(),
        fields: vendor
            .fields
            .iter()
            .map(|field| Field {
                name: field.name.clone(),
                secret: field.secret,
                required: field.required,
                doc: field.doc.clone(),
            })
            .collect(),
        operations: vendor
            .operations
            .iter()
            .map(|operation| operation.contract.name.to_owned())
            .collect(),
    };
    let operation = |contract: &isobar_adapters::Contract| Operation {
        name: contract.name.to_owned(),
        front: contract.front.to_owned(),
    };
    Catalog {
        vendors: vendors.iter().map(vendor).collect(),
        operations: CONTRACTS.iter().map(operation).collect(),
    }
}

/// One folder for each vendor, with its YAML files.
fn read(folder: &Path) -> io::Result<(Vec<Files>, Vec<PathBuf>)> {
    let mut folders = Vec::new();
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        let mut sources = Vec::new();
        for entry in fs::read_dir(&path)? {
            let file = entry?.path();
            if file.extension().is_some_and(|ending| ending == "yaml") {
                sources.push(Source {
                    name: file.display().to_string(),
                    text: fs::read_to_string(&file)?,
                });
                files.push(file);
            }
        }
        if !sources.is_empty() {
            sources.sort_by(|a, b| a.name.cmp(&b.name));
            let name = path.file_name().unwrap_or_default();
            folders.push(Files {
                folder: name.to_string_lossy().into_owned(),
                sources,
            });
        }
    }
    folders.sort_by(|a, b| a.folder.cmp(&b.folder));
    files.sort();
    Ok((folders, files))
}

fn unreadable(folder: &Path, error: &io::Error) -> Report {
    let start = Span {
        line: 1,
        column: 1,
        ..Span::default()
    };
    let name = folder.display().to_string();
    let mistake = Diagnostic::error("E0104", start, format!("`{name}` cannot be read: {error}"))
        .help("`adapters` is a folder with one folder for each vendor");
    let source = Source {
        name,
        text: String::new(),
    };
    Report::new(vec![source], vec![mistake])
}
