use std::fmt;

use crate::error::{Fault, Faults};

/// Returned for a drain that can't be built, with all faults at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use grpc_resilience::Drain;
/// use std::time::Duration;
///
/// let builder = Drain::builder()
///     .notice(Duration::ZERO)
///     .grace(Duration::from_secs(4));
/// let faults = builder.build().unwrap_err();
/// let setters: Vec<_> = faults.faults().iter().map(|fault| fault.setter()).collect();
/// assert_eq!(setters, ["notice", "grace"]);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDrain {
    faults: Faults,
}

impl InvalidDrain {
    /// All faults, in the order of the settings.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        self.faults.as_slice()
    }

    pub(super) fn new(faults: Faults) -> Self {
        Self { faults }
    }
}

impl fmt::Display for InvalidDrain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.faults.write(f, "the drain can't be built")
    }
}

impl std::error::Error for InvalidDrain {}
