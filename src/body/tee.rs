use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::sync::Mutex;

use super::buffer::{Lost, Share};
use super::live::{Live, Read};

/// A live request whose frames are kept as an attempt reads them, for the next one.
///
/// One attempt at a time may read: what was kept from its start, then the live rest. Whoever was
/// the reader before is told to reset its stream, since the transport drops an attempt's body
/// only some time after the attempt has failed.
pub(super) struct Tee<B: Body<Data = Bytes>> {
    state: Mutex<State<B>>,
    size_hint: SizeHint,
    was_at_end: bool,
    cancelled: fn() -> Option<B::Error>,
}

struct State<B: Body<Data = Bytes>> {
    source: Source<B>,
    kept: VecDeque<Bytes>,
    share: Share,
    /// Where the reader stands in `kept`.
    position: usize,
    /// Whether it read anything.
    began: bool,
    /// Which attempt it is; `None` between two.
    reader: Option<u64>,
    attempts: u64,
    waker: Option<Waker>,
    /// False once no attempt can follow.
    keeps: bool,
    lost: Option<Lost>,
}

enum Source<B: Body<Data = Bytes>> {
    Live(Live<B>),
    /// It ended, with these trailers that the reader has not seen, or without.
    Ended {
        trailers: Option<HeaderMap>,
        shown: bool,
    },
    /// It failed, or nobody is left to read it.
    Gone,
}

impl<B: Body<Data = Bytes> + Unpin> Tee<B> {
    /// `cancelled` makes the error by which a body has its stream reset.
    pub(super) fn new(source: Live<B>, share: Share, cancelled: fn() -> Option<B::Error>) -> Self {
        Self {
            size_hint: source.size_hint(),
            was_at_end: source.is_end_stream(),
            cancelled,
            state: Mutex::new(State {
                source: Source::Live(source),
                kept: VecDeque::new(),
                share,
                position: 0,
                began: false,
                reader: None,
                attempts: 0,
                waker: None,
                keeps: true,
                lost: None,
            }),
        }
    }

    /// Begins an attempt, which is the reader from now on.
    pub(super) fn begin(&self) -> u64 {
        let mut state = self.state.lock();
        state.attempts += 1;
        let reader = state.attempts;
        state.position = 0;
        state.began = false;
        if let Source::Ended { shown, .. } = &mut state.source {
            *shown = false;
        }
        let former = state.change_reader(Some(reader));
        drop(state);
        wake(former);
        reader
    }

    /// Ends the attempt: nothing more is read for it.
    pub(super) fn end(&self) {
        let former = self.state.lock().change_reader(None);
        wake(former);
    }

    /// No attempt follows: the reader goes on, nothing is kept any more (CONTRACT R7).
    pub(super) fn commit(&self) {
        let mut state = self.state.lock();
        state.keeps = false;
        if state.reader.is_some() {
            state.free_what_was_read();
            return;
        }
        state.free_all();
        let unread = std::mem::replace(&mut state.source, Source::Gone);
        // The caller's stream may do anything as it is dropped.
        drop(state);
        drop(unread);
    }

    pub(super) fn lost(&self) -> Option<Lost> {
        self.state.lock().lost
    }

    /// The next frame for an attempt.
    pub(super) fn poll_frame(&self, reader: u64, cx: &mut Context<'_>) -> Poll<Option<Read<B>>> {
        let mut state = self.state.lock();
        if state.reader != Some(reader) {
            drop(state);
            // Never an end, which the server would take for a complete request.
            return match (self.cancelled)() {
                Some(error) => Poll::Ready(Some(Err(error))),
                None => Poll::Pending,
            };
        }
        state.began = true;
        match state.kept_frame() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => state.poll_source(cx),
        }
    }

    pub(super) fn is_end_stream(&self, reader: u64) -> bool {
        let state = self.state.lock();
        if state.reader != Some(reader) || state.position < state.kept.len() {
            return false;
        }
        match &state.source {
            Source::Live(live) => live.is_end_stream(),
            Source::Ended { trailers, shown } => {
                (trailers.is_none() || *shown) && (state.began || self.was_at_end)
            }
            Source::Gone => false,
        }
    }

    /// The original's at the start, and once the reader has caught up with it.
    pub(super) fn size_hint(&self, reader: u64) -> SizeHint {
        let state = self.state.lock();
        if !state.began {
            return self.size_hint;
        }
        match &state.source {
            Source::Live(live) if state.reader == Some(reader) && state.is_live() => {
                live.size_hint()
            }
            _ => SizeHint::default(),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> State<B> {
    fn change_reader(&mut self, reader: Option<u64>) -> Option<Waker> {
        self.reader = reader;
        self.waker.take()
    }

    fn is_live(&self) -> bool {
        self.position == self.kept.len()
    }

    fn kept_frame(&mut self) -> Option<Frame<Bytes>> {
        let data = self.kept.get(self.position)?.clone();
        self.position += 1;
        if !self.keeps {
            self.free_what_was_read();
        }
        Some(Frame::data(data))
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Read<B>>> {
        let live = match &mut self.source {
            Source::Live(live) => live,
            Source::Ended { trailers, shown } => {
                let unseen = trailers.clone().filter(|_| !*shown);
                *shown = true;
                return Poll::Ready(unseen.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            Source::Gone => return Poll::Pending,
        };
        let Poll::Ready(read) = live.poll_frame(cx) else {
            if !self
                .waker
                .as_ref()
                .is_some_and(|it| it.will_wake(cx.waker()))
            {
                self.waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        };
        let Some(read) = read else {
            self.ended(None);
            return Poll::Ready(None);
        };
        if let Ok(frame) = &read {
            if let Some(data) = frame.data_ref() {
                self.keep(data);
            } else if let Some(trailers) = frame.trailers_ref() {
                self.ended(Some(trailers.clone()));
            }
        } else {
            self.source = Source::Gone;
            self.lose(Lost::RequestFailed);
        }
        Poll::Ready(Some(read))
    }

    fn ended(&mut self, trailers: Option<HeaderMap>) {
        self.source = Source::Ended {
            trailers,
            shown: true,
        };
    }

    /// Keeps what the reader gets, while there is room.
    fn keep(&mut self, data: &Bytes) {
        if !self.keeps {
            return;
        }
        match self.share.grow(data.len()) {
            Ok(()) => {
                self.kept.push_back(data.clone());
                self.position = self.kept.len();
            }
            Err(lost) => self.lose(lost),
        }
    }

    /// The reader goes on, and no other can follow: all that is kept was read by it.
    fn lose(&mut self, lost: Lost) {
        self.lost = Some(lost);
        self.keeps = false;
        self.free_all();
    }

    fn free_what_was_read(&mut self) {
        for data in self.kept.drain(..self.position) {
            self.share.shrink(data.len());
        }
        self.position = 0;
    }

    fn free_all(&mut self) {
        self.position = self.kept.len();
        self.free_what_was_read();
        self.kept.shrink_to_fit();
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
