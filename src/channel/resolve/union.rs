use std::sync::Arc;

use tokio::time::Instant;

use super::latest::{Latest, ResolutionEvent};
use super::{Resolution, ResolveError};

/// The union of the answers of several resolvers (CONTRACT N8). It reads no clock.
///
/// Each part has rule N2 for itself: its set stays while it fails, and lapses 60 s after it has
/// become empty. So the union never leaves that to the channel: what it answers counts at once.
#[derive(Debug)]
pub(super) struct Union {
    parts: Vec<Latest>,
    /// The answer that stands.
    told: Option<Resolution>,
    /// A part began to fail, or lapsed, and that was not answered yet.
    news: Option<Arc<ResolveError>>,
    /// The last answer was an error.
    is_failing: bool,
}

pub(super) type Answer = Result<Resolution, ResolveError>;

impl Union {
    pub(super) fn new(parts: usize) -> Self {
        Self {
            parts: (0..parts).map(|_| Latest::default()).collect(),
            told: None,
            news: None,
            is_failing: false,
        }
    }

    /// A part answered; `None`: it ended.
    pub(super) fn answered(&mut self, now: Instant, part: usize, answer: Option<Answer>) {
        let Some(latest) = self.parts.get_mut(part) else {
            return;
        };
        let step = match answer {
            Some(answer) => latest.answered(now, answer),
            None => latest.ended(now),
        };
        self.hear(part, step.event);
    }

    /// Time passed.
    pub(super) fn pass(&mut self, now: Instant) {
        for part in 0..self.parts.len() {
            let step = self.parts.get_mut(part).map(|latest| latest.pass(now));
            self.hear(part, step.and_then(|step| step.event));
        }
    }

    /// When [`pass`](Self::pass) is due.
    pub(super) fn lapses_at(&self) -> Option<Instant> {
        self.parts.iter().filter_map(Latest::lapses_at).min()
    }

    /// The answer of all parts together, if there is a new one.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        let sets = self.parts.iter().filter_map(Latest::set);
        let union: Resolution = sets.flat_map(Resolution::addresses).cloned().collect();
        if union.is_empty() {
            return self.no_address();
        }
        let is_failing = self.parts.iter().any(|part| part.error().is_some());
        if self.told.as_ref() != Some(&union) || (self.is_failing && !is_failing) {
            self.told = Some(union.clone());
            self.is_failing = false;
            return Some(Ok(union));
        }
        // The other parts' addresses are good, so nothing lapses with this one's.
        let error = self.news.take()?;
        self.is_failing = true;
        Some(Err(error.of_part()))
    }

    fn no_address(&mut self) -> Option<Answer> {
        let is_known = |part: &Latest| part.error().is_some();
        // A part that has not answered yet may have an address.
        if !self.parts.iter().all(is_known) {
            return None;
        }
        let error = self.news.take()?;
        // The next set is an answer, whatever it is.
        self.told = None;
        Some(Err(error.that_ends_set()))
    }

    fn hear(&mut self, part: usize, event: Option<ResolutionEvent>) {
        if matches!(
            event,
            Some(ResolutionEvent::Failed | ResolutionEvent::Lapsed)
        ) {
            self.news = self.parts.get(part).and_then(Latest::error).cloned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::time::Duration;

    enum Given {
        Set(usize, &'static str),
        Error(usize),
        Gone(usize),
        End(usize),
        Time,
    }
    use Given::{End, Error, Gone, Set, Time};

    fn set(hosts: &str) -> Resolution {
        let hosts = hosts.split(' ').filter(|it| !it.is_empty());
        hosts
            .map(|host| format!("10.0.0.{host}:1").parse::<SocketAddr>().unwrap())
            .collect()
    }

    type Row = (u64, Given, &'static [&'static str]);

    /// Steps a union of three parts. Each row: the second, the part and its answer or the passing
    /// of time, and the union's answers: addresses, `error`, or `end`.
    fn run(rows: Vec<Row>) {
        let start = Instant::now();
        let mut union = Union::new(3);
        for (number, (at, given, expected)) in rows.into_iter().enumerate() {
            let now = start + Duration::from_secs(at);
            match given {
                Set(part, hosts) => union.answered(now, part, Some(Ok(set(hosts)))),
                Error(part) => {
                    let error = ResolveError::new("a", "SERVFAIL");
                    union.answered(now, part, Some(Err(error)));
                }
                Gone(part) => {
                    let error = ResolveError::no_address("a", "NXDOMAIN");
                    union.answered(now, part, Some(Err(error)));
                }
                End(part) => union.answered(now, part, None),
                Time => union.pass(now),
            }
            let answers = std::iter::from_fn(|| union.answer()).map(|answer| match answer {
                Ok(set) => {
                    let hosts = set.addresses().iter().map(|it| it.address.to_string());
                    let hosts = hosts.map(|it| it[7..it.len() - 2].to_owned());
                    hosts.collect::<Vec<_>>().join(" ")
                }
                Err(error) if error.ends_set() => "end".into(),
                Err(error) if error.is_authoritative() => "grace".into(),
                Err(_) => "error".into(),
            });
            assert_eq!(answers.collect::<Vec<_>>(), expected, "row {number}");
        }
    }

    // CONTRACT N8, N4
    #[test]
    fn the_union_holds_each_address_once_in_the_order_of_its_parts() {
        run(vec![
            (0, Set(1, "3 4"), &["3 4"]),
            (0, Set(0, "1 2"), &["1 2 3 4"]),
            (0, Set(2, "2 5 4"), &["1 2 3 4 5"]),
            (1, Set(2, "5 4"), &[]),
            (2, Set(0, "2"), &["2 3 4 5"]),
        ]);
    }

    // CONTRACT N8
    #[test]
    fn a_part_that_fails_keeps_its_own_last_set() {
        run(vec![
            (0, Set(0, "1"), &["1"]),
            (0, Set(1, "2"), &["1 2"]),
            (0, Set(2, "3"), &["1 2 3"]),
            (1, Error(1), &["error"]),
            (2, Error(1), &[]),
            (600, Set(0, "4"), &["4 2 3"]),
            (601, Error(1), &[]),
            (700, Set(1, "5"), &["4 5 3"]),
            // Recovered with an equal set: an answer, so that the failure is over.
            (800, Error(1), &["error"]),
            (801, Set(1, "5"), &["4 5 3"]),
        ]);
    }

    // CONTRACT N8, N2
    #[test]
    fn a_part_that_is_gone_lapses_alone_after_60_s() {
        run(vec![
            (0, Set(0, "1"), &["1"]),
            (0, Set(1, "2"), &["1 2"]),
            (0, End(2), &["error"]),
            (5, Gone(1), &["error"]),
            (64, Time, &[]),
            (65, Time, &["1", "error"]),
            (66, Gone(1), &[]),
            (67, Set(1, "2"), &["1 2"]),
        ]);
    }

    // CONTRACT N8, N2
    #[test]
    fn when_the_last_part_lapses_the_set_ends_at_once() {
        run(vec![
            (0, Set(0, "1"), &["1"]),
            (0, Set(1, "2"), &["1 2"]),
            (0, Set(2, "3"), &["1 2 3"]),
            (10, Gone(0), &["error"]),
            (20, Set(1, ""), &["error"]),
            (30, Gone(2), &["error"]),
            (70, Time, &["2 3", "error"]),
            (80, Time, &["3", "error"]),
            (90, Time, &["end"]),
            // The same as before its end, and still an answer.
            (99, Set(2, "3"), &["3"]),
        ]);
    }

    // CONTRACT N3
    #[test]
    fn without_an_address_it_waits_until_each_part_has_answered() {
        run(vec![
            (0, Error(0), &[]),
            (1, Gone(1), &[]),
            (2, Error(2), &["end"]),
            (3, Set(1, "2"), &["2"]),
        ]);
    }
}
