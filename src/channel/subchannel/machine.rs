//! One address as a pure state machine: it is told what happened and says when to dial.

mod silence;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff, Retry};
use crate::channel::connectivity::Connectivity;

/// Two dials of one address are never closer than this, unless the connection between them served
/// a call (CONTRACT C3).
const BETWEEN: Duration = Duration::from_millis(100);
/// A connection that was ready for so long ends an outage, even if it served no call.
const PROVEN: Duration = Duration::from_secs(10);

/// How a connection was, when it is lost or leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Was {
    pub(super) ready_since: Instant,
    pub(super) has_served: bool,
    /// The server closed it by a GOAWAY without an error, which is no failure.
    pub(super) is_graceful: bool,
}

impl Was {
    /// It ends an outage.
    fn is_proven(self, now: Instant) -> bool {
        self.has_served || now >= self.ready_since + PROVEN
    }
}

#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "any of them may hold beside any other"
)]
pub(super) struct Machine {
    backoff: Arc<dyn Backoff>,
    /// Connections that take calls while they are healthy.
    ready: u32,
    /// Those of them that are not healthy (CONTRACT G1).
    unhealthy: u32,
    max: u32,
    dial: Dial,
    /// Failed dials in a row, connections that were lost too early among them.
    failures: u32,
    outage_since: Option<Instant>,
    previous: Duration,
    last_dial: Option<Instant>,
    /// The backoff says that no dial is due before this.
    not_before: Option<Instant>,
    /// `TRANSIENT_FAILURE` lasts until READY (CONTRACT C4).
    is_failing: bool,
    /// A connection is to be made that replaces those there are.
    is_renewing: bool,
    /// It dials on demand only: the channel connects to one of its addresses (CONTRACT L6).
    is_on_demand: bool,
    /// Its last connection was closed because no call came.
    is_at_rest: bool,
    is_shut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dial {
    None,
    Planned(Instant),
    Running,
}

impl Machine {
    pub(super) fn new(backoff: Arc<dyn Backoff>, max: u32) -> Self {
        Self {
            backoff,
            ready: 0,
            unhealthy: 0,
            max,
            dial: Dial::None,
            failures: 0,
            outage_since: None,
            previous: Duration::ZERO,
            last_dial: None,
            not_before: None,
            is_failing: false,
            is_renewing: false,
            is_on_demand: false,
            is_at_rest: false,
            is_shut: false,
        }
    }

    /// No dial follows from a failed one or a lost connection.
    pub(super) fn on_demand(mut self) -> Self {
        self.is_on_demand = true;
        self
    }

    pub(super) fn state(&self) -> Connectivity {
        if self.is_shut {
            Connectivity::Shutdown
        } else if self.ready > self.unhealthy {
            Connectivity::Ready
        } else if self.is_failing {
            Connectivity::TransientFailure
        } else if self.dial == Dial::None {
            Connectivity::Idle
        } else {
            Connectivity::Connecting
        }
    }

    /// When the next dial is due.
    pub(super) fn next_dial(&self) -> Option<Instant> {
        match self.dial {
            Dial::Planned(at) => Some(at),
            Dial::None | Dial::Running => None,
        }
    }

    /// A dial is under way or planned.
    pub(super) fn is_dialling(&self) -> bool {
        self.dial != Dial::None
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.is_at_rest
    }

    /// When the last dial began.
    pub(super) fn last_dial(&self) -> Option<Instant> {
        self.last_dial
    }

    /// Whether a dial of this address would be too soon (CONTRACT C3).
    pub(super) fn is_too_soon(&self, now: Instant) -> bool {
        self.last_dial.is_some_and(|last| now < last + BETWEEN)
    }

    /// A connection is wanted.
    pub(super) fn demand(&mut self, now: Instant) -> Option<Instant> {
        let is_idle = self.ready == 0 && self.dial == Dial::None;
        let at = self.not_before.map_or(now, |due| due.max(now));
        self.plan_if(is_idle, at)
    }

    /// One more connection is wanted (CONTRACT C8).
    pub(super) fn demand_more(&mut self, now: Instant) -> Option<Instant> {
        let is_due = self.not_before.is_none_or(|at| at <= now);
        // Beside one that is not healthy, another would hardly be.
        let is_healthy = self.ready > 0 && self.unhealthy == 0;
        let has_room = is_healthy && self.ready < self.max && self.dial == Dial::None;
        self.plan_if(has_room && is_due, now)
    }

    /// The settings of TLS have changed: one more connection is wanted, however many there are, and
    /// a dial that waits for the end of a backoff starts at once.
    pub(super) fn renew(&mut self, now: Instant) -> Option<Instant> {
        self.is_renewing = self.ready > 0;
        let is_wanted = match self.dial {
            Dial::None => self.ready > 0,
            Dial::Planned(_) => true,
            // It may have begun before the change; then this is called again.
            Dial::Running => false,
        };
        self.plan_if(is_wanted, now)
    }

    /// The planned dial starts; whether it is still wanted.
    pub(super) fn dialling(&mut self, now: Instant) -> bool {
        if self.is_shut || !matches!(self.dial, Dial::Planned(_)) {
            return false;
        }
        self.dial = Dial::Running;
        self.last_dial = Some(now);
        true
    }

    /// The dial made a connection.
    pub(super) fn dialled(&mut self) {
        self.dial = Dial::None;
        self.ready += 1;
        self.is_failing = false;
        self.is_renewing = false;
        self.not_before = None;
    }

    /// The dial failed.
    pub(super) fn failed(&mut self, now: Instant, unit: f64) -> Option<Instant> {
        self.dial = Dial::None;
        self.failures += 1;
        let at = self.back_off(now, self.failures, unit);
        self.is_failing |= self.ready == 0;
        let is_wanted = if self.ready == 0 {
            !self.is_on_demand
        } else {
            self.is_renewing
        };
        self.plan_if(is_wanted, at)
    }

    /// A connection takes no call any more.
    pub(super) fn lost(&mut self, was: Was, now: Instant, unit: f64) -> Option<Instant> {
        // No connection can be made with the new settings, and now those with earlier ones are
        // gone.
        let is_backing_off = self.not_before.is_some_and(|at| at > now);
        let cannot_renew = self.is_renewing && is_backing_off;
        let at = self.leaves(was.has_served, was.is_proven(now), now, unit);
        if self.ready > 0 {
            return None;
        }
        self.is_failing |= cannot_renew || (self.failures > 1 && !was.is_graceful);
        let is_free = match self.dial {
            Dial::None => !self.is_on_demand,
            // One more was wanted, and can wait: what is lost can't.
            Dial::Planned(later) => at < later,
            Dial::Running => false,
        };
        self.plan_if(is_free, at)
    }

    /// There is one connection less; when the next dial is due.
    fn leaves(&mut self, has_served: bool, is_proven: bool, now: Instant, unit: f64) -> Instant {
        self.ready = self.ready.saturating_sub(1);
        if is_proven {
            self.recover();
        } else {
            self.failures += 1;
        }
        if has_served {
            // The connection between two dials served a call.
            self.last_dial = None;
        }
        if self.failures > 1 {
            self.back_off(now, self.failures - 1, unit)
        } else {
            now
        }
    }

    /// A connection that takes no call any more has served one after all: what followed its loss
    /// follows at once.
    pub(super) fn served_late(&mut self, now: Instant) -> Option<Instant> {
        self.recover();
        self.last_dial = None;
        let is_planned = matches!(self.dial, Dial::Planned(_)) && !self.is_failing;
        self.plan_if(is_planned, now)
    }

    /// A connection is closed because no call used it.
    pub(super) fn closed_idle(&mut self) {
        self.ready = self.ready.saturating_sub(1);
        self.is_at_rest = self.ready == 0;
        // One that was not healthy has not failed: the next call wants another.
        self.is_failing &= self.ready > 0;
    }

    /// So many of the connections are not healthy. If none is, that is a failure, which lasts
    /// until one is (CONTRACT C4, G1).
    pub(super) fn set_unhealthy(&mut self, unhealthy: usize) {
        self.unhealthy = u32::try_from(unhealthy).unwrap_or(u32::MAX);
        if self.ready > 0 {
            self.is_failing = self.ready <= self.unhealthy;
        }
    }

    /// A connection takes no call any more, since another replaces it.
    pub(super) fn replaced(&mut self) {
        self.ready = self.ready.saturating_sub(1);
    }

    /// The user wants the next dial at once.
    pub(super) fn reset_backoff(&mut self, now: Instant) -> Option<Instant> {
        self.recover();
        let is_planned = matches!(self.dial, Dial::Planned(_));
        self.plan_if(is_planned, now)
    }

    /// Another address is used: what was dialled is no failure.
    pub(super) fn stand_by(&mut self) {
        self.dial = Dial::None;
        self.ready = 0;
        self.is_failing = false;
    }

    pub(super) fn shut(&mut self) {
        self.is_shut = true;
        self.dial = Dial::None;
        self.ready = 0;
    }

    /// The address is back. Its backoff goes on.
    pub(super) fn revive(&mut self) {
        self.is_shut = false;
    }

    fn recover(&mut self) {
        self.failures = 0;
        self.outage_since = None;
        self.previous = Duration::ZERO;
        self.not_before = None;
    }

    /// The backoff counts from the start of the failed dial.
    fn back_off(&mut self, now: Instant, number: u32, unit: f64) -> Instant {
        let start = self.last_dial.unwrap_or(now);
        let since = *self.outage_since.get_or_insert(start);
        let age = now.saturating_duration_since(since);
        let delay = self
            .backoff
            .dial_delay(&Retry::new(number, self.previous, unit), age);
        self.previous = delay;
        let at = start.checked_add(delay).unwrap_or(start).max(now);
        self.not_before = Some(at);
        at
    }

    fn plan_if(&mut self, is_wanted: bool, at: Instant) -> Option<Instant> {
        if !is_wanted || self.is_shut {
            return None;
        }
        let earliest = self.last_dial.map(|last| last + BETWEEN);
        let at = earliest.map_or(at, |earliest| at.max(earliest));
        self.is_at_rest = false;
        self.dial = Dial::Planned(at);
        Some(at)
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
