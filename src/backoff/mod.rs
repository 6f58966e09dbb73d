//! How long to wait before the next attempt. Pure arithmetic: it reads no clock and draws no random
//! number.
//!
//! ```
//! use grpc_resilience::backoff::{Backoff, Exponential, Jitter};
//! use std::time::Duration;
//!
//! let backoff = Exponential::new(Duration::from_millis(20))?
//!     .max(Duration::from_secs(1))?
//!     .jitter(Jitter::Full);
//! // The last argument is the random number; half of it is half of the delay under full jitter.
//! assert_eq!(backoff.delay(1, Duration::ZERO, 0.5), Duration::from_millis(10));
//! assert_eq!(backoff.delay(2, Duration::ZERO, 0.5), Duration::from_millis(20));
//! # Ok::<(), grpc_resilience::backoff::InvalidBackoff>(())
//! ```
//!
//! [`Exponential`] with a [`Jitter`] serves most users; implement [`Backoff`] for any other curve.
//! Between two dials of a connection the default is [`ConnectionBackoff`].

mod connection;
mod exponential;
mod jitter;

pub use connection::ConnectionBackoff;
pub use exponential::{Exponential, InvalidBackoff};
pub use jitter::Jitter;

use std::fmt;
use std::time::Duration;

/// A curve of delays.
pub trait Backoff: fmt::Debug + Send + Sync {
    /// The delay before retry number `retry`; 1 is the first since the start of the call or since
    /// the last server hint.
    ///
    /// `previous` is the delay that this curve gave before retry `retry - 1`, zero before the
    /// first; `unit` is a random number in `[0, 1)`.
    fn delay(&self, retry: u32, previous: Duration, unit: f64) -> Duration;

    /// The delay before dial number `dial` of an outage that has lasted for `age`; 1 is the first
    /// dial after a failed one. Default: [`delay`](Self::delay), for any age.
    fn dial_delay(&self, dial: u32, previous: Duration, age: Duration, unit: f64) -> Duration {
        let _ = age;
        self.delay(dial, previous, unit)
    }
}
