//! Tencent Cloud, with a signer of its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use isobar_sandbox::faults::{Class, Fault, Rule};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{
    Bench, Got, HOTEL, WEATHER, WEATHER_TEXT, contract, every_class_in_200, send, silence,
};

/// One call, as it is to be signed.
#[derive(Clone)]
struct Signed<'a> {
    service: &'a str,
    version: &'a str,
    action: &'a str,
    body: String,
    id: &'a str,
    key: &'a str,
    timestamp: u64,
    region: Option<&'a str>,
    /// As the official SDKs do: `x-tc-action` among the signed headers.
    with_action: bool,
}

fn call<'a>(service: &'a str, action: &'a str, body: &Value) -> Signed<'a> {
    Signed {
        service,
        version: match service {
            "nlp" => "2019-04-08",
            "tmt" => "2018-03-21",
            "tts" => "2019-08-23",
            _ => "2019-06-14",
        },
        action,
        body: body.to_string(),
        id: "AKIDsandbox-tencent",
        key: "sandbox-tencent-secret",
        timestamp: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs(),
        region: (service == "tmt").then_some("ap-guangzhou"),
        with_action: true,
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The date in UTC.
fn date(seconds: u64) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    let parts: Vec<_> = text.split(' ').collect();
    let month = MONTHS.find(parts[2]).unwrap() / 3 + 1;
    format!("{}-{month:02}-{}", parts[3], parts[1])
}

impl Signed<'_> {
    fn request(&self, bench: &Bench) -> RequestBuilder {
        let host = bench.sandbox.address().to_string();
        let (names, action) = if self.with_action {
            let line = format!("x-tc-action:{}\n", self.action.to_lowercase());
            ("content-type;host;x-tc-action", line)
        } else {
            ("content-type;host", String::new())
        };
        let canonical = format!(
            "POST\n/\n\ncontent-type:application/json\nhost:{host}\n{action}\n{names}\n{}",
            hex(&Sha256::digest(&self.body))
        );
        let day = date(self.timestamp);
        let scope = format!("{day}/{}/tc3_request", self.service);
        let text = format!(
            "TC3-HMAC-SHA256\n{}\n{scope}\n{}",
            self.timestamp,
            hex(&Sha256::digest(canonical))
        );
        let key = hmac(format!("TC3{}", self.key).as_bytes(), &day);
        let key = hmac(&hmac(&key, self.service), "tc3_request");
        let signature = hex(&hmac(&key, &text));
        let authorization = format!(
            "TC3-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.id
        );
        let mut request = bench
            .post("/")
            .header("authorization", authorization)
            .header("content-type", "application/json")
            .header("x-tc-action", self.action)
            .header("x-tc-version", self.version)
            .header("x-tc-timestamp", self.timestamp)
            .body(self.body.clone());
        if let Some(region) = self.region {
            request = request.header("x-tc-region", region);
        }
        request
    }

    async fn send(&self, bench: &Bench) -> Got {
        send(self.request(bench)).await.expect(200)
    }

    /// `Response` of an answer that is no failure.
    async fn response(&self, bench: &Bench) -> Value {
        let got = self.send(bench).await;
        let response = got.json()["Response"].clone();
        assert!(response.get("Error").is_none(), "{}", got.text());
        assert!(bench.last().executed);
        response
    }

    /// `Response.Error.Code`.
    async fn refusal(&self, bench: &Bench) -> String {
        let got = self.send(bench).await;
        assert!(!bench.last().executed, "{}", got.text());
        code(&got)
    }
}

fn code(got: &Got) -> String {
    let body = got.json();
    let response = &body["Response"];
    assert!(response["RequestId"].is_string(), "{body}");
    assert!(response["Error"]["Message"].is_string(), "{body}");
    response["Error"]["Code"].as_str().unwrap().to_owned()
}

/// Checks an answer against the output that the vendor's catalogue gives for an action.
fn conforms(file: &str, action: &str, response: &Value) {
    let Some(catalogue) = contract(file) else {
        return;
    };
    let output = catalogue["actions"][action]["output"].as_str().unwrap();
    object(&catalogue, output, response, output);
}

fn object(catalogue: &Value, name: &str, value: &Value, path: &str) {
    let members = catalogue["objects"][name]["members"].as_array().unwrap();
    let given = value
        .as_object()
        .unwrap_or_else(|| panic!("{path}: {value}"));
    for member in given.keys() {
        let known = members.iter().any(|known| known["name"] == member.as_str());
        assert!(known, "{path}.{member} is not in the catalogue");
    }
    for member in members {
        let name = member["name"].as_str().unwrap();
        let path = format!("{path}.{name}");
        let required = member["output_required"] == true || name == "RequestId";
        match given.get(name) {
            None => assert!(!required, "{path} is missing"),
            Some(Value::Null) => assert!(member["value_allowed_null"] == true, "{path} is null"),
            Some(value) => typed(catalogue, member, value, &path),
        }
    }
}

fn typed(catalogue: &Value, member: &Value, value: &Value, path: &str) {
    let inner = member["member"].as_str().unwrap();
    let right = match member["type"].as_str().unwrap() {
        "string" => value.is_string(),
        "int" if inner == "uint64" => value.is_u64(),
        "int" => value.is_i64(),
        "float" => value.is_number(),
        "bool" => value.is_boolean(),
        "object" => {
            object(catalogue, inner, value, path);
            true
        }
        "list" => {
            let list = value
                .as_array()
                .unwrap_or_else(|| panic!("{path}: {value}"));
            for (at, item) in list.iter().enumerate() {
                let path = format!("{path}[{at}]");
                match inner {
                    "string" => assert!(item.is_string(), "{path}: {item}"),
                    inner => object(catalogue, inner, item, &path),
                }
            }
            true
        }
        other => panic!("{path}: a type unknown here, {other}"),
    };
    assert!(right, "{path}: {value}");
}

const ASR: &str = "speech/tencent-asr.tccli.json";
const TTS: &str = "speech/tencent-tts.tccli.json";
const NLP: &str = "language/tencent-nlp.tccli.json";
const TMT: &str = "translation/tencent-tmt.tccli.json";

fn sentence(audio: &[u8]) -> Value {
    json!({
        "EngSerViceType": "16k_en",
        "SourceType": 1,
        "VoiceFormat": "wav",
        "Data": STANDARD.encode(audio),
        "DataLen": audio.len(),
        "WordInfo": 2,
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

#[tokio::test]
async fn a_short_recording_is_heard_at_once() {
    let bench = Bench::new("tencent").await;
    let response = call("asr", "SentenceRecognition", &sentence(WEATHER))
        .response(&bench)
        .await;
    assert_eq!(response["Result"], WEATHER_TEXT);
    assert_eq!(
        (&response["AudioDuration"], &response["WordSize"]),
        (&json!(4185), &json!(14))
    );
    assert_eq!(
        response["WordList"][6],
        json!({ "Word": "today.", "StartTime": 1630, "EndTime": 1930 })
    );
    conforms(ASR, "SentenceRecognition", &response);
    let entry = bench.last();
    assert_eq!(entry.call, "SentenceRecognition");
    assert_eq!(entry.operation.as_deref(), Some("speech.transcribe"));
    assert_eq!(entry.facts["model"], "16k_en");

    let bare = with(sentence(WEATHER), "WordInfo", json!(1));
    let response = call("asr", "SentenceRecognition", &bare)
        .response(&bench)
        .await;
    assert_eq!(response["WordList"][6]["Word"], "today");
    let none = without(sentence(WEATHER), "WordInfo");
    let response = call("asr", "SentenceRecognition", &none)
        .response(&bench)
        .await;
    assert_eq!(response["WordList"], Value::Null);
    conforms(ASR, "SentenceRecognition", &response);

    let samples = &WEATHER[44..];
    let pcm = with(sentence(samples), "VoiceFormat", json!("pcm"));
    let response = call("asr", "SentenceRecognition", &pcm)
        .response(&bench)
        .await;
    assert_eq!(response["Result"], WEATHER_TEXT);
}

#[tokio::test]
async fn a_longer_recording_is_a_task_that_is_asked_after() {
    let bench = Bench::new("tencent").await;
    let submitted = json!({
        "EngineModelType": "16k_zh_en",
        "ChannelNum": 1,
        "ResTextFormat": 2,
        "SourceType": 1,
        "Data": STANDARD.encode(HOTEL),
        "DataLen": HOTEL.len(),
        "SpeakerDiarization": 1,
    });
    let response = call("asr", "CreateRecTask", &submitted)
        .response(&bench)
        .await;
    conforms(ASR, "CreateRecTask", &response);
    let ask = json!({ "TaskId": response["Data"]["TaskId"] });
    let asked = call("asr", "DescribeTaskStatus", &ask);
    let doing = asked.response(&bench).await;
    assert_eq!(
        (&doing["Data"]["Status"], &doing["Data"]["StatusStr"]),
        (&json!(1), &json!("doing"))
    );
    conforms(ASR, "DescribeTaskStatus", &doing);
    let done = asked.response(&bench).await;
    conforms(ASR, "DescribeTaskStatus", &done);
    let data = &done["Data"];
    assert_eq!(
        (&data["Status"], &data["StatusStr"]),
        (&json!(2), &json!("success"))
    );
    let lines: Vec<_> = data["Result"].as_str().unwrap().lines().collect();
    assert_eq!(
        lines,
        [
            "[0:0.200,0:3.250,0]  Thank you for the wonderful service at the hotel in Paris.",
            "[0:3.390,0:4.780,1]  Maria was very helpful.",
        ]
    );
    let second = &data["ResultDetail"][1];
    assert_eq!(
        (
            &second["StartMs"],
            &second["SpeakerId"],
            &second["WordsNum"]
        ),
        (&json!(3390), &json!(1), &json!(4))
    );
    // Words are counted from their sentence's beginning.
    assert_eq!(
        second["Words"][3],
        json!({ "Word": "helpful.", "OffsetStartMs": 890, "OffsetEndMs": 1390 })
    );
    assert_eq!(
        bench.sandbox.ledger().executed("tencent", "CreateRecTask"),
        1
    );

    let plain = with(submitted, "ResTextFormat", json!(0));
    let response = call("asr", "CreateRecTask", &plain).response(&bench).await;
    let ask = json!({ "TaskId": response["Data"]["TaskId"] });
    let asked = call("asr", "DescribeTaskStatus", &ask);
    asked.response(&bench).await;
    let done = asked.response(&bench).await;
    assert_eq!(done["Data"]["ResultDetail"], Value::Null);
    conforms(ASR, "DescribeTaskStatus", &done);
    // A task is seen by who submitted it alone.
    let mut other = asked.clone();
    (other.id, other.key) = ("AKIDsandbox-tencent-2", "sandbox-tencent-secret-2");
    assert_eq!(other.refusal(&bench).await, "FailedOperation.NoSuchTask");
}

#[tokio::test]
async fn a_task_fails_with_the_vendor_s_reason() {
    let bench = Bench::new("tencent").await;
    let task = |source: i32| {
        let data = STANDARD.encode(b"not a recording");
        json!({
            "EngineModelType": "16k_en",
            "ChannelNum": 1,
            "ResTextFormat": 0,
            "SourceType": source,
            "Url": "https://example.com/a.wav",
            "Data": data,
        })
    };
    for (body, scripted, reason) in [
        (task(0), false, "Failed to download audio file!"),
        (task(1), false, "Failed to decode audio file!"),
        (
            with(task(1), "Data", json!(STANDARD.encode(WEATHER))),
            true,
            "Failed to recognize audio!",
        ),
    ] {
        bench.sandbox.faults().clear();
        if scripted {
            let rule = Rule::at("tencent", Fault::FailJob).during("CreateRecTask");
            bench.sandbox.faults().set([rule]);
        }
        let response = call("asr", "CreateRecTask", &body).response(&bench).await;
        let ask = json!({ "TaskId": response["Data"]["TaskId"] });
        let asked = call("asr", "DescribeTaskStatus", &ask);
        asked.response(&bench).await;
        let failed = asked.response(&bench).await;
        let data = &failed["Data"];
        assert_eq!(
            (&data["Status"], &data["ErrorMsg"]),
            (&json!(3), &json!(reason))
        );
        conforms(ASR, "DescribeTaskStatus", &failed);
    }
}

#[tokio::test]
async fn moods_words_and_corrections() {
    let bench = Bench::new("tencent").await;
    for (text, mood) in [
        ("我真开心。", "positive"),
        ("The room was terrible and dirty.", "negative"),
        ("The train leaves at nine.", "neutral"),
        ("The room was good but the food was bad.", "neutral"),
    ] {
        let response = call("nlp", "AnalyzeSentiment", &json!({ "Text": text }))
            .response(&bench)
            .await;
        assert_eq!(response["Sentiment"], mood, "{response}");
        let part = |name: &str| response[name].as_f64().unwrap();
        let sum = part("Positive") + part("Neutral") + part("Negative");
        assert!((sum - 1.0).abs() < 1e-6, "{response}");
        conforms(NLP, "AnalyzeSentiment", &response);
    }
    let text = "😀 Barack Obama met 玛丽亚 in London.";
    let response = call("nlp", "ParseWords", &json!({ "Text": text }))
        .response(&bench)
        .await;
    conforms(NLP, "ParseWords", &response);
    let entities = response["Entities"].as_array().unwrap();
    let letters: Vec<char> = text.chars().collect();
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    for entity in entities {
        let start = number(&entity["BeginOffset"]);
        let slice: String = letters[start..start + number(&entity["Length"])]
            .iter()
            .collect();
        assert_eq!(entity["Word"], slice);
    }
    let types: Vec<_> = entities
        .iter()
        .map(|entity| {
            (
                entity["Word"].as_str().unwrap(),
                entity["Type"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        types,
        [
            ("Barack Obama", "person.generic"),
            ("玛丽亚", "person.generic"),
            ("London", "loc.generic"),
        ]
    );
    assert!(
        response["BasicParticiples"].as_array().unwrap().len()
            > response["CompoundParticiples"].as_array().unwrap().len()
    );

    let list = json!({ "TextList": ["这是地球最安全的锅加", "I will recieve it."] });
    let response = call("nlp", "SentenceCorrection", &list)
        .response(&bench)
        .await;
    conforms(NLP, "SentenceCorrection", &response);
    let found = &response["CorrectionList"];
    assert_eq!(
        (
            &found[0]["Order"],
            &found[0]["BeginOffset"],
            &found[0]["CorrectWord"][0]
        ),
        (&json!(1), &json!(8), &json!("国家"))
    );
    assert_eq!(
        (
            &found[1]["Order"],
            &found[1]["BeginOffset"],
            &found[1]["CorrectWord"][0]
        ),
        (&json!(2), &json!(7), &json!("receive"))
    );
}

fn translate(text: &str, source: &str, target: &str) -> Value {
    json!({ "SourceText": text, "Source": source, "Target": target, "ProjectId": 0 })
}

#[tokio::test]
async fn texts_are_translated_and_their_language_found() {
    let bench = Bench::new("tencent").await;
    let response = call(
        "tmt",
        "TextTranslate",
        &translate("Hello, world!", "auto", "zh"),
    )
    .response(&bench)
    .await;
    assert_eq!(
        (
            &response["TargetText"],
            &response["Source"],
            &response["Target"]
        ),
        (&json!("你好，世界！"), &json!("en"), &json!("zh"))
    );
    conforms(TMT, "TextTranslate", &response);
    assert_eq!(bench.last().facts["characters"], 13);

    let list = json!({
        "SourceTextList": ["Hello, world!", "Maria was very helpful."],
        "Source": "en",
        "Target": "fr",
        "ProjectId": 0,
    });
    let response = call("tmt", "TextTranslateBatch", &list)
        .response(&bench)
        .await;
    assert_eq!(
        response["TargetTextList"],
        json!(["Bonjour le monde !", "Maria a été très serviable."])
    );
    conforms(TMT, "TextTranslateBatch", &response);

    for (text, code) in [
        ("你好", "zh"),
        ("今日は天気がいいです", "jp"),
        ("오늘 날씨가 좋다", "kr"),
        ("Das Wetter ist heute nicht sehr gut", "de"),
    ] {
        let body = json!({ "Text": text, "ProjectId": 0 });
        let response = call("tmt", "LanguageDetect", &body).response(&bench).await;
        assert_eq!(response["Lang"], code);
        conforms(TMT, "LanguageDetect", &response);
    }
}

#[tokio::test]
async fn texts_are_spoken() {
    let bench = Bench::new("tencent").await;
    let body = json!({ "Text": "Hello there, friend", "SessionId": "s-1", "EnableSubtitle": true });
    let response = call("tts", "TextToVoice", &body).response(&bench).await;
    conforms(TTS, "TextToVoice", &response);
    assert_eq!(response["SessionId"], "s-1");
    let subtitles = response["Subtitles"].as_array().unwrap();
    assert_eq!(subtitles.len(), 3);
    assert_eq!(
        subtitles[1],
        json!({ "Text": "there", "BeginTime": 240, "EndTime": 440, "BeginIndex": 6, "EndIndex": 11, "Phoneme": null })
    );
    for (codec, head) in [("wav", &b"RIFF"[..]), ("mp3", b"\xff\xfb")] {
        let body = json!({ "Text": "你好", "SessionId": "s", "Codec": codec, "SampleRate": 8000, "VoiceType": 101_001 });
        let response = call("tts", "TextToVoice", &body).response(&bench).await;
        let audio = STANDARD
            .decode(response["Audio"].as_str().unwrap())
            .unwrap();
        assert!(audio.starts_with(head), "{codec}");
        assert_eq!(response["Subtitles"], json!([]));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let bench = Bench::new("tencent").await;
    let asr = |body: Value| call("asr", "SentenceRecognition", &body);
    let nlp = |text: &str| call("nlp", "AnalyzeSentiment", &json!({ "Text": text }));
    let tts = |name: &str, value: Value| {
        let body = json!({ "Text": "hello", "SessionId": "s" });
        call("tts", "TextToVoice", &with(body, name, value))
    };
    let tmt =
        |source: &str, target: &str| call("tmt", "TextTranslate", &translate("hi", source, target));
    let small = |name: &str, value: Value| asr(with(sentence(b"RIFF"), name, value));
    for (signed, code) in [
        (
            asr(with(sentence(WEATHER), "Foo", json!(1))),
            "UnknownParameter",
        ),
        (
            asr(without(sentence(WEATHER), "VoiceFormat")),
            "MissingParameter",
        ),
        (small("SourceType", json!("1")), "InvalidParameter"),
        (
            small("SourceType", json!(2)),
            "InvalidParameterValue.ErrorInvalidSourcetype",
        ),
        (
            small("SourceType", json!(0)),
            "InvalidParameterValue.ErrorInvalidUrl",
        ),
        (
            asr(with(
                with(sentence(b"RIFF"), "SourceType", json!(0)),
                "Url",
                json!("https://example.com/a.wav"),
            )),
            "FailedOperation.ErrorDownFile",
        ),
        (
            small("EngSerViceType", json!("16k_xx")),
            "InvalidParameterValue.ErrorInvalidEngservice",
        ),
        (
            small("VoiceFormat", json!("flac")),
            "InvalidParameterValue.ErrorInvalidVoiceFormat",
        ),
        (small("WordInfo", json!(3)), "InvalidParameterValue"),
        (
            small("DataLen", json!(5)),
            "InvalidParameter.ErrorContentlength",
        ),
        (
            small("Data", json!("???")),
            "InvalidParameterValue.ErrorInvalidVoicedata",
        ),
        (
            small("Data", json!("")),
            "InvalidParameter.ErrorParamsMissing",
        ),
        (
            asr(without(sentence(WEATHER), "DataLen")),
            "InvalidParameter.ErrorParamsMissing",
        ),
        (
            asr(sentence(b"RIFF")),
            "InvalidParameterValue.ErrorInvalidVoicedata",
        ),
        (
            asr(with(sentence(WEATHER), "VoiceFormat", json!("mp3"))),
            "InvalidParameterValue.ErrorInvalidVoicedata",
        ),
        (
            asr(sentence(&silence(61))),
            "InvalidParameterValue.ErrorVoicedataTooLong",
        ),
        (
            asr(sentence(&vec![0; 3_000_000])),
            "InvalidParameterValue.ErrorVoicedataTooLong",
        ),
        (
            call("asr", "DescribeTaskStatus", &json!({ "TaskId": 7 })),
            "FailedOperation.NoSuchTask",
        ),
        (
            call(
                "asr",
                "CreateRecTask",
                &json!({ "EngineModelType": "16k_en", "ChannelNum": 2, "ResTextFormat": 0, "SourceType": 0, "Url": "x" }),
            ),
            "InvalidParameterValue",
        ),
        (nlp(" "), "InvalidParameterValue.Text"),
        (nlp(&"x".repeat(201)), "InvalidParameterValue.TextTooLong"),
        (
            call("nlp", "ParseWords", &json!({ "Text": "x".repeat(501) })),
            "InvalidParameterValue.TextTooLong",
        ),
        (
            call(
                "nlp",
                "SentenceCorrection",
                &json!({ "TextList": vec!["x"; 30] }),
            ),
            "InvalidParameterValue.TextNumTooMuch",
        ),
        (
            call("nlp", "KeywordsExtraction", &json!({ "Text": "x" })),
            "InvalidAction",
        ),
        (call("nlp", "TextTranslate", &json!({})), "InvalidAction"),
        (
            tts("Text", json!("x".repeat(501))),
            "UnsupportedOperation.TextTooLong",
        ),
        (
            tts("Text", json!("好".repeat(151))),
            "UnsupportedOperation.TextTooLong",
        ),
        (tts("Text", json!("")), "InvalidParameterValue.TextEmpty"),
        (tts("Codec", json!("flac")), "InvalidParameterValue.Codec"),
        (
            tts("SampleRate", json!(44_100)),
            "InvalidParameterValue.SampleRate",
        ),
        (tts("Volume", json!(10.5)), "InvalidParameterValue.Volume"),
        (tts("Speed", json!(-3)), "InvalidParameterValue.Speed"),
        (
            tmt("xx", "en"),
            "UnsupportedOperation.UnsupportedSourceLanguage",
        ),
        (
            tmt("en", "xx"),
            "UnsupportedOperation.UnSupportedTargetLanguage",
        ),
        (tmt("ja", "fr"), "UnsupportedOperation.UnsupportedLanguage"),
        (
            call(
                "tmt",
                "TextTranslate",
                &translate(&"x".repeat(6000), "en", "fr"),
            ),
            "UnsupportedOperation.TextTooLong",
        ),
        (
            call(
                "tmt",
                "TextTranslate",
                &without(translate("hi", "en", "fr"), "ProjectId"),
            ),
            "MissingParameter",
        ),
        (
            call("tmt", "TextTranslate", &translate("", "en", "fr")),
            "InvalidParameter",
        ),
    ] {
        assert_eq!(
            signed.refusal(&bench).await,
            code,
            "{} {:.200}",
            signed.action,
            signed.body
        );
    }
    let mut signed = tmt("en", "fr");
    signed.region = None;
    assert_eq!(signed.refusal(&bench).await, "MissingParameter");
    signed.region = Some("moon");
    assert_eq!(signed.refusal(&bench).await, "UnsupportedRegion");
    let mut signed = nlp("hello");
    signed.version = "2018-01-01";
    assert_eq!(signed.refusal(&bench).await, "NoSuchVersion");
    let mut signed = nlp("hello");
    signed.body = "{\"Text\":".to_owned();
    assert_eq!(signed.refusal(&bench).await, "InvalidParameter");
    // Refused unread, so the signature does not matter.
    let large = bench.post("/").body(vec![b'x'; 10 * 1024 * 1024 + 1]);
    let got = send(large).await.expect(200);
    assert_eq!(code(&got), "RequestSizeLimitExceeded");
}

#[tokio::test]
async fn signatures_are_checked() {
    let bench = Bench::new("tencent").await;
    let mut signed = call("nlp", "AnalyzeSentiment", &json!({ "Text": "good" }));
    signed.response(&bench).await;
    assert_eq!(bench.last().account.as_deref(), Some("tencent"));
    signed.with_action = false;
    signed.response(&bench).await;
    let mut second = signed.clone();
    (second.id, second.key) = ("AKIDsandbox-tencent-2", "sandbox-tencent-secret-2");
    second.response(&bench).await;
    assert_eq!(bench.last().account.as_deref(), Some("tencent-2"));

    let mut wrong = signed.clone();
    wrong.key = "sandbox-tencent-secret-2";
    assert_eq!(wrong.refusal(&bench).await, "AuthFailure.SignatureFailure");
    assert_eq!(bench.last().account, None);
    wrong.id = "AKIDsandbox-tencent-3";
    assert_eq!(wrong.refusal(&bench).await, "AuthFailure.SecretIdNotFound");
    for early in [true, false] {
        let mut late = signed.clone();
        late.timestamp = if early {
            late.timestamp + 400
        } else {
            late.timestamp - 400
        };
        assert_eq!(late.refusal(&bench).await, "AuthFailure.SignatureExpire");
    }
    let changed = signed.request(&bench).body("{\"Text\":\"bad\"}");
    assert_eq!(
        code(&send(changed).await.expect(200)),
        "AuthFailure.SignatureFailure"
    );
    let bare = bench
        .post("/")
        .header("x-tc-action", "AnalyzeSentiment")
        .header("x-tc-version", "2019-04-08");
    assert_eq!(
        code(&send(bare.try_clone().unwrap()).await.expect(200)),
        "MissingParameter"
    );
    let bare = bare.header("x-tc-timestamp", "1700000000");
    assert_eq!(
        code(&send(bare).await.expect(200)),
        "AuthFailure.InvalidAuthorization"
    );
}

#[tokio::test]
async fn every_class_has_a_code_of_the_service_s_own() {
    let bench = Bench::new("tencent").await;
    let calls = [
        call("asr", "SentenceRecognition", &sentence(WEATHER)),
        call("nlp", "AnalyzeSentiment", &json!({ "Text": "good" })),
        call("tmt", "TextTranslate", &translate("hi", "en", "fr")),
        call(
            "tts",
            "TextToVoice",
            &json!({ "Text": "hi", "SessionId": "s" }),
        ),
    ];
    for signed in &calls {
        let beginning = |class| match class {
            Class::Auth => &["AuthFailure."][..],
            Class::Quota => &[
                "FailedOperation.UserHasNoAmount",
                "FailedOperation.NoFreeAmount",
                "UnsupportedOperation.NoFreeAccount",
                "ResourceInsufficient.",
            ],
            Class::Rate => &["RequestLimitExceeded"],
            Class::Invalid => &["InvalidParameterValue"],
            Class::TooLarge => &[
                "InvalidParameterValue.ErrorVoicedataTooLong",
                "InvalidParameterValue.TextTooLong",
                "UnsupportedOperation.TextTooLong",
            ],
            Class::Unsupported => &["InvalidParameterValue.", "UnsupportedOperation"],
            Class::NotFound => &["FailedOperation.NoSuchTask", "ResourceNotFound"],
            Class::Internal => &["InternalError"],
            Class::Unavailable => &["ServiceUnavailable"],
        };
        every_class_in_200(
            &bench,
            || signed.request(&bench),
            |class, got| {
                let code = code(got);
                let right = beginning(class).iter().any(|start| code.starts_with(start));
                assert!(right, "{class:?} {code}");
            },
        )
        .await;
    }
}

#[tokio::test]
async fn any_code_of_the_vendor_s_can_be_scripted() {
    let bench = Bench::new("tencent").await;
    let signed = call("asr", "SentenceRecognition", &sentence(WEATHER));
    for code in [
        "AuthFailure.SignatureExpire",
        "FailedOperation.UserHasNoFreeAmount",
        "FailedOperation.ServiceIsolate",
        "RequestLimitExceeded.UinLimitExceeded",
        "ActionOffline",
    ] {
        bench.fault(Fault::code(code));
        assert_eq!(signed.refusal(&bench).await, code);
    }
    bench.fault(Fault::status(503));
    let got = send(signed.request(&bench)).await.expect(503);
    assert_eq!(code(&got), "ServiceUnavailable");
}

#[tokio::test]
async fn the_printed_account_is_accepted() {
    let bench = Bench::new("tencent").await;
    let line = format!(
        "  tencent: {{ vendor: tencent, base: \"{}\", secret_id: AKIDsandbox-tencent, secret_key: sandbox-tencent-secret, region: ap-guangzhou }}",
        bench.url("")
    );
    assert!(bench.sandbox.print_config().contains(&line));
}
