//! Baidu AI.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use encoding_rs::GBK;
use isobar_sandbox::faults::{Class, Fault};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Bench, HOTEL, WEATHER, WEATHER_TEXT, every_class_in_200, send, silence};

const KEY: &str = "sandbox-baidu-key";
const SECRET: &str = "sandbox-baidu-secret";

fn ask(bench: &Bench, key: &str, secret: &str) -> RequestBuilder {
    bench.post(&format!(
        "/oauth/2.0/token?grant_type=client_credentials&client_id={key}&client_secret={secret}"
    ))
}

async fn token(bench: &Bench) -> String {
    let got = send(ask(bench, KEY, SECRET)).await.expect(200);
    got.json()["access_token"].as_str().unwrap().to_owned()
}

fn recording(token: &str, audio: &[u8]) -> Value {
    json!({
        "format": "wav",
        "rate": 16_000,
        "channel": 1,
        "cuid": "isobar",
        "token": token,
        "dev_pid": 1737,
        "speech": STANDARD.encode(audio),
        "len": audio.len(),
    })
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body.as_object_mut().unwrap().insert(name.to_owned(), value);
    body
}

fn without(mut body: Value, name: &str) -> Value {
    body.as_object_mut().unwrap().remove(name);
    body
}

fn nlp(bench: &Bench, name: &str, token: &str, body: &Value) -> RequestBuilder {
    let path = format!("/rpc/2.0/nlp/v1/{name}?charset=UTF-8&access_token={token}");
    bench.post(&path).json(body)
}

fn mt(bench: &Bench, token: &str, body: &Value) -> RequestBuilder {
    let path = format!("/rpc/2.0/mt/texttrans/v1?access_token={token}");
    bench.post(&path).json(body)
}

/// A form whose `tex` is encoded once here and once more by the form.
fn spoken(bench: &Bench, token: &str, text: &str, more: &[(&str, &str)]) -> RequestBuilder {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut form = format!(
        "tex={}&tok={token}&cuid=isobar&ctp=1&lan=zh",
        encoded(&encoded(text))
    );
    for (name, value) in more {
        form = format!("{form}&{name}={value}");
    }
    bench
        .post("/text2audio")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
}

#[tokio::test]
async fn a_recording_is_heard_in_both_forms_of_the_call() {
    let bench = Bench::new("baidu").await;
    let token = token(&bench).await;
    let request = bench.post("/server_api").json(&recording(&token, WEATHER));
    let body = send(request).await.expect(200).json();
    // The English model has no punctuation.
    assert_eq!(
        body["result"],
        json!(["the weather in london is sunny today please call me back at three o'clock"])
    );
    assert_eq!(
        (&body["err_no"], &body["err_msg"]),
        (&json!(0), &json!("success."))
    );
    assert!(body["corpus_no"].is_string() && body["sn"].is_string());
    let entry = bench.last();
    assert_eq!(entry.operation.as_deref(), Some("speech.transcribe"));
    assert_eq!(entry.account.as_deref(), Some("baidu"));

    let path = format!("/server_api?cuid=isobar&dev_pid=1537&token={token}");
    for (kind, audio) in [
        ("audio/pcm;rate=16000", &WEATHER[44..]),
        ("audio/wav; rate=16000", WEATHER),
    ] {
        let request = bench.post(&path).header("content-type", kind).body(audio);
        let body = send(request).await.expect(200).json();
        assert_eq!(body["result"], json!([WEATHER_TEXT]), "{kind}");
    }
    // The vendor's own client sends JSON without saying so.
    let untyped = bench
        .post("/server_api")
        .body(recording(&token, WEATHER).to_string());
    assert_eq!(send(untyped).await.expect(200).json()["err_no"], 0);
    let pcm = with(recording(&token, &HOTEL[44..]), "format", json!("pcm"));
    let body = send(bench.post("/server_api").json(&without(pcm, "dev_pid")))
        .await
        .json();
    assert!(
        body["result"][0]
            .as_str()
            .unwrap()
            .starts_with("Thank you for the")
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_recording_is_said() {
    let bench = Bench::new("baidu").await;
    let token = token(&bench).await;
    let right = recording(&token, WEATHER);
    let mut stereo = WEATHER.to_vec();
    stereo[22] = 2;
    let set = |name: &str, value: Value| with(right.clone(), name, value);
    for (body, code) in [
        (set("channel", json!(2)), 3300),
        (set("len", json!(7)), 3300),
        (set("len", json!("133964")), 3300),
        (set("speech", json!("???")), 3300),
        (set("dev_pid", json!(1)), 3300),
        (set("cuid", json!("")), 3300),
        (recording(&token, b""), 3300),
        (set("format", json!("mp3")), 3312),
        (set("rate", json!(44_100)), 3311),
        (set("rate", json!(8000)), 3309),
        (set("format", json!("amr")), 3309),
        (recording(&token, &stereo), 3309),
        (recording(&token, b"no recording"), 3309),
        (recording(&token, &silence(61)), 3308),
        (recording(&token, &silence(1)), 3301),
        (set("token", json!("nonsense")), 3302),
        (without(right.clone(), "token"), 3302),
    ] {
        let got = send(bench.post("/server_api").json(&body))
            .await
            .expect(200);
        assert_eq!(got.json()["err_no"], code, "{}", got.text());
        assert!(got.json()["err_msg"].is_string() && !bench.last().executed);
    }
    let raw = |kind: &str| {
        let path = format!("/server_api?cuid=isobar&token={token}");
        bench.post(&path).header("content-type", kind).body(WEATHER)
    };
    for (kind, code) in [
        ("text/plain", 3302),
        ("audio/wav", 3311),
        ("audio/ogg;rate=16000", 3312),
    ] {
        assert_eq!(
            send(raw(kind)).await.expect(200).json()["err_no"],
            code,
            "{kind}"
        );
    }
    let large = bench
        .post("/server_api")
        .body(vec![0; 10 * 1024 * 1024 + 1]);
    assert_eq!(send(large).await.expect(200).json()["err_no"], 3310);
}

#[tokio::test]
async fn tokens_are_given_for_keys_and_checked() {
    let bench = Bench::new("baidu").await;
    let got = send(ask(&bench, KEY, SECRET)).await.expect(200).json();
    assert_eq!(got["expires_in"], 2_592_000);
    assert!(got["refresh_token"].is_string() && got["scope"].is_string());
    assert_eq!(bench.last().call, "token");
    for (key, secret, description) in [
        ("nobody", SECRET, "unknown client id"),
        (KEY, "nonsense", "Client authentication failed"),
        (
            KEY,
            "sandbox-baidu-secret-2",
            "Client authentication failed",
        ),
    ] {
        let body = send(ask(&bench, key, secret)).await.expect(401).json();
        assert_eq!(
            body,
            json!({ "error": "invalid_client", "error_description": description })
        );
    }
    let other = bench.post("/oauth/2.0/token?grant_type=password");
    let body = send(other).await.expect(400).json();
    assert_eq!(body["error"], "unsupported_grant_type");
    // The second account, its parameters in a form.
    let form = bench
        .post("/oauth/2.0/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials&client_id=sandbox-baidu-key-2&client_secret=sandbox-baidu-secret-2");
    let second = send(form).await.expect(200).json();
    let second = second["access_token"].as_str().unwrap();
    let text = json!({ "text": "good" });
    send(nlp(&bench, "sentiment_classify", second, &text))
        .await
        .expect(200);
    assert_eq!(bench.last().account.as_deref(), Some("baidu-2"));

    let refused = |code: u32, got: &Value| {
        assert_eq!(got["error_code"], code, "{got}");
        assert!(got["error_msg"].is_string());
    };
    let got = send(nlp(&bench, "lexer", "nonsense", &text))
        .await
        .expect(200);
    refused(110, &got.json());
    let got = send(mt(&bench, "nonsense", &text)).await.expect(200);
    refused(110, &got.json());
    let got = send(bench.post("/rpc/2.0/nlp/v1/lexer").json(&text))
        .await
        .expect(200);
    refused(100, &got.json());
    let body = send(spoken(&bench, "nonsense", "hi", &[]))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&body["err_no"], &body["err_subcode"]),
        (&json!(502), &json!(110))
    );
    // Forgotten tokens are good no more.
    bench.sandbox.reset();
    let got = send(nlp(&bench, "lexer", second, &text)).await.expect(200);
    refused(110, &got.json());
}

#[tokio::test]
async fn moods_names_and_topics() {
    let bench = Bench::new("baidu").await;
    let token = token(&bench).await;
    for (text, sentiment) in [
        ("这家酒店很好", 2),
        ("A terrible, dirty room.", 0),
        ("The train leaves at nine.", 1),
    ] {
        let body = json!({ "text": text });
        let body = send(nlp(&bench, "sentiment_classify", &token, &body))
            .await
            .expect(200)
            .json();
        let item = &body["items"][0];
        assert_eq!(item["sentiment"], sentiment, "{body}");
        let part = |name: &str| item[name].as_f64().unwrap();
        assert!((part("positive_prob") + part("negative_prob") - 1.0).abs() < 1e-6);
        assert!((0.0..=1.0).contains(&part("confidence")) && body["log_id"].is_u64());
    }
    let text = "今天玛丽亚 met Barack Obama in 北京。";
    let body = send(nlp(&bench, "lexer", &token, &json!({ "text": text })))
        .await
        .expect(200)
        .json();
    let items = body["items"].as_array().unwrap();
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    for item in items {
        let start = number(&item["byte_offset"]);
        let slice = text
            .get(start..start + number(&item["byte_length"]))
            .unwrap();
        assert_eq!(item["item"], slice);
        assert_ne!(item["ne"] == "", item["pos"] == "", "{item}");
    }
    let named: Vec<_> = items
        .iter()
        .filter(|item| item["ne"] != "")
        .map(|item| (item["item"].as_str().unwrap(), item["ne"].as_str().unwrap()))
        .collect();
    assert_eq!(
        named,
        [
            ("今天", "TIME"),
            ("玛丽亚", "PER"),
            ("Barack Obama", "PER"),
            ("北京", "LOC")
        ]
    );

    let article =
        json!({ "title": "The weather", "content": "The weather is sunny today, with no rain." });
    let body = send(nlp(&bench, "keyword", &token, &article))
        .await
        .expect(200)
        .json();
    let tags: Vec<_> = body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["tag"].clone())
        .collect();
    assert!(tags.contains(&json!("weather")), "{body}");
    let body = send(nlp(&bench, "topic", &token, &article))
        .await
        .expect(200)
        .json();
    assert_eq!(body["item"]["lv1_tag_list"][0]["tag"], "社会");
    assert_eq!(body["item"]["lv2_tag_list"][0]["tag"], "天气");
    let list = json!({ "text": ["The wonderful service at the hotel in Paris."], "num": 2 });
    let body = send(nlp(&bench, "txt_keywords_extraction", &token, &list))
        .await
        .expect(200)
        .json();
    assert_eq!(body["results"].as_array().unwrap().len(), 2);
    assert_eq!(body["results"][0]["word"], "wonderful service");
}

#[tokio::test]
async fn without_a_charset_text_is_gbk_both_ways() {
    let bench = Bench::new("baidu").await;
    let token = token(&bench).await;
    let text = "今天北京";
    let body = json!({ "text": text }).to_string();
    let at = |body: Vec<u8>| {
        let path = format!("/rpc/2.0/nlp/v1/lexer?access_token={token}");
        bench.post(&path).body(body)
    };
    let got = send(at(GBK.encode(&body).0.into_owned())).await.expect(200);
    let (answer, _, wrong) = GBK.decode(&got.body);
    assert!(!wrong && String::from_utf8(got.body.clone()).is_err());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["text"], text);
    // Two bytes a letter here, three in UTF-8.
    assert_eq!(
        (
            &answer["items"][1]["item"],
            &answer["items"][1]["byte_offset"]
        ),
        (&json!("北京"), &json!(4))
    );
    let got = send(at(b"{\"text\": \"\xff\xff\"}".to_vec()))
        .await
        .expect(200);
    assert_eq!(got.json()["error_code"], 282_002);
}

#[tokio::test]
async fn texts_are_translated_line_by_line() {
    let bench = Bench::new("baidu").await;
    let token = token(&bench).await;
    let body =
        json!({ "q": "Hello, world!\n\nMaria was very helpful.", "from": "auto", "to": "fra" });
    let body = send(mt(&bench, &token, &body)).await.expect(200).json();
    assert_eq!(
        body["result"],
        json!({
            "from": "en",
            "to": "fra",
            "trans_result": [
                { "src": "Hello, world!", "dst": "Bonjour le monde !" },
                { "src": "Maria was very helpful.", "dst": "Maria a été très serviable." },
            ],
        })
    );
    let body = json!({ "q": "今日は天気がいいです", "from": "auto", "to": "en" });
    let body = send(mt(&bench, &token, &body)).await.expect(200).json();
    assert_eq!(body["result"]["from"], "jp");
    assert_eq!(
        bench.last().operation.as_deref(),
        Some("translation.translate")
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_text_is_said() {
    let bench = Bench::new("baidu").await;
    let token = token(&bench).await;
    let article = |title: &str, content: &str| json!({ "title": title, "content": content });
    let list = |num: Value| json!({ "text": ["words"], "num": num });
    for (name, body, code) in [
        ("sentiment_classify", json!({}), 282_133),
        ("sentiment_classify", json!({ "text": " " }), 282_133),
        (
            "sentiment_classify",
            json!({ "text": "好".repeat(683) }),
            282_131,
        ),
        ("lexer", json!({ "text": "x".repeat(20_001) }), 282_131),
        ("keyword", article(&"x".repeat(81), "x"), 282_131),
        ("keyword", article("x", ""), 282_133),
        ("topic", article("x", &"x".repeat(65_536)), 282_131),
        ("txt_keywords_extraction", list(json!(0)), 282_133),
        ("txt_keywords_extraction", json!({ "text": [] }), 282_133),
        (
            "txt_keywords_extraction",
            json!({ "text": ["x", 1] }),
            282_133,
        ),
        ("dnnlm_cn", json!({ "text": "x" }), 3),
    ] {
        let got = send(nlp(&bench, name, &token, &body)).await.expect(200);
        assert_eq!(got.json()["error_code"], code, "{name} {}", got.text());
        assert!(!bench.last().executed);
    }
    let broken = format!("/rpc/2.0/nlp/v1/lexer?charset=UTF-8&access_token={token}");
    let got = send(bench.post(&broken).body("{")).await.expect(200);
    assert_eq!(got.json()["error_code"], 282_004);
    let got = send(bench.get(&broken)).await.expect(200);
    assert_eq!(got.json()["error_code"], 3);
    let pair = |q: &str, from: &str, to: &str| json!({ "q": q, "from": from, "to": to });
    for (body, code) in [
        (pair("hi", "ja", "en"), 216_100),
        (pair("hi", "en", "auto"), 216_100),
        (pair("", "en", "zh"), 282_133),
        (json!({ "q": "hi", "to": "zh" }), 282_133),
        (pair(&"x".repeat(6001), "en", "zh"), 282_131),
        (json!([]), 282_004),
    ] {
        let got = send(mt(&bench, &token, &body)).await.expect(200);
        assert_eq!(got.json()["error_code"], code, "{}", got.text());
    }
}

#[tokio::test]
async fn texts_are_spoken() {
    let bench = Bench::new("baidu").await;
    let token = token(&bench).await;
    for (aue, kind, head) in [
        ("3", "audio/mp3", &b"\xff\xfb"[..]),
        ("6", "audio/wav", b"RIFF"),
        ("4", "audio/basic;codec=pcm;rate=16000;channel=1", b""),
    ] {
        let text = "50% off + more & so on";
        let got = send(spoken(&bench, &token, text, &[("aue", aue)]))
            .await
            .expect(200);
        assert_eq!(got.header("content-type"), kind);
        assert!(got.body.starts_with(head) && got.body.len() > 320);
        assert_eq!(bench.last().facts["text"], text);
    }
    // Encoded once only, the plus sign of the text becomes a space.
    let once = format!("tex=1%2B1&tok={token}&cuid=isobar&ctp=1&lan=zh");
    let request = bench
        .post("/text2audio")
        .header("content-type", "application/x-www-form-urlencoded");
    send(request.body(once)).await.expect(200);
    assert_eq!(bench.last().facts["text"], "1 1");
    for (text, more) in [
        ("", &[][..]),
        (&"好".repeat(513), &[]),
        ("hi", &[("aue", "7")]),
        ("hi", &[("spd", "16")]),
        ("hi", &[("vol", "loud")]),
    ] {
        let body = send(spoken(&bench, &token, text, more))
            .await
            .expect(200)
            .json();
        assert_eq!(body["err_no"], 501, "{more:?}");
    }
    send(spoken(&bench, &token, &"好".repeat(512), &[]))
        .await
        .expect(200);
    assert!(bench.last().executed);
}

#[tokio::test]
async fn every_class_has_a_code_in_the_service_s_own_shape() {
    let bench = Bench::new("baidu").await;
    let token = token(&bench).await;
    let text = json!({ "text": "good" });
    every_class_in_200(
        &bench,
        || nlp(&bench, "sentiment_classify", &token, &text),
        |class, got| {
            let body = got.json();
            let code = match class {
                Class::Auth => 110,
                Class::Quota => 17,
                Class::Rate => 18,
                Class::Invalid => 282_133,
                Class::TooLarge => 282_131,
                Class::Unsupported => 216_100,
                Class::NotFound => 3,
                Class::Internal => 282_000,
                Class::Unavailable => 2,
            };
            assert_eq!(body["error_code"], code);
            assert!(body["error_msg"].is_string());
        },
    )
    .await;
    every_class_in_200(
        &bench,
        || bench.post("/server_api").json(&recording(&token, WEATHER)),
        |class, got| {
            let code = match class {
                Class::Auth => 3302,
                Class::Quota => 3305,
                Class::Rate => 3304,
                Class::Invalid | Class::NotFound => 3300,
                Class::TooLarge => 3310,
                Class::Unsupported => 3312,
                Class::Internal => 3307,
                Class::Unavailable => 3303,
            };
            assert_eq!(got.json()["err_no"], code);
        },
    )
    .await;
    every_class_in_200(
        &bench,
        || spoken(&bench, &token, "hi", &[]),
        |class, got| {
            let body = got.json();
            let code = match class {
                Class::Auth | Class::Quota | Class::Rate => 502,
                Class::Invalid | Class::TooLarge | Class::NotFound => 501,
                Class::Unsupported => 500,
                Class::Internal | Class::Unavailable => 503,
            };
            assert_eq!(body["err_no"], code);
            let behind = match class {
                Class::Auth => json!(110),
                Class::Quota => json!(17),
                Class::Rate => json!(18),
                _ => Value::Null,
            };
            assert_eq!(body["err_subcode"], behind);
        },
    )
    .await;
}

#[tokio::test]
async fn any_code_of_the_vendor_s_can_be_scripted() {
    let bench = Bench::new("baidu").await;
    let token = token(&bench).await;
    let text = json!({ "text": "good" });
    for code in [4, 17, 18, 19, 100, 110, 111, 216_200, 282_000] {
        bench.fault(Fault::code(&code.to_string()));
        let got = send(nlp(&bench, "lexer", &token, &text)).await.expect(200);
        assert_eq!(got.json()["error_code"], code);
        let body = send(spoken(&bench, &token, "hi", &[]))
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&body["err_no"], &body["err_subcode"]),
            (&json!(502), &json!(code))
        );
    }
    bench.fault(Fault::code("3303"));
    let request = bench.post("/server_api").json(&recording(&token, WEATHER));
    assert_eq!(send(request).await.expect(200).json()["err_no"], 3303);
    bench.fault(Fault::code("nonsense"));
    let got = send(nlp(&bench, "lexer", &token, &text)).await.expect(200);
    assert_eq!(got.json()["error_code"], 282_000);
    bench.fault(Fault::code("invalid_client"));
    send(ask(&bench, KEY, SECRET)).await.expect(401);
    for (class, status) in [
        (Class::Auth, 401),
        (Class::Rate, 429),
        (Class::Invalid, 400),
        (Class::Internal, 500),
        (Class::Unavailable, 503),
    ] {
        bench.fault(Fault::error(class));
        let got = send(ask(&bench, KEY, SECRET)).await.expect(status);
        assert!(got.json()["error"].is_string());
    }
}

#[tokio::test]
async fn the_printed_account_is_accepted() {
    let bench = Bench::new("baidu").await;
    let line = format!(
        "  baidu: {{ vendor: baidu, base: \"{}\", api_key: {KEY}, secret_key: {SECRET} }}",
        bench.url("")
    );
    assert!(bench.sandbox.print_config().contains(&line));
}
