//! A call that is made for another ends with it, whatever stands below (CONTRACT D10).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use grpc_resilience::call::{CallOptionsExt, ParentCall};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::{Error, GiveUp};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer as _, Service as _, service_fn};

use crate::support::{Endless, serving};

fn made_for(served: &ParentCall) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    request.call_options().parent(served);
    request
}

fn is_forsaken(error: &Error, phase: &str) {
    assert_eq!(error.code(), Code::Cancelled.into());
    let said = format!("the parent call ended while {phase}");
    assert_eq!(error.status().message(), said);
    assert_eq!(GiveUp::find(error), Some(GiveUp::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn a_call_made_for_one_that_is_over_never_reaches_the_service_below() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let below = service_fn(move |_: Request<Body>| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<Result<Response<Body>, Error>>()
    });
    let mut stack = DeadlineLayer::new().layer(below);
    let (served, response) = serving(None).await;
    let open = tokio::spawn(stack.call(made_for(&served)));
    crate::support::settle().await;
    drop(response);
    is_forsaken(
        &open.await.unwrap().unwrap_err(),
        "waiting for the answer to an attempt",
    );
    assert_eq!(count.load(Ordering::Relaxed), 1);
    let error = stack.call(made_for(&served)).await.unwrap_err();
    is_forsaken(&error, "waiting for the service below to take the request");
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_always_ready_is_cut_at_the_first_frame_after_the_served_call() {
    let endless = service_fn(|_: Request<Body>| async { Ok::<_, Error>(Response::new(Endless)) });
    let mut stack = DeadlineLayer::new().layer(endless);
    let (served, response) = serving(None).await;
    let mut body = stack.call(made_for(&served)).await.unwrap().into_body();
    for _ in 0..3 {
        assert!(body.frame().await.unwrap().is_ok());
    }
    drop(response);
    let error = body.frame().await.unwrap().unwrap_err();
    is_forsaken(&error, "reading the response");
    assert!(body.frame().await.is_none(), "nothing follows");
}

// The deadline layer below bounds each attempt; what it says of a call that nobody waits for is final.
#[tokio::test(start_paused = true)]
async fn a_call_made_for_one_that_is_over_is_not_tried_again_whatever_the_policy_says() {
    let below =
        service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Error>>());
    let eager = RetryPolicy::new().retry_on(Code::Cancelled);
    let mut stack = RetryLayer::new(eager).layer(DeadlineLayer::new().layer(below));
    let (served, response) = serving(None).await;
    let mut request = made_for(&served);
    request.call_options().idempotent();
    let report = request.call_report();
    let open = tokio::spawn(stack.call(request));
    crate::support::settle().await;
    drop(response);
    let error = open.await.unwrap().err().unwrap();
    assert_eq!(GiveUp::find(&error), Some(GiveUp::Cancelled));
    assert_eq!((report.attempts(), report.waits()), (1, 0));
}
