use std::sync::Arc;

#[cfg(feature = "stack")]
use crate::call::{CallOptions, Patience};

use super::gate::Gate;
use super::settings::Settings;

/// What the clones of a service share.
#[derive(Debug)]
pub(crate) struct Door {
    pub(super) gate: Arc<Gate>,
    pub(super) settings: Settings,
}

#[cfg(feature = "stack")]
impl Door {
    /// What a call of this method does while the channel is down.
    pub(crate) fn patience(&self, path: &str, options: &CallOptions) -> Patience {
        self.settings.policy.patience(path, Some(options))
    }
}
