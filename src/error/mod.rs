//! The error of every layer, and the reason why a call was given up.
//!
//! Generated clients turn each error of a stack into a `tonic::Status`. [`Error`] makes that status
//! the server's own: its `source()` is a `tonic::Status` with the code, message, details and
//! metadata that were sent. The error that led to it, such as the transport's, is [`Error::cause`].
//!
//! Printed alone, the client's status shows each text once, because tonic appends a status' source
//! to its message. A printer of chains repeats both further down, unless it starts from
//! [`Error::find`]. [`GiveUp`] and the [`CallReport`](crate::CallReport) are found from the
//! client's status:
//!
//! ```
//! use grpc_resilience::GiveUp;
//!
//! fn explain(status: &tonic::Status) -> String {
//!     match GiveUp::find(status) {
//!         Some(GiveUp::NotIdempotent) => "to have it retried, declare it idempotent".into(),
//!         Some(reason) => reason.to_string(),
//!         None => "not given up by a layer".into(),
//!     }
//! }
//! ```

mod ended;
#[cfg(feature = "tonic")]
mod fault;
mod layer_error;
mod made;
#[cfg_attr(not(feature = "tonic"), path = "shown_alone.rs")]
mod shown;

pub use crate::report::GiveUp;
#[cfg(feature = "tonic")]
pub use fault::Fault;
#[cfg(feature = "tonic")]
pub(crate) use fault::Faults;
pub use layer_error::Error;

/// tower's boxed error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
