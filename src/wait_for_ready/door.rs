#[cfg(feature = "stack")]
use std::num::NonZero;
use std::sync::Arc;

#[cfg(feature = "stack")]
use crate::call::{CallOptions, Patience};
use crate::classify::{Reason, Verdict};
use crate::error::Error;

use super::gate::Gate;
use super::losses::End;
use super::settings::Settings;
use super::{News, WaitForReadyPolicy};

/// What the clones of a service share.
#[derive(Debug)]
pub(crate) struct Door {
    pub(super) gate: Arc<Gate>,
    pub(super) settings: Settings,
}

impl Door {
    /// The answer to the call with this number ended like this: the test that it was, or the one
    /// that let it go.
    pub(crate) fn broke_off(&self, number: u64, error: &Error) {
        let verdict = error.verdict();
        if !error.is_proven() && WaitForReadyPolicy::news(&verdict) == News::Disconnected {
            let end = end_of(&verdict);
            self.gate.lost(number, end, error, &self.settings);
        }
    }
}

/// How the connection of a call ended whose failure means this.
pub(super) fn end_of(verdict: &Verdict) -> End {
    match verdict.reason {
        Reason::GoAway => End::GoAway,
        Reason::Queued => End::Queued,
        _ => End::Lost,
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

    /// The server answered such a call, that went in this era.
    #[inline]
    pub(crate) fn answered(&self, era: NonZero<u64>) {
        self.gate.answered(era.get(), &self.settings.policy);
    }
}
