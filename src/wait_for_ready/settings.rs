use crate::events::Once;
use crate::rng::Rng;

use super::WaitForReadyPolicy;

/// What the layer was told.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) policy: WaitForReadyPolicy,
    pub(super) rng: Rng,
    pub(super) below_another: Once,
}
