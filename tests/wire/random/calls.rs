//! The calls, each sending marked and written down.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::backoff::{Exponential, Jitter};
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::grpc::Code;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use http::Request;
use http_body_util::{BodyExt as _, Collected};
use peer::SeenStream;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

use super::super::common::{log, request_of};
use super::oracle::Told;

/// So many calls at once share a connection.
const ABREAST: usize = 8;
/// gRPC's prefix, the number of the call, and the number of the sending.
pub(super) const MARKED: usize = 5 + 4 + 4;
/// Longer than what a narrow window lets through.
const MESSAGE: usize = 64;

/// One call, as it ended and as it went.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) call: u32,
    pub(super) succeeded: bool,
    /// What the client was told of each sending.
    pub(super) sent: Vec<Told>,
}

/// Which call and which sending a stream was, if that much of it has arrived.
pub(super) fn mark(stream: &SeenStream) -> Option<(u32, usize)> {
    let number = |at: usize| {
        let bytes = stream.body.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().unwrap()))
    };
    Some((number(5)?, usize::try_from(number(9)?).unwrap()))
}

#[derive(Clone)]
pub(super) struct Client {
    channel: Channel,
    is_declared: bool,
    next: Arc<AtomicU32>,
}

impl Client {
    pub(super) fn new(channel: Channel, is_declared: bool) -> Self {
        log::listen();
        Self {
            channel,
            is_declared,
            next: Arc::default(),
        }
    }

    /// So many calls, some at once.
    pub(super) async fn all(&self, calls: u32) -> Vec<Ended> {
        let lines: Vec<_> = (0..ABREAST)
            .map(|_| tokio::spawn(self.clone().line(calls)))
            .collect();
        let mut ended = Vec::new();
        for line in lines {
            ended.extend(line.await.unwrap());
        }
        ended
    }

    /// One call after the other, while there are some.
    async fn line(self, calls: u32) -> Vec<Ended> {
        let mut ended = Vec::new();
        loop {
            let call = self.next.fetch_add(1, Ordering::Relaxed);
            if call >= calls {
                return ended;
            }
            ended.push(self.call(call).await);
        }
    }

    async fn call(&self, call: u32) -> Ended {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let recorded = service_fn({
            let (channel, sent) = (self.channel.clone(), Arc::clone(&sent));
            move |request: Request<Body>| record(channel.clone(), request, Arc::clone(&sent))
        });
        let service = ServiceBuilder::new()
            .layer(RetryLayer::new(policy()))
            .service(recorded);
        let mut message = [0; MESSAGE];
        message[..4].copy_from_slice(&call.to_be_bytes());
        let mut request = request_of(&message);
        if self.is_declared {
            request.call_options().idempotent();
        }
        let succeeded = match service.oneshot(request).await {
            Ok(answer) => {
                let in_head = answer.headers().get("grpc-status").cloned();
                let body = answer.into_body().collect().await.ok();
                let trailers = body.as_ref().and_then(Collected::trailers);
                let status = in_head.or(trailers.and_then(|it| it.get("grpc-status").cloned()));
                body.is_some() && status.is_some_and(|status| status == "0")
            }
            Err(_) => false,
        };
        let sent = sent.lock().unwrap().clone();
        Ended {
            call,
            succeeded,
            sent,
        }
    }
}

/// Retries what may be retried until it succeeds: no other limit is an excuse.
fn policy() -> RetryPolicy {
    let fixed = Exponential::new(Duration::from_millis(1)).unwrap();
    let fixed = fixed.multiplier(1.0).unwrap().jitter(Jitter::None);
    // The codes of resets.
    RetryPolicy::until_deadline()
        .retry_only_on([
            Code::Unavailable,
            Code::Internal,
            Code::Cancelled,
            Code::ResourceExhausted,
            Code::PermissionDenied,
        ])
        .backoff(fixed)
}

/// Sends with the number of the sending in its message.
async fn record(
    channel: Channel,
    request: Request<Body>,
    sent: Arc<Mutex<Vec<Told>>>,
) -> Result<http::Response<Body>, tonic::transport::Error> {
    let number = {
        let mut sent = sent.lock().unwrap();
        sent.push(Told::Nothing);
        sent.len() - 1
    };
    let request = request.map(|body| {
        Body::new(body.map_frame(move |frame| frame.map_data(|data| numbered(&data, number))))
    });
    let answer = channel.oneshot(request).await;
    sent.lock().unwrap()[number] = match &answer {
        Ok(_) => Told::Answer,
        Err(error) => Told::by(error),
    };
    answer
}

fn numbered(data: &Bytes, number: usize) -> Bytes {
    let mut data = data.to_vec();
    let number = u32::try_from(number).unwrap();
    data[MARKED - 4..MARKED].copy_from_slice(&number.to_be_bytes());
    data.into()
}
