//! What one call changes of the layer's policy. PEER-CASES MW-override-per-call.

use grpc_resilience::GiveUp;
use grpc_resilience::call::{CallOptions, CallOptionsExt};
use testing::{Answer, Call, Server, method};
use tonic::{Code, Status};

use crate::support::{declared, every, ms, policy, retrying, unavailable, waits};

/// One call against a server that always answers so, and a second one that asks for nothing.
async fn tuned(answer: Answer, tune: impl FnOnce(&mut CallOptions)) -> (Status, Vec<Call>) {
    let server = Server::in_memory();
    server.script().always(method::UNARY, answer);
    let mut client = retrying(&server, policy());
    let mut request = declared();
    tune(request.call_options());
    let status = client.unary(request).await.unwrap_err();
    let calls = server.calls();

    server.clear();
    server.script().always(method::UNARY, unavailable("down"));
    client.unary(declared()).await.unwrap_err();
    assert_eq!(
        waits(&server.calls()),
        [10, 10, 10],
        "the layer's own policy"
    );
    (status, calls)
}

#[transports::test(start_paused = true)]
async fn a_call_sets_its_own_number_of_attempts() {
    for attempts in [1, 2, 7] {
        let (status, calls) = tuned(unavailable("down"), |options| {
            options.max_attempts(attempts);
        })
        .await;
        assert_eq!(calls.len(), usize::try_from(attempts).unwrap());
        assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
    }
}

#[transports::test(start_paused = true)]
async fn a_call_adds_retryable_codes() {
    let aborted = Answer::status(Code::Aborted, "conflict");
    let (_, calls) = tuned(aborted.clone(), |_| {}).await;
    assert_eq!(calls.len(), 1);
    let (status, calls) = tuned(aborted, |options| {
        options.retry_on(Code::Aborted);
    })
    .await;
    assert_eq!(calls.len(), 4);
    assert_eq!(status.code(), Code::Aborted);

    let (_, calls) = tuned(unavailable("down"), |options| {
        options.retry_on(Code::Aborted);
    })
    .await;
    assert_eq!(calls.len(), 4, "the layer's codes stay");
}

#[transports::test(start_paused = true)]
async fn a_call_brings_its_own_backoff() {
    let (_, calls) = tuned(unavailable("down"), |options| {
        options.backoff(every(ms(70))).max_attempts(3);
    })
    .await;
    assert_eq!(waits(&calls), [70, 70]);
}

// Bad configuration is a typed error at construction
#[transports::test(start_paused = true)]
async fn a_call_of_no_attempt_is_the_caller_s_error_said_at_once() {
    let (status, calls) = tuned(unavailable("down"), |options| {
        options.max_attempts(0);
    })
    .await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("max_attempts(0)"), "{status}");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::InvalidCall));
    assert!(calls.is_empty());
}
