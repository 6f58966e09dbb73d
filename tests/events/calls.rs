//! One line for each retry, wait and call that failed, whichever layers stand there.

use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::classify::Reason;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{BoxError, DeadlineLayer, Error, IdempotencyLayer, Resilience};
use peer::{Connection, Peer, Stream};
use test_protos::EchoClient;
use test_protos::EchoResponse;
use testing::{
    Answer, SECOND, Server, declared, every, grpc_frame, method, ms, policy, unavailable,
    undeclared,
};

use tokio::time::sleep;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tower::{Layer, ServiceBuilder};
use tracing::Level;
use transports::Transport;

use crate::support::{Ear, Heard};

fn resilience() -> Resilience {
    Resilience::new()
        .retry(policy())
        .default_timeout(SECOND)
        .idempotency(
            IdempotencyLayer::new()
                .unary("/test.v1.Echo/Unary")
                .unwrap(),
        )
}

/// The stack that takes the short way for most calls, one that goes through all of its layers, the
/// same layers by hand, and the retry layer with a deadline only.
macro_rules! for_each_stack {
    ($channel:expr, |$name:ident, $stack:ident| $body:expr) => {{
        for_each_stack!(@one $name, $stack, $body,
            "Resilience" => resilience().wrap($channel),
            "Resilience, all layers" => resilience()
                .attempt_timeout(AttemptTimeoutLayer::new(ms(900)).unwrap())
                .wrap($channel),
            "ServiceBuilder" => ServiceBuilder::new()
                .layer(DeadlineLayer::new().default_timeout(SECOND))
                .layer(IdempotencyLayer::new().unary("/test.v1.Echo/Unary").unwrap())
                .layer(BudgetLayer::new(TokenBucket::default()))
                .layer(RetryLayer::new(policy()))
                .layer(WaitForReadyLayer::new())
                .layer(AttemptTimeoutLayer::new(ms(900)).unwrap())
                .service($channel),
            "retry under a deadline" => DeadlineLayer::new().default_timeout(SECOND).layer(
                IdempotencyLayer::new().unary("/test.v1.Echo/Unary").unwrap()
                    .layer(RetryLayer::new(policy()).layer($channel)),
            ),
        );
    }};
    (@one $name:ident, $stack:ident, $body:expr, $($text:literal => $made:expr),+ $(,)?) => {
        $({
            let $name = $text;
            let $stack = $made;
            $body
        })+
    };
}

async fn unary<T>(stack: &T, request: Request<test_protos::EchoRequest>) -> Result<(), Status>
where
    T: GrpcService<Body> + Clone,
    T::Error: Into<BoxError>,
    T::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<BoxError> + Send,
{
    let mut client = EchoClient::new(stack.clone());
    client.unary(request).await.map(drop)
}

fn assert_call(heard: &Heard, name: &str) {
    assert_eq!(heard.target, "grpc_resilience", "{name}: {heard:?}");
    assert_eq!(heard.level, Level::DEBUG, "{name}: {heard:?}");
    assert_eq!(heard.get("method"), method::UNARY, "{name}: {heard:?}");
}

// CONTRACT V1
#[transports::test(start_paused = true)]
async fn a_call_that_is_answered_at_its_first_attempt_says_nothing() {
    let ear = Ear::new();
    let server = Server::in_memory();
    for_each_stack!(server.channel(), |name, stack| {
        for _ in 0..3 {
            unary(&stack, undeclared()).await.unwrap();
        }
        assert_eq!(ear.take(), [], "{name}");
    });
}

// CONTRACT V1
#[transports::test(start_paused = true)]
async fn each_retry_is_one_line_with_method_attempt_code_reason_and_delay() {
    let ear = Ear::new();
    let server = Server::in_memory();
    for_each_stack!(server.channel(), |name, stack| {
        // The channel is known to be ready, so that `Resilience` may take its short way.
        unary(&stack, undeclared()).await.unwrap();
        server.script().on(
            method::UNARY,
            [unavailable("draining"), unavailable("again")],
        );
        unary(&stack, declared()).await.unwrap();
        let heard = ear.take();
        assert_eq!(heard.len(), 2, "{name}: {heard:#?}");
        for (number, message) in [(1, "draining"), (2, "again")] {
            let heard = &heard[number - 1];
            assert_call(heard, name);
            assert_eq!(heard.text(), "the attempt failed and is retried");
            assert_eq!(
                heard.of(["attempt", "code", "reason", "delay", "error"]),
                [
                    &*number.to_string(),
                    "UNAVAILABLE",
                    "answered",
                    "10ms",
                    message
                ]
            );
        }
    });
}

/// What is said of a call that fails at once.
async fn said<T>(ear: &Ear, stack: &T, request: Request<test_protos::EchoRequest>) -> Heard
where
    T: GrpcService<Body> + Clone,
    T::Error: Into<BoxError>,
    T::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<BoxError> + Send,
{
    ear.take();
    unary(stack, request).await.unwrap_err();
    let mut heard = ear.take();
    // That a budget is used up is no line of the call.
    heard.retain(|it| it.level == Level::DEBUG);
    assert_eq!(heard.len(), 1, "{heard:#?}");
    heard.remove(0)
}

// CONTRACT V1
#[transports::test(start_paused = true)]
async fn a_call_that_is_given_up_is_one_line_that_says_why_under_any_stack() {
    let ear = Ear::new();
    let server = Server::in_memory();
    let never = |message| unavailable(message).pushback("-1");
    for_each_stack!(server.channel(), |name, stack| {
        unary(&stack, undeclared()).await.unwrap();
        for (answer, request, expected) in [
            (
                unavailable("no"),
                undeclared(),
                ["1", "UNAVAILABLE", "answered", "not_idempotent", "no"],
            ),
            (
                Answer::status(Code::NotFound, "none"),
                declared(),
                ["1", "NOT_FOUND", "answered", "code_not_retryable", "none"],
            ),
            (
                never("go"),
                declared(),
                ["1", "UNAVAILABLE", "answered", "pushback_stop", "go"],
            ),
            (
                Answer::status_in_trailers(Code::Aborted, "trailers"),
                declared(),
                ["1", "ABORTED", "answered", "code_not_retryable", "trailers"],
            ),
        ] {
            server.script().on(method::UNARY, [answer]);
            let heard = said(&ear, &stack, request).await;
            assert_call(&heard, name);
            assert_eq!(heard.text(), "the call failed");
            let fields = ["attempts", "code", "reason", "give_up", "error"];
            assert_eq!(heard.of(fields), expected, "{name}");
        }
    });
}

// CONTRACT V1
#[transports::test(start_paused = true)]
async fn a_deadline_that_passes_is_one_line_under_any_stack() {
    let ear = Ear::new();
    let server = Server::in_memory();
    for_each_stack!(server.channel(), |name, stack| {
        unary(&stack, undeclared()).await.unwrap();
        server.script().on(method::UNARY, [Answer::hang()]);
        let mut request = undeclared();
        request.set_timeout(ms(200));
        let heard = said(&ear, &stack, request).await;
        assert_call(&heard, name);
        let expected = ["DEADLINE_EXCEEDED", "deadline_exceeded", "deadline"];
        assert_eq!(heard.of(["code", "reason", "give_up"]), expected, "{name}");
    });
}

// CONTRACT V1
#[transports::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_one_line_under_any_stack() {
    let ear = Ear::new();
    let server = Server::in_memory();
    let frame = grpc_frame(&EchoResponse::default());
    for_each_stack!(server.channel(), |name, stack| {
        unary(&stack, undeclared()).await.unwrap();
        let failed = Answer::status_after_message(Code::DataLoss, "torn", frame.clone());
        server.script().on(method::UNARY, [failed]);
        let heard = said(&ear, &stack, undeclared()).await;
        assert_call(&heard, name);
        let expected = ["DATA_LOSS", "answered", "committed", "torn"];
        assert_eq!(
            heard.of(["code", "reason", "give_up", "error"]),
            expected,
            "{name}"
        );
    });
}

// CONTRACT V1
// Over tonic alone: wait-for-ready decides nothing over ours, which fails the call itself.
#[tokio::test(start_paused = true)]
async fn a_call_without_a_retry_layer_tells_what_its_layer_decided() {
    let ear = Ear::new();
    let server = Server::in_memory_unstarted();
    let mut hurried = undeclared();
    hurried.call_options().fail_fast();
    let waiting = WaitForReadyLayer::new().layer(server.channel());
    unary(&waiting, hurried).await.unwrap_err();
    let mut hurried = undeclared();
    hurried.call_options().fail_fast();
    let heard = said(&ear, &waiting, hurried).await;
    assert_call(&heard, "wait for ready");
    assert_eq!(heard.of(["reason", "give_up"]), ["not_ready", "not_ready"]);

    server.start().await;
    server.script().otherwise(Answer::hang());
    let bounded = AttemptTimeoutLayer::new(ms(50))
        .unwrap()
        .layer(server.channel());
    let heard = said(&ear, &bounded, undeclared()).await;
    assert_call(&heard, "attempt timeout");
    assert_eq!(heard.of(["reason", "give_up"]), ["attempt_timed_out", ""]);

    server.script().otherwise(unavailable("no"));
    let throttle = AdaptiveThrottleLayer::new().multiplier(1.0).unwrap();
    let throttled = throttle.seed(1).layer(server.channel());
    let mut heard = Vec::new();
    while heard.is_empty() {
        unary(&throttled, undeclared()).await.unwrap_err();
        heard = ear.take();
    }
    assert_eq!(heard.len(), 1);
    assert_call(&heard[0], "throttle");
    assert_eq!(
        heard[0].of(["reason", "give_up"]),
        ["throttled", "throttled"]
    );

    // Nobody decided anything: the transport's failure and the server's answer go up.
    let down = Server::in_memory_unstarted();
    let bounded = AttemptTimeoutLayer::new(SECOND).unwrap();
    let bounded = bounded.layer(down.channel());
    unary(&bounded, undeclared()).await.unwrap_err();
    assert_eq!(ear.take(), []);
    let passing = WaitForReadyLayer::new().layer(server.channel());
    unary(&passing, undeclared()).await.unwrap_err();
    assert_eq!(ear.take(), []);
}

// CONTRACT V1
#[transports::test(start_paused = true)]
async fn a_throttled_call_is_one_line_whatever_stands_above_the_throttle() {
    let ear = Ear::new();
    let server = Server::in_memory();
    server.script().otherwise(unavailable("no"));
    let throttle = || {
        AdaptiveThrottleLayer::new()
            .multiplier(1.0)
            .unwrap()
            .seed(1)
    };
    let stack = resilience()
        .attempt_layer(throttle())
        .wrap(server.channel());
    let lines = loop {
        unary(&stack, undeclared()).await.unwrap_err();
        let heard = ear.take();
        assert_eq!(heard.len(), 1, "{heard:#?}");
        if heard[0].get("reason") == "throttled" {
            break heard;
        }
    };
    assert_eq!(lines[0].of(["give_up", "attempts"]), ["throttled", "1"]);
}

// CONTRACT V1
#[transports::test(start_paused = true)]
async fn a_budget_that_is_used_up_is_the_reason_of_the_line() {
    let ear = Ear::new();
    let server = Server::in_memory();
    server.script().otherwise(unavailable("no"));
    let stack = resilience()
        .budget(TokenBucket::new(2, 0.1).unwrap())
        .wrap(server.channel());
    let heard = said(&ear, &stack, declared()).await;
    assert_eq!(heard.of(["attempts", "give_up"]), ["1", "budget_exhausted"]);
}

// CONTRACT V1
#[transports::test(start_paused = true)]
async fn a_wait_for_the_channel_is_one_line_a_call_however_long_it_lasts() {
    let ear = Ear::new();
    for by_hand in [false, true] {
        let server = Server::in_memory_unstarted();
        let waiting = WaitForReadyLayer::new().backoff(every(ms(100)));
        let call = {
            let channel = server.channel();
            async move {
                if by_hand {
                    unary(&waiting.layer(channel), undeclared()).await
                } else {
                    let stack = Resilience::new().wait_for_ready(waiting);
                    unary(&stack.wrap(channel), undeclared()).await
                }
            }
        };
        let call = tokio::spawn(call);
        sleep(ms(950)).await;
        server.start().await;
        call.await.unwrap().unwrap();
        let heard = ear.take();
        let waits: Vec<_> = heard
            .iter()
            .filter(|it| it.text() == "the call waits for the channel")
            .collect();
        assert_eq!(waits.len(), 1, "{heard:#?}");
        assert_call(waits[0], "wait");
        let attempt = if by_hand { "" } else { "1" };
        assert_eq!(
            waits[0].of(["attempt", "channel_code", "channel_reason", "delay"]),
            match Transport::current() {
                Transport::Tonic => [attempt, "UNAVAILABLE", "connect_failed", "100ms"],
                Transport::Ours => [attempt, "UNAVAILABLE", "connect_failed", ""],
            }
        );
        assert_ne!(waits[0].get("channel_error"), "");
        // They are not the call's, which was not sent.
        assert_eq!(waits[0].of(["code", "reason", "error"]), ["", "", ""]);
    }
}

// CONTRACT V1
#[transports::test(start_paused = true)]
async fn a_failed_call_of_a_user_who_listens_is_one_line() {
    let ear = Ear::new();
    let server = Server::in_memory();
    server.script().otherwise(unavailable("no"));
    for_each_stack!(server.channel(), |name, stack| {
        let mut request = undeclared();
        let report = request.call_report();
        let heard = said(&ear, &stack, request).await;
        assert_call(&heard, name);
        assert_eq!(report.attempts(), 1, "{name}");
    });
}

// CONTRACT V1: what a layer below tells the retry layer is no end of the call
#[transports::test(start_paused = true)]
async fn an_attempt_that_times_out_and_is_retried_is_one_line() {
    let ear = Ear::new();
    let server = Server::in_memory();
    let bounded = || AttemptTimeoutLayer::new(ms(50)).unwrap();
    let waiting = WaitForReadyLayer::new();
    let by_hand = RetryLayer::new(policy()).layer(waiting.layer(bounded().layer(server.channel())));
    unary(&by_hand, undeclared()).await.unwrap();
    server.script().on(method::UNARY, [Answer::hang()]);
    unary(&by_hand, declared()).await.unwrap();
    let stack = resilience()
        .attempt_timeout(bounded())
        .wrap(server.channel());
    unary(&stack, undeclared()).await.unwrap();
    server.script().on(method::UNARY, [Answer::hang()]);
    unary(&stack, declared()).await.unwrap();
    let heard = ear.take();
    assert_eq!(heard.len(), 2, "{heard:#?}");
    for heard in heard {
        assert_eq!(heard.text(), "the attempt failed and is retried");
        assert_eq!(heard.of(["attempt", "reason"]), ["1", "attempt_timed_out"]);
    }
}

// CONTRACT V1
// Over tonic alone: ours ends the call at the outer timeout too, which the retry layer tells.
#[tokio::test(start_paused = true)]
async fn a_failure_that_one_layer_told_is_not_told_by_another_above() {
    let ear = Ear::new();
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let bounded = |millis| AttemptTimeoutLayer::new(ms(millis)).unwrap();
    let twice = bounded(90).layer(bounded(50).layer(server.channel()));
    let around =
        bounded(900).layer(RetryLayer::new(policy()).layer(bounded(50).layer(server.channel())));
    unary(&twice, undeclared()).await.unwrap_err();
    unary(&around, undeclared()).await.unwrap_err();
    let mut heard = ear.take();
    heard.retain(|it| it.level == Level::DEBUG);
    assert_eq!(heard.len(), 2, "{heard:#?}");
    for heard in heard {
        assert_call(&heard, "twice");
        assert_eq!(heard.get("reason"), "attempt_timed_out");
    }
}

// CONTRACT V1, X2
#[tokio::test]
async fn a_request_that_the_server_refused_unread_is_told_when_it_is_sent_again() {
    let ear = Ear::new();
    let answers = [Stream::refuse(), Stream::ok(b"")];
    let peer = Peer::start([Connection::new().streams(answers)]).await;
    let channel = Endpoint::from_shared(peer.uri()).unwrap().connect_lazy();
    let stack = Resilience::new().retry(policy()).wrap(channel);
    unary(&stack, undeclared()).await.unwrap();
    let heard = ear.take();
    assert_eq!(heard.len(), 1, "{heard:#?}");
    assert_call(&heard[0], "transparent");
    assert_eq!(
        heard[0].text(),
        "the request was not processed and is sent again"
    );
    let fields = ["attempt", "code", "reason", "delay"];
    let expected = ["1", "UNAVAILABLE", "stream_refused", "0ns"];
    assert_eq!(heard[0].of(fields), expected);
}

// CONTRACT V1: what the transport ended by the caller's timeout is no decision of the layer
#[tokio::test]
async fn an_attempt_timeout_layer_tells_with_its_method_what_it_ended_and_nothing_else() {
    let ear = Ear::new();
    let peer = Peer::always(Connection::new().other_streams(Stream::stall())).await;
    let channel = Endpoint::from_shared(peer.uri()).unwrap().connect_lazy();
    let bounded = |timeout| AttemptTimeoutLayer::new(timeout).unwrap();
    let mut request = undeclared();
    request.call_options().timeout(ms(50));
    let ended = unary(&bounded(SECOND).layer(channel.clone()), request).await;
    let error = Error::find(&ended.unwrap_err()).unwrap().verdict();
    assert_eq!(error.reason, Reason::TransportTimedOut);
    assert_eq!(ear.take(), []);
    let ended = unary(&bounded(ms(50)).layer(channel), undeclared()).await;
    ended.unwrap_err();
    let heard = ear.take();
    assert_eq!(heard.len(), 1, "{heard:#?}");
    assert_call(&heard[0], "the layer's");
}
