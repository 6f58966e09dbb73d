//! Services that stand below the layers.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use testing::Server;
use tokio::time::{Instant, Sleep, sleep};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;

/// A service that takes its time to get ready, each time anew; `None` is for ever.
pub(crate) struct Slow<S> {
    pub(crate) inner: S,
    delay: Option<Duration>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<S> Slow<S> {
    pub(crate) fn by(delay: Duration, inner: S) -> Self {
        let delay = Some(delay);
        let sleep = None;
        Self {
            inner,
            delay,
            sleep,
        }
    }

    pub(crate) fn never(inner: S) -> Self {
        Self {
            inner,
            delay: None,
            sleep: None,
        }
    }
}

impl<S: Clone> Clone for Slow<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            delay: self.delay,
            sleep: None,
        }
    }
}

impl<S, R> Service<R> for Slow<S>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let Some(delay) = self.delay else {
            return Poll::Pending;
        };
        let timer = self.sleep.get_or_insert_with(|| Box::pin(sleep(delay)));
        match timer.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => self.inner.poll_ready(cx),
        }
    }

    fn call(&mut self, request: R) -> S::Future {
        self.sleep = None;
        self.inner.call(request)
    }
}

/// Sends each call to one of two channels, as the turn of its number says.
#[derive(Clone)]
pub(crate) struct Alternating {
    pub(crate) dead: Channel,
    pub(crate) live: Channel,
    pub(crate) turns: std::sync::Arc<std::sync::Mutex<Turns>>,
}

/// `true` is the dead channel's turn; after the last one it is the live one's.
#[derive(Default)]
pub(crate) struct Turns {
    pub(crate) dead: std::collections::VecDeque<bool>,
    pub(crate) taken: Vec<Duration>,
    pub(crate) start: Option<Instant>,
}

impl Service<http::Request<Body>> for Alternating {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = <Channel as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let dead = Service::<http::Request<Body>>::poll_ready(&mut self.dead, cx)?;
        let live = Service::<http::Request<Body>>::poll_ready(&mut self.live, cx)?;
        if dead.is_pending() || live.is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut turns = self.turns.lock().unwrap();
        let start = *turns.start.get_or_insert_with(Instant::now);
        turns.taken.push(start.elapsed());
        if turns.dead.pop_front().unwrap_or(false) {
            Service::call(&mut self.dead, request)
        } else {
            Service::call(&mut self.live, request)
        }
    }
}

pub(crate) type Untimed =
    tower::util::MapRequest<Channel, fn(http::Request<Body>) -> http::Request<Body>>;

/// A channel whose transport and server hear of no timeout: what ends a call is then ours.
pub(crate) fn untimed(server: &Server) -> Untimed {
    tower::util::MapRequest::new(server.channel(), |mut request: http::Request<Body>| {
        request.headers_mut().remove("grpc-timeout");
        request
    })
}
