//! Language: mood, words and names, key words, topics.
//!
//! Text is GBK both ways unless `charset=UTF-8` stands in the query, and places in it are counted in bytes of either.

use encoding_rs::GBK;
use serde_json::{Value, json};

use super::{failure, number, text};
use crate::{
    answer::Answer,
    answers::{
        audio::rounded,
        text::{self as texts, Kind, Label},
        tokens::{self, Class, Token},
    },
    call::Call,
};

/// Most bytes of a text whose mood is asked for.
const MOOD: usize = 2048;
/// Most bytes of a text that is taken apart.
const PARSED: usize = 20_000;
/// Most bytes of a title and of what stands below it.
const TITLE: usize = 80;
const CONTENT: usize = 65_535;
/// Most key words of a text, when nothing else is asked for.
const WORDS: u64 = 20;

/// How text travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    Gbk,
}

impl Charset {
    fn of(call: &Call) -> Self {
        let name = call.query("charset").unwrap_or_default();
        if name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("utf8") {
            Self::Utf8
        } else {
            Self::Gbk
        }
    }

    fn read(self, call: &Call) -> Result<Value, Answer> {
        let malformed = || failure(call, 282_004, "the body is not JSON");
        if self == Self::Utf8 {
            return call.json().map_err(|_| malformed());
        }
        let (body, _, wrong) = GBK.decode(&call.body);
        if wrong {
            return Err(failure(call, 282_002, "input encoding error"));
        }
        serde_json::from_str(&body).map_err(|_| malformed())
    }

    /// Bytes that a text takes.
    fn size(self, text: &str) -> usize {
        match self {
            Self::Utf8 => text.len(),
            Self::Gbk => GBK.encode(text).0.len(),
        }
    }

    fn answer(self, body: &Value) -> Answer {
        match self {
            Self::Utf8 => Answer::json(200, body),
            Self::Gbk => {
                let text = body.to_string();
                let bytes = GBK.encode(&text).0.into_owned();
                Answer::bytes(200, "application/json;charset=gbk", bytes)
            }
        }
    }
}

pub(super) fn analyze(call: &Call, name: &str) -> Result<Answer, Answer> {
    let charset = Charset::of(call);
    let body = charset.read(call)?;
    let required = |name: &str, most: usize| {
        let value = text(&body, name).filter(|value| !value.trim().is_empty());
        let value =
            value.ok_or_else(|| failure(call, 282_133, &format!("param {name} not exist")))?;
        if charset.size(value) > most {
            return Err(failure(call, 282_131, "input text too long"));
        }
        Ok(value)
    };
    let id = number(call);
    let (text, answer) = match name {
        "sentiment_classify" => {
            let text = required("text", MOOD)?;
            (
                text.to_owned(),
                json!({ "log_id": id, "text": text, "items": [mood(text)] }),
            )
        }
        "lexer" => {
            let text = required("text", PARSED)?;
            (
                text.to_owned(),
                json!({ "log_id": id, "text": text, "items": words(charset, text) }),
            )
        }
        "txt_keywords_extraction" => {
            let all = several(call, &body)?;
            let most = body.get("num").map_or(Some(WORDS), Value::as_u64);
            let most = most.filter(|most| (1..=100).contains(most));
            let most = most.ok_or_else(|| failure(call, 282_133, "param num is wrong"))?;
            let results = key_words(&all, usize::try_from(most).unwrap_or(usize::MAX), "word");
            (all, json!({ "log_id": id, "results": results }))
        }
        _ => {
            let (title, content) = (required("title", TITLE)?, required("content", CONTENT)?);
            let all = format!("{title}\n{content}");
            let answer = if name == "keyword" {
                json!({ "log_id": id, "items": key_words(&all, 10, "tag") })
            } else {
                json!({ "log_id": id, "item": topic(&all) })
            };
            (all, answer)
        }
    };
    Ok(charset
        .answer(&answer)
        .fact("characters", text.chars().count()))
}

/// The texts of a list, one below the other.
fn several(call: &Call, body: &Value) -> Result<String, Answer> {
    let list = body.get("text").and_then(Value::as_array);
    let all: Vec<_> = list
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let whole = list.is_some_and(|list| list.len() == all.len());
    let all = all.join("\n");
    if whole && !all.trim().is_empty() {
        Ok(all)
    } else {
        Err(failure(call, 282_133, "param text not exist"))
    }
}

/// There are but two probabilities; neither good nor bad is both at a half.
fn mood(text: &str) -> Value {
    let mood = texts::mood(text);
    let positive = rounded(f64::midpoint(1.0, mood.score));
    let negative = rounded(1.0 - positive);
    let sentiment = match mood.label {
        Label::Negative => 0,
        Label::Neutral | Label::Mixed => 1,
        Label::Positive => 2,
    };
    let apart = rounded((positive - negative).abs());
    json!({
        "sentiment": sentiment,
        "confidence": if sentiment == 1 { rounded(1.0 - apart) } else { apart },
        "positive_prob": positive,
        "negative_prob": negative,
    })
}

fn words(charset: Charset, text: &str) -> Vec<Value> {
    let letters: Vec<char> = text.chars().collect();
    let word = |(token, pieces): (Token, Vec<Token>)| {
        let before: String = letters
            .get(..token.span.offset)
            .unwrap_or_default()
            .iter()
            .collect();
        let (name, part_of_speech) = kinds(token.class);
        let pieces: Vec<_> = pieces.into_iter().map(|piece| piece.span.text).collect();
        json!({
            "item": token.span.text,
            // One of the two is always empty.
            "ne": name,
            "pos": part_of_speech,
            "byte_offset": charset.size(&before),
            "byte_length": charset.size(&token.span.text),
            "uri": "",
            "formal": "",
            "basic_words": pieces,
            "loc_details": [],
        })
    };
    tokens::compound(text).into_iter().map(word).collect()
}

/// Kind of name, or else part of speech.
fn kinds(class: Class) -> (&'static str, &'static str) {
    match class {
        Class::Named(Kind::Person) => ("PER", ""),
        Class::Named(Kind::Location) => ("LOC", ""),
        Class::Named(Kind::Organization) => ("ORG", ""),
        Class::Named(Kind::DateTime) => ("TIME", ""),
        Class::Named(Kind::Quantity | Kind::Money) | Class::Number => ("", "m"),
        Class::Named(Kind::Email | Kind::Url | Kind::Other) => ("", "nz"),
        Class::Mark => ("", "w"),
        Class::Pronoun => ("", "r"),
        Class::Word => ("", "n"),
    }
}

/// Best first.
fn key_words(text: &str, most: usize, name: &str) -> Vec<Value> {
    let mut found = texts::key_phrases(text);
    found.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    found.truncate(most);
    let word = |(span, score): (texts::Span, f64)| json!({ "score": score, name: span.text });
    found.into_iter().map(word).collect()
}

/// The vendor's two levels of topics, for the kinds of text that are known here.
const TOPICS: [(&str, &str, &str); 7] = [
    ("/News/Weather", "社会", "天气"),
    (
        "/Travel & Transportation/Hotels & Accommodations",
        "旅游",
        "酒店",
    ),
    ("/Law & Government/Government", "时事", "政治"),
    ("/Computers & Electronics/Software", "科技", "互联网"),
    ("/Business & Industrial/Finance", "财经", "金融"),
    ("/Food & Drink/Restaurants", "美食", "餐饮"),
    ("/Shopping/Consumer Resources", "社会", "消费"),
];

fn topic(text: &str) -> Value {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for category in texts::categories(text) {
        let known = TOPICS.iter().find(|(path, ..)| *path == category.path);
        if let Some((_, wide, narrow)) = known {
            first.push(json!({ "score": category.confidence, "tag": wide }));
            second.push(json!({ "score": category.confidence, "tag": narrow }));
        }
    }
    first.truncate(1);
    if first.is_empty() {
        first.push(json!({ "score": 0.5, "tag": "综合" }));
    }
    json!({ "lv1_tag_list": first, "lv2_tag_list": second })
}
