//! A channel that nothing is known of: fresh, or after its connection was lost.

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::{GiveUp, Resilience};
use testing::{Answer, Server, method};
use tokio::time::{Instant, sleep};
use tonic::Code;
use tower::Layer;

use crate::support::{SECOND, by_turns, client, hello, ms, numbered, settle, spawn};

use super::layer;

// CONTRACT W1, W6; FIELD.md 5: five calls took 0.3, 0.6, 0.9, 1.2 and 1.5 s
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn the_first_calls_of_a_channel_dial_as_one_and_their_dials_do_not_add_up() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(ms(300));
    let stack = layer().fail_fast().layer(server.channel());
    let start = Instant::now();
    let calls: Vec<_> = (0..100)
        .map(|number| spawn(&stack, numbered(number)))
        .collect();
    for call in calls {
        let status = call.await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
    }
    assert!(start.elapsed() <= ms(302), "{:?}", start.elapsed());
    assert_eq!(server.dials(), 1);
}

// CONTRACT W1, W6
#[transports::test(start_paused = true)]
async fn the_first_calls_of_a_channel_wait_for_the_first_of_them_and_then_all_go() {
    let server = Server::in_memory();
    server.set_dial_time(ms(300));
    let stack = layer().layer(server.channel());
    let start = Instant::now();
    let calls: Vec<_> = (0..20)
        .map(|number| spawn(&stack, numbered(number)))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(start.elapsed() <= ms(305), "{:?}", start.elapsed());
    assert_eq!(server.dials(), 1);
}

// CONTRACT W1, W6; FIELD.md 7: reconnect storms
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn after_a_lost_connection_a_hundred_calls_dial_as_one() {
    let server = Server::in_memory();
    let stack = Resilience::new()
        .wait_for_ready(layer())
        .idempotent("/**")
        .unwrap()
        .wrap(server.channel());
    client(stack.clone()).unary(hello()).await.unwrap();
    server.clear();
    server.script().always(method::UNARY, Answer::hang());
    let calls: Vec<_> = (0..100)
        .map(|number| spawn(&stack, numbered(number)))
        .collect();
    server.wait_for_calls(100).await;
    let dials = server.dials();
    server.set_dial_time(ms(50));
    server.stop();
    // All are retried by now, and wait for what becomes of one dial.
    sleep(ms(900)).await;
    assert_eq!(server.dials() - dials, 1);
    sleep(SECOND).await;
    assert_eq!(server.dials() - dials, 2);
    server.clear();
    server.script().clear();
    server.start().await;
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.dials() - dials, 3);
}

// FIELD.md 5: a transport may keep the error of an old dial, and serve it after a success
#[transports::test(start_paused = true)]
async fn a_failed_connect_after_a_success_is_made_sure_of_before_it_is_believed() {
    let dead = Server::in_memory_unstarted();
    let live = Server::in_memory();
    let picks = [false, true, false, false, true];
    let stack = layer().layer(by_turns(&dead, &live, picks).0);
    let mut client = client(stack);
    let start = Instant::now();
    for _ in 0..3 {
        client.unary(hello()).await.unwrap();
    }
    assert_eq!(start.elapsed(), ms(0), "one stale error closes no gate");
    let mut hurried = hello();
    hurried.call_options().fail_fast();
    let status = client.unary(hurried).await.unwrap_err();
    assert_eq!(
        status.code(),
        Code::Unavailable,
        "it is this call's failure"
    );
    assert_ne!(GiveUp::find(&status), Some(GiveUp::NotReady));
    client.unary(hello()).await.unwrap();
    assert_eq!(start.elapsed(), ms(0));
}

// DESIGN decision 14: of a single endpoint, an answer to an older call is an older connection's
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn a_late_answer_of_an_old_connection_does_not_open_the_gate() {
    let server = Server::in_memory();
    let down = Server::in_memory_unstarted();
    server
        .script()
        .on(method::UNARY, [Answer::handler().after(ms(500))]);
    let picks = [false, true, true, true, true, true];
    let stack = layer().layer(by_turns(&down, &server, picks).0);
    let call = |number| spawn(&stack, numbered(number));
    let old = call(0);
    server.wait_for_calls(1).await;
    let waiting = call(1);
    settle().await;
    assert_eq!(down.dials(), 1);
    old.await.unwrap().unwrap();
    settle().await;
    assert_eq!(down.dials(), 1, "the next dial is the schedule's");
    waiting.abort();
}

// CONTRACT D13, W11: what keeps watch over a test needs a runtime, and a call that is answered at
// once does not
#[test]
fn a_first_call_that_is_answered_at_once_needs_no_runtime() {
    let service = tower::service_fn(|_: http::Request<tonic::body::Body>| {
        let answer = http::Response::builder().header("grpc-status", "0");
        std::future::ready(answer.body(tonic::body::Body::empty()))
    });
    let request = http::Request::post("/test.v1.Echo/Unary").body(tonic::body::Body::empty());
    let stack = grpc_resilience::Resilience::new().wrap(service);
    let mut call = std::pin::pin!(tower::ServiceExt::oneshot(stack, request.unwrap()));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(answer) = std::future::Future::poll(call.as_mut(), &mut cx) else {
        panic!("the service answers at once");
    };
    assert!(answer.is_ok());
}
