use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use crate::grpc::{InvalidTimeout, TIMEOUT, find, parse_timeout, render_timeout};

/// About thirty years: replaces a timeout that overflows an [`Instant`].
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The least grace before an end, because clocks differ, and tonic's own timer and stock servers
/// answer CANCELLED shortly before it (CONTRACT D11).
pub(super) const LEAST_GRACE: Duration = Duration::from_millis(5);

/// The instant at which a call ends, in any state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    at: Instant,
    timeout: Duration,
    /// Added to the timeout that the peer gets.
    slack: Duration,
}

impl Deadline {
    /// The deadline `timeout` after `now`. Never overflows (CONTRACT D7).
    #[must_use]
    pub fn after(now: Instant, timeout: Duration) -> Self {
        let (at, timeout) = match (now.checked_add(timeout), now.checked_add(FAR)) {
            (Some(at), _) => (at, timeout),
            (None, Some(at)) => (at, FAR),
            (None, None) => (now, Duration::ZERO),
        };
        let slack = Duration::ZERO;
        Self { at, timeout, slack }
    }

    /// The same instant with `slack` added to the peer's timeout, so that this side ends the call
    /// first.
    pub(crate) fn told_later(self, slack: Duration) -> Self {
        Self { slack, ..self }
    }

    /// The deadline that the caller wrote into `grpc-timeout`, as tonic's `Request::set_timeout`
    /// does; `None` if there is none.
    pub(crate) fn from_headers(
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<Option<Self>, InvalidTimeout> {
        find(headers, &TIMEOUT)
            .map(|value| parse_timeout(value.as_bytes()))
            .transpose()
            .map(|timeout| timeout.map(|timeout| Self::after(now, timeout)))
    }

    /// The instant at which the call ends.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.at
    }

    /// The whole timeout of the call.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// When it was created, unless it comes from another call.
    pub(crate) fn start(self) -> Instant {
        self.at.checked_sub(self.timeout).unwrap_or(self.at)
    }

    /// The time that remains at `now`, zero once it has passed.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Duration {
        self.at.saturating_duration_since(now)
    }

    /// The earlier one of two deadlines.
    #[must_use]
    pub fn earliest(self, other: Self) -> Self {
        if other.at < self.at { other } else { self }
    }

    /// Writes the time that remains at `now` as `grpc-timeout`; for the end of an attempt, slightly
    /// more.
    ///
    /// A layer that delayed a request calls this just before it hands the request on.
    pub(crate) fn stamp(&self, headers: &mut HeaderMap, now: Instant) {
        headers.insert(TIMEOUT, render_timeout(self.told(now)));
    }

    /// The timeout that the peer gets at `now`.
    pub(crate) fn told(&self, now: Instant) -> Duration {
        self.remaining(now).saturating_add(self.slack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT D7
    #[tokio::test(start_paused = true)]
    async fn the_longest_timeout_does_not_overflow() {
        let now = Instant::now();
        let deadline = Deadline::after(now, Duration::MAX);
        assert!(deadline.remaining(now) >= FAR);
        assert_eq!(deadline.timeout(), deadline.remaining(now));
        assert_eq!(
            deadline.remaining(deadline.at() + Duration::from_secs(1)),
            Duration::ZERO
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_stamped_is_what_is_left_now() {
        let start = Instant::now();
        let deadline = Deadline::after(start, Duration::from_secs(5));
        let mut headers = HeaderMap::new();
        deadline.stamp(&mut headers, start + Duration::from_millis(4_900));
        assert_eq!(headers[TIMEOUT], "100000u");
        deadline.stamp(&mut headers, start + Duration::from_secs(9));
        assert_eq!(headers[TIMEOUT], "1n");
        assert_eq!(headers.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_peer_is_told_of_a_later_end_by_the_slack() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let end = Deadline {
            slack: Duration::from_millis(50),
            ..Deadline::after(now, second)
        };
        let mut headers = HeaderMap::new();
        end.stamp(&mut headers, now);
        assert_eq!(headers[TIMEOUT], "1050000u");
        assert_eq!((end.remaining(now), end.timeout()), (second, second));
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_wins() {
        let now = Instant::now();
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(2));
        let (short, long) = (Deadline::after(now, short), Deadline::after(now, long));
        assert_eq!(short.earliest(long), short);
        assert_eq!(long.earliest(short), short);
    }
}
