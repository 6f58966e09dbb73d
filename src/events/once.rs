use std::sync::atomic::{AtomicBool, Ordering};

/// Emits a warning once. A clone is a new configuration and may emit it again.
#[derive(Debug, Default)]
pub(crate) struct Once(AtomicBool);

impl Once {
    pub(crate) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    #[cold]
    pub(crate) fn say(&self, say: impl FnOnce()) {
        if !self.0.swap(true, Ordering::Relaxed) {
            say();
        }
    }
}

impl Clone for Once {
    fn clone(&self) -> Self {
        Self::new()
    }
}
