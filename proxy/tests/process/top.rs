//! `isobar top`, printed once and in a terminal.

use std::{process::Stdio, time::Duration};

use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{eventually, see};
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{
    binary::{PATIENCE, PROGRAM, Place, client},
    commands::run,
};

const SECRET: &str = "no-one-may-see-this-0123456789";

async fn troubled() -> (Upstream, Upstream, Place) {
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    let place = Place::new(&format!(
        "upstreams:\n  north: {{ url: \"{}\", breaker: {{ failures: 1, open_for: 1h }} }}\n  south: \"{}\"\n\
         routes: [ {{ match: \"/*\", name: everything, forward: [north, south], anonymous: true }} ]\n",
        a.url(),
        b.url()
    ));
    a.always(Fault::status(500));
    (a, b, place)
}

#[tokio::test]
async fn printed_once_it_tells_routes_accounts_breakers_and_failures_and_no_secret() {
    let (_a, _b, mut place) = troubled().await;
    let running = place.start().await;
    let request = client()
        .get(running.url(&format!("/path-{SECRET}?key={SECRET}")))
        .header("authorization", format!("Bearer {SECRET}"));
    assert_eq!(see(request).await.status, 200);
    let failures = async || running.admin("GET", "/status").await.json()["failures"].clone();
    let noted = eventually(PATIENCE, async || {
        failures()
            .await
            .as_array()
            .is_some_and(|all| !all.is_empty())
    })
    .await;
    assert!(noted, "{}", failures().await);
    let noted = failures().await;
    assert_eq!(noted[0]["route"], "everything", "{noted}");
    assert_eq!(noted[0]["attempts"][0]["reason"], "status_500", "{noted}");

    let address = running.admin.to_string();
    let ran = run(&["top", &address, "--once"]).await;
    let text = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{text}");
    for words in [
        "serving",
        "plan 1",
        "everything",
        "open: everything",
        "south",
        "last failures",
        "200",
        "north failed (status_500)",
    ] {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
    for seen in [&text, &running.admin("GET", "/status").await.text()] {
        assert!(!seen.contains(SECRET), "{seen}");
    }
    assert!(!text.contains('\u{1b}'), "a printed page has no colours");

    // The same from the configuration, whose port is the system's choice here and so of no use.
    let config = place.config();
    let ran = run(&["top", "-c", config.to_str().unwrap(), "--once"]).await;
    let told = String::from_utf8(ran.stderr).unwrap();
    assert!(
        told.contains("cannot reach the admin port at http://127.0.0.1:0"),
        "{told}"
    );
}

#[tokio::test]
async fn who_is_not_there_is_told_in_one_line() {
    let (a, _b, _) = troubled().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap().to_string();
    drop(free);
    let other = a.address().to_string();
    for (address, words) in [
        (nobody.as_str(), "is the gateway running"),
        (other.as_str(), "is no admin port of Isobar"),
    ] {
        let ran = run(&["top", address]).await;
        let told = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{told}");
        assert!(told.contains(words) && told.lines().count() == 1, "{told}");
    }
}

#[tokio::test]
async fn in_a_terminal_it_leaves_at_q_and_gives_the_terminal_back() {
    let (_a, _b, mut place) = troubled().await;
    let running = place.start().await;
    for key in ["q", "\u{1b}", "\u{3}"] {
        let inside = format!(
            "stty rows 24 cols 100; {PROGRAM} top {}; echo left with $?; stty -a",
            running.admin
        );
        let started = Command::new("script")
            .args(["-qec", &inside, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut script) = started else {
            eprintln!("skipped: there is no `script` here to make a terminal with");
            return;
        };
        let mut keys = script.stdin.take().unwrap();
        // A key that comes before the program listens is read by the terminal's line editor, or lost: it is pressed again.
        let press = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                if keys.write_all(key.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let ended = tokio::time::timeout(PATIENCE, script.wait_with_output()).await;
        press.abort();
        let text = String::from_utf8_lossy(&ended.expect("it does not leave").unwrap().stdout)
            .into_owned();
        let at = |words: &str| {
            text.find(words)
                .unwrap_or_else(|| panic!("{key:?}: no {words:?}: {text}"))
        };
        assert!(at("\u{1b}[?1049h") < at("accounts"), "{text}");
        assert!(at("accounts") < at("\u{1b}[?1049l"), "{text}");
        assert!(at("\u{1b}[?1049l") < at("left with 0"), "{text}");
        assert!(text.contains(" icanon"), "{text}");
    }
}
