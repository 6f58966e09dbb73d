//! The load: calls that begin on schedule, whatever became of the earlier ones.

use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep_until};

use crate::clients::Caller;
use crate::progress::Progress;
use crate::record::{Call, Record};

/// So many calls a second, for so long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) per_second: u32,
    pub(crate) length: Duration,
}

impl Load {
    pub(crate) fn calls(self) -> u32 {
        self.due(self.length)
    }

    /// How many calls are offered within a time.
    pub(crate) fn due(self, within: Duration) -> u32 {
        let calls = within.as_micros() * u128::from(self.per_second) / 1_000_000;
        u32::try_from(calls).unwrap_or(u32::MAX)
    }

    /// Makes all calls, and waits for their ends. The timer ticks every millisecond; if the machine
    /// stalls, the calls that became due meanwhile begin at once after it.
    pub(crate) async fn offer(
        self,
        client: &impl Caller,
        opening: Instant,
        progress: &Progress,
    ) -> Record {
        let (log, mut calls) = unbounded_channel();
        let mut begun = 0;
        while begun < self.calls() {
            sleep_until(opening + self.time_of(begun)).await;
            let due = self.due(opening.elapsed()) + 1;
            for call in begun..due.min(self.calls()) {
                let (making, log) = (client.make(call), log.clone());
                let (due, started) = (self.time_of(call), opening.elapsed());
                tokio::spawn(async move {
                    let outcome = making.await;
                    let call = Call {
                        due,
                        started,
                        ended: opening.elapsed(),
                        succeeded: outcome.is_ok(),
                    };
                    // Nobody listens only if the run was broken off.
                    let _ = log.send(call);
                });
            }
            begun = due.min(self.calls());
            progress.saw(opening.elapsed(), begun);
        }
        drop(log);
        let mut record = Record::default();
        while let Some(call) = calls.recv().await {
            record.add(call);
        }
        record
    }

    fn time_of(self, call: u32) -> Duration {
        Duration::from_secs(1) * call / self.per_second
    }
}
