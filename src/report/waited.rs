use std::time::Duration;

use http::{Extensions, Response};

/// How long a call waited for the channel below to become ready: in the extensions of a response
/// to a call of which no trace was kept yet, until the fast path takes it out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waited {
    duration: Duration,
    /// It was logged (CONTRACT V1).
    pub(crate) is_told: bool,
}

impl Waited {
    #[cfg(feature = "channel")]
    pub(crate) fn add(&mut self, more: Duration) {
        self.duration = self.duration.saturating_add(more);
    }

    pub(crate) fn duration(self) -> Duration {
        self.duration
    }

    /// Whether this response speaks of a wait.
    #[inline]
    pub(crate) fn is_in<B>(response: &Response<B>) -> bool {
        // Beside the endpoint, which our channel writes into each response.
        let extensions = response.extensions();
        extensions.len() > 1 && extensions.get::<Self>().is_some()
    }

    pub(crate) fn take(extensions: &mut Extensions) -> Option<Self> {
        extensions.remove()
    }
}
