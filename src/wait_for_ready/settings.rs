use std::sync::Arc;

use crate::rng::Rng;

use super::WaitForReadyPolicy;
use super::gate::Gate;

/// What the layer was told.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) policy: WaitForReadyPolicy,
    pub(super) rng: Rng,
}

/// What the clones of a service share.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) gate: Arc<Gate>,
    pub(super) settings: Settings,
}
