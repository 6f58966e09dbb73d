use std::sync::OnceLock;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use crate::call::Deadline;
use crate::grpc::render_timeout;

/// The default timeout as a cached `grpc-timeout` value: most calls send the whole default.
#[derive(Clone, Debug)]
pub(super) struct TimeoutHeader {
    timeout: Duration,
    value: HeaderValue,
}

/// Interned values. A clone of a static value copies two pointers; a clone of an owned value
/// increments a reference count that all threads share.
///
/// The values are leaked. Their number is bounded: one for each distinct default of a layer, none
/// for timeouts of single calls.
static INTERNED: [OnceLock<(Duration, &'static str)>; 32] = [const { OnceLock::new() }; 32];

impl TimeoutHeader {
    pub(super) fn new(timeout: Duration) -> Self {
        // A timeout beyond the longest deadline stands for the longest deadline.
        let timeout = Deadline::after(Instant::now(), timeout).timeout();
        let value = for_good(timeout).unwrap_or_else(|| render_timeout(timeout));
        Self { timeout, value }
    }

    /// The header value for a call with this whole timeout, if it equals the default.
    #[inline]
    pub(super) fn whole(&self, timeout: Duration) -> Option<HeaderValue> {
        (timeout == self.timeout).then(|| self.value.clone())
    }

    /// The header value for a call that is sent at `now`, if it has the whole default left.
    #[inline]
    pub(super) fn of(&self, deadline: Deadline, now: Instant) -> Option<HeaderValue> {
        let is_mine = deadline == Deadline::after(now, self.timeout);
        is_mine.then(|| self.value.clone())
    }
}

/// `None` once all slots are taken.
fn for_good(timeout: Duration) -> Option<HeaderValue> {
    let rendered = || {
        let text = render_timeout(timeout)
            .to_str()
            .unwrap_or_default()
            .to_owned();
        (timeout, &*text.leak())
    };
    let mut rendered = INTERNED.iter().map(|slot| slot.get_or_init(rendered));
    let (_, text) = rendered.find(|(it, _)| *it == timeout)?;
    Some(HeaderValue::from_static(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_timeout_is_rendered_as_any_other_however_many_there_are() {
        for seconds in (0..99).chain(0..99) {
            let timeout = Duration::from_secs(seconds);
            let rendered = TimeoutHeader::new(timeout);
            let now = Instant::now();
            let said = rendered.of(Deadline::after(now, timeout), now);
            assert_eq!(said, Some(render_timeout(timeout)));
            let other = Deadline::after(now, timeout + Duration::from_nanos(1));
            assert_eq!(rendered.of(other, now), None);
        }
        let longest = TimeoutHeader::new(Duration::MAX);
        let now = Instant::now();
        let deadline = Deadline::after(now, Duration::MAX);
        let left = render_timeout(deadline.remaining(now));
        assert_eq!(longest.of(deadline, now), Some(left));
    }
}
