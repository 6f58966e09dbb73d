//! Services that stand below the layers.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use grpc_resilience::BoxError;
use grpc_resilience::call;
use testing::Server;
use tokio::time::{Instant, Sleep, sleep};
use tonic::body::Body;
use tower::Service;
use transports::{Channel, ResponseBody};

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

/// Sends a call to the dead one of two channels if `picks_dead` says so, or else to the live one.
#[derive(Clone)]
pub(crate) struct TwoChannels<P> {
    dead: Channel,
    live: Channel,
    picks_dead: P,
}

impl<P> TwoChannels<P>
where
    P: FnMut(&http::Request<Body>) -> bool,
{
    pub(crate) fn new(dead: &Server, live: &Server, picks_dead: P) -> Self {
        Self {
            dead: dead.channel(),
            live: live.channel(),
            picks_dead,
        }
    }
}

impl<P> Service<http::Request<Body>> for TwoChannels<P>
where
    P: FnMut(&http::Request<Body>) -> bool,
{
    type Response = http::Response<ResponseBody>;
    type Error = BoxError;
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
        if (self.picks_dead)(&request) {
            Service::call(&mut self.dead, request)
        } else {
            Service::call(&mut self.live, request)
        }
    }
}

/// When calls were sent to one of two channels, since the first of them.
pub(crate) type Picks = Arc<Mutex<Vec<Duration>>>;

/// Two channels whose next picks are these, `true` for the dead one; after the last it is the live
/// one's turn.
pub(crate) fn by_turns(
    dead: &Server,
    live: &Server,
    picks: impl IntoIterator<Item = bool>,
) -> (
    TwoChannels<impl FnMut(&http::Request<Body>) -> bool + Clone + Send + 'static>,
    Picks,
) {
    let next: VecDeque<bool> = picks.into_iter().collect();
    let state = Arc::new(Mutex::new((next, None)));
    let taken = Picks::default();
    let picks_dead = {
        let taken = Arc::clone(&taken);
        move |_: &http::Request<Body>| {
            let (next, start) = &mut *state.lock().unwrap();
            let start = start.get_or_insert_with(Instant::now);
            taken.lock().unwrap().push(start.elapsed());
            next.pop_front().unwrap_or(false)
        }
    };
    (TwoChannels::new(dead, live, picks_dead), taken)
}

pub(crate) type Untimed =
    tower::util::MapRequest<Channel, fn(http::Request<Body>) -> http::Request<Body>>;

/// A channel whose transport and server hear of no timeout: what ends a call is then ours.
pub(crate) fn untimed(server: &Server) -> Untimed {
    tower::util::MapRequest::new(server.channel(), |mut request: http::Request<Body>| {
        request.headers_mut().remove("grpc-timeout");
        // There this crate's channel finds the deadline.
        request.extensions_mut().remove::<call::Context>();
        request
    })
}
