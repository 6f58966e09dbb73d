use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::backoff::{Backoff, ConnectionBackoff, Retry};
use crate::call::{CallOptions, WaitMode};
use crate::classify::{Progress, Reason, Verdict};
use crate::methods::MethodTable;

use super::queue::Bounds;

/// So many times the endpoints must fail in a row before a balanced channel counts as down: each
/// failure says something of one endpoint only.
const ROUNDS: u32 = 3;

/// The number of endpoints that a channel counts as having once it has shown that it has several.
const LEARNED: u32 = 3;

/// Of three endpoints whose picks are random, eight more tests miss one in 25 rounds (CONTRACT
/// W10).
const FOLLOWERS: u32 = 8;

/// A few seconds of a busy client's calls; small ones take some 32 MB then, 50 MB under all layers, see
/// the [module](super).
const MAX_WAITING: usize = 10_000;

/// As much as a container can be expected to spare.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// A full queue within a second, and about a sixth of what one connection carries on two cores.
const RELEASE_RATE: u32 = 10_000;

/// A curve of the user's that gives no wait must not dial without a break.
const MIN_BACKOFF: Duration = Duration::from_millis(1);

/// When the channel counts as down, and when it is tried again: a pure decision.
#[derive(Clone, Debug)]
pub(crate) struct WaitForReadyPolicy {
    pub(crate) wait_mode: WaitMode,
    pub(crate) methods: MethodTable<WaitMode>,
    pub(crate) backoff: Arc<dyn Backoff>,
    pub(crate) max_backoff: Duration,
    pub(crate) endpoints: u32,
    /// The user said how many there are: calls can't show otherwise.
    pub(crate) is_told: bool,
    pub(crate) bounds: Bounds,
    /// So many calls a second; `None` is all at once.
    pub(crate) release: Option<NonZeroU32>,
}

impl WaitForReadyPolicy {
    /// What a call of this method does while the channel is down: its own wish, then what the layer
    /// says of the method, then what it says of all (CONTRACT W4).
    #[must_use]
    pub(crate) fn wait_mode(&self, path: &str, options: Option<&CallOptions>) -> WaitMode {
        options
            .and_then(CallOptions::chosen_patience)
            .or_else(|| self.methods.find_path(path).copied())
            .unwrap_or(self.wait_mode)
    }

    /// Whether all that is known of the channel is known of one endpoint: then a lost connection is the
    /// channel's, and a failed connect after a success is made sure of by a second one, for the
    /// transport may have kept the error of an earlier dial.
    pub(crate) fn is_single(&self) -> bool {
        self.endpoints == 1
    }

    /// How many failed picks in a row show that all of several endpoints are down (CONTRACT W10).
    pub(crate) fn picks(&self) -> u32 {
        match self.endpoints {
            1 => LEARNED,
            endpoints => endpoints,
        }
        .saturating_mul(ROUNDS)
    }

    /// How many tests follow at once on one that failed, where there are several endpoints: a
    /// balanced channel keeps the error of an old dial for each of them (CONTRACT W10).
    pub(crate) fn followers(&self) -> u32 {
        self.picks().saturating_sub(1).min(FOLLOWERS)
    }

    /// What a failure says of the channel.
    #[must_use]
    pub(crate) fn evidence(verdict: &Verdict) -> Evidence {
        match verdict.reason {
            Reason::ConnectFailed if verdict.progress.is_unprocessed() => Evidence::NotConnected,
            Reason::ChannelClosed => Evidence::ShutDown,
            Reason::ConnectionLost
            | Reason::KeepaliveTimeout
            | Reason::Queued
            | Reason::GoAway
            | Reason::GoAwayError => Evidence::Disconnected,
            Reason::MessageTooLarge if verdict.progress == Progress::Answered => {
                Evidence::Connected
            }
            Reason::Answered
            | Reason::InvalidStatus
            | Reason::HttpStatus
            | Reason::NoStatus
            | Reason::StreamRefused
            | Reason::StreamReset => Evidence::Connected,
            // A status of somebody else's and an unknown error may be of a layer below, such as a
            // time-out of its own.
            _ => Evidence::Nothing,
        }
    }

    /// How long the channel is left alone after the `dials`-th failed dial of an outage that has
    /// lasted for `age`; `previous` is how long it was left alone before.
    #[must_use]
    pub(crate) fn next_dial(
        &self,
        dials: u32,
        previous: Duration,
        age: Duration,
        unit: f64,
    ) -> Duration {
        let delay = self
            .backoff
            .dial_delay(&Retry::new(dials, previous, unit), age);
        delay.min(self.max_backoff).max(MIN_BACKOFF)
    }
}

/// What the failure of a call says of the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Evidence {
    /// No connection could be made.
    NotConnected,
    /// There was one, and it is gone.
    Disconnected,
    /// There was one.
    Connected,
    /// It can take no call any more.
    ShutDown,
    /// Nothing.
    Nothing,
}

impl Default for WaitForReadyPolicy {
    fn default() -> Self {
        Self {
            wait_mode: WaitMode::WaitForReady,
            methods: MethodTable::default(),
            backoff: Arc::new(ConnectionBackoff::new()),
            max_backoff: Duration::MAX,
            endpoints: 1,
            is_told: false,
            bounds: Bounds {
                calls: MAX_WAITING,
                bytes: MAX_WAITING_BYTES,
            },
            release: NonZeroU32::new(RELEASE_RATE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::Exponential;

    // CONTRACT W5
    #[test]
    fn the_backoff_depends_on_the_outage_s_age_and_stays_within_its_bound() {
        let mut policy = WaitForReadyPolicy::default();
        let middle = |policy: &WaitForReadyPolicy, dials, age| {
            let age = Duration::from_secs(age);
            policy
                .next_dial(dials, Duration::ZERO, age, 0.5)
                .as_millis()
        };
        assert_eq!(middle(&policy, 1, 0), 100);
        assert_eq!(middle(&policy, 50, 9), 800);
        assert_eq!(middle(&policy, 50, 60), 10_000);
        policy.max_backoff = Duration::from_millis(500);
        assert_eq!(middle(&policy, 50, 60), 500);
    }

    // CONTRACT W5
    #[test]
    fn a_curve_without_waits_leaves_the_channel_a_millisecond_to_itself() {
        let none = Exponential::new(Duration::from_nanos(1)).unwrap();
        let policy = WaitForReadyPolicy {
            backoff: Arc::new(none),
            ..WaitForReadyPolicy::default()
        };
        for unit in [0.0, 0.999] {
            let wait = policy.next_dial(1, Duration::ZERO, Duration::ZERO, unit);
            assert_eq!(wait, MIN_BACKOFF);
        }
    }

    #[test]
    fn a_call_s_own_wish_beats_the_method_s_which_beats_the_layer_s() {
        let mut policy = WaitForReadyPolicy::default();
        let mut options = CallOptions::default();
        let wait_mode = |policy: &WaitForReadyPolicy, options: Option<&CallOptions>| {
            policy.wait_mode("/a.B/C", options)
        };
        assert_eq!(wait_mode(&policy, Some(&options)), WaitMode::WaitForReady);
        policy
            .methods
            .replace("/a.B/*", WaitMode::FailFast)
            .unwrap();
        assert_eq!(wait_mode(&policy, None), WaitMode::FailFast);
        options.wait_for_ready();
        assert_eq!(wait_mode(&policy, Some(&options)), WaitMode::WaitForReady);
    }
}
