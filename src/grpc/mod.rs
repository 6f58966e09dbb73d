//! The wire vocabulary of gRPC, parsed without panics and independent of any gRPC library.
//!
//! Everything here reads what a peer sent. A malformed value is an answer of its own (`None`, a
//! typed error, "do not retry"), never a panic.

mod code;
mod code_set;
pub(crate) mod headers;
mod leader_hint;
mod method;
pub(crate) mod pushback;
#[cfg(feature = "server")]
pub(crate) mod refusal;
pub(crate) mod retry_info;
pub(crate) mod status;
mod status_headers;
pub(crate) mod timeout;
#[cfg(feature = "tonic")]
mod tonic;
mod unprocessed;

pub use code::Code;
pub use code_set::CodeSet;
pub(crate) use headers::{
    DETAILS, MESSAGE, PREVIOUS_ATTEMPTS, PUSHBACK, STATUS, TIMEOUT, UNPROCESSED, find, is_repeated,
};
pub(crate) use leader_hint::leader_hint;
pub use method::MethodKind;
pub(crate) use pushback::Pushback;
pub(crate) use retry_info::retry_delay;
pub use status::Status;
pub(crate) use status::remove_malformed_details;
pub(crate) use status_headers::StatusHeaders;
pub(crate) use timeout::{InvalidTimeout, parse_timeout, render_timeout};
#[cfg(feature = "server")]
pub(crate) use unprocessed::NoEffect;
pub(crate) use unprocessed::Vouched;
