//! What the rules of the deadline, readiness, identity, errors and the stack need.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use grpc_resilience::call::{CallOptionsExt, ParentCall};
use grpc_resilience::server_deadline::{ServerDeadlineBody, ServerDeadlineLayer};
use grpc_resilience::{BoxError, Error};
use http::HeaderMap;
use test_protos::{EchoClient, EchoRequest};
use testing::{Call, Outcome, Server};
use tokio::time::{Instant, Sleep, sleep};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tower::Service;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What a generated client takes, and a task may hold: any of our stacks.
pub(crate) trait Stack:
    GrpcService<
        Body,
        Error: Into<BoxError> + Send,
        Future: Send,
        ResponseBody: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError> + Send>
                          + Send
                          + 'static,
    > + Clone
    + Send
    + 'static
{
}

impl<T> Stack for T
where
    T: GrpcService<Body> + Clone + Send + 'static,
    T::Error: Send,
    T::Future: Send,
    T::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<BoxError> + Send,
{
}

pub(crate) fn client<T: Stack>(stack: T) -> EchoClient<T> {
    EchoClient::new(stack)
}

pub(crate) fn message(text: &str) -> EchoRequest {
    EchoRequest {
        text: text.to_owned(),
        ..EchoRequest::default()
    }
}

pub(crate) fn hello() -> Request<EchoRequest> {
    Request::new(message("hello"))
}

/// One that its caller declares idempotent.
pub(crate) fn declared_hello() -> Request<EchoRequest> {
    let mut request = hello();
    request.call_options().idempotent();
    request
}

/// A request that the server's log tells apart.
pub(crate) fn numbered(number: usize) -> Request<EchoRequest> {
    let mut request = hello();
    let id = number.to_string().parse().unwrap();
    request.metadata_mut().insert("x-call-id", id);
    request
}

/// The error and what led to it: of an error of ours its cause comes next, or else its status.
pub(crate) fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let ours = error.downcast_ref::<Error>();
        let cause = ours.and_then(Error::cause).map(|cause| cause as _);
        cause.or_else(|| (*error).source())
    })
}

/// The texts of the sources, the error itself left out.
pub(crate) fn sources(status: &Status) -> String {
    let text = |link: &(dyn StdError + 'static)| match link.downcast_ref::<Error>() {
        Some(ours) => format!("{ours}; {}", ours.status()),
        None => link.to_string(),
    };
    let texts: Vec<String> = chain(status).skip(1).map(text).collect();
    texts.join("\n")
}

/// Our errors in the chain, outermost first.
pub(crate) fn ours(status: &Status) -> Vec<&Error> {
    chain(status)
        .filter_map(|cause| cause.downcast_ref())
        .collect()
}

pub(crate) fn has<E: StdError + 'static>(status: &Status) -> bool {
    chain(status).any(<dyn StdError>::is::<E>)
}

/// `grpc-timeout`, call by call, in microseconds.
pub(crate) fn timeouts(calls: &[Call]) -> Vec<Option<u128>> {
    calls
        .iter()
        .map(|call| {
            let text = call.timeout.as_deref()?;
            let timeout = grpc_resilience::__internal::parse_timeout(text.as_bytes()).unwrap();
            Some(timeout.as_micros())
        })
        .collect()
}

/// Waits until the server is done with all calls.
pub(crate) async fn all_ended(server: &Server) -> Vec<Call> {
    let ended = |calls: &[Call]| calls.iter().all(|call| call.outcome != Outcome::Running);
    let waiting = server.wait_until(ended);
    tokio::time::timeout(60 * SECOND, waiting).await.unwrap()
}

/// Lets every task run until all of them wait; on a paused clock this costs a millisecond of it.
pub(crate) async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// When the server was dialled, since `start`, each millisecond looked at once.
pub(crate) async fn dial_times(server: &Server, start: Instant, span: Duration) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut seen = 0;
    while start.elapsed() <= span {
        let dials = server.dials();
        times.extend((seen..dials).map(|_| start.elapsed()));
        seen = dials;
        settle().await;
    }
    times
}

/// Headers without their order, which HTTP gives no meaning.
pub(crate) fn sorted(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut pairs: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    pairs.sort();
    pairs
}

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

/// Keeps a call served until it is dropped.
pub(crate) type Open = http::Response<ServerDeadlineBody<()>>;

/// A served call, with so much time if its caller says so.
pub(crate) async fn serving(timeout: Option<&str>) -> (ParentCall, Open) {
    let handler = tower::service_fn(|request: http::Request<()>| async move {
        let mut response = http::Response::new(());
        *response.extensions_mut() = request.extensions().clone();
        Ok::<_, Infallible>(response)
    });
    let mut request = http::Request::new(());
    if let Some(timeout) = timeout {
        let timeout = timeout.parse().unwrap();
        request.headers_mut().insert("grpc-timeout", timeout);
    }
    let mut layered = tower::Layer::layer(&ServerDeadlineLayer::new(), handler);
    let response = Service::call(&mut layered, request).await.unwrap();
    let served = response.extensions().get::<ParentCall>().unwrap().clone();
    (served, response)
}

/// Runs the body with the name and each stack over the channel: every layer by itself with nothing
/// to do, then stacks, in the usual order and in others.
macro_rules! for_each_stack {
    ($channel:expr, |$name:ident, $stack:ident| $body:expr) => {{
        use tower::Layer as _;

        use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
        use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
        use grpc_resilience::budget::{BudgetLayer, TokenBucket};
        use grpc_resilience::deadline::DeadlineLayer;
        use grpc_resilience::idempotency::IdempotencyLayer;
        use grpc_resilience::retry::{RetryLayer, RetryPolicy};
        use grpc_resilience::wait_for_ready::WaitForReadyLayer;

        let minute = || DeadlineLayer::new().default_timeout(60 * $crate::support::SECOND);
        let declared = || IdempotencyLayer::new().idempotent("/test.v1.Echo/*").unwrap();
        let one_message = || declared().unary("/test.v1.Echo/Unary*").unwrap();
        let retry = || RetryLayer::new(RetryPolicy::new());
        let waiting = WaitForReadyLayer::new;
        let attempt = || AttemptTimeoutLayer::new(60 * $crate::support::SECOND).unwrap();
        // Nothing that is answered makes it hold the next call back.
        let calm = || AdaptiveThrottleLayer::new().refused_only_on(Vec::<tonic::Code>::new());
        let mut run = Vec::new();
        for_each_stack!(@one run, $name, $stack, $body,
            "deadline, none" => DeadlineLayer::new().layer($channel),
            "deadline" => minute().layer($channel),
            "idempotency" => declared().layer($channel),
            "budget" => BudgetLayer::new(TokenBucket::default()).layer($channel),
            "retry" => retry().layer($channel),
            "wait for ready" => waiting().layer($channel),
            "fail fast" => waiting().fail_fast().layer($channel),
            "attempt timeout, none" => AttemptTimeoutLayer::default().layer($channel),
            "attempt timeout" => attempt().layer($channel),
            "attempt timeout, first message" => attempt().until_first_message().layer($channel),
            "adaptive throttle" => calm().layer($channel),
            "the stack" => grpc_resilience::Resilience::new().wrap($channel),
            "the stack, declared" => grpc_resilience::Resilience::new()
                .default_timeout(60 * $crate::support::SECOND)
                .idempotent("/test.v1.Echo/*").unwrap()
                .unary("/test.v1.Echo/Unary*").unwrap()
                .wrap($channel),
            "wait for ready, retry" => waiting().layer(one_message().layer(retry().layer($channel))),
            "retry, deadline" => one_message().layer(retry().layer(minute().layer($channel))),
            "retry, attempt timeout" => one_message().layer(
                retry().layer(attempt().until_first_message().layer($channel)),
            ),
            "wait, retry, deadline" => waiting().layer(retry().layer(minute().layer($channel))),
        );
        run
    }};
    (@one $run:ident, $name:ident, $stack:ident, $body:expr, $($text:literal => $made:expr),+ $(,)?) => {
        $({
            let $name = $text;
            let $stack = $made;
            $run.push($name);
            $body
        })+
    };
}
pub(crate) use for_each_stack;

/// A connection that never was.
pub(crate) enum Nowhere {}

impl hyper::rt::Read for Nowhere {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match *self {}
    }
}

impl hyper::rt::Write for Nowhere {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match *self {}
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }
}

/// A connector that can't even get ready: it kills the channel's worker.
#[derive(Clone)]
pub(crate) struct Broken;

impl tower::Service<http::Uri> for Broken {
    type Response = Nowhere;
    type Error = io::Error;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Err(io::Error::other("the connector is broken")))
    }

    fn call(&mut self, _uri: http::Uri) -> Self::Future {
        std::future::ready(Err(io::Error::other("called though broken")))
    }
}
