//! A service that counts, and breaks off as a test says.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use test_protos::{Echo, EchoRequest, EchoResponse};
use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

/// The text of a number that can be resumed at.
pub(crate) const TOKEN: &str = "token";

/// The text of a message that says that the token is lost.
pub(crate) const LOST: &str = "lost";

/// What a stream does next; at the end it ends with OK.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A number with a token.
    Token(u32),
    /// A number without one.
    Part(u32),
    /// A number without a token, in a message of this many bytes.
    Large(u32, usize),
    Lost,
    Yield,
    Wait(Duration),
    Hang,
    Fail(Status),
}

pub(crate) type Steps = Box<dyn Iterator<Item = Step> + Send>;

/// A call, from 0, and the number after which it is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) call: usize,
    pub(crate) after: Option<u32>,
}

impl Asked {
    /// The first number to send.
    pub(crate) fn first(&self) -> u32 {
        self.after.unwrap_or(0) + 1
    }
}

pub(crate) type Answer = Arc<dyn Fn(Asked) -> Result<Steps, Status> + Send + Sync>;

/// These steps, and then the end.
#[expect(
    clippy::unnecessary_wraps,
    reason = "beside it stand answers that are failures"
)]
pub(crate) fn steps(steps: impl IntoIterator<Item = Step>) -> Result<Steps, Status> {
    Ok(Box::new(steps.into_iter().collect::<Vec<_>>().into_iter()))
}

#[derive(Clone)]
pub(crate) struct Service {
    answer: Answer,
    pub(crate) seen: Arc<Seen>,
}

/// What the service has seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) calls: Mutex<Vec<(Instant, Asked)>>,
    pub(crate) open: AtomicUsize,
}

impl Seen {
    pub(crate) fn count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// The numbers after which calls were to go on.
    pub(crate) fn asked(&self) -> Vec<Option<u32>> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|(_, asked)| asked.after).collect()
    }

    /// The waits between calls.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        let calls = self.calls.lock().unwrap();
        calls.windows(2).map(|two| two[1].0 - two[0].0).collect()
    }
}

impl Service {
    pub(crate) fn new(
        answer: impl Fn(Asked) -> Result<Steps, Status> + Send + Sync + 'static,
    ) -> Self {
        Self {
            answer: Arc::new(answer),
            seen: Arc::default(),
        }
    }
}

/// Counts a stream while it lives.
struct Open(Arc<Seen>);

impl Open {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.open.fetch_add(1, SeqCst);
        Self(Arc::clone(seen))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<EchoResponse, Status>> + Send>>;

async fn step(step: Step) -> Option<Result<EchoResponse, Status>> {
    let (index, text) = match step {
        Step::Token(index) => (index, TOKEN.to_owned()),
        Step::Part(index) => (index, String::new()),
        Step::Large(index, bytes) => (index, "x".repeat(bytes)),
        Step::Lost => (0, LOST.to_owned()),
        Step::Yield => {
            tokio::task::yield_now().await;
            return None;
        }
        Step::Wait(wait) => {
            tokio::time::sleep(wait).await;
            return None;
        }
        Step::Hang => std::future::pending().await,
        Step::Fail(status) => return Some(Err(status)),
    };
    Some(Ok(EchoResponse {
        index,
        text,
        ..EchoResponse::default()
    }))
}

#[tonic::async_trait]
impl Echo for Service {
    type ServerStreamStream = Answers;
    type ServerStreamIdempotentStream = Answers;
    type BidiStreamStream = Answers;

    async fn server_stream(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<Answers>, Status> {
        let asked = {
            let mut calls = self.seen.calls.lock().unwrap();
            let asked = Asked {
                call: calls.len(),
                after: request.get_ref().text.parse().ok(),
            };
            calls.push((Instant::now(), asked));
            asked
        };
        let open = Open::new(&self.seen);
        let steps = (self.answer)(asked)?;
        let answers = tokio_stream::iter(steps).then(step).filter_map(move |it| {
            let _open = &open;
            it
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn server_stream_idempotent(
        &self,
        _request: Request<EchoRequest>,
    ) -> Result<Response<Answers>, Status> {
        // Never gives a head.
        let _open = Open::new(&self.seen);
        std::future::pending().await
    }

    async fn unary(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        let text = request.into_inner().text;
        Ok(Response::new(EchoResponse {
            text,
            ..EchoResponse::default()
        }))
    }

    async fn unary_idempotent(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        self.unary(request).await
    }

    async fn unary_no_side_effects(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        self.unary(request).await
    }

    async fn unary_unknown(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        self.unary(request).await
    }

    async fn client_stream(
        &self,
        _request: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<EchoResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn bidi_stream(
        &self,
        _request: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<Answers>, Status> {
        Err(Status::unimplemented(""))
    }
}
