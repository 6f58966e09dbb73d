use crate::body::ReplayBuffer;
use crate::rng::Rng;

use super::{BeforeAttempt, PolicyHandle};

/// What the clones of a service share.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) policies: PolicyHandle,
    pub(super) hook: Option<BeforeAttempt>,
    pub(super) replay_limit: usize,
    pub(super) replay_buffer: ReplayBuffer,
    pub(super) rng: Rng,
}

impl Settings {
    pub(super) fn renews_credentials(&self) -> bool {
        self.hook.as_ref().is_some_and(BeforeAttempt::renews)
    }
}
