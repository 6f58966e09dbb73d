//! What the messages and the end of a health watch mean, and when to watch again: pure decisions.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::answer::Answer;
use super::status::Health;
use crate::backoff::{Backoff, Retry};
use crate::grpc::Code;

/// Two watches of one connection never begin closer than this: a server that ends each watch after
/// a message would be asked without a pause.
const BETWEEN: Duration = Duration::from_millis(100);

/// The watches of one connection, one after another.
#[derive(Debug)]
pub(super) struct Judge {
    backoff: Arc<dyn Backoff>,
    /// When the present watch began.
    begun: Instant,
    has_message: bool,
    /// Watches in a row that ended without a message.
    failures: u32,
    /// When the first of them began.
    since: Option<Instant>,
    previous: Duration,
}

/// How a watch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// `None` without a status: the stream was reset, or broke the protocol.
    pub(super) code: Option<Code>,
    pub(super) words: String,
}

/// What follows the end of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next watch begins then.
    At(Instant),
    /// The server has no health service: no watch of this connection any more.
    Never,
}

impl Judge {
    pub(super) fn new(backoff: Arc<dyn Backoff>, now: Instant) -> Self {
        Self {
            backoff,
            begun: now,
            has_message: false,
            failures: 0,
            since: None,
            previous: Duration::ZERO,
        }
    }

    /// A watch begins.
    pub(super) fn begins(&mut self, now: Instant) {
        self.begun = now;
        self.has_message = false;
    }

    /// The server sent this status.
    pub(super) fn message(&mut self, status: i32) -> Answer {
        self.has_message = true;
        let health = Health::from_number(status);
        match (health, status) {
            (Health::Unknown, 1..) => Answer::new(health, format!("status {status}")),
            _ => Answer::new(health, health.name()),
        }
    }

    /// The watch ended (CONTRACT G2, G3).
    pub(super) fn ended(&mut self, end: End, now: Instant, unit: f64) -> (Answer, Next) {
        let health = match end.code {
            // It has no health service, so it does not say that it is ill (gRFC A17).
            Some(Code::Unimplemented) => Health::Unchecked,
            // tonic-health ends the watch of a name that it does not know, and it may know it
            // later.
            Some(Code::NotFound) => Health::ServiceUnknown,
            _ => Health::Ended,
        };
        let answer = Answer::new(health, end.words);
        if health == Health::Unchecked {
            return (answer, Next::Never);
        }
        let earliest = self.begun + BETWEEN;
        let at = self.next(now, unit).max(earliest).max(now);
        (answer, Next::At(at))
    }

    /// h2 had no room for the stream, which says nothing of the server.
    pub(super) fn held(now: Instant) -> Instant {
        now + BETWEEN
    }

    /// After a message at once, else the backoff counts from the begin of the watch that ended.
    fn next(&mut self, now: Instant, unit: f64) -> Instant {
        if self.has_message {
            self.failures = 0;
            self.since = None;
            self.previous = Duration::ZERO;
            return now;
        }
        self.failures = self.failures.saturating_add(1);
        let since = *self.since.get_or_insert(self.begun);
        let age = now.saturating_duration_since(since);
        let retry = Retry::new(self.failures, self.previous, unit);
        self.previous = self.backoff.dial_delay(&retry, age);
        self.begun.checked_add(self.previous).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::ConnectionBackoff;
    use crate::kernel::sync::Mutex;

    const MS: Duration = Duration::from_millis(1);

    fn judge(now: Instant) -> Judge {
        Judge::new(Arc::new(ConnectionBackoff::new()), now)
    }

    fn end(code: impl Into<Option<Code>>) -> End {
        let words = "its words".into();
        End {
            code: code.into(),
            words,
        }
    }

    // CONTRACT G1, GO-hc-states
    #[tokio::test(start_paused = true)]
    async fn only_serving_is_healthy() {
        let mut judge = judge(Instant::now());
        for (status, health, words) in [
            (0, Health::Unknown, "UNKNOWN"),
            (1, Health::Serving, "SERVING"),
            (2, Health::NotServing, "NOT_SERVING"),
            (3, Health::ServiceUnknown, "SERVICE_UNKNOWN"),
            (7, Health::Unknown, "status 7"),
            (-1, Health::Unknown, "UNKNOWN"),
        ] {
            let answer = judge.message(status);
            assert_eq!(answer, Answer::new(health, words));
            assert_eq!(answer.is_healthy(), status == 1);
        }
    }

    // CONTRACT G2, G3, G5, GO-hc-unimplemented
    #[tokio::test(start_paused = true)]
    async fn an_end_is_no_health_but_for_a_server_without_a_health_service() {
        let now = Instant::now();
        for (code, health) in [
            (Some(Code::Unimplemented), Health::Unchecked),
            (Some(Code::NotFound), Health::ServiceUnknown),
            (Some(Code::Ok), Health::Ended),
            (Some(Code::Unavailable), Health::Ended),
            (Some(Code::Internal), Health::Ended),
            (Some(Code::Unauthenticated), Health::Ended),
            (None, Health::Ended),
        ] {
            for has_message in [false, true] {
                let mut judge = judge(now);
                if has_message {
                    judge.message(1);
                }
                let (answer, next) = judge.ended(end(code), now, 0.5);
                assert_eq!(answer, Answer::new(health, "its words"));
                assert_eq!(answer.is_healthy(), health == Health::Unchecked);
                assert_eq!(next == Next::Never, health == Health::Unchecked, "{code:?}");
            }
        }
    }

    // CONTRACT G3, JAVA-hc-backoff
    #[tokio::test(start_paused = true)]
    async fn watches_without_a_message_back_off_from_their_begin() {
        let start = Instant::now();
        let mut judge = judge(start);
        let mut begun = start;
        for delay in [100, 160, 256, 409] {
            judge.begins(begun);
            let (_, next) = judge.ended(end(None), begun + 20 * MS, 0.5);
            let Next::At(at) = next else { panic!() };
            let waited = at - begun;
            assert!(
                waited >= delay * MS && waited < (delay + 1) * MS,
                "{waited:?}"
            );
            begun = at;
        }
        judge.begins(begun);
        judge.message(2);
        let late = begun + 150 * MS;
        let (_, next) = judge.ended(end(None), late, 0.5);
        assert_eq!(next, Next::At(late), "after a message at once");
        judge.begins(late);
        let (_, next) = judge.ended(end(None), late, 0.5);
        assert_eq!(
            next,
            Next::At(late + 100 * MS),
            "and the backoff begins anew"
        );
    }

    /// Notes what it is asked, and says 200 ms.
    #[derive(Debug, Default)]
    struct Asked(Mutex<Vec<(u32, Duration, Duration)>>);

    impl Backoff for Asked {
        fn delay(&self, retry: &Retry) -> Duration {
            self.dial_delay(retry, Duration::ZERO)
        }

        fn dial_delay(&self, retry: &Retry, age: Duration) -> Duration {
            let asked = (retry.number, retry.previous, age);
            self.0.lock().push(asked);
            200 * MS
        }
    }

    // CONTRACT G3
    #[tokio::test(start_paused = true)]
    async fn a_message_begins_the_backoff_anew_for_all_watches_that_follow() {
        let asked = Arc::<Asked>::default();
        let start = Instant::now();
        let mut judge = Judge::new(Arc::clone(&asked) as _, start);
        let mut watch = |at: u32, has_message| {
            let at = start + at * MS;
            judge.begins(at);
            if has_message {
                judge.message(1);
            }
            judge.ended(end(None), at + 10 * MS, 0.5);
        };
        for (at, has_message) in [
            (0, false),
            (200, false),
            (400, true),
            (500, false),
            (700, false),
        ] {
            watch(at, has_message);
        }
        let expected = [(1, 0, 10), (2, 200, 210), (1, 0, 10), (2, 200, 210)];
        let expected = expected.map(|(number, previous, age)| (number, previous * MS, age * MS));
        assert_eq!(*asked.0.lock(), expected);
    }

    // CONTRACT G3
    #[tokio::test(start_paused = true)]
    async fn a_watch_that_h2_has_no_room_for_begins_100_ms_later() {
        let now = Instant::now();
        assert_eq!(Judge::held(now), now + 100 * MS);
    }

    // CONTRACT G3, CORE-hc-stream-end
    #[tokio::test(start_paused = true)]
    async fn watches_that_end_after_a_message_are_100_ms_apart() {
        let start = Instant::now();
        let mut judge = judge(start);
        judge.begins(start);
        judge.message(1);
        let (_, next) = judge.ended(end(Code::Ok), start + 3 * MS, 0.5);
        assert_eq!(next, Next::At(start + 100 * MS));
    }

    // CONTRACT G3
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_took_longer_than_the_backoff_is_asked_for_again_at_once() {
        let start = Instant::now();
        let mut judge = judge(start);
        judge.begins(start);
        let late = start + 3_000 * MS;
        assert_eq!(judge.ended(end(None), late, 0.5).1, Next::At(late));
    }
}
