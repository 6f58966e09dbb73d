//! What a failure proves hangs on the request, too: on whether something had read it, and on the
//! kind of its method.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::classify::Progress;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{BoxError, DeadlineLayer, Error, GiveUp, IdempotencyLayer, Resilience};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use peer::{LastStream, Reason, Step};
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};

use super::super::common::{endpoint, failure, failure_with, request};

const KINDS: [Option<MethodKind>; 5] = [
    None,
    Some(MethodKind::Unary),
    Some(MethodKind::ServerStreaming),
    Some(MethodKind::ClientStreaming),
    Some(MethodKind::BidiStreaming),
];

/// A layer of somebody else: it may read the request, then fails with errors of other calls as long
/// as there are any, and then answers.
#[derive(Clone)]
struct Foreign {
    reads: bool,
    errors: Arc<Mutex<VecDeque<BoxError>>>,
    runs: Arc<Mutex<u32>>,
}

impl Foreign {
    fn new(reads: bool, errors: impl IntoIterator<Item = BoxError>) -> Self {
        Self {
            reads,
            errors: Arc::new(Mutex::new(errors.into_iter().collect())),
            runs: Arc::default(),
        }
    }

    async fn call(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        *self.runs.lock().unwrap() += 1;
        if self.reads {
            let read = request.into_body().frame().await;
            assert!(
                read.is_some_and(|read| read.is_ok()),
                "every attempt has the request"
            );
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
    reads: bool,
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
    let mut errors = connect_errors(5 * KINDS.len()).await;
    for kind in KINDS {
        for (name, runs, error) in undeclared(true, kind, &mut errors).await {
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
        for (name, runs, error) in undeclared(false, kind, &mut errors).await {
            assert_eq!(runs, 2, "{name}: {error:?}");
            assert!(error.is_none(), "{name}: {error:?}");
        }
    }
}

// CONTRACT I4c
#[tokio::test(start_paused = true)]
async fn a_call_under_wait_for_ready_alone_runs_once_when_its_request_was_read() {
    for reads in [true, false] {
        let foreign = Foreign::new(reads, connect_errors(1).await);
        let service = foreign.clone();
        let stack = WaitForReadyLayer::new()
            .layer(service_fn(move |request| service.clone().call(request)));
        let outcome = stack.oneshot(request()).await;
        assert_eq!(outcome.is_err(), reads);
        assert_eq!(foreign.runs(), if reads { 1 } else { 2 });
    }
}

// CONTRACT I4a, I4b
#[tokio::test(start_paused = true)]
async fn a_goaway_after_the_request_was_read_refused_it_whatever_its_kind() {
    let mut errors = goaway_errors(5 * KINDS.len()).await;
    for kind in KINDS {
        for (name, runs, error) in undeclared(true, kind, &mut errors).await {
            assert_eq!(runs, 2, "{name}, {kind:?}: {error:?}");
        }
    }
}

// CONTRACT I4, I4b
#[tokio::test(start_paused = true)]
async fn a_goaway_before_the_request_was_read_refuses_only_what_is_declared_to_ask_once() {
    let mut errors = goaway_errors(5 * KINDS.len()).await;
    for kind in KINDS {
        let asks_once = kind.is_some_and(|kind| !kind.asks_in_a_stream());
        for (name, runs, error) in undeclared(false, kind, &mut errors).await {
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
