//! What calls tell the gate of the channel.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::sync::Ordering;

use super::WaitForReadyPolicy;
use super::channel::Change;
use super::gate::{Gate, Probe, Shared};
use super::settings::Settings;

impl Gate {
    /// The transport reads the request of the test of this number: there is a stream.
    pub(super) fn opened(&self, test: u64, policy: &WaitForReadyPolicy) {
        let shared = self.shared.lock();
        if !shared.channel.is_ready() && shared.channel.can_be_shown_by(test) {
            self.release(shared, Some(test), policy);
        }
    }

    /// An answer came, to the test of this number if it is one.
    pub(super) fn answered(&self, test: Option<u64>, policy: &WaitForReadyPolicy) {
        if !self.listens.load(Ordering::Acquire) {
            return;
        }
        let mut shared = self.shared.lock();
        if !shared.channel.is_ready() {
            // Of a single endpoint an answer to an older call shows a connection of before.
            let counts = test.is_some_and(|number| shared.channel.can_be_shown_by(number))
                || !policy.is_single()
                || shared.channel.is_shut_down();
            if !counts {
                return;
            }
            self.release(shared, test, policy);
            shared = self.shared.lock();
            if !shared.channel.is_ready() {
                return;
            }
        }
        shared.channel.answered();
        self.listens.store(false, Ordering::Release);
    }

    fn release(
        &self,
        mut shared: crate::sync::MutexGuard<'_, Shared>,
        test: Option<u64>,
        policy: &WaitForReadyPolicy,
    ) {
        let now = Instant::now();
        let error = shared.channel.opened(test, now);
        let wake = shared.queue.release(now, policy.release);
        self.open(&mut shared);
        drop(shared);
        drop(error);
        tracing::info!(waiting = wake.len(), "the channel is ready");
        self.wake(wake);
    }

    /// The connection of a call of this era was lost, or that of the test.
    pub(super) fn lost(&self, era: u64, test: Option<u64>, settings: &Settings) {
        let wait = self.next_wait(settings);
        let wake = {
            let mut shared = self.shared.lock();
            let counts = match test {
                Some(number) => shared.channel.is_shown_by(number),
                None => self.is_current(era),
            };
            let change = if counts && settings.policy.is_single() {
                shared.channel.lost(test, wait, Instant::now())
            } else {
                Change::None
            };
            self.follow(change, &mut shared)
        };
        self.wake(wake);
    }

    /// No connection could be made for a call of this era, or for the test.
    pub(super) fn failed(
        &self,
        era: u64,
        probe: Option<Probe>,
        error: &Error,
        settings: &Settings,
    ) {
        // Other calls are told of it, and their reports are others.
        let mut kept = Arc::new(error.clone().unreported());
        let wait = self.next_wait(settings);
        let (wake, is_new) = {
            let mut shared = self.shared.lock();
            let Shared { channel, .. } = &mut *shared;
            let test = probe.as_ref().map(|probe| probe.number);
            let change = if test.is_some() || self.is_current(era) || channel.is_shut_down() {
                channel.failed(test, &mut kept, &settings.policy, wait, Instant::now())
            } else {
                Change::None
            };
            let is_new = change == Change::Phase && channel.is_failing();
            self.listens.store(true, Ordering::Release);
            (self.follow(change, &mut shared), is_new)
        };
        if is_new {
            tracing::warn!(%error, next_dial_in = ?wait, "the channel is down");
        }
        // Without the lock: what an error holds may ask for anything when it is dropped.
        drop(kept);
        drop(probe);
        self.wake(wake);
    }

    /// The channel can take no call any more.
    pub(super) fn shut_down(&self, probe: Option<Probe>, error: &Error) {
        let error = Arc::new(error.clone().unreported());
        let (wake, before) = {
            let mut shared = self.shared.lock();
            let before = shared.channel.shut_down(error);
            (self.follow(Change::Phase, &mut shared), before)
        };
        drop(before);
        drop(probe);
        self.wake(wake);
    }

    /// A test that takes longer than a dial may counts as failed.
    pub(super) fn give_up_overdue_test(&self, settings: &Settings, now: Instant) {
        if !self.shared.lock().channel.has_overdue_test(now) {
            return;
        }
        let wait = self.next_wait(settings);
        let wake = {
            let mut shared = self.shared.lock();
            if shared.channel.has_overdue_test(now) {
                shared.channel.give_up_test(wait, now);
                self.follow(Change::Phase, &mut shared)
            } else {
                Vec::new()
            }
        };
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

    /// How long the channel is left alone after the next failed dial. The curve is the user's, and is
    /// asked without the lock.
    fn next_wait(&self, settings: &Settings) -> Duration {
        let (dials, previous) = self.shared.lock().channel.backoff();
        let unit = settings.rng.unit();
        settings
            .policy
            .next_dial(dials.saturating_add(1), previous, unit)
    }

    /// Who is to be woken after a change.
    fn follow(&self, change: Change, shared: &mut Shared) -> Vec<std::task::Waker> {
        match change {
            Change::None => Vec::new(),
            Change::Schedule => shared.queue.watchers(),
            Change::Phase => {
                self.close(shared);
                shared.queue.everybody()
            }
        }
    }
}
