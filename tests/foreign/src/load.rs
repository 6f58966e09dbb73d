//! Workers that call at once or at a rate, and a tally of how each call went.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Status};

use crate::Failure;
use crate::tally::{Record, Tally};

/// Identifies one call among all that this process makes. A server logs it as its handler begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

impl CallId {
    /// The metadata key that carries the id.
    pub const KEY: &str = "x-call-id";

    /// An id that no other call of this process has.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Relaxed))
    }

    /// A request that carries the id.
    pub fn request<T>(self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let value = MetadataValue::from(self.0);
        request.metadata_mut().insert(Self::KEY, value);
        request
    }

    /// The id that a request carries, for servers of this process.
    #[must_use]
    pub fn of(metadata: &MetadataMap) -> Option<Self> {
        let value = metadata.get(Self::KEY)?.to_str().ok()?;
        value.parse().ok().map(Self)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many workers call, how fast, and until when.
#[derive(Clone, Debug)]
pub struct Load {
    workers: u32,
    rate: Option<f64>,
    pause: Duration,
    time: Option<Duration>,
    calls: Option<u64>,
}

impl Load {
    /// Each of `workers` makes one call after another, as fast as they go, until [`Running::stop`].
    #[must_use]
    pub fn new(workers: u32) -> Self {
        Self {
            workers,
            rate: None,
            pause: Duration::ZERO,
            time: None,
            calls: None,
        }
    }

    /// All workers together begin at most this many calls a second, evenly spaced.
    #[must_use]
    pub fn rate(mut self, calls_a_second: f64) -> Self {
        self.rate = Some(calls_a_second);
        self
    }

    /// Each worker pauses for this time after each of its calls.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// No call begins after this time.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    /// All workers together make this many calls.
    #[must_use]
    pub fn calls(mut self, calls: u64) -> Self {
        self.calls = Some(calls);
        self
    }

    /// Makes the calls, and waits for the last of them.
    ///
    /// # Errors
    ///
    /// If a worker panics.
    pub async fn run<F>(
        &self,
        call: impl Fn(CallId) -> F + Clone + Send + 'static,
    ) -> Result<Tally, Failure>
    where
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        self.start(call).finish().await
    }

    /// Begins to make calls in the background, so that faults can be made meanwhile.
    pub fn start<F>(&self, call: impl Fn(CallId) -> F + Clone + Send + 'static) -> Running
    where
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let start = Instant::now();
        let stopped = Arc::new(AtomicBool::new(false));
        let turns = Arc::new(Turns {
            next: AtomicU64::new(0),
            start,
            load: self.clone(),
            stopped: Arc::clone(&stopped),
        });
        let mut workers = JoinSet::new();
        for _ in 0..self.workers {
            workers.spawn(work(Arc::clone(&turns), call.clone()));
        }
        Running {
            workers,
            turns,
            stopped,
            start,
        }
    }
}

/// Calls that are being made.
#[derive(Debug)]
pub struct Running {
    workers: JoinSet<Vec<Record>>,
    turns: Arc<Turns>,
    stopped: Arc<AtomicBool>,
    start: Instant,
}

impl Running {
    /// How many calls have begun, or begin as soon as the rate allows it.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.turns.next.load(Relaxed)
    }

    /// Lets no further call begin, and waits for those under way.
    ///
    /// # Errors
    ///
    /// If a worker panics.
    pub async fn stop(self) -> Result<Tally, Failure> {
        self.stopped.store(true, Relaxed);
        self.finish().await
    }

    /// Waits until the load's time is over or its calls are made, and for the last call.
    ///
    /// # Errors
    ///
    /// If a worker panics.
    pub async fn finish(mut self) -> Result<Tally, Failure> {
        let mut records = Vec::new();
        while let Some(made) = self.workers.join_next().await {
            records.append(&mut made?);
        }
        Ok(Tally::new(records, self.start.elapsed()))
    }
}

/// Hands out the turns to call.
#[derive(Debug)]
struct Turns {
    next: AtomicU64,
    start: Instant,
    load: Load,
    stopped: Arc<AtomicBool>,
}

impl Turns {
    /// Waits for the next turn; none if the load is over.
    async fn take(&self) -> Option<()> {
        let turn = self.next.fetch_add(1, Relaxed);
        if self.load.calls.is_some_and(|calls| turn >= calls) {
            return None;
        }
        if let Some(rate) = self.load.rate {
            #[expect(clippy::cast_precision_loss, reason = "a count of calls made here")]
            let after = Duration::from_secs_f64(turn as f64 / rate);
            sleep_until(self.start + after).await;
        }
        let over = self.load.time.is_some_and(|it| self.start.elapsed() >= it);
        (!over && !self.stopped.load(Relaxed)).then_some(())
    }
}

async fn work<F>(turns: Arc<Turns>, call: impl Fn(CallId) -> F) -> Vec<Record>
where
    F: Future<Output = Result<(), Status>>,
{
    let mut records = Vec::new();
    while turns.take().await.is_some() {
        let (id, start) = (CallId::next(), Instant::now());
        let ended = call(id).await;
        records.push(Record::new(id, start, &ended));
        if !turns.load.pause.is_zero() {
            sleep(turns.load.pause).await;
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[tokio::test]
    async fn all_workers_together_make_the_calls_each_with_an_id_of_its_own() -> Result<(), Failure>
    {
        let call = |id: CallId| async move {
            tokio::task::yield_now().await;
            if id.0.is_multiple_of(2) {
                Ok(())
            } else {
                Err(Status::unavailable("odd"))
            }
        };
        let tally = Load::new(3).calls(100).run(call).await?;
        let ids: HashSet<_> = tally.records().iter().map(|it| it.id).collect();
        let odd = ids.iter().filter(|it| !it.0.is_multiple_of(2)).count();
        assert_eq!((tally.calls(), ids.len()), (100, 100));
        assert_eq!(
            tally.failures().as_slice(),
            [(odd, "Unavailable: odd".to_owned())]
        );
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_spaces_the_calls() -> Result<(), Failure> {
        let load = Load::new(4).rate(1_000.0).calls(50);
        let tally = load.run(|_| async { Ok(()) }).await?;
        let mut starts: Vec<_> = tally.records().iter().map(|it| it.start).collect();
        starts.sort_unstable();
        let span = starts
            .last()
            .zip(starts.first())
            .map(|(last, first)| *last - *first);
        assert_eq!(span, Some(Duration::from_millis(49)));
        Ok(())
    }
}
