//! `tower::retry` as its user writes it: the policy is the user's own, and since a request of tonic's
//! can't be cloned, its body is collected first and rebuilt for every attempt.

use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::{Code, Status};
use tower::ServiceBuilder;
use tower::retry::Policy;
use tower::retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};
use tower::retry::budget::{Budget, TpsBudget};
use tower_service::Service;

use super::{ATTEMPTS, Caller};
use crate::Failure;
use crate::proto::storm_client::StormClient;

pub(crate) const SETTINGS: &str = "tower 0.5 with a policy written for it, the body collected and rebuilt, the code read from the response's
headers; the defaults of ExponentialBackoffMaker (50 ms, doubling without a bound, up to 99 % jitter) and of TpsBudget
(over 10 s, retries for 20 % of the successes, and 10 a second)";

pub(crate) async fn connect(address: SocketAddr) -> Result<impl Caller, Failure> {
    let channel = super::connect(address).await?;
    let policy = UnavailablePolicy {
        retries_left: ATTEMPTS - 1,
        backoff: ExponentialBackoffMaker::default().make_backoff(),
        budget: Arc::default(),
    };
    let retrying = ServiceBuilder::new()
        .retry(policy)
        .map_request(|request: Request<Full<Bytes>>| request.map(Body::new))
        .map_err(|error: tonic::transport::Error| Status::from_error(error.into()))
        .service(channel);
    Ok(StormClient::new(Collect { inner: retrying }))
}

/// Cloned for each call by `tower::retry`; the clones share the budget.
#[derive(Clone)]
struct UnavailablePolicy {
    retries_left: u32,
    backoff: ExponentialBackoff,
    budget: Arc<TpsBudget>,
}

impl Policy<Request<Full<Bytes>>, Response<Body>, Status> for UnavailablePolicy {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Full<Bytes>>,
        outcome: &mut Result<Response<Body>, Status>,
    ) -> Option<Self::Future> {
        if code(outcome) != Code::Unavailable {
            self.budget.deposit();
            return None;
        }
        if self.retries_left == 0 || !self.budget.withdraw() {
            return None;
        }
        self.retries_left -= 1;
        Some(self.backoff.next_backoff())
    }

    fn clone_request(&mut self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
        Some(request.clone())
    }
}

/// tonic's server answers an error with headers alone, so the code is among them.
fn code(outcome: &Result<Response<Body>, Status>) -> Code {
    match outcome {
        Ok(response) => response
            .headers()
            .get("grpc-status")
            .map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes())),
        Err(status) => status.code(),
    }
}

/// Collects the body of each request.
#[derive(Clone)]
struct Collect<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for Collect<S>
where
    S: Service<Request<Full<Bytes>>, Error = Status, Future: Send> + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Status>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let unready = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, unready);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = Full::new(body.collect().await?.to_bytes());
            inner.call(Request::from_parts(parts, body)).await
        })
    }
}
