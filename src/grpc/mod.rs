//! The wire vocabulary of gRPC, parsed without panics and independent of any gRPC library.
//!
//! Everything here reads what a peer sent. A malformed value is an answer of its own (`None`, a
//! typed error, [`Pushback::Stop`]), never a panic.

mod code;
mod code_set;
mod glance;
#[cfg(any(
    feature = "budget",
    feature = "idempotency",
    feature = "rate-limit",
    feature = "retry",
    feature = "wait-for-ready"
))]
mod glob;
mod headers;
#[cfg(any(
    feature = "budget",
    feature = "idempotency",
    feature = "rate-limit",
    feature = "retry",
    feature = "wait-for-ready"
))]
mod language;
mod method;
#[cfg(any(
    feature = "budget",
    feature = "idempotency",
    feature = "rate-limit",
    feature = "retry",
    feature = "wait-for-ready"
))]
mod method_table;
mod path;
mod pushback;
mod retry_info;
mod status;
mod timeout;
#[cfg(feature = "tonic")]
mod tonic;
#[cfg_attr(
    not(feature = "stack"),
    allow(
        dead_code,
        reason = "a layer by itself reads it, or writes it, or neither"
    )
)]
mod unprocessed;

pub use code::Code;
pub use code_set::CodeSet;
pub(crate) use glance::Glance;
pub use headers::{DETAILS, MESSAGE, PREVIOUS_ATTEMPTS, PUSHBACK, STATUS, TIMEOUT, UNPROCESSED};
pub(crate) use headers::{find, is_repeated};
pub use method::MethodKind;
#[cfg(any(
    feature = "budget",
    feature = "idempotency",
    feature = "rate-limit",
    feature = "retry",
    feature = "wait-for-ready"
))]
pub use method_table::InvalidPattern;
#[cfg(any(
    feature = "budget",
    feature = "idempotency",
    feature = "rate-limit",
    feature = "retry",
    feature = "wait-for-ready"
))]
pub(crate) use method_table::MethodTable;
#[cfg(feature = "idempotency")]
pub(crate) use method_table::{covers, is_glob, is_of_service, matches, meets};
#[cfg(feature = "idempotency")]
pub(crate) use path::is_method;
pub use path::method_of;
pub use pushback::Pushback;
pub use retry_info::retry_delay;
#[cfg(feature = "rate-limit")]
pub use retry_info::retry_info_details;
pub use status::{Status, remove_malformed_details};
pub use timeout::{InvalidTimeout, parse_timeout, render_timeout};
#[cfg_attr(
    not(feature = "stack"),
    allow(unused_imports, reason = "a layer by itself may not read it")
)]
pub(crate) use unprocessed::Vouched;
#[cfg(any(feature = "rate-limit", feature = "server-deadline"))]
pub(crate) use unprocessed::{strip_head, strip_trailers};
