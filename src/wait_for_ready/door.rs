use std::sync::Arc;

use super::gate::Gate;
use super::settings::Settings;

/// What the clones of a service share.
#[derive(Debug)]
pub(crate) struct Door {
    pub(super) gate: Arc<Gate>,
    pub(super) settings: Settings,
}
