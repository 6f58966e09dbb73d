//! When a connection is taken for dead until it answers a PING (CONTRACT C22): pure decisions.

use tokio::time::Instant;

/// So many attempts in a row have to time out.
const TIMEOUTS: u32 = 2;

/// The attempts that timed out on one connection while nothing was read from it.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// When the last byte was read before them.
    read: Option<Instant>,
    timeouts: u32,
    /// Those that timed out while the connection was taken for dead. They are the endpoint's fault
    /// only if the connection answers.
    pending: u32,
}

impl Silence {
    /// An attempt that began then times out at `now`, and the last byte was read at `read`; whether
    /// there are enough of them.
    pub(super) fn timed_out(&mut self, began: Instant, now: Instant, read: Instant) -> bool {
        // What was under way when the peer fell silent is read after later attempts began.
        let grace = now.saturating_duration_since(began) / 4;
        if began + grace < read {
            // The peer said something meanwhile, if to another call.
            self.timeouts = 0;
            return false;
        }
        if self.read.replace(read) != Some(read) {
            self.timeouts = 0;
        }
        self.timeouts += 1;
        self.timeouts >= TIMEOUTS
    }

    /// How many attempts timed out since the last byte.
    pub(super) fn timeouts(&self) -> u32 {
        self.timeouts
    }

    /// An attempt timed out on a connection that is taken for dead.
    pub(super) fn defer(&mut self) {
        self.pending += 1;
    }

    /// The connection answers: it begins anew, and so many timeouts are the endpoint's fault.
    pub(super) fn end(&mut self) -> u32 {
        self.timeouts = 0;
        std::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Begin, end and last read, in seconds, and whether it is enough.
    type Row = (u64, u64, u64, bool);

    // CONTRACT C22
    #[tokio::test(start_paused = true)]
    async fn two_timeouts_in_a_row_without_a_byte_between_them_are_enough() {
        let epoch = Instant::now();
        let at = |seconds| epoch + Duration::from_secs(seconds);
        let table: [(&str, &[Row]); 9] = [
            ("two", &[(1, 9, 1, false), (10, 18, 1, true)]),
            ("at the same time", &[(1, 9, 0, false), (1, 9, 0, true)]),
            (
                "a third one, too",
                &[(1, 9, 0, false), (2, 10, 0, true), (3, 11, 0, true)],
            ),
            (
                "what was under way comes",
                &[(10, 18, 12, false), (11, 19, 12, true)],
            ),
            (
                "something is read later during the first",
                &[(10, 18, 13, false), (18, 26, 13, false)],
            ),
            (
                "something is read between them",
                &[(1, 9, 0, false), (11, 19, 10, false)],
            ),
            (
                "something is read during the second",
                &[(1, 9, 0, false), (9, 17, 15, false)],
            ),
            (
                "and then two",
                &[
                    (1, 9, 0, false),
                    (9, 17, 15, false),
                    (17, 25, 15, false),
                    (25, 33, 15, true),
                ],
            ),
            (
                "one that began long before",
                &[(15, 23, 14, false), (1, 24, 14, false), (24, 32, 14, false)],
            ),
        ];
        for (case, rows) in table {
            let mut silence = Silence::default();
            for (number, (began, now, read, expected)) in rows.iter().enumerate() {
                let found = silence.timed_out(at(*began), at(*now), at(*read));
                assert_eq!(found, *expected, "{case}: {number}");
            }
        }
    }

    // CONTRACT C22
    #[tokio::test(start_paused = true)]
    async fn after_an_answer_two_more_are_needed_and_the_timeouts_between_are_told_once() {
        let now = Instant::now();
        let mut silence = Silence::default();
        silence.timed_out(now, now, now);
        assert!(silence.timed_out(now, now, now));
        assert_eq!(silence.timeouts(), 2);
        silence.defer();
        silence.defer();
        silence.defer();
        assert_eq!((silence.end(), silence.end()), (3, 0));
        assert!(!silence.timed_out(now, now, now));
        assert!(silence.timed_out(now, now, now));
    }
}
