use std::time::Duration;

use http::HeaderMap;

use crate::grpc::{InvalidTimeout, TIMEOUT, parse_timeout};

/// Divides a call's time between the handler and the calls that it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerDeadlinePolicy {
    pub(super) margin: Duration,
}

/// The time that a call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandlerDeadline {
    /// No limit.
    Unbounded,
    /// A limit for the handler, and one for the calls that it makes.
    Within {
        /// The time for the handler.
        handler: Duration,
        /// The time for the calls that the handler makes.
        calls: Duration,
    },
    /// The deadline had passed when the call arrived.
    Expired,
}

impl ServerDeadlinePolicy {
    /// Computes the deadline from the caller's headers.
    ///
    /// # Errors
    ///
    /// [`InvalidTimeout`] for a malformed `grpc-timeout`.
    pub(crate) fn terms(&self, headers: &HeaderMap) -> Result<HandlerDeadline, InvalidTimeout> {
        let Some(value) = headers.get(TIMEOUT) else {
            return Ok(HandlerDeadline::Unbounded);
        };
        let handler = parse_timeout(value.as_bytes())?;
        if handler.is_zero() {
            return Ok(HandlerDeadline::Expired);
        }
        let calls = handler.saturating_sub(self.margin);
        Ok(HandlerDeadline::Within { handler, calls })
    }
}

impl Default for ServerDeadlinePolicy {
    /// The answer to a call that expired downstream must arrive before the caller's own deadline.
    /// The margin is the 5 ms within which a caller takes any cancellation for the deadline
    /// (CONTRACT D11).
    fn default() -> Self {
        Self {
            margin: Duration::from_millis(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(timeout: Option<&'static str>) -> Result<HandlerDeadline, InvalidTimeout> {
        let policy = ServerDeadlinePolicy::default();
        let timeout = timeout.map(|text| (TIMEOUT, http::HeaderValue::from_static(text)));
        policy.terms(&timeout.into_iter().collect())
    }

    // CONTRACT D1, D3, D4
    #[test]
    fn the_caller_s_timeout_is_the_handler_s_and_a_margin_less_that_of_its_calls() {
        let ms = Duration::from_millis;
        let within = |handler, calls| Ok(HandlerDeadline::Within { handler, calls });
        assert_eq!(terms(Some("100m")), within(ms(100), ms(95)));
        assert_eq!(terms(Some("3m")), within(ms(3), Duration::ZERO));
        assert_eq!(terms(Some("0m")), Ok(HandlerDeadline::Expired));
        assert_eq!(terms(None), Ok(HandlerDeadline::Unbounded));
        for malformed in ["", "1", "m", "-1m", "123456789m", "1 m"] {
            assert_eq!(terms(Some(malformed)), Err(InvalidTimeout), "{malformed:?}");
        }
    }
}
