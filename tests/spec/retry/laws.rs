//! Laws over random scripts.

use grpc_resilience::retry::RetryPolicy;
use proptest::prelude::*;
use test_protos::EchoRequest;
use testing::{Answer, Call, Server, method};
use tonic::{Code, Request, Status};

use crate::support::{
    declared, every, ms, paused_runtime, previous_attempts, retrying, undeclared,
};

/// How one attempt ends.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Unavailable,
    Fatal,
    AfterHead,
    AfterMessage,
    Proxy,
    Dropped,
}

impl Fault {
    fn answer(self, number: usize) -> Answer {
        let message = format!("attempt {number}");
        let answer = match self {
            Self::Unavailable => Answer::status(Code::Unavailable, message),
            Self::Fatal => Answer::status(Code::Internal, message),
            Self::AfterHead => Answer::status_in_trailers(Code::Unavailable, message),
            Self::AfterMessage => {
                let frame = testing::grpc_frame(&EchoRequest::default());
                Answer::status_after_message(Code::Unavailable, message, frame)
            }
            Self::Proxy => Answer::http(http::StatusCode::BAD_GATEWAY, "text/html", "sorry"),
            Self::Dropped => Answer::drop_connection(),
        };
        answer.metadata("x-attempt", number.to_string())
    }

    /// The method's kind is not known here: a head commits the call.
    fn is_retried(self) -> bool {
        matches!(self, Self::Unavailable | Self::Proxy | Self::Dropped)
    }
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![
        4 => Just(Fault::Unavailable),
        1 => Just(Fault::Fatal),
        1 => Just(Fault::AfterHead),
        1 => Just(Fault::AfterMessage),
        2 => Just(Fault::Proxy),
        2 => Just(Fault::Dropped),
    ];
    proptest::collection::vec(fault, 0..=4)
}

fn play(faults: &[Fault], request: Request<EchoRequest>) -> (Result<String, Status>, Vec<Call>) {
    paused_runtime().block_on(async {
        let server = Server::in_memory();
        let answers = faults.iter().enumerate();
        server.script().on(
            method::UNARY,
            answers.map(|(index, fault)| fault.answer(index + 1)),
        );
        let policy = RetryPolicy::new().backoff(every(ms(10)));
        let answer = retrying(&server, policy).unary(request).await;
        (
            answer.map(|answer| answer.into_inner().text),
            server.calls(),
        )
    })
}

fn with_text(mut request: Request<EchoRequest>) -> Request<EchoRequest> {
    request.get_mut().text.push_str("hello");
    request
}

proptest! {
    // CONTRACT I4
    #[test]
    fn an_undeclared_call_reaches_the_application_at_most_once(faults in faults()) {
        let (_, calls) = play(&faults, undeclared());
        prop_assert_eq!(calls.len(), 1);
    }

    // CONTRACT B2, R1, R3, R6, R10
    #[test]
    fn the_caller_sees_exactly_the_last_attempt_s_answer(faults in faults()) {
        let (answer, calls) = play(&faults, with_text(declared()));
        let retried = faults.iter().take_while(|fault| fault.is_retried()).count();
        let attempts = retried.min(3) + 1;
        prop_assert_eq!(calls.len(), attempts);
        let numbers: Vec<_> = (1..attempts).map(|number| number.to_string()).collect();
        let sent: Vec<_> = previous_attempts(&calls).into_iter().flatten().collect();
        prop_assert_eq!(sent, numbers);

        let Some(last) = faults.get(attempts - 1) else {
            prop_assert_eq!(answer.unwrap(), "hello");
            return Ok(());
        };
        let status = answer.unwrap_err();
        let expected = if matches!(last, Fault::Fatal) { Code::Internal } else { Code::Unavailable };
        prop_assert_eq!(status.code(), expected);
        if !matches!(last, Fault::Dropped) {
            let from = status.metadata().get_all("x-attempt");
            let from: Vec<_> = from.iter().filter_map(|value| value.to_str().ok()).collect();
            prop_assert_eq!(from.join(","), attempts.to_string());
        }
        if !matches!(last, Fault::Dropped | Fault::Proxy) {
            prop_assert_eq!(status.message(), format!("attempt {attempts}"));
        }
    }
}
