//! What a failure proves hangs on the request, too: on whether something had read it, and on the
//! kind of its method.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::classify::Progress;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::{BeforeAttempt, RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{BoxError, DeadlineLayer, Error, GiveUp, IdempotencyLayer, Resilience};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use peer::{LastStream, Reason, Step};
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};

use super::super::support::{endpoint, failure, failure_with, request};

const KINDS: [Option<MethodKind>; 5] = [
    None,
    Some(MethodKind::Unary),
    Some(MethodKind::ServerStreaming),
    Some(MethodKind::ClientStreaming),
    Some(MethodKind::BidiStreaming),
];

/// Who reads the request below our layers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reads {
    Nothing,
    /// A layer, in the call's own task.
    Here,
    /// A transport, in a task of its own.
    Elsewhere,
}

const READS: [Reads; 3] = [Reads::Nothing, Reads::Here, Reads::Elsewhere];

/// A service of somebody else: the request may be read, then it fails with errors of other calls as
/// long as there are any, and then answers.
#[derive(Clone)]
struct Foreign {
    reads: Reads,
    errors: Arc<Mutex<VecDeque<BoxError>>>,
    runs: Arc<Mutex<u32>>,
}

impl Foreign {
    fn new(reads: Reads, errors: impl IntoIterator<Item = BoxError>) -> Self {
        Self {
            reads,
            errors: Arc::new(Mutex::new(errors.into_iter().collect())),
            runs: Arc::default(),
        }
    }

    async fn call(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        *self.runs.lock().unwrap() += 1;
        let frame = async { request.into_body().frame().await };
        let read = match self.reads {
            Reads::Nothing => None,
            Reads::Here => Some(frame.await),
            Reads::Elsewhere => Some(tokio::spawn(frame).await.unwrap()),
        };
        if let Some(frame) = read {
            let is_whole = frame.is_some_and(|read| read.is_ok());
            assert!(is_whole, "every attempt has the request");
        }
        match self.errors.lock().unwrap().pop_front() {
            Some(error) => Err(error),
            None => Ok(Response::builder()
                .header("grpc-status", "0")
                .body(Body::empty())?),
        }
    }

    fn runs(&self) -> u32 {
        *self.runs.lock().unwrap()
    }
}

type Stack = BoxCloneSyncService<Request<Body>, (), Error>;

/// Boxed, and without the bodies of its answers.
macro_rules! boxed {
    ($service:expr) => {
        BoxCloneSyncService::new($service.map_response(|_| ()))
    };
}

/// The service under every stack that may send a request again, by name.
fn stacks(foreign: &Foreign) -> [(&'static str, Stack); 5] {
    let foreign = foreign.clone();
    let service = service_fn(move |request| foreign.clone().call(request));
    let retry = || RetryLayer::new(RetryPolicy::new());
    let builder = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(Duration::from_secs(5)))
        .layer(IdempotencyLayer::new())
        .layer(BudgetLayer::new(TokenBucket::default()))
        .layer(retry())
        .layer(WaitForReadyLayer::new())
        .service(service.clone());
    let bound = AttemptTimeoutLayer::new(Duration::from_secs(1)).unwrap();
    let resilience = || Resilience::new().default_timeout(Duration::from_secs(5));
    [
        ("retry", boxed!(retry().layer(service.clone()))),
        ("builder", boxed!(builder)),
        ("Resilience", boxed!(resilience().wrap(service.clone()))),
        (
            "Resilience with an attempt layer",
            boxed!(resilience().attempt_layer(bound).wrap(service.clone())),
        ),
        (
            "Resilience with an attempt timeout",
            boxed!(resilience().attempt_timeout(bound).wrap(service)),
        ),
    ]
}

/// How often an undeclared call of this kind ran in each stack, and how it ended.
async fn undeclared(
    reads: Reads,
    kind: Option<MethodKind>,
    errors: &mut VecDeque<BoxError>,
) -> Vec<(&'static str, u32, Option<Error>)> {
    let mut rows = Vec::new();
    for number in 0..5 {
        let foreign = Foreign::new(reads, errors.pop_front());
        let (name, stack) = stacks(&foreign).into_iter().nth(number).unwrap();
        let mut request = request();
        if let Some(kind) = kind {
            request.call_options().kind(kind);
        }
        let outcome = stack.oneshot(request).await;
        rows.push((name, foreign.runs(), outcome.err()));
    }
    rows
}

/// The errors of other calls, over channels of their own.
async fn connect_errors(count: usize) -> VecDeque<BoxError> {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let channel = endpoint(format!("http://{closed}")).connect_lazy();
    let mut errors = VecDeque::new();
    for _ in 0..count {
        errors.push_back(failure(&channel).await);
    }
    errors
}

async fn goaway_errors(count: usize) -> VecDeque<BoxError> {
    let mut errors = VecDeque::new();
    for _ in 0..count {
        let goaway = Step::GoAway(LastStream::Below, Reason::NO_ERROR);
        errors.push_back(failure_with([goaway]).await);
    }
    errors
}

// CONTRACT I4, I4c
#[tokio::test(start_paused = true)]
async fn a_connect_error_after_something_read_the_request_is_no_proof() {
    let mut errors = connect_errors(2 * 5 * KINDS.len()).await;
    for (reads, kind) in [Reads::Here, Reads::Elsewhere]
        .map(|reads| KINDS.map(|kind| (reads, kind)))
        .concat()
    {
        for (name, runs, error) in undeclared(reads, kind, &mut errors).await {
            let error = error.expect(name);
            assert_eq!(runs, 1, "{name}");
            assert_eq!(error.verdict().progress, Progress::Reached, "{name}");
            assert_eq!(error.give_up(), Some(GiveUp::NotIdempotent), "{name}");
            assert!(error.status().message().contains("had read it"), "{error}");
        }
    }
}

// CONTRACT I1, I4c
#[tokio::test(start_paused = true)]
async fn a_connect_error_before_anything_read_the_request_proves_that_it_was_not_sent() {
    let mut errors = connect_errors(5 * KINDS.len()).await;
    for kind in KINDS {
        for (name, runs, error) in undeclared(Reads::Nothing, kind, &mut errors).await {
            assert_eq!(runs, 2, "{name}: {error:?}");
            assert!(error.is_none(), "{name}: {error:?}");
        }
    }
}

// CONTRACT I4c
#[tokio::test(start_paused = true)]
async fn a_call_under_wait_for_ready_alone_runs_once_when_its_request_was_read() {
    for reads in READS {
        let foreign = Foreign::new(reads, connect_errors(1).await);
        let service = foreign.clone();
        let stack = WaitForReadyLayer::new()
            .layer(service_fn(move |request| service.clone().call(request)));
        let outcome = stack.oneshot(request()).await;
        let is_read = reads != Reads::Nothing;
        assert_eq!(outcome.is_err(), is_read, "{reads:?}");
        assert_eq!(foreign.runs(), if is_read { 1 } else { 2 }, "{reads:?}");
    }
}

// CONTRACT I4a, I4b
#[transports::test(start_paused = true)]
async fn a_goaway_after_the_transport_read_the_request_refused_it_whatever_its_kind() {
    let mut errors = goaway_errors(5 * KINDS.len()).await;
    for kind in KINDS {
        for (name, runs, error) in undeclared(Reads::Elsewhere, kind, &mut errors).await {
            assert_eq!(runs, 2, "{name}, {kind:?}: {error:?}");
        }
    }
}

// CONTRACT I4, I4b
// Over tonic alone: I4b is about what hyper does at a GOAWAY.
#[tokio::test(start_paused = true)]
async fn a_goaway_before_the_transport_read_the_request_refuses_only_what_is_declared_to_ask_once()
{
    let mut errors = goaway_errors(2 * 5 * KINDS.len()).await;
    for (reads, kind) in [Reads::Nothing, Reads::Here]
        .map(|reads| KINDS.map(|kind| (reads, kind)))
        .concat()
    {
        let asks_once = kind.is_some_and(|kind| !kind.asks_in_a_stream());
        for (name, runs, error) in undeclared(reads, kind, &mut errors).await {
            assert_eq!(
                runs,
                if asks_once { 2 } else { 1 },
                "{name}, {kind:?}: {error:?}"
            );
            let Some(error) = error else { continue };
            assert_eq!(error.verdict().progress, Progress::Reached, "{name}");
            assert_eq!(error.give_up(), Some(GiveUp::NotIdempotent), "{name}");
            let message = error.status().message();
            assert_eq!(
                message.contains(".unary(path)"),
                kind.is_none(),
                "{message}"
            );
            assert_eq!(message.contains("descriptors"), kind.is_none(), "{message}");
        }
    }
}

/// What a call of somebody else fails with whose hook has no token.
async fn hook_error() -> BoxError {
    let hook = BeforeAttempt::new(|_| async { Err("the token service is down".into()) });
    let other = RetryLayer::new(RetryPolicy::never()).before_attempt(hook);
    let other = other.layer(endpoint("http://127.0.0.1:1").connect_lazy());
    other.oneshot(request()).await.unwrap_err().into()
}

// CONTRACT I4, I4c
#[tokio::test(start_paused = true)]
async fn the_hook_of_another_call_that_failed_says_nothing_of_this_one() {
    let mut errors = VecDeque::new();
    for _ in 0..5 {
        errors.push_back(hook_error().await);
    }
    for (name, runs, error) in undeclared(Reads::Elsewhere, None, &mut errors).await {
        assert_eq!(runs, 1, "{name}: {error:?}");
        assert_eq!(
            error.unwrap().verdict().progress,
            Progress::Reached,
            "{name}"
        );
    }
}

// CONTRACT I1, I4c: between two attempts the request of the former one says nothing
#[transports::test(start_paused = true)]
async fn a_hook_that_fails_after_a_refused_attempt_leaves_the_call_as_unsent_as_it_was() {
    let foreign = Foreign::new(Reads::Elsewhere, goaway_errors(1).await);
    let service = foreign.clone();
    let hooks = Arc::new(Mutex::new(0));
    let hook = BeforeAttempt::new(move |next| {
        let mut runs = hooks.lock().unwrap();
        *runs += 1;
        let fails = *runs == 2;
        async move {
            if fails {
                Err("no token yet".into())
            } else {
                Ok(next)
            }
        }
    });
    let stack = RetryLayer::new(RetryPolicy::new()).before_attempt(hook);
    let stack = stack.layer(service_fn(move |request| service.clone().call(request)));
    stack.oneshot(request()).await.unwrap();
    assert_eq!(foreign.runs(), 2);
}

// CONTRACT I4c: the verdict is for a caller's own loop, too
#[tokio::test(start_paused = true)]
async fn layers_that_repeat_nothing_report_a_request_that_was_read_as_one_that_may_have_run() {
    for reads in READS {
        let mut errors = connect_errors(4).await;
        let mut service = || {
            let foreign = Foreign::new(reads, errors.pop_front());
            service_fn(move |request| foreign.clone().call(request))
        };
        let second = Duration::from_secs(1);
        let bound = AttemptTimeoutLayer::new(second).unwrap();
        let outcomes = [
            boxed!(
                DeadlineLayer::new()
                    .default_timeout(second)
                    .layer(service())
            ),
            boxed!(bound.layer(service())),
            boxed!(AdaptiveThrottleLayer::new().layer(service())),
            boxed!(WaitForReadyLayer::new().fail_fast().layer(service())),
        ];
        let expected = match reads {
            Reads::Nothing => Progress::NotSent,
            Reads::Here | Reads::Elsewhere => Progress::Reached,
        };
        for (number, stack) in outcomes.into_iter().enumerate() {
            let error: Error = stack.oneshot(request()).await.unwrap_err();
            assert_eq!(error.verdict().progress, expected, "{number}, {reads:?}");
        }
    }
}

/// A body that fails in the middle of a layer's look at it.
struct Panics(Body);

impl http_body::Body for Panics {
    type Data = bytes::Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, tonic::Status>>> {
        let _ = http_body::Body::poll_frame(Pin::new(&mut self.0), cx);
        panic!("a foreign body");
    }
}

// CONTRACT I4c, R13: what one call left behind is not another's
#[tokio::test(start_paused = true)]
async fn a_body_that_panics_between_two_layers_ends_no_other_call() {
    let service = || {
        let foreign = Foreign::new(Reads::Here, None);
        service_fn(move |request| foreign.clone().call(request))
    };
    let inner = RetryLayer::new(RetryPolicy::new()).layer(service());
    let between = service_fn(move |request: Request<Body>| {
        inner
            .clone()
            .oneshot(request.map(|body| Body::new(Panics(body))))
    });
    let stack = DeadlineLayer::new()
        .default_timeout(Duration::from_secs(1))
        .layer(between);
    let mut call = std::panic::AssertUnwindSafe(Box::pin(stack.oneshot(request())));
    let panicked = std::panic::catch_unwind(move || {
        let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    });
    assert!(panicked.is_err());
    let next = RetryLayer::new(RetryPolicy::new()).layer(service());
    next.oneshot(request()).await.unwrap();
}
