use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response};
use tokio::runtime::{Builder, Runtime};
use tokio::task::unconstrained;
use tonic::body::Body;
use tower::Service;

use crate::{Failure, call};

/// A stack, and the runtime that it is called on. Calls are made one after the other.
pub trait Driven {
    /// Makes so many calls.
    ///
    /// # Errors
    ///
    /// If one fails.
    fn run(&mut self, calls: u32) -> Result<(), Failure>;

    /// The size of the future of one call, in bytes, what it holds in boxes aside.
    ///
    /// # Errors
    ///
    /// If the stack is not ready.
    fn future_size(&mut self) -> Result<usize, Failure>;
}

struct Driver<S> {
    service: S,
    runtime: Runtime,
}

/// Drives what `build` makes, which may spawn tasks.
pub(crate) fn drive<S, R>(
    build: impl FnOnce() -> Result<S, Failure>,
) -> Result<Box<dyn Driven>, Failure>
where
    S: Service<Request<Body>, Response = Response<R>, Error: Into<Failure>> + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<Failure>> + 'static,
{
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let service = {
        let _entered = runtime.enter();
        build()?
    };
    Ok(Box::new(Driver { service, runtime }))
}

impl<S, R> Driven for Driver<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error: Into<Failure>>,
    R: http_body::Body<Data = Bytes, Error: Into<Failure>>,
{
    fn run(&mut self, calls: u32) -> Result<(), Failure> {
        self.runtime.block_on(call_often(&mut self.service, calls))
    }

    fn future_size(&mut self) -> Result<usize, Failure> {
        let service = &mut self.service;
        self.runtime.block_on(async {
            ready(service).await?;
            Ok(size_of_val(&service.call(call::request())))
        })
    }
}

/// Makes so many calls, one after the other.
///
/// # Errors
///
/// If one fails.
pub async fn call_often<S, R>(service: &mut S, calls: u32) -> Result<(), Failure>
where
    S: Service<Request<Body>, Response = Response<R>, Error: Into<Failure>>,
    R: http_body::Body<Data = Bytes, Error: Into<Failure>>,
{
    // Without tokio's budget: every so many polls it would add a turn of the scheduler.
    unconstrained(async {
        for _ in 0..calls {
            ready(service).await?;
            let mut future = pin!(service.call(call::request()));
            // A future that is pending is polled once more at once. So a call that waits costs a
            // poll and no turn of the scheduler, whose price has nothing to do with the stack.
            let response = poll_fn(|cx| match future.as_mut().poll(cx) {
                Poll::Pending => future.as_mut().poll(cx),
                ready @ Poll::Ready(_) => ready,
            });
            let response = response.await;
            call::read(response.map_err(Into::into)?).await?;
        }
        Ok(())
    })
    .await
}

async fn ready<S: Service<Request<Body>, Error: Into<Failure>>>(
    service: &mut S,
) -> Result<(), Failure> {
    poll_fn(|cx| service.poll_ready(cx))
        .await
        .map_err(Into::into)
}
