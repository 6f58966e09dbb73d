use crate::body::ReplayBuffer;
use crate::events::Once;
use crate::kernel::rng::Rng;
use crate::kernel::timer::Home;

use super::{BeforeAttempt, PolicyHandle};

/// What the clones of a service share.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) policies: PolicyHandle,
    pub(super) hook: Option<BeforeAttempt>,
    pub(super) replay_limit: usize,
    pub(super) replay_buffer: ReplayBuffer,
    pub(super) rng: Rng,
    /// Where the waits between attempts are timed.
    pub(super) home: Home,
    /// What the server says of a request that had no effect counts.
    pub(super) trusts_unprocessed: bool,
    /// The layer below is ours, and may hand back what it did not send: nobody stands between who could
    /// send it too, or make another error of the one that says so.
    pub(super) takes_back: bool,
    /// Whether it was told that it stands below another retry layer.
    pub(super) below_another: Once,
    /// Whether it was told that an attempt timeout stands above.
    pub(super) bounded: Once,
}

impl Settings {
    pub(super) fn renews_credentials(&self) -> bool {
        self.hook.as_ref().is_some_and(BeforeAttempt::renews)
    }
}
