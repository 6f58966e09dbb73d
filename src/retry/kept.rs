use std::sync::Arc;

use crate::body::{Recording, RequestBody};

use super::settings::Settings;
use super::shared::Shared;

/// What a request was that may have to be sent again, and whom to ask for where to.
pub(crate) struct Kept<S, B: RequestBody> {
    /// The outer counter is the thread's own.
    shared: Arc<Arc<Shared<S>>>,
    pub(super) recording: Recording<B>,
    /// What it took over of the channel's buffer.
    held: usize,
}

impl<S: Clone, B: RequestBody> Kept<S, B> {
    #[inline]
    pub(super) fn new(shared: Arc<Arc<Shared<S>>>, recording: Recording<B>, held: usize) -> Self {
        Self {
            shared,
            recording,
            held,
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// A service for the next attempt; its readiness is unknown.
    pub(super) fn service(&self) -> S {
        self.shared.spare.service()
    }

    /// Whether a layer below may hand the request back.
    pub(super) fn may_come_back(&self) -> bool {
        self.shared.settings.takes_back && self.recording.is_whole()
    }
}

impl<S, B: RequestBody> Drop for Kept<S, B> {
    fn drop(&mut self) {
        if self.held > 0 {
            self.shared.settings.replay_buffer.release(self.held);
        }
    }
}
