//! Load: of workers that call again and again, or of calls on schedule.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Status;

use super::proto::fleet_client::FleetClient;
use super::proto::{Answer, Question};
use super::record::{Call, Record};
use crate::Transport;

/// What a worker does after a failure: without a pause, a client that fails at once would make more
/// calls than one that does not, and its failures would weigh more.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// A client that can be called many times at once.
pub trait Caller: Clone + Send + Sync + 'static {
    /// One call, with a number.
    fn make(&self, call: u32) -> impl Future<Output = Result<Answer, Status>> + Send + 'static;
}

impl<T: Transport + Sync> Caller for FleetClient<T> {
    fn make(&self, call: u32) -> impl Future<Output = Result<Answer, Status>> + Send + 'static {
        let mut client = self.clone();
        async move {
            let answer = client.ask(Question { call, millis: 0 }).await;
            answer.map(tonic::Response::into_inner)
        }
    }
}

/// Runs this number of workers for this time; each makes one call after another.
pub async fn workers(
    caller: &impl Caller,
    count: u32,
    opening: Instant,
    length: Duration,
) -> Record {
    let (log, calls) = unbounded_channel();
    for worker in 0..count {
        let (caller, log) = (caller.clone(), log.clone());
        tokio::spawn(async move {
            let mut call = worker;
            while opening.elapsed() < length {
                if !log_one(&caller, call, opening, &log).await {
                    sleep(AFTER_FAILURE).await;
                }
                call += count;
            }
        });
    }
    drop(log);
    collect(calls).await
}

/// Runs this number of workers, which make this number of calls together.
pub async fn each(caller: &impl Caller, count: u32, calls: u32) -> Record {
    let (log, made) = unbounded_channel();
    let opening = Instant::now();
    for worker in 0..count {
        let (caller, log) = (caller.clone(), log.clone());
        tokio::spawn(async move {
            for call in (worker..calls).step_by(count as usize) {
                log_one(&caller, call, opening, &log).await;
            }
        });
    }
    drop(log);
    collect(made).await
}

/// Makes this number of calls a second for this time, whether or not earlier ones have ended.
pub async fn open(
    caller: &impl Caller,
    per_second: u32,
    opening: Instant,
    length: Duration,
) -> Record {
    let (log, calls) = unbounded_channel();
    for call in 0..u32::MAX {
        let due = Duration::from_secs(1) * call / per_second;
        if due >= length {
            break;
        }
        sleep_until(opening + due).await;
        let (caller, log) = (caller.clone(), log.clone());
        tokio::spawn(async move { log_one(&caller, call, opening, &log).await });
    }
    drop(log);
    collect(calls).await
}

async fn collect(mut calls: UnboundedReceiver<(Call, Option<Status>)>) -> Record {
    let mut record = Record::default();
    while let Some((call, failure)) = calls.recv().await {
        record.add(call, failure);
    }
    record
}

/// Whether the call succeeded.
async fn log_one(
    caller: &impl Caller,
    call: u32,
    opening: Instant,
    log: &UnboundedSender<(Call, Option<Status>)>,
) -> bool {
    let started = opening.elapsed();
    let answer = caller.make(call).await;
    let ended = opening.elapsed();
    let server = answer.as_ref().ok().map(|answer| answer.server);
    let call = Call {
        number: call,
        started,
        ended,
        server,
    };
    // The other end is gone only if the run was broken off.
    let _ = log.send((call, answer.err()));
    server.is_some()
}
