//! What a handler says of itself by `raft::not_leader` and `raft::lost`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use grpc_resilience::GiveUp;
use grpc_resilience::raft;
use grpc_resilience::rate_limit::{ServerRateLimitBody, ServerRateLimitLayer};
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::server_deadline::{ServerDeadlineBody, ServerDeadlineLayer};
use http::{HeaderMap, HeaderValue};
use test_protos::{EchoResponse, EchoServer};
use testing::{Server, method};
use tonic::body::Body;
use tonic::service::LayerExt as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::{Layer as _, ServiceBuilder};
use transports::Transport;

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

/// A server that is not the leader, before a proxy that changes the headers of its answers.
fn behind_a_proxy(runs: &Arc<AtomicUsize>, change: fn(&mut HeaderMap)) -> Server {
    let layers = ServiceBuilder::new()
        .map_response(move |mut answer: http::Response<Body>| {
            change(answer.headers_mut());
            answer
        })
        .map_response(|answer: http::Response<ServerDeadlineBody<_>>| answer.map(Body::new))
        .layer(ServerDeadlineLayer::new());
    let front = at_first(runs, || raft::not_leader(None));
    let service = layers.named_layer(EchoServer::new(front));
    Server::builder().service(service).in_memory()
}

async fn call(channel: impl Stack + Sync) -> Result<(), Status> {
    client(channel).unary(undeclared()).await.map(drop)
}

// CONTRACT E6, I7
#[transports::test(start_paused = true)]
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

// CONTRACT E6, I7
#[transports::test(start_paused = true)]
async fn a_mark_that_was_changed_on_its_way_is_ignored() {
    fn becomes(headers: &mut HeaderMap, path: &'static str) {
        let is_marked = headers.contains_key(WORD);
        if is_marked {
            headers.insert(WORD, HeaderValue::from_static(path));
        }
    }
    let changes: [fn(&mut HeaderMap); 6] = [
        |headers| becomes(headers, "/test.v1.Echo/Other"),
        |headers| becomes(headers, "/test.v1.Echo/Unar"),
        |headers| becomes(headers, "/test.v1.Echo/Unary?x=1"),
        |headers| becomes(headers, "true"),
        |headers| {
            if let Some(path) = headers.get(WORD).cloned() {
                headers.append(WORD, path);
            }
        },
        |headers| drop(headers.remove(WORD)),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let runs = Arc::default();
        let server = behind_a_proxy(&runs, change);
        let status = call(trusting(policy()).layer(server.channel()))
            .await
            .unwrap_err();
        assert_eq!(
            GiveUp::find(&status),
            Some(GiveUp::NotIdempotent),
            "{number}"
        );
        assert!(!status.metadata().contains_key(WORD), "{number}");
        assert_eq!(runs.load(Ordering::Relaxed), 1, "{number}");
    }
    // The same proxy with nothing to change.
    let runs = Arc::default();
    let server = behind_a_proxy(&runs, |_| {});
    call(trusting(policy()).layer(server.channel()))
        .await
        .unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

// CONTRACT E6, I7
#[transports::test(start_paused = true)]
async fn without_a_setting_our_channel_alone_believes_it() {
    let runs = Arc::default();
    let [_, (_, server, _), ..] = servers(&runs, || raft::not_leader(None));
    let outcome = call(RetryLayer::new(policy()).layer(server.channel())).await;
    let runs = runs.load(Ordering::Relaxed);
    match Transport::current() {
        Transport::Ours => assert_eq!((outcome.is_ok(), runs), (true, 2)),
        Transport::Tonic => assert_eq!((outcome.is_ok(), runs), (false, 1)),
    }
}

// CONTRACT E6, I4
#[transports::test(start_paused = true)]
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
#[transports::test(start_paused = true)]
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
#[transports::test(start_paused = true)]
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
