//! A dropped call stops all of it. CONTRACT R13.

use testing::{Answer, Server, method};
use tokio::time::{sleep, timeout};

use crate::support::{declared, every, failures, ms, policy, retrying};

// PEER-CASES JAVA-cancel-while-backoff, CORE-cancel-during-delay
#[transports::test(start_paused = true)]
async fn a_call_dropped_during_backoff_sends_nothing_afterwards() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(1));
    let mut client = retrying(&server, policy().backoff(every(ms(1_000))));
    let mut kept = client.clone();
    timeout(ms(999), client.unary(declared()))
        .await
        .unwrap_err();
    assert_eq!(server.count(), 1);
    sleep(ms(60_000)).await;
    assert_eq!(server.count(), 1);

    // The same call, kept for a moment longer, is retried: the wait had begun.
    server.script().on(method::UNARY, failures(1));
    timeout(ms(1_001), kept.unary(declared()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(server.count(), 3);
}

// PEER-CASES CORE-cancellation, JAVA-cancel-while-starting, JAVA-headers-then-cancel; CONTRACT B5
#[transports::test(start_paused = true)]
async fn a_call_dropped_during_an_attempt_is_cancelled_at_the_server() {
    for failed_before in 0..=2 {
        let server = Server::in_memory();
        server.script().on(method::UNARY, failures(failed_before));
        server.script().always(method::UNARY, Answer::hang());
        let mut client = retrying(&server, policy());
        let call = timeout(ms(500), client.unary(declared())).await;
        call.unwrap_err();
        let ended = server.wait_until(|calls| calls.last().is_some_and(testing::Call::cancelled));
        let calls = timeout(ms(1_000), ended).await.unwrap();
        assert_eq!(calls.len(), failed_before + 1);
        sleep(ms(60_000)).await;
        assert_eq!(server.count(), failed_before + 1);
    }
}

// CONTRACT B5; the head of a method that is known to answer once is held, and the caller goes away
#[transports::test(start_paused = true)]
async fn a_call_dropped_while_its_head_is_held_is_cancelled_at_the_server() {
    use grpc_resilience::call::CallOptionsExt as _;
    use grpc_resilience::grpc::MethodKind;

    let server = Server::in_memory();
    server
        .script()
        .always(method::UNARY, Answer::hang_after_head());
    let mut request = declared();
    request.call_options().kind(MethodKind::Unary);
    let mut client = retrying(&server, policy());
    timeout(ms(500), client.unary(request)).await.unwrap_err();
    let ended = server.wait_until(|calls| calls.iter().all(testing::Call::cancelled));
    assert_eq!(timeout(ms(1_000), ended).await.unwrap().len(), 1);
}
