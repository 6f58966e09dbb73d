//! Which step of a drain comes when. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// How long the steps take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// The most that health and hooks take.
    pub(super) hooks: Duration,
    /// How long the server serves on after them; zero if it does not.
    pub(super) notice: Duration,
    /// From the beginning of the drain to the hard stop.
    pub(super) grace: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Health turns `NOT_SERVING`, and the hooks run. Connections are served.
    Announcing,
    /// Connections are served, while clients hear of it.
    Notice,
    /// Nothing is accepted, GOAWAY is sent, and running calls end.
    Finishing,
    /// All that could end has ended.
    Finished,
    /// The grace is over: what is open is cut off.
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// The drain was asked for.
    Started,
    /// Health and hooks are done.
    Announced,
    /// The server has ended.
    Ended,
    /// Some time has passed.
    TimePassed,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    times: Times,
    phase: Phase,
    began: Option<Instant>,
    /// When the phase ends by itself.
    until: Option<Instant>,
}

impl Machine {
    pub(super) fn new(times: Times) -> Self {
        Self {
            times,
            phase: Phase::Serving,
            began: None,
            until: None,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// When time alone changes the phase.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// The next phase; the same one if this changes nothing.
    pub(super) fn on(&mut self, happened: Happened, now: Instant) -> Phase {
        let is_due = self.until.is_some_and(|until| now >= until);
        match (self.phase, happened) {
            (Phase::Serving, Happened::Started) => {
                self.began = Some(now);
                self.enter(Phase::Announcing, Some(now + self.times.hooks));
            }
            (Phase::Serving | Phase::Finished | Phase::Stopped, _) => {}
            // The grace counts from the beginning, whatever the step: a process that was frozen
            // for longer is as late as one whose calls did not end.
            _ if self.hard_stop().is_some_and(|stop| now >= stop) => {
                self.enter(Phase::Stopped, None);
            }
            (_, Happened::Ended) => self.enter(Phase::Finished, None),
            (Phase::Announcing, Happened::Announced) => self.announced(now),
            (Phase::Announcing, _) if is_due => self.announced(now),
            (Phase::Notice, _) if is_due => self.enter(Phase::Finishing, self.hard_stop()),
            _ => {}
        }
        self.phase
    }

    fn announced(&mut self, now: Instant) {
        if self.times.notice.is_zero() {
            self.enter(Phase::Finishing, self.hard_stop());
        } else {
            // The notice counts from here: no client can hear of the drain earlier.
            self.enter(Phase::Notice, Some(now + self.times.notice));
        }
    }

    fn hard_stop(&self) -> Option<Instant> {
        self.began.map(|began| began + self.times.grace)
    }

    fn enter(&mut self, phase: Phase, until: Option<Instant>) {
        self.phase = phase;
        self.until = until;
    }
}

#[cfg(test)]
mod tests {
    use super::Happened::{Announced, Ended, Started, TimePassed};
    use super::Phase::{Announcing, Finished, Finishing, Notice, Serving, Stopped};
    use super::*;

    const TIMES: Times = Times {
        hooks: Duration::from_secs(5),
        notice: Duration::from_secs(10),
        grace: Duration::from_secs(25),
    };

    /// What happens after how many milliseconds, the phase from then on, and when time alone ends
    /// it.
    type Row = (u64, Happened, Phase, Option<u64>);

    fn runs(times: Times, rows: &[Row]) {
        let begin = Instant::now();
        let ms = Duration::from_millis;
        let mut machine = Machine::new(times);
        assert_eq!(machine.phase(), Serving);
        for (row, &(at, happened, phase, until)) in rows.iter().enumerate() {
            assert_eq!(machine.on(happened, begin + ms(at)), phase, "row {row}");
            assert_eq!(machine.phase(), phase, "row {row}");
            let ends = machine.until().map(|it| it - begin);
            assert_eq!(ends, until.map(ms), "row {row}");
        }
    }

    // CONTRACT E1
    #[test]
    fn the_steps_follow_one_another_and_the_grace_counts_from_the_first() {
        runs(
            TIMES,
            &[
                (1_000, TimePassed, Serving, None),
                (2_000, Started, Announcing, Some(7_000)),
                (2_500, TimePassed, Announcing, Some(7_000)),
                (3_000, Announced, Notice, Some(13_000)),
                (12_999, TimePassed, Notice, Some(13_000)),
                (13_000, TimePassed, Finishing, Some(27_000)),
                (26_999, TimePassed, Finishing, Some(27_000)),
                (27_000, TimePassed, Stopped, None),
                (99_000, TimePassed, Stopped, None),
            ],
        );
    }

    // CONTRACT E1
    #[test]
    fn hooks_that_do_not_end_in_their_time_hold_up_nothing() {
        runs(
            TIMES,
            &[
                (0, Started, Announcing, Some(5_000)),
                (5_000, TimePassed, Notice, Some(15_000)),
                (5_001, Announced, Notice, Some(15_000)),
                (15_000, TimePassed, Finishing, Some(25_000)),
            ],
        );
    }

    // CONTRACT E1
    #[test]
    fn a_server_that_has_ended_is_not_waited_for() {
        for before in [&[][..], &[(1_000, Announced, Notice, Some(11_000))]] {
            let begin = [(0, Started, Announcing, Some(5_000))];
            let end = [
                (2_000, Ended, Finished, None),
                (25_000, TimePassed, Finished, None),
            ];
            runs(TIMES, &[&begin[..], before, &end].concat());
        }
        runs(TIMES, &[(0, Ended, Serving, None)]);
    }

    #[test]
    fn a_second_start_changes_nothing() {
        runs(
            TIMES,
            &[
                (0, Started, Announcing, Some(5_000)),
                (1_000, Started, Announcing, Some(5_000)),
                (2_000, Announced, Notice, Some(12_000)),
                (3_000, Started, Notice, Some(12_000)),
                (12_000, TimePassed, Finishing, Some(25_000)),
                (13_000, Started, Finishing, Some(25_000)),
            ],
        );
    }

    #[test]
    fn without_a_notice_goaway_follows_the_hooks() {
        let times = Times {
            notice: Duration::ZERO,
            ..TIMES
        };
        runs(
            times,
            &[
                (0, Started, Announcing, Some(5_000)),
                (1_000, Announced, Finishing, Some(25_000)),
            ],
        );
        let late = [
            (0, Started, Announcing, Some(5_000)),
            (5_000, TimePassed, Finishing, Some(25_000)),
        ];
        runs(times, &late);
    }

    // CONTRACT E1
    #[test]
    fn a_process_that_was_frozen_past_the_grace_stops_whatever_its_step() {
        for happened in [TimePassed, Announced, Ended] {
            let late = [
                (0, Started, Announcing, Some(5_000)),
                (25_000, happened, Stopped, None),
            ];
            runs(TIMES, &late);
        }
        runs(
            TIMES,
            &[
                (0, Started, Announcing, Some(5_000)),
                (1_000, Announced, Notice, Some(11_000)),
                (30_000, TimePassed, Stopped, None),
            ],
        );
    }
}
