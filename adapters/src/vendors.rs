//! The list of vendors: the folders below `vendors/`, built in, and those that a user adds.

use std::sync::{Arc, OnceLock};

use include_dir::{Dir, include_dir};
use isobar_config::{Report, Source};

use crate::{
    hook::Hook,
    manifest::{self, Files, Hooks},
    vendor::Vendor,
};

#[cfg(test)]
#[path = "vendors/baidu/tests.rs"]
mod baidu_tests;
#[path = "vendors/google/hooks.rs"]
mod google;
#[path = "vendors/iflytek/hooks.rs"]
mod iflytek;
#[cfg(test)]
#[path = "vendors/iflytek/tests.rs"]
mod iflytek_tests;
#[cfg(test)]
#[path = "vendors/tencent/tests.rs"]
mod tencent_tests;

static FOLDERS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/src/vendors");

/// Hooks, by vendor.
const HOOKS: &Hooks = &[
    (
        "google",
        "words_of_speakers",
        Hook(google::words_of_speakers),
    ),
    ("iflytek", "dictation", Hook(iflytek::dictation)),
];

/// Vendors, compiled.
#[derive(Debug, Clone, Default)]
pub struct Vendors(Vec<Arc<Vendor>>);

impl Vendors {
    /// The vendor of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Vendor>> {
        self.0.iter().find(|vendor| vendor.name == name)
    }

    /// Every vendor, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Vendor>> {
        self.0.iter()
    }

    /// These and the vendors of a user's manifests, which take the place of built-in ones of the same name.
    pub fn with(&self, folders: &[Files]) -> (Self, Report) {
        let (more, report) = manifest::compile(folders, &[]);
        let mut vendors: Vec<Arc<Vendor>> = self
            .0
            .iter()
            .filter(|known| !more.iter().any(|own| own.name == known.name))
            .cloned()
            .collect();
        vendors.extend(more);
        vendors.sort_by(|a, b| a.name.cmp(&b.name));
        (Self(vendors), report)
    }
}

/// The built-in vendors, compiled once, and every mistake in them (none, in a released program).
pub fn built_in() -> &'static (Vendors, Report) {
    static COMPILED: OnceLock<(Vendors, Report)> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let (vendors, report) = manifest::compile(&folders(), HOOKS);
        (Vendors(vendors), report)
    })
}

fn folders() -> Vec<Files> {
    let mut folders: Vec<Files> = FOLDERS
        .dirs()
        .map(|folder| {
            let name = |path: &std::path::Path| path.to_string_lossy().replace('\\', "/");
            let mut sources: Vec<Source> = folder
                .files()
                .filter(|file| {
                    file.path()
                        .extension()
                        .is_some_and(|ending| ending == "yaml")
                })
                .map(|file| Source {
                    name: name(file.path()),
                    text: file.contents_utf8().unwrap_or_default().to_owned(),
                })
                .collect();
            sources.sort_by(|a, b| a.name.cmp(&b.name));
            Files {
                folder: name(folder.path()),
                sources,
            }
        })
        .collect();
    folders.sort_by(|a, b| a.folder.cmp(&b.folder));
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_manifests_have_no_mistake() {
        let (vendors, report) = built_in();
        assert!(report.is_empty(), "{}", report.text(false));
        assert!(vendors.iter().next().is_some());
    }
}
