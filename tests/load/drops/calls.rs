//! Random calls, and random answers to them.

use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::BoxError;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::grpc::MethodKind;
use rand::RngExt as _;
use rand::rngs::StdRng;
use test_protos::{EchoClient, EchoRequest};
use testing::Answer;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::{Code, Request, Status};

use super::waiting_calls::WaitMode;

pub(crate) type Sender = mpsc::Sender<EchoRequest>;

pub(crate) fn message(payload: usize) -> EchoRequest {
    EchoRequest {
        payload: Bytes::from(vec![7; payload]),
        ..EchoRequest::default()
    }
}

pub(crate) fn declared<T>(message: T, kind: MethodKind) -> Request<T> {
    let mut request = Request::new(message);
    request.call_options().idempotent().kind(kind);
    request
}

pub(crate) fn answer(rng: &mut StdRng) -> Answer {
    let answer = match rng.random_range(0..7) {
        0 | 1 => Answer::status(Code::Unavailable, "down"),
        2 => Answer::status_in_trailers(Code::Unavailable, "down"),
        3 => Answer::hang(),
        4 => Answer::hang_after_head(),
        _ => Answer::handler(),
    };
    let answer = match rng.random_range(0..3) {
        0 => answer.reading_request(),
        1 => answer.reading_messages(1),
        _ => answer,
    };
    answer.after(Duration::from_millis(rng.random_range(0..4)))
}

/// A stream of which messages still come when the call is under way; with its sender if it never
/// ends by itself.
fn stream(rng: &mut StdRng) -> (Option<Sender>, ReceiverStream<EchoRequest>) {
    let (sender, receiver) = mpsc::channel(2);
    let messages = rng.random_range(0..6);
    let size = rng.random_range(0..3_000);
    let pause = Duration::from_millis(rng.random_range(0..3));
    let kept = rng.random::<bool>().then(|| sender.clone());
    tokio::spawn(async move {
        for _ in 0..messages {
            if sender.send(message(size)).await.is_err() {
                return;
            }
            sleep(pause).await;
        }
    });
    (kept, ReceiverStream::new(receiver))
}

/// Makes a call and drops it: whether it had ended, and its sender.
pub(crate) async fn dropped<T>(mut client: EchoClient<T>, mut rng: StdRng) -> (bool, Option<Sender>)
where
    T: GrpcService<Body, Error: Into<BoxError>>,
    T::ResponseBody: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    let patience = WaitMode::random(&mut rng);
    match rng.random_range(0..3) {
        0 => {
            let request = declared(message(rng.random_range(0..3_000)), MethodKind::Unary);
            (patience.run(client.unary(request)).await, None)
        }
        1 => {
            let (sender, stream) = stream(&mut rng);
            let request = declared(stream, MethodKind::ClientStreaming);
            (patience.run(client.client_stream(request)).await, sender)
        }
        _ => {
            let (sender, stream) = stream(&mut rng);
            let request = declared(stream, MethodKind::BidiStreaming);
            let call = async {
                let mut answers = client.bidi_stream(request).await?.into_inner();
                while answers.message().await?.is_some() {}
                Ok::<_, Status>(())
            };
            (patience.run(call).await, sender)
        }
    }
}
