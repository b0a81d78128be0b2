//! Commands that end by themselves.

use std::process::Output;

use tokio::process::Command;

use super::binary::{PATIENCE, PROGRAM};

pub(crate) async fn run(arguments: &[&str]) -> Output {
    let ran = Command::new(PROGRAM)
        .args(arguments)
        .env("NO_COLOR", "1")
        .kill_on_drop(true)
        .output();
    tokio::time::timeout(PATIENCE, ran)
        .await
        .expect("it does not end")
        .unwrap()
}

#[tokio::test]
async fn the_demo_shows_a_failover_and_says_whether_it_worked() {
    let demo = run(&["demo", "--once"]).await;
    let text = String::from_utf8_lossy(&demo.stdout).into_owned();
    assert!(demo.status.success(), "{text}");
    assert!(
        text.contains("isobar-vendor: south") && !text.contains('✗'),
        "{text}"
    );
}

#[tokio::test]
async fn wrong_arguments_and_a_missing_file_are_told_apart() {
    assert_eq!(
        run(&["serve", "--no-such-flag"]).await.status.code(),
        Some(2)
    );
    let missing = run(&["serve", "-c", "/nonexistent/isobar.yaml"]).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(!missing.stderr.is_empty());
    let help = run(&["--help"]).await;
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(
        help.status.success() && text.contains("isobar demo"),
        "{text}"
    );
}
