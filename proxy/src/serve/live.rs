//! A request body that is passed on as it comes.
//!
//! The client's side feeds it, the attempt under way draws from it, and neither gets far ahead of the other. Its beginning
//! is kept, so that another attempt may start over until more than that has gone.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

/// Bytes of the beginning that are kept.
const KEPT: u64 = 64 * 1024;
/// Bytes that may wait to be drawn: some reads' worth, so that a turn of the task moves as much. With one read's worth, many
/// uploads at once took turns for each, and one whose turn found nothing to do waited for all others.
const AHEAD: u64 = 256 * 1024;

/// The body, as attempts see it.
#[derive(Debug)]
pub(crate) struct Live(Arc<Mutex<State>>);

/// The end that the client fills; dropping it before the end breaks the body off.
#[derive(Debug)]
pub(crate) struct Feed(Arc<Mutex<State>>);

/// One attempt's sending of the body. A later one takes it over.
#[derive(Debug)]
pub(crate) struct Draw {
    state: Arc<Mutex<State>>,
    turn: u32,
}

#[derive(Debug)]
struct State {
    pieces: VecDeque<Bytes>,
    /// Length in all, where the client said.
    length: Option<u64>,
    fed: u64,
    /// What has been let go of, since too much had come to keep it all.
    dropped: usize,
    /// What the attempt under way has drawn.
    drawn: u64,
    /// Its next piece, counted from the first of all.
    next: usize,
    /// Which attempt that is.
    turn: u32,
    /// It has asked for something.
    begun: bool,
    /// It waits for the client.
    starved: bool,
    end: Option<End>,
    /// When it last drew, or got what it waited for.
    moved: Instant,
    drawer: Option<Waker>,
    feeder: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Broken,
}

/// A body of this length, if it is known, and the end to fill it from.
pub(crate) fn live(length: Option<u64>) -> (Feed, Live) {
    let state = Arc::new(Mutex::new(State {
        pieces: VecDeque::new(),
        length,
        fed: 0,
        dropped: 0,
        drawn: 0,
        next: 0,
        turn: 0,
        begun: false,
        starved: false,
        end: None,
        moved: Instant::now(),
        drawer: None,
        feeder: None,
    }));
    (Feed(Arc::clone(&state)), Live(state))
}

impl State {
    fn is_wanted(&self) -> bool {
        self.begun && self.fed - self.drawn < AHEAD
    }

    /// Lets go of what has been drawn, once there is too much to keep.
    fn forget(&mut self) {
        if self.fed > KEPT {
            while self.dropped < self.next && self.pieces.pop_front().is_some() {
                self.dropped += 1;
            }
        }
    }

    fn wake_drawer(&mut self) {
        if let Some(waker) = self.drawer.take() {
            waker.wake();
        }
    }

    fn wake_feeder(&mut self) {
        if let Some(waker) = self.feeder.take() {
            waker.wake();
        }
    }
}

impl Live {
    /// The body from its beginning, for one attempt.
    pub(crate) fn draw(&self) -> Draw {
        let mut state = self.0.lock();
        state.turn += 1;
        (state.next, state.drawn) = (0, 0);
        (state.begun, state.starved) = (false, false);
        state.moved = Instant::now();
        state.wake_drawer();
        Draw {
            state: Arc::clone(&self.0),
            turn: state.turn,
        }
    }

    /// Whether another attempt could send all of it.
    pub(crate) fn is_repeatable(&self) -> bool {
        let state = self.0.lock();
        state.dropped == 0 && state.end != Some(End::Broken)
    }

    /// Resolves when the attempt under way has neither drawn anything for this long nor waited for the client.
    pub(crate) async fn stalled(&self, patience: Duration) {
        loop {
            let left = {
                let state = self.0.lock();
                if state.starved {
                    patience
                } else {
                    patience.saturating_sub(state.moved.elapsed())
                }
            };
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

impl Feed {
    /// Resolves when more may be fed.
    pub(crate) async fn wanted(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.is_wanted() {
                return Poll::Ready(());
            }
            state.feeder = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Adds what came.
    pub(crate) fn push(&self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        let mut state = self.0.lock();
        state.fed += piece.len() as u64;
        state.pieces.push_back(piece);
        state.forget();
        if state.starved {
            state.starved = false;
            state.moved = Instant::now();
        }
        if state.length == Some(state.fed) {
            state.end = Some(End::Whole);
        }
        state.wake_drawer();
    }

    /// Ends the body.
    pub(crate) fn finish(&self) {
        let mut state = self.0.lock();
        let whole = state.length.is_none_or(|length| length == state.fed);
        state.end = Some(if whole { End::Whole } else { End::Broken });
        state.starved = false;
        state.wake_drawer();
    }

    /// Whether all of it has come.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.lock().end == Some(End::Whole)
    }

    /// Whether the vendor drew something not longer ago than this, or waits for the client.
    pub(crate) fn is_moving(&self, patience: Duration) -> bool {
        let state = self.0.lock();
        state.starved || state.moved.elapsed() < patience
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.end.is_none() {
            state.end = Some(End::Broken);
            state.wake_drawer();
        }
    }
}

impl Body for Draw {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut state = self.state.lock();
        let broken = |why| Poll::Ready(Some(Err(io::Error::other(why))));
        if state.turn != self.turn {
            return broken("another attempt sends the body");
        }
        if state.end == Some(End::Broken) {
            return broken("the client's body broke off");
        }
        state.begun = true;
        let piece = state.next.checked_sub(state.dropped);
        if let Some(piece) = piece.and_then(|at| state.pieces.get(at)).cloned() {
            state.next += 1;
            state.drawn += piece.len() as u64;
            state.moved = Instant::now();
            state.forget();
            state.wake_feeder();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if state.end == Some(End::Whole) {
            return Poll::Ready(None);
        }
        state.starved = true;
        state.drawer = Some(cx.waker().clone());
        state.wake_feeder();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let state = self.state.lock();
        state.turn == self.turn && state.end == Some(End::Whole) && state.drawn == state.fed
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.state.lock();
        match state.length {
            Some(length) => SizeHint::with_exact(length.saturating_sub(state.drawn)),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;

    use super::*;

    fn piece(length: u64) -> Bytes {
        vec![b'x'; usize::try_from(length).unwrap()].into()
    }

    /// Bytes of the next piece; `None` at the end, an error where it broke off.
    async fn next(draw: &mut Draw) -> Option<io::Result<u64>> {
        let frame = draw.frame().await?;
        Some(frame.map(|frame| frame.into_data().unwrap().len() as u64))
    }

    #[tokio::test]
    async fn nothing_is_asked_of_the_client_before_the_vendor_asks() {
        let (feed, live) = live(Some(10));
        let mut draw = live.draw();
        assert!(feed.wanted().now_or_never().is_none());
        assert!(draw.frame().now_or_never().is_none());
        assert!(feed.wanted().now_or_never().is_some());
        feed.push(piece(10));
        assert_eq!(next(&mut draw).await.unwrap().unwrap(), 10);
        assert!(next(&mut draw).await.is_none());
    }

    #[tokio::test]
    async fn a_small_body_starts_over_and_a_large_one_does_not() {
        for (pieces, repeatable) in [(4, true), (5, false)] {
            let (feed, live) = live(None);
            let mut draw = live.draw();
            for _ in 0..pieces {
                feed.push(piece(16 * 1024));
                next(&mut draw).await.unwrap().unwrap();
            }
            feed.finish();
            assert!(next(&mut draw).await.is_none());
            assert_eq!(live.is_repeatable(), repeatable, "{pieces}");
            let mut again = live.draw();
            assert!(next(&mut draw).await.unwrap().is_err(), "overtaken");
            if repeatable {
                for _ in 0..pieces {
                    assert_eq!(next(&mut again).await.unwrap().unwrap(), 16 * 1024);
                }
                assert!(next(&mut again).await.is_none());
            }
        }
    }

    #[tokio::test]
    async fn memory_does_not_grow_with_the_body() {
        let (feed, live) = live(None);
        let mut draw = live.draw();
        assert!(draw.frame().now_or_never().is_none());
        for _ in 0..1_000 {
            while feed.wanted().now_or_never().is_some() {
                feed.push(piece(8 * 1024));
            }
            next(&mut draw).await.unwrap().unwrap();
            let held: usize = live.0.lock().pieces.iter().map(Bytes::len).sum();
            assert!(held as u64 <= KEPT + AHEAD, "{held}");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_never_ends_cleanly() {
        for length in [None, Some(100)] {
            let (feed, live) = live(length);
            let mut draw = live.draw();
            feed.push(piece(10));
            next(&mut draw).await.unwrap().unwrap();
            drop(feed);
            assert!(next(&mut draw).await.unwrap().is_err(), "{length:?}");
            assert!(!live.is_repeatable());
        }
        let (feed, live) = live(Some(100));
        let mut draw = live.draw();
        feed.push(piece(10));
        feed.finish();
        assert!(
            next(&mut draw).await.unwrap().is_err(),
            "shorter than it said"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_vendor_that_waits_for_the_client_does_not_stall() {
        let patience = Duration::from_millis(20);
        let (feed, live) = live(None);
        let mut draw = live.draw();
        assert!(draw.frame().now_or_never().is_none());
        let stalled = tokio::time::timeout(patience * 10, live.stalled(patience));
        assert!(stalled.await.is_err());
        assert!(feed.is_moving(Duration::ZERO));
    }
}
