use std::fmt;

use crate::error::{Fault, Faults};

/// Returned for a stream that can't be built, with all faults at once.
///
/// ```
/// use grpc_resilience::streams::Resumable;
/// use std::time::Duration;
///
/// use tonic::{Request, Response, Status, Streaming};
///
/// # async fn open(_: Request<u64>) -> Result<Response<Streaming<u64>>, Status> {
/// #     Err(Status::unavailable("no server"))
/// # }
/// let faults = Resumable::builder(Request::new(0), open)
///     .token(|item: &u64| Some(*item))
///     .idle_timeout(Duration::ZERO)
///     .build()
///     .unwrap_err();
/// let setters: Vec<_> = faults.faults().iter().map(|fault| fault.setter()).collect();
/// assert_eq!(setters, ["resume", "idle_timeout"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidStream {
    faults: Faults,
}

impl InvalidStream {
    /// All faults, in the order of the settings.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        self.faults.as_slice()
    }

    pub(super) fn new(faults: Faults) -> Self {
        Self { faults }
    }
}

impl fmt::Display for InvalidStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.faults.write(f, "the stream can't be built")
    }
}

impl std::error::Error for InvalidStream {}
