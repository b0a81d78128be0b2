//! The compositions that a configuration names: read, checked against its accounts and pools, and given their routes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use isobar_compositions::{Known, KnownAccount, KnownPool, Plan, check, is_composition, library};
use isobar_config::{
    Action, Compositions, Config, Diagnostic, Environment, Location, Member, Report, Route, Source,
    Span,
};

use super::vendors::{self, Checked};

/// Adds a configuration's compositions to it. `files` gets every file that was read.
pub(crate) fn add(config: Config, files: &mut Vec<PathBuf>) -> Result<(Checked, Report), Report> {
    let mut sources = Vec::new();
    for named in &config.compositions {
        match named {
            Compositions::Library => sources.extend(shipped()),
            Compositions::Path(path) => {
                let read = read(path).map_err(|error| unreadable(path, &error))?;
                if path.is_dir() {
                    // One more or less of them is a change, too.
                    files.push(path.clone());
                }
                for (file, text) in read {
                    sources.push(Source {
                        name: file.display().to_string(),
                        text,
                    });
                    files.push(file);
                }
            }
        }
    }
    if sources.is_empty() {
        return Ok((config.into(), Report::default()));
    }
    let known = known(&config)?;
    let (plans, report) = check(&sources, &known, &System);
    if report.has_errors() {
        return Err(report);
    }
    Ok((with(config, plans), report))
}

/// Checks a composition file, or a folder that has nothing else, by itself or beside a configuration; `None` when it is no
/// composition.
pub fn alone(
    path: &Path,
    config: Option<&Path>,
) -> Option<Result<(Vec<Arc<Plan>>, Report), Report>> {
    let read = read(path).ok()?;
    if read.is_empty() || !read.iter().all(|(_, text)| is_composition(text)) {
        return None;
    }
    let sources: Vec<Source> = read
        .into_iter()
        .map(|(file, text)| Source {
            name: file.display().to_string(),
            text,
        })
        .collect();
    let known = match config.map(vendors::load) {
        None => Known::default(),
        Some(Err(report)) => return Some(Err(report)),
        Some(Ok(loaded)) => match known(&loaded.checked.config) {
            Ok(mut known) => {
                // Its own route may stand there already.
                known.routes.clear();
                known
            }
            Err(report) => return Some(Err(report)),
        },
    };
    let (plans, report) = check(&sources, &known, &System);
    Some(if report.has_errors() {
        Err(report)
    } else {
        Ok((plans, report))
    })
}

/// The compositions of a file's folder or of a folder, beside those of a configuration, to be tried.
pub fn around(
    folder: &Path,
    config: Option<&Path>,
) -> Result<(Vec<Arc<Plan>>, Option<Config>), Report> {
    let mut sources = Vec::new();
    let found = read(folder).map_err(|error| unreadable(folder, &error))?;
    let mut paths = Vec::new();
    let mut add = |file: PathBuf, text: String, sources: &mut Vec<Source>| {
        let path = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
        if is_composition(&text) && !paths.contains(&path) {
            paths.push(path);
            let name = file.display().to_string();
            sources.push(Source { name, text });
        }
    };
    for (file, text) in found {
        add(file, text, &mut sources);
    }
    let Some(config) = config else {
        let (plans, report) = check(&sources, &Known::default(), &System);
        return if report.has_errors() {
            Err(report)
        } else {
            Ok((plans, None))
        };
    };
    let config = vendors::load(config)?.checked.config;
    for named in &config.compositions {
        match named {
            Compositions::Library => {
                let texts: Vec<String> = sources.iter().map(|source| source.text.clone()).collect();
                sources.extend(
                    shipped()
                        .into_iter()
                        .filter(|own| !texts.contains(&own.text)),
                );
            }
            Compositions::Path(path) => {
                for (file, text) in read(path).map_err(|error| unreadable(path, &error))? {
                    add(file, text, &mut sources);
                }
            }
        }
    }
    let mut known = known(&config)?;
    // Their own routes stand there already.
    known.routes.clear();
    let (plans, report) = check(&sources, &known, &System);
    if report.has_errors() {
        return Err(report);
    }
    Ok((plans, Some(config)))
}

/// The compositions that come with the program.
pub fn shipped() -> Vec<Source> {
    let source = |(name, text): &(&str, &str)| Source {
        name: format!("library/{name}.yaml"),
        text: (*text).to_owned(),
    };
    library().iter().map(source).collect()
}

/// The pool that serves an operation's step, if anybody does.
pub fn pool_of(
    config: &Config,
    work: &isobar_compositions::plan::OperationWork,
) -> Option<isobar_config::Pool> {
    super::composing::chosen(config, work)
}

/// A configuration with compositions, and a route for each that is served.
pub fn with(mut config: Config, plans: Vec<Arc<Plan>>) -> Checked {
    for plan in &plans {
        let Some(expose) = &plan.expose else { continue };
        let mut limits = config.route_limits.clone();
        limits.body.value = plan.limits.body;
        limits.replay.value = plan.limits.body;
        limits.deadline.value = plan.deadline;
        config.routes.push(Route {
            name: format!("composition.{}", plan.name),
            matcher: expose.matcher.clone(),
            action: Action::Compose(plan.name.clone()),
            anonymous: expose.anonymous,
            clients: None,
            scopes: expose.scopes.clone(),
            cors: config.cors.clone(),
            cache: None,
            limits,
            at: Arc::new(Location {
                file: plan.name.as_str().into(),
                line: 1,
                column: 1,
            }),
        });
    }
    Checked {
        config,
        compositions: plans,
    }
}

/// What compositions may name.
pub fn known(config: &Config) -> Result<Known, Report> {
    let vendors = vendors::all(config.adapters.as_deref())?;
    let offers = |account: &isobar_config::Account| -> Vec<String> {
        let vendor = account
            .vendor
            .as_ref()
            .and_then(|at| vendors.get(&at.vendor));
        vendor.map_or_else(Vec::new, |vendor| {
            vendor
                .operations
                .iter()
                .map(|operation| operation.contract.name.to_owned())
                .collect()
        })
    };
    let of_members = |members: &[Member]| {
        let mut operations: Vec<String> = members
            .iter()
            .filter_map(|member| config.accounts.get(member.account.0))
            .flat_map(&offers)
            .collect();
        operations.sort();
        operations.dedup();
        operations
    };
    Ok(Known {
        pools: Some(
            config
                .pools
                .iter()
                .map(|pool| KnownPool {
                    name: pool.name.clone(),
                    operations: of_members(&pool.members),
                })
                .collect(),
        ),
        accounts: Some(
            config
                .accounts
                .iter()
                .map(|account| KnownAccount {
                    name: account.name.clone(),
                    operations: offers(account),
                })
                .collect(),
        ),
        routes: config
            .routes
            .iter()
            .flat_map(|route| {
                let path = &route.matcher.path.text;
                if route.matcher.methods.is_empty() {
                    vec![path.clone()]
                } else {
                    let methods = route.matcher.methods.iter();
                    methods.map(|method| format!("{method} {path}")).collect()
                }
            })
            .collect(),
    })
}

/// A file, or the compositions of a folder; `*.test.yaml` beside them are their tests.
pub fn read(path: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    if !path.is_dir() {
        return Ok(vec![(path.to_owned(), fs::read_to_string(path)?)]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let yaml = file
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml");
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        if !yaml || stem.ends_with(".test") || name.starts_with('.') || !file.is_file() {
            continue;
        }
        let text = fs::read_to_string(&file)?;
        // Beside a configuration there are other files, too; one that is broken is for the checker to say.
        if is_composition(&text) || path.join("isobar.yaml") != file {
            found.push((file, text));
        }
    }
    found.sort();
    Ok(found)
}

fn unreadable(path: &Path, error: &io::Error) -> Report {
    let start = Span {
        line: 1,
        column: 1,
        ..Span::default()
    };
    let name = path.display().to_string();
    let mistake = Diagnostic::error("E0104", start, format!("`{name}` cannot be read: {error}"))
        .help("`compositions` names a composition file, a folder of them, or `library`");
    let source = Source {
        name,
        text: String::new(),
    };
    Report::new(vec![source], vec![mistake])
}

/// The process's variables and files, for credentials of HTTP steps.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Environment for System {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }
}
