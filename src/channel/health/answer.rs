use std::sync::Arc;

use super::status::Health;

/// What the watch of a connection has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::channel) struct Answer {
    pub(in crate::channel) health: Health,
    /// The server's words, or the reason why its health can't be checked.
    pub(in crate::channel) words: Arc<str>,
}

impl Answer {
    pub(super) fn new(health: Health, words: impl Into<Arc<str>>) -> Self {
        Self {
            health,
            words: words.into(),
        }
    }

    /// The server's limit of streams leaves no room for a watch beside a call (CONTRACT G5).
    pub(super) fn no_room() -> Self {
        let words = "the server allows one stream at a time (MAX_CONCURRENT_STREAMS 1), and the \
                     watch would use it up";
        Self::new(Health::Unchecked, words)
    }

    pub(in crate::channel) fn is_healthy(&self) -> bool {
        self.health.is_healthy()
    }
}
