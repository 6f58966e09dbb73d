//! A call that is made for another is ordinary, too, and ends with that as one through all layers does.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{self, Poll};
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::call::{CallOptionsExt as _, Context};
use grpc_resilience::{GiveUp, Resilience};
use http_body::Frame;
use testing::{Answer, Server, method};
use tonic::Status;
use tonic::body::Body;
use tower::{Service as _, ServiceBuilder, ServiceExt as _};

use crate::support::{SECOND, client, failures, hello, ms, serving, settle};

use super::held_head::raw;
use super::{Case, Seen, answers, hanging};

/// A call made for one that has this timeout and is over after so long.
async fn seen(
    case: Case,
    answers: &[Answer],
    is_listened_to: bool,
    (timeout, over): (Option<&str>, Duration),
) -> Seen {
    let (served, open) = serving(timeout).await;
    let ending = tokio::spawn(async move {
        tokio::time::sleep(over).await;
        drop(open);
    });
    let seen = served.scope(case.seen(answers, is_listened_to)).await;
    ending.abort();
    seen
}

// CONTRACT D6, D10
#[transports::test(start_paused = true)]
async fn it_ends_as_one_through_all_layers_does() {
    let ends = [
        (None, ms(15)),
        (None, 3 * SECOND),
        (Some("2S"), 60 * SECOND),
        (Some("9S"), 4 * SECOND),
    ];
    for case in Case::all().filter(|case| case.declared && !case.waits) {
        for answers in answers().into_iter().chain(hanging()) {
            for end in ends {
                let direct = seen(case, &answers, false, end).await;
                let layered = seen(case, &answers, true, end).await;
                assert_eq!(direct, layered, "{case:?}, {end:?}: {answers:?}");
            }
        }
    }
}

/// That the test above compares two ways at all.
#[transports::test(start_paused = true)]
async fn nobody_writes_it_down_before_its_first_attempt_fails() {
    let echo = Server::in_memory();
    let followed = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&followed);
    let channel = ServiceBuilder::new()
        .map_request(move |request: http::Request<Body>| {
            let context = request.extensions().get::<Context>().unwrap();
            let left = context.deadline().map(|deadline| deadline.timeout());
            seen.lock()
                .unwrap()
                .push((grpc_resilience::__internal::is_followed(context), left));
            request
        })
        .service(echo.channel());
    let stack = Resilience::new()
        .idempotent("/test.v1.Echo/*")
        .unwrap()
        .wrap(channel);
    client(stack.clone()).unary(hello()).await.unwrap();
    followed.lock().unwrap().clear();
    let (served, open) = serving(Some("2S")).await;
    let left = served.deadline().map(|deadline| deadline.timeout());
    assert!(left.is_some());
    echo.script().on(method::UNARY, failures(1));
    let call = client(stack.clone()).unary(hello()).await;
    call.unwrap();
    let mut request = hello();
    request.call_options().parent(&served);
    client(stack.clone()).unary(request).await.unwrap();
    let mut client = client(stack);
    let scoped = served.clone().scope(client.unary(hello()));
    scoped.await.unwrap();
    let expected = [(false, None), (true, None), (false, left), (false, left)];
    assert_eq!(*followed.lock().unwrap(), expected);
    drop(open);
    let over = served.scope(client.unary(hello())).await;
    assert_eq!(GiveUp::find(&over.unwrap_err()), Some(GiveUp::Cancelled));
    assert_eq!(followed.lock().unwrap().len(), 4, "it never began");
}

/// Nobody reads it.
struct Unread;

impl http_body::Body for Unread {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        panic!("it was read");
    }
}

#[transports::test(start_paused = true)]
async fn its_request_is_not_read_once_the_served_call_is_over() {
    let echo = Server::in_memory();
    let mut stack = Resilience::new().wrap(echo.channel());
    stack.ready().await.unwrap().call(raw(false)).await.unwrap();
    let (served, open) = serving(None).await;
    drop(open);
    let request = raw(false).map(|_| Body::new(Unread));
    let ready = stack.ready().await.unwrap();
    let call = served.scope(async { ready.call(request).await }).await;
    assert_eq!(GiveUp::find(&call.unwrap_err()), Some(GiveUp::Cancelled));
}

// Whoever waits for it hears at once that there is nobody any more.
#[transports::test(start_paused = true)]
async fn it_is_woken_when_the_served_call_is_over() {
    let echo = Server::in_memory();
    let stack = Resilience::new().wrap(echo.channel());
    client(stack.clone()).unary(hello()).await.unwrap();
    for answer in [Answer::hang(), Answer::hang_after_head()] {
        echo.script().on(method::UNARY, [answer]);
        let (served, open) = serving(None).await;
        let mut client = client(stack.clone());
        let call = tokio::spawn(served.scope(async move { client.unary(hello()).await }));
        settle().await;
        assert!(!call.is_finished());
        drop(open);
        let ended = tokio::time::timeout(ms(1), call).await.unwrap().unwrap();
        assert_eq!(GiveUp::find(&ended.unwrap_err()), Some(GiveUp::Cancelled));
    }
}
