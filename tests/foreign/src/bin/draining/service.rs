//! Unary calls of 50 ms, streams that end at the drain, and one that never ends.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::drain::Draining;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::StreamBody;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tower::{Service, service_fn};

/// The unary calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    started: AtomicU64,
    finished: AtomicU64,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [started, finished] = [&self.0.started, &self.0.finished].map(|it| it.load(Relaxed));
        write!(f, "started {started} finished {finished}")
    }
}

type Outcome<T> = Result<T, Infallible>;

pub(crate) fn service(
    count: Count,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    service_fn(move |request| {
        let count = count.clone();
        async move { Ok(answer(request, count).await) }
    })
}

async fn answer(request: Request<Body>, count: Count) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (frames, received) = channel(1);
    match parts.uri.path() {
        "/test.v1.Echo/Flood" => {
            tokio::spawn(flood(frames));
        }
        // Its request never ends.
        "/test.v1.Echo/BidiStream" => read(body).await,
        "/test.v1.Echo/ServerStream" => {
            tokio::spawn(stream(frames, parts.extensions.get().cloned()));
        }
        _ => {
            if count.0.started.fetch_add(1, Relaxed) == 0 {
                println!("a call came");
            }
            read(body).await;
            sleep(Duration::from_millis(50)).await;
            tokio::spawn(async move {
                let sent = frames.send(Ok(message(&[]))).await.is_ok()
                    && frames.send(Ok(ok())).await.is_ok();
                count.0.finished.fetch_add(u64::from(sent), Relaxed);
            });
        }
    }
    let mut response = Response::new(Body::new(StreamBody::new(ReceiverStream::new(received))));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    response
}

async fn read(body: Body) {
    let mut body = pin!(body);
    while let Some(Ok(_)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {}
}

async fn flood(frames: Sender<Outcome<Frame<Bytes>>>) {
    while frames.send(Ok(message(&[0; 16_000]))).await.is_ok() {}
}

/// A message every 100 ms, until the drain if the server has one.
async fn stream(frames: Sender<Outcome<Frame<Bytes>>>, draining: Option<Draining>) {
    let drained = async move {
        match draining {
            Some(draining) => draining.await,
            None => std::future::pending().await,
        }
    };
    let messages = async {
        while frames.send(Ok(message(&[]))).await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = messages => {}
        () = drained => {}
    }
    let _gone = frames.send(Ok(ok())).await;
}

fn message(message: &[u8]) -> Frame<Bytes> {
    let length = u32::try_from(message.len()).unwrap_or(0).to_be_bytes();
    Frame::data([&[0], &length[..], message].concat().into())
}

fn ok() -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    Frame::trailers(trailers)
}
