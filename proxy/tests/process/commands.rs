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

/// With another allocator everything works, and costs an eighth more.
#[tokio::test]
async fn memory_comes_from_mimalloc() {
    let asked = Command::new(PROGRAM)
        .arg("--version")
        .env("MIMALLOC_VERBOSE", "1")
        .output();
    let told = asked.await.unwrap().stderr;
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("mimalloc: process init"), "{told}");
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

/// Every command and command of a command, with its way there: `engines install`.
async fn all_commands() -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut open = vec![Vec::new()];
    while let Some(way) = open.pop() {
        let mut arguments: Vec<&str> = way.iter().map(String::as_str).collect();
        arguments.push("--help");
        let text = String::from_utf8(run(&arguments).await.stdout).unwrap();
        let Some((_, list)) = text.split_once("Commands:\n") else {
            continue;
        };
        let (list, _) = list.split_once("\n\n").unwrap();
        for line in list.lines() {
            let name = line
                .strip_prefix("  ")
                .and_then(|line| line.split(' ').next());
            if let Some(name) = name.filter(|name| !name.is_empty() && *name != "help") {
                let next = [way.as_slice(), &[name.to_owned()]].concat();
                found.push(next.clone());
                open.push(next);
            }
        }
    }
    found
}

#[tokio::test]
async fn completions_of_every_shell_know_every_command() {
    let commands = all_commands().await;
    let install = ["engines".to_owned(), "install".to_owned()];
    assert!(
        commands.len() > 15 && commands.contains(&install.to_vec()),
        "{commands:?}"
    );
    for shell in ["bash", "zsh", "fish"] {
        let made = run(&["completions", shell]).await;
        let script = String::from_utf8(made.stdout).unwrap();
        assert!(made.status.success(), "{shell}");
        let words: std::collections::BTreeSet<&str> = script
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .collect();
        for command in &commands {
            let name = command.last().unwrap().as_str();
            assert!(words.contains(name), "{shell} does not know {command:?}");
        }
        assert!(script.contains("threads"), "{shell} does not know options");
    }
    assert_eq!(run(&["completions", "cmd"]).await.status.code(), Some(2));
}

#[tokio::test]
async fn completions_for_bash_complete() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("isobar");
    std::fs::write(&script, run(&["completions", "bash"]).await.stdout).unwrap();
    let complete = format!(
        "source {}; COMP_WORDS=(isobar s); COMP_CWORD=1; _isobar isobar s isobar; echo \"${{COMPREPLY[*]}}\"",
        script.display()
    );
    let ran = Command::new("bash").arg("-c").arg(complete).output();
    let Ok(ran) = ran.await else {
        eprintln!("skipped: there is no bash here");
        return;
    };
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(told.trim(), "serve schema sandbox", "{ran:?}");
}

#[tokio::test]
async fn there_is_a_manual_page_for_every_command() {
    let commands = all_commands().await;
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("man1");
    let made = run(&["man", "--into", into.to_str().unwrap()]).await;
    assert!(made.status.success(), "{made:?}");
    let whole = std::fs::read_to_string(into.join("isobar.1")).unwrap();
    // A hyphen that is meant is written `\-`.
    let plain = |page: &str| page.replace("\\-", "-");
    for command in &commands {
        let name = format!("isobar-{}", command.join("-"));
        let page = std::fs::read_to_string(into.join(format!("{name}.1")));
        let page = plain(&page.unwrap_or_else(|error| panic!("{name}: {error}")));
        assert!(page.contains(&format!(".SH NAME\n{name} - ")), "{page}");
        if command.len() == 1 {
            assert!(
                plain(&whole).contains(&format!("{name}(1)")),
                "{name} is not in isobar.1"
            );
        }
        let arguments: Vec<&str> = std::iter::once("man")
            .chain(command.iter().map(String::as_str))
            .collect();
        let printed = plain(&String::from_utf8(run(&arguments).await.stdout).unwrap());
        assert_eq!(printed, page, "{name}");
    }
    assert!(plain(&whole).contains("Exit codes: 0 it worked"), "{whole}");
    let unknown = run(&["man", "engines", "instal"]).await;
    let told = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(
        unknown.status.code() == Some(1) && told.contains("there are: install, status"),
        "{told}"
    );
}
