//! What layers owe to a service that was polled ready.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::{BoxError, Error};
use http::{Request, Response};
use tokio::time::timeout;
use tonic::body::Body;
use tower::{Layer, Service, ServiceExt as _};

use crate::support::{SECOND, policy};

/// One call at a time, as tower's concurrency limit.
struct One {
    free: Arc<tokio::sync::Semaphore>,
    permit: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl Clone for One {
    fn clone(&self) -> Self {
        Self {
            free: Arc::clone(&self.free),
            permit: None,
        }
    }
}

impl Service<Request<Body>> for One {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.permit.is_none() {
            self.permit = Arc::clone(&self.free).try_acquire_owned().ok();
        }
        if self.permit.is_some() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let permit = self.permit.take().expect("called while not ready");
        Box::pin(async move {
            drop(permit);
            let mut response = Response::new(Body::empty());
            response
                .headers_mut()
                .insert("grpc-status", "0".parse().unwrap());
            Ok(response)
        })
    }
}

async fn frees_its_permit<L>(layer: L, spoil: impl FnOnce(&mut Request<Body>))
where
    L: Layer<One>,
    L::Service: Service<Request<Body>, Error = Error> + Clone,
{
    let one = One {
        free: Arc::new(tokio::sync::Semaphore::new(1)),
        permit: None,
    };
    let mut a = layer.layer(one);
    let b = a.clone();
    let mut request = Request::new(Body::empty());
    spoil(&mut request);
    let call = a.ready().await.unwrap().call(request);
    assert!(call.await.is_err());
    // `a` is idle now, as a client in a struct is.
    let other = timeout(SECOND, b.oneshot(Request::new(Body::empty()))).await;
    assert!(other.is_ok(), "an idle client holds the only permit");
}

// DESIGN decision 1
#[tokio::test(start_paused = true)]
async fn a_call_that_retry_refuses_gives_the_ready_service_back() {
    frees_its_permit(RetryLayer::new(policy()), |request| {
        request.call_options().max_attempts(0);
    })
    .await;
}

// DESIGN decision 1
#[tokio::test(start_paused = true)]
async fn a_call_that_deadline_refuses_gives_the_ready_service_back() {
    frees_its_permit(DeadlineLayer::new(), |request| {
        request.call_options().timeout(Duration::ZERO);
    })
    .await;
}

/// Once its readiness failed it must not be polled again, as tower's contract has it.
struct Breaks {
    broken: bool,
    once: Arc<AtomicU32>,
}

impl Clone for Breaks {
    fn clone(&self) -> Self {
        Self {
            broken: false,
            once: Arc::clone(&self.once),
        }
    }
}

impl Service<Request<Body>> for Breaks {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        assert!(!self.broken, "polled after it failed");
        if self.once.fetch_add(1, Ordering::Relaxed) == 0 {
            self.broken = true;
            return Poll::Ready(Err("broken".into()));
        }
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let mut response = Response::new(Body::empty());
        response
            .headers_mut()
            .insert("grpc-status", "0".parse().unwrap());
        ready(Ok(response))
    }
}

// PEER-CASES TW-readiness
#[tokio::test(start_paused = true)]
async fn a_service_whose_readiness_failed_is_not_used_any_more() {
    let mut stack = DeadlineLayer::new().layer(Breaks {
        broken: false,
        once: Arc::default(),
    });
    let call = stack
        .ready()
        .await
        .unwrap()
        .call(Request::new(Body::empty()));
    assert!(call.await.is_err());
    let call = stack
        .ready()
        .await
        .unwrap()
        .call(Request::new(Body::empty()));
    assert!(call.await.is_ok());
}
