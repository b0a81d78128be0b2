//! Tries cases of compositions: over answers that stand in them, or with real adapters in front of simulated vendors.
//! Opens no socket but those to the simulators, on this machine.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};

use isobar_adapters::{Blob, built_in};
use isobar_compositions::{
    Plan,
    cases::{Case, Outside, Seen, tried},
};
use isobar_config::{Config, Report, Source, check_with};
use isobar_sandbox::{
    Sandbox,
    faults::{Rule, read},
};
use parking_lot::Mutex;
use serde_json::Value;

use super::{
    composing::Composer,
    compositions::System,
    trust::Trust,
    vendors::{Checked, catalog},
};
use crate::{
    admin::metrics::Metrics,
    route::{compile, registry::Registry},
};

/// Simulated vendors, and a configuration whose accounts are at them.
pub struct Bench {
    sandbox: Sandbox,
    config: Config,
    trust: Trust,
}

impl Bench {
    /// Starts the simulators. The accounts of a configuration go to them instead of to their vendors; without one there is
    /// an account at each vendor, named like it.
    pub async fn start(config: Option<Config>) -> Result<Self, String> {
        let sandbox = Sandbox::start((Ipv4Addr::LOCALHOST, 0).into()).await;
        let sandbox = sandbox.map_err(|error| format!("the simulators do not start: {error}"))?;
        let simulated = simulated(&sandbox.url()).map_err(|report| report.text(false))?;
        let config = match config {
            None => simulated,
            Some(config) => moved(config, &simulated),
        };
        let trust = Trust::load().map_err(|error| error.to_string())?;
        Ok(Self {
            sandbox,
            config,
            trust,
        })
    }

    /// Runs one case; `plans` are all compositions.
    pub async fn run(&self, plans: &[Arc<Plan>], plan: &Plan, case: &Case) -> Result<Seen, String> {
        let Some(accounts) = &case.sandbox else {
            return Ok(tried(plan, case, None).await);
        };
        self.sandbox.reset();
        let rules: Result<Vec<Rule>, String> = case.faults.iter().map(rule).collect();
        self.sandbox.faults().set(rules?);
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut config = self.config.clone();
        config.state = folder.path().to_owned();
        if !accounts.is_empty() {
            narrow(&mut config, accounts);
        }
        let metrics = Metrics::new().map_err(|error| error.to_string())?;
        let registry = Arc::new(Registry::new(
            metrics,
            &config.state,
            Arc::clone(&self.trust.client),
        ));
        let checked = Checked {
            config,
            compositions: plans.to_vec(),
        };
        let snapshot =
            compile::compile(checked, &registry, 1).map_err(|error| error.to_string())?;
        let composer = Composer {
            plan: Arc::new(snapshot),
            registry,
            client: String::new(),
            trace: None,
            tried: Mutex::default(),
        };
        Ok(tried(plan, case, Some(&composer)).await)
    }
}

/// Names of the accounts that simulated vendors have.
pub fn accounts(config: Option<&Config>) -> Result<Vec<String>, Report> {
    let own;
    let config = match config {
        Some(config) => config,
        None => {
            own = simulated("http://127.0.0.1:1")?;
            &own
        }
    };
    let accounts = config
        .accounts
        .iter()
        .filter(|account| account.vendor.is_some());
    Ok(accounts.map(|account| account.name.clone()).collect())
}

/// Reads the cases of a file, with the files that they name.
pub fn cases(
    file: &Path,
    text: String,
    plans: &[Arc<Plan>],
    accounts: &[String],
) -> (Option<isobar_compositions::cases::Cases>, Report) {
    let folder = file.parent().map(Path::to_owned).unwrap_or_default();
    let source = Source {
        name: file.display().to_string(),
        text,
    };
    let outside = Outside {
        file: &|path| {
            let path: PathBuf = folder.join(path);
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            Ok(Blob::of_bytes(std::fs::read(&path)?.into(), &name))
        },
        fault: &|value| rule(value).map(|_| ()),
        accounts,
    };
    isobar_compositions::cases::read(&source, plans, &outside)
}

/// One rule of a script of faults.
fn rule(value: &Value) -> Result<Rule, String> {
    let mut rules = read(&Value::Array(vec![value.clone()]).to_string())?;
    rules.pop().ok_or_else(|| "it is empty".to_owned())
}

/// An account at each simulated vendor.
fn simulated(url: &str) -> Result<Config, Report> {
    let source = Source {
        name: "sandbox".to_owned(),
        text: format!(
            "isobar: 1\nlisten: [ {{ http: \"127.0.0.1:0\" }} ]\n{}",
            isobar_sandbox::print_config(url)
        ),
    };
    let (vendors, _) = built_in();
    let (config, report) = check_with(&[source], &System, &catalog(vendors));
    config.ok_or(report)
}

/// The configuration with its accounts at the simulators: names, pools and limits stay, credentials and addresses do not.
fn moved(mut config: Config, simulated: &Config) -> Config {
    for account in &mut config.accounts {
        let Some(own) = &mut account.vendor else {
            continue;
        };
        let mut others = simulated.accounts.iter();
        let twin = others.find(|other| {
            other
                .vendor
                .as_ref()
                .is_some_and(|at| at.vendor == own.vendor)
        });
        if let Some(twin) = twin
            && let Some(at) = &twin.vendor
        {
            own.base.clone_from(&at.base);
            own.fields.clone_from(&at.fields);
            account.url = twin.url.clone();
            account.probe = None;
        }
    }
    config
}

/// Leaves these accounts in the pools, in this order.
fn narrow(config: &mut Config, names: &[String]) {
    let accounts = &config.accounts;
    for pool in &mut config.pools {
        let members = names.iter().filter_map(|name| {
            let of = |member: &&isobar_config::Member| {
                accounts
                    .get(member.account.0)
                    .is_some_and(|account| account.name == *name)
            };
            pool.members.iter().find(of).cloned()
        });
        pool.members = members.collect();
    }
}
