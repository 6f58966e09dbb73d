use std::num::NonZero;
use std::sync::Arc;

use crate::call::{CallOptions, WaitMode};
use crate::classify::{Reason, Verdict};
use crate::error::Error;

use super::gate_state::GateState;
use super::losses::End;
use super::settings::Settings;
use super::{Evidence, WaitForReadyPolicy};

/// State shared by the clones of a service.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) state: Arc<GateState>,
    pub(crate) settings: Settings,
}

impl Gate {
    /// The answer to a call ended with this error; `number` is its own if it was a probe, else the
    /// probe's that let it go.
    pub(crate) fn broke_off(&self, number: u64, error: &Error) {
        let verdict = error.verdict();
        if !error.is_proven() && WaitForReadyPolicy::evidence(&verdict) == Evidence::Disconnected {
            let end = end_of(&verdict);
            self.state.lost(number, end, error, &self.settings);
        }
    }
}

/// How the connection of a failed call ended.
pub(crate) fn end_of(verdict: &Verdict) -> End {
    match verdict.reason {
        Reason::GoAway => End::GoAway,
        Reason::Queued => End::Queued,
        _ => End::Lost,
    }
}

/// For a caller that sends calls without waiting here and keeps their requests above.
impl Gate {
    /// The wait mode of a call of this method.
    pub(crate) fn wait_mode(&self, path: &str, options: &CallOptions) -> WaitMode {
        self.settings.policy.wait_mode(path, Some(options))
    }

    /// The current generation, if calls go without asking.
    #[inline]
    pub(crate) fn generation(&self) -> Option<NonZero<u64>> {
        // For a balanced channel the failed picks of each call are counted in the layer.
        let is_single = self.settings.policy.is_single();
        self.state.generation().filter(|_| is_single)
    }

    /// The server answered such a call of this generation.
    #[inline]
    pub(crate) fn answered(&self, generation: NonZero<u64>) {
        self.state.answered(generation.get(), &self.settings.policy);
    }
}
