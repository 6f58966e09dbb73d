//! A live stream of requests is replayed to each attempt and goes on from there. CONTRACT R9.

use grpc_resilience::GiveUp;
use test_protos::EchoResponse;
use testing::{Answer, Server, grpc_frame, method};
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::{arrived, indices, live, text, texts};
use crate::support::{ms, policy, previous_attempts, retrying, unavailable};

fn down() -> Answer {
    unavailable("down")
}

fn answer(index: u32) -> bytes::Bytes {
    grpc_frame(&EchoResponse {
        index,
        ..EchoResponse::default()
    })
}

fn ok() -> Answer {
    Answer::status_in_trailers(Code::Ok, "")
}

// PEER-CASES GO-stream-one
#[transports::test(start_paused = true)]
async fn a_stream_that_failed_after_one_message_is_sent_again_and_answered() {
    let server = Server::in_memory();
    server.script().on(
        method::BIDI_STREAM,
        [
            down().reading_messages(1),
            ok().frame(answer(1)).reading_messages(1),
        ],
    );
    let mut client = retrying(&server, policy());
    let (sender, request) = live(1);
    sender.send(text("1")).await.unwrap();
    let answers = client.bidi_stream(request).await.unwrap().into_inner();
    let (seen, end) = indices(answers).await;
    assert_eq!((seen, end.is_none()), (vec![1], true));
    let calls = server.calls();
    assert_eq!(previous_attempts(&calls), [None, Some("1")]);
    assert!(calls.iter().all(|call| texts(call) == ["1"]));
}

// PEER-CASES GO-stream-multi, GO-replay-close; CONTRACT R9
#[transports::test(start_paused = true)]
async fn what_was_sent_is_replayed_with_the_end_of_the_stream_if_that_was_sent_too() {
    for closes in [false, true] {
        let server = Server::in_memory();
        let reading = |answer: Answer| {
            if closes {
                answer.reading_request()
            } else {
                answer.reading_messages(2)
            }
        };
        let numbers = [1, 3, 5].map(answer);
        let five = numbers.into_iter().fold(ok(), Answer::frame);
        server
            .script()
            .on(method::BIDI_STREAM, [reading(down()), reading(five)]);
        let mut client = retrying(&server, policy());
        let (sender, request) = live(1);
        let caller = async {
            sender.send(text("1")).await.unwrap();
            arrived(&server, 0, 1).await;
            sender.send(text("2")).await.unwrap();
            let kept = (!closes).then_some(sender);
            // The end comes by itself, not with the last message.
            server.wait_for_calls(2).await;
            kept
        };
        let (answers, kept) = tokio::join!(client.bidi_stream(request), caller);
        let (seen, end) = indices(answers.unwrap().into_inner()).await;
        assert_eq!((seen, end.is_none()), (vec![1, 3, 5], true));
        let calls = server.calls();
        assert_eq!(previous_attempts(&calls), [None, Some("1")]);
        for call in &calls {
            assert_eq!(texts(call), ["1", "2"]);
            assert_eq!(call.request_ended, closes);
        }
        drop(kept);
    }
}

// PEER-CASES GO-stream-growing
#[transports::test(start_paused = true)]
async fn a_stream_that_grows_from_attempt_to_attempt_is_replayed_in_order_each_time() {
    let server = Server::in_memory();
    let last = ok().frame(answer(5)).reading_messages(3);
    server.script().on(
        method::BIDI_STREAM,
        [down().reading_messages(1), down().reading_messages(2), last],
    );
    let mut client = retrying(&server, policy());
    let (sender, request) = live(1);
    let caller = async {
        for (sent, word) in ["1", "2", "3"].into_iter().enumerate() {
            // What was sent before was replayed to this attempt.
            arrived(&server, sent, sent).await;
            sender.send(text(word)).await.unwrap();
        }
    };
    let (answers, ()) = tokio::join!(client.bidi_stream(request), caller);
    let (seen, end) = indices(answers.unwrap().into_inner()).await;
    assert_eq!((seen, end.is_none()), (vec![5], true));
    let calls = server.calls();
    assert_eq!(previous_attempts(&calls), [None, Some("1"), Some("2")]);
    assert_eq!(texts(&calls[0]), ["1"]);
    assert_eq!(texts(&calls[1]), ["1", "2"]);
    assert_eq!(texts(&calls[2]), ["1", "2", "3"]);
    drop(sender);
}

// PEER-CASES GO-stream-exceed, CORE-too-many-attempts; CONTRACT R1, R10
#[transports::test(start_paused = true)]
async fn a_live_stream_fails_with_its_last_failure_when_its_attempts_are_spent() {
    let server = Server::in_memory();
    let failures = (1..=4).map(|it| unavailable(&format!("failure {it}")).reading_messages(1));
    server.script().on(method::BIDI_STREAM, failures);
    let mut client = retrying(&server, policy());
    let (sender, request) = live(1);
    sender.send(text("1")).await.unwrap();
    let status = client.bidi_stream(request).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "failure 4")
    );
    assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
    let calls = server.calls();
    assert_eq!(
        previous_attempts(&calls),
        [None, Some("1"), Some("2"), Some("3")]
    );
    assert!(calls.iter().all(|call| texts(call) == ["1"]));
    let closed = timeout(ms(1_000), sender.closed()).await;
    closed.expect("nobody reads the stream of a call that failed");
}

// PEER-CASES GO-stream-non-retryable, CORE-non-retriable
#[transports::test(start_paused = true)]
async fn a_live_stream_that_fails_for_good_is_not_sent_again() {
    let server = Server::in_memory();
    let fatal = Answer::status(Code::Internal, "broken").reading_messages(1);
    server.script().otherwise(fatal);
    let mut client = retrying(&server, policy());
    let (sender, request) = live(1);
    sender.send(text("1")).await.unwrap();
    let status = client.bidi_stream(request).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Internal, "broken")
    );
    assert_eq!(GiveUp::find(&status), Some(GiveUp::CodeNotRetryable));
    sleep(ms(60_000)).await;
    assert_eq!(server.count(), 1);
    assert!(sender.is_closed());
}

// PEER-CASES GO-no-retry-after-receiving, GO-no-retry-after-header; CONTRACT R6
#[transports::test(start_paused = true)]
async fn a_live_stream_is_not_sent_again_once_an_answer_began() {
    for messages in [vec![], vec![7]] {
        let server = Server::in_memory();
        let begun = Answer::status_in_trailers(Code::Unavailable, "midway").reading_messages(1);
        let begun = messages
            .iter()
            .copied()
            .map(answer)
            .fold(begun, Answer::frame);
        server
            .script()
            .on(method::BIDI_STREAM, [down().reading_messages(1), begun]);
        let mut client = retrying(&server, policy());
        let (sender, request) = live(1);
        sender.send(text("1")).await.unwrap();
        let answers = client.bidi_stream(request).await.unwrap().into_inner();
        let (seen, end) = indices(answers).await;
        assert_eq!(seen, messages);
        let status = end.unwrap();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "midway")
        );
        assert_eq!(GiveUp::find(&status), Some(GiveUp::Committed));
        sleep(ms(60_000)).await;
        assert_eq!(previous_attempts(&server.calls()), [None, Some("1")]);
        drop(sender);
    }
}
