//! One address as a pure state machine: it is told what happened and says when to dial.

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

#[derive(Debug)]
pub(super) struct Machine {
    backoff: Arc<dyn Backoff>,
    /// Connections that take calls.
    ready: u32,
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
            max,
            dial: Dial::None,
            failures: 0,
            outage_since: None,
            previous: Duration::ZERO,
            last_dial: None,
            not_before: None,
            is_failing: false,
            is_shut: false,
        }
    }

    pub(super) fn state(&self) -> Connectivity {
        if self.is_shut {
            Connectivity::Shutdown
        } else if self.ready > 0 {
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

    /// A connection is wanted.
    pub(super) fn demand(&mut self, now: Instant) -> Option<Instant> {
        let is_idle = self.ready == 0 && self.dial == Dial::None;
        self.plan_if(is_idle, now)
    }

    /// One more connection is wanted (CONTRACT C8).
    pub(super) fn demand_more(&mut self, now: Instant) -> Option<Instant> {
        let is_due = self.not_before.is_none_or(|at| at <= now);
        let has_room = self.ready > 0 && self.ready < self.max && self.dial == Dial::None;
        self.plan_if(has_room && is_due, now)
    }

    /// The planned dial starts; whether it is still wanted.
    pub(super) fn dialling(&mut self, now: Instant) -> bool {
        if self.is_shut || self.dial == Dial::Running {
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
        self.not_before = None;
    }

    /// The dial failed.
    pub(super) fn failed(&mut self, now: Instant, unit: f64) -> Option<Instant> {
        self.dial = Dial::None;
        self.failures += 1;
        let at = self.back_off(now, self.failures, unit);
        if self.ready > 0 {
            return None;
        }
        self.is_failing = true;
        self.plan_if(true, at)
    }

    /// A connection takes no call any more.
    pub(super) fn lost(&mut self, was: Was, now: Instant, unit: f64) -> Option<Instant> {
        self.ready = self.ready.saturating_sub(1);
        let is_proven = was.has_served || now >= was.ready_since + PROVEN;
        if is_proven {
            self.recover();
        } else {
            self.failures += 1;
        }
        if was.has_served {
            // The connection between two dials served a call.
            self.last_dial = None;
        }
        let at = if self.failures > 1 {
            self.back_off(now, self.failures - 1, unit)
        } else {
            now
        };
        if self.ready > 0 {
            return None;
        }
        self.is_failing |= self.failures > 1 && !was.is_graceful;
        let is_free = match self.dial {
            Dial::None => true,
            // One more was wanted, and can wait: what is lost can't.
            Dial::Planned(later) => at < later,
            Dial::Running => false,
        };
        self.plan_if(is_free, at)
    }

    /// A connection that takes no call any more has served one after all: what followed its loss
    /// follows at once.
    pub(super) fn served_late(&mut self, now: Instant) -> Option<Instant> {
        self.recover();
        self.last_dial = None;
        let is_planned = matches!(self.dial, Dial::Planned(_)) && !self.is_failing;
        self.plan_if(is_planned, now)
    }

    /// A connection is closed, since nobody used it.
    pub(super) fn closed_idle(&mut self) {
        self.ready = self.ready.saturating_sub(1);
    }

    /// The user wants the next dial at once.
    pub(super) fn reset_backoff(&mut self, now: Instant) -> Option<Instant> {
        self.recover();
        let is_planned = matches!(self.dial, Dial::Planned(_));
        self.plan_if(is_planned, now)
    }

    pub(super) fn shut(&mut self) {
        self.is_shut = true;
        self.dial = Dial::None;
        self.ready = 0;
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
        self.dial = Dial::Planned(at);
        Some(at)
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
