use std::sync::Arc;
use std::time::Duration;

use crate::body::RequestGuard;
use crate::body::{OpenRequest, Recording, RequestBody, WaitingShare};

use super::settings::Settings;
use super::shared::CoreHandle;

/// What a request was that may have to be sent again, and whom to ask for where to.
pub(crate) struct KeptRequest<S, B: RequestBody> {
    origin: Arc<CoreHandle<S>>,
    pub(super) recording: Recording<B>,
    /// What it took over of the channel's buffer.
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

    /// Room in the channel's buffer to wait so long for the next attempt, if there is any.
    pub(super) fn wait(&self, wait: Duration) -> Option<WaitingShare> {
        let bytes = if wait.is_zero() {
            0
        } else {
            self.held.saturating_add(self.recording.kept())
        };
        self.settings().replay_buffer.wait(bytes, wait)
    }

    /// The attempt under way is answered: its request goes on, and none follows.
    #[inline]
    pub(crate) fn answered(&mut self) -> Option<OpenRequest> {
        self.recording.answered()
    }

    /// What ends the attempts of the call, even once they are answered.
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
