//! Layers of others between retry and wait for ready: what happens there is theirs to see and to change.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use grpc_resilience::retry::RetryLayer;
use grpc_resilience::{BoxError, Error};
use http::{Request, Response};
use testing::Server;
use tonic::body::Body;
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn};

use super::{lost, waiting};
use crate::support::{SECOND, client, policy, undeclared};

// CONTRACT W2, I1
#[transports::test(start_paused = true)]
async fn a_layer_between_that_makes_a_status_of_errors_does_not_end_the_wait() {
    let server = Arc::new(Server::in_memory());
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .map_err(|error: Error| tonic::Status::from_error(error.into()))
        .layer(waiting())
        .service(server.channel());
    lost(&server, stack.clone(), SECOND).await;
    client(stack).unary(undeclared()).await.unwrap();
}

// CONTRACT W2, I1
#[transports::test(start_paused = true)]
async fn a_layer_between_with_errors_of_its_own_does_not_end_the_wait() {
    let server = Arc::new(Server::in_memory());
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .map_err(|error: Error| std::io::Error::other(error.to_string()))
        .layer(waiting())
        .service(server.channel());
    lost(&server, stack.clone(), SECOND).await;
    client(stack).unary(undeclared()).await.unwrap();
}

#[transports::test(start_paused = true)]
async fn a_layer_around_attempts_hears_of_no_failure_while_the_call_waits() {
    let server = Arc::new(Server::in_memory());
    let failures = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&failures);
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .map_err(move |error: Error| {
            counter.fetch_add(1, Ordering::Relaxed);
            error
        })
        .layer(waiting())
        .service(server.channel());
    lost(&server, stack.clone(), SECOND).await;
    client(stack).unary(undeclared()).await.unwrap();
    assert_eq!(failures.load(Ordering::Relaxed), 0);
}

/// Says its first error again, as breakers do while they are open.
#[derive(Clone)]
struct Sticky<S> {
    inner: S,
    last: Arc<Mutex<Option<Error>>>,
    said: Arc<AtomicU32>,
}

impl<S> Service<Request<Body>> for Sticky<S>
where
    S: Service<Request<Body>, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Error>> + Send>>;
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }
    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let last = self.last.lock().unwrap().clone();
        if let Some(last) = last
            && self.said.fetch_add(1, Ordering::Relaxed) < 10_000
        {
            return Box::pin(async move { Err(last) });
        }
        let last = Arc::clone(&self.last);
        let call = self.inner.call(request);
        Box::pin(async move {
            let answer = call.await;
            if let Err(error) = &answer {
                *last.lock().unwrap() = Some(error.clone());
            }
            answer
        })
    }
}

#[transports::test(start_paused = true)]
async fn a_breaker_that_repeats_an_error_is_not_asked_again_without_a_pause() {
    let server = Arc::new(Server::in_memory());
    let said = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&said);
    let sticky = tower::layer::layer_fn(move |inner| Sticky {
        inner,
        last: Arc::default(),
        said: Arc::clone(&counter),
    });
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .layer(sticky)
        .layer(waiting())
        .service(server.channel());
    lost(&server, stack.clone(), SECOND).await;
    let _ = client(stack).unary(undeclared()).await;
    let said = said.load(Ordering::Relaxed);
    assert!(said < 20, "{said} attempts, and no wait between them");
}

/// Does what the steps say, and then answers.
fn scripted(
    steps: Arc<Mutex<Vec<&'static str>>>,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = BoxError,
    Future = Ready<Result<Response<Body>, BoxError>>,
> + Clone {
    service_fn(move |_: Request<Body>| {
        let mut steps = steps.lock().unwrap();
        let step = if steps.is_empty() {
            "ok"
        } else {
            steps.remove(0)
        };
        ready(match step {
            "ok" => {
                let mut response = Response::new(Body::empty());
                response
                    .headers_mut()
                    .insert("grpc-status", "0".parse().unwrap());
                Ok(response)
            }
            "ran" => Err(tonic::Status::unavailable("may have run").into()),
            "unsent" => Err(Box::new(tonic::ConnectError("refused".into())) as BoxError),
            _ => unreachable!(),
        })
    })
}

/// Once more, whatever happened.
#[derive(Clone)]
struct Twice(u32);

impl<R> tower::retry::Policy<Request<Body>, R, Error> for Twice {
    type Future = Ready<()>;
    fn retry(&mut self, _: &mut Request<Body>, result: &mut Result<R, Error>) -> Option<Ready<()>> {
        if result.is_ok() || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(ready(()))
    }
    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        let mut clone = Request::new(Body::empty());
        *clone.uri_mut() = request.uri().clone();
        *clone.headers_mut() = request.headers().clone();
        *clone.extensions_mut() = request.extensions().clone();
        Some(clone)
    }
}

// CONTRACT I4
#[tokio::test(start_paused = true)]
async fn what_may_have_run_is_not_begun_anew_because_its_repetition_was_not_sent() {
    let steps = Arc::new(Mutex::new(vec!["ok", "ran", "unsent", "ran", "ran", "ran"]));
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .layer(tower::retry::RetryLayer::new(Twice(1)))
        .layer(waiting())
        .service(scripted(Arc::clone(&steps)));
    stack
        .clone()
        .oneshot(Request::new(Body::empty()))
        .await
        .unwrap();
    let _ = stack.oneshot(Request::new(Body::empty())).await;
    let left = steps
        .lock()
        .unwrap()
        .iter()
        .filter(|it| **it == "ran")
        .count();
    assert!(
        left >= 2,
        "{left} left: the call may have run {} times",
        4 - left
    );
}
