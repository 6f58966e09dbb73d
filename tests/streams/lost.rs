//! Lost tokens.

use grpc_resilience::GiveUp;
use grpc_resilience::streams::{Event, OnEnd, OnLost};
use test_protos::EchoResponse;
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

use crate::net::Net;
use crate::numbers::{LOST, Service, Step, steps};
use crate::{all, numbers, take};

/// Compacted up to 7: what asks for less hears of it in a status.
fn compacted(code: Code) -> Service {
    Service::new(move |asked| match (asked.call, asked.after) {
        (0, _) => steps([
            Step::Token(1),
            Step::Fail(Status::unavailable("restarting")),
        ]),
        (_, Some(after)) if after < 7 => Err(Status::new(code, "compacted")),
        (_, after) => steps((after.map_or(8, |it| it + 1)..10).map(Step::Token)),
    })
}

// CONTRACT S3
#[transports::test(start_paused = true)]
async fn a_status_that_says_so_loses_the_token_at_once() {
    for code in [Code::OutOfRange, Code::FailedPrecondition] {
        let service = compacted(code);
        let net = Net::new(&service);
        let builder = numbers(net.channel()).on_lost(OnLost::Restart);
        let mut stream = builder.build().unwrap();
        assert_eq!(take(&mut stream, 1).await, [1]);
        let Some(Ok(Event::Gap(gap))) = stream.next().await else {
            panic!("there is a gap");
        };
        assert_eq!(gap.from, Some(1));
        assert_eq!(gap.status.unwrap().message(), "compacted");
        assert!(gap.message.is_none());
        assert_eq!(take(&mut stream, 2).await, [8, 9]);
        assert_eq!(service.seen.asked(), [None, Some(1), None]);
        assert_eq!(stream.report().gaps(), 1);
    }
}

// CONTRACT S3
#[transports::test(start_paused = true)]
async fn the_choice_decides_whether_a_lost_token_fails_or_is_skipped() {
    let net = Net::new(&compacted(Code::OutOfRange));
    let mut stream = numbers(net.channel()).build().unwrap();
    assert_eq!(take(&mut stream, 1).await, [1]);
    let status = stream.next().await.unwrap().unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::OutOfRange, "compacted")
    );
    assert_eq!(GiveUp::find(&status), Some(GiveUp::TokenLost));
    assert!(stream.next().await.is_none());

    let net = Net::new(&compacted(Code::OutOfRange));
    let builder = numbers(net.channel()).on_lost(OnLost::Skip);
    let mut stream = builder.build().unwrap();
    assert_eq!(all(&mut stream).await, [Ok(1), Ok(8), Ok(9)]);
    assert_eq!(stream.report().gaps(), 1);
}

// CONTRACT S3
#[transports::test(start_paused = true)]
async fn after_a_gap_the_caller_says_where_to_go_on() {
    let service = compacted(Code::OutOfRange);
    let net = Net::new(&service);
    let builder = numbers(net.channel()).on_lost(OnLost::Restart);
    let mut stream = builder.build().unwrap();
    take(&mut stream, 2).await;
    stream.resume_from(8);
    assert_eq!(stream.token(), Some(&8));
    assert_eq!(all(&mut stream).await, [Ok(9)]);
    assert_eq!(service.seen.asked(), [None, Some(1), Some(8)]);
}

// CONTRACT S3
#[transports::test(start_paused = true)]
async fn such_a_status_in_the_middle_of_a_stream_is_no_word_about_its_newer_token() {
    let service = Service::new(|asked| match asked.call {
        0 | 1 => steps([
            Step::Token(asked.first()),
            Step::Fail(Status::out_of_range("too slow")),
        ]),
        _ => steps([Step::Token(asked.first())]),
    });
    let net = Net::new(&service);
    let mut stream = numbers(net.channel()).build().unwrap();
    assert_eq!(all(&mut stream).await, [Ok(1), Ok(2), Ok(3)]);
}

fn is_lost(number: &EchoResponse) -> bool {
    number.text == LOST
}

/// Tells in a message that the token is lost, as etcd does, and hangs.
fn telling() -> Service {
    Service::new(|asked| match asked.after {
        None if asked.call == 0 => steps([
            Step::Token(1),
            Step::Part(2),
            Step::Fail(Status::unavailable("restarting")),
        ]),
        Some(1) => steps([Step::Part(2), Step::Lost, Step::Hang]),
        after => steps([Step::Token(after.unwrap_or(8) + 1), Step::Hang]),
    })
}

// CONTRACT S3, S5
#[transports::test(start_paused = true)]
async fn a_message_that_says_so_loses_the_token() {
    let service = telling();
    let net = Net::new(&service);
    let builder = numbers(net.channel()).lost(is_lost);
    let builder = builder.hold_until_token().on_lost(OnLost::Restart);
    let mut stream = builder.build().unwrap();
    assert_eq!(take(&mut stream, 1).await, [1]);
    let Some(Ok(Event::Gap(gap))) = stream.next().await else {
        panic!("there is a gap");
    };
    assert_eq!(gap.from, Some(1));
    assert_eq!(gap.message.unwrap().text, LOST);
    assert!(gap.status.is_none());
    stream.resume_from(20);
    assert_eq!(take(&mut stream, 1).await, [21]);
    assert_eq!(stream.report().refusals(), 1);
}

// CONTRACT S3
#[transports::test(start_paused = true)]
async fn a_stream_that_fails_hands_on_the_message_first() {
    let net = Net::new(&telling());
    let mut stream = numbers(net.channel()).lost(is_lost).build().unwrap();
    let seen = all(&mut stream).await;
    let (again, message) = (Ok(2), Ok(0));
    assert_eq!(seen, [Ok(1), Ok(2), again, message, Err(Code::OutOfRange)]);
    assert_eq!(stream.report().give_up(), Some(GiveUp::TokenLost));
}

// CONTRACT S3
#[transports::test(start_paused = true)]
async fn an_original_request_whose_place_is_lost_is_not_asked_for_ever() {
    let service = Service::new(|_| steps([Step::Lost, Step::Hang]));
    let net = Net::new(&service);
    let builder = numbers(net.channel()).lost(is_lost);
    let builder = builder.on_lost(OnLost::Restart).on_end(OnEnd::Reopen);
    let mut stream = builder.build().unwrap();
    assert_eq!(all(&mut stream).await, [Ok(0), Err(Code::OutOfRange)]);
    assert_eq!(service.seen.count(), 1);
}

// CONTRACT S3
#[transports::test(start_paused = true)]
async fn a_gap_ends_a_stream_of_items() {
    let net = Net::new(&compacted(Code::OutOfRange));
    let builder = numbers(net.channel()).on_lost(OnLost::Restart);
    let stream = builder.build().unwrap();
    let report = stream.report();
    let items = stream.into_items();
    let seen: Vec<_> = items
        .map(|it| it.map(|it| it.index).map_err(|it| it.code()))
        .collect()
        .await;
    assert_eq!(seen, [Ok(1), Err(Code::DataLoss)]);
    assert_eq!(report.code(), Some(grpc_resilience::grpc::Code::DataLoss));
    assert_eq!(report.give_up(), Some(GiveUp::TokenLost));
}
