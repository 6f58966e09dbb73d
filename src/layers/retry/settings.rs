use crate::body::ReplayBuffer;
use crate::events::Once;
use crate::kernel::rng::Rng;
use crate::kernel::timer::Home;

use super::{BeforeAttempt, PolicyHandle};

/// Configuration shared by the clones of a service.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) policies: PolicyHandle,
    pub(super) hook: Option<BeforeAttempt>,
    pub(super) replay_limit: usize,
    pub(super) replay_buffer: ReplayBuffer,
    pub(super) rng: Rng,
    /// Times the waits between attempts.
    pub(super) home: Home,
    /// Whether a server's declaration that a request had no effect is trusted.
    pub(super) trusts_unprocessed: bool,
    /// The layer below is of this crate and may hand back a request that it did not send. No layer
    /// between the two could send it too, or replace its error.
    pub(super) takes_back: bool,
    /// Set once the warning about an outer retry layer was emitted.
    pub(super) below_another: Once,
    /// Set once the warning about an outer attempt timeout was emitted.
    pub(super) bounded: Once,
}

impl Settings {
    pub(super) fn renews_credentials(&self) -> bool {
        self.hook.as_ref().is_some_and(BeforeAttempt::renews)
    }
}
