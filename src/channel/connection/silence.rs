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
    /// An attempt that began then timed out, and the last byte was read at `read`; whether they are
    /// enough.
    pub(super) fn timed_out(&mut self, began: Instant, read: Instant) -> bool {
        if began < read {
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

    /// Begin, last read, and whether it is enough; in seconds.
    type Row = (u64, u64, bool);

    // CONTRACT C22
    #[tokio::test(start_paused = true)]
    async fn two_timeouts_in_a_row_without_a_byte_between_them_are_enough() {
        let epoch = Instant::now();
        let at = |seconds| epoch + Duration::from_secs(seconds);
        let table: [(&str, &[Row]); 8] = [
            ("two", &[(1, 1, false), (2, 1, true)]),
            ("at the same time", &[(1, 0, false), (1, 0, true)]),
            (
                "a third one, too",
                &[(1, 0, false), (2, 0, true), (3, 0, true)],
            ),
            (
                "something is read during the first",
                &[(1, 2, false), (3, 2, false)],
            ),
            (
                "something is read between them",
                &[(1, 0, false), (3, 2, false)],
            ),
            (
                "something is read during the second",
                &[(1, 0, false), (2, 3, false)],
            ),
            (
                "and then two",
                &[(1, 0, false), (2, 3, false), (4, 3, false), (5, 3, true)],
            ),
            (
                "one that began long before",
                &[(5, 4, false), (1, 4, false), (6, 4, false)],
            ),
        ];
        for (case, rows) in table {
            let mut silence = Silence::default();
            for (number, (began, read, expected)) in rows.iter().enumerate() {
                let found = silence.timed_out(at(*began), at(*read));
                assert_eq!(found, *expected, "{case}: {number}");
            }
        }
    }

    // CONTRACT C22
    #[tokio::test(start_paused = true)]
    async fn after_an_answer_two_more_are_needed_and_the_timeouts_between_are_told_once() {
        let now = Instant::now();
        let mut silence = Silence::default();
        silence.timed_out(now, now);
        assert!(silence.timed_out(now, now));
        assert_eq!(silence.timeouts(), 2);
        silence.defer();
        silence.defer();
        silence.defer();
        assert_eq!((silence.end(), silence.end()), (3, 0));
        assert!(!silence.timed_out(now, now));
        assert!(silence.timed_out(now, now));
    }
}
