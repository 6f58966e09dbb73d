//! Errors of tower's own layers below ours (CONTRACT H6).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use grpc_resilience::__internal;
use grpc_resilience::budget::BudgetLayer;
use grpc_resilience::classify::{Progress, Reason};
use grpc_resilience::grpc;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::{ConnectivityState, WaitForReadyLayer};
use grpc_resilience::{BoxError, GiveUp, Resilience, TokenBucket};
use testing::{Answer, Outcome, Server, method};
use tokio::time::timeout;
use tonic::Code;
use tonic::body::Body;
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;
use tower::{Layer as _, Service, ServiceBuilder};
use transports::{Channel, ResponseBody};

use crate::support::{SECOND, client, declared, every, ms, ours, policy, settle, undeclared};

/// One call at a time; a second is shed.
fn one_at_a_time(server: &Server) -> LoadShed<ConcurrencyLimit<Channel>> {
    ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(1)
        .service(server.channel())
}

/// The same by a service that is ready again once its call is over, for whoever asks: of a
/// `ConcurrencyLimit` the next permit belongs to the clone that was shed.
#[derive(Clone)]
struct Single {
    inner: Channel,
    under_way: Arc<AtomicUsize>,
}

fn single(server: &Server) -> LoadShed<Single> {
    let (inner, under_way) = (server.channel(), Arc::default());
    LoadShed::new(Single { inner, under_way })
}

impl Service<http::Request<Body>> for Single {
    type Response = http::Response<ResponseBody>;
    type Error = BoxError;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.under_way.load(Ordering::Relaxed) > 0 {
            return Poll::Pending;
        }
        Service::<http::Request<Body>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (call, under_way) = (self.inner.call(request), Arc::clone(&self.under_way));
        under_way.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let answer = call.await;
            under_way.fetch_sub(1, Ordering::Relaxed);
            answer
        })
    }
}

/// Its first call takes 300 ms.
fn slow_at_first() -> Server {
    let server = Server::in_memory();
    server
        .script()
        .on(method::UNARY, [Answer::handler().after(ms(300))]);
    server
}

fn overload() -> RetryPolicy {
    policy()
        .retry_on(Code::ResourceExhausted)
        .backoff_on(Code::ResourceExhausted, every(ms(200)))
}

// CONTRACT H6
#[transports::test(start_paused = true)]
async fn what_is_shed_was_not_sent_and_goes_again_undeclared_where_its_code_is_retried() {
    let server = slow_at_first();
    let budget = BudgetLayer::new(TokenBucket::default());
    let layered = ServiceBuilder::new()
        .layer(budget.clone())
        .layer(RetryLayer::new(overload()))
        .service(single(&server));
    let mut first = client(layered.clone());
    let slow = tokio::spawn(async move { first.unary(undeclared()).await });
    settle().await;
    client(layered).unary(undeclared()).await.unwrap();
    slow.await.unwrap().unwrap();
    assert_eq!(server.count(), 2, "what was shed never left");
    // It says nothing of the server.
    assert_eq!(budget.snapshots()[0].1.tokens(), Some(300.0));
}

// CONTRACT H6
#[transports::test(start_paused = true)]
async fn what_is_shed_is_resource_exhausted_and_no_token_is_taken_for_it() {
    let server = slow_at_first();
    let budget = BudgetLayer::new(TokenBucket::default());
    let layered = ServiceBuilder::new()
        .layer(budget.clone())
        .layer(RetryLayer::new(policy()))
        .service(one_at_a_time(&server));
    let mut first = client(layered.clone());
    let slow = tokio::spawn(async move { first.unary(undeclared()).await });
    settle().await;
    let status = client(layered).unary(declared()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(GiveUp::find(&status), Some(GiveUp::CodeNotRetryable));
    let verdict = ours(&status)[0].verdict();
    assert_eq!(
        (verdict.progress, verdict.reason.name()),
        (Progress::NotSent, "overloaded")
    );
    slow.await.unwrap().unwrap();
    let snapshots = budget.snapshots();
    assert_eq!(snapshots[0].1.tokens(), Some(300.0));
}

// CONTRACT H6, R17
#[transports::test(start_paused = true)]
async fn what_is_shed_does_not_hide_what_the_server_said_before() {
    let server = Server::in_memory();
    server.script().on(
        method::UNARY,
        [
            Answer::status(Code::Unavailable, "draining"),
            Answer::handler().after(10 * SECOND),
        ],
    );
    let policy = policy().backoff(every(SECOND));
    let layered = RetryLayer::new(policy).layer(one_at_a_time(&server));
    let mut other = client(layered.clone());
    let slow = tokio::spawn(async move {
        tokio::time::sleep(ms(500)).await;
        other.unary(undeclared()).await
    });
    let status = client(layered).unary(declared()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "draining")
    );
    slow.await.unwrap().unwrap();
}

// CONTRACT H6
#[transports::test(start_paused = true)]
async fn what_is_shed_says_nothing_of_the_channel() {
    let server = slow_at_first();
    let stack = Resilience::new()
        .wait_for_ready(WaitForReadyLayer::new())
        .retry(overload())
        .wrap(single(&server));
    let mut before = client(stack.clone());
    before.unary(undeclared()).await.unwrap();
    server
        .script()
        .on(method::UNARY, [Answer::handler().after(ms(300))]);
    let mut first = client(stack.clone());
    let slow = tokio::spawn(async move { first.unary(undeclared()).await });
    settle().await;
    let mut second = client(stack.clone());
    let second = tokio::spawn(async move { second.unary(undeclared()).await });
    settle().await;
    assert_eq!(stack.readiness().state(), ConnectivityState::Ready);
    second.await.unwrap().unwrap();
    slow.await.unwrap().unwrap();
    assert_eq!(server.count(), 3);
}

// CONTRACT H6
#[transports::test(start_paused = true)]
async fn a_timeout_of_tower_s_is_an_attempt_timeout() {
    for (request, attempts, give_up) in [
        (undeclared(), 1, GiveUp::NotIdempotent),
        (declared(), 4, GiveUp::AttemptsExhausted),
    ] {
        let server = Server::in_memory();
        server.script().always(method::UNARY, Answer::hang());
        let layered = ServiceBuilder::new()
            .layer(RetryLayer::new(policy()))
            .timeout(ms(100))
            .service(server.channel());
        let status = client(layered).unary(request).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(GiveUp::find(&status), Some(give_up));
        let verdict = ours(&status)[0].verdict();
        assert_eq!(
            (verdict.progress, verdict.reason),
            (Progress::Reached, Reason::AttemptTimedOut)
        );
        assert_eq!(server.count(), attempts);
    }
}

// CONTRACT H6
#[tokio::test(start_paused = true)]
async fn under_a_status_what_is_shed_may_be_another_call_s() {
    let mut service = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(1)
        .service(tower::service_fn(|(): ()| {
            std::future::pending::<Result<(), BoxError>>()
        }));
    std::future::poll_fn(|cx| service.poll_ready(cx))
        .await
        .unwrap();
    let _held = service.call(());
    std::future::poll_fn(|cx| service.poll_ready(cx))
        .await
        .unwrap();
    let shed = service.call(()).await.unwrap_err();
    let verdict = __internal::failure(&*shed);
    assert_eq!(verdict.progress, Progress::NotSent);
    assert_eq!(verdict.code, grpc::Code::ResourceExhausted);
    let mut status = tonic::Status::unavailable("the backend is busy");
    status.set_source(Arc::from(shed));
    assert_eq!(__internal::failure(&status).progress, Progress::Reached);
}

/// A service that is dead from the beginning.
#[derive(Clone)]
struct Dead;

impl Service<http::Request<Body>> for Dead {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = std::future::Pending<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Err("the service died".into()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        std::future::pending()
    }
}

// CONTRACT H6: the request that waits in a buffer whose service dies was not sent
#[tokio::test(start_paused = true)]
async fn a_buffer_that_is_closed_before_the_request_was_read_did_not_send_it() {
    let buffered = tower::buffer::Buffer::new(Dead, 8);
    let layered = RetryLayer::new(policy()).layer(buffered);
    let mut client = client(layered);
    let call = client.unary(undeclared());
    let status = timeout(60 * SECOND, call).await.unwrap().unwrap_err();
    let verdict = ours(&status)[0].verdict();
    assert_eq!(
        (verdict.progress, verdict.reason),
        (Progress::NotSent, Reason::ChannelClosed)
    );
}

/// Sends the request, and fails with the closed buffer of another channel.
#[derive(Clone)]
struct Audited<S> {
    inner: S,
    reads: bool,
}

impl<S, R> Service<http::Request<Body>> for Audited<S>
where
    S: Service<http::Request<Body>, Response = http::Response<R>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = http::Response<R>;
    type Error = BoxError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let call = self.reads.then(|| self.inner.call(request));
        Box::pin(async move {
            if let Some(call) = call {
                call.await.map_err(Into::into)?;
            }
            Err(closed().await)
        })
    }
}

/// The error of a buffer whose worker is gone.
async fn closed() -> BoxError {
    let mut buffered = tower::buffer::Buffer::new(Dead, 1);
    let request = http::Request::new(Body::empty());
    match std::future::poll_fn(|cx| buffered.poll_ready(cx)).await {
        Ok(()) => buffered.call(request).await.unwrap_err(),
        Err(error) => error,
    }
}

// CONTRACT H6, I4c
#[transports::test(start_paused = true)]
async fn a_closed_buffer_says_nothing_of_a_request_that_was_read() {
    for (reads, progress) in [(true, Progress::Reached), (false, Progress::NotSent)] {
        let server = Server::in_memory();
        let inner = server.channel();
        let layered = RetryLayer::new(policy()).layer(Audited { inner, reads });
        let status = client(layered).unary(undeclared()).await.unwrap_err();
        let verdict = ours(&status)[0].verdict();
        assert_eq!(
            (verdict.progress, verdict.reason),
            (progress, Reason::ChannelClosed)
        );
        let calls = server.calls();
        let ran = calls.iter().filter(|it| it.outcome != Outcome::Running);
        assert_eq!(
            ran.count(),
            usize::from(reads),
            "undeclared, it runs at most once"
        );
    }
}

// CONTRACT H6
#[test]
fn an_endpoint_that_cannot_be_discovered_leaves_the_request_unsent() {
    use std::pin::Pin;
    use tower::balance::p2c::Balance;
    use tower::discover::Change;
    use tower::load::Constant;

    type Endpoint = Constant<Channel, u32>;
    struct Failing;
    impl tokio_stream::Stream for Failing {
        type Item = Result<Change<u32, Endpoint>, BoxError>;
        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(Some(Err("no such name".into())))
        }
    }

    let mut balance = Balance::<_, http::Request<Body>>::new(Failing);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let Poll::Ready(Err(error)) = balance.poll_ready(&mut cx) else {
        panic!("it fails at once");
    };
    let verdict = __internal::failure(&*error);
    assert_eq!(
        (verdict.progress, verdict.reason),
        (Progress::NotSent, Reason::ChannelClosed)
    );
}

// CONTRACT H6: a predicate's error is the user's own, and may be anything
#[transports::test(start_paused = true)]
async fn an_error_of_a_filter_is_taken_for_what_it_is() {
    for (refusal, code, progress) in [
        (
            BoxError::from(tonic::Status::permission_denied("no")),
            Code::PermissionDenied,
            Progress::Reached,
        ),
        (BoxError::from("no"), Code::Unknown, Progress::Reached),
    ] {
        let server = Server::in_memory();
        let refusal = std::sync::Mutex::new(Some(refusal));
        let check = move |_: http::Request<Body>| -> Result<http::Request<Body>, BoxError> {
            Err(refusal.lock().unwrap().take().unwrap())
        };
        let layered = RetryLayer::new(policy()).layer(Shared(Arc::new(std::sync::Mutex::new(
            tower::filter::Filter::new(server.channel(), check),
        ))));
        let status = client(layered).unary(undeclared()).await.unwrap_err();
        assert_eq!(status.code(), code);
        assert_eq!(ours(&status)[0].verdict().progress, progress);
        assert_eq!(server.count(), 0);
    }
}

/// A service that is no `Clone` by itself.
struct Shared<S>(Arc<std::sync::Mutex<S>>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, R> Service<R> for Shared<S>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.lock().unwrap().poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.lock().unwrap().call(request)
    }
}
