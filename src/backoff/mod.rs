//! How long to wait before the next attempt: pure arithmetic, no clock and no dice.
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
//! [`Exponential`] with a [`Jitter`] serves most; anything else implements [`Backoff`]. Between two dials
//! of a connection the default is `ConnectionBackoff`.

#[cfg(any(feature = "channel", feature = "wait-for-ready"))]
mod connection;
mod exponential;
mod jitter;

#[cfg(any(feature = "channel", feature = "wait-for-ready"))]
pub use connection::ConnectionBackoff;
pub use exponential::{Exponential, InvalidBackoff};
pub use jitter::Jitter;

use std::fmt;
use std::time::Duration;

/// A curve of delays.
pub trait Backoff: fmt::Debug + Send + Sync {
    /// The delay before retry number `retry` (1 is the first) since the start of the call or since
    /// the server last said how long to wait.
    ///
    /// `previous` is the delay that this curve gave before retry `retry - 1`, zero before the
    /// first; `unit` is a random number in `[0, 1)`.
    fn delay(&self, retry: u32, previous: Duration, unit: f64) -> Duration;

    /// The delay before dial number `dial` (1 is the first after a failed one) of an outage that
    /// has lasted for `age`. Default: [`delay`](Self::delay), whatever the age.
    fn dial_delay(&self, dial: u32, previous: Duration, age: Duration, unit: f64) -> Duration {
        let _ = age;
        self.delay(dial, previous, unit)
    }
}
