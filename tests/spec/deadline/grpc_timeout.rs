//! What becomes of the `grpc-timeout` that a caller writes.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{Error, Resilience};
use http::{Request, Response};
use testing::method;
use tonic::body::Body;
use tower::{Layer, Service, ServiceExt as _};

use crate::support::SECOND;

/// Notes every `grpc-timeout` of each request.
#[derive(Clone, Default)]
struct Noting(Arc<Mutex<Vec<Vec<String>>>>);

impl Service<Request<Body>> for Noting {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let values = request.headers().get_all("grpc-timeout").iter();
        let values = values.map(|value| value.to_str().unwrap().to_owned());
        self.0.lock().unwrap().push(values.collect());
        let response = Response::builder().header("grpc-status", "0");
        ready(Ok(response.body(Body::empty()).unwrap()))
    }
}

/// What goes on of these, of a second call, for which nothing waits.
async fn passed_on<L>(layer: L, written: &[&str]) -> Vec<String>
where
    L: Layer<Noting, Service: Service<Request<Body>, Error = Error>>,
{
    let seen = Noting::default();
    let mut stack = layer.layer(seen.clone());
    for written in [&[], written] {
        let mut request = Request::post(method::UNARY).body(Body::empty()).unwrap();
        for value in written {
            let value = value.parse().unwrap();
            request.headers_mut().append("grpc-timeout", value);
        }
        let call = stack.ready().await.unwrap().call(request);
        drop(call.await.unwrap());
    }
    let mut seen = seen.0.lock().unwrap();
    seen.pop().unwrap()
}

// CONTRACT D2
#[tokio::test(start_paused = true)]
async fn a_caller_s_own_timeout_goes_on_as_it_was_written_if_it_is_what_ends_the_call() {
    let full = || Resilience::new().default_timeout(5 * SECOND);
    let five = || DeadlineLayer::new().default_timeout(5 * SECOND);
    for (written, bounded, unbounded) in [
        (&["3S"][..], "3S", "3S"),
        (&["03000m"], "03000m", "03000m"),
        (&["5S"], "5S", "5S"),
        (&["9S"], "5000000u", "9S"),
        // One value says one thing, whoever reads which.
        (&["3S", "9H"], "3000000u", "3000000u"),
        (&["3S", "3S"], "3000000u", "3000000u"),
        (&["9S", "3S"], "5000000u", "9000000u"),
    ] {
        assert_eq!(passed_on(full(), written).await, [bounded], "{written:?}");
        assert_eq!(passed_on(five(), written).await, [bounded]);
        let retry = RetryLayer::default();
        assert_eq!(passed_on(retry, written).await, [unbounded], "{written:?}");
        let wait = WaitForReadyLayer::new();
        assert_eq!(passed_on(wait, written).await, [unbounded], "{written:?}");
    }
    assert_eq!(passed_on(RetryLayer::default(), &["0S"]).await, ["1n"]);
}
