//! What a handler says of itself by `raft::not_leader` and `raft::lost`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use grpc_resilience::GiveUp;
use grpc_resilience::raft;
use grpc_resilience::rate_limit::{ServerRateLimitBody, ServerRateLimitLayer};
use grpc_resilience::server_deadline::ServerDeadlineLayer;
use test_protos::{EchoResponse, EchoServer};
use testing::{Server, method};
use tonic::body::Body;
use tonic::service::LayerExt as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::{Layer as _, ServiceBuilder};

use super::{WORD, trusting};
use crate::server_deadline::closures::Front;
use crate::support::{Stack, client, policy, undeclared};

type MakeStatus = fn() -> Status;

/// The first call gets this status, and all others succeed.
fn at_first(runs: &Arc<AtomicUsize>, status: MakeStatus) -> Front {
    let runs = Arc::clone(runs);
    Front::unary(move |_| {
        let is_first = runs.fetch_add(1, Ordering::Relaxed) == 0;
        std::future::ready(if is_first {
            Err(status())
        } else {
            Ok(EchoResponse::default())
        })
    })
}

/// That handler without a layer, under each server layer, and under both.
fn servers(runs: &Arc<AtomicUsize>, status: MakeStatus) -> [(&'static str, Server, bool); 4] {
    let front = || at_first(runs, status);
    let limited = |deadlined: bool| {
        let boxed = |answer: http::Response<ServerRateLimitBody<_>>| answer.map(Body::new);
        let layers = ServiceBuilder::new()
            .map_response(boxed)
            .layer(ServerRateLimitLayer::unlimited());
        if !deadlined {
            let service = layers.named_layer(EchoServer::new(front()));
            return Server::builder().service(service).in_memory();
        }
        let boxed = |answer: http::Response<_>| answer.map(Body::new);
        let layers = layers.map_response(boxed).layer(ServerDeadlineLayer::new());
        let service = layers.named_layer(EchoServer::new(front()));
        Server::builder().service(service).in_memory()
    };
    let bare = Server::builder().service(EchoServer::new(front()));
    [
        ("no layer", bare.in_memory(), false),
        (
            "ServerDeadlineLayer",
            front().serve_under(ServerDeadlineLayer::new()),
            true,
        ),
        ("ServerRateLimitLayer", limited(false), true),
        ("both", limited(true), true),
    ]
}

async fn call(channel: impl Stack + Sync) -> Result<(), Status> {
    client(channel).unary(undeclared()).await.map(drop)
}

// CONTRACT E6, I7
#[tokio::test(start_paused = true)]
async fn an_undeclared_call_goes_on_from_a_server_that_is_not_the_leader() {
    for place in 0..4 {
        let runs = Arc::default();
        let (name, server, is_trusted) = servers(&runs, || raft::not_leader(None))
            .into_iter()
            .nth(place)
            .unwrap();
        let outcome = call(trusting(policy()).layer(server.channel())).await;
        let runs = runs.load(Ordering::Relaxed);
        if is_trusted {
            outcome.unwrap();
            assert_eq!(runs, 2, "{name}");
        } else {
            let status = outcome.unwrap_err();
            assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent), "{name}");
            assert_eq!(runs, 1, "{name}");
        }
    }
}

// CONTRACT E6, I4
#[tokio::test(start_paused = true)]
async fn a_call_whose_entry_was_proposed_does_not_go_again() {
    for place in 0..4 {
        let runs = Arc::default();
        let (name, server, _) = servers(&runs, || raft::lost("the leadership was lost"))
            .into_iter()
            .nth(place)
            .unwrap();
        let status = call(trusting(policy()).layer(server.channel()))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{name}");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent), "{name}");
        assert_eq!(runs.load(Ordering::Relaxed), 1, "{name}");
    }
}

// CONTRACT E6, I7
#[tokio::test(start_paused = true)]
async fn the_mark_holds_the_call_s_own_path_and_the_details_name_the_leader() {
    let runs = Arc::default();
    let [_, (_, server, _), ..] = servers(&runs, || raft::not_leader(Some("10.0.0.2:50051")));
    let status = call(server.channel()).await.unwrap_err();
    assert_eq!(
        status.message(),
        "this server is not the leader; the leader is 10.0.0.2:50051"
    );
    let mark = status.metadata().get(WORD).unwrap();
    assert_eq!(mark, method::UNARY);
    let info = status.get_details_error_info().unwrap();
    assert_eq!(
        (info.reason.as_str(), info.domain.as_str()),
        ("NOT_LEADER", "grpc-resilience")
    );
    assert_eq!(info.metadata["leader"], "10.0.0.2:50051");
}

// CONTRACT E6, I7
#[tokio::test(start_paused = true)]
async fn a_handler_that_hands_on_the_status_of_another_server_promises_nothing() {
    let (runs, fronts) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
    let [_, (_, backend, _), ..] = servers(&runs, || raft::not_leader(None));
    let (channel, count) = (backend.channel(), Arc::clone(&fronts));
    let front = Front::unary(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let mut backend = client(channel.clone());
        async move { Ok(backend.unary(undeclared()).await?.into_inner()) }
    });
    let middle = front.serve_under(ServerDeadlineLayer::new());
    let status = call(trusting(policy()).layer(middle.channel()))
        .await
        .unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
    assert_eq!(fronts.load(Ordering::Relaxed), 1);
}
