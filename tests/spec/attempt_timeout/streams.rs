//! The timeout of an attempt and answers that come in a stream (CONTRACT D12).

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::classify::Progress;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::{Error, GiveUp, Resilience};
use http_body::Frame;
use http_body_util::StreamBody;
use test_protos::EchoResponse;
use testing::{Answer, Server, grpc_frame};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::util::{BoxCloneSyncService, MapRequest};
use tower::{Layer, ServiceBuilder, service_fn};

use super::{GRACE, LIMIT, limit, timed_out};
use crate::support::{SECOND, Stack, client, hello, ms, ours};

type Wire = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Error>;

const STREAMS: [MethodKind; 2] = [MethodKind::ServerStreaming, MethodKind::BidiStreaming];

/// A server that says one message and goes on, until the time is over that `grpc-timeout` says:
/// then this, as servers on the core implementations do. tonic's looks at its clock no more by
/// then.
fn obedient(code: Code, words: &'static str) -> Wire {
    BoxCloneSyncService::new(service_fn(move |request: http::Request<Body>| async move {
        let now = Instant::now();
        let end = grpc_resilience::__internal::stated_deadline(request.headers(), now);
        let (frames, body) = mpsc::channel(2);
        let message = grpc_frame(&EchoResponse::default());
        frames.send(Frame::data(message)).await.unwrap();
        tokio::spawn(async move {
            match end {
                Some(end) => sleep_until(end.at()).await,
                None => frames.closed().await,
            }
            let trailers = grpc_resilience::grpc::Status::new(code.into(), words).into_headers();
            let _gone = frames.send(Frame::trailers(trailers)).await;
        });
        let body = ReceiverStream::new(body).map(Ok::<_, Infallible>);
        Ok::<_, Error>(http::Response::new(Body::new(StreamBody::new(body))))
    }))
}

/// Keeps what the requests told.
fn heard(inner: Wire) -> (Wire, Arc<Mutex<Vec<Option<Duration>>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&heard);
    let stack = MapRequest::new(inner, move |request: http::Request<Body>| {
        let end = grpc_resilience::__internal::stated_deadline(request.headers(), Instant::now());
        notes.lock().unwrap().push(end.map(|end| end.timeout()));
        request
    });
    (BoxCloneSyncService::new(stack), heard)
}

/// The stream lives, or ends with this, once its first message has come.
async fn watch<T: Stack>(stack: T, kind: Option<MethodKind>) -> Result<(), Status> {
    let mut request = hello();
    if let Some(kind) = kind {
        request.call_options().kind(kind);
    }
    let mut answers = client(stack).server_stream(request).await?.into_inner();
    assert!(answers.message().await?.is_some());
    match timeout(30 * SECOND, answers.message()).await {
        Err(_) => Ok(()),
        Ok(ended) => Err(ended.unwrap_err()),
    }
}

// CONTRACT D12
#[tokio::test(start_paused = true)]
async fn a_stream_of_a_known_kind_outlives_the_timeout_of_its_attempt() {
    for layer in [limit(), limit().until_first_message()] {
        for kind in STREAMS {
            let (go, heard) = heard(obedient(Code::Unknown, "context deadline exceeded"));
            watch(layer.layer(go.clone()), Some(kind)).await.unwrap();
            let full = Resilience::new().attempt_timeout(layer);
            watch(full.wrap(go), Some(kind)).await.unwrap();
            assert_eq!(*heard.lock().unwrap(), [None, None]);
        }
    }
}

// CONTRACT D12
#[tokio::test(start_paused = true)]
async fn a_stream_of_a_known_kind_tells_the_server_what_is_left_of_the_call() {
    for kind in STREAMS {
        let (go, heard) = heard(obedient(Code::Unknown, "context deadline exceeded"));
        let stack = ServiceBuilder::new()
            .layer(DeadlineLayer::new().default_timeout(SECOND))
            .layer(limit())
            .service(go);
        let start = Instant::now();
        let status = watch(stack, Some(kind)).await.unwrap_err();
        assert_eq!(start.elapsed(), SECOND);
        let said = "the deadline of 1s passed while reading the response";
        assert!(status.message().starts_with(said), "{status}");
        assert_eq!(*heard.lock().unwrap(), [Some(SECOND)]);
    }
}

// CONTRACT D12: its opening has the time of an attempt
#[transports::test(start_paused = true)]
async fn a_stream_of_a_known_kind_that_does_not_open_is_ended_by_the_timeout() {
    for kind in STREAMS {
        for (layer, answer) in [
            (limit(), Answer::hang()),
            (limit().until_first_message(), Answer::hang_after_head()),
        ] {
            let server = Server::in_memory();
            server.script().otherwise(answer);
            let start = Instant::now();
            let status = watch(layer.layer(server.channel()), Some(kind)).await;
            timed_out(&status.unwrap_err());
            assert_eq!(start.elapsed(), LIMIT);
        }
    }
}

// CONTRACT D12: such a server was told of no end
#[transports::test(start_paused = true)]
async fn what_a_stream_of_a_known_kind_says_near_the_timeout_is_its_own_word() {
    let server = Server::in_memory();
    let answer = Answer::status(Code::Cancelled, "stopped").after(ms(299));
    server.script().otherwise(answer);
    let stack = limit().layer(server.channel());
    let status = watch(stack, Some(MethodKind::ServerStreaming)).await;
    let status = status.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Cancelled, "stopped")
    );
}

/// What says that the attempt's timeout did it, and what to do.
fn names_the_timeout(status: &Status, limit: Duration) {
    assert_eq!(timed_out(status), Progress::Reached);
    let said = format!("the attempt's timeout of {limit:?} passed while reading the response");
    assert!(status.message().starts_with(&said), "{status}");
    assert!(
        status.message().contains("no_attempt_timeout()"),
        "{status}"
    );
}

// CONTRACT D12: the server ends it, since it was told
#[tokio::test(start_paused = true)]
async fn a_stream_of_unknown_kind_that_its_server_ends_names_the_timeout() {
    let seconds = || AttemptTimeoutLayer::new(2 * SECOND).unwrap();
    for (layer, limit, grace) in [(limit(), LIMIT, GRACE), (seconds(), 2 * SECOND, ms(50))] {
        for layer in [layer, layer.until_first_message()] {
            for (code, words) in [
                (Code::Unknown, "context deadline exceeded"),
                (Code::Cancelled, ""),
                (Code::DeadlineExceeded, "Deadline Exceeded"),
            ] {
                let (go, heard) = heard(obedient(code, words));
                let start = Instant::now();
                let status = watch(layer.layer(go.clone()), None).await.unwrap_err();
                names_the_timeout(&status, limit);
                assert_eq!(start.elapsed(), limit + grace);
                // The server's word is the source.
                let said = ours(&status)[1];
                assert_eq!((said.code(), said.status().message()), (code.into(), words));

                let full = Resilience::new()
                    .default_timeout(SECOND / 2)
                    .attempt_timeout(layer);
                let mut request = hello();
                request.call_options().no_timeout();
                let answers = client(full.wrap(go)).server_stream(request).await;
                let mut answers = answers.unwrap().into_inner();
                answers.message().await.unwrap();
                let status = answers.message().await.unwrap_err();
                names_the_timeout(&status, limit);
                assert_eq!(GiveUp::find(&status), Some(GiveUp::Committed));
                let told = Some(limit + grace);
                assert_eq!(*heard.lock().unwrap(), [told, told]);
            }
        }
    }
}

// CONTRACT D11: its words have to say so
#[tokio::test(start_paused = true)]
async fn a_stream_of_unknown_kind_that_fails_by_itself_is_not_put_down_to_the_timeout() {
    let stack = limit().layer(obedient(Code::Unknown, "out of disk"));
    let status = watch(stack, None).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unknown, "out of disk")
    );
}
