//! iFlytek, over its websocket.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::{SinkExt as _, StreamExt as _};
use hmac::{Hmac, Mac as _};
use isobar_sandbox::{
    faults::{Class, Fault, Rule},
    ledger::Entry,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message},
};

use crate::support::{Bench, CLASSES, HOTEL, WEATHER, WEATHER_TEXT, send};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const KEY: &str = "sandbox-iflytek-key";
const SECRET: &str = "sandbox-iflytek-secret";

/// What follows the path of a signed address.
fn signed(bench: &Bench, key: &str, secret: &str, when: SystemTime, path: &str) -> String {
    let host = bench.sandbox.address().to_string();
    let date = httpdate::fmt_http_date(when);
    let text = format!("host: {host}\ndate: {date}\nGET {path} HTTP/1.1");
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let authorization = STANDARD.encode(format!(
        "api_key=\"{key}\", algorithm=\"hmac-sha256\", headers=\"host date request-line\", signature=\"{signature}\""
    ));
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    format!(
        "authorization={}&date={}&host={}",
        encoded(&authorization),
        encoded(&date),
        encoded(&host)
    )
}

fn address(bench: &Bench, query: &str) -> String {
    bench
        .url(&format!("/v2/iat?{query}"))
        .replacen("http", "ws", 1)
}

fn right(bench: &Bench) -> String {
    address(
        bench,
        &signed(bench, KEY, SECRET, SystemTime::now(), "/v2/iat"),
    )
}

async fn open(bench: &Bench) -> Socket {
    connect_async(right(bench)).await.unwrap().0
}

/// Status and message of a handshake that is refused.
async fn refusal(address: &str) -> (u16, String) {
    let Err(Error::Http(response)) = connect_async(address).await else {
        panic!("{address} was accepted");
    };
    let status = response.status().as_u16();
    let body = response.into_body().unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap();
    (status, body["message"].as_str().unwrap().to_owned())
}

fn first(business: &Value, audio: &[u8]) -> Value {
    json!({
        "common": { "app_id": "sandbox1" },
        "business": business,
        "data": {
            "status": 0,
            "format": "audio/L16;rate=16000",
            "encoding": "raw",
            "audio": STANDARD.encode(audio),
        },
    })
}

fn more(status: u32, audio: &[u8]) -> Value {
    let data = json!({
        "status": status,
        "format": "audio/L16;rate=16000",
        "encoding": "raw",
        "audio": STANDARD.encode(audio),
    });
    json!({ "data": data })
}

fn english() -> Value {
    json!({ "language": "en_us", "domain": "iat", "accent": "mandarin" })
}

/// The frames of a whole recording.
fn frames(business: &Value, samples: &[u8]) -> Vec<Value> {
    let mut chunks = samples.chunks(9600);
    let mut frames = vec![first(business, chunks.next().unwrap_or_default())];
    frames.extend(chunks.map(|chunk| more(1, chunk)));
    frames.push(more(2, b""));
    frames
}

/// Sends and reads everything until the end, which must be in good order.
async fn talk(mut socket: Socket, frames: &[Value]) -> Vec<Value> {
    for frame in frames {
        // A conversation that has failed takes no more.
        if socket.send(Message::text(frame.to_string())).await.is_err() {
            break;
        }
    }
    let mut answers = Vec::new();
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => answers.push(serde_json::from_str(&text).unwrap()),
            Message::Close(frame) => {
                assert_eq!(u16::from(frame.unwrap().code), 1000);
                return answers;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The text that the pieces make, with replacement.
fn text(answers: &[Value]) -> String {
    let mut results: Vec<(u64, String)> = Vec::new();
    for answer in answers {
        assert_eq!(answer["code"], 0, "{answer}");
        let result = &answer["data"]["result"];
        let pieces = result["ws"].as_array().unwrap().iter();
        let piece: String = pieces
            .map(|piece| piece["cw"][0]["w"].as_str().unwrap())
            .collect();
        if result["pgs"] == "rpl" {
            let (from, to) = (result["rg"][0].as_u64(), result["rg"][1].as_u64());
            results.retain(|(number, _)| Some(*number) < from || Some(*number) > to);
        }
        results.push((result["sn"].as_u64().unwrap(), piece));
    }
    results.into_iter().map(|(_, piece)| piece).collect()
}

/// What was noted of a conversation; that happens just after its end.
async fn noted(bench: &Bench) -> Entry {
    for _ in 0..200 {
        if let Some(entry) = bench.sandbox.ledger().entries(Some("iflytek")).pop() {
            return entry;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing was noted");
}

#[tokio::test]
async fn a_recording_is_heard_frame_by_frame() {
    let bench = Bench::new("iflytek").await;
    let mut business = english();
    business["vinfo"] = json!(1);
    let answers = talk(open(&bench).await, &frames(&business, &WEATHER[44..])).await;
    assert_eq!(text(&answers), WEATHER_TEXT);
    let shape: Vec<_> = answers
        .iter()
        .map(|answer| {
            let data = &answer["data"];
            (
                data["status"].clone(),
                data["result"]["sn"].clone(),
                data["result"]["ls"].clone(),
            )
        })
        .collect();
    assert_eq!(
        shape,
        [
            (json!(0), json!(1), json!(false)),
            (json!(2), json!(2), json!(true)),
        ]
    );
    let words = &answers[0]["data"]["result"]["ws"];
    assert_eq!(
        words[0],
        json!({ "bg": 18, "cw": [{ "w": "The", "sc": 0 }] })
    );
    assert_eq!(words[1]["cw"][0]["w"], " weather");
    assert!(answers[0]["sid"].as_str().unwrap().starts_with("iat"));
    assert_eq!(answers[0]["message"], "success");
    let entry = noted(&bench).await;
    assert_eq!((entry.status, entry.executed), (Some(101), true));
    assert_eq!(entry.operation.as_deref(), Some("speech.transcribe"));
    assert_eq!(entry.account.as_deref(), Some("iflytek"));
    assert_eq!(entry.facts["seconds"], 4.185);
}

#[tokio::test]
async fn results_replace_one_another_where_asked() {
    let bench = Bench::new("iflytek").await;
    let business = json!({ "language": "zh_cn", "domain": "iat", "dwa": "wpgs" });
    let answers = talk(open(&bench).await, &frames(&business, &HOTEL[44..])).await;
    assert_eq!(answers.len(), 4);
    let second = &answers[1]["data"]["result"];
    assert_eq!(
        (&second["pgs"], &second["rg"]),
        (&json!("rpl"), &json!([1, 1]))
    );
    assert_eq!(
        text(&answers),
        "Thank you for the wonderful service at the hotel in Paris. Maria was very helpful."
    );
}

#[tokio::test]
async fn silence_and_nothing_at_all_are_empty_text() {
    let bench = Bench::new("iflytek").await;
    for samples in [&[0_u8; 9600][..], b""] {
        let answers = talk(open(&bench).await, &frames(&english(), samples)).await;
        assert_eq!(answers.len(), 1);
        assert_eq!(
            (text(&answers).as_str(), &answers[0]["data"]["status"]),
            ("", &json!(2))
        );
    }
    let mut business = english();
    business["ptt"] = json!(0);
    let answers = talk(open(&bench).await, &frames(&business, &WEATHER[44..])).await;
    assert_eq!(text(&answers), WEATHER_TEXT.replace('.', ""));
}

#[tokio::test]
async fn what_is_wrong_with_a_frame_is_said() {
    let bench = Bench::new("iflytek").await;
    let with = |pointer: &str, value: Value| {
        let mut frame = first(&english(), b"");
        *frame.pointer_mut(pointer).unwrap() = value;
        vec![frame]
    };
    let long: Vec<_> = frames(&english(), &vec![1; 61 * 32_000]);
    let mut words = english();
    words["vinfo"] = json!(2);
    for (frames, code) in [
        (with("/common/app_id", json!("")), 10_313),
        (with("/common/app_id", json!("other")), 10_313),
        (with("/business/language", json!("xx_yy")), 10_163),
        (with("/business/domain", json!("")), 10_163),
        (vec![first(&words, b"")], 10_163),
        (with("/data/format", json!("audio/wav")), 10_163),
        (with("/data/encoding", json!("opus")), 10_163),
        (with("/data/status", json!(3)), 10_163),
        (with("/data/audio", json!("a".repeat(13_001))), 10_163),
        (with("/data/audio", json!("???")), 10_161),
        (vec![first(&english(), b""), first(&english(), b"")], 10_163),
        (vec![more(1, b"")], 10_165),
        (vec![more(2, b"")], 10_165),
        (vec![json!("no object")], 10_163),
        (long, 10_114),
    ] {
        let answers = talk(open(&bench).await, &frames).await;
        let last = answers.last().unwrap();
        assert_eq!(last["code"], code, "{last}");
        assert!(last["message"].is_string() && last["sid"].is_string());
        assert!(!noted(&bench).await.executed);
        bench.sandbox.reset();
    }
    let mut lame = first(&english(), b"not MP3");
    lame["data"]["encoding"] = json!("lame");
    let answers = talk(open(&bench).await, &[lame, more(2, b"")]).await;
    assert_eq!(answers[0]["code"], 10_043);
    let mut socket = open(&bench).await;
    socket.send(Message::text("{")).await.unwrap();
    let Message::Text(answer) = socket.next().await.unwrap().unwrap() else {
        panic!("no text");
    };
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["code"], 10_160);
    // As much as a frame may hold.
    let mut frame = first(&english(), b"");
    frame["data"]["audio"] = json!(STANDARD.encode([0; 9750]));
    assert_eq!(frame["data"]["audio"].as_str().unwrap().len(), 13_000);
    let answers = talk(open(&bench).await, &[frame, more(2, b"")]).await;
    assert_eq!(answers[0]["code"], 0);
}

#[tokio::test]
async fn handshakes_are_verified() {
    let bench = Bench::new("iflytek").await;
    let now = SystemTime::now();
    let hour = Duration::from_hours(1);
    let at = |key, secret, when, path| address(&bench, &signed(&bench, key, secret, when, path));
    let verified = "HMAC signature cannot be verified";
    let dated = "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication";
    let differs = "HMAC signature does not match";
    for (address, status, message) in [
        (address(&bench, ""), 401, "Unauthorized"),
        (at("nobody", SECRET, now, "/v2/iat"), 401, verified),
        (at(KEY, "nonsense", now, "/v2/iat"), 401, differs),
        (at(KEY, SECRET, now, "/v2/tts"), 401, differs),
        (at(KEY, SECRET, now - hour, "/v2/iat"), 403, dated),
        (at(KEY, SECRET, now + hour, "/v2/iat"), 403, dated),
    ] {
        assert_eq!(refusal(&address).await, (status, message.to_owned()));
        let entry = bench.last();
        assert_eq!(
            (entry.status, entry.account.as_deref()),
            (Some(status), None)
        );
    }
    // A client may sign the path that it was pointed at.
    connect_async(at(KEY, SECRET, now, "/iflytek/v2/iat"))
        .await
        .unwrap();
    let second = at(
        "sandbox-iflytek-key-2",
        "sandbox-iflytek-secret-2",
        now,
        "/v2/iat",
    );
    bench.sandbox.reset();
    let socket = connect_async(second).await.unwrap().0;
    talk(socket, &frames(&english(), b"")).await;
    assert_eq!(noted(&bench).await.account.as_deref(), Some("iflytek-2"));
    // Signed well, but no websocket or not there.
    let query = signed(&bench, KEY, SECRET, now, "/v2/iat");
    send(bench.get(&format!("/v2/iat?{query}")))
        .await
        .expect(400);
    let query = signed(&bench, KEY, SECRET, now, "/v2/ise");
    let elsewhere = bench
        .url(&format!("/v2/ise?{query}"))
        .replacen("http", "ws", 1);
    assert_eq!(refusal(&elsewhere).await.0, 404);
}

#[tokio::test]
async fn every_class_comes_where_the_vendor_reports_it() {
    let bench = Bench::new("iflytek").await;
    for class in CLASSES {
        bench.sandbox.reset();
        bench.fault(Fault::error(class));
        let code = match class {
            Class::Auth => Err(401),
            Class::NotFound => Err(404),
            Class::Unavailable => Err(503),
            Class::Quota => Ok(11_201),
            Class::Rate => Ok(11_202),
            Class::Invalid | Class::TooLarge | Class::Unsupported => Ok(10_163),
            Class::Internal => Ok(10_019),
        };
        match code {
            Ok(code) => {
                let answers = talk(open(&bench).await, &frames(&english(), &WEATHER[44..])).await;
                assert_eq!(answers.len(), 1);
                assert_eq!(answers[0]["code"], code, "{class:?}");
            }
            Err(status) => assert_eq!(refusal(&right(&bench)).await.0, status, "{class:?}"),
        }
        let entry = noted(&bench).await;
        assert!(
            !entry.executed && entry.fault.as_deref() == Some("error"),
            "{entry:?}"
        );
    }
}

#[tokio::test]
async fn any_code_of_the_vendor_s_can_be_scripted() {
    let bench = Bench::new("iflytek").await;
    for code in [10_005, 10_114, 10_200, 11_200, 11_203] {
        bench.fault(Fault::code(&code.to_string()));
        let answers = talk(open(&bench).await, &frames(&english(), b"")).await;
        assert_eq!(answers[0]["code"], code);
    }
    bench.fault(Fault::code("403"));
    let (status, message) = refusal(&right(&bench)).await;
    assert!(
        status == 403 && message.contains("a valid date"),
        "{message}"
    );
    bench.fault(Fault::status(502));
    assert_eq!(refusal(&right(&bench)).await.0, 502);
    bench.fault(Fault::status(429));
    assert_eq!(refusal(&right(&bench)).await.0, 429);
}

/// Sends a whole recording and reads what comes, whatever it is.
async fn overheard(bench: &Bench) -> (Vec<String>, bool) {
    let mut socket = open(bench).await;
    for frame in frames(&english(), &WEATHER[44..]) {
        socket.send(Message::text(frame.to_string())).await.unwrap();
    }
    let mut texts = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => texts.push(text.to_string()),
            Message::Close(_) => return (texts, true),
            _ => {}
        }
    }
    (texts, false)
}

#[tokio::test]
async fn faults_strike_the_frames_of_a_conversation() {
    let bench = Bench::new("iflytek").await;
    let executed = Fault::Status {
        code: 502,
        executed: true,
    };
    for (fault, texts, closed) in [
        (Fault::Malformed, vec!["<html>{\"not\": json"; 2], true),
        (Fault::WrongShape, vec!["{\"unexpected\":true}"; 2], true),
        (Fault::Huge { bytes: 5 }, vec!["\"xxx\""; 2], true),
        (Fault::Reset, vec![], false),
        (executed, vec![], false),
    ] {
        bench.sandbox.reset();
        bench.fault(fault.clone());
        let (heard, ended) = overheard(&bench).await;
        assert_eq!(
            (heard, ended),
            (texts.into_iter().map(str::to_owned).collect(), closed),
            "{fault:?}"
        );
        assert!(noted(&bench).await.executed, "{fault:?}");
    }
    bench.fault(Fault::Truncated);
    let (heard, ended) = overheard(&bench).await;
    assert_eq!((heard.len(), ended), (1, false));
    assert!(serde_json::from_str::<Value>(&heard[0]).is_err());
    bench.fault(Fault::Refuse);
    assert!(connect_async(right(&bench)).await.is_err());
    assert_eq!(bench.last().status, None);

    let pause = Duration::from_millis(60);
    bench.fault(Fault::Slow { pause });
    let start = std::time::Instant::now();
    let (heard, ended) = overheard(&bench).await;
    assert_eq!((heard.len(), ended), (2, true));
    assert!(start.elapsed() >= pause * 2);
    // The second conversation is spared.
    bench
        .sandbox
        .faults()
        .set([Rule::at("iflytek", Fault::error(Class::Rate))
            .during("iat")
            .nth(1)]);
    for code in [11_202, 0] {
        let answers = talk(open(&bench).await, &frames(&english(), &WEATHER[44..])).await;
        assert_eq!(answers[0]["code"], code);
    }
}

#[tokio::test]
async fn the_printed_account_is_accepted() {
    let bench = Bench::new("iflytek").await;
    let line = format!(
        "  iflytek: {{ vendor: iflytek, base: \"{}\", app_id: sandbox1, api_key: {KEY}, api_secret: {SECRET} }}",
        bench.url("").replacen("http", "ws", 1)
    );
    assert!(bench.sandbox.print_config().contains(&line));
}
