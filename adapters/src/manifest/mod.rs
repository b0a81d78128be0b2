//! Manifests: YAML in, compiled vendors out, or every mistake with its place. As strict with our own as with a user's.

mod mapping;
mod operation;
mod reading;
mod vendor;

use std::{collections::BTreeMap, sync::Arc};

use isobar_config::{Diagnostic, Node, Report, Source, parse};

use self::reading::Reading;
use crate::{hook::Hook, vendor::Vendor};

/// The files of one vendor: `vendor.yaml` and one for each capability.
#[derive(Debug, Clone)]
pub struct Files {
    /// Name of the folder, which is the vendor's.
    pub folder: String,
    /// The files, each named `FOLDER/FILE.yaml`.
    pub sources: Vec<Source>,
}

/// Hooks that manifests may name, by vendor and name.
pub(crate) type Hooks = [(&'static str, &'static str, Hook)];

/// Compiles every vendor. What cannot be used is left out and reported.
pub(crate) fn compile(folders: &[Files], hooks: &Hooks) -> (Vec<Arc<Vendor>>, Report) {
    let mut sources = Vec::new();
    let mut found = Vec::new();
    let mut vendors: BTreeMap<String, Arc<Vendor>> = BTreeMap::new();
    for files in folders {
        let before = found.len();
        let mut documents = Vec::new();
        let mut nameless = false;
        for source in &files.sources {
            match parse(&source.text, sources.len()) {
                Ok(node) => documents.push((stem(&source.name).to_owned(), node)),
                Err(mistake) => {
                    found.push(mistake);
                    nameless |= stem(&source.name) == "vendor";
                }
            }
            sources.push(source.clone());
        }
        // Without the vendor's own file nothing can be said of the others.
        if nameless {
            continue;
        }
        let mut reading = Reading::new(&mut found, files.folder.clone(), hooks);
        let vendor = reading.vendor(&documents);
        if let Some(vendor) = vendor
            && found.len() == before
        {
            vendors.insert(vendor.name.clone(), Arc::new(vendor));
        }
    }
    (vendors.into_values().collect(), Report::new(sources, found))
}

/// `speech` of `deepgram/speech.yaml`.
fn stem(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.strip_suffix(".yaml")
        .or_else(|| file.strip_suffix(".yml"))
        .unwrap_or(file)
}

/// The document of this name.
fn document<'d>(documents: &'d [(String, Node)], name: &str) -> Option<&'d Node> {
    documents
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, node)| node)
}

/// An error at a node.
fn mistake(
    code: &'static str,
    node: &Node,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Diagnostic {
    Diagnostic::error(code, node.at, message).help(help)
}
