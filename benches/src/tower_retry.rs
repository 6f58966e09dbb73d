//! The policy that the user of `tower::retry` must write.

use std::sync::Arc;

use http::Response;
use tokio::time::Sleep;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::retry::Policy;
use tower::retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};
use tower::retry::budget::{Budget, TpsBudget};

use crate::collect::Collected;

/// Four attempts on UNAVAILABLE, backed off exponentially, within a budget that the clones share.
#[derive(Clone, Debug)]
pub struct Unavailable {
    retries_left: u32,
    backoff: ExponentialBackoff,
    budget: Arc<TpsBudget>,
}

impl Unavailable {
    /// A policy with tower's own backoff and budget.
    #[must_use]
    pub fn new() -> Self {
        Self {
            retries_left: 3,
            backoff: ExponentialBackoffMaker::default().make_backoff(),
            budget: Arc::default(),
        }
    }
}

impl Default for Unavailable {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy<Collected, Response<Body>, Status> for Unavailable {
    type Future = Sleep;

    fn retry(
        &mut self,
        _: &mut Collected,
        outcome: &mut Result<Response<Body>, Status>,
    ) -> Option<Sleep> {
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

    fn clone_request(&mut self, request: &Collected) -> Option<Collected> {
        Some(request.clone())
    }
}

/// Of a Trailers-Only answer, the only one that can be judged before the body is read.
fn code(outcome: &Result<Response<Body>, Status>) -> Code {
    match outcome {
        Ok(response) => {
            let status = response.headers().get("grpc-status");
            status.map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()))
        }
        Err(status) => status.code(),
    }
}
