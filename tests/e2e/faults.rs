//! The fault matrix: every fault of the first account, under every policy, for every kind of request.
//!
//! What must come of each cell is written here as a table of its own, from the design's words and not from the code:
//! a request that may have been carried out is never sent elsewhere unless repeating it is harmless.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use isobar_sandbox::{Fault, Upstream, Vacant};
use isobar_tests::{Gateway, Seen, see};

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get,
    PostSmall,
    PostMebibyte,
    /// Of unknown length: Pingora's pipeline.
    PostStreaming,
    /// A GET whose answer is larger than what is read before the client is told.
    GetLarge,
}

/// How the pool picks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Order,
    Weighted,
    Hedged,
}

/// What the first account does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Refused,
    ResetAtAccept,
    ResetBeforeHead,
    ResetAfterExecuting,
    ResetMidBody,
    Timeout,
    Status500,
    Status503,
    Busy,
    Truncated,
    TruncatedChunks,
    Malformed,
    Empty,
    UnaskedUpgrade,
    EndlessInterim,
    SlowBody,
    Stall,
}

const KINDS: [Kind; 5] = [
    Kind::Get,
    Kind::PostSmall,
    Kind::PostMebibyte,
    Kind::PostStreaming,
    Kind::GetLarge,
];
const POLICIES: [Policy; 3] = [Policy::Order, Policy::Weighted, Policy::Hedged];
const BROKEN: [Broken; 17] = [
    Broken::Refused,
    Broken::ResetAtAccept,
    Broken::ResetBeforeHead,
    Broken::ResetAfterExecuting,
    Broken::ResetMidBody,
    Broken::Timeout,
    Broken::Status500,
    Broken::Status503,
    Broken::Busy,
    Broken::Truncated,
    Broken::TruncatedChunks,
    Broken::Malformed,
    Broken::Empty,
    Broken::UnaskedUpgrade,
    Broken::EndlessInterim,
    Broken::SlowBody,
    Broken::Stall,
];

/// What the client must see.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    /// The second account's answer, whole.
    Other,
    /// The first account's answer, whole, with this status.
    First(u16),
    /// The connection was lost so early that it may or may not have been used: as [`Self::Other`] or [`Self::Unknown`].
    OtherOrUnknown,
    /// A problem that says the outcome is unknown, and nothing at the second account.
    Unknown(u16),
    /// The first account's answer begins and breaks off; the client can tell.
    Cut,
}

impl Broken {
    fn fault(self) -> Fault {
        match self {
            Self::Refused => Fault::None,
            Self::ResetAtAccept => Fault::ResetAtAccept,
            Self::ResetBeforeHead => Fault::ResetBeforeHead,
            Self::ResetAfterExecuting => Fault::ResetAfterExecuting,
            Self::ResetMidBody => Fault::ResetMidBody,
            Self::Timeout => Fault::Hang,
            Self::Status500 => Fault::StatusAfterExecuting(500),
            Self::Status503 => Fault::status(503),
            Self::Busy => Fault::busy(30),
            Self::Truncated => Fault::Truncated,
            Self::TruncatedChunks => Fault::TruncatedChunks,
            Self::Malformed => Fault::raw("HTP/7 yes\r\nwhat: ever\r\n\r\nbody"),
            Self::Empty => Fault::raw(""),
            Self::UnaskedUpgrade => {
                Fault::raw("HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
            }
            Self::EndlessInterim => Fault::Interim(10_000),
            Self::SlowBody => Fault::SlowBody(Duration::from_millis(2)),
            Self::Stall => Fault::Stall,
        }
    }
}

#[expect(clippy::match_same_arms, reason = "a table, row by row")]
fn expected(broken: Broken, kind: Kind) -> Expected {
    let harmless = matches!(kind, Kind::Get | Kind::GetLarge);
    // The answer's head is passed on before its body has come to its end.
    let committed = matches!(kind, Kind::PostStreaming | Kind::GetLarge);
    match broken {
        // Too much of the body is gone to send it again; the vendor's refusal is the answer.
        Broken::Busy if kind == Kind::PostStreaming => Expected::First(429),
        Broken::Refused | Broken::Busy => Expected::Other,
        Broken::SlowBody => Expected::First(200),
        Broken::ResetAtAccept if !harmless => Expected::OtherOrUnknown,
        Broken::ResetAtAccept
        | Broken::ResetBeforeHead
        | Broken::ResetAfterExecuting
        | Broken::Malformed
        | Broken::Empty
        | Broken::UnaskedUpgrade
        | Broken::EndlessInterim => {
            if harmless {
                Expected::Other
            } else {
                Expected::Unknown(502)
            }
        }
        Broken::Timeout if harmless => Expected::Other,
        Broken::Timeout => Expected::Unknown(504),
        Broken::Status500 if harmless => Expected::Other,
        Broken::Status500 => Expected::First(500),
        Broken::Status503 if harmless => Expected::Other,
        Broken::Status503 => Expected::First(503),
        Broken::ResetMidBody | Broken::Truncated | Broken::Stall if committed => Expected::Cut,
        // Of unknown length, and perhaps an event stream: passed on as it comes.
        Broken::TruncatedChunks => Expected::Cut,
        Broken::ResetMidBody | Broken::Truncated => {
            if harmless {
                Expected::Other
            } else {
                Expected::Unknown(502)
            }
        }
        Broken::Stall if harmless => Expected::Other,
        Broken::Stall => Expected::Unknown(504),
    }
}

async fn send(gateway: &Gateway, kind: Kind) -> Seen {
    let post = || gateway.request("POST", "/effect");
    match kind {
        Kind::Get => gateway.get("/read").await,
        Kind::GetLarge => gateway.get("/bytes/300000").await,
        Kind::PostSmall => see(post().body("small")).await,
        Kind::PostMebibyte => see(post().body(vec![b'x'; 1 << 20])).await,
        Kind::PostStreaming => {
            let pieces =
                (0..16).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'y'; 16 << 10])));
            see(post().body(reqwest::Body::wrap_stream(stream::iter(pieces)))).await
        }
    }
}

fn config(a: &str, b: &str, policy: Policy, broken: Broken, kind: Kind) -> String {
    // Time runs out only where the vendor is silent; elsewhere no machine is too slow for the limits.
    let silent = matches!(broken, Broken::Timeout | Broken::Stall);
    let limit = if silent { "2s" } else { "30s" };
    // A large answer has begun before it stalls, and is then nobody's to overtake.
    let begun = broken == Broken::Stall && kind == Kind::GetLarge;
    let hedge = if silent && !begun { "150ms" } else { "20s" };
    let pool = match policy {
        Policy::Order => "members: [a, b]".to_owned(),
        Policy::Weighted => {
            "members: [ { use: a, weight: 1000000 }, { use: b, weight: 1 } ], policy: weighted"
                .to_owned()
        }
        Policy::Hedged => format!("members: [a, b], hedge: {hedge}"),
    };
    format!(
        "upstreams: {{ a: \"{a}\", b: \"{b}\" }}\n\
         routes:\n  - match: \"/*\"\n    anonymous: true\n    forward: {{ {pool} }}\n    \
         limits: {{ attempt: {limit}, idle: {limit} }}\n"
    )
}

fn is_hedged(policy: Policy, kind: Kind) -> bool {
    policy == Policy::Hedged && matches!(kind, Kind::Get | Kind::GetLarge)
}

async fn cell(broken: Broken, policy: Policy, kind: Kind) {
    let cell = format!("{broken:?} × {policy:?} × {kind:?}");
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    let vacant = Vacant::reserve().unwrap();
    a.always(broken.fault());
    let url = if broken == Broken::Refused {
        vacant.url()
    } else {
        a.url()
    };
    let gateway = Gateway::start(&config(&url, &b.url(), policy, broken, kind)).await;
    let seen = send(&gateway, kind).await;

    let (at_a, at_b) = (a.ledger(), b.ledger());
    let told = format!("{cell}: {seen:?}")
        .chars()
        .take(1_500)
        .collect::<String>();
    let want = match expected(broken, kind) {
        Expected::OtherOrUnknown if seen.status == 200 => Expected::Other,
        Expected::OtherOrUnknown => Expected::Unknown(502),
        want => want,
    };
    match want {
        Expected::Other => {
            assert_eq!(
                (seen.status, seen.vendor(), seen.whole),
                (200, "b", true),
                "{told}"
            );
            assert_eq!(at_b.len(), 1, "{told}");
            assert_eq!(seen.attempts(), "2", "{told}");
            // A slow first account is overtaken by the second when reads are hedged.
            let slow = matches!(broken, Broken::Timeout | Broken::Stall);
            let overtaken = seen.header("server-timing").contains("\"a overtaken\"");
            assert_eq!(overtaken, slow && is_hedged(policy, kind), "{told}");
        }
        Expected::First(status) => {
            assert_eq!(
                (seen.status, seen.vendor(), seen.whole),
                (status, "a", true),
                "{told}"
            );
            assert_eq!((seen.attempts(), at_b.len()), ("1", 0), "{told}");
        }
        Expected::Unknown(status) => {
            assert_eq!(
                (seen.status, seen.problem().as_str()),
                (status, "outcome-unknown"),
                "{told}"
            );
            assert_eq!((seen.attempts(), at_b.len()), ("1", 0), "{told}");
            assert_eq!(seen.json()["attempts"][0]["verdict"], "unknown", "{told}");
        }
        Expected::OtherOrUnknown => unreachable!("decided above"),
        Expected::Cut => {
            assert_eq!(
                (seen.status, seen.vendor(), seen.whole),
                (200, "a", false),
                "{told}"
            );
            assert_eq!(at_b.len(), 0, "{told}");
        }
    }
    if !matches!(kind, Kind::Get | Kind::GetLarge) {
        let executed = at_a
            .iter()
            .chain(&at_b)
            .filter(|entry| entry.executed)
            .count();
        assert!(executed <= 1, "{cell}: executed {executed} times");
    }
    let length = match kind {
        Kind::Get | Kind::GetLarge => 0,
        Kind::PostSmall => 5,
        Kind::PostMebibyte => 1 << 20,
        Kind::PostStreaming => 256 << 10,
    };
    for entry in at_b.iter().filter(|entry| entry.complete) {
        assert_eq!(entry.body_length, length, "{cell}: the body at b");
    }
}

async fn row(policy: Policy, kind: Kind) {
    // Cells share nothing, and most of their time is waiting.
    futures_util::future::join_all(BROKEN.map(|broken| cell(broken, policy, kind))).await;
}

macro_rules! rows {
    ($($name:ident: $kind:ident),*) => {
        $(mod $name {
            use super::*;

            #[tokio::test]
            async fn in_order() {
                row(Policy::Order, Kind::$kind).await;
            }

            #[tokio::test]
            async fn weighted() {
                row(Policy::Weighted, Kind::$kind).await;
            }

            #[tokio::test]
            async fn hedged() {
                row(Policy::Hedged, Kind::$kind).await;
            }
        })*

        #[test]
        fn the_matrix_is_whole() {
            assert_eq!([$(Kind::$kind),*], KINDS);
            assert_eq!(POLICIES, [Policy::Order, Policy::Weighted, Policy::Hedged]);
        }
    };
}

rows! {
    get: Get,
    post_small: PostSmall,
    post_mebibyte: PostMebibyte,
    post_streaming: PostStreaming,
    get_large: GetLarge
}
