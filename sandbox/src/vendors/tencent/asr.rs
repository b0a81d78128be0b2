//! Speech recognition: a short recording at once, a longer one as a task that is asked after.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Action, Tencent, failure,
    params::{Kind, Params, may, must},
    success,
};
use crate::{
    answer::Answer,
    answers::{
        audio,
        speech::{self, Transcript, Word},
    },
    call::Call,
    jobs::Stage,
    vendor::Operation,
};

const SERVICE: &str = "asr";
const VERSION: &str = "2019-06-14";
/// Most bytes of a short recording, in base64.
const SHORT: usize = 3 * 1024 * 1024;
/// Most seconds of a short recording.
const SECONDS: f64 = 60.0;
/// Most bytes of a longer recording that comes with the call.
const LONG: usize = 5 * 1024 * 1024;

/// A recording of up to a minute.
pub(super) const SENTENCE_RECOGNITION: Action = Action {
    service: SERVICE,
    version: VERSION,
    operation: Operation::new("SentenceRecognition", "speech.transcribe"),
    fields: &[
        must("EngSerViceType", Kind::Text),
        must("SourceType", Kind::Natural),
        must("VoiceFormat", Kind::Text),
        may("ProjectId", Kind::Natural),
        may("SubServiceType", Kind::Natural),
        may("Url", Kind::Text),
        may("UsrAudioKey", Kind::Text),
        may("Data", Kind::Text),
        may("DataLen", Kind::Integer),
        may("WordInfo", Kind::Integer),
        may("FilterDirty", Kind::Integer),
        may("FilterModal", Kind::Integer),
        may("FilterPunc", Kind::Integer),
        may("ConvertNumMode", Kind::Integer),
        may("HotwordId", Kind::Text),
        may("CustomizationId", Kind::Text),
        may("ReinforceHotword", Kind::Integer),
        may("HotwordList", Kind::Text),
        may("InputSampleRate", Kind::Integer),
        may("ReplaceTextId", Kind::Text),
    ],
    serve: sentence,
};

/// Submits a longer recording.
pub(super) const CREATE_REC_TASK: Action = Action {
    service: SERVICE,
    version: VERSION,
    operation: Operation::new("CreateRecTask", "speech.transcribe"),
    fields: &[
        must("EngineModelType", Kind::Text),
        must("ChannelNum", Kind::Natural),
        must("ResTextFormat", Kind::Natural),
        must("SourceType", Kind::Natural),
        may("Data", Kind::Text),
        may("DataLen", Kind::Natural),
        may("Url", Kind::Text),
        may("CallbackUrl", Kind::Text),
        may("SpeakerDiarization", Kind::Integer),
        may("SpeakerNumber", Kind::Integer),
        may("HotwordId", Kind::Text),
        may("ReinforceHotword", Kind::Integer),
        may("CustomizationId", Kind::Text),
        may("EmotionRecognition", Kind::Integer),
        may("EmotionalEnergy", Kind::Integer),
        may("ConvertNumMode", Kind::Integer),
        may("FilterDirty", Kind::Integer),
        may("FilterPunc", Kind::Integer),
        may("FilterModal", Kind::Integer),
        may("SentenceMaxLength", Kind::Integer),
        may("Extra", Kind::Text),
        may("HotwordList", Kind::Text),
        may("KeyWordLibIdList", Kind::Texts),
        may("ReplaceTextId", Kind::Text),
        may("SpeakerRoles", Kind::Objects),
    ],
    serve: create,
};

/// Asks after a task.
pub(super) const DESCRIBE_TASK_STATUS: Action = Action {
    service: SERVICE,
    version: VERSION,
    operation: Operation::new("DescribeTaskStatus", "speech.transcribe"),
    fields: &[must("TaskId", Kind::Natural)],
    serve: describe,
};

/// Engines that both calls have.
const ENGINES: [&str; 22] = [
    "8k_zh",
    "8k_en",
    "16k_zh",
    "16k_zh-PY",
    "16k_zh_medical",
    "16k_en",
    "16k_yue",
    "16k_ja",
    "16k_ko",
    "16k_vi",
    "16k_ms",
    "16k_id",
    "16k_fil",
    "16k_th",
    "16k_pt",
    "16k_tr",
    "16k_ar",
    "16k_es",
    "16k_hi",
    "16k_fr",
    "16k_de",
    "16k_zh_dialect",
];
/// Engines for longer recordings alone.
const LARGE: [&str; 7] = [
    "16k_zh_en_2.0",
    "16k_zh_en_meeting",
    "16k_zh_en",
    "16k_zh-TW",
    "16k_multi_lang",
    "16k_en_large",
    "8k_zh_large",
];
/// Formats of short recordings, as the caller names them.
const FORMATS: [&str; 9] = [
    "wav", "pcm", "ogg-opus", "speex", "silk", "mp3", "m4a", "aac", "amr",
];

/// A longer recording and how it is to be rendered.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// Who submitted it: nobody else sees it.
    account: String,
    /// What is said, or why nothing can be.
    heard: Result<Transcript, &'static str>,
    /// `ResTextFormat`: 0 without words, 1 with words, from 2 on with their punctuation.
    form: i64,
    /// Whether speakers are told apart.
    diarize: bool,
}

fn bad(call: &Call, code: &str, message: &str) -> Answer {
    failure(call, &format!("InvalidParameterValue.{code}"), message)
}

/// The recording's bytes, decoded; at most so many as given, counted in base64.
fn data(call: &Call, params: &Params, most: usize) -> Result<Vec<u8>, Answer> {
    let data = params.text("Data");
    if data.is_empty() {
        let message = "`Data` is required when `SourceType` is 1.";
        return Err(failure(
            call,
            "InvalidParameter.ErrorParamsMissing",
            message,
        ));
    }
    if data.len() > most {
        let message = "The recording is too large.";
        return Err(bad(call, "ErrorVoicedataTooLong", message));
    }
    let Ok(bytes) = STANDARD.decode(data) else {
        let message = "`Data` is not base64.";
        return Err(bad(call, "ErrorInvalidVoicedata", message));
    };
    let length = params.integer("DataLen");
    if length.is_some_and(|length| usize::try_from(length) != Ok(bytes.len())) {
        let message = "`DataLen` is not the length of the data before base64.";
        return Err(failure(
            call,
            "InvalidParameter.ErrorContentlength",
            message,
        ));
    }
    Ok(bytes)
}

fn sentence(_: &Tencent, call: &Call, params: &Params) -> Result<Answer, Answer> {
    let engine = params.text("EngSerViceType");
    if !ENGINES.contains(&engine) {
        let message = "There is no such engine.";
        return Err(bad(call, "ErrorInvalidEngservice", message));
    }
    let format = params.text("VoiceFormat");
    if !FORMATS.contains(&format) {
        let message = "The format is not supported.";
        return Err(bad(call, "ErrorInvalidVoiceFormat", message));
    }
    let words = params.integer("WordInfo").unwrap_or_default();
    if !(0..=2).contains(&words) {
        let message = "`WordInfo` is 0, 1 or 2.";
        return Err(failure(call, "InvalidParameterValue", message));
    }
    match params.integer("SourceType") {
        Some(0) if params.text("Url").is_empty() => {
            let message = "`Url` is required when `SourceType` is 0.";
            return Err(bad(call, "ErrorInvalidUrl", message));
        }
        Some(0) => {
            let message = "The recording could not be downloaded.";
            return Err(failure(call, "FailedOperation.ErrorDownFile", message));
        }
        Some(1) => {}
        _ => {
            let message = "`SourceType` is 0 or 1.";
            return Err(bad(call, "ErrorInvalidSourcetype", message));
        }
    }
    if params.integer("DataLen").is_none() {
        let message = "`DataLen` is required when `SourceType` is 1.";
        return Err(failure(
            call,
            "InvalidParameter.ErrorParamsMissing",
            message,
        ));
    }
    let bytes = data(call, params, SHORT)?;
    let eight = engine.starts_with("8k") || params.integer("InputSampleRate") == Some(8000);
    let rate = if eight { 8000 } else { 16_000 };
    let Ok(audio) = audio::named(&bytes, format, rate) else {
        let message = "The data is not a recording of this format.";
        return Err(bad(call, "ErrorInvalidVoicedata", message));
    };
    if audio.duration > SECONDS {
        let message = "The recording is longer than 60 seconds.";
        return Err(bad(call, "ErrorVoicedataTooLong", message));
    }
    let heard = speech::transcribe(&bytes, &audio);
    let list: Vec<_> = heard
        .words
        .iter()
        .filter(|_| words > 0)
        .map(|word| {
            json!({
                "Word": written(word, words == 2),
                "StartTime": millis(word.start),
                "EndTime": millis(word.end),
            })
        })
        .collect();
    let members = json!({
        "Result": heard.text(),
        "AudioDuration": millis(heard.duration),
        "WordSize": list.len(),
        "WordList": if words > 0 { json!(list) } else { Value::Null },
    });
    let answer = success(call, members).fact("model", engine);
    Ok(answer.fact("seconds", heard.duration))
}

fn create(tencent: &Tencent, call: &Call, params: &Params) -> Result<Answer, Answer> {
    let engine = params.text("EngineModelType");
    if !ENGINES.contains(&engine) && !LARGE.contains(&engine) {
        let message = "There is no such engine.";
        return Err(bad(call, "ErrorInvalidEngservice", message));
    }
    let within = |name: &str, low: i64, high: i64| {
        let value = params.integer(name).unwrap_or_default();
        (low..=high).contains(&value).then_some(()).ok_or_else(|| {
            let message = format!("`{name}` is out of its range.");
            failure(call, "InvalidParameterValue", &message)
        })
    };
    within(
        "ChannelNum",
        1,
        if engine.starts_with("8k") { 2 } else { 1 },
    )?;
    within("ResTextFormat", 0, 5)?;
    within("SpeakerNumber", 0, 10)?;
    let speakers = params.integer("SpeakerDiarization").unwrap_or_default();
    if ![0, 1, 3].contains(&speakers) {
        let message = "`SpeakerDiarization` is 0, 1 or 3.";
        return Err(failure(call, "InvalidParameterValue", message));
    }
    let heard = match params.integer("SourceType") {
        Some(0) if params.text("Url").is_empty() => {
            let message = "`Url` is required when `SourceType` is 0.";
            return Err(bad(call, "ErrorInvalidUrl", message));
        }
        Some(0) => Err("Failed to download audio file!"),
        Some(1) => {
            let bytes = data(call, params, LONG.div_ceil(3) * 4)?;
            match audio::probe(&bytes) {
                Ok(audio) => Ok(speech::transcribe(&bytes, &audio)),
                Err(_) => Err("Failed to decode audio file!"),
            }
        }
        _ => {
            let message = "`SourceType` is 0 or 1.";
            return Err(bad(call, "ErrorInvalidSourcetype", message));
        }
    };
    let seconds = heard.as_ref().map_or(0.0, |heard| heard.duration);
    let failed = call.fail_job || heard.is_err();
    let id = u64::from_str_radix(&call.hex_id("task", 8), 16).unwrap_or_default();
    let task = Task {
        account: call.account.clone(),
        heard,
        form: params.integer("ResTextFormat").unwrap_or_default(),
        diarize: speakers > 0,
    };
    tencent.tasks.submit(&id.to_string(), task, failed);
    let answer = success(call, json!({ "Data": { "TaskId": id } }));
    let answer = answer.fact("model", engine).fact("job", id);
    Ok(answer.fact("seconds", seconds))
}

fn describe(tencent: &Tencent, call: &Call, params: &Params) -> Result<Answer, Answer> {
    let id = params.integer("TaskId").unwrap_or_default();
    let name = id.to_string();
    let gone = || failure(call, "FailedOperation.NoSuchTask", "There is no such task.");
    let owner = tencent.tasks.peek(&name).map(|(_, task)| task.account);
    if owner.as_deref() != Some(call.account.as_str()) {
        return Err(gone());
    }
    if call.fail_job {
        tencent.tasks.fail(&name);
    }
    let (stage, task) = tencent.tasks.poll(&name).ok_or_else(gone)?;
    let (status, text) = match stage {
        Stage::Queued => (0, "waiting"),
        Stage::Running => (1, "doing"),
        Stage::Done => (2, "success"),
        Stage::Failed => (3, "failed"),
    };
    let mut data = json!({
        "TaskId": id,
        "Status": status,
        "StatusStr": text,
        "Result": "",
        "ErrorMsg": "",
        "ResultDetail": [],
        "AudioDuration": 0,
    });
    let mut set = |name: &str, value: Value| {
        if let Some(member) = data.get_mut(name) {
            *member = value;
        }
    };
    match (stage, &task.heard) {
        (Stage::Done, Ok(heard)) => {
            set("Result", json!(result(heard, task.diarize)));
            set("ResultDetail", details(heard, task.form, task.diarize));
            set("AudioDuration", json!(heard.duration));
        }
        (Stage::Failed, Err(reason)) => set("ErrorMsg", json!(reason)),
        (Stage::Failed, Ok(_)) => set("ErrorMsg", json!("Failed to recognize audio!")),
        _ => {}
    }
    Ok(success(call, json!({ "Data": data })).fact("job", id))
}

/// One line for each sentence: its times as minutes and seconds, its speaker where told apart, two spaces, its text.
fn result(heard: &Transcript, diarize: bool) -> String {
    let line = |words: &[Word]| {
        let speaker = match words.first() {
            Some(word) if diarize => format!(",{}", word.speaker),
            _ => String::new(),
        };
        let (start, end) = ends(words);
        let text = speech::joined(words);
        format!("[{},{}{speaker}]  {text}\n", clock(start), clock(end))
    };
    heard.sentences().into_iter().map(line).collect()
}

fn details(heard: &Transcript, form: i64, diarize: bool) -> Value {
    if form == 0 {
        return Value::Null;
    }
    let mut before = 0.0;
    let detail = |words: &[Word]| {
        let (start, end) = ends(words);
        let silence = start - before;
        before = end;
        let bare: Vec<_> = words.iter().map(Word::unpunctuated).collect();
        let letters: usize = words.iter().map(|word| word.text.chars().count()).sum();
        let each = words.iter().map(|word| {
            json!({
                "Word": written(word, form >= 2),
                "OffsetStartMs": millis(word.start - start),
                "OffsetEndMs": millis(word.end - start),
            })
        });
        json!({
            "FinalSentence": speech::joined(words),
            "SliceSentence": bare.join(" "),
            "StartMs": millis(start),
            "EndMs": millis(end),
            "WordsNum": words.len(),
            "Words": each.collect::<Vec<_>>(),
            "SpeechSpeed": audio::rounded(audio::as_f64(letters) / (end - start).max(0.1)),
            "SpeakerId": words.first().filter(|_| diarize).map_or(0, |word| word.speaker),
            "EmotionalEnergy": 0,
            "SilenceTime": millis(silence),
            "EmotionType": null,
        })
    };
    heard.sentences().into_iter().map(detail).collect()
}

fn ends(words: &[Word]) -> (f64, f64) {
    let start = words.first().map_or(0.0, |word| word.start);
    (start, words.last().map_or(0.0, |word| word.end))
}

fn written(word: &Word, punctuated: bool) -> &str {
    if punctuated {
        &word.text
    } else {
        word.unpunctuated()
    }
}

/// Minutes, a colon, and seconds with three decimals.
fn clock(seconds: f64) -> String {
    let minutes = (seconds / 60.0).floor();
    format!("{minutes:.0}:{:.3}", seconds - minutes * 60.0)
}

/// Whole milliseconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "recordings are hours long at most"
)]
pub(super) fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rendered_in_the_vendor_s_units() {
        assert_eq!(millis(4.185), 4185);
        assert_eq!(clock(2.38), "0:2.380");
        assert_eq!(clock(61.5), "1:1.500");
    }
}
