//! Calls that the server would refuse are not sent.

mod counts;
mod overload;
mod recovery;
mod stack;

use grpc_resilience::GiveUp;
use grpc_resilience::adaptive_throttle::{AdaptiveThrottle, AdaptiveThrottleLayer, Throttle};
use grpc_resilience::classify::{Progress, Reason};
use test_protos::EchoClient;
use testing::{Answer, Server};
use tonic::{Code, Status};
use tower::Layer as _;
use transports::Channel;

use crate::support::{client, ours};

/// Alone over the server's channel; the dice fall the same each time.
fn throttling(server: &Server) -> (EchoClient<AdaptiveThrottle<Channel>>, Throttle) {
    let service = AdaptiveThrottleLayer::new().seed(7).layer(server.channel());
    let throttle = service.throttle();
    (client(service), throttle)
}

fn overloaded() -> Answer {
    Answer::status(Code::ResourceExhausted, "overloaded")
}

/// Requests, accepts and held back calls.
fn counts(throttle: &Throttle) -> (u64, u64, u64) {
    let seen = throttle.snapshot();
    (seen.requests, seen.accepts, seen.shed)
}

/// Whether the layer held the call back; another failure is the server's.
fn was_shed(status: &Status) -> bool {
    let verdict = ours(status).first().map(|error| error.verdict());
    let is_shed = verdict.is_some_and(|verdict| verdict.reason == Reason::Throttled);
    if is_shed {
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(GiveUp::find(status), Some(GiveUp::Throttled));
        assert_eq!(verdict.unwrap().progress, Progress::NotSent);
    }
    is_shed
}
