use crate::events::Once;
use crate::kernel::rng::Rng;

use super::WaitForReadyPolicy;

/// The settings of the layer.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) policy: WaitForReadyPolicy,
    pub(crate) rng: Rng,
    pub(crate) below_another: Once,
}
