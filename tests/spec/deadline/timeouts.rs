//! Which timeout a call gets, and what of it the server sees.

use std::time::Duration;

use grpc_resilience::__internal;
use grpc_resilience::call::{CallOptionsExt, Deadline};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{GiveUp, Resilience};
use testing::{Server, method};
use tokio::time::Instant;
use tonic::Code;
use tower::{Layer, ServiceBuilder};
use transports::Transport;

use crate::support::{
    MALFORMED_TIMEOUTS, SECOND, Slow, Stack, client, every, hello, ms, timeouts, unavailable,
};

fn five_seconds() -> DeadlineLayer {
    DeadlineLayer::new().default_timeout(5 * SECOND)
}

async fn sent_timeout<T: Stack>(
    server: &Server,
    stack: T,
    request: tonic::Request<test_protos::EchoRequest>,
) -> Option<u128> {
    server.clear();
    client(stack).unary(request).await.unwrap();
    timeouts(&server.calls()).remove(0)
}

// CONTRACT D2, R2
#[transports::test(start_paused = true)]
async fn each_attempt_carries_what_is_left_after_its_backoff() {
    let server = Server::in_memory();
    server.script().on(
        method::UNARY,
        [
            unavailable("one").pushback("1000"),
            unavailable("two").pushback("500"),
        ],
    );
    let stack = ServiceBuilder::new()
        .layer(five_seconds())
        .layer(RetryLayer::new(RetryPolicy::new().assume_idempotent()))
        .service(server.channel());
    client(stack).unary(hello()).await.unwrap();
    assert_eq!(
        timeouts(&server.calls()),
        [Some(5_000_000), Some(4_000_000), Some(3_500_000)]
    );
}

// CONTRACT D2
#[transports::test(start_paused = true)]
async fn the_timeout_is_recomputed_after_waiting_for_a_service_that_is_slow_to_get_ready() {
    let server = Server::in_memory();
    let slow = || Slow::by(SECOND, server.channel());
    let alone = five_seconds().layer(slow());
    assert_eq!(sent_timeout(&server, alone, hello()).await, Some(4_000_000));

    let deep = ServiceBuilder::new()
        .layer(five_seconds())
        .layer(RetryLayer::new(RetryPolicy::new()))
        .layer(WaitForReadyLayer::new())
        .service(slow());
    assert_eq!(sent_timeout(&server, deep, hello()).await, Some(4_000_000));

    let innermost = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new()))
        .layer(five_seconds())
        .service(slow());
    assert_eq!(
        sent_timeout(&server, innermost, hello()).await,
        Some(4_000_000)
    );
}

// CONTRACT D2
// Over tonic alone: the last wait ends with the layer's dial; over ours its end has jitter.
#[tokio::test(start_paused = true)]
async fn a_layer_that_delays_a_call_recomputes_the_caller_s_own_timeout_without_a_deadline_layer() {
    let request = || {
        let mut request = hello();
        request.set_timeout(5 * SECOND);
        request
    };
    let server = Server::in_memory();
    let waiting = WaitForReadyLayer::new().layer(Slow::by(SECOND, server.channel()));
    assert_eq!(
        sent_timeout(&server, waiting, request()).await,
        Some(4_000_000)
    );
    let retrying = RetryLayer::new(RetryPolicy::new()).layer(Slow::by(SECOND, server.channel()));
    assert_eq!(
        sent_timeout(&server, retrying, request()).await,
        Some(4_000_000)
    );

    server.stop();
    let gone = WaitForReadyLayer::new()
        .backoff(every(2 * SECOND))
        .layer(server.channel());
    let back = async {
        tokio::time::sleep(SECOND).await;
        server.start().await;
    };
    let (left, ()) = tokio::join!(sent_timeout(&server, gone, request()), back);
    assert_eq!(left, Some(3_000_000));
}

// CONTRACT D2
#[transports::test(start_paused = true)]
async fn the_timeout_is_recomputed_after_waiting_for_the_channel() {
    let server = Server::in_memory_unstarted();
    let stack = ServiceBuilder::new()
        .layer(five_seconds())
        .layer(WaitForReadyLayer::new().backoff(every(2 * SECOND)))
        .service(server.channel());
    let back = async {
        tokio::time::sleep(SECOND).await;
        server.start().await;
    };
    let (left, ()) = tokio::join!(sent_timeout(&server, stack, hello()), back);
    // The layer dials 2 s after its first dial; ours at times with jitter, after 1 s.
    match Transport::current() {
        Transport::Tonic => assert_eq!(left, Some(3_000_000)),
        Transport::Ours => {
            let left = left.unwrap();
            assert!((3_000_000..=4_000_000).contains(&left), "{left}");
        }
    }
}

// CONTRACT D3
#[transports::test(start_paused = true)]
async fn without_any_timeout_no_header_is_sent_and_nothing_ends_the_call() {
    let server = Server::in_memory();
    server
        .script()
        .next(testing::Answer::handler().after(1_000_000 * SECOND));
    let start = Instant::now();
    let left = sent_timeout(
        &server,
        DeadlineLayer::new().layer(server.channel()),
        hello(),
    )
    .await;
    assert_eq!(left, None);
    assert_eq!(start.elapsed(), 1_000_000 * SECOND);
}

// CONTRACT D4
#[transports::test(start_paused = true)]
async fn a_malformed_timeout_of_the_caller_s_is_said_at_once_and_never_sent() {
    let server = Server::in_memory();
    let full = Resilience::new().wrap(server.channel());
    let alone = DeadlineLayer::new().layer(server.channel());
    for malformed in MALFORMED_TIMEOUTS {
        let request = || {
            let mut request = hello();
            let value = malformed.parse().unwrap();
            request.metadata_mut().insert("grpc-timeout", value);
            request
        };
        let start = Instant::now();
        for status in [
            client(full.clone()).unary(request()).await.unwrap_err(),
            client(alone.clone()).unary(request()).await.unwrap_err(),
        ] {
            assert_eq!(status.code(), Code::Internal, "{malformed:?}");
            assert!(
                status.message().starts_with("malformed grpc-timeout"),
                "{status}"
            );
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
    assert_eq!((server.count(), server.dials()), (0, 0));
}

// CONTRACT D4, X1: what can't be sent is no request that was not sent yet
#[transports::test(start_paused = true)]
async fn a_malformed_timeout_is_one_error_at_once_even_where_the_deadline_stands_below_retry() {
    let server = Server::in_memory();
    let eager = RetryPolicy::new()
        .assume_idempotent()
        .retry_on(Code::Internal);
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(eager))
        .layer(DeadlineLayer::new())
        .service(server.channel());
    for kind in [MethodKind::Unary, MethodKind::ServerStreaming] {
        let mut request = hello();
        let malformed = "abc".parse().unwrap();
        request.metadata_mut().insert("grpc-timeout", malformed);
        request.call_options().kind(kind);
        let start = Instant::now();
        let status = client(stack.clone()).unary(request).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().starts_with("malformed grpc-timeout"));
        assert_eq!(GiveUp::find(&status), Some(GiveUp::InvalidCall));
    }
    assert_eq!((server.count(), server.dials()), (0, 0));
}

#[transports::test(start_paused = true)]
async fn the_earliest_of_the_caller_s_timeout_and_the_option_or_default_wins() {
    let server = Server::in_memory();
    let stack = five_seconds().layer(server.channel());
    let cases = [
        (None, None, 5),
        (Some(2), None, 2),
        (Some(9), None, 5),
        // The option stands for the default, longer or shorter.
        (None, Some(7), 7),
        (None, Some(3), 3),
        (Some(2), Some(3), 2),
        (Some(9), Some(7), 7),
    ];
    for (header, option, expected) in cases {
        let mut request = hello();
        if let Some(header) = header {
            request.set_timeout(header * SECOND);
        }
        if let Some(option) = option {
            request.call_options().timeout(option * SECOND);
        }
        let sent = sent_timeout(&server, stack.clone(), request).await;
        assert_eq!(sent, Some(expected * 1_000_000), "{header:?} {option:?}");
    }
}

// CONTRACT D6
#[transports::test(start_paused = true)]
async fn a_deadline_in_the_context_bounds_the_call_if_it_is_the_earlier() {
    let server = Server::in_memory();
    let stack = five_seconds().layer(server.channel());
    for (inherited, expected) in [(2, 2_000_000), (9, 5_000_000)] {
        let mut request = hello();
        let deadline = Deadline::after(Instant::now(), inherited * SECOND);
        __internal::bound(request.extensions_mut(), deadline);
        assert_eq!(
            sent_timeout(&server, stack.clone(), request).await,
            Some(expected)
        );
    }
}

#[transports::test(start_paused = true)]
async fn of_two_deadline_layers_the_earlier_one_ends_the_call_wherever_it_stands() {
    let short = || DeadlineLayer::new().default_timeout(SECOND);
    let server = Server::in_memory();
    server.script().otherwise(testing::Answer::hang());
    let channel = server.channel();
    let start = Instant::now();
    let outside = short().layer(five_seconds().layer(channel.clone()));
    let inside = five_seconds().layer(short().layer(channel));
    for status in [
        client(outside).unary(hello()).await.unwrap_err(),
        client(inside).unary(hello()).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }
    assert_eq!(start.elapsed(), 2 * SECOND);
    assert_eq!(timeouts(&server.calls()), [Some(1_000_000); 2]);
}

#[transports::test(start_paused = true)]
async fn a_stream_without_a_timeout_outlives_the_layer_s_default() {
    let server = Server::in_memory();
    let full = Resilience::new()
        .default_timeout(5 * SECOND)
        .wrap(server.channel());
    let alone = five_seconds().layer(server.channel());
    lives_on(&server, full).await;
    lives_on(&server, alone).await;
}

async fn lives_on<T: Stack>(server: &Server, stack: T) {
    server.clear();
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut request = tonic::Request::new(requests);
    request.call_options().no_timeout();
    let mut answers = client(stack)
        .bidi_stream(request)
        .await
        .unwrap()
        .into_inner();
    for text in ["a", "b"] {
        tokio::time::sleep(60 * SECOND).await;
        send.send(crate::support::message(text)).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().text, text);
    }
    assert_eq!(timeouts(&server.calls()), [None]);
}

// CONTRACT D2, D7; PEER-CASES NET-deadline-overflow
#[transports::test(start_paused = true)]
async fn a_timeout_past_the_grammar_is_sent_as_the_largest_that_fits() {
    let server = Server::in_memory();
    let stack = DeadlineLayer::new().layer(server.channel());
    let mut request = hello();
    let ten_thousand_centuries = Duration::from_secs(1_000_000 * 365 * 86_400);
    request.call_options().timeout(ten_thousand_centuries);
    client(stack).unary(request).await.unwrap();
    assert_eq!(server.calls()[0].timeout.as_deref(), Some("99999999H"));
}

// CONTRACT D7
#[transports::test(start_paused = true)]
async fn the_longest_timeouts_overflow_nothing_and_end_nothing() {
    let server = Server::in_memory();
    let stack = DeadlineLayer::new()
        .default_timeout(Duration::MAX)
        .layer(server.channel());
    server
        .script()
        .otherwise(testing::Answer::handler().after(1_000 * SECOND));
    client(stack.clone()).unary(hello()).await.unwrap();
    let mut request = hello();
    request
        .metadata_mut()
        .insert("grpc-timeout", "99999999H".parse().unwrap());
    client(stack).unary(request).await.unwrap();
    let century = ms(1_000 * 30 * 365 * 86_400).as_micros();
    assert!(
        timeouts(&server.calls())
            .iter()
            .all(|sent| sent.unwrap() >= century - 60_000_000)
    );
}
