//! The one error of every layer, and why a call was given up.
//!
//! Generated clients turn whatever a stack returns into a `tonic::Status`. [`Error`] makes that
//! status the server's own: its `source()` is a `tonic::Status` with the code, message, details and
//! metadata that were sent. What led to it, such as the transport's error, is [`Error::cause`].
//! The client's status by itself prints all of it once, since tonic shows a status' source behind
//! its message; a printer of chains repeats both further down, unless it begins with
//! [`Error::find`]. What the layers add, [`GiveUp`] and the [`CallReport`](crate::CallReport), is
//! found from the client's status:
//!
//! ```
//! use grpc_resilience::GiveUp;
//!
//! fn explain(status: &tonic::Status) -> String {
//!     match GiveUp::find(status) {
//!         Some(GiveUp::NotIdempotent) => "declare the method idempotent to have it retried".into(),
//!         Some(reason) => reason.to_string(),
//!         None => "not given up by a layer".into(),
//!     }
//! }
//! ```

mod ended;
mod layer_error;
mod made;
#[cfg_attr(not(feature = "tonic"), path = "shown_alone.rs")]
mod shown;

pub use crate::report::GiveUp;
pub use layer_error::Error;

/// What tower calls any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
