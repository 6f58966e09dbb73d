//! The workers: each makes one call after the other until told to stop, and writes down how it
//! ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use grpc_resilience_examples::Transport;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Request, Status};

use crate::clients::Recipe;
use crate::methods::Method;
use crate::progress::Progress;
use crate::proto::kv_client::KvClient;
use crate::proto::{AppendRequest, GetRequest, PutRequest, Stamp as ProtoStamp};
use crate::record::Record;
use crate::store::Stamp;
use grpc_resilience_examples::Failure;

const DEADLINE: Duration = Duration::from_secs(5);
/// A channel that ignores the deadline is not waited for much longer.
const GRACE: Duration = Duration::from_millis(500);
/// Keeps a worker whose calls are refused at once from doing nothing else.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(1);
const KEYS: u32 = 64;

/// What every worker of a run has in common.
#[derive(Clone)]
pub(crate) struct Orders {
    pub(crate) seed: u64,
    pub(crate) recipe: Recipe,
    pub(crate) progress: Progress,
}

/// Running workers.
pub(crate) struct Crew {
    workers: JoinSet<Result<Record, Failure>>,
    stop: Arc<AtomicBool>,
}

impl Crew {
    pub(crate) fn start<T: Transport>(size: u32, channel: &T, orders: &Orders) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let mut workers = JoinSet::new();
        for id in 0..size {
            let worker = Worker {
                id,
                client: KvClient::new(channel.clone()),
                dice: SmallRng::seed_from_u64(orders.seed.wrapping_add(u64::from(id) << 32)),
                serial: 0,
                orders: orders.clone(),
                record: Record::new(),
            };
            workers.spawn(worker.work_until(Arc::clone(&stop)));
        }
        Self { workers, stop }
    }

    /// Lets every worker finish the call it is in, and collects what they wrote down.
    pub(crate) async fn stop(mut self) -> Result<Record, Failure> {
        self.stop.store(true, Relaxed);
        let mut all = Record::new();
        while let Some(worker) = self.workers.join_next().await {
            all.merge(worker??)?;
        }
        Ok(all)
    }
}

struct Worker<T> {
    id: u32,
    client: KvClient<T>,
    dice: SmallRng,
    serial: u64,
    orders: Orders,
    record: Record,
}

impl<T: Transport> Worker<T> {
    async fn work_until(mut self, stop: Arc<AtomicBool>) -> Result<Record, Failure> {
        while !stop.load(Relaxed) {
            self.serial += 1;
            let method = Method::draw(&mut self.dice);
            let stamp = Stamp {
                client: self.id,
                serial: self.serial,
            };
            let started = Instant::now();
            let outcome = self.call(method, stamp, started + DEADLINE).await;
            let failed = outcome.is_err();
            self.orders
                .progress
                .saw_call(failed && method.is_declared());
            self.record.add(method, stamp, started, outcome)?;
            if failed {
                sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
        Ok(self.record)
    }

    async fn call(
        &mut self,
        method: Method,
        stamp: Stamp,
        deadline: Instant,
    ) -> Result<(), Status> {
        let key = format!("key-{}", self.dice.random_range(0..KEYS));
        let value = format!("{}.{};", stamp.client, stamp.serial);
        let client = self.client.clone();
        let attempts = self.orders.recipe.follow(method, deadline, move |left| {
            attempt(
                client.clone(),
                method,
                stamp,
                key.clone(),
                value.clone(),
                left,
            )
        });
        timeout_at(deadline + GRACE, attempts)
            .await
            .unwrap_or_else(|_| {
                Err(Status::deadline_exceeded(
                    "the channel ignored the deadline",
                ))
            })
    }
}

async fn attempt<T: Transport>(
    mut client: KvClient<T>,
    method: Method,
    stamp: Stamp,
    key: String,
    value: String,
    left: Option<Duration>,
) -> Result<(), Status> {
    let stamp = Some(ProtoStamp {
        client: stamp.client,
        serial: stamp.serial,
    });
    match method {
        Method::Put => client
            .put(within(left, PutRequest { stamp, key, value }))
            .await
            .map(drop),
        Method::Get => client.get(within(left, GetRequest { key })).await.map(drop),
        Method::Append => client
            .append(within(left, AppendRequest { stamp, key, value }))
            .await
            .map(drop),
    }
}

fn within<M>(left: Option<Duration>, message: M) -> Request<M> {
    let mut request = Request::new(message);
    if let Some(left) = left {
        request.set_timeout(left);
    }
    request
}
