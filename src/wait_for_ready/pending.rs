use http::Request;
use http::request::Parts;

use crate::body::{Recording, RequestBody};
use crate::call::Patience;

/// What is left to send.
pub(super) enum Pending<B: RequestBody> {
    /// The request of a call that goes once, and did not have to wait so far.
    Once(Request<B>),
    /// Kept for the dials to come whatever its size: it was never sent.
    Kept {
        parts: Parts,
        recording: Recording<B>,
        /// Whether it may go again.
        again: bool,
    },
    /// It was handed on.
    Spent,
}

impl<B: RequestBody> Pending<B> {
    pub(super) fn new(parts: Parts, body: B, patience: Patience) -> Self {
        // The body as it is here: a layer above may have changed what the caller sent.
        match patience {
            Patience::WaitForReady => Self::kept(parts, body, true),
            Patience::FailFast => Self::Once(Request::from_parts(parts, body)),
        }
    }

    fn kept(parts: Parts, body: B, again: bool) -> Self {
        Self::Kept {
            parts,
            recording: Recording::until_read(body),
            again,
        }
    }

    /// It may have to wait, so it is to be known how large it is.
    pub(super) fn measure(&mut self) {
        if let Self::Once(_) = self
            && let Self::Once(request) = std::mem::replace(self, Self::Spent)
        {
            let (parts, body) = request.into_parts();
            *self = Self::kept(parts, body, false);
        }
    }

    /// The request of the next attempt; `None` if there can be no other.
    pub(super) fn next(&mut self) -> Option<Request<B>> {
        match std::mem::replace(self, Self::Spent) {
            Self::Once(request) => Some(request),
            Self::Kept {
                parts,
                mut recording,
                again,
            } => {
                let attempt = recording.attempt();
                if !again {
                    return Some(Request::from_parts(parts, attempt));
                }
                let request = Request::from_parts(parts.clone(), attempt);
                *self = Self::Kept {
                    parts,
                    recording,
                    again,
                };
                Some(request)
            }
            Self::Spent => None,
        }
    }

    /// An attempt was not sent: whether another can be made.
    pub(super) fn goes_again(&mut self) -> bool {
        match self {
            Self::Kept { recording, .. } if recording.lost().is_none() => {
                recording.end_attempt();
                true
            }
            _ => false,
        }
    }

    /// It waits: the encoder's buffer, of which a request may be a small part, need not.
    pub(super) fn waits(&mut self) {
        if let Self::Kept { recording, .. } = self {
            recording.detach();
        }
    }

    /// What it takes while it waits: headers, and the body as far as it is complete.
    pub(super) fn bytes(&self) -> usize {
        let Self::Kept {
            parts, recording, ..
        } = self
        else {
            return 0;
        };
        let sizes = parts
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len());
        sizes.fold(recording.bytes(), usize::saturating_add)
    }
}
