//! A handler that wakes when its time is up already.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use grpc_resilience::server_deadline::ServerDeadlineLayer;
use http::{Request, Response};
use tokio::time::advance;
use tower::{Layer as _, Service as _, service_fn};

use crate::support::ms;

// CONTRACT D10
#[tokio::test(start_paused = true)]
async fn a_step_of_a_handler_is_not_begun_once_its_time_is_up() {
    let steps = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&steps);
    let handler = service_fn(move |_: Request<()>| {
        let counted = Arc::clone(&counted);
        // Done at its second step, which comes too late.
        poll_fn(move |_| match counted.fetch_add(1, Ordering::Relaxed) {
            0 => Poll::Pending,
            _ => Poll::Ready(Ok::<_, Infallible>(Response::new(String::new()))),
        })
    });
    let request = Request::builder().header("grpc-timeout", "100m");
    let mut layered = ServerDeadlineLayer::new().layer(handler);
    let mut call = pin!(layered.call(request.body(()).unwrap()));
    let first = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending()));
    assert!(first.await);
    advance(ms(200)).await;
    let Ok(answer) = call.await;
    assert_eq!(answer.headers()["grpc-status"], "4");
    assert_eq!(steps.load(Ordering::Relaxed), 1);
}
