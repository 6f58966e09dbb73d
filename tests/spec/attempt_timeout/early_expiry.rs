//! What servers and proxies say as they end an attempt at the time that they were told.

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::classify::{Hint, Progress, Reason};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::{CallReport, Error, GiveUp};
use http::{Request, Response};
use testing::{Answer, Server, method};
use tokio::time::{Instant, sleep};
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, ServiceBuilder, service_fn};

use super::{LIMIT, limit, policy, timed_out};
use crate::support::{SECOND, Stack, client, declared, has, hello, ms, ours, undeclared, untimed};

/// Words for it, from whom, with the code (the table of `classify`).
const WORDS: [(Code, &str); 7] = [
    (Code::Unknown, "context deadline exceeded"),
    (Code::Unavailable, "etcdserver: request timed out"),
    (Code::Unavailable, "upstream request timeout"),
    (Code::Unknown, "upstream max stream duration reached"),
    (Code::Unavailable, "downstream duration timeout"),
    (Code::Unavailable, "stream timeout"),
    (Code::Cancelled, "Timeout expired"),
];

fn retried(server: &Server) -> impl Stack {
    ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(10 * SECOND))
        .layer(RetryLayer::new(policy()))
        .layer(limit())
        .service(untimed(server))
}

// CONTRACT D11
#[transports::test(start_paused = true)]
async fn an_attempt_that_its_server_ends_in_other_words_is_repeated_as_one_that_timed_out() {
    for (code, words) in WORDS {
        for answer in [Answer::status, Answer::status_in_trailers] {
            let server = Server::in_memory();
            let early = answer(code, words.to_owned()).after(ms(290));
            server.script().on(method::UNARY, [early]);
            let mut request = declared();
            // Its head is held until the trailers.
            request.call_options().kind(MethodKind::Unary);
            let answer = client(retried(&server)).unary(request).await.unwrap();
            let report = answer.extensions().get::<CallReport>().unwrap();
            let failed = report.failed_attempts();
            assert_eq!(failed.len(), 1, "{words}");
            let verdict = failed[0].verdict;
            assert_eq!(verdict.reason, Reason::AttemptTimedOut, "{words}");
            assert_eq!(verdict.progress, Progress::Reached, "{words}");
        }
    }
}

// CONTRACT D11
#[transports::test(start_paused = true)]
async fn other_words_and_the_same_words_in_time_are_the_server_s_answer() {
    for (code, words, at) in [
        (Code::Unknown, "no luck", 299),
        (Code::Unavailable, "upstream timeout", 299),
        (Code::Aborted, "context deadline exceeded", 299),
        (Code::Unknown, "context deadline exceeded", 200),
        (Code::Cancelled, "stopped", 284),
    ] {
        let server = Server::in_memory();
        let answer = Answer::status(code, words).after(ms(at));
        server.script().otherwise(answer);
        let mut alone = client(limit().layer(untimed(&server)));
        let status = alone.unary(hello()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, words));
        assert_eq!(ours(&status).len(), 0, "it went up as it came");
    }
}

// CONTRACT D11: Envoy's offset of 20 ms makes 23, a twentieth of 300 ms is 15
#[transports::test(start_paused = true)]
async fn words_may_come_as_early_as_a_proxy_with_an_offset_says_them() {
    let server = Server::in_memory();
    let mut alone = client(limit().layer(untimed(&server)));
    for (code, words) in WORDS {
        let early = Answer::status(code, words).after(ms(276));
        server.script().next(early);
        timed_out(&alone.unary(hello()).await.unwrap_err());
    }
}

// CONTRACT D11
#[transports::test(start_paused = true)]
async fn the_answer_is_the_source_of_the_attempt_s_end() {
    let server = Server::in_memory();
    let answer = Answer::status(Code::Unknown, "context deadline exceeded");
    let answer = answer.metadata("x-zone", "b").details("why");
    server.script().otherwise(answer.after(ms(299)));
    let mut alone = client(limit().layer(untimed(&server)));
    let status = alone.unary(hello()).await.unwrap_err();
    timed_out(&status);
    let said = ours(&status)[1];
    assert_eq!(said.code(), Code::Unknown.into());
    assert_eq!(said.status().message(), "context deadline exceeded");
    assert_eq!(said.metadata()["x-zone"], "b");
    assert_eq!(said.status().details().as_ref(), b"why");
}

// CONTRACT D11, P2, P3, P8
#[transports::test(start_paused = true)]
async fn a_hint_with_such_an_answer_still_binds() {
    let answer = |code| Answer::status(code, "context deadline exceeded").after(ms(299));
    for code in [Code::Unknown, Code::Cancelled, Code::DeadlineExceeded] {
        let server = Server::in_memory();
        let start = Instant::now();
        let exactly = answer(code).pushback("700");
        server.script().on(method::UNARY, [exactly]);
        client(retried(&server)).unary(declared()).await.unwrap();
        assert_eq!(server.calls()[1].at - start, ms(999), "{code:?}");

        let server = Server::in_memory();
        let start = Instant::now();
        let at_least = answer(code).retry_info(ms(700));
        server.script().on(method::UNARY, [at_least]);
        client(retried(&server)).unary(declared()).await.unwrap();
        assert!(server.calls()[1].at - start >= ms(999), "{code:?}");

        let server = Server::in_memory();
        server.script().otherwise(answer(code).pushback("-1"));
        let status = client(retried(&server)).unary(declared()).await;
        let status = status.unwrap_err();
        assert_eq!(GiveUp::find(&status), Some(GiveUp::PushbackStop));
        assert_eq!(ours(&status)[0].verdict().hint, Some(Hint::Stop));
        timed_out(&status);
        assert_eq!(server.count(), 1, "{code:?}");
    }
}

// CONTRACT D11, H3
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_reset_with_cancel_at_the_attempt_s_end_is_that_end() {
    let reset = service_fn(|_: Request<Body>| async {
        sleep(ms(290)).await;
        let reset = h2::Error::from(h2::Reason::CANCEL);
        Err::<Response<Body>, _>(Error::from_inner(reset))
    });
    let mut alone = client(limit().layer(reset));
    let status = alone.unary(hello()).await.unwrap_err();
    assert_eq!(timed_out(&status), Progress::Reached);
    assert!(has::<h2::Error>(&status), "{status:?}");
}

// CONTRACT D11: the call's own end is not the attempt's
#[transports::test(start_paused = true)]
async fn the_words_at_the_call_s_end_are_the_call_s_expiry_and_nothing_is_repeated() {
    for (code, words) in WORDS {
        let server = Server::in_memory();
        let early = Answer::status(code, words).after(ms(190));
        server.script().otherwise(early);
        let mut request = undeclared();
        request.call_options().idempotent().timeout(ms(200));
        let status = client(retried(&server)).unary(request).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{words}");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline), "{words}");
        assert_eq!(server.count(), 1, "{words}");
    }
    assert!(ms(200) < LIMIT, "the attempt has no end of its own");
}
