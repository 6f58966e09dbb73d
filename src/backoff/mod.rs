//! How long to wait before the next attempt. Pure arithmetic: it reads no clock and draws no random
//! number.
//!
//! ```
//! use grpc_resilience::backoff::{Backoff, Exponential, Jitter, Retry};
//! use std::time::Duration;
//!
//! let backoff = Exponential::new(Duration::from_millis(20))?
//!     .max(Duration::from_secs(1))?
//!     .jitter(Jitter::Full);
//! // The last argument is the random number; half of it is half of the delay under full jitter.
//! assert_eq!(backoff.delay(&Retry::first()), Duration::from_millis(10));
//! let second = Retry::new(2, Duration::from_millis(10), 0.5);
//! assert_eq!(backoff.delay(&second), Duration::from_millis(20));
//! # Ok::<(), grpc_resilience::backoff::InvalidBackoff>(())
//! ```
//!
//! [`Exponential`] with a [`Jitter`] serves most users; implement [`Backoff`] for any other curve.
//! Between two dials of a connection the default is [`ConnectionBackoff`].

mod connection;
mod exponential;
mod jitter;
mod retry;

pub use connection::ConnectionBackoff;
pub use exponential::{Exponential, InvalidBackoff};
pub use jitter::Jitter;
pub use retry::Retry;

use std::fmt;
use std::time::Duration;

/// A curve of delays.
pub trait Backoff: fmt::Debug + Send + Sync {
    /// The delay before this retry.
    fn delay(&self, retry: &Retry) -> Duration;

    /// The delay before a dial of an outage that has lasted for `age`; dial number 1 is the first
    /// after a failed one. Default: [`delay`](Self::delay), whatever the age.
    fn dial_delay(&self, dial: &Retry, age: Duration) -> Duration {
        let _ = age;
        self.delay(dial)
    }
}
