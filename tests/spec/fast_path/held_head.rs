//! What the gate hears while a head is held, and what is left of answers that nobody reads.

use grpc_resilience::Resilience;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use http_body_util::Full;
use testing::{Answer, Server, grpc_frame, method};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tonic::body::Body;
use tower::{Service as _, ServiceExt as _};

use crate::support::{SECOND, client, every, hello, message, ms, settle};

/// A unary request as a generated client sends it, whose answer nobody reads.
pub(super) fn raw(is_listened_to: bool) -> http::Request<Body> {
    let mut request = http::Request::post(method::UNARY)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::new(grpc_frame(&message("hello")))))
        .unwrap();
    if is_listened_to {
        drop(request.call_report());
    }
    request
}

type Stack = grpc_resilience::Resilient<transports::Channel>;

/// Drops the answer unread.
fn calling(stack: &Stack, is_listened_to: bool) -> JoinHandle<Result<(), String>> {
    let mut stack = stack.clone();
    tokio::spawn(async move {
        let call = stack.ready().await.unwrap().call(raw(is_listened_to));
        call.await.map(drop).map_err(|error| error.to_string())
    })
}

fn unary(server: &Server) -> Stack {
    Resilience::new()
        .wait_for_ready(WaitForReadyLayer::new().backoff(every(SECOND)))
        .unary(method::UNARY)
        .unwrap()
        .wrap(server.channel())
}

// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn a_connection_lost_while_a_head_is_held_is_news_though_nobody_reads_the_answer() {
    let seen = async |is_listened_to: bool| {
        let server = Server::in_memory();
        let stack = unary(&server);
        client(stack.clone()).unary(hello()).await.unwrap();
        server
            .script()
            .on(method::UNARY, [Answer::hang_after_head()]);
        let call = calling(&stack, is_listened_to);
        sleep(ms(10)).await;
        server.stop();
        let outcome = call.await.unwrap();
        settle().await;
        format!("{outcome:?} {}", stack.readiness().snapshot())
    };
    let direct = seen(false).await;
    assert!(direct.contains("IDLE"), "{direct}");
    assert_eq!(direct, seen(true).await);
}

// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn an_answer_is_news_while_its_head_is_held() {
    let seen = async |is_listened_to: bool| {
        let server = Server::in_memory();
        let stack = unary(&server);
        let answers = [Answer::hang(), Answer::hang_after_head()];
        server.script().on(method::UNARY, answers);
        // It tests the channel, and opens the gate; its handler is slow.
        let first = calling(&stack, true);
        sleep(ms(10)).await;
        let second = calling(&stack, is_listened_to);
        sleep(ms(10)).await;
        second.abort();
        settle().await;
        server.stop();
        first.await.unwrap().unwrap_err();
        settle().await;
        let now = stack.readiness().snapshot();
        format!("{:?}, {} failed dials", now.state, now.failed_dials)
    };
    assert_eq!(seen(false).await, "Idle, 0 failed dials");
    assert_eq!(seen(true).await, "Idle, 0 failed dials");
}
