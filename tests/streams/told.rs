//! What a stream tells: its report, its errors and its events.

use grpc_resilience::error::Fault;
use grpc_resilience::streams::{InvalidStream, OnLost, Resumable};
use grpc_resilience::{Error, GiveUp, RetryPolicy};
use test_protos::{EchoRequest, EchoResponse};
use tonic::{Code, Request, Response, Status, Streaming};
use transports::Transport;

use crate::net::Net;
use crate::numbers::{Service, Step, steps};
use crate::{all, numbers};

fn failing() -> Service {
    Service::new(|asked| match asked.call {
        0 => steps([
            Step::Token(1),
            Step::Fail(Status::unavailable("restarting")),
        ]),
        1 => Err(Status::unavailable("starting")),
        2 => steps([Step::Token(2), Step::Fail(Status::internal("bug"))]),
        _ => Err(Status::permission_denied("not you")),
    })
}

// CONTRACT S2, S3
#[transports::test(start_paused = true)]
async fn the_report_tells_each_failure_with_its_opening() {
    let net = Net::new(&failing());
    let mut stream = numbers(net.channel()).build().unwrap();
    let report = stream.report();
    assert!(report.code().is_none());
    let seen = all(&mut stream).await;
    assert_eq!(seen, [Ok(1), Ok(2), Err(Code::PermissionDenied)]);
    let failures: Vec<_> = report
        .failures()
        .iter()
        .map(|it| (it.number, it.verdict.code.name()))
        .collect();
    let denied = "PERMISSION_DENIED";
    let expected = [
        (1, "UNAVAILABLE"),
        (2, "UNAVAILABLE"),
        (3, "INTERNAL"),
        (4, denied),
        (5, denied),
        (6, denied),
    ];
    assert_eq!(failures, expected);
    assert_eq!(
        (report.opens(), report.reopens(), report.resumes()),
        (6, 5, 5)
    );
    assert_eq!(
        (report.items(), report.refusals(), report.gaps()),
        (2, 3, 0)
    );
    assert_eq!(report.last_status().unwrap().message(), "not you");
    assert_eq!(report.give_up(), Some(GiveUp::TokenLost));
    let line = report.to_string();
    assert!(
        line.starts_with("PERMISSION_DENIED, token_lost, "),
        "{line}"
    );
    if Transport::current().is_ours() {
        let endpoint = report.failures()[0].endpoint.clone().unwrap();
        assert_eq!(endpoint.name(), "unix:host");
    }
}

// CONTRACT S2
#[transports::test(start_paused = true)]
async fn the_last_status_is_the_server_s_own_with_the_reason_in_its_chain() {
    let service = Service::new(|_| {
        let mut status = Status::with_details(Code::NotFound, "no topic", "details".into());
        status.metadata_mut().insert("x-zone", "b".parse().unwrap());
        Err(status)
    });
    let net = Net::new(&service);
    let mut stream = numbers(net.channel()).build().unwrap();
    let status = stream.next().await.unwrap().unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "no topic")
    );
    assert_eq!(status.details(), b"details");
    assert_eq!(status.metadata().get("x-zone").unwrap(), "b");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::CodeNotRetryable));
    assert_eq!(Error::find(&status).unwrap().attempts(), 1);
}

async fn unopened(_: Request<EchoRequest>) -> Result<Response<Streaming<EchoResponse>>, Status> {
    Err(Status::unavailable(""))
}

fn setters(invalid: &InvalidStream) -> Vec<&'static str> {
    invalid.faults().iter().map(Fault::setter).collect()
}

#[test]
fn all_faults_are_reported_at_once() {
    let request = Request::new(EchoRequest::default());
    let builder = Resumable::builder(request, unopened)
        .resume(|first: &EchoRequest, _: u32| first.clone())
        .max_held(0)
        .max_held_bytes(0, |_| 1)
        .policy(RetryPolicy::never())
        .open_timeout(std::time::Duration::ZERO)
        .idle_timeout(std::time::Duration::ZERO)
        .on_lost(OnLost::Skip);
    let invalid = builder.build().unwrap_err();
    let expected = [
        "token",
        "max_held",
        "max_held_bytes",
        "max_held",
        "max_held_bytes",
        "policy",
        "open_timeout",
        "idle_timeout",
    ];
    assert_eq!(setters(&invalid), expected);
    assert!(
        invalid
            .to_string()
            .starts_with("the stream can't be built: token: it must be set; ")
    );
}

#[test]
fn a_policy_of_one_attempt_is_a_fault_because_the_first_opening_is_an_attempt() {
    let with = |attempts| {
        let request = Request::new(EchoRequest::default());
        let policy = RetryPolicy::new().max_attempts(attempts).unwrap();
        let builder = Resumable::builder(request, unopened)
            .token(|number: &EchoResponse| Some(number.index))
            .resume(|first, _| first.clone())
            .policy(policy.retry_only_on([grpc_resilience::grpc::Code::Aborted]));
        builder.build()
    };
    let invalid = with(1).unwrap_err();
    assert_eq!(setters(&invalid), ["policy"]);
    assert!(invalid.to_string().contains("one attempt"), "{invalid}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    assert!(with(2).is_ok());
}

#[test]
fn a_stream_can_be_sent_to_another_task() {
    fn is_send<T: Send + Unpin>(_: &T) {}
    let request = Request::new(EchoRequest::default());
    let builder = Resumable::builder(request, unopened)
        .token(|number| Some(number.index))
        .resume(|first, _| first.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    let stream = builder.build().unwrap();
    is_send(&stream);
    assert!(format!("{stream:?}").contains("under way"));
    is_send(&stream.into_items());
}
