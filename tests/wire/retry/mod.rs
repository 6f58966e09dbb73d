//! What the retry layer makes of the faults of a transport.
//!
//! The clock is paused. That is sound over these sockets, as no timer runs while bytes are on their
//! way: backoff is the only one, and nothing is sent meanwhile. A backoff of a second tells a retry
//! of the policy from a transparent one.

mod answers;
mod bounds;
mod committed;
mod evidence;
mod goaway;
mod live;
mod not_sent;
mod refused;
mod reported;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc_resilience::__internal;
use grpc_resilience::budget::BudgetLayer;
use grpc_resilience::call::{AttemptKind, Budget, Permit};
use grpc_resilience::classify::Progress;
use grpc_resilience::retry::{RetryBody, RetryLayer, RetryPolicy};
use grpc_resilience::{BoxError, Error};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tonic::body::Body;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_service::Service;
use transports::{Channel, ResponseBody};

use super::support::{declared, every, log, request};

const BACKOFF: Duration = Duration::from_secs(1);
/// tokio's timers count in milliseconds.
const AT_ONCE: Duration = Duration::from_millis(2);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

type Answer = Result<Response<RetryBody<ResponseBody>>, Error>;

fn policy(max_attempts: u32) -> RetryPolicy {
    let policy = RetryPolicy::new().max_attempts(max_attempts).unwrap();
    policy.backoff(every(BACKOFF))
}

/// A channel under the retry layer; what passes between the two is written down.
#[derive(Clone)]
struct Client {
    channel: Channel,
    policy: RetryPolicy,
    sent: Arc<Mutex<Vec<Sent>>>,
    budget: Arc<Counter>,
}

/// One request as the layer handed it to the channel.
#[derive(Clone, Debug)]
struct Sent {
    /// `grpc-previous-rpc-attempts`.
    previous: Option<String>,
    at: Instant,
    /// `None` if it was answered.
    failed: Option<Progress>,
}

impl Client {
    fn new(channel: impl Into<Channel>, policy: RetryPolicy) -> Self {
        let channel = channel.into();
        log::listen();
        Self {
            channel,
            policy,
            sent: Arc::default(),
            budget: Arc::default(),
        }
    }

    /// The same client, with a log and a budget of its own.
    fn apart(&self) -> Self {
        Self::new(self.channel.clone(), self.policy.clone())
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let service = ServiceBuilder::new()
            .layer(BudgetLayer::new(Arc::clone(&self.budget)))
            .layer(RetryLayer::new(self.policy.clone()))
            .service(self.recorded());
        service.oneshot(request).await
    }

    /// An undeclared call.
    async fn call(&self) -> Answer {
        self.send(request()).await
    }

    fn recorded(
        &self,
    ) -> impl Service<
        Request<Body>,
        Response = Response<ResponseBody>,
        Error = BoxError,
        Future: Send,
    > + Clone
    + use<> {
        let (channel, sent) = (self.channel.clone(), Arc::clone(&self.sent));
        service_fn(move |request: Request<Body>| {
            let (channel, sent) = (channel.clone(), Arc::clone(&sent));
            let number = note(&sent, &request);
            async move {
                let answer = channel.oneshot(request).await;
                let failed = answer
                    .as_ref()
                    .err()
                    .map(|error| __internal::failure(&**error));
                sent.lock().unwrap()[number].failed = failed.map(|verdict| verdict.progress);
                answer
            }
        })
    }

    fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// The attempts headers, in the order of sending.
    fn previous(&self) -> Vec<Option<String>> {
        self.sent().into_iter().map(|sent| sent.previous).collect()
    }

    /// How long the layer waited before each request but the first.
    fn waits(&self) -> Vec<Duration> {
        let sent = self.sent();
        let pairs = sent.iter().zip(sent.iter().skip(1));
        pairs.map(|(one, next)| next.at - one.at).collect()
    }
}

fn note(sent: &Mutex<Vec<Sent>>, request: &Request<Body>) -> usize {
    let previous = request.headers().get("grpc-previous-rpc-attempts");
    let mut sent = sent.lock().unwrap();
    sent.push(Sent {
        previous: previous.map(|value| value.to_str().unwrap().to_owned()),
        at: Instant::now(),
        failed: None,
    });
    sent.len() - 1
}

/// `None` for an attempt without the header.
fn numbers<const N: usize>(numbers: [u32; N]) -> Vec<Option<String>> {
    numbers
        .map(|number| (number > 0).then(|| number.to_string()))
        .into()
}

/// Counts, and refuses nothing.
#[derive(Debug, Default)]
struct Counter(Mutex<Counts>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    failed: u32,
    permits: u32,
}

impl Counter {
    fn counts(&self) -> Counts {
        *self.0.lock().unwrap()
    }
}

impl Budget for Counter {
    fn succeeded(&self) {}

    fn failed(&self) {
        self.0.lock().unwrap().failed += 1;
    }

    fn permit(&self, _: AttemptKind) -> Option<Permit> {
        self.0.lock().unwrap().permits += 1;
        Some(Permit::free())
    }
}

/// The `grpc-status` of a whole answer.
async fn status_of(answer: Answer) -> String {
    let answer = answer.unwrap();
    let in_head = answer.headers().get("grpc-status").cloned();
    let body = answer.into_body().collect().await.unwrap();
    let trailers = body
        .trailers()
        .and_then(|trailers| trailers.get("grpc-status"));
    let status = in_head.or(trailers.cloned()).unwrap();
    status.to_str().unwrap().to_owned()
}

fn failed(answer: Answer) -> Error {
    answer.expect_err("the call fails")
}

fn is_backoff(wait: Duration) -> bool {
    (BACKOFF..BACKOFF + AT_ONCE).contains(&wait)
}
