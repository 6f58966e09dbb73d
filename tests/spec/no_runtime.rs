//! Calls that are polled where no tokio runtime is (CONTRACT D13). Here time is real.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::server_deadline::ServerDeadlineLayer;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{BoxError, GiveUp, Resilience};
use http_body_util::BodyExt as _;
use test_protos::EchoRequest;
use testing::{Answer, Server, method};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Request, Status};
use tower::{Layer as _, Service, service_fn};
use transports::Channel;

use crate::support::{Stack, client, declared, every, ms, ours, undeclared};

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

/// Polls on this thread, which parks between: as `futures::executor::block_on` does.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    assert!(tokio::runtime::Handle::try_current().is_err());
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// The same on a thread of its own, which must be done within seconds.
fn on_a_plain_thread<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    let thread = thread::spawn(move || done.send(block_on(future)).unwrap());
    match is_done.recv_timeout(Duration::from_secs(20)) {
        Ok(output) => output,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().unwrap_err())
        }
    }
}

async fn unary(stack: impl Stack, request: Request<EchoRequest>) -> Result<(), Status> {
    client(stack).unary(request).await.map(drop)
}

/// A server with a runtime of its own, and a channel to it that was made there.
struct Site {
    runtime: Runtime,
    server: Server,
}

impl Site {
    fn new() -> Self {
        let runtime = runtime();
        let server = runtime.block_on(Server::tcp());
        Self { runtime, server }
    }

    fn build<S>(&self, build: impl FnOnce(Channel) -> S) -> S {
        self.runtime
            .block_on(async { build(self.server.channel()) })
    }

    fn hangs(self) -> Self {
        self.server.script().otherwise(Answer::hang());
        self
    }
}

fn quick() -> RetryPolicy {
    RetryPolicy::new().backoff(every(ms(5)))
}

fn stack() -> Resilience {
    Resilience::new().retry(quick())
}

// CONTRACT D13
#[test]
fn a_stack_that_was_built_in_a_runtime_keeps_its_deadline_on_a_plain_thread() {
    let site = Site::new();
    let build = |channel| {
        stack()
            .default_timeout(Duration::from_secs(10))
            .wrap(channel)
    };
    on_a_plain_thread(unary(site.build(build), undeclared())).unwrap();

    let site = site.hangs();
    let build = |channel| stack().default_timeout(ms(100)).wrap(channel);
    let status = on_a_plain_thread(unary(site.build(build), undeclared())).unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    let build = |channel| DeadlineLayer::new().default_timeout(ms(100)).layer(channel);
    let status = on_a_plain_thread(unary(site.build(build), undeclared())).unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

// CONTRACT D13: the second call is an ordinary one
#[test]
fn an_ordinary_call_keeps_its_deadline_on_a_plain_thread() {
    let site = Site::new();
    let built = site.build(|channel| stack().default_timeout(ms(300)).wrap(channel));
    on_a_plain_thread(unary(built.clone(), undeclared())).unwrap();
    let site = site.hangs();
    let status = on_a_plain_thread(unary(built, undeclared())).unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    drop(site);
}

// CONTRACT D13
#[test]
fn a_call_backs_off_and_is_retried_on_a_plain_thread() {
    let site = Site::new();
    let down = Answer::status(Code::Unavailable, "down");
    site.server
        .script()
        .on(method::UNARY, [down.clone(), down.clone(), down]);
    let built = site.build(|channel| RetryLayer::new(quick()).layer(channel));
    on_a_plain_thread(unary(built, declared())).unwrap();
    assert_eq!(site.server.count(), 4);
}

// CONTRACT D13
#[test]
fn an_attempt_keeps_its_timeout_on_a_plain_thread() {
    let site = Site::new();
    site.server
        .script()
        .on(method::UNARY, [Answer::hang(), Answer::handler()]);
    let attempts = AttemptTimeoutLayer::new(ms(200)).unwrap();
    let build = |channel| RetryLayer::new(quick()).layer(attempts.layer(channel));
    on_a_plain_thread(unary(site.build(build), declared())).unwrap();
    assert_eq!(site.server.count(), 2);
}

// CONTRACT D13
#[test]
fn a_stream_ends_at_its_deadline_on_a_plain_thread() {
    let site = Site::new();
    site.server.script().otherwise(Answer::hang_after_head());
    for attempt in [false, true] {
        let layered = site.build(|channel| stack().default_timeout(ms(200)).wrap(channel));
        let mut client = client(layered);
        let mut request = undeclared();
        if attempt {
            request.call_options().attempt_timeout(ms(100));
        }
        let read = async move {
            let mut stream = client.server_stream(request).await?.into_inner();
            stream.message().await
        };
        let status = on_a_plain_thread(read).unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
}

// CONTRACT D13
#[test]
fn what_began_in_a_runtime_goes_on_without_one() {
    let site = Site::new().hangs();
    for layered in [false, true] {
        let stack = site.build(|channel| stack().default_timeout(ms(300)).wrap(channel));
        let mut request = declared();
        if layered {
            request
                .call_options()
                .attempt_timeout(ms(100))
                .max_attempts(2);
        }
        let mut call = Box::pin(unary(stack, request));
        let pending = site.runtime.block_on(std::future::poll_fn(|cx| {
            Poll::Ready(call.as_mut().poll(cx).is_pending())
        }));
        assert!(pending);
        let status = on_a_plain_thread(call).unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
}

/// Nobody listens there.
fn nowhere() -> Channel {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", socket.local_addr().unwrap());
    Channel::to(uri)
}

// CONTRACT D13, W2: those first in line, and those behind them
#[test]
fn calls_wait_for_a_channel_that_is_down_on_plain_threads() {
    let runtime = runtime();
    let channel = runtime.block_on(async { nowhere() });
    let waiting = runtime.block_on(async {
        WaitForReadyLayer::new()
            .max_backoff(ms(10))
            .unwrap()
            .layer(channel)
    });
    let deadline = DeadlineLayer::new().default_timeout(ms(200));
    let stack = runtime.block_on(async { deadline.layer(waiting) });
    let calls = (0..12).map(|_| {
        let stack = stack.clone();
        thread::spawn(move || block_on(unary(stack, undeclared())))
    });
    let calls: Vec<_> = calls.collect();
    for call in calls {
        let status = call.join().unwrap().unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
    let snapshot = stack_readiness(&runtime);
    assert!(snapshot > 2, "it was dialled all the time: {snapshot}");
}

/// How often a channel that is down is dialled while a call waits for it on a plain thread.
fn stack_readiness(runtime: &Runtime) -> u32 {
    let built = runtime.block_on(async {
        let layer = WaitForReadyLayer::new().max_backoff(ms(10)).unwrap();
        Resilience::new()
            .wait_for_ready(layer)
            .default_timeout(ms(200))
            .wrap(nowhere())
    });
    on_a_plain_thread(unary(built.clone(), undeclared())).unwrap_err();
    built.readiness().snapshot().failed_dials
}

// CONTRACT D13
#[test]
fn a_stack_that_was_built_without_a_runtime_takes_that_of_its_first_call() {
    let site = Site::new();
    let channel = site.build(|channel| channel);
    let built = stack().default_timeout(ms(500)).wrap(channel);
    site.runtime
        .block_on(unary(built.clone(), undeclared()))
        .unwrap();
    site.server.script().otherwise(Answer::hang());
    let status = on_a_plain_thread(unary(built, undeclared())).unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

/// A service that needs no runtime, and how often it was called.
#[derive(Clone, Default)]
struct Local {
    calls: Arc<AtomicUsize>,
    fails: bool,
}

impl Service<http::Request<Body>> for Local {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (code, body) = if self.fails {
            ("14", Body::empty())
        } else {
            (
                "0",
                Body::new(http_body_util::Full::new(testing::grpc_frame(
                    &EchoRequest::default(),
                ))),
            )
        };
        let mut answer = http::Response::new(body);
        let headers = answer.headers_mut();
        headers.insert("content-type", "application/grpc".parse().unwrap());
        if self.fails {
            headers.insert("grpc-status", code.parse().unwrap());
            return std::future::ready(Ok(answer));
        }
        let trailers = [("grpc-status", code)].map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                value.parse::<http::HeaderValue>().unwrap(),
            )
        });
        let answer = answer.map(|body| {
            Body::new(
                body.with_trailers(std::future::ready(Some(Ok(trailers.into_iter().collect())))),
            )
        });
        std::future::ready(Ok(answer))
    }
}

impl Local {
    fn failing() -> Self {
        Self {
            fails: true,
            ..Self::default()
        }
    }

    fn count(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

fn says_what_to_do(status: &Status) {
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    for word in ["no tokio runtime", "build the stack", "time enabled"] {
        assert!(status.message().contains(word), "{status}");
    }
    assert_eq!(GiveUp::find(status), Some(GiveUp::NoRuntime));
}

type Answered = Result<http::Response<Body>, BoxError>;

fn timed_out(stack: impl Stack) {
    let status = on_a_plain_thread(unary(stack, undeclared())).unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

// CONTRACT D13
#[test]
fn without_any_runtime_calls_keep_their_timeouts() {
    let silent = service_fn(|_: http::Request<Body>| std::future::pending::<Answered>());
    let deadline = DeadlineLayer::new().default_timeout(ms(50));
    timed_out(deadline.layer(silent));
    timed_out(AttemptTimeoutLayer::new(ms(50)).unwrap().layer(silent));
    let whole = || Resilience::new().default_timeout(ms(50)).wrap(silent);
    timed_out(whole());
    let site = Site::new();
    let channel = site.build(|channel| channel);
    let over_tonic = stack()
        .default_timeout(Duration::from_secs(10))
        .wrap(channel);
    for _ in 0..3 {
        on_a_plain_thread(unary(over_tonic.clone(), undeclared())).unwrap();
    }
}

// CONTRACT D13
#[test]
fn without_any_runtime_calls_that_need_no_timer_succeed() {
    let local = Local::default();
    let stack = Resilience::new().wrap(local.clone());
    for _ in 0..3 {
        block_on(unary(stack.clone(), declared())).unwrap();
    }
    assert_eq!(local.count(), 3);
}

// CONTRACT D13
#[test]
fn without_any_runtime_calls_are_retried() {
    let local = Local::failing();
    let layered = RetryLayer::new(quick()).layer(local.clone());
    let status = on_a_plain_thread(unary(layered, declared())).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
    assert_eq!(local.count(), 4);
}

// CONTRACT D13, R17
#[test]
fn once_the_runtime_is_over_a_failure_that_would_be_retried_is_final_and_says_why() {
    let (gone, local) = (runtime(), Local::failing());
    let layered = gone.block_on(async { RetryLayer::new(quick()).layer(local.clone()) });
    drop(gone);
    let status = on_a_plain_thread(unary(layered, declared())).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NoRuntime));
    assert_eq!(ours(&status)[0].attempts(), 1);
    assert!(ours(&status)[0].to_string().contains("build the stack"));
    assert_eq!(local.count(), 1);
}

// CONTRACT D13
#[test]
fn without_any_runtime_calls_wait_for_a_channel_and_once_it_is_over_they_do_not() {
    let down = service_fn(|_: http::Request<Body>| {
        let refused = tonic::ConnectError("refused".into());
        std::future::ready(Answered::Err(refused.into()))
    });
    let deadline = DeadlineLayer::new().default_timeout(ms(300));
    let waiting = WaitForReadyLayer::new()
        .max_backoff(ms(10))
        .unwrap()
        .layer(down);
    let readiness = waiting.readiness();
    timed_out(deadline.layer(waiting));
    assert!(readiness.snapshot().failed_dials > 2);

    let gone = runtime();
    let waiting = gone.block_on(async { WaitForReadyLayer::new().layer(down) });
    drop(gone);
    for _ in 0..2 {
        let status = on_a_plain_thread(unary(waiting.clone(), undeclared())).unwrap_err();
        says_what_to_do(&status);
        let sources = crate::support::sources(&status);
        assert!(sources.contains("refused"), "{status:?}");
    }
    assert_eq!(waiting.readiness().snapshot().waiting, 0);
}

// CONTRACT D13
#[test]
fn calls_fail_when_the_runtime_of_their_stack_is_over() {
    let site = Site::new().hangs();
    let gone = runtime();
    let channel = site.build(|channel| channel);
    let built = gone.block_on(async {
        stack()
            .default_timeout(Duration::from_secs(600))
            .wrap(channel)
    });
    // One has a timer there already, the other one none yet.
    let mut timed = Box::pin(unary(built.clone(), undeclared()));
    let is_pending = gone.block_on(std::future::poll_fn(|cx| {
        Poll::Ready(timed.as_mut().poll(cx).is_pending())
    }));
    assert!(is_pending);
    let (begun, has_begun) = mpsc::channel();
    let waiting = built.clone();
    let waiting = thread::spawn(move || {
        let mut call = Box::pin(unary(waiting, undeclared()));
        block_on(std::future::poll_fn(|cx| {
            let polled = call.as_mut().poll(cx);
            let _ = begun.send(());
            polled
        }))
    });
    has_begun.recv().unwrap();
    drop(gone);
    says_what_to_do(&waiting.join().unwrap().unwrap_err());
    says_what_to_do(&on_a_plain_thread(timed).unwrap_err());
    says_what_to_do(&on_a_plain_thread(unary(built, undeclared())).unwrap_err());
}

// CONTRACT D13
#[test]
fn a_handler_is_stopped_wherever_it_is_polled() {
    let handler = tower::service_fn(|_: http::Request<()>| {
        std::future::pending::<Result<http::Response<String>, std::convert::Infallible>>()
    });
    let request = || {
        let request = http::Request::builder().header("grpc-timeout", "50m");
        request.body(()).unwrap()
    };
    let layer = ServerDeadlineLayer::new();
    let (here, gone) = (runtime(), runtime());
    let mut built = vec![
        layer.layer(handler),
        here.block_on(async { layer.layer(handler) }),
    ];
    let over = gone.block_on(async { layer.layer(handler) });
    drop(gone);
    built.push(over);
    for (mut service, expected) in built.into_iter().zip(["4", "4", "13"]) {
        let call = service.call(request());
        let Ok(answer) = on_a_plain_thread(call);
        assert_eq!(answer.headers()["grpc-status"], expected);
    }
}

/// A call under way in a runtime that ends then: what comes of it in another one.
fn moved(stack: impl Stack) -> Result<(), Status> {
    let (gone, next) = (runtime(), runtime());
    let mut call = Box::pin(unary(stack, declared()));
    let is_pending = gone.block_on(async {
        for _ in 0..20 {
            let polled = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
            if polled.is_ready() {
                return false;
            }
            tokio::time::sleep(ms(5)).await;
        }
        true
    });
    assert!(is_pending);
    drop(gone);
    let ended = async { tokio::time::timeout(Duration::from_secs(20), call).await };
    next.block_on(ended).expect("it hangs")
}

// CONTRACT D13
#[test]
fn a_call_keeps_its_time_in_another_runtime_once_its_first_one_is_over() {
    let site = Site::new().hangs();
    let deadline = DeadlineLayer::new().default_timeout(ms(400));
    let attempt = AttemptTimeoutLayer::new(ms(400)).unwrap();
    let ended = [
        moved(site.build(|channel| deadline.layer(channel))),
        moved(site.build(|channel| attempt.layer(channel))),
        moved(site.build(|channel| stack().default_timeout(ms(400)).wrap(channel))),
    ];
    for ended in ended {
        assert_eq!(ended.unwrap_err().code(), Code::DeadlineExceeded);
    }
    let down = Answer::status(Code::Unavailable, "down");
    site.server.script().clear();
    site.server.script().on(method::UNARY, [down]);
    let slow = RetryLayer::new(RetryPolicy::new().backoff(every(ms(400))));
    moved(site.build(|channel| slow.layer(channel))).unwrap();
}

// CONTRACT D13: tokio says nothing of it beforehand
#[test]
fn a_call_keeps_its_time_in_a_runtime_that_was_built_without_time() {
    let (timeless, home) = (Builder::new_current_thread().build().unwrap(), runtime());
    let silent = service_fn(|_: http::Request<Body>| std::future::pending::<Answered>());
    let deadline = || DeadlineLayer::new().default_timeout(ms(50)).layer(silent);
    let whole = || Resilience::new().default_timeout(ms(50)).wrap(silent);
    let attempt = || AttemptTimeoutLayer::new(ms(50)).unwrap().layer(silent);
    for is_at_home in [true, false] {
        let site = if is_at_home { &home } else { &timeless };
        let built = site.block_on(async { (deadline(), whole(), attempt()) });
        let (one, two, three) = (built.0.clone(), built.1.clone(), built.2.clone());
        let ended = timeless.block_on(async {
            let one = unary(built.0, undeclared()).await;
            let two = unary(built.1, undeclared()).await;
            [one, two, unary(built.2, undeclared()).await]
        });
        for ended in ended {
            assert_eq!(ended.unwrap_err().code(), Code::DeadlineExceeded);
        }
        // On a plain thread too.
        timed_out(one);
        timed_out(two);
        timed_out(three);
    }
}

// CONTRACT D13, V4
#[test]
fn who_waits_for_readiness_on_a_plain_thread_waits_its_second() {
    let site = Site::new();
    let built = site.build(|channel| stack().wrap(channel));
    let readiness = built.readiness();
    let (begun, has_begun) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let mut ready = Box::pin(async move { readiness.ready().await });
        block_on(std::future::poll_fn(|cx| {
            let polled = ready.as_mut().poll(cx);
            let _ = begun.send(polled.is_pending());
            polled
        }))
    });
    assert!(has_begun.recv().unwrap(), "it waits");
    // A call that comes meanwhile is heard of.
    on_a_plain_thread(unary(built, undeclared())).unwrap();
    waiting.join().unwrap().unwrap();

    // Nor does one that no runtime was shown to.
    for built_here in [true, false] {
        let idle = if built_here {
            site.build(|channel| stack().wrap(channel))
        } else {
            let channel = site.build(|channel| channel);
            stack().wrap(channel)
        };
        let start = Instant::now();
        let readiness = idle.readiness();
        let ended = on_a_plain_thread(async move { readiness.ready().await });
        assert!(ended.unwrap_err().to_string().contains("nothing dials"));
        assert!(start.elapsed() >= ms(1_000), "{:?}", start.elapsed());
    }
}
