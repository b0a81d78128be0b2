//! One trial for each snapshot, one for each operation of a vendor against its description, and two that count.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use isobar_adapters::{Vendor, built_in};
use libtest_mimic::Trial;

use crate::{cases, exchange::Stand, official, render};

pub(crate) fn all() -> Vec<Trial> {
    let (vendors, report) = built_in();
    assert!(report.is_empty(), "{}", report.text(false));
    let mut trials = Vec::new();
    let mut expected = BTreeSet::new();
    for vendor in vendors.iter() {
        for operation in &vendor.operations {
            let name = operation.contract.name;
            if operation.in_process() {
                continue;
            }
            for case in cases::golden(vendor, name) {
                let snapshot = format!(
                    "{}_{}.{}",
                    operation.contract.verb(),
                    case.name,
                    vendor.name
                );
                let folder = folder(operation.contract.capability());
                expected.insert(folder.join(format!("{snapshot}.snap")));
                let title = format!("golden::{}::{snapshot}", operation.contract.capability());
                let vendor = Arc::clone(vendor);
                trials.push(Trial::test(title, move || {
                    run(golden(&vendor, name, &case, &folder, &snapshot))
                }));
            }
            let (title, vendor) = (
                format!("official::{name}::{}", vendor.name),
                Arc::clone(vendor),
            );
            trials.push(Trial::test(title, move || run(described(&vendor, name))));
        }
    }
    trials.push(Trial::test("golden::no_snapshot_is_left_over", move || {
        let left: Vec<_> = kept()
            .into_iter()
            .filter(|file| !expected.contains(file))
            .collect();
        assert!(left.is_empty(), "nothing is checked against {left:#?}");
        Ok(())
    }));
    trials.push(Trial::test(
        "official::every_vendor_is_checked_or_excused",
        || {
            official::covers_every_vendor();
            Ok(())
        },
    ));
    trials.push(Trial::test("official::paths_are_told_apart", || {
        official::tells_paths_apart();
        Ok(())
    }));
    trials
}

async fn golden(
    vendor: &Arc<Vendor>,
    operation: &str,
    case: &cases::Case,
    folder: &Path,
    snapshot: &str,
) {
    let stand = Stand::start(vendor, case.without).await;
    let exchange = stand.exchange(operation, &case.jobs).await;
    let text = render::exchange(&stand, case, &exchange);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(snapshot, text));
}

async fn described(vendor: &Arc<Vendor>, operation: &str) {
    let Some(contracts) = official::contracts() else {
        return;
    };
    let mut mistakes = BTreeSet::new();
    let mut requests = 0;
    for case in cases::golden(vendor, operation) {
        let stand = Stand::start(vendor, case.without).await;
        let exchange = stand.exchange(operation, &case.jobs).await;
        for sent in &exchange.sent {
            requests += 1;
            mistakes.extend(contracts.mistakes(&vendor.name, sent));
        }
        if case.name != cases::USUAL {
            continue;
        }
        // The same with one thing changed, over the same answers: what counts is what is sent.
        for input in cases::varied(vendor, operation) {
            for sent in stand.again(operation, &[input], &exchange).await {
                requests += 1;
                mistakes.extend(contracts.mistakes(&vendor.name, &sent));
            }
        }
    }
    assert!(requests > 0);
    assert!(
        mistakes.is_empty(),
        "{requests} requests; the vendor's description says otherwise:\n{}",
        mistakes.into_iter().collect::<Vec<_>>().join("\n")
    );
}

fn run(test: impl Future<Output = ()>) -> Result<(), libtest_mimic::Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(test);
    Ok(())
}

fn folder(capability: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(capability)
}

/// Every snapshot that is kept.
fn kept() -> Vec<PathBuf> {
    let capabilities: BTreeSet<_> = isobar_adapters::CONTRACTS
        .iter()
        .map(|contract| folder(contract.capability()))
        .collect();
    let files = |folder: PathBuf| {
        fs::read_dir(folder)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "snap"))
    };
    capabilities.into_iter().flat_map(files).collect()
}
