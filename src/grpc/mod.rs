//! The wire vocabulary of gRPC, parsed without panics and independent of any gRPC library.
//!
//! All functions here read values that a peer sent. A malformed value is reported as `None`, a
//! typed error or [`Pushback::Stop`], never by a panic.

mod code;
mod code_set;
mod headers;
mod method;
mod pushback;
#[cfg(feature = "server")]
pub(crate) mod refusal;
mod retry_info;
mod status;
mod status_headers;
mod timeout;
#[cfg(feature = "tonic")]
mod tonic;
mod unprocessed;

pub use code::Code;
pub use code_set::CodeSet;
pub use headers::{DETAILS, MESSAGE, PREVIOUS_ATTEMPTS, PUSHBACK, STATUS, TIMEOUT, UNPROCESSED};
pub(crate) use headers::{find, is_repeated};
pub use method::MethodKind;
pub use pushback::Pushback;
pub use retry_info::retry_delay;
pub use status::{Status, remove_malformed_details};
pub(crate) use status_headers::StatusHeaders;
pub use timeout::{InvalidTimeout, parse_timeout, render_timeout};
pub(crate) use unprocessed::Vouched;
