//! The current probe: its owner, and its end without an answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;

use super::channel::{Channel, Inferred};
use super::outage::Outage;
use super::running_probe::RunningProbe;

impl Channel {
    /// Begins a probe and returns its number.
    pub(crate) fn begin_probe(&mut self, now: Instant) -> u64 {
        self.probes += 1;
        let follows_loss =
            self.probe.is_none() && self.shown_by > 0 && matches!(self.phase, Inferred::Unproven);
        let abandoned = self.abandoned.take();
        self.probe = Some(RunningProbe::begins(
            self.probes,
            follows_loss,
            abandoned,
            now,
        ));
        self.probes
    }

    /// The owner of this probe polls it; whether it is the current one.
    pub(crate) fn polled(&mut self, number: u64) -> bool {
        let test = self.probe.as_mut().filter(|test| test.number == number);
        test.map(RunningProbe::polled).is_some()
    }

    /// The dial of this probe has woken its owner.
    pub(crate) fn woke(&mut self, number: u64, now: Instant) {
        if let Some(test) = self.probe.as_mut().filter(|test| test.number == number) {
            test.woke(now);
        }
    }

    /// Ends a probe without a result; whether it was the current one.
    pub(crate) fn end_probe(&mut self, number: u64, now: Instant) -> bool {
        let ended = self.is_probed_by(number);
        if ended {
            self.probe = None;
            self.abandoned = Some(now);
        }
        ended
    }

    pub(crate) fn is_probed_by(&self, number: u64) -> bool {
        self.probe.is_some_and(|test| test.number == number)
    }

    /// The request of this probe is read, by the call's own task if `by_itself`. Returns whether
    /// that proves an open stream: a transport reads the request once there is a stream, in its own
    /// task.
    pub(crate) fn is_opened_by(&mut self, number: u64, by_itself: bool, now: Instant) -> bool {
        if self.is_ready() || self.is_suspect || !self.can_be_shown_by(number) {
            return false;
        }
        // After a connection that was lost without an answer, the other calls stay out of the next
        // one for a moment: the server may hang up on this very request (CONTRACT W9).
        if by_itself || self.losses.count > 0 {
            if let Some(test) = self.probe.as_mut().filter(|test| test.number == number) {
                test.read(now);
            }
            return false;
        }
        true
    }

    /// The current probe, if its stream must be open by now.
    pub(crate) fn living_test(&self, now: Instant) -> Option<u64> {
        let lives = self.probe.filter(|test| test.lives(now));
        lives.map(|test| test.number)
    }

    /// Whether the current probe has taken longer than a dial may (CONTRACT W5).
    pub(crate) fn has_overdue_test(&self, now: Instant) -> bool {
        self.probe.is_some_and(|test| now >= test.until)
    }

    /// Counts the current probe as a failed dial, though its call may still succeed. Swaps `error`
    /// for the previous one.
    pub(crate) fn give_up_test(&mut self, error: &mut Arc<Error>, wait: Duration, now: Instant) {
        self.keep(error);
        let outage = self.outage.unwrap_or(Outage::since(now));
        self.outage = Some(outage.left_alone(wait, now));
        self.several.hold(now);
        self.phase = Inferred::Failing;
        self.probe = None;
    }
}
