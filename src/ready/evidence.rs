//! How the results of calls change the gate.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::events;
use crate::kernel::sync::Ordering;

use super::finding::{Change, Pick};
use super::gate_state::{GateState, Probe, Shared};
use super::log::Line;
use super::losses::End;
use super::settings::Settings;
use super::{WaitForReadyPolicy, failure};

impl Shared {
    fn logs(&mut self, change: Change, error: &Error, now: Instant) -> Line {
        match change {
            Change::None => Line::Nothing,
            Change::Schedule | Change::Phase => self.log.failed(&self.channel, error, now),
        }
    }
}

impl GateState {
    /// The request of probe `test` is being read, by its own task if `by_itself`.
    pub(crate) fn read_by(&self, test: u64, by_itself: bool, policy: &WaitForReadyPolicy) {
        let now = Instant::now();
        let mut shared = self.shared.lock();
        if shared.channel.is_opened_by(test, by_itself, now) {
            self.release(shared, Some(test), policy);
        }
    }

    /// Opens the gate if the current probe must have opened its stream by now.
    pub(crate) fn believe_living_test(&self, policy: &WaitForReadyPolicy, now: Instant) {
        let shared = self.shared.lock();
        let test = shared.channel.living_test(now);
        if test.is_some() {
            self.release(shared, test, policy);
        }
    }

    /// A call was answered; `number` is its own if it is a probe, else the probe's that let it go.
    #[inline]
    pub(crate) fn answered(&self, number: u64, policy: &WaitForReadyPolicy) {
        if self.listens.load(Ordering::Acquire) {
            self.heard(number, policy);
        }
    }

    #[cold]
    fn heard(&self, number: u64, policy: &WaitForReadyPolicy) {
        let now = Instant::now();
        let mut shared = self.shared.lock();
        let channel = &mut shared.channel;
        // With a single endpoint, an answer to an older call comes from an earlier connection.
        let shows = channel.can_be_shown_by(number)
            || channel.is_several(policy, now)
            || channel.is_shut_down();
        if !channel.is_ready() && shows {
            let test = channel.can_be_shown_by(number).then_some(number);
            self.release(shared, test, policy);
            shared = self.shared.lock();
        }
        let channel = &mut shared.channel;
        if !channel.is_ready() || number < channel.shown_by() && !shows {
            let change = channel.served(number);
            let wake = self.follow(change, &mut shared);
            drop(shared);
            return self.wake(wake);
        }
        channel.answered(now);
        let down_for = shared.log.answered(now);
        self.listens.store(false, Ordering::Release);
        drop(shared);
        if let Some(down_for) = down_for {
            events::channel_is_back(down_for);
        }
    }

    fn release(
        &self,
        mut shared: crate::kernel::sync::MutexGuard<'_, Shared>,
        probe: Option<u64>,
        policy: &WaitForReadyPolicy,
    ) {
        let now = Instant::now();
        let error = shared.channel.opened(probe, now);
        let wake = shared.queue.release(now, policy.release);
        self.open(&mut shared);
        drop(shared);
        drop(error);
        if !wake.is_empty() {
            events::calls_released(wake.len());
        }
        self.wake(wake);
    }

    /// The connection of the call with this number ended.
    pub(crate) fn lost(&self, number: u64, end: End, error: &Error, settings: &Settings) {
        let mut kept = Arc::new(error.clone().unreported());
        let wait = self.next_wait(settings);
        let now = Instant::now();
        let (wake, line) = {
            let mut shared = self.shared.lock();
            let channel = &mut shared.channel;
            let change = channel.lost(number, end, &mut kept, &settings.policy, wait, now);
            let line = shared.logs(change, error, now);
            (self.follow(change, &mut shared), line)
        };
        line.write(error, wait);
        drop(kept);
        self.wake(wake);
    }

    /// No connection could be made for the call with this number, or for the probe. `own` counts
    /// the failures in a row of this call.
    pub(crate) fn failed(
        &self,
        number: u64,
        probe: Option<Probe>,
        own: u32,
        error: &Error,
        settings: &Settings,
    ) {
        // Other calls get this error, without the report of this call.
        let mut kept = Arc::new(error.clone().unreported());
        let wait = self.next_wait(settings);
        let now = Instant::now();
        let pick = Pick {
            number,
            is_test: probe.is_some(),
            own,
        };
        let (wake, line) = {
            let mut shared = self.shared.lock();
            let channel = &mut shared.channel;
            let change = channel.failed(pick, &mut kept, &settings.policy, wait, now);
            let line = shared.logs(change, error, now);
            self.listens.store(true, Ordering::Release);
            (self.follow(change, &mut shared), line)
        };
        line.write(error, wait);
        // Outside the lock: dropping an error may run any code.
        drop(kept);
        drop(probe);
        self.wake(wake);
    }

    /// The channel takes no more calls.
    pub(crate) fn shut_down(&self, probe: Option<Probe>, error: &Error) {
        let kept = Arc::new(error.clone().unreported());
        let (wake, before, is_news) = {
            let mut shared = self.shared.lock();
            let before = shared.channel.shut_down(kept);
            let is_news = shared.log.shut_down();
            (self.follow(Change::Phase, &mut shared), before, is_news)
        };
        if is_news {
            events::channel_is_shut_down(error.event());
        }
        drop(before);
        drop(probe);
        self.wake(wake);
    }

    /// Counts a probe as failed if it takes longer than a dial may.
    pub(crate) fn give_up_overdue_test(&self, settings: &Settings, now: Instant) {
        if !self.shared.lock().channel.has_overdue_test(now) {
            return;
        }
        let wait = self.next_wait(settings);
        let error = failure::overdue();
        let mut kept = Arc::new(error.clone());
        let (wake, line) = {
            let mut shared = self.shared.lock();
            if shared.channel.has_overdue_test(now) {
                let was_failing = shared.channel.is_failing();
                shared.channel.give_up_test(&mut kept, wait, now);
                let change = if was_failing {
                    Change::Schedule
                } else {
                    Change::Phase
                };
                let line = shared.logs(change, &error, now);
                (self.follow(change, &mut shared), line)
            } else {
                (Vec::new(), Line::Nothing)
            }
        };
        line.write(&error, wait);
        drop(kept);
        self.wake(wake);
    }

    /// Makes the next probe due now.
    pub(crate) fn reset_backoff(&self) {
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

    /// The wait after the next failed dial. The curve is the user's code, so it runs outside the
    /// lock.
    fn next_wait(&self, settings: &Settings) -> Duration {
        let now = Instant::now();
        let (dials, previous, age) = self.shared.lock().channel.backoff(now);
        let unit = settings.rng.unit();
        settings
            .policy
            .next_dial(dials.saturating_add(1), previous, age, unit)
    }

    /// The calls to wake after a change.
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
