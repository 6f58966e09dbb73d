//! What stands in the way of a deadline: an inner service that never lets a timer run, a thread that
//! was busy, and errors that are somebody else's.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::classify::Progress;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{BoxError, Error};
use http::{Request, Response};
use tokio::time::{Instant, sleep};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};

use crate::support::{SECOND, every, ms};

type Answer = Result<Response<Body>, BoxError>;

fn request() -> Request<Body> {
    Request::new(Body::empty())
}

/// Takes all of tokio's budget at each poll, for ten seconds.
async fn greedy(_: Request<Body>) -> Answer {
    let start = Instant::now();
    while start.elapsed() < 10 * SECOND {
        tokio::task::coop::consume_budget().await;
    }
    Ok(Response::new(Body::empty()))
}

// CONTRACT D2, D5; on a real clock, since a paused one stands still while a task is busy.
#[tokio::test]
async fn a_service_that_uses_up_the_budget_of_its_task_ends_at_the_deadline_too() {
    let start = Instant::now();
    let bounded = DeadlineLayer::new().default_timeout(ms(100));
    let error = bounded.layer(service_fn(greedy)).oneshot(request()).await;
    assert_eq!(error.err().unwrap().code(), Code::DeadlineExceeded.into());
    assert!(start.elapsed() < 5 * SECOND, "{:?}", start.elapsed());

    let start = Instant::now();
    let bounded = AttemptTimeoutLayer::new(ms(100)).unwrap();
    let error = bounded.layer(service_fn(greedy)).oneshot(request()).await;
    assert_eq!(error.err().unwrap().code(), Code::DeadlineExceeded.into());
    assert!(start.elapsed() < 5 * SECOND, "{:?}", start.elapsed());
}

// CONTRACT I4, I2: the failed connect is that of a call which the handler made.
#[tokio::test(start_paused = true)]
async fn a_handler_whose_own_backend_is_down_is_not_run_again_by_wait_for_ready() {
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    let handler = service_fn(move |_: Request<Body>| {
        counted.fetch_add(1, Ordering::Relaxed);
        let down = tonic::ConnectError("refused".into());
        async move { Err::<Response<Body>, _>(Status::from_error(Box::new(down))) }
    });
    let bounded = DeadlineLayer::new().default_timeout(5 * SECOND);
    let stack = bounded.layer(WaitForReadyLayer::new().layer(handler));
    let error = stack.oneshot(request()).await.err().unwrap();
    assert_eq!(ran.load(Ordering::Relaxed), 1);
    assert_eq!(error.verdict().progress, Progress::Reached);
}

// CONTRACT I4: one attempt failed to connect, the next one is under way.
#[tokio::test(start_paused = true)]
async fn an_attempt_after_one_that_was_never_sent_counts_as_sent_when_it_hangs() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let transport = service_fn(move |_: Request<Body>| {
        let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if first {
                return Err::<Response<Body>, BoxError>(tonic::ConnectError("no".into()).into());
            }
            std::future::pending().await
        }
    });
    let inner = AttemptTimeoutLayer::new(60 * SECOND)
        .unwrap()
        .layer(transport);
    // Sends it twice, as somebody's retry layer would.
    let foreign = service_fn(move |original: Request<Body>| {
        let mut inner = inner.clone();
        let copy = move || {
            let mut copy = request();
            *copy.extensions_mut() = original.extensions().clone();
            copy
        };
        async move {
            let _ = inner.ready().await?.call(copy()).await;
            inner.ready().await?.call(copy()).await
        }
    });
    let bounded = DeadlineLayer::new().default_timeout(SECOND);
    let error: Error = bounded
        .layer(foreign)
        .oneshot(request())
        .await
        .err()
        .unwrap();
    assert_eq!(sent.load(Ordering::Relaxed), 2);
    assert_eq!(error.verdict().progress, Progress::Reached);
}

// CONTRACT D2
#[tokio::test(start_paused = true)]
async fn a_request_whose_deadline_passed_while_it_waited_is_not_sent() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let transport = service_fn(move |_: Request<Body>| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Infallible>(Response::new(Body::empty())) }
    });
    let slow = crate::support::Slow::by(SECOND, transport);
    let mut request = request();
    request.call_options().timeout(ms(500));
    // Nobody ends the wait for readiness here, but nothing goes out after it.
    let policy = RetryPolicy::new().backoff(every(ms(10)));
    let error = RetryLayer::new(policy).layer(slow).oneshot(request).await;
    assert_eq!(error.err().unwrap().code(), Code::DeadlineExceeded.into());
    sleep(SECOND).await;
    assert_eq!(sent.load(Ordering::Relaxed), 0);
}
