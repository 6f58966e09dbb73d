//! What calls tell the gate of the channel.

use std::sync::Arc;

use tokio::time::Instant;

use crate::error::Error;
use crate::rng::Rng;
use crate::sync::Ordering;

use super::WaitForReadyPolicy;
use super::channel::Change;
use super::gate::{Gate, Probe};

impl Gate {
    /// An answer came, or a stream was opened; for the test of this number, if it is one.
    pub(super) fn opened(&self, test: Option<u64>, policy: &WaitForReadyPolicy) {
        if !self.listens.load(Ordering::Acquire) {
            return;
        }
        let mut shared = self.shared.lock();
        if shared.channel.is_ready() {
            // Some dials failed, but not so many that it closed.
            shared.channel.answered();
            self.listens.store(false, Ordering::Release);
            return;
        }
        // Of a single endpoint an answer to an older call shows a connection of before.
        let counts = test.is_some_and(|number| shared.channel.can_be_shown_by(number))
            || !policy.is_single()
            || shared.channel.is_shut_down();
        if !counts {
            return;
        }
        let error = shared.channel.opened(test);
        let wake = shared.queue.release(Instant::now(), policy.release);
        self.open(&mut shared);
        drop(shared);
        drop(error);
        tracing::debug!(waiting = wake.len(), "the channel is ready");
        self.wake(wake);
    }

    /// The connection of a call of this era was lost, or that of the test.
    pub(super) fn lost(&self, era: u64, probe: Option<Probe>, policy: &WaitForReadyPolicy) {
        let wake = {
            let mut shared = self.shared.lock();
            let counts = match &probe {
                Some(probe) => shared.channel.is_shown_by(probe.number),
                None => self.is_current(era),
            };
            if counts && policy.is_single() {
                shared.channel.doubted();
                self.close(&mut shared);
                shared.queue.watchers()
            } else {
                Vec::new()
            }
        };
        drop(probe);
        self.wake(wake);
    }

    /// No connection could be made for a call of this era, or for the test.
    pub(super) fn failed(
        &self,
        era: u64,
        probe: Option<Probe>,
        error: &Error,
        policy: &WaitForReadyPolicy,
        rng: &Rng,
    ) {
        // Other calls are told of it, and their reports are others.
        let mut error = Arc::new(error.clone().unreported());
        let (now, unit) = (Instant::now(), rng.unit());
        let wake = {
            let mut shared = self.shared.lock();
            let test = probe.as_ref().map(|probe| probe.number);
            let is_current =
                test.is_some() || self.is_current(era) || shared.channel.is_shut_down();
            let change = if is_current {
                shared.channel.failed(test, &mut error, policy, now, unit)
            } else {
                Change::None
            };
            self.listens.store(true, Ordering::Release);
            if change == Change::Phase {
                self.close(&mut shared);
            }
            match change {
                Change::None => Vec::new(),
                Change::Schedule => shared.queue.watchers(),
                Change::Phase => shared.queue.everybody(),
            }
        };
        // Without the lock: what an error holds may ask for anything when it is dropped.
        drop(error);
        drop(probe);
        self.wake(wake);
    }

    /// The channel can take no call any more.
    pub(super) fn shut_down(&self, probe: Option<Probe>, error: &Error) {
        let error = Arc::new(error.clone().unreported());
        let (wake, before) = {
            let mut shared = self.shared.lock();
            self.close(&mut shared);
            let before = shared.channel.shut_down(error);
            (shared.queue.everybody(), before)
        };
        drop(before);
        drop(probe);
        self.wake(wake);
    }

    /// The next test is due now.
    pub(super) fn reset_backoff(&self) {
        let wake = {
            let mut shared = self.shared.lock();
            if shared.channel.reset_backoff(Instant::now()) {
                shared.queue.watchers()
            } else {
                Vec::new()
            }
        };
        self.wake(wake);
    }
}
