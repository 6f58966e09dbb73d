//! A call that waits for the channel is one line in the log (CONTRACT V1).

use bytes::Bytes;
use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::backoff::{Exponential, Jitter};
use grpc_resilience::channel::Channel;
use grpc_resilience::{
    BoxError, CallOptionsExt as _, Resilience, RetryLayer, RetryPolicy, WaitForReadyLayer,
};
use http_body::Body as HttpBody;
use test_protos::{EchoClient, EchoRequest};
use tokio::time::sleep;
use tonic::Request;
use tonic::body::Body;
use tonic::client::GrpcService;
use tower::Layer as _;

use crate::common::log::Ear;
use crate::common::manner::Manner;
use crate::common::net::{Host, Net};
use crate::common::*;

const LINE: &str = "the call waits for the channel";

fn declared() -> Request<EchoRequest> {
    let mut request = Request::new(EchoRequest::default());
    request.call_options().idempotent();
    request
}

/// The log of a call that finds its server down, fails at its first attempt as this server lets
/// it, and finds the server down again.
async fn twice_waiting<S>(
    server: &Manner,
    request: Request<EchoRequest>,
    over: impl Fn(Channel) -> S,
) -> Ear
where
    S: Clone + Send + 'static,
    S: GrpcService<
            Body,
            Error: Into<BoxError>,
            ResponseBody: HttpBody<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
            Future: Send,
        >,
{
    let net = Net::default();
    let down = |host: Host| {
        net.refuse("host");
        drop(host);
        sleep(50 * MS)
    };
    let host = net.serve("host");
    let channel = connected(net.builder()).await;
    let mut client = EchoClient::new(over(channel));
    client.unary(declared()).await.unwrap();
    down(host).await;
    let ear = Ear::new();
    let call = tokio::spawn(async move { client.unary(request).await.map(drop) });
    sleep(50 * MS).await;
    let host = net.serve_as("host", server);
    until(|| server.calls() == 1).await;
    sleep(10 * MS).await;
    down(host).await;
    sleep(1_000 * MS).await;
    let last = Manner::default();
    let _host = net.serve_as("host", &last);
    call.await.unwrap().unwrap();
    assert_eq!(last.calls(), 1);
    ear
}

// CONTRACT V1
#[tokio::test(start_paused = true)]
async fn a_call_whose_attempts_wait_each_is_one_line() {
    let policy = || {
        let backoff = Exponential::new(500 * MS).unwrap().jitter(Jitter::None);
        RetryPolicy::new().max_attempts(3).unwrap().backoff(backoff)
    };
    let limit = || AttemptTimeoutLayer::new(LONG).unwrap();
    let stack = || Resilience::new().retry(policy());
    let patient = || {
        let mut request = declared();
        request.call_options().wait_for_ready();
        request
    };
    let by_hand = || RetryLayer::new(policy());
    let waiting = || WaitForReadyLayer::new();
    let all = || stack().attempt_timeout(limit());
    let lost = || Manner::taking(60_000);
    let refused = || Manner::default().failing_one_in(1);
    let servers: [fn() -> Manner; 2] = [lost, refused];
    for server in servers {
        for (name, ear) in [
            (
                "a stack",
                twice_waiting(&server(), declared(), |it| stack().wrap(it)).await,
            ),
            // Its first attempt takes the short way, which keeps no trace of the call.
            (
                "the caller",
                twice_waiting(&server(), patient(), |it| stack().wrap(it)).await,
            ),
            (
                "all layers",
                twice_waiting(&server(), patient(), |it| all().wrap(it)).await,
            ),
            (
                "a retry layer",
                twice_waiting(&server(), patient(), |it| by_hand().layer(it)).await,
            ),
            (
                "two layers",
                twice_waiting(&server(), declared(), |it| {
                    by_hand().layer(waiting().layer(it))
                })
                .await,
            ),
        ] {
            assert_eq!(ear.count(LINE), 1, "{name}: {}", ear.text());
            assert_eq!(ear.count("is retried"), 1, "{name}: {}", ear.text());
        }
    }
}

// CONTRACT V1
#[tokio::test(start_paused = true)]
async fn a_wait_that_began_before_the_first_dial_failed_is_one_line() {
    let net = Net::default();
    let ear = Ear::new();
    let mut client = EchoClient::new(net.builder().build().unwrap());
    let mut request = declared();
    request.call_options().wait_for_ready();
    let call = tokio::spawn(async move { client.unary(request).await.map(drop) });
    sleep(5_000 * MS).await;
    let _host = net.serve("host");
    call.await.unwrap().unwrap();
    assert_eq!(ear.count(LINE), 1, "{}", ear.text());
}
