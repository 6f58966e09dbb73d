use crate::events::Once;
use crate::kernel::rng::Rng;

use super::WaitForReadyPolicy;

/// What the layer was told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) policy: WaitForReadyPolicy,
    pub(crate) rng: Rng,
    pub(crate) below_another: Once,
}
