use std::sync::Arc;
use std::time::Duration;

use crate::body::RequestGuard;
use crate::body::{OpenRequest, Recording, RequestBody, WaitingShare};

use super::settings::Settings;
use super::shared::CoreHandle;

/// A request that may be sent again, with the origin of services for it.
pub(crate) struct KeptRequest<S, B: RequestBody> {
    origin: Arc<CoreHandle<S>>,
    pub(super) recording: Recording<B>,
    /// Bytes reserved in the channel's buffer, taken over from the recording.
    held: usize,
}

impl<S: Clone, B: RequestBody> KeptRequest<S, B> {
    #[inline]
    pub(super) fn new(origin: Arc<CoreHandle<S>>, recording: Recording<B>, held: usize) -> Self {
        Self {
            origin,
            recording,
            held,
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.origin.0.settings
    }

    /// Reserves room in the channel's buffer for this wait; `None` if there is none.
    pub(super) fn wait(&self, wait: Duration) -> Option<WaitingShare> {
        let bytes = if wait.is_zero() {
            0
        } else {
            self.held.saturating_add(self.recording.kept())
        };
        self.settings().replay_buffer.wait(bytes, wait)
    }

    /// The current attempt is answered: its request goes on, and no attempt follows.
    #[inline]
    pub(crate) fn answered(&mut self) -> Option<OpenRequest> {
        self.recording.answered()
    }

    /// The guard that ends the attempts of the call, even once they are answered.
    pub(crate) fn end_with_call(&mut self) -> Option<RequestGuard> {
        self.recording.end_with_call()
    }

    /// A service for the next attempt; its readiness is unknown.
    pub(super) fn service(&self) -> S {
        self.origin.0.spare.service()
    }

    /// Whether a layer below may hand the request back.
    pub(super) fn may_come_back(&self) -> bool {
        self.origin.0.settings.takes_back && self.recording.is_whole()
    }
}

impl<S, B: RequestBody> Drop for KeptRequest<S, B> {
    fn drop(&mut self) {
        if self.held > 0 {
            self.origin.0.settings.replay_buffer.release(self.held);
        }
    }
}
