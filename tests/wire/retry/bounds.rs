//! What stays with the layer, whatever a policy of the user's own says: here one that says the same
//! of every failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use grpc_resilience::budget::BudgetLayer;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::retry::{Outcome, Plan, Policy, RetryLayer};
use grpc_resilience::{__internal, DeadlineLayer, Error, GiveUp};
use http::Request;
use peer::{Connection, DeadPort, Headers, Peer, Reason, Step, Stream};
use tokio::time::{Instant, sleep};
use tonic::body::Body;
use tower::{ServiceBuilder, ServiceExt as _};
use transports::Channel;

use super::super::support::{channel, endpoint, request};
use super::{Counter, declared};

/// So often a policy is asked by a layer that binds it to nothing.
const ENDLESS: u32 = 50;

const RETRY: Plan = Plan::retry(Duration::ZERO);
const TRANSPARENT: Plan = Plan::transparent(Duration::ZERO);

/// Says the same of every failure.
#[derive(Clone, Debug)]
struct Stubborn {
    plan: Plan,
    asked: Arc<AtomicU32>,
}

impl Stubborn {
    fn saying(plan: Plan) -> Self {
        Self {
            plan,
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Policy for Stubborn {
    fn decide(&self, _: &Outcome<'_>) -> Plan {
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            ENDLESS => Plan::Stop(GiveUp::Policy("endless")),
            _ => self.plan,
        }
    }
}

/// Each stream meets the next script, and the last one all that come after it.
async fn meeting(streams: impl IntoIterator<Item = Stream>) -> Peer {
    let streams: Vec<_> = streams.into_iter().collect();
    let last = streams.last().unwrap().clone();
    Peer::always(Connection::new().streams(streams).other_streams(last)).await
}

async fn failing(streams: impl IntoIterator<Item = Stream>, policy: &Stubborn) -> (Error, Peer) {
    let peer = meeting(streams).await;
    let error = failure(channel(&peer), policy, declared(request())).await;
    (error, peer)
}

/// Within a second.
async fn failure(channel: impl Into<Channel>, policy: &Stubborn, request: Request<Body>) -> Error {
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(Duration::from_secs(1)))
        .layer(RetryLayer::new(policy.clone()))
        .service(channel.into());
    let answer = service.oneshot(request).await;
    answer.map(drop).expect_err("the call fails")
}

fn unavailable() -> Stream {
    Stream::status(14, "down")
}

fn previous(peer: &Peer) -> Vec<u32> {
    let streams = peer.streams_seen();
    let previous = streams
        .iter()
        .map(|stream| stream.field("grpc-previous-rpc-attempts").unwrap_or("0"));
    previous.map(|it| it.parse().unwrap()).collect()
}

// CONTRACT P3
#[transports::test(start_paused = true)]
async fn a_pushback_that_says_no_ends_a_call_whatever_the_policy_says() {
    for plan in [RETRY, TRANSPARENT] {
        let head = Headers::trailers_only(14).with("grpc-retry-pushback-ms", "-1");
        let policy = Stubborn::saying(plan);
        let (error, peer) = failing([Stream::from([Step::Headers(head)])], &policy).await;
        assert_eq!(error.give_up(), Some(GiveUp::PushbackStop));
        assert_eq!(peer.streams_seen().len(), 1);
    }
}

// CONTRACT I2
#[transports::test(start_paused = true)]
async fn an_undeclared_call_that_was_answered_is_not_repeated_whatever_the_policy_says() {
    for plan in [RETRY, TRANSPARENT] {
        let policy = Stubborn::saying(plan);
        let peer = meeting([unavailable()]).await;
        let error = failure(channel(&peer), &policy, request()).await;
        assert_eq!(error.give_up(), Some(GiveUp::NotIdempotent));
        assert_eq!(peer.streams_seen().len(), 1);
    }
}

// CONTRACT R14
#[transports::test(start_paused = true)]
async fn a_wait_up_to_the_deadline_is_not_begun_whatever_the_policy_says() {
    let after = Duration::from_secs(1);
    for plan in [Plan::retry_as_hinted(after), Plan::transparent(after)] {
        let start = Instant::now();
        let (error, peer) = failing([unavailable()], &Stubborn::saying(plan)).await;
        assert_eq!(error.give_up(), Some(GiveUp::Deadline));
        assert_eq!(error.status().message(), "down");
        assert_eq!(peer.streams_seen().len(), 1);
        assert!(start.elapsed() < Duration::from_millis(100));
    }
}

// CONTRACT D8, D11
#[transports::test(start_paused = true)]
async fn a_cancellation_at_the_deadline_is_the_end_whatever_the_policy_says() {
    for plan in [RETRY, TRANSPARENT] {
        let policy = Stubborn::saying(plan);
        let late = Stream::from([
            Step::Wait(Duration::from_millis(997)),
            Step::Headers(Headers::trailers_only(1)),
        ]);
        let (error, peer) = failing([late], &policy).await;
        assert_eq!(error.give_up(), Some(GiveUp::Deadline));
        assert_eq!(peer.streams_seen().len(), 1);
    }
}

// CONTRACT X2, X5, T6
#[transports::test(start_paused = true)]
async fn a_refused_stream_goes_once_for_nothing_and_then_as_an_attempt_that_is_paid_for() {
    let budget = Arc::new(Counter::default());
    let policy = Stubborn::saying(TRANSPARENT);
    let peer = meeting([Stream::refuse()]).await;
    let service = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(RetryLayer::new(policy))
        .service(channel(&peer));
    let mut request = request();
    request.call_options().max_attempts(3);
    let error = service.oneshot(request).await.map(drop).unwrap_err();
    assert_eq!(error.give_up(), Some(GiveUp::AttemptsExhausted));
    assert_eq!(previous(&peer), [0, 0, 1, 2]);
    assert_eq!(budget.counts().permits, 2);
}

// CONTRACT X1
#[tokio::test(start_paused = true)]
async fn a_request_that_never_leaves_goes_eight_times_for_nothing_and_then_as_an_attempt() {
    let policy = Stubborn::saying(TRANSPARENT);
    let mut request = request();
    request.call_options().max_attempts(3);
    let dead = DeadPort::new();
    let channel = endpoint(dead.uri()).connect_lazy();
    let error = failure(channel, &policy, request).await;
    assert_eq!(error.give_up(), Some(GiveUp::AttemptsExhausted));
    assert_eq!(error.attempts(), 3);
    assert_eq!(policy.asked(), 1 + 8 + 2);
}

// CONTRACT R1, R10, X3
#[transports::test(start_paused = true)]
async fn the_caller_s_attempts_bind_every_policy_and_what_was_answered_counts_as_one() {
    for plan in [RETRY, TRANSPARENT] {
        let policy = Stubborn::saying(plan);
        let peer = meeting([unavailable()]).await;
        let mut request = declared(request());
        request.call_options().max_attempts(3);
        let error = failure(channel(&peer), &policy, request).await;
        assert_eq!(error.give_up(), Some(GiveUp::AttemptsExhausted));
        assert_eq!(previous(&peer), [0, 1, 2], "{plan:?}");
    }
}

// CONTRACT R13, D10: a deadline layer below the retry layer hears of the parent's end first
#[transports::test(start_paused = true)]
async fn a_call_whose_parent_is_over_is_not_repeated_whatever_the_policy_says() {
    for plan in [RETRY, TRANSPARENT] {
        let policy = Stubborn::saying(plan);
        let peer = meeting([Stream::stall()]).await;
        let service = ServiceBuilder::new()
            .layer(RetryLayer::new(policy.clone()))
            .layer(DeadlineLayer::new())
            .service(channel(&peer));
        let (served, open) = __internal::parent_call();
        let mut request = declared(request());
        request.call_options().parent(&served);
        let call = tokio::spawn(service.oneshot(request));
        peer.wait_for_streams(1).await;
        drop(open);
        let error = call.await.unwrap().map(drop).unwrap_err();
        assert_eq!(error.give_up(), Some(GiveUp::Cancelled));
        assert_eq!(policy.asked(), 1);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(peer.streams_seen().len(), 1);
    }
}

// CONTRACT I4: a reset says nothing of whether the call ran
#[transports::test(start_paused = true)]
async fn a_reset_stream_is_never_transparent_and_of_an_undeclared_call_never_repeated() {
    let reset = || Stream::reset(Reason::INTERNAL_ERROR);
    for (request, expected) in [(request(), vec![0]), (declared(request()), vec![0, 1])] {
        let policy = Stubborn::saying(TRANSPARENT);
        let peer = meeting([reset()]).await;
        let mut request = request;
        request.call_options().max_attempts(2);
        failure(channel(&peer), &policy, request).await;
        assert_eq!(previous(&peer), expected);
    }
}
