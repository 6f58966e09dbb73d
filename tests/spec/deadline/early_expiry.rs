//! What servers and proxies say as they end a call at its deadline, or a little before (CONTRACT
//! D11).

use std::sync::Arc;

use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::classify::{Hint, Reason};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::{BoxError, Error, GiveUp, Resilience};
use http::Response;
use test_protos::EchoResponse;
use testing::{Answer, Server, grpc_frame, method};
use tokio::time::{Instant, sleep};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceBuilder, ServiceExt as _, service_fn};
use transports::ResponseBody;

use crate::support::{
    SECOND, Stack, client, declared_hello, every, has, hello, ms, ours, unavailable, untimed,
};

/// With what they say, and how early within a second's call.
const EARLY: [(Code, &str, u64); 8] = [
    (Code::Cancelled, "", 950),
    (Code::DeadlineExceeded, "", 950),
    (Code::Unknown, "context deadline exceeded", 950),
    (Code::Unknown, "get: context deadline exceeded", 999),
    (Code::Unavailable, "etcdserver: request timed out", 960),
    (Code::Unavailable, "upstream request timeout", 979),
    (Code::Unavailable, "stream timeout", 979),
    (Code::Unknown, "upstream max stream duration reached", 979),
];

type Wire = BoxCloneSyncService<http::Request<Body>, Response<ResponseBody>, BoxError>;

fn wire<T>(inner: T) -> Wire
where
    T: tower::Service<http::Request<Body>, Response = Response<ResponseBody>>,
    T: Clone + Send + Sync + 'static,
    T::Error: Into<BoxError>,
    T::Future: Send + 'static,
{
    BoxCloneSyncService::new(inner.map_err(Into::into))
}

fn second() -> DeadlineLayer {
    DeadlineLayer::new().default_timeout(SECOND)
}

fn eager() -> RetryPolicy {
    let codes = [Code::Unavailable, Code::Unknown, Code::Cancelled];
    RetryPolicy::new()
        .retry_only_on(codes)
        .retry_on(Code::DeadlineExceeded)
        .backoff(every(ms(1)))
}

fn retried(channel: Wire) -> impl Stack {
    ServiceBuilder::new()
        .layer(second())
        .layer(RetryLayer::new(eager()))
        .service(channel)
}

fn is_expiry(status: &Status, what: &str) {
    assert_eq!(status.code(), Code::DeadlineExceeded, "{what}");
    assert_eq!(GiveUp::find(status), Some(GiveUp::Deadline), "{what}");
    let said = "the deadline of 1s passed while ";
    assert!(status.message().starts_with(said), "{what}: {status}");
    assert_eq!(ours(status)[0].verdict().reason, Reason::DeadlineExceeded);
}

/// Each stack of which the deadline is a part.
macro_rules! stacks {
    ($server:expr, |$stack:ident| $body:expr) => {{
        let $stack = second().layer(untimed($server));
        $body
        let $stack = retried(wire(untimed($server)));
        $body
        let full = Resilience::new().default_timeout(SECOND).retry(eager());
        let $stack = full.wrap(untimed($server));
        // The first call of a channel is not an ordinary one; these are.
        $server.script().next(Answer::handler());
        client($stack.clone()).unary(hello()).await.unwrap();
        $server.clear();
        $body
    }};
}

#[transports::test(start_paused = true)]
async fn what_a_server_says_within_the_grace_is_the_deadline_and_is_not_retried() {
    for (code, words, at) in EARLY {
        for answer in [Answer::status, Answer::status_in_trailers] {
            let server = Server::in_memory();
            stacks!(&server, |stack| {
                server.clear();
                let early = answer(code, words.to_owned()).after(ms(at));
                server.script().otherwise(early);
                let status = client(stack).unary(declared_hello()).await.unwrap_err();
                is_expiry(&status, words);
                // The answer is its source.
                let said = ours(&status)[1];
                assert_eq!((said.code(), said.status().message()), (code.into(), words));
                assert_eq!(server.count(), 1, "{words}");
                server.script().clear();
            });
        }
    }
}

#[transports::test(start_paused = true)]
async fn in_the_middle_of_a_stream_it_is_the_deadline_too() {
    for (code, words, at) in EARLY {
        let server = Server::in_memory();
        stacks!(&server, |stack| {
            let frame = grpc_frame(&EchoResponse::default());
            let early = Answer::status_after_message(code, words, frame);
            server.script().otherwise(early.after(ms(at)));
            let answers = client(stack).server_stream(hello()).await.unwrap();
            let mut answers = answers.into_inner();
            assert!(answers.message().await.unwrap().is_some());
            is_expiry(&answers.message().await.unwrap_err(), words);
            server.script().clear();
        });
    }
}

#[transports::test(start_paused = true)]
async fn before_the_grace_and_in_other_words_it_is_the_server_s_answer() {
    for (code, words, at) in [
        (Code::Cancelled, "stopped", 949),
        (Code::Unknown, "context deadline exceeded", 949),
        (Code::Unknown, "no luck", 999),
        (Code::Unavailable, "busy", 999),
    ] {
        let server = Server::in_memory();
        server
            .script()
            .otherwise(Answer::status(code, words).after(ms(at)));
        let alone = second().layer(untimed(&server));
        let status = client(alone).unary(hello()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, words), "{at}");
        let status = client(retried(wire(untimed(&server)))).unary(hello()).await;
        let status = status.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, words), "{at}");
    }
}

// The grace is of what the attempt told, which is 100 ms here: 5 ms, and 25 for words.
#[transports::test(start_paused = true)]
async fn an_attempt_that_begins_late_has_the_grace_of_what_is_left_then() {
    for (code, words, early, is_end) in [
        (Code::Cancelled, "", 4, true),
        (Code::Cancelled, "", 6, false),
        (Code::Unknown, "context deadline exceeded", 24, true),
        (Code::Unknown, "context deadline exceeded", 26, false),
    ] {
        let server = Server::in_memory();
        let first = unavailable("busy").after(ms(899));
        let second = Answer::status(code, words).after(ms(100 - early));
        server.script().on(method::UNARY, [first, second]);
        let full = Resilience::new().default_timeout(SECOND);
        let policy = RetryPolicy::new().backoff(every(ms(1)));
        let full = full.retry(policy).wrap(untimed(&server));
        let status = client(full).unary(declared_hello()).await.unwrap_err();
        assert_eq!(server.count(), 2);
        if is_end {
            is_expiry(&status, words);
            // Behind the answer is what failed before (CONTRACT R17).
            let [_, said, .., before] = &ours(&status)[..] else {
                panic!("{status:?}");
            };
            assert_eq!(said.code(), code.into());
            assert_eq!(before.status().message(), "busy");
            assert!(status.message().contains("busy"), "{status}");
        } else {
            assert_eq!((status.code(), status.message()), (code, words));
        }
    }
}

#[transports::test(start_paused = true)]
async fn a_hint_with_such_an_answer_is_kept_and_a_stop_costs_its_token() {
    let server = Server::in_memory();
    let budget = Arc::new(TokenBucket::new(6, 0.1).unwrap());
    let stack = ServiceBuilder::new()
        .layer(second())
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(RetryLayer::new(RetryPolicy::new()))
        .service(untimed(&server));
    let answer = Answer::status(Code::Cancelled, "").after(ms(990));
    server.script().otherwise(answer.pushback("-1"));
    let status = client(stack).unary(declared_hello()).await.unwrap_err();
    is_expiry(&status, "pushback");
    assert_eq!(ours(&status)[0].verdict().hint, Some(Hint::Stop));
    assert!((budget.tokens() - 5.0).abs() < f64::EPSILON);
}

// CONTRACT H3
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_reset_with_cancel_near_the_deadline_is_the_deadline() {
    let reset = service_fn(|_: http::Request<Body>| async {
        sleep(ms(960)).await;
        let reset = h2::Error::from(h2::Reason::CANCEL);
        Err::<Response<ResponseBody>, _>(Error::from_inner(reset))
    });
    let start = Instant::now();
    for status in [
        client(second().layer(reset)).unary(hello()).await,
        client(retried(wire(reset))).unary(declared_hello()).await,
    ] {
        let status = status.unwrap_err();
        is_expiry(&status, "reset");
        assert!(has::<h2::Error>(&status), "{status:?}");
    }
    assert_eq!(start.elapsed(), 2 * ms(960));
}

// Nobody timed out: the call that this one is made for is over.
#[transports::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_any_more_near_its_deadline_is_not_its_deadline() {
    use crate::support::serving;
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let (parent, open) = serving(None).await;
    let mut request = hello();
    request.call_options().parent(&parent);
    let stack = ServiceBuilder::new()
        .layer(second())
        .layer(second())
        .service(untimed(&server));
    let ends = async {
        sleep(ms(970)).await;
        drop(open);
    };
    let mut client = client(stack);
    let (status, ()) = tokio::join!(client.unary(request), ends);
    assert_eq!(status.unwrap_err().code(), Code::Cancelled);
}
