#[cfg(feature = "stack")]
use std::num::NonZero;
use std::sync::Arc;

#[cfg(feature = "stack")]
use crate::call::{CallOptions, Patience};
use crate::error::Error;

use super::gate::Gate;
use super::settings::Settings;
use super::{News, WaitForReadyPolicy};

/// What the clones of a service share.
#[derive(Debug)]
pub(crate) struct Door {
    pub(super) gate: Arc<Gate>,
    pub(super) settings: Settings,
}

impl Door {
    /// An answer ended like this, of a call that went in this era of the channel, and tested it or not.
    pub(crate) fn broke_off(&self, era: u64, test: Option<u64>, error: &Error) {
        if WaitForReadyPolicy::news(&error.verdict()) == News::Disconnected {
            self.gate.lost(era, test, &self.settings);
        }
    }
}

/// For whoever sends a call without waiting here, whose request is kept above.
#[cfg(feature = "stack")]
impl Door {
    /// What a call of this method does while the channel is down.
    pub(crate) fn patience(&self, path: &str, options: &CallOptions) -> Patience {
        self.settings.policy.patience(path, Some(options))
    }

    /// The era of the channel, if calls go without asking.
    #[inline]
    pub(crate) fn era(&self) -> Option<NonZero<u64>> {
        // One call's failed picks of a balanced channel are counted here.
        let is_single = self.settings.policy.is_single();
        self.gate.era().filter(|_| is_single)
    }

    /// The server answered such a call.
    #[inline]
    pub(crate) fn answered(&self) {
        self.gate.answered(None, &self.settings.policy);
    }
}
