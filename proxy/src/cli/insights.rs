//! The second half of the demo: a recording goes through a composition, and the speech vendor fails.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use isobar_sandbox::{
    Sandbox, WEATHER,
    faults::{Class, Fault, Rule},
};
use serde_json::Value;

use super::{
    demo::{Stage, say},
    engines,
};

/// Vendors of the show, in the order that they are asked.
const VENDORS: [&str; 5] = ["deepgram", "openai", "azure", "google", "deepl"];

/// The `accounts:` of the show: the sandbox's, and the local engines first where they run.
pub(super) async fn accounts(sandbox: &Sandbox) -> String {
    let printed = sandbox.print_config();
    let mut text = "accounts:\n".to_owned();
    if engine_runs().await {
        text.push_str("  local: { vendor: local }\n");
    }
    for vendor in VENDORS {
        let start = format!("  {vendor}:");
        for line in printed.lines().filter(|line| line.starts_with(&start)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

async fn engine_runs() -> bool {
    let connecting = tokio::net::TcpStream::connect(engines::LISTEN);
    matches!(
        tokio::time::timeout(Duration::from_millis(300), connecting).await,
        Ok(Ok(_))
    )
}

/// The recording as a file, for whoever wants to send it again.
pub(super) fn recording(folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join("weather.wav");
    std::fs::write(&path, WEATHER)?;
    Ok(path)
}

/// What a run came to.
struct Seen {
    status: u16,
    vendors: String,
    degraded: String,
    timing: String,
    answer: Value,
}

/// Sends a recording through a composition, twice.
pub(super) async fn show(
    stage: &mut Stage,
    address: SocketAddr,
    sandbox: &Sandbox,
) -> io::Result<()> {
    stage.act(
        6,
        "A recording goes through a composition: speech, then mood, names, topics and translation at once",
    );
    say(&format!(
        "     $ curl -F audio=@weather.wav http://{address}/v1/voice/insights"
    ));
    let seen = insights(address).await?;
    tell(stage, &seen);
    let text = seen
        .answer
        .get("text")
        .and_then(Value::as_str)
        .unwrap_or_default();
    stage.expect(
        "the transcript, its mood and its topics came in one answer",
        seen.status == 200
            && text.to_lowercase().contains("weather")
            && seen
                .answer
                .pointer("/mood/label")
                .is_some_and(Value::is_string)
            && seen.answer.get("topics").is_some_and(Value::is_array),
    );
    let first = seen
        .vendors
        .split(", ")
        .next()
        .unwrap_or_default()
        .to_owned();
    stage.act(
        7,
        &format!("{first} fails: it is overloaded, and the next speech vendor takes over"),
    );
    if first == "local" {
        say(
            "     (the local engine is real and cannot be told to fail: the vendors after it are left as they are)",
        );
    } else {
        let rule = Rule::at(&first, Fault::error(Class::Unavailable));
        sandbox.faults().set([rule]);
        let seen = insights(address).await?;
        sandbox.faults().clear();
        tell(stage, &seen);
        stage.expect(
            "the answer is whole, and another vendor heard the recording",
            seen.status == 200
                && !seen.vendors.starts_with(&first)
                && seen.answer.get("text").is_some(),
        );
    }
    Ok(())
}

async fn insights(address: SocketAddr) -> io::Result<Seen> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(io::Error::other)?;
    let boundary = "isobar-demo-part";
    let mut body = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"audio\"; filename=\"weather.wav\"\r\n\
         content-type: audio/wav\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(WEATHER);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let request = client
        .post(format!("http://{address}/v1/voice/insights"))
        .bearer_auth("any")
        .header(
            "content-type",
            format!("multipart/form-data; boundary={boundary}"),
        )
        .body(body);
    let answer = request.send().await.map_err(io::Error::other)?;
    let text = |name: &str| {
        let value = answer.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    Ok(Seen {
        status: answer.status().as_u16(),
        vendors: text("isobar-vendor"),
        degraded: text("isobar-degraded"),
        timing: text("server-timing"),
        answer: serde_json::from_slice(&answer.bytes().await.map_err(io::Error::other)?)
            .unwrap_or_default(),
    })
}

fn tell(stage: &Stage, seen: &Seen) {
    let style = stage.style;
    say(&format!(
        "     {} {}   isobar-vendor: {}",
        style.dim("<"),
        seen.status,
        style.bold(&seen.vendors)
    ));
    if !seen.degraded.is_empty() {
        say(&format!("       isobar-degraded: {}", seen.degraded));
    }
    for (name, value) in seen.answer.as_object().into_iter().flatten() {
        let shown: String = value.to_string().chars().take(96).collect();
        say(&format!(
            "       {}  {shown}",
            style.dim(&format!("{name:<9}"))
        ));
    }
    for step in seen.timing.split(", ") {
        let mut parts = step.split(';');
        let name = parts.next().unwrap_or_default();
        let (mut told, mut took) = (String::new(), 0.0_f64);
        for part in parts {
            if let Some(text) = part.strip_prefix("desc=") {
                text.trim_matches('"').clone_into(&mut told);
            } else if let Some(text) = part.strip_prefix("dur=") {
                took = text.parse().unwrap_or_default();
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a bar of at most forty blocks"
        )]
        let bar = "▇".repeat((took / 4.0).ceil().clamp(0.0, 40.0) as usize);
        say(&format!(
            "       {name:<9} {took:>7.1} ms  {}  {}",
            style.dim(&bar),
            style.dim(&told)
        ));
    }
}
