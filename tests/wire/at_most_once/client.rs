//! Runs the calls.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use grpc_resilience::BoxError;
use http::Response;
use http_body_util::{BodyExt as _, Collected};
use tokio::time::{Instant, timeout};
use tonic::body::Body;
use tower::ServiceExt as _;

use super::super::support::log;
use super::call::{Call, End};
use super::recorder::Record;
use super::setup::Setup;
use super::stack::Stacked;
use super::transport_word::Told;

/// So many calls at once share a connection.
const ABREAST: usize = 8;
/// No call takes so long: it hangs.
const FOREVER: Duration = Duration::from_secs(24 * 3_600);

/// How a call ended for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Failed,
    Dropped,
}

/// One call, as it ended and as it went.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) call: Call,
    pub(super) outcome: Outcome,
    /// What the caller of a failed call was told.
    pub(super) failure: Option<String>,
    pub(super) took: Duration,
    /// What the client was told of each sending.
    pub(super) sent: Vec<Told>,
}

#[derive(Clone)]
pub(super) struct Client {
    stack: Stacked,
    setup: Arc<Setup>,
    record: Record,
    next: Arc<AtomicU32>,
}

impl Client {
    pub(super) fn new(stack: Stacked, setup: &Setup, record: Record) -> Self {
        log::listen();
        Self {
            stack,
            setup: Arc::new(setup.clone()),
            record,
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
        // What outlives its call may still be told of its sending.
        for ended in &mut ended {
            ended.sent = self.record.of(ended.call.number);
        }
        ended
    }

    /// One call after the other, while there are some.
    async fn line(self, calls: u32) -> Vec<Ended> {
        let mut ended = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= calls {
                return ended;
            }
            ended.push(self.call(number).await);
        }
    }

    async fn call(&self, number: u32) -> Ended {
        let call = Call::of(&self.setup, number);
        let start = Instant::now();
        let answer = self.stack.clone().oneshot(call.request());
        let running = ended_by(call.end, async { succeeded(answer.await).await });
        let Ok(ended) = timeout(FOREVER, running).await else {
            panic!("it hangs: {call:?} {:?}", self.record.of(number));
        };
        let (outcome, failure) = match ended {
            Some(Ok(())) => (Outcome::Succeeded, None),
            Some(Err(failure)) => (Outcome::Failed, Some(failure)),
            None => (Outcome::Dropped, None),
        };
        Ended {
            call,
            outcome,
            failure,
            took: start.elapsed(),
            sent: Vec::new(),
        }
    }
}

/// Runs a call until its caller has enough of it.
async fn ended_by<F: Future>(end: End, call: F) -> Option<F::Output> {
    match end {
        End::DropAfterPolls(polls) => polled(polls, call).await,
        End::DropAfter(time) => timeout(time, call).await.ok(),
        End::Answer | End::Deadline(_) | End::AttemptTimeout(_) => Some(call.await),
    }
}

async fn polled<F: Future>(mut polls: usize, call: F) -> Option<F::Output> {
    let mut call = pin!(call);
    poll_fn(|cx| match call.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if polls == 0 => Poll::Ready(None),
        Poll::Pending => {
            polls -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Whether the answer is OK to its end; its messages are those of one attempt, whole.
async fn succeeded(answer: Result<Response<Body>, BoxError>) -> Result<(), String> {
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    let in_head = answer.headers().get("grpc-status").cloned();
    let body = answer.into_body().collect().await;
    let body = body.map_err(|error| format!("{error:?} behind a head with {in_head:?}"))?;
    let in_trailers = Collected::trailers(&body).and_then(|it| it.get("grpc-status").cloned());
    let status = in_head.or(in_trailers);
    if status.as_ref().is_none_or(|status| status != "0") {
        return Err(format!("status {status:?}"));
    }
    let data = body.to_bytes();
    let mut messages = data.chunks(DONE.len());
    assert!(messages.all(|message| message == DONE), "{data:?}");
    Ok(())
}

/// The one message that answers hold, with its prefix.
const DONE: &[u8] = b"\0\0\0\0\x04done";
