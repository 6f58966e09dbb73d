use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Resolution, ResolveError};

/// How long the last addresses are used once it is known that there is none any more. All pods of a
/// service that restart at once are no reason to end every call.
const GRACE: Duration = Duration::from_secs(60);

/// Which addresses the channel uses, by its resolver's answers so far (CONTRACT N2, N3). It reads
/// no clock: each step is given the time.
#[derive(Debug, Default)]
pub(in crate::channel) struct Latest {
    /// The last good answer, until it lapses.
    set: Option<Resolution>,
    /// The failures since the last good answer.
    outage: Option<Outage>,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    newest: Arc<ResolveError>,
    /// When it was first known that there is no address.
    gone_since: Option<Instant>,
}

/// What one step changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::channel) struct Step {
    /// [`Latest::set`] is another one, or there is none and the words of [`Latest::error`] matter.
    pub(in crate::channel) is_change: bool,
    /// The event that is due.
    pub(in crate::channel) event: Option<ResolutionEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channel) enum ResolutionEvent {
    /// WARN: the first failure since a good answer. [`Latest::error`] is its text.
    Failed,
    /// WARN: calls fail from now on, because the addresses are gone for 60 s.
    Lapsed,
    /// INFO: a good answer after failures for so long.
    Recovered(Duration),
}

impl Latest {
    /// The addresses to use. `None`: there was none yet, or they have lapsed; calls that do not
    /// wait fail with [`error`](Self::error), or wait too if there was no answer at all.
    pub(in crate::channel) fn set(&self) -> Option<&Resolution> {
        self.set.as_ref()
    }

    /// The newest failure since the last good answer.
    pub(in crate::channel) fn error(&self) -> Option<&Arc<ResolveError>> {
        self.outage.as_ref().map(|outage| &outage.newest)
    }

    /// When the set lapses, unless another answer comes: [`pass`](Self::pass) is due then.
    pub(in crate::channel) fn lapses_at(&self) -> Option<Instant> {
        let outage = self.outage.as_ref().filter(|_| self.set.is_some())?;
        if outage.newest.ends_set() {
            return Some(outage.since);
        }
        // An error after NXDOMAIN keeps the set, because the newest answer is not known; NXDOMAIN
        // once more continues the count of the first one.
        let gone_since = outage
            .gone_since
            .filter(|_| outage.newest.is_authoritative());
        gone_since.map(|since| since + GRACE)
    }

    /// The resolver answered.
    pub(in crate::channel) fn answered(
        &mut self,
        now: Instant,
        answer: Result<Resolution, ResolveError>,
    ) -> Step {
        match answer {
            Ok(set) if set.is_empty() => self.failed(
                now,
                ResolveError::no_address("the target", "the resolver's answer is empty"),
            ),
            Ok(set) => self.resolved(now, set),
            Err(error) => self.failed(now, error),
        }
    }

    /// The resolver ended: no other answer follows.
    pub(in crate::channel) fn ended(&mut self, now: Instant) -> Step {
        if self.set.is_some() || self.outage.is_some() {
            return Step::default();
        }
        let answered = "the resolver ended before its first answer";
        self.failed(now, ResolveError::new("the target", answered))
    }

    /// Time passed.
    pub(in crate::channel) fn pass(&mut self, now: Instant) -> Step {
        if self.lapses_at().is_none_or(|at| now < at) {
            return Step::default();
        }
        self.set = None;
        Step {
            is_change: true,
            event: Some(ResolutionEvent::Lapsed),
        }
    }

    fn resolved(&mut self, now: Instant, set: Resolution) -> Step {
        let outage = self.outage.take();
        let is_change = self.set.as_ref() != Some(&set);
        self.set = Some(set);
        Step {
            is_change,
            event: outage.map(|outage| ResolutionEvent::Recovered(now - outage.since)),
        }
    }

    fn failed(&mut self, now: Instant, error: ResolveError) -> Step {
        let is_first = self.outage.is_none();
        let newest = Arc::new(error);
        let outage = self.outage.get_or_insert_with(|| Outage {
            since: now,
            newest: Arc::clone(&newest),
            gone_since: None,
        });
        if newest.is_authoritative() {
            outage.gone_since.get_or_insert(now);
        }
        outage.newest = newest;
        let lapse = self.pass(now);
        Step {
            is_change: self.set.is_none(),
            // One WARN event an outage, and one when it begins to cost calls.
            event: lapse
                .event
                .or_else(|| is_first.then_some(ResolutionEvent::Failed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ResolutionEvent::{Failed, Lapsed, Recovered};
    use super::*;
    use std::net::SocketAddr;

    #[derive(Clone, Copy)]
    enum Given {
        Set(&'static str),
        Empty,
        Error,
        Ending,
        Gone,
        Time,
        End,
    }
    use Given::{Empty, End, Ending, Error, Gone, Set, Time};

    fn resolution(addresses: &str) -> Resolution {
        let addresses = addresses.split(' ').filter(|it| !it.is_empty());
        addresses
            .map(|host| format!("10.0.0.{host}:1").parse::<SocketAddr>().unwrap())
            .collect()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Each row: the second, what is given, the set after it, whether that is a change, the event.
    type Row = (u64, Given, &'static str, bool, Option<ResolutionEvent>);

    fn run(rows: &[Row]) {
        let start = Instant::now();
        let mut latest = Latest::default();
        for (number, &(at, given, set, is_change, event)) in rows.iter().enumerate() {
            let now = start + seconds(at);
            let step = match given {
                Set(addresses) => latest.answered(now, Ok(resolution(addresses))),
                Empty => latest.answered(now, Ok(Resolution::default())),
                Error => latest.answered(now, Err(ResolveError::new("a", "down"))),
                Ending => {
                    let error = ResolveError::new("a", "its parts lapsed").that_ends_set();
                    latest.answered(now, Err(error))
                }
                Gone => latest.answered(now, Err(ResolveError::no_address("a", "NXDOMAIN"))),
                Time => latest.pass(now),
                End => latest.ended(now),
            };
            let expected = Some(resolution(set)).filter(|set| !set.is_empty());
            assert_eq!(latest.set(), expected.as_ref(), "row {number}");
            assert_eq!(step, Step { is_change, event }, "row {number}");
            if set.is_empty() {
                assert!(latest.error().is_some(), "row {number}: no words");
                assert_eq!(latest.lapses_at(), None, "row {number}");
            }
        }
    }

    // CONTRACT N2
    #[test]
    fn an_error_keeps_the_last_set_for_as_long_as_it_lasts() {
        run(&[
            (0, Set("1 2"), "1 2", true, None),
            (5, Error, "1 2", false, Some(Failed)),
            (6, Error, "1 2", false, None),
            (86_400, Error, "1 2", false, None),
            (86_401, Time, "1 2", false, None),
            (
                86_405,
                Set("1 2"),
                "1 2",
                false,
                Some(Recovered(seconds(86_400))),
            ),
            (86_410, Error, "1 2", false, Some(Failed)),
        ]);
    }

    // CONTRACT N2
    #[test]
    fn an_authoritative_answer_without_an_address_keeps_the_last_set_for_60_s() {
        for given in [Gone, Empty] {
            run(&[
                (0, Set("1"), "1", true, None),
                (10, given, "1", false, Some(Failed)),
                (30, given, "1", false, None),
                (69, Time, "1", false, None),
                (70, Time, "", true, Some(Lapsed)),
                (71, given, "", true, None),
                (80, Set("1"), "1", true, Some(Recovered(seconds(70)))),
            ]);
        }
    }

    // CONTRACT N2
    #[test]
    fn a_good_answer_within_60_s_starts_the_count_anew() {
        run(&[
            (0, Set("1"), "1", true, None),
            (10, Gone, "1", false, Some(Failed)),
            (60, Set("1"), "1", false, Some(Recovered(seconds(50)))),
            (61, Gone, "1", false, Some(Failed)),
            (120, Time, "1", false, None),
            (121, Gone, "", true, Some(Lapsed)),
        ]);
    }

    // CONTRACT N2
    #[test]
    fn an_error_after_an_authoritative_answer_keeps_the_set_until_that_is_confirmed() {
        run(&[
            (0, Set("1"), "1", true, None),
            (10, Gone, "1", false, Some(Failed)),
            (20, Error, "1", false, None),
            (90, Time, "1", false, None),
            (95, Gone, "", true, Some(Lapsed)),
            (96, Error, "", true, None),
        ]);
        // An error before it does not count.
        run(&[
            (0, Set("1"), "1", true, None),
            (10, Error, "1", false, Some(Failed)),
            (60, Gone, "1", false, None),
            (119, Time, "1", false, None),
            (120, Time, "", true, Some(Lapsed)),
        ]);
    }

    // CONTRACT N3
    #[test]
    fn before_the_first_set_each_failure_is_there_for_calls_to_show() {
        for given in [Gone, Empty, Error] {
            run(&[
                (0, given, "", true, Some(Failed)),
                (1, given, "", true, None),
                (100, Time, "", false, None),
                (101, Set("1"), "1", true, Some(Recovered(seconds(101)))),
            ]);
        }
        assert!(Latest::default().error().is_none());
    }

    // CONTRACT N9
    #[test]
    fn an_equal_set_is_no_change_and_another_one_replaces_it() {
        run(&[
            (0, Set("1 2"), "1 2", true, None),
            (1, Set("1 2"), "1 2", false, None),
            (2, Set("2 3"), "2 3", true, None),
        ]);
    }

    #[test]
    fn after_its_end_the_last_answer_stands() {
        run(&[(0, Set("1"), "1", true, None), (9, End, "1", false, None)]);
        run(&[(0, End, "", true, Some(Failed)), (1, End, "", false, None)]);
        run(&[
            (0, Set("1"), "1", true, None),
            (1, Gone, "1", false, Some(Failed)),
            (2, End, "1", false, None),
            (61, Time, "", true, Some(Lapsed)),
        ]);
    }

    // CONTRACT N2, N8
    #[test]
    fn an_error_that_ends_the_set_does_so_at_once() {
        run(&[
            (0, Set("1"), "1", true, None),
            (1, Ending, "", true, Some(Lapsed)),
            (2, Ending, "", true, None),
            (3, Set("1"), "1", true, Some(Recovered(seconds(2)))),
            (4, Error, "1", false, Some(Failed)),
            (5, Ending, "", true, Some(Lapsed)),
        ]);
    }

    // CONTRACT N2
    #[test]
    fn it_says_when_the_set_lapses() {
        let start = Instant::now();
        let mut latest = Latest::default();
        latest.answered(start, Ok(resolution("1")));
        assert_eq!(latest.lapses_at(), None);
        latest.answered(start + seconds(3), Ok(Resolution::default()));
        assert_eq!(latest.lapses_at(), Some(start + seconds(63)));
        let text = latest.error().unwrap().to_string();
        assert_eq!(
            text,
            "the target has no address: the resolver's answer is empty"
        );
        latest.answered(start + seconds(4), Err(ResolveError::new("a", "down")));
        assert_eq!(latest.lapses_at(), None);
    }
}
