//! What a handle shows of a channel, and what it can be told.

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::retry::RetryPolicy;
use grpc_resilience::wait_for_ready::{ConnectivityState, Readiness, WaitForReadyLayer};
use grpc_resilience::{GiveUp, Resilience};
use peer::connector::Broken;
use testing::{Answer, Server, method};
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;
use tower::Layer;

use crate::support::{SECOND, client, every, hello, ms, numbered, settle, spawn};

use super::layer;

use ConnectivityState::{Connecting, Idle, Ready, Shutdown, TransientFailure};

// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn a_handle_shows_the_way_of_a_channel_from_idle_to_ready_and_back() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(ms(200));
    let readiness = Readiness::new();
    let stack = layer().readiness(&readiness).layer(server.channel());
    assert_eq!(readiness.state(), Idle);
    let call = |number| spawn(&stack, numbered(number));
    let start = Instant::now();
    let calls = [call(0), call(1), call(2)];
    sleep(ms(100)).await;
    let now = readiness.snapshot();
    assert_eq!((now.state, now.waiting), (Connecting, 3));
    assert_eq!(now.failing_since, None);

    sleep(ms(150)).await;
    let now = readiness.snapshot();
    assert_eq!(
        (now.state, now.waiting, now.failed_dials),
        (TransientFailure, 3, 1)
    );
    assert!(now.waiting_bytes > 0);
    let failed = now.failing_since.unwrap() - start;
    assert!(failed >= ms(200) && failed <= ms(202), "{failed:?}");
    let next = now.next_dial.unwrap() - now.failing_since.unwrap();
    assert_eq!(next, SECOND);
    let error = now.last_error.clone().unwrap();
    assert_eq!(error.code(), grpc_resilience::grpc::Code::Unavailable);
    let line = now.to_string();
    for part in [
        "TRANSIENT_FAILURE for",
        "failed dials: 1",
        "next in",
        "waiting calls: 3",
        "last error",
    ] {
        assert!(line.contains(part), "{line}");
    }

    server.start().await;
    readiness.ready().await.unwrap();
    assert_eq!(readiness.state(), Ready);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let now = readiness.snapshot();
    assert_eq!(
        (now.waiting, now.waiting_bytes, now.failed_dials),
        (0, 0, 0)
    );
    assert!(now.last_error.is_none() && now.next_dial.is_none());

    // A connection that is lost under a call is not ready any more.
    server.script().on(method::UNARY, [Answer::hang()]);
    let lost = call(9);
    server.wait_until(|calls| calls.len() == 4).await;
    server.stop();
    let _ = lost.await.unwrap().unwrap_err();
    assert_eq!(readiness.state(), Idle);
    let mut hurried = hello();
    hurried.call_options().fail_fast();
    let _ = client(stack.clone()).unary(hurried).await.unwrap_err();
    assert_eq!(readiness.state(), TransientFailure);
}

// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_change_hears_of_it() {
    let server = Server::in_memory_unstarted();
    let stack = Resilience::new()
        .wait_for_ready(layer())
        .wrap(server.channel());
    let readiness = stack.readiness();
    let heard = tokio::spawn({
        let readiness = readiness.clone();
        async move {
            let mut seen = vec![Idle];
            while seen.last() != Some(&Ready) {
                seen.push(readiness.changed(*seen.last().unwrap()).await);
            }
            seen
        }
    });
    settle().await;
    let mut patient = client(stack);
    let call = tokio::spawn(async move { patient.unary(hello()).await });
    sleep(ms(2_500)).await;
    server.start().await;
    call.await.unwrap().unwrap();
    assert_eq!(
        heard.await.unwrap(),
        [Idle, Connecting, TransientFailure, Ready]
    );
}

// CONTRACT V4: over a foreign channel nothing dials but a call
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn without_a_call_a_fresh_channel_says_that_nothing_dials_it() {
    let server = Server::in_memory();
    let stack = Resilience::new().wrap(server.channel());
    let readiness = stack.readiness();
    let start = Instant::now();
    let error = readiness.ready().await.unwrap_err();
    assert_eq!(start.elapsed().as_millis() / 10, 100);
    assert_eq!((server.dials(), readiness.state()), (0, Idle));
    assert_eq!(error.give_up(), Some(GiveUp::NotDialled));
    let message = error.to_string();
    for part in [
        "nothing dials the channel",
        "make a call",
        "Endpoint::connect",
    ] {
        assert!(message.contains(part), "{message}");
    }
    client(stack).unary(hello()).await.unwrap();
    readiness.ready().await.unwrap();
}

// CONTRACT V4
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn a_call_that_comes_within_a_second_is_waited_for_to_its_end() {
    let server = Server::in_memory();
    server.set_dial_time(60 * SECOND);
    let stack = layer().layer(server.channel());
    let readiness = stack.readiness();
    let late = tokio::spawn(async move {
        sleep(ms(990)).await;
        client(stack).unary(hello()).await
    });
    let start = Instant::now();
    readiness.ready().await.unwrap();
    assert!(start.elapsed() >= 60 * SECOND);
    late.await.unwrap().unwrap();
}

// CONTRACT V4: whatever the last call left behind, it never hangs without another
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn once_the_last_call_is_gone_it_waits_no_longer_than_a_second() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(ms(100));
    let readiness = Readiness::new();
    let stack = layer().readiness(&readiness).layer(server.channel());
    // The call that tests the channel is dropped, and then the one that waits for the next test.
    for (dropped_after, state) in [(ms(50), Connecting), (ms(700), TransientFailure)] {
        let calls = [spawn(&stack, hello()), spawn(&stack, hello())];
        sleep(dropped_after).await;
        assert_eq!(readiness.state(), state);
        let ready = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.ready().await }
        });
        sleep(ms(1)).await;
        calls.iter().for_each(tokio::task::JoinHandle::abort);
        let gone = Instant::now();
        let error = timeout(60 * SECOND, ready)
            .await
            .unwrap()
            .unwrap()
            .unwrap_err();
        assert_eq!(gone.elapsed().as_millis() / 10, 100, "{state}");
        assert!(error.to_string().contains("nothing dials"), "{error}");
    }
    // And it says why the last dial failed.
    let error = readiness.ready().await.unwrap_err();
    let message = error.status().message().to_owned();
    let last = readiness.snapshot().last_error.unwrap();
    assert!(message.contains(last.status().message()), "{message}");
}

// CONTRACT V4: calls that fail fast, again and again, are calls
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn between_the_attempts_of_a_call_that_fails_fast_it_waits() {
    let server = Server::in_memory_unstarted();
    let stack = Resilience::new()
        .retry(RetryPolicy::new().max_attempts(30).unwrap())
        .wait_for_ready(layer().backoff(every(ms(50))).fail_fast())
        .wrap(server.channel());
    let readiness = stack.readiness();
    let mut hurried = client(stack);
    let call = tokio::spawn(async move { hurried.unary(hello()).await });
    let ready = tokio::spawn(async move { readiness.ready().await });
    sleep(ms(3_000)).await;
    assert!(!ready.is_finished());
    server.start().await;
    ready.await.unwrap().unwrap();
    call.await.unwrap().unwrap();
}

// CONTRACT V4: also where no attempt comes as far as a dial
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn attempts_that_find_the_channel_not_ready_are_calls_too() {
    let server = Server::in_memory_unstarted();
    let stack = Resilience::new()
        .retry(
            RetryPolicy::new()
                .max_attempts(6)
                .unwrap()
                .backoff(every(ms(800))),
        )
        .wait_for_ready(layer().backoff(every(3_600 * SECOND)).fail_fast())
        .wrap(server.channel());
    let readiness = stack.readiness();
    let mut hurried = client(stack);
    let call = tokio::spawn(async move { hurried.unary(hello()).await });
    sleep(ms(1)).await;
    let start = Instant::now();
    let error = readiness.ready().await.unwrap_err();
    // Five waits between the attempts, and the second after the last.
    let took = start.elapsed().as_millis();
    assert!((4_990..=5_010).contains(&took), "{took}: {error:#?}");
    call.await.unwrap().unwrap_err();
    assert_eq!(server.dials(), 1);
}

// gRFC A62: TRANSIENT_FAILURE is sticky until READY
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_unserved_during_an_outage_does_not_hide_the_outage() {
    let server = Server::in_memory_unstarted();
    let readiness = Readiness::new();
    let stack = layer().readiness(&readiness).layer(server.channel());
    let mut patient = client(stack);
    let call = tokio::spawn(async move { patient.unary(hello()).await });
    sleep(ms(1_500)).await;
    let failing = readiness.snapshot().failing_since.unwrap();
    // It accepts, reads the request, and hangs up.
    server
        .script()
        .on(method::UNARY, [Answer::drop_connection()]);
    server.start().await;
    server.wait_for_calls(1).await;
    server.stop();
    let _ = call.await.unwrap().unwrap_err();
    let now = readiness.snapshot();
    assert_eq!(now.state, TransientFailure, "{now}");
    assert_eq!(now.failing_since, Some(failing), "{now}");
    assert!(
        now.to_string().starts_with("TRANSIENT_FAILURE for"),
        "{now}"
    );
}

// CONTRACT W5: gRPC's ResetConnectBackoff
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn whoever_knows_that_the_server_is_up_has_it_dialled_at_once() {
    let server = Server::in_memory_unstarted();
    let stack = layer()
        .backoff(every(3_600 * SECOND))
        .layer(server.channel());
    let readiness = stack.readiness();
    let mut patient = client(stack);
    let call = tokio::spawn(async move { patient.unary(hello()).await });
    sleep(60 * SECOND).await;
    assert_eq!(server.dials(), 1);
    server.start().await;
    let start = Instant::now();
    readiness.reset_backoff();
    call.await.unwrap().unwrap();
    assert!(start.elapsed() <= ms(2), "{:?}", start.elapsed());
    assert_eq!(server.dials(), 2);
    readiness.reset_backoff();
    assert_eq!(readiness.state(), Ready);
}

// A bound on the backoff bounds how late a server is noticed that comes up.
// Over tonic alone: its times are the layer's backoff; ours dials by its own, with jitter (C3).
#[tokio::test(start_paused = true)]
async fn no_wait_between_two_dials_is_longer_than_the_bound() {
    let server = Server::in_memory_unstarted();
    let stack = WaitForReadyLayer::new()
        .max_backoff(ms(20))
        .unwrap()
        .layer(server.channel());
    let mut patient = client(stack);
    let call = tokio::spawn(async move { patient.unary(hello()).await });
    sleep(ms(2_000)).await;
    let dials = server.dials();
    // A timer of tokio's adds up to a millisecond to each.
    assert!((90..=101).contains(&dials), "{dials}");
    server.start().await;
    let start = Instant::now();
    call.await.unwrap().unwrap();
    assert!(start.elapsed() <= ms(25), "{:?}", start.elapsed());
}

// FIELD.md 5: its worker is gone, and no wait brings it back
#[tokio::test(start_paused = true)]
async fn a_channel_that_is_dead_for_ever_is_shut_down_and_waited_for_by_nobody() {
    let endpoint = tonic::transport::Endpoint::from_static("http://broken.test");
    let stack = layer().layer(endpoint.connect_with_connector_lazy(Broken));
    let readiness = stack.readiness();
    let start = Instant::now();
    let watching = tokio::spawn({
        let readiness = readiness.clone();
        async move { readiness.ready().await }
    });
    let calls: Vec<_> = (0..10)
        .map(|number| spawn(&stack, numbered(number)))
        .collect();
    for call in calls {
        let status = call.await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(
            status.message().contains("address not available"),
            "{status:?}"
        );
    }
    assert_eq!(readiness.state(), Shutdown);
    let error = watching.await.unwrap().unwrap_err();
    assert!(
        error.status().message().contains("address not available"),
        "{error:#?}"
    );
    assert!(start.elapsed() <= ms(2), "{:?}", start.elapsed());
    // Nor does a retry layer above make more of it.
    let stack = Resilience::new().wrap(stack);
    let status = client(stack).unary(hello()).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotReady));
    assert!(start.elapsed() <= ms(3), "{:?}", start.elapsed());
}

// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn layers_with_one_handle_share_what_they_know() {
    let server = Server::in_memory_unstarted();
    let readiness = Readiness::new();
    let layer = layer().readiness(&readiness);
    let (one, other) = (layer.layer(server.channel()), layer.layer(server.channel()));
    let mut hurried = hello();
    hurried.call_options().fail_fast();
    let _ = client(one).unary(hurried).await.unwrap_err();
    let mut hurried = hello();
    hurried.call_options().fail_fast();
    let status = client(other).unary(hurried).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotReady));
    assert_eq!(server.dials(), 1);
}
