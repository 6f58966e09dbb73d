use std::fmt;

use crate::error::{Fault, Faults};

/// Returned for a channel that can't be built, with all faults at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use grpc_resilience::channel::Channel;
///
/// let faults = Channel::builder("orders").max_connections(0).build().unwrap_err();
/// let setters: Vec<_> = faults.faults().iter().map(|fault| fault.setter()).collect();
/// assert_eq!(setters, ["builder", "max_connections"]);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidChannel {
    faults: Faults,
}

impl InvalidChannel {
    /// All faults, in the order of the settings.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        self.faults.as_slice()
    }

    pub(super) fn new(faults: Faults) -> Self {
        Self { faults }
    }
}

impl fmt::Display for InvalidChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.faults.write(f, "the channel can't be built")
    }
}

impl std::error::Error for InvalidChannel {}
