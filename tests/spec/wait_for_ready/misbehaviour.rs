//! What servers, other layers and owners of calls may do to the gate.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use grpc_resilience::BoxError;
use grpc_resilience::backoff::{Backoff, Retry};
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::wait_for_ready::{ConnectivityState, Readiness, WaitForReadyLayer};
use http_body_util::BodyExt as _;
use testing::{Answer, Server, method};
use tokio::time::{sleep, timeout};
use tonic::Request;
use tonic::body::Body;
use tower::{Layer, Service, ServiceExt as _};
use transports::{Channel, ResponseBody};

use crate::support::{
    SECOND, TwoChannels, client, hello, message, ms, numbered, paused_runtime, poll_once, settle,
    spawn,
};

use super::layer;

type Foreign = Pin<Box<dyn Future<Output = Result<http::Response<ResponseBody>, BoxError>> + Send>>;

/// A layer of somebody else's that reads the whole request before it hands it on, as one that signs
/// requests does.
#[derive(Clone)]
struct Collecting(Channel);

impl Service<http::Request<Body>> for Collecting {
    type Response = http::Response<ResponseBody>;
    type Error = BoxError;
    type Future = Foreign;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::<http::Request<Body>>::poll_ready(&mut self.0, cx).map_err(Into::into)
    }

    fn call(&mut self, request: http::Request<Body>) -> Foreign {
        let clone = self.0.clone();
        let mut channel = std::mem::replace(&mut self.0, clone);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let body = Body::new(http_body_util::Full::new(bytes));
            let answer = channel.call(http::Request::from_parts(parts, body));
            answer.await
        })
    }
}

/// A channel to a proxy that accepts connections and closes each at once, and how many it accepted.
async fn hanging_up() -> (Channel, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let dials = Arc::new(AtomicUsize::new(0));
    tokio::spawn({
        let dials = Arc::clone(&dials);
        async move {
            while let Ok((socket, _)) = listener.accept().await {
                dials.fetch_add(1, Ordering::SeqCst);
                drop(socket);
            }
        }
    });
    (Channel::to(format!("http://{address}")), dials)
}

// A proxy that accepts and hangs up is dialled as fast as it does so: no backoff,
// and the queue drains into it, each call failing.
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test]
async fn a_proxy_that_accepts_and_closes_is_dialled_on_schedule() {
    let (channel, dials) = hanging_up().await;
    let readiness = Readiness::new();
    let stack = layer().readiness(&readiness).layer(channel);
    let calls: Vec<_> = (0..40).map(|n| spawn(&stack, numbered(n))).collect();
    sleep(ms(800)).await;
    let failed = calls.iter().filter(|call| call.is_finished()).count();
    let dials = dials.load(Ordering::SeqCst);
    assert!(
        dials <= 3,
        "{dials} dials in 800 ms, {failed} of 40 calls failed, {readiness:?}"
    );
}

// Fail-fast mode: one caller in a loop.
#[transports::test]
async fn a_proxy_that_accepts_and_closes_is_dialled_on_schedule_by_one_that_fails_fast() {
    let (channel, dials) = hanging_up().await;
    let mut client = client(layer().fail_fast().layer(channel));
    let start = tokio::time::Instant::now();
    let mut calls = 0;
    while start.elapsed() < ms(200) {
        let _ = client.unary(hello()).await.unwrap_err();
        calls += 1;
    }
    let taken = start.elapsed();
    let dials = dials.load(Ordering::SeqCst);
    assert!(
        dials as u128 <= 1 + taken.as_millis() / 80,
        "{dials} dials in {taken:?} by {calls} calls one after the other"
    );
}

// Dials that take longer than the lease of 20 s (a dropped SYN takes 127 s on Linux)
// never count: the channel stays in CONNECTING for ever.
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn a_dial_that_takes_longer_than_the_lease_counts_as_failed() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(30 * SECOND);
    let readiness = Readiness::new();
    let stack = layer().readiness(&readiness).layer(server.channel());
    let _calls: Vec<_> = (0..50).map(|n| spawn(&stack, numbered(n))).collect();
    let mut states = Vec::new();
    for _ in 0..20 {
        sleep(31 * SECOND).await;
        states.push(readiness.state());
    }
    assert!(
        states.contains(&ConnectivityState::TransientFailure),
        "after ten minutes and {} failed dials: {readiness:?}",
        server.dials() - 1
    );
}

// And a call that fails fast never does. CONTRACT R19: it hears of the dial that takes so long.
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn a_call_that_fails_fast_does_so_though_dials_take_longer_than_the_lease() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(30 * SECOND);
    let stack = layer().layer(server.channel());
    let _calls: Vec<_> = (0..50).map(|n| spawn(&stack, numbered(n))).collect();
    settle().await;
    let mut hurried = hello();
    hurried.call_options().fail_fast();
    let hurried = spawn(&stack, hurried);
    let answer = timeout(300 * SECOND, hurried).await;
    let status = answer
        .expect("ten dials failed in five minutes")
        .unwrap()
        .unwrap_err();
    let message = status.message();
    assert!(
        message.contains("no connection was ready within 20s"),
        "{message}"
    );
}

// A call whose test was taken over, and then succeeded for another, has lost its place
// (`release` removed it as "gone"), but still holds a `Seat`: when it comes back to wait, nobody
// keeps its waker. It sleeps for ever.
// Over tonic alone: its dial outlasts ours, which ends after 5 s (C2).
#[tokio::test(start_paused = true)]
async fn a_test_that_was_taken_over_can_wait_again() {
    let server = Server::in_memory_unstarted();
    let stack = layer().layer(server.channel());
    let mut owner = client(stack.clone());
    let mut kept = Box::pin(async move { owner.unary(numbered(1)).await });
    poll_once(&mut kept).await;
    settle().await;
    server.start().await;
    // Taken over after the lease.
    spawn(&stack, numbered(2)).await.unwrap().unwrap();
    // The connection is lost again, and somebody tests it.
    server.script().on(method::UNARY, [Answer::hang()]);
    let lost = spawn(&stack, numbered(3));
    server.wait_for_calls(2).await;
    server.stop();
    lost.await.unwrap().unwrap_err();
    server.set_dial_time(5 * SECOND);
    let test = spawn(&stack, numbered(4));
    settle().await;
    // Now the first one's owner polls it.
    let kept = tokio::spawn(kept);
    settle().await;
    server.start().await;
    test.await.unwrap().unwrap();
    let answer = timeout(600 * SECOND, kept).await;
    answer
        .expect("the channel is ready for ten minutes")
        .unwrap()
        .unwrap();
}

// Where a layer below reads the request before it is sent, each failed dial "opens" the
// channel first: hot loop of dials without any backoff.
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn a_layer_below_that_collects_the_request_does_not_undo_the_backoff() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(ms(1));
    let readiness = Readiness::new();
    let stack = layer()
        .readiness(&readiness)
        .layer(Collecting(server.channel()));
    let _call = spawn(&stack, hello());
    sleep(SECOND).await;
    assert!(
        server.dials() <= 3,
        "{} dials in a second, {readiness:?}",
        server.dials()
    );
}

// CONTRACT W5, I4c: nor does it dial for each call that waits, at first or later. A call whose
// request was read before its dial failed may have been sent, and is not sent again; the others
// wait.
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn under_a_layer_that_collects_requests_a_hundred_calls_dial_as_one() {
    for dial_time in [ms(0), ms(50)] {
        let server = Server::in_memory_unstarted();
        server.set_dial_time(dial_time);
        let stack = layer().layer(Collecting(server.channel()));
        let calls: Vec<_> = (0..100).map(|n| spawn(&stack, numbered(n))).collect();
        sleep(ms(5_500)).await;
        assert_eq!(server.dials(), 6, "{dial_time:?}");
        server.start().await;
        let mut failed = 0;
        for call in calls {
            if let Err(status) = call.await.unwrap() {
                assert!(status.message().contains("had read it"), "{status}");
                failed += 1;
            }
        }
        assert_eq!((server.dials(), failed), (7, 6));
    }
}

// CONTRACT W5: where the dials take so long that the reading counts at first, it does so once
#[transports::test(start_paused = true)]
async fn a_ready_that_no_answer_confirms_is_believed_once() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(ms(400));
    let stack = layer().layer(Collecting(server.channel()));
    let _calls: Vec<_> = (0..5).map(|n| spawn(&stack, numbered(n))).collect();
    sleep(60 * SECOND).await;
    let dials = server.dials();
    assert!(dials <= 5 + 60, "{dials} dials");
}

// An error of which nothing is known, tower's own timeout for one, counts as proof of a
// connection: the gate opens over a dead channel and all who wait are released into it.
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn a_local_timeout_below_does_not_show_the_channel_ready() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(3_600 * SECOND);
    let readiness = Readiness::new();
    let bounded = tower::timeout::Timeout::new(server.channel(), SECOND);
    let stack = layer().readiness(&readiness).layer(bounded);
    let _first = spawn(&stack, numbered(0)).await.unwrap().unwrap_err();
    assert_ne!(readiness.state(), ConnectivityState::Ready, "{readiness:?}");
}

// No one who waits for a change hears that a test began.
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_change_hears_that_a_call_connects() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(10 * SECOND);
    let stack = layer().layer(server.channel());
    let readiness = stack.readiness();
    let heard = tokio::spawn(async move { readiness.changed(ConnectivityState::Idle).await });
    settle().await;
    let _call = spawn(&stack, hello());
    let heard = timeout(5 * SECOND, heard).await;
    let heard = heard.expect("it connects for five seconds").unwrap();
    assert_eq!(heard, ConnectivityState::Connecting);
}

// Calls that fail fast wait while the channel connects, and their bodies count for
// nothing, whatever their size: tonic's requests have no size hint.
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn requests_that_fail_fast_count_while_they_wait() {
    let server = Server::in_memory();
    server.set_dial_time(10 * SECOND);
    let readiness = Readiness::new();
    let stack = layer()
        .fail_fast()
        .max_waiting_bytes(10_000)
        .readiness(&readiness)
        .layer(server.channel());
    let large = || Request::new(message(&"x".repeat(4_000)));
    let calls: Vec<_> = (0..20).map(|_| spawn(&stack, large())).collect();
    settle().await;
    let now = readiness.snapshot();
    let full = calls.iter().filter(|call| call.is_finished()).count();
    assert!(
        full >= 17,
        "80,000 bytes wait where 10,000 may: {now}; {full} were refused"
    );
}

// Two calls at the head of the line that nobody polls (one slow task with several
// calls, `buffered(2)`) keep all the others from ever testing the channel.
#[transports::test(start_paused = true)]
async fn two_first_in_line_that_nobody_polls_do_not_hold_the_others_for_ever() {
    let server = Server::in_memory_unstarted();
    let stack = layer().layer(server.channel());
    let mut blocked = Vec::new();
    let first = spawn(&stack, numbered(0));
    settle().await;
    for number in 1..3 {
        let mut client = client(stack.clone());
        let mut call = Box::pin(async move { client.unary(numbered(number)).await });
        poll_once(&mut call).await;
        blocked.push(call);
    }
    let last = spawn(&stack, numbered(3));
    settle().await;
    first.abort();
    settle().await;
    server.start().await;
    let last = timeout(3_600 * SECOND, last).await;
    last.expect("the server is up for an hour")
        .unwrap()
        .unwrap();
}

/// Runs it in a thread of its own, which may hang.
fn ends(run: impl FnOnce() + Send + 'static) -> bool {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = paused_runtime();
        let _guard = runtime.enter();
        run();
        send.send(()).unwrap();
    });
    let ended = receive.recv_timeout(5 * SECOND);
    let disconnected = Err(std::sync::mpsc::RecvTimeoutError::Disconnected);
    assert_ne!(
        ended, disconnected,
        "it panicked, which is not what this tests"
    );
    ended.is_ok()
}

/// A curve that looks how many wait.
struct Looking(Readiness);

impl std::fmt::Debug for Looking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Looking")
    }
}

impl Backoff for Looking {
    fn delay(&self, _: &Retry) -> Duration {
        if self.0.snapshot().waiting > 100 {
            ms(100)
        } else {
            SECOND
        }
    }
}

fn refused() -> BoxError {
    tonic::ConnectError("refused".into()).into()
}

fn request() -> http::Request<Body> {
    http::Request::post("/test.v1.Echo/Unary")
        .body(Body::empty())
        .unwrap()
}

fn poll<F: Future>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

// The user's curve is asked under the gate's lock.
#[test]
fn a_backoff_may_read_the_handle() {
    assert!(ends(|| {
        let readiness = Readiness::new();
        let down = tower::service_fn(|_: http::Request<Body>| async {
            Err::<http::Response<Body>, _>(refused())
        });
        let layer = WaitForReadyLayer::new()
            .backoff(Looking(readiness.clone()))
            .readiness(&readiness);
        let mut call = Box::pin(layer.layer(down).oneshot(request()));
        let _ = poll(&mut call, Waker::noop());
    }));
}

/// Looks at the channel when it is dropped, as a task may whose last waker this is.
struct Last(Readiness);

impl Wake for Last {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Last {
    fn drop(&mut self) {
        let _ = self.0.state();
    }
}

// FAULT 11 (medium): `Queue::release` drops the wakers of those who test under the gate's lock; the
// last waker of a task may drop that task, and with it a call of this very gate.
#[test]
fn a_waker_that_is_let_go_is_not_dropped_under_the_lock() {
    assert!(ends(|| {
        let readiness = Readiness::new();
        let tries = Arc::new(AtomicUsize::new(0));
        let flaky = tower::service_fn(move |_: http::Request<Body>| {
            let first = tries.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if first {
                    Err(refused())
                } else {
                    Ok(http::Response::new(Body::empty()))
                }
            }
        });
        let layer = layer().readiness(&readiness);
        let mut call = Box::pin(layer.layer(flaky).oneshot(request()));
        let waker = Waker::from(Arc::new(Last(readiness.clone())));
        assert!(poll(&mut call, &waker).is_pending());
        drop(waker);
        advance(2 * SECOND);
        // By now another task polls it.
        assert!(poll(&mut call, Waker::noop()).is_ready());
    }));
}

/// Moves the clock, and wakes nobody by hand.
fn advance(by: Duration) {
    let mut advance = Box::pin(tokio::time::advance(by));
    let _ = poll(&mut advance, Waker::noop());
}

// On a balanced channel a waiting call repeats without any backoff as long as
// others are answered, however often its own picks fail.
#[transports::test(start_paused = true)]
async fn a_call_of_a_balanced_channel_backs_off_however_the_others_fare() {
    let (dead, live) = (Server::in_memory_unstarted(), Server::in_memory());
    dead.set_dial_time(ms(1));
    let taken = Arc::new(Mutex::new(0));
    // A balancer with sticky picks: calls with a header go to the dead endpoint.
    let sticky = {
        let taken = Arc::clone(&taken);
        move |request: &http::Request<Body>| {
            let sticks = request.headers().contains_key("x-sticky");
            *taken.lock().unwrap() += usize::from(sticks);
            sticks
        }
    };
    let balanced = TwoChannels::new(&dead, &live, sticky);
    let stack = layer().endpoints(3).unwrap().layer(balanced);
    let mut sticky = hello();
    sticky
        .metadata_mut()
        .insert("x-sticky", "1".parse().unwrap());
    let _stuck = spawn(&stack, sticky);
    for _ in 0..1_000 {
        spawn(&stack, hello()).await.unwrap().unwrap();
        sleep(ms(1)).await;
    }
    let taken = *taken.lock().unwrap();
    assert!(taken <= 30, "{taken} dials in a second by one call");
}
