//! Which calls wait, and for what.

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReady;
use grpc_resilience::{GiveUp, Resilience};
use peer::connector::Broken;
use test_protos::EchoClient;
use testing::{Answer, Server, method};
use tokio::time::{Instant, sleep};
use tonic::{Code, Request};
use tower::{Layer, ServiceBuilder};
use transports::{Channel, Transport};

use crate::support::{
    SECOND, Stack, client, every, has, hello, message, ms, settle, sources, spawn, unavailable,
};

use super::layer;

fn waiting(server: &Server) -> EchoClient<WaitForReady<Channel>> {
    client(layer().layer(server.channel()))
}

fn failing_fast(server: &Server) -> EchoClient<WaitForReady<Channel>> {
    client(layer().fail_fast().layer(server.channel()))
}

// CONTRACT W1
#[transports::test(start_paused = true)]
async fn while_the_channel_connects_for_the_first_time_a_call_waits_though_it_fails_fast() {
    let server = Server::in_memory();
    server.set_dial_time(3 * SECOND);
    let start = Instant::now();
    failing_fast(&server).unary(hello()).await.unwrap();
    assert_eq!(start.elapsed(), 3 * SECOND);
}

// CONTRACT W1; PEER-CASES CORE-lb-fail
// Over tonic alone: the words and the reason are the layer's; ours has words of its own.
#[tokio::test(start_paused = true)]
async fn a_call_that_fails_fast_is_unavailable_at_once_after_a_failed_connect() {
    let server = Server::in_memory_unstarted();
    let mut client = failing_fast(&server);
    let start = Instant::now();
    let first = client.unary(hello()).await.unwrap_err();
    assert_eq!(first.code(), Code::Unavailable);
    assert!(has::<tonic::ConnectError>(&first));
    let second = client.unary(hello()).await.unwrap_err();
    assert_eq!(second.code(), Code::Unavailable);
    assert!(
        second.message().starts_with("the channel is not ready: "),
        "{second}"
    );
    assert!(has::<tonic::ConnectError>(&second), "{}", sources(&second));
    assert_eq!(GiveUp::find(&second), Some(GiveUp::NotReady));
    assert_eq!((start.elapsed(), server.dials()), (ms(0), 1));
}

// CONTRACT W2
#[transports::test(start_paused = true)]
async fn a_waiting_call_goes_at_the_first_dial_after_the_server_is_back() {
    let server = Server::in_memory_unstarted();
    let full = Resilience::new().wait_for_ready(layer());
    let above_retry = ServiceBuilder::new()
        .layer(layer())
        .layer(RetryLayer::new(RetryPolicy::new().max_attempts(1).unwrap()));
    goes_when_back(&server, layer().layer(server.channel())).await;
    goes_when_back(&server, full.wrap(server.channel())).await;
    goes_when_back(&server, above_retry.service(server.channel())).await;
}

async fn goes_when_back<T: Stack>(server: &Server, stack: T) {
    server.stop();
    let dials = server.dials();
    server.clear();
    let start = Instant::now();
    let back = async {
        sleep(ms(2_500)).await;
        server.start().await;
    };
    let mut client = client(stack);
    let (answer, ()) = tokio::join!(client.unary(hello()), back);
    assert_eq!(answer.unwrap().into_inner().text, "hello");
    assert_eq!(server.count(), 1);
    match Transport::current() {
        Transport::Tonic => {
            assert_eq!(start.elapsed(), 3 * SECOND);
            assert_eq!(server.dials() - dials, 4);
        }
        // By its own backoff, which is 800 ms and a fifth at most by then.
        Transport::Ours => {
            let taken = start.elapsed();
            assert!((ms(2_500)..=ms(3_500)).contains(&taken), "{taken:?}");
        }
    }
    // It was never sent before, so it is no retry.
    assert_eq!(server.calls()[0].previous_attempts, None);
}

// CONTRACT W3
#[transports::test(start_paused = true)]
async fn a_server_that_answers_unavailable_is_not_a_channel_that_is_down() {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("draining"));
    let mut client = waiting(&server);
    let start = Instant::now();
    for _ in 0..3 {
        let status = client.unary(hello()).await.unwrap_err();
        assert_eq!(status.message(), "draining");
    }
    assert_eq!(start.elapsed(), ms(0));
    assert_eq!((server.count(), server.dials()), (3, 1));
}

// CONTRACT W3, D5
#[transports::test(start_paused = true)]
async fn a_connection_lost_under_a_call_is_its_failure_and_closes_no_gate() {
    let server = Server::in_memory();
    server.script().on(
        method::UNARY,
        [Answer::handler(), Answer::drop_connection()],
    );
    let mut client = waiting(&server);
    client.unary(hello()).await.unwrap();
    let start = Instant::now();
    assert_eq!(
        client.unary(hello()).await.unwrap_err().code(),
        Code::Unavailable
    );
    client.unary(hello()).await.unwrap();
    assert_eq!(start.elapsed(), ms(0));
    assert_eq!((server.count(), server.dials()), (3, 2));
}

// CONTRACT W9: a proxy without a server accepts, and hangs up
// Over tonic alone: its times are the layer's backoff; ours dials by its own, with jitter (C3).
#[tokio::test(start_paused = true)]
async fn of_connections_lost_before_any_answer_the_first_is_replaced_at_once_and_the_second_is_not()
{
    let server = Server::in_memory();
    server.script().on(
        method::UNARY,
        [Answer::drop_connection(), Answer::drop_connection()],
    );
    let mut client = waiting(&server);
    let start = Instant::now();
    client.unary(hello()).await.unwrap_err();
    client.unary(hello()).await.unwrap_err();
    assert_eq!(start.elapsed(), ms(0));
    client.unary(hello()).await.unwrap();
    let took = start.elapsed();
    assert!(took >= SECOND && took <= SECOND + ms(2), "{took:?}");
}

// CONTRACT W4; PEER-CASES GO-service-config-ready
#[transports::test(start_paused = true)]
async fn a_call_s_own_wish_wins_over_the_layer_s() {
    let server = Server::in_memory_unstarted();
    for mut client in [waiting(&server), failing_fast(&server)] {
        server.stop();
        let _ = client
            .unary({
                let mut request = hello();
                request.call_options().fail_fast();
                request
            })
            .await
            .unwrap_err();
        let start = Instant::now();
        let mut hurried = hello();
        hurried.call_options().fail_fast();
        assert_eq!(
            client.unary(hurried).await.unwrap_err().code(),
            Code::Unavailable
        );
        assert_eq!(start.elapsed(), ms(0));
        let mut patient = hello();
        patient.call_options().wait_for_ready();
        server.start().await;
        client.unary(patient).await.unwrap();
        match Transport::current() {
            Transport::Tonic => assert_eq!(start.elapsed(), SECOND),
            // By its own backoff.
            Transport::Ours => assert!(start.elapsed() <= SECOND, "{:?}", start.elapsed()),
        }
    }
}

// DESIGN decision 5
#[transports::test(start_paused = true)]
async fn a_call_waits_whatever_its_idempotency_and_costs_no_attempt() {
    let server = Server::in_memory_unstarted();
    let stack = Resilience::new()
        .not_idempotent("/test.v1.Echo/*")
        .unwrap()
        .retry(RetryPolicy::new().max_attempts(1).unwrap())
        .wait_for_ready(layer())
        .wrap(server.channel());
    let mut request = hello();
    request.call_options().not_idempotent();
    let call = tokio::spawn(async move { client(stack).unary(request).await });
    sleep(ms(1_500)).await;
    server.start().await;
    call.await.unwrap().unwrap();
    assert_eq!(server.count(), 1);
    if !Transport::current().is_ours() {
        assert_eq!(server.dials(), 3);
    }
}

// CONTRACT W2; FIELD.md 2
#[transports::test(start_paused = true)]
async fn a_large_request_waits_and_arrives_whole() {
    let server = Server::in_memory_unstarted();
    let mut client = waiting(&server);
    let payload = bytes::Bytes::from(vec![7; 3 << 20]);
    let request = test_protos::EchoRequest {
        payload: payload.clone(),
        ..message("large")
    };
    let call = tokio::spawn(async move { client.unary(Request::new(request)).await });
    sleep(ms(1_500)).await;
    server.start().await;
    assert_eq!(call.await.unwrap().unwrap().into_inner().payload, payload);
}

// DESIGN decision 5, CONTRACT R3
#[transports::test(start_paused = true)]
async fn a_failed_connect_of_a_call_that_fails_fast_is_an_attempt_for_the_retry_policy() {
    let server = Server::in_memory_unstarted();
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(
            // Ours dials each 960 ms at least by then, so that one dial comes between.
            RetryPolicy::new().backoff(every(4 * SECOND)),
        ))
        .layer(layer().fail_fast())
        .service(server.channel());
    let call = tokio::spawn(async move { client(stack).unary(hello()).await });
    sleep(ms(1_500)).await;
    server.start().await;
    call.await.unwrap().unwrap();
    assert_eq!(server.calls()[0].previous_attempts.as_deref(), Some("1"));
}

// FIELD.md 4: the channel's worker is gone for ever
#[tokio::test(start_paused = true)]
async fn a_channel_whose_worker_is_gone_is_reported_and_not_waited_for() {
    let endpoint = tonic::transport::Endpoint::from_static("http://broken.test");
    let channel = endpoint.connect_with_connector_lazy(Broken);
    let mut client = client(layer().layer(channel));
    let start = Instant::now();
    for _ in 0..3 {
        let status = client.unary(hello()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(
            sources(&status).contains("address not available"),
            "{}",
            sources(&status)
        );
        settle().await;
    }
    assert_eq!(start.elapsed(), ms(3));
}

// CONTRACT W2
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn a_deadline_below_that_passes_while_dialling_is_no_sign_of_a_connection() {
    let server = Server::in_memory_unstarted();
    let stack = ServiceBuilder::new()
        .layer(layer())
        .layer(DeadlineLayer::new().default_timeout(ms(300)))
        .service(server.channel());
    // The first dial is refused at once and closes the gate; from then on dials hang.
    let mut hurried = hello();
    hurried.call_options().fail_fast();
    let _ = client(stack.clone()).unary(hurried).await.unwrap_err();
    server.set_dial_time(100 * SECOND);
    let status = client(stack.clone()).unary(hello()).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let mut hurried = hello();
    hurried.call_options().fail_fast().timeout(SECOND);
    let probing = spawn(&stack, hello());
    settle().await;
    let status = client(stack).unary(hurried).await.unwrap_err();
    assert_eq!(
        GiveUp::find(&status),
        Some(GiveUp::NotReady),
        "the gate is still closed"
    );
    assert_eq!(
        probing.await.unwrap().unwrap_err().code(),
        Code::DeadlineExceeded
    );
}
