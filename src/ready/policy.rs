use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::backoff::{Backoff, ConnectionBackoff, Retry};
use crate::call::{CallOptions, WaitMode};
use crate::classify::{Progress, Reason, Verdict};
use crate::methods::MethodTable;

use super::line::Bounds;

/// How often all endpoints of a balanced channel must fail in a row until it counts as down: each
/// failure concerns one endpoint only.
const ROUNDS: u32 = 3;

/// The assumed number of endpoints of a channel that has shown several.
const LEARNED: u32 = 3;

/// With three endpoints and random picks, eight more probes miss a live one in one of 25 rounds
/// (CONTRACT W10).
const FOLLOWERS: u32 = 8;

/// Empties a full queue within a second, at about a sixth of the rate that one connection carries
/// on two cores.
const RELEASE_RATE: u32 = 10_000;

/// A user's curve without a wait must not dial in a tight loop.
const MIN_BACKOFF: Duration = Duration::from_millis(1);

/// Decides when the channel counts as down and when it is probed again. Pure: it reads no clock.
#[derive(Clone, Debug)]
pub(crate) struct WaitForReadyPolicy {
    pub(crate) wait_mode: WaitMode,
    pub(crate) methods: MethodTable<WaitMode>,
    pub(crate) backoff: Arc<dyn Backoff>,
    pub(crate) max_backoff: Duration,
    pub(crate) endpoints: u32,
    /// The user set the number of endpoints; then the evidence from calls is not used.
    pub(crate) is_told: bool,
    pub(crate) bounds: Bounds,
    /// Released calls per second; `None` releases all at once.
    pub(crate) release: Option<NonZeroU32>,
}

impl WaitForReadyPolicy {
    /// The wait mode of a call: its own option, else the layer's setting for the method, else the
    /// layer's default (CONTRACT W4).
    #[must_use]
    pub(crate) fn wait_mode(&self, path: &str, options: Option<&CallOptions>) -> WaitMode {
        options
            .and_then(CallOptions::chosen_patience)
            .or_else(|| self.methods.find_path(path).copied())
            .unwrap_or(self.wait_mode)
    }

    /// Whether the channel counts as a single endpoint. Then a lost connection makes the whole
    /// channel unready, and a failed connect after a success is confirmed by a second one, because
    /// the transport may have kept the error of an earlier dial.
    pub(crate) fn is_single(&self) -> bool {
        self.endpoints == 1
    }

    /// How many failed picks in a row count as all endpoints down (CONTRACT W10).
    pub(crate) fn picks(&self) -> u32 {
        match self.endpoints {
            1 => LEARNED,
            endpoints => endpoints,
        }
        .saturating_mul(ROUNDS)
    }

    /// How many probes follow a failed one at once, with several endpoints: a balanced channel
    /// keeps the error of an old dial for each of them (CONTRACT W10).
    pub(crate) fn followers(&self) -> u32 {
        self.picks().saturating_sub(1).min(FOLLOWERS)
    }

    /// What a failure shows about the channel.
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
            // A foreign status or an unknown error may come from a layer below, such as its own
            // time-out.
            _ => Evidence::Nothing,
        }
    }

    /// The wait after the `dials`-th failed dial of an outage that has lasted for `age`; `previous`
    /// is the wait before.
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

/// What the failure of a call shows about the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Evidence {
    /// No connection could be made.
    NotConnected,
    /// A connection existed and is gone.
    Disconnected,
    /// A connection existed.
    Connected,
    /// The channel takes no more calls.
    ShutDown,
    /// The failure shows nothing.
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
            bounds: Bounds::default(),
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
