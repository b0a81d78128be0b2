//! Cues as people expect them, and any cues read back by parsers that are not ours.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn words_of(text: &str, seconds: f64) -> Vec<Spoken<'_>> {
    text.split(' ')
        .enumerate()
        .map(|(n, text)| {
            let start = n as f64 * seconds;
            Spoken {
                start,
                end: start + seconds,
                text,
                speaker: None,
            }
        })
        .collect()
}

fn check(spoken: Vec<Spoken>, duration: Option<f64>, expected: &[(f64, f64, &str)]) {
    let found = cues(spoken, duration);
    let found: Vec<(f64, f64, &str)> = found
        .iter()
        .map(|cue| (cue.start, cue.end, cue.text.as_str()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn sentences_get_a_cue_each() {
    check(
        words_of(
            "Good morning. How are you? Dr. J. Smith is \"in.\" Fine",
            0.5,
        ),
        None,
        &[
            (0.0, 1.0, "Good morning."),
            (1.0, 2.5, "How are you?"),
            (2.5, 5.0, "Dr. J. Smith is \"in.\""),
            (5.0, 5.5, "Fine"),
        ],
    );
}

#[test]
fn long_sentences_fill_two_lines_and_go_on_in_the_next_cue() {
    check(
        words_of(
            "the quick brown fox jumps over the lazy dog while the slow green turtle looks on from under its shell and wonders",
            0.3,
        ),
        None,
        &[
            (
                0.0,
                4.8,
                "the quick brown fox jumps over the lazy\ndog while the slow green turtle looks on",
            ),
            (4.8, 6.6, "from under its shell and wonders"),
        ],
    );
}

#[test]
fn pauses_and_speakers_part_cues() {
    let say = |start, end, text, speaker| Spoken {
        start,
        end,
        text,
        speaker,
    };
    let spoken = [
        say(0.0, 0.4, "well", Some("A")),
        say(1.2, 1.5, "yes", Some("A")),
        say(2.31, 2.6, "maybe", Some("A")),
        say(2.7, 3.0, "no", Some("B")),
    ];
    let found = cues(spoken, None);
    let found: Vec<_> = found
        .iter()
        .map(|cue| (cue.text.as_str(), cue.speaker.as_deref()))
        .collect();
    assert_eq!(
        found,
        [
            ("well yes", Some("A")),
            ("maybe", Some("A")),
            ("no", Some("B"))
        ]
    );
}

#[test]
fn slow_speech_is_parted_before_seven_seconds_and_stands_no_longer() {
    check(
        words_of("one two three", 3.0),
        None,
        &[(0.0, 6.0, "one two"), (6.0, 9.0, "three")],
    );
    check(words_of("Ommmmm", 20.0), None, &[(0.0, 7.0, "Ommmmm")]);
}

#[test]
fn words_of_a_segment_share_its_time() {
    let text = "aaaa bbbb. cccc dddd";
    check(
        vec![Spoken {
            start: 10.0,
            end: 14.0,
            text,
            speaker: None,
        }],
        None,
        &[(10.0, 12.117, "aaaa bbbb."), (12.117, 14.0, "cccc dddd")],
    );
}

#[test]
fn chinese_is_written_without_spaces_and_counts_double() {
    let word = |n: usize, text| Spoken {
        start: n as f64 * 0.2,
        end: n as f64 * 0.2 + 0.2,
        text,
        speaker: None,
    };
    check(
        vec![
            word(0, "你"),
            word(1, "好"),
            word(2, "。"),
            word(3, "OK"),
            word(4, "吗"),
        ],
        None,
        &[(0.0, 0.6, "你好。"), (0.6, 1.0, "OK 吗")],
    );
    let long = "天".repeat(50);
    let found = cues(
        [Spoken {
            start: 0.0,
            end: 5.0,
            text: &long,
            speaker: None,
        }],
        None,
    );
    let lines: Vec<usize> = found
        .iter()
        .flat_map(|cue| cue.text.lines().map(|line| line.chars().count()))
        .collect();
    assert_eq!(lines, [21, 21, 8]);
}

#[test]
fn punctuation_that_comes_alone_joins_the_word_before() {
    let spoken =
        [("Hello", 0.0), (",", 0.4), ("world", 0.5), ("!", 0.9)].map(|(text, start)| Spoken {
            start,
            end: start + 0.1,
            text,
            speaker: None,
        });
    check(spoken.to_vec(), None, &[(0.0, 1.0, "Hello, world!")]);
}

#[test]
fn times_that_make_no_sense_still_give_cues_in_order_inside_the_recording() {
    let say = |start, end, text| Spoken {
        start,
        end,
        text,
        speaker: None,
    };
    check(
        vec![
            say(f64::NAN, -1.0, "Ah."),
            say(5.0, 2.0, "But."),
            say(1.0, f64::INFINITY, "Come."),
            say(1e300, 1e300, "Do."),
        ],
        Some(6.0),
        &[
            (0.0, 0.001, "Ah."),
            (5.0, 5.001, "But."),
            (5.001, 5.999, "Come."),
            (5.999, 6.0, "Do."),
        ],
    );
    check(
        vec![say(0.0, 0.0, "Ah."), say(0.0, 0.0, "But.")],
        Some(0.0),
        &[(0.0, 0.001, "Ah."), (0.001, 0.002, "But.")],
    );
}

#[test]
fn clocks_round_and_carry() {
    for (seconds, expected) in [
        (0.0, "00:00:00.000"),
        (59.9994, "00:00:59.999"),
        (59.9996, "00:01:00.000"),
        (3_599.999_9, "01:00:00.000"),
        (360_000.5, "100:00:00.500"),
        (-3.0, "00:00:00.000"),
        (f64::NAN, "00:00:00.000"),
        (f64::INFINITY, "10000:00:00.000"),
    ] {
        assert_eq!(clock(milliseconds(seconds), '.'), expected, "{seconds}");
    }
}

fn cue(text: &str, speaker: Option<&str>) -> Cue {
    Cue {
        start: 1.0,
        end: 2.5,
        text: text.into(),
        speaker: speaker.map(str::to_owned),
    }
}

#[test]
fn srt_names_speakers_when_they_change() {
    let cues = [
        cue("Hi", Some("Ann")),
        cue("there", Some("Ann")),
        cue(" \n\n ", Some("Eve")),
        cue("x --> y", Some("Bob")),
        cue("?", None),
    ];
    assert_eq!(
        srt(&cues),
        "1\n00:00:01,000 --> 00:00:02,500\nAnn: Hi\n\n\
         2\n00:00:01,000 --> 00:00:02,500\nthere\n\n\
         3\n00:00:01,000 --> 00:00:02,500\nBob: x -- > y\n\n\
         4\n00:00:01,000 --> 00:00:02,500\n?\n\n"
    );
}

#[test]
fn vtt_escapes_what_it_must() {
    let cues = [cue("a --> b\r\n\r\nNOTE R&D <i>", Some("Ann\n> Eve"))];
    assert_eq!(
        vtt(&cues),
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n<v Ann &gt; Eve>a --&gt; b\nNOTE R&amp;D &lt;i&gt;\n\n"
    );
    assert_eq!(vtt(&[]), "WEBVTT\n\n");
    assert_eq!(srt(&[]), "");
}

/// Text without what readers and writers may change: spaces and control characters.
fn bare(text: &str) -> String {
    text.chars()
        .filter(|char| !char.is_whitespace() && !char.is_control())
        .collect()
}

/// Start, end, text and speaker.
type Line = (f64, f64, String, Option<String>);

fn spoken() -> impl Strategy<Value = Vec<Line>> {
    let text = prop_oneof![
        4 => "[a-zA-Z',]{1,10}[.?!]?",
        1 => "[a-z .?]{0,200}",
        1 => "[一-龥、。]{1,60}",
        1 => "(-->|&|<|>|\n|\r\n|\u{2028}|1|00:00:01,000 --> 00:00:02,000|STYLE|NOTE| ){1,6}",
        1 => "\\PC{0,60}",
        1 => any::<String>(),
    ];
    let time = prop_oneof![8 => 0.0..100.0, 1 => -1e6..1e6, 1 => any::<f64>()];
    let gap = prop_oneof![8 => 0.0..3.0, 1 => any::<f64>()];
    let speaker =
        prop::option::of(prop_oneof![4 => "[AB]", 1 => "\\PC{0,8}", 1 => any::<String>()]);
    prop::collection::vec((time, gap, text, speaker), 0..60).prop_map(|mut spoken| {
        // Mostly in order, as vendors have them.
        if spoken.len() % 4 > 0 {
            spoken.sort_by(|a: &Line, b: &Line| a.0.total_cmp(&b.0));
        }
        spoken
            .into_iter()
            .map(|(start, gap, text, speaker)| (start, start + gap, text, speaker))
            .collect()
    })
}

fn borrowed(spoken: &[Line]) -> Vec<Spoken<'_>> {
    spoken
        .iter()
        .map(|(start, end, text, speaker)| Spoken {
            start: *start,
            end: *end,
            text,
            speaker: speaker.as_deref(),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cues_are_in_order_apart_short_narrow_and_complete(spoken in spoken(), duration in 1.0..200.0_f64) {
        let found = cues(borrowed(&spoken), Some(duration));
        let mut before = 0.0;
        for cue in &found {
            prop_assert!(cue.start >= before && cue.end > cue.start, "{:?} after {}", cue, before);
            prop_assert!(cue.end - cue.start <= 7.000_001, "{:?}", cue);
            prop_assert!(cue.text.lines().count() <= LINES && cue.text.lines().all(|line| width(line) <= LINE), "{:?}", cue);
            before = cue.end;
        }
        prop_assert!(before <= duration + 0.000_5, "{} of {}", before, duration);
        let said: String = spoken.iter().map(|(_, _, text, _)| bare(text)).collect();
        let shown: String = found.iter().map(|cue| bare(&cue.text)).collect();
        prop_assert_eq!(said, shown);
    }

    #[test]
    fn words_keep_their_times_where_these_make_sense(lengths in prop::collection::vec((0.05..0.8_f64, 0.0..2.0_f64, "[a-z]{1,9}[.]?"), 1..50)) {
        let mut now = 0.0;
        let spoken: Vec<_> = lengths.into_iter().map(|(length, gap, text)| {
            let start: f64 = now + gap;
            now = start + length;
            (start, now, text, None)
        }).collect();
        let found = cues(borrowed(&spoken), Some(now));
        let mut words = spoken.iter();
        for cue in found {
            let texts: Vec<&str> = cue.text.split_whitespace().collect();
            let inside: Vec<_> = words.by_ref().take(texts.len()).collect();
            prop_assert!((inside[0].0 - cue.start).abs() < 0.001_1, "{:?}", cue);
            prop_assert!((inside[inside.len() - 1].1 - cue.end).abs() < 0.001_1, "{:?}", cue);
        }
    }

    #[test]
    fn srt_is_read_back_by_another_parser(spoken in spoken()) {
        let cues: Vec<Cue> = cues(borrowed(&spoken), None).into_iter().map(|cue| Cue { speaker: None, ..cue }).collect();
        let written = srt(&cues);
        let read = if cues.is_empty() { Vec::new() } else { srtparse::from_str(&written).map_err(|error| TestCaseError::fail(format!("{error}\n{written}")))? };
        prop_assert_eq!(read.len(), cues.len(), "{}", written);
        for (n, (item, cue)) in read.iter().zip(&cues).enumerate() {
            prop_assert_eq!(item.pos, n + 1);
            prop_assert_eq!(u128::from(times(cue).0), Duration::from(item.start_time).as_millis());
            prop_assert_eq!(u128::from(times(cue).1), Duration::from(item.end_time).as_millis());
            prop_assert_eq!(bare(&item.text), bare(&cue.text));
        }
    }

    #[test]
    fn vtt_is_read_back_by_another_parser(spoken in spoken()) {
        let cues = cues(borrowed(&spoken), None);
        let written = vtt(&cues);
        let read = webvtt::parse_file(&written).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(read.blocks.len(), cues.len(), "{}", written);
        for (webvtt::Block::Cue(item), cue) in read.blocks.iter().zip(&cues) {
            prop_assert_eq!(u128::from(times(cue).0), item.start.as_millis());
            prop_assert_eq!(u128::from(times(cue).1), item.end.as_millis());
            let (voice, text) = match item.text.strip_prefix("<v ") {
                Some(rest) => rest.split_once('>').expect("the tag is closed"),
                None => ("", item.text.as_str()),
            };
            prop_assert!(!text.contains(['<', '>']), "{}", text);
            let plain = |text: &str| bare(&text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"));
            prop_assert_eq!(plain(text), bare(&cue.text));
            prop_assert_eq!(plain(voice), bare(cue.speaker.as_deref().unwrap_or_default()));
        }
    }

    #[test]
    fn any_cues_at_all_are_written_so_that_they_can_be_read(
        cues in prop::collection::vec((any::<f64>(), any::<f64>(), any::<String>(), prop::option::of(any::<String>())), 0..20),
    ) {
        let cues: Vec<Cue> = cues.into_iter().map(|(start, end, text, speaker)| Cue { start, end, text, speaker }).collect();
        let shown = cues.iter().filter(|cue| !bare(&cue.text).is_empty()).count();
        let written = vtt(&cues);
        prop_assert_eq!(webvtt::parse_file(&written).expect("a file").blocks.len(), shown, "{}", written);
        if shown > 0 {
            prop_assert_eq!(srtparse::from_str(srt(&cues)).expect("a file").len(), shown);
        }
    }
}
