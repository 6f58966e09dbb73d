use http::Request;

use crate::body::{OpenRequest, Recording, RequestBody, RequestGuard};
use crate::call::{Context, WaitMode};
use crate::dispatch::{Head, guard};
use crate::error::Error;

/// The request of a call, as far as it is still to be sent.
pub(super) enum Pending<B: RequestBody> {
    /// The request of a call that is sent once, and has not had to wait so far.
    Once(Request<B>),
    /// Waits for the dials to come whatever its size: it was never sent.
    WaitingRequest(WaitingRequest<B>),
    /// The request was handed on; it ends with this guard.
    Spent(Option<RequestGuard>),
}

/// A request that waits or may have to wait.
pub(super) struct WaitingRequest<B: RequestBody> {
    head: Head,
    recording: Recording<B>,
    /// Whether the request may be sent again.
    again: bool,
}

impl<B: RequestBody> Pending<B> {
    pub(super) fn new(mut request: Request<B>, wait_mode: WaitMode) -> Self {
        match wait_mode {
            WaitMode::WaitForReady => Self::of(&mut request),
            WaitMode::FailFast => Self::Once(request),
        }
    }

    /// Keeps a request that is sent at once, in case it is not sent. It is kept as it is here,
    /// because a layer above may have changed the caller's request.
    #[inline]
    pub(super) fn of(request: &mut Request<B>) -> Self {
        Self::WaitingRequest(WaitingRequest::of(request, true))
    }

    /// Prepares a call that may have to wait, so that its size is known.
    pub(super) fn measure(&mut self) {
        if let Self::Once(request) = self {
            *self = Self::WaitingRequest(WaitingRequest::of(request, false));
        }
    }

    /// The request of the next attempt; `None` if no other is possible.
    pub(super) fn next(&mut self) -> Option<Request<B>> {
        if let Self::WaitingRequest(kept) = self {
            let request = kept.head.request(kept.recording.attempt());
            if !kept.again {
                *self = Self::Spent(kept.recording.take_guard());
            }
            return Some(request);
        }
        match std::mem::replace(self, Self::Spent(None)) {
            Self::Once(mut request) => {
                *self = Self::Spent(guard(&mut request));
                Some(request)
            }
            Self::WaitingRequest(_) | Self::Spent(_) => None,
        }
    }

    /// Called when an attempt failed. Its request ends, and is evidence for the cause of the error.
    pub(super) fn judge(&mut self, error: Error) -> Error {
        let kept = match self {
            Self::WaitingRequest(kept) => kept,
            Self::Spent(request) => return error.of_guarded(request.take()),
            Self::Once(_) => return error,
        };
        kept.recording.end_attempt();
        let kind = kept.head.context().and_then(Context::kind);
        error.of_request(kept.recording.reader(), kind)
    }

    /// How often the request was sent before it arrived here, and came back because a connection
    /// did not process it.
    pub(super) fn returns(&self) -> u32 {
        let context = match self {
            Self::WaitingRequest(kept) => kept.head.context(),
            Self::Once(request) => request.extensions().get::<Context>(),
            Self::Spent(_) => None,
        };
        context.map_or(0, Context::returns)
    }

    /// Whether another attempt can be made after one that was not sent.
    pub(super) fn goes_again(&self) -> bool {
        matches!(self, Self::WaitingRequest(kept) if kept.recording.lost().is_none())
    }

    /// Whether the whole request is kept. Of a stream nothing is kept once a reader has begun.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::WaitingRequest(kept) if kept.recording.is_whole())
    }

    /// The channel below waits with the next attempt.
    pub(super) fn wait_below(&mut self) {
        if let Self::WaitingRequest(kept) = self {
            kept.head.context_mut().wait_below();
        }
    }

    /// Called when the attempt was answered: its request goes on, and no attempt follows.
    pub(super) fn answered(&mut self) -> Option<OpenRequest> {
        match self {
            Self::WaitingRequest(kept) => kept.recording.answered(),
            Self::Spent(request) => request.take().map(RequestGuard::answered),
            Self::Once(_) => None,
        }
    }

    /// The path, until the request was handed on for good.
    pub(super) fn path(&self) -> Option<&str> {
        match self {
            Self::Once(request) => Some(request.uri().path()),
            Self::WaitingRequest(kept) => Some(kept.head.uri().path()),
            Self::Spent(_) => None,
        }
    }

    /// The number of the attempt, if attempts are counted.
    pub(super) fn attempt(&self) -> Option<u32> {
        let context = match self {
            Self::Once(request) => request.extensions().get::<Context>(),
            Self::WaitingRequest(kept) => kept.head.context(),
            Self::Spent(_) => None,
        };
        context.and_then(Context::attempt)
    }

    /// Copies a waiting request out of the encoder's buffer, which may be much larger.
    pub(super) fn waits(&mut self) {
        if let Self::WaitingRequest(kept) = self {
            kept.recording.detach();
        }
    }

    /// The size while it waits: headers, and the body as far as complete.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::WaitingRequest(kept) => kept.recording.bytes().saturating_add(kept.head.bytes()),
            Self::Once(_) | Self::Spent(_) => 0,
        }
    }
}

impl<B: RequestBody> WaitingRequest<B> {
    #[inline]
    fn of(request: &mut Request<B>, again: bool) -> Self {
        Self {
            recording: Recording::until_read(request.body_mut()),
            head: Head::of(request),
            again,
        }
    }
}
