//! What the layers say of a method is asked once and then found: nobody can tell that either.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{self, Poll};
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::budget::BudgetLayer;
use grpc_resilience::call::{
    AttemptKind, Budget, BudgetSnapshot, CallOptions, CallOptionsExt as _, Context, Method, Permit,
    Safety,
};
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::idempotency::IdempotencyLayer;
use grpc_resilience::retry::{Outcome, Plan, Policy, RetryLayer, RetryPolicy};
use grpc_resilience::{Resilience, Resilient};
use http::{HeaderMap, Request, Response, Uri};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, Full, StreamBody};
use peer::{Connection, Peer, Stream};
use tonic::Status;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};
use transports::Channel;

use crate::support::{SECOND, every, ms};

const GET: &str = "/many.v1.Many/Get";

/// What a channel was asked, and how many attempts it lets fail before the next it answers.
#[derive(Clone, Default)]
struct Asked {
    failing: Arc<AtomicU32>,
    contexts: Arc<Mutex<Vec<Context>>>,
    uris: Arc<Mutex<Vec<Uri>>>,
}

impl Asked {
    fn answer(&self, request: &Request<Body>) -> Response<Body> {
        let context = request.extensions().get().cloned();
        self.contexts.lock().unwrap().extend(context);
        self.uris.lock().unwrap().push(request.uri().clone());
        let left = self.failing.load(Ordering::Relaxed);
        if left > 0 {
            self.failing.store(left - 1, Ordering::Relaxed);
            let mut response = Response::new(Body::empty());
            let code = "14".parse().unwrap();
            response.headers_mut().insert("grpc-status", code);
            return response;
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let message = Full::new(Bytes::from_static(&[0; 5]));
        Response::new(Body::new(
            message.with_trailers(async { Some(Ok(trailers)) }),
        ))
    }
}

impl Service<Request<Body>> for Asked {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ready(Ok(self.answer(&request)))
    }
}

struct Stack {
    asked: Asked,
    service: Resilient<Asked>,
}

fn over(stack: &Resilience) -> Stack {
    let asked = Asked::default();
    let service = stack.wrap(asked.clone());
    Stack { asked, service }
}

type Wish = fn(&mut CallOptions);

impl Stack {
    /// So many attempts fail: whether the call is answered, and after how many attempts.
    async fn call(&mut self, path: &str, failing: u32, wish: Option<Wish>) -> (bool, usize) {
        self.asked.failing.store(failing, Ordering::Relaxed);
        self.asked.contexts.lock().unwrap().clear();
        let mut request = Request::post(path)
            .body(Body::new(Full::new(Bytes::from_static(&[0; 5]))))
            .unwrap();
        if let Some(wish) = wish {
            wish(request.call_options());
        }
        let call = self.service.ready().await.unwrap().call(request);
        let is_answered = match call.await {
            // A head that says more is the failure as it came.
            Ok(response) if response.headers().contains_key("grpc-status") => false,
            Ok(response) => response.into_body().collect().await.is_ok(),
            Err(_) => false,
        };
        (is_answered, self.asked.contexts.lock().unwrap().len())
    }
}

fn attempts(count: u32) -> RetryPolicy {
    RetryPolicy::new()
        .max_attempts(count)
        .unwrap()
        .backoff(every(ms(1)))
}

fn declared() -> IdempotencyLayer {
    IdempotencyLayer::new()
        .idempotent("/many.v1.Many/*")
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_replaced_decides_for_the_next_call_of_a_known_method() {
    let layer = RetryLayer::new(attempts(2));
    let policies = layer.policies();
    let mut stack = over(&Resilience::new().idempotency(declared()).retry_layer(layer));
    for _ in 0..3 {
        assert_eq!(stack.call(GET, 1, None).await, (true, 2));
    }
    policies.replace(RetryPolicy::never());
    assert_eq!(stack.call(GET, 1, None).await, (false, 1));
    policies.replace(attempts(4));
    assert_eq!(stack.call(GET, 3, None).await, (true, 4));
    policies
        .update(|policies| policies.method(GET, attempts(3)))
        .unwrap();
    assert_eq!(stack.call(GET, 3, None).await, (false, 3));
}

#[tokio::test(start_paused = true)]
async fn a_closure_is_asked_about_each_call() {
    let says_so = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&says_so);
    let by = move |_: &str| asked.load(Ordering::Relaxed).then_some(Safety::Idempotent);
    let layer = IdempotencyLayer::new().idempotent_if(by);
    let mut stack = over(&Resilience::new().idempotency(layer).retry(attempts(2)));
    for says in [false, true, false] {
        says_so.store(says, Ordering::Relaxed);
        let expected = if says { (true, 2) } else { (false, 1) };
        assert_eq!(stack.call(GET, 1, None).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn more_methods_than_are_kept_are_treated_alike() {
    let stack = Resilience::new().idempotency(declared()).unlimited_budget();
    let mut stack = over(&stack.retry(attempts(2)));
    for _ in 0..2 {
        for number in 0..1_000 {
            let path = format!("/many.v1.Many/Get{number}");
            assert_eq!(stack.call(&path, 1, None).await, (true, 2), "{path}");
        }
        assert_eq!(stack.call("/few.v1.Few/Get", 1, None).await, (false, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_call_wishes_does_not_reach_the_next() {
    let mut stack = over(&Resilience::new().retry(attempts(2)));
    let idempotent: Wish = |options| _ = options.idempotent();
    for _ in 0..2 {
        assert_eq!(stack.call(GET, 1, Some(idempotent)).await, (true, 2));
        assert_eq!(stack.call(GET, 1, None).await, (false, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_that_nobody_annotated_is_noted_though_its_first_call_says_what_it_is() {
    let known = Method::new("/many.v1.Many/Put", MethodKind::Unary, Safety::Idempotent);
    let stack = Resilience::new().idempotency(IdempotencyLayer::new().methods([known]).unwrap());
    let mut over = over(&stack);
    over.call(GET, 0, Some(|options| _ = options.idempotent()))
        .await;
    assert!(stack.unannotated_methods().is_empty());
    over.call(GET, 0, None).await;
    assert_eq!(stack.unannotated_methods(), [GET]);
}

/// A policy that somebody may switch off.
#[derive(Debug)]
struct Switch {
    is_off: Arc<AtomicBool>,
    policy: RetryPolicy,
}

impl Policy for Switch {
    fn decide(&self, outcome: &Outcome<'_>) -> Plan {
        self.policy.decide(outcome)
    }

    fn is_off(&self) -> bool {
        self.is_off.load(Ordering::Relaxed)
    }
}

// CONTRACT R12
#[tokio::test(start_paused = true)]
async fn a_policy_of_one_s_own_that_is_switched_off_repeats_no_call_of_a_known_method() {
    let is_off = Arc::new(AtomicBool::new(false));
    let policy = Switch {
        is_off: Arc::clone(&is_off),
        policy: attempts(2),
    };
    let mut stack = over(&Resilience::new().idempotency(declared()).retry(policy));
    for off in [false, true, false] {
        is_off.store(off, Ordering::Relaxed);
        let expected = if off { (false, 1) } else { (true, 2) };
        assert_eq!(stack.call(GET, 1, None).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_closure_is_asked_once_about_a_call_whether_its_request_is_complete_or_not() {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let stack = Resilience::new().idempotent_if(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        None
    });
    let mut stack = over(&stack);
    for _ in 0..2 {
        stack.call(GET, 0, None).await;
        assert_eq!(asked.swap(0, Ordering::Relaxed), 1);
        let frames = [1, 2].map(|_| Ok::<_, Status>(Frame::data(Bytes::from_static(&[0; 5]))));
        let body = Body::new(StreamBody::new(tokio_stream::iter(frames)));
        let request = Request::post(GET).body(body).unwrap();
        let call = stack.service.ready().await.unwrap().call(request);
        drop(call.await.unwrap());
        assert_eq!(asked.swap(0, Ordering::Relaxed), 1, "a stream");
        let at_once: Wish = |options| _ = options.timeout(Duration::ZERO);
        assert_eq!(stack.call(GET, 0, Some(at_once)).await, (false, 0));
        assert_eq!(asked.swap(0, Ordering::Relaxed), 0, "it never began");
    }
}

/// Counts what it is told.
#[derive(Debug, Default)]
struct Told {
    began: AtomicU32,
    succeeded: AtomicU32,
    failed: AtomicU32,
    panics: AtomicBool,
}

impl Budget for Told {
    fn call_started(&self) {
        self.began.fetch_add(1, Ordering::Relaxed);
    }

    fn succeeded(&self) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        assert!(!self.panics.load(Ordering::Relaxed), "as it was told to");
    }

    fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    fn permit(&self, _: AttemptKind) -> Option<Permit> {
        None
    }

    fn snapshot(&self) -> BudgetSnapshot {
        BudgetSnapshot::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_budget_hears_of_each_call_of_a_method_and_a_layer_below_sees_the_same_of_each() {
    let told = Arc::new(Told::default());
    let stack = Resilience::new()
        .default_timeout(SECOND)
        .idempotency(declared())
        .budget_layer(BudgetLayer::new(Arc::clone(&told)));
    let mut stack = over(&stack);
    let mut seen = Vec::new();
    for calls in 1..=3 {
        assert_eq!(stack.call(GET, 0, None).await, (true, 1));
        assert_eq!(told.began.load(Ordering::Relaxed), calls);
        assert_eq!(told.succeeded.load(Ordering::Relaxed), calls);
        let context = stack.asked.contexts.lock().unwrap().pop().unwrap();
        seen.push((
            context.attempt(),
            context.safety(),
            context.deadline().map(|deadline| deadline.timeout()),
            context.budget().is_some(),
        ));
    }
    let expected = (Some(1), Safety::Idempotent, Some(SECOND), true);
    assert_eq!(seen, [expected; 3]);
}

// The budget is told, and panics, when the status is read: a channel may have it with the message,
// or later.
#[transports::test]
async fn a_budget_that_panics_at_the_end_of_a_call_hears_no_more_of_it() {
    let told = Arc::new(Told::default());
    told.panics.store(true, Ordering::Relaxed);
    let peer = Peer::start([Connection::new().streams([Stream::ok(b"")])]).await;
    let stack = Resilience::new().budget(Arc::clone(&told));
    let service = stack.wrap(Channel::to(peer.uri()));
    let body = Body::new(Full::new(Bytes::from_static(&[0; 5])));
    let request = Request::post(GET).body(body).unwrap();
    let mut body = service.oneshot(request).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    let panicked = poll_fn(|cx| {
        let poll = || Pin::new(&mut body).poll_frame(cx);
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(polled) => polled.map(|_| false),
            Err(_) => Poll::Ready(true),
        }
    });
    assert!(panicked.await);
    assert!(body.frame().await.is_none());
    assert_eq!(told.succeeded.load(Ordering::Relaxed), 1);
    assert_eq!(told.failed.load(Ordering::Relaxed), 0);
}

// The calls of a method share its path, and nothing else of where they go.
#[tokio::test(start_paused = true)]
async fn each_attempt_goes_where_its_call_does() {
    let mut stack = over(&Resilience::new().idempotency(declared()).retry(attempts(2)));
    for uri in [
        GET,
        "http://one/many.v1.Many/Get",
        "https://other:1/many.v1.Many/Get",
        "/many.v1.Many/Get?page=2",
        GET,
    ] {
        stack.asked.uris.lock().unwrap().clear();
        assert_eq!(stack.call(uri, 1, None).await, (true, 2));
        assert_eq!(*stack.asked.uris.lock().unwrap(), [uri, uri]);
    }
}
