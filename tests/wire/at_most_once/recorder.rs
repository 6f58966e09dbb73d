//! The channel below the stack, with a record of each sending and of what the client was told of
//! it.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use grpc_resilience::BoxError;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;
use transports::{Channel, ResponseBody};

use super::call::CALL;
use super::transport_word::Told;

/// The header with the number of the sending, from 0.
pub(super) const SENDING: &str = "x-sending";

/// What the client was told of each sending, by call.
#[derive(Clone, Debug, Default)]
pub(super) struct Record(Arc<Mutex<HashMap<u32, Vec<Told>>>>);

impl Record {
    pub(super) fn of(&self, call: u32) -> Vec<Told> {
        self.0
            .lock()
            .unwrap()
            .get(&call)
            .cloned()
            .unwrap_or_default()
    }

    fn begin(&self, call: u32) -> usize {
        let mut record = self.0.lock().unwrap();
        let sent = record.entry(call).or_default();
        sent.push(Told::Nothing);
        sent.len() - 1
    }

    fn note(&self, call: u32, sending: usize, told: Told) {
        self.0.lock().unwrap().get_mut(&call).unwrap()[sending] = told;
    }
}

#[derive(Clone, Debug)]
pub(super) struct Recorder {
    channel: Channel,
    record: Record,
}

impl Recorder {
    pub(super) fn new(channel: Channel, record: Record) -> Self {
        Self { channel, record }
    }
}

impl Service<Request<Body>> for Recorder {
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let call = request.headers()[CALL].to_str().unwrap().parse().unwrap();
        let record = self.record.clone();
        let sending = record.begin(call);
        request.headers_mut().insert(SENDING, sending.into());
        let path = request.uri().path().to_owned();
        let is_read = Arc::new(AtomicBool::new(false));
        let answer = self.channel.call(request.map(|body| {
            Body::new(Watched {
                body,
                is_read: Arc::clone(&is_read),
            })
        }));
        Box::pin(async move {
            let answer = answer.await;
            let told = match &answer {
                Ok(answer) => Told::by_answer(&path, answer.headers()),
                Err(error) => Told::by(&**error, is_read.load(Ordering::Relaxed)),
            };
            record.note(call, sending, told);
            answer
        })
    }
}

/// Notes that the transport reads a request's body.
struct Watched {
    body: Body,
    is_read: Arc<AtomicBool>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.is_read.store(true, Ordering::Relaxed);
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
