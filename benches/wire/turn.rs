//! A turn of a subject: many calls, so many of them at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use benches::{Failure, call};
use bytes::Bytes;
use http::{Request, Response};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::body::Body;
use tower::{Service, ServiceExt};

/// So many calls at once, and in all.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) at_once: u32,
    pub(crate) calls: u32,
}

impl Load {
    pub(crate) fn title(self) -> String {
        match self.at_once {
            1 => "one call at a time".into(),
            many => format!("{many} calls at once"),
        }
    }
}

/// What a turn found.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) calls_a_second: f64,
    /// Microseconds that half of the calls stay within.
    pub(crate) p50: f64,
    /// And 99 of 100.
    pub(crate) p99: f64,
}

impl Turn {
    pub(crate) fn new(load: Load, all: Duration, mut calls: Vec<Duration>) -> Self {
        calls.sort_unstable();
        let count = calls.len();
        let within = |percent: usize| {
            let at = (count * percent).div_ceil(100).saturating_sub(1);
            calls.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6)
        };
        Self {
            calls_a_second: f64::from(load.calls) / all.as_secs_f64(),
            p50: within(50),
            p99: within(99),
        }
    }
}

/// A channel, bare or under a stack.
pub(crate) trait Caller {
    /// Makes the calls, on tasks of their own as a user's are.
    fn run(&self, load: Load) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + '_>>;

    /// The same, by the clock.
    fn turn(&self, load: Load) -> Pin<Box<dyn Future<Output = Result<Turn, Failure>> + '_>>;
}

impl<S, R> Caller for S
where
    S: Service<Request<Body>, Response = Response<R>, Error: Into<Failure>, Future: Send>
        + Clone
        + Send
        + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<Failure>> + Send + 'static,
{
    fn run(&self, load: Load) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + '_>> {
        Box::pin(async move {
            called(self, load, || None).await?;
            Ok(())
        })
    }

    fn turn(&self, load: Load) -> Pin<Box<dyn Future<Output = Result<Turn, Failure>> + '_>> {
        Box::pin(async move {
            let start = Instant::now();
            let times = called(self, load, || Some(Vec::new())).await?;
            Ok(Turn::new(load, start.elapsed(), times))
        })
    }
}

/// How long each call took, as far as `times` are wanted.
async fn called<S, R>(
    service: &S,
    load: Load,
    times: fn() -> Option<Vec<Duration>>,
) -> Result<Vec<Duration>, Failure>
where
    S: Service<Request<Body>, Response = Response<R>, Error: Into<Failure>, Future: Send>
        + Clone
        + Send
        + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<Failure>> + Send + 'static,
{
    let left = Arc::new(AtomicU32::new(load.calls));
    let mut tasks = JoinSet::new();
    for _ in 0..load.at_once {
        tasks.spawn(call_while(Arc::clone(&left), service.clone(), times()));
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done??.unwrap_or_default());
    }
    Ok(all)
}

/// One call after the other, while any are left.
async fn call_while<S, R>(
    left: Arc<AtomicU32>,
    mut service: S,
    mut times: Option<Vec<Duration>>,
) -> Result<Option<Vec<Duration>>, Failure>
where
    S: Service<Request<Body>, Response = Response<R>, Error: Into<Failure>>,
    R: http_body::Body<Data = Bytes, Error: Into<Failure>>,
{
    let one_less = |left: u32| left.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
        .is_ok()
    {
        let start = times.is_some().then(Instant::now);
        let service = service.ready().await.map_err(Into::into)?;
        let response = service.call(call::request()).await;
        call::read(response.map_err(Into::into)?).await?;
        if let (Some(times), Some(start)) = (&mut times, start) {
            times.push(start.elapsed());
        }
    }
    Ok(times)
}
