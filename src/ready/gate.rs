use std::num::NonZero;
use std::sync::Arc;

use crate::call::{CallOptions, WaitMode};
use crate::classify::{Reason, Verdict};
use crate::error::Error;

use super::gate_state::GateState;
use super::losses::End;
use super::settings::Settings;
use super::{Evidence, WaitForReadyPolicy};

/// What the clones of a service share.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) state: Arc<GateState>,
    pub(crate) settings: Settings,
}

impl Gate {
    /// The answer to the call with this number ended like this: the test that it was, or the one
    /// that let it go.
    pub(crate) fn broke_off(&self, number: u64, error: &Error) {
        let verdict = error.verdict();
        if !error.is_proven() && WaitForReadyPolicy::evidence(&verdict) == Evidence::Disconnected {
            let end = end_of(&verdict);
            self.state.lost(number, end, error, &self.settings);
        }
    }
}

/// How the connection of a call ended whose failure means this.
pub(crate) fn end_of(verdict: &Verdict) -> End {
    match verdict.reason {
        Reason::GoAway => End::GoAway,
        Reason::Queued => End::Queued,
        _ => End::Lost,
    }
}

/// For whoever sends a call without waiting here, whose request is kept above.
impl Gate {
    /// What a call of this method does while the channel is down.
    pub(crate) fn wait_mode(&self, path: &str, options: &CallOptions) -> WaitMode {
        self.settings.policy.wait_mode(path, Some(options))
    }

    /// The era of the channel, if calls go without asking.
    #[inline]
    pub(crate) fn generation(&self) -> Option<NonZero<u64>> {
        // One call's failed picks of a balanced channel are counted here.
        let is_single = self.settings.policy.is_single();
        self.state.generation().filter(|_| is_single)
    }

    /// The server answered such a call, that went in this era.
    #[inline]
    pub(crate) fn answered(&self, generation: NonZero<u64>) {
        self.state.answered(generation.get(), &self.settings.policy);
    }
}
