//! What is sent of a call that is over before it had a stream: nothing that looks complete.
//!
//! hyper's client opens a stream for a request that waits for a slot even if its call is over. It
//! reads the body only then, so the body is the place to end it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{BoxError, DeadlineLayer, Error, IdempotencyLayer, Resilience};
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use peer::{Connection, Gate, Headers, Peer, Step, Stream};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};
use transports::Channel;

use super::support::{Answer, call, channel, connected, others_have_run, request, spawn};

type Stack = BoxCloneSyncService<Request<Body>, (), Error>;

/// Who ends the call while it waits for a slot.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The caller.
    Drop,
    /// A deadline or an attempt timeout of the stack.
    Stack,
}

const SHORT: Duration = Duration::from_millis(200);

/// Boxed, and without the bodies of its answers.
macro_rules! boxed {
    ($service:expr) => {
        BoxCloneSyncService::new($service.map_response(|_| ()))
    };
}

/// Every layer that holds a call, alone and together, and who may end a call there.
fn stacks(channel: &Channel) -> Vec<(&'static str, End, Stack)> {
    let retry = || RetryLayer::new(RetryPolicy::new());
    let bound = || AttemptTimeoutLayer::new(SHORT).unwrap();
    let deadline = || DeadlineLayer::new().default_timeout(SHORT);
    let plain = || DeadlineLayer::new().default_timeout(100 * SHORT);
    let builder = |deadline: DeadlineLayer| {
        boxed!(
            ServiceBuilder::new()
                .layer(deadline)
                .layer(IdempotencyLayer::new())
                .layer(BudgetLayer::new(TokenBucket::default()))
                .layer(retry())
                .layer(WaitForReadyLayer::new())
                .service(channel.clone())
        )
    };
    let over = |name, end, service| (name, end, service);
    let c = || channel.clone();
    vec![
        over("deadline", End::Stack, boxed!(deadline().layer(c()))),
        over("deadline", End::Drop, boxed!(plain().layer(c()))),
        over("attempt timeout", End::Stack, boxed!(bound().layer(c()))),
        over("attempt timeout", End::Drop, boxed!(bound().layer(c()))),
        over("retry", End::Drop, boxed!(retry().layer(c()))),
        over(
            "wait for ready",
            End::Drop,
            boxed!(WaitForReadyLayer::new().layer(c())),
        ),
        over(
            "wait for ready, failing fast",
            End::Drop,
            boxed!(WaitForReadyLayer::new().fail_fast().layer(c())),
        ),
        over(
            "adaptive throttle",
            End::Drop,
            boxed!(AdaptiveThrottleLayer::new().layer(c())),
        ),
        over(
            "retry over attempt timeout",
            End::Stack,
            boxed!(RetryLayer::new(RetryPolicy::never()).layer(bound().layer(c()))),
        ),
        over("builder", End::Stack, builder(deadline())),
        over("builder", End::Drop, builder(plain())),
        over(
            "Resilience",
            End::Stack,
            boxed!(Resilience::new().default_timeout(SHORT).wrap(c())),
        ),
        over("Resilience", End::Drop, boxed!(Resilience::new().wrap(c()))),
        over(
            "Resilience, attempt timeout",
            End::Stack,
            boxed!(Resilience::new().attempt_timeout(bound()).wrap(c())),
        ),
        over(
            "Resilience, attempt timeout until the first message",
            End::Stack,
            boxed!(
                Resilience::new()
                    .attempt_timeout(bound().until_first_message())
                    .wrap(c())
            ),
        ),
        over(
            "Resilience with a throttle",
            End::Drop,
            boxed!(
                Resilience::new()
                    .attempt_layer(AdaptiveThrottleLayer::new())
                    .wrap(c())
            ),
        ),
    ]
}

/// The request of a client stream whose first message is there and whose end is not.
fn live() -> Request<Body> {
    let first = Ok::<_, tonic::Status>(Frame::data(Bytes::from_static(&[0; 5])));
    let frames = tokio_stream::iter([first]).chain(tokio_stream::pending());
    request().map(|_| Body::new(StreamBody::new(frames)))
}

/// A connection with one slot, which the returned call holds until the gate opens.
async fn one_slot() -> (Peer, Channel, JoinHandle<Answer>, Gate) {
    let held = Gate::new();
    let holds = Stream::from([
        Step::AwaitRequest,
        Step::Gate(held.clone()),
        Step::Headers(Headers::trailers_only(0)),
    ]);
    let connection = Connection::new().max_concurrent_streams(1).streams([holds]);
    let peer = Peer::start([connection]).await;
    let channel = connected(&peer).await;
    peer.settings_acknowledged(0).await;
    let holder = spawn(&channel);
    peer.wait_for_streams(1).await;
    (peer, channel, holder, held)
}

/// A call waits for the one slot of a connection and ends; what the peer is sent of it.
async fn sent_of(number: usize, request: Request<Body>) -> (String, Vec<(bool, usize)>) {
    let (peer, channel, holder, held) = one_slot().await;
    let (name, end, stack) = stacks(&channel).remove(number);
    let mut ends = Box::pin(stack.oneshot(request));
    match end {
        End::Stack => assert!(ends.as_mut().await.is_err(), "{name}"),
        End::Drop => {
            poll_fn(|cx| {
                assert!(ends.as_mut().poll(cx).is_pending(), "{name}");
                Poll::Ready(())
            })
            .await;
            others_have_run().await;
            assert_eq!(peer.streams_seen().len(), 1, "{name}: it waits");
        }
    }
    drop(ends);
    held.open();
    holder.await.unwrap().unwrap();
    // The transport opens streams in order: what it sends of the call is there before this answer.
    call(&channel).await.unwrap();
    let streams = peer.streams_seen();
    let ended = &streams[1..streams.len() - 1];
    let sent = ended
        .iter()
        .map(|stream| (stream.complete, stream.body.len()));
    (format!("{name}, {end:?}"), sent.collect())
}

// CONTRACT R13
#[transports::test(start_paused = true)]
async fn no_request_is_completed_after_its_call_is_over() {
    let nowhere = Peer::start([]).await;
    for number in 0..stacks(&channel(&nowhere)).len() {
        for mut request in [request(), live()] {
            request.call_options().idempotent().max_attempts(1);
            let (name, sent) = sent_of(number, request).await;
            assert!(
                sent.iter().all(|sent| *sent == (false, 0)),
                "{name}: {sent:?}"
            );
        }
    }
}

// FIELD 2
#[transports::test(start_paused = true)]
async fn without_a_layer_the_transport_completes_the_request_of_a_dropped_call() {
    let (peer, channel, holder, held) = one_slot().await;
    let dropped = spawn(&channel);
    others_have_run().await;
    dropped.abort();
    held.open();
    holder.await.unwrap().unwrap();
    call(&channel).await.unwrap();
    assert!(peer.streams_seen()[1].complete);
}

/// A service that begins to answer, and holds the requests that it has not read.
#[derive(Clone, Default)]
struct Begins {
    requests: Arc<Mutex<Vec<Body>>>,
    refusals: Arc<Mutex<u32>>,
}

impl Begins {
    fn answer(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let response = Response::builder().header("content-type", "application/grpc");
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return Ok(response.header("grpc-status", "14").body(Body::empty())?);
        }
        self.requests.lock().unwrap().push(request.into_body());
        let frames = tokio_stream::pending::<Result<Frame<Bytes>, tonic::Status>>();
        Ok(response.body(Body::new(StreamBody::new(frames)))?)
    }

    /// Whether the request that is held fails, rather than to be completed.
    fn is_cut(&self) -> bool {
        let mut requests = self.requests.lock().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let polled = Pin::new(requests.last_mut().unwrap()).poll_frame(&mut cx);
        matches!(polled, Poll::Ready(Some(Err(_))))
    }
}

/// The answer of the stack, to its end.
macro_rules! ends {
    ($stack:expr, $request:expr) => {{
        let answer = $stack.oneshot($request).await.unwrap();
        let end = answer.into_body().collect().await;
        assert!(end.is_err(), "a deadline or a timeout ends it");
    }};
}

// CONTRACT R13
#[tokio::test(start_paused = true)]
async fn a_request_ends_when_a_layer_ends_its_call_in_the_middle_of_the_answer() {
    let begins = Begins::default();
    let service = {
        let begins = begins.clone();
        service_fn(move |request| std::future::ready(begins.answer(request)))
    };
    let deadline = || DeadlineLayer::new().default_timeout(SHORT);
    let retry = || RetryLayer::new(RetryPolicy::new());
    let bound = AttemptTimeoutLayer::new(SHORT)
        .unwrap()
        .until_first_message();
    for request in [request as fn() -> Request<Body>, live] {
        ends!(deadline().layer(service.clone()), request());
        assert!(begins.is_cut(), "deadline");
        ends!(deadline().layer(retry().layer(service.clone())), request());
        assert!(begins.is_cut(), "deadline over retry");
        ends!(retry().layer(deadline().layer(service.clone())), request());
        assert!(begins.is_cut(), "retry over deadline");
        ends!(bound.layer(service.clone()), request());
        assert!(begins.is_cut(), "attempt timeout");
        ends!(retry().layer(bound.layer(service.clone())), request());
        assert!(begins.is_cut(), "retry over attempt timeout");
    }
}

// CONTRACT R13
#[tokio::test(start_paused = true)]
async fn the_request_of_a_later_attempt_of_a_call_on_the_fast_path_ends_with_the_call() {
    for refusals in [0, 1] {
        let begins = Begins::default();
        let service = {
            let begins = begins.clone();
            service_fn(move |request| std::future::ready(begins.answer(request)))
        };
        let stack = Resilience::new().default_timeout(SHORT).wrap(service);
        // An answer shows the channel ready: the fast path is open.
        *begins.refusals.lock().unwrap() = 1;
        let mut first = request();
        first.call_options().never_retry();
        stack.clone().oneshot(first).await.unwrap();
        *begins.refusals.lock().unwrap() = refusals;
        let mut call = request();
        call.call_options().idempotent();
        let answer = stack.oneshot(call).await.unwrap();
        assert!(!begins.is_cut(), "{refusals} refusals: the call goes on");
        answer.into_body().collect().await.unwrap_err();
        assert!(begins.is_cut(), "{refusals} refusals");
    }
}
