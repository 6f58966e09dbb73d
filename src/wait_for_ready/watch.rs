use std::fmt;
use std::sync::Arc;

use crate::error::Error;

use super::gate::Gate;
use super::settings::Settings;
use super::{News, WaitForReadyPolicy};

/// What tells the gate when the connection is lost while an answer is read.
pub(super) struct Watch {
    gate: Arc<Gate>,
    settings: Arc<Settings>,
    /// That of the channel in which the call went.
    era: u64,
    /// The number of the test that it was, if so.
    test: Option<u64>,
}

impl Watch {
    pub(super) fn new(
        gate: &Arc<Gate>,
        settings: &Arc<Settings>,
        era: u64,
        test: Option<u64>,
    ) -> Self {
        Self {
            gate: Arc::clone(gate),
            settings: Arc::clone(settings),
            era,
            test,
        }
    }

    pub(super) fn failed(&self, error: &Error) {
        if WaitForReadyPolicy::news(&error.verdict()) == News::Disconnected {
            self.gate.lost(self.era, self.test, &self.settings);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
