//! A channel that goes down and comes back: one line each.

use grpc_resilience::Resilience;
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use test_protos::EchoClient;
use testing::{Server, every, ms, undeclared};
use tokio::time::sleep;
use tower::Layer;
use tracing::Level;

use crate::support::{Ear, Heard};

/// The lines of states, without those of single calls.
fn states(ear: &Ear) -> Vec<Heard> {
    let mut heard = ear.take();
    heard.retain(|heard| heard.level < Level::DEBUG);
    heard
}

// CONTRACT V1
#[tokio::test(start_paused = true)]
async fn an_outage_is_one_line_when_it_begins_and_one_when_it_ends() {
    let ear = Ear::new();
    let server = Server::in_memory();
    let waiting = WaitForReadyLayer::new().backoff(every(ms(100)));
    let stack = Resilience::new()
        .wait_for_ready(waiting)
        .wrap(server.channel());
    let client = EchoClient::new(stack);
    client.clone().unary(undeclared()).await.unwrap();
    assert_eq!(states(&ear), [], "a channel that starts well says nothing");
    for _ in 0..2 {
        server.stop();
        let calls: Vec<_> = (0..10)
            .map(|_| {
                let mut client = client.clone();
                tokio::spawn(async move { client.unary(undeclared()).await })
            })
            .collect();
        sleep(ms(3_450)).await;
        let down = states(&ear);
        assert_eq!(down.len(), 1, "{down:#?}");
        let down = &down[0];
        assert_eq!(
            (down.level, down.text()),
            (Level::INFO, "the channel is down")
        );
        assert_eq!(down.target, "grpc_resilience");
        assert_eq!(
            down.of(["code", "reason", "delay"]),
            ["UNAVAILABLE", "connect_failed", "100ms"]
        );
        assert_ne!(down.get("error"), "");
        server.start().await;
        for call in calls {
            call.await.unwrap().unwrap();
        }
        let back = states(&ear);
        assert_eq!(back.len(), 1, "{back:#?}");
        assert_eq!(
            (back[0].level, back[0].text()),
            (Level::INFO, "the channel is back")
        );
        assert!(back[0].get("down_for").starts_with("3."), "{back:?}");
    }
}

// CONTRACT V1, R19
#[tokio::test(start_paused = true)]
async fn a_channel_that_is_shut_down_is_one_warning() {
    let ear = Ear::new();
    let stack = WaitForReadyLayer::new().layer(Closed);
    for _ in 0..3 {
        let mut request = undeclared();
        request.call_options().fail_fast();
        EchoClient::new(stack.clone())
            .unary(request)
            .await
            .unwrap_err();
    }
    let mut heard = states(&ear);
    heard.retain(|it| it.text().contains("shut down"));
    assert_eq!(heard.len(), 1, "{heard:#?}");
    assert_eq!(heard[0].level, Level::WARN);
    assert_eq!(heard[0].get("reason"), "channel_closed");
}

/// A service that can take no call any more.
#[derive(Clone)]
struct Closed;

impl tower::Service<http::Request<tonic::body::Body>> for Closed {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::io::Error;
    type Future = std::future::Pending<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Err(std::io::Error::other("closed")))
    }

    fn call(&mut self, _: http::Request<tonic::body::Body>) -> Self::Future {
        std::future::pending()
    }
}
