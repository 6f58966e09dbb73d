use http::Request;
use http::request::Parts;

use crate::body::{Recording, RequestBody};
use crate::call::Patience;

/// What is left to send.
pub(super) enum Pending<B: RequestBody> {
    /// The request of a call that does not wait.
    Once(Request<B>),
    /// Kept for the dials to come whatever its size: it was never sent.
    Kept(Parts, Recording<B>),
    /// It was handed on.
    Spent,
}

impl<B: RequestBody> Pending<B> {
    pub(super) fn new(parts: Parts, body: B, patience: Patience) -> Self {
        // The body as it is here: a layer above may have changed what the caller sent.
        match patience {
            Patience::WaitForReady => Self::Kept(parts, Recording::until_read(body)),
            Patience::FailFast => Self::Once(Request::from_parts(parts, body)),
        }
    }

    /// The request of the next attempt; `None` if there can be no other.
    pub(super) fn next(&mut self) -> Option<Request<B>> {
        match std::mem::replace(self, Self::Spent) {
            Self::Once(request) => Some(request),
            Self::Kept(parts, mut recording) => {
                let request = Request::from_parts(parts.clone(), recording.attempt());
                *self = Self::Kept(parts, recording);
                Some(request)
            }
            Self::Spent => None,
        }
    }

    /// An attempt was not sent: whether another can be made.
    pub(super) fn goes_again(&mut self) -> bool {
        match self {
            Self::Kept(_, recording) if recording.lost().is_none() => {
                recording.end_attempt();
                true
            }
            _ => false,
        }
    }

    /// It waits: the encoder's buffer, of which a request may be a small part, need not.
    pub(super) fn waits(&mut self) {
        if let Self::Kept(_, recording) = self {
            recording.detach();
        }
    }

    /// What it takes while it waits: headers, and the body as far as it is complete.
    pub(super) fn bytes(&self) -> usize {
        let (headers, body) = match self {
            Self::Once(request) => {
                let body = usize::try_from(request.body().size_hint().lower());
                (request.headers(), body.unwrap_or(usize::MAX))
            }
            Self::Kept(parts, recording) => (&parts.headers, recording.bytes()),
            Self::Spent => return 0,
        };
        let sizes = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len());
        sizes.fold(body, usize::saturating_add)
    }
}
