use std::mem;

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::kernel::sync::{Mutex, MutexGuard};

use super::buffer::{NotReplayable, Share};
use super::frame_log::FrameLog;
use super::live::{Live, Read};
use super::notice::LossNotice;

/// A live request whose frames are kept for the next attempt while the current one reads them.
///
/// One attempt at a time may read: the kept frames from the start, then the live rest. The previous
/// reader has to reset its stream, because the transport drops an attempt's body some time after
/// the attempt has failed.
///
/// The caller's stream is polled and dropped outside the lock: it may run any code, including a
/// drop of this call.
pub(super) struct Tee<B: Body<Data = Bytes>> {
    state: Mutex<State<B>>,
    size_hint: SizeHint,
    cancelled: fn() -> Option<B::Error>,
}

struct State<B: Body<Data = Bytes>> {
    source: Source<B>,
    kept: FrameLog,
    /// Whether the reader has read a frame.
    began: bool,
    /// The current reader; `None` between two attempts.
    reader: Option<u64>,
    attempts: u64,
    /// The task that waits for the source, or for the task that polls it now.
    waker: Option<Waker>,
    lost: Option<NotReplayable>,
    loss: LossNotice,
}

enum Source<B: Body<Data = Bytes>> {
    Live(Live<B>),
    /// A task polls it now.
    Polled,
    /// It ended, with trailers that the reader has not seen yet, or without any.
    Ended {
        trailers: Option<HeaderMap>,
        shown: bool,
    },
    /// It failed, or no reader is left.
    Gone,
}

impl<B: Body<Data = Bytes>> Tee<B> {
    /// `cancelled` creates the error that makes the transport reset the stream.
    pub(super) fn new(source: Live<B>, share: Share, cancelled: fn() -> Option<B::Error>) -> Self {
        let loss = LossNotice::default();
        if !source.has_room() {
            // The request can't be sent again once it is read.
            loss.give();
        }
        Self {
            size_hint: source.size_hint(),
            cancelled,
            state: Mutex::new(State {
                source: Source::Live(source),
                kept: FrameLog::new(share),
                began: false,
                reader: None,
                attempts: 0,
                waker: None,
                lost: None,
                loss,
            }),
        }
    }

    /// The size of the frames that were read ahead and that no attempt has.
    pub(super) fn read_ahead(&self) -> usize {
        match &self.state.lock().source {
            Source::Live(live) => live.read_ahead(),
            Source::Polled | Source::Ended { .. } | Source::Gone => 0,
        }
    }

    /// The size that it uses of the buffer.
    pub(super) fn kept(&self) -> usize {
        self.state.lock().kept.memory()
    }

    /// Begins an attempt, which becomes the reader.
    pub(super) fn begin(&self) -> u64 {
        let mut state = self.state.lock();
        state.attempts += 1;
        let reader = state.attempts;
        state.kept.rewind();
        state.began = false;
        if let Source::Ended { shown, .. } = &mut state.source {
            *shown = false;
        }
        change_reader(state, Some(reader));
        reader
    }

    /// Ends the attempt: it reads no further.
    pub(super) fn end(&self) {
        change_reader(self.state.lock(), None);
    }

    /// Commits the current reader: it goes on, and frames are not kept any more (CONTRACT R7).
    pub(super) fn commit(&self) {
        let mut state = self.state.lock();
        state.kept.commit();
        clear(state);
    }

    /// The body of this attempt was dropped.
    pub(super) fn release(&self, reader: u64) {
        let mut state = self.state.lock();
        if state.reader == Some(reader) {
            state.reader = None;
            clear(state);
        }
    }

    pub(super) fn loss(&self) -> LossNotice {
        self.state.lock().loss.clone()
    }

    pub(super) fn lost(&self) -> Option<NotReplayable> {
        self.state.lock().lost
    }

    pub(super) fn is_end_stream(&self, reader: u64) -> bool {
        let state = self.state.lock();
        if state.reader != Some(reader) || !state.kept.is_read() {
            return false;
        }
        match &state.source {
            Source::Live(live) => live.is_end_stream(),
            Source::Ended { trailers, shown } => (trailers.is_none() || *shown) && state.began,
            Source::Polled | Source::Gone => false,
        }
    }

    /// The original's hint at the start, and once the reader has caught up with it.
    pub(super) fn size_hint(&self, reader: u64) -> SizeHint {
        let state = self.state.lock();
        match &state.source {
            _ if !state.began => self.size_hint,
            Source::Live(live) if state.reader == Some(reader) && state.kept.is_read() => {
                live.size_hint()
            }
            _ => SizeHint::default(),
        }
    }

    /// An error rather than an end, which the server would take for a complete request.
    fn cut_off(&self) -> Poll<Option<Read<B>>> {
        match (self.cancelled)() {
            Some(error) => Poll::Ready(Some(Err(error))),
            None => Poll::Pending,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Tee<B> {
    /// The next frame for an attempt.
    pub(super) fn poll_frame(&self, reader: u64, cx: &mut Context<'_>) -> Poll<Option<Read<B>>> {
        let mut state = self.state.lock();
        if state.reader != Some(reader) {
            drop(state);
            return self.cut_off();
        }
        state.began = true;
        if let Some(data) = state.kept.next() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let mut live = match mem::replace(&mut state.source, Source::Polled) {
            Source::Live(live) => live,
            Source::Polled => {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Source::Ended { trailers, shown } => {
                let unseen = trailers.clone().filter(|_| !shown);
                let shown = true;
                state.source = Source::Ended { trailers, shown };
                return Poll::Ready(unseen.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            Source::Gone => {
                state.source = Source::Gone;
                drop(state);
                return self.cut_off();
            }
        };
        drop(state);
        let polled = live.poll_frame(cx);
        self.put_back(reader, live, polled, cx)
    }

    /// Checks between attempts whether the rest of the request has failed.
    pub(super) fn look_ahead(&self) {
        let mut state = self.state.lock();
        let mut live = match mem::replace(&mut state.source, Source::Polled) {
            Source::Live(live) => live,
            other => {
                state.source = other;
                return;
            }
        };
        drop(state);
        let failed = live.has_failed();
        let mut state = self.state.lock();
        if failed {
            state.source = Source::Gone;
            state.lose(NotReplayable::RequestFailed);
            drop(state);
            drop(live);
        } else {
            state.source = Source::Live(live);
            clear(state);
        }
    }

    /// Returns the frame to the reader: the polling attempt, or the one that replaced it meanwhile.
    fn put_back(
        &self,
        reader: u64,
        mut live: Live<B>,
        polled: Poll<Option<Read<B>>>,
        cx: &Context<'_>,
    ) -> Poll<Option<Read<B>>> {
        let mut state = self.state.lock();
        let is_reader = state.reader == Some(reader);
        let rest = match &polled {
            Poll::Ready(None) => Err(Source::Ended {
                trailers: None,
                shown: is_reader,
            }),
            Poll::Ready(Some(Err(_))) => {
                state.lose(NotReplayable::RequestFailed);
                Err(Source::Gone)
            }
            Poll::Ready(Some(Ok(frame))) if is_reader => {
                if let Some(trailers) = frame.trailers_ref() {
                    Err(Source::Ended {
                        trailers: Some(trailers.clone()),
                        shown: true,
                    })
                } else {
                    state.keep(frame);
                    Ok(())
                }
            }
            Poll::Ready(Some(Ok(_))) => Ok(()),
            Poll::Pending => {
                if is_reader {
                    state.waker = Some(cx.waker().clone());
                }
                Ok(())
            }
        };
        let (polled, unread) = match polled {
            Poll::Ready(Some(Ok(frame))) if !is_reader => (Poll::Pending, Some(frame)),
            polled => (polled, None),
        };
        let ended = match rest {
            Ok(()) => {
                if let Some(frame) = unread {
                    live.unread(frame);
                }
                state.source = Source::Live(live);
                None
            }
            Err(source) => {
                state.source = source;
                Some(live)
            }
        };
        if is_reader {
            drop(state);
        } else {
            let waker = state.waker.take();
            clear(state);
            wake(waker);
        }
        drop(ended);
        if is_reader { polled } else { self.cut_off() }
    }
}

impl<B: Body<Data = Bytes>> State<B> {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let kept = frame.data_ref().map_or(Ok(()), |data| self.kept.keep(data));
        if let Err(lost) = kept {
            self.lose(lost);
        }
    }

    /// The reader goes on and no attempt can follow: it has read all kept frames.
    fn lose(&mut self, lost: NotReplayable) {
        self.lost = Some(lost);
        self.loss.give();
        self.kept.commit();
    }
}

fn change_reader<B: Body<Data = Bytes>>(mut state: MutexGuard<'_, State<B>>, reader: Option<u64>) {
    state.reader = reader;
    let former = state.waker.take();
    drop(state);
    wake(former);
}

/// Drops the caller's stream once no attempt can read it.
fn clear<B: Body<Data = Bytes>>(mut state: MutexGuard<'_, State<B>>) {
    if state.reader.is_some() || state.kept.is_keeping() {
        return;
    }
    state.kept.free();
    let unread = match &state.source {
        // The polling task puts it back, and then calls this.
        Source::Polled => None,
        _ => Some(mem::replace(&mut state.source, Source::Gone)),
    };
    drop(state);
    drop(unread);
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
