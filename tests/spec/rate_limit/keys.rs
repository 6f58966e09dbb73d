//! Whose quota a request counts against.

use std::net::SocketAddr;

use grpc_resilience::rate_limit::{Quota, ServerRateLimitLayer};
use http::Request;
use test_protos::{EchoClient, EchoRequest, EchoServer};
use testing::{EchoService, method};
use tokio::net::TcpListener;
use tokio::time::advance;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};

use crate::support::ms;

use super::raw_service::{new, request, send, to};

fn hourly(requests: u32) -> Quota {
    let quota = Quota::every(ms(3_600_000)).unwrap();
    quota.burst(requests).unwrap()
}

/// How many of a hundred requests like this are let through.
async fn admitted(layer: &ServerRateLimitLayer, request: impl Fn() -> Request<()>) -> u32 {
    let mut admitted = 0;
    for _ in 0..100 {
        admitted += u32::from(send(layer, request()).await.is_ok());
    }
    admitted
}

#[tokio::test(start_paused = true)]
async fn an_exact_path_beats_a_glob_the_first_glob_the_others_and_the_rest_share_one() {
    let layer = ServerRateLimitLayer::new(hourly(1))
        .method("/test.v1.Echo/*Stream", hourly(2))
        .and_then(|layer| layer.method("/test.v1.Echo/*", hourly(3)))
        .and_then(|layer| layer.method(method::UNARY, hourly(4)))
        .unwrap();
    assert_eq!(admitted(&layer, || to(method::UNARY, &[])).await, 4);
    assert_eq!(admitted(&layer, || to(method::BIDI_STREAM, &[])).await, 2);
    let of_the_same_glob = admitted(&layer, || to(method::SERVER_STREAM, &[])).await;
    assert_eq!(of_the_same_glob, 0);
    assert_eq!(admitted(&layer, || to(method::UNARY_UNKNOWN, &[])).await, 3);
    assert_eq!(admitted(&layer, || to("/other.v1.Other/A", &[])).await, 1);
    assert_eq!(admitted(&layer, || to("/other.v1.Other/B", &[])).await, 0);
    assert_eq!(admitted(&layer, || to("*", &[])).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_equal_pattern_is_replaced_and_one_that_matches_nothing_refused() {
    let layer = ServerRateLimitLayer::unlimited()
        .method("/test.v1.Echo/*", hourly(2))
        .and_then(|layer| layer.method("/test.v1.Echo/*", hourly(3)))
        .unwrap();
    assert_eq!(admitted(&layer, || to(method::UNARY, &[])).await, 3);
    assert_eq!(admitted(&layer, || to("/other.v1.Other/A", &[])).await, 100);
    assert!(layer.method("Echo/Unary", hourly(1)).is_err());
}

#[tokio::test(start_paused = true)]
async fn each_tenant_has_a_bucket_and_those_without_a_name_share_one() {
    let layer = ServerRateLimitLayer::new(hourly(3))
        .by_metadata("x-tenant")
        .unwrap();
    for tenant in ["a", "b", "A", "", "\u{fc}"] {
        let request = || request(&[("x-tenant", tenant)]);
        assert_eq!(admitted(&layer, request).await, 3, "{tenant:?}");
    }
    assert_eq!(admitted(&layer, || request(&[])).await, 3);
    let twice = || request(&[("x-tenant", "a"), ("x-tenant", "new")]);
    assert_eq!(admitted(&layer, twice).await, 0, "the first value counts");
    assert!(layer.by_metadata("x-tenant-bin").is_err());
}

#[tokio::test(start_paused = true)]
async fn a_tenant_has_a_bucket_for_each_quota() {
    let layer = ServerRateLimitLayer::new(hourly(3))
        .method(method::UNARY, hourly(2))
        .unwrap()
        .by_metadata("x-tenant")
        .unwrap();
    for tenant in ["a", "b"] {
        let headers = [("x-tenant", tenant)];
        assert_eq!(admitted(&layer, || to(method::UNARY, &headers)).await, 2);
        assert_eq!(
            admitted(&layer, || to(method::BIDI_STREAM, &headers)).await,
            3
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_closure_tells_the_key_or_that_there_is_no_limit() {
    let layer = ServerRateLimitLayer::new(hourly(3)).key_by(|parts| {
        let user = parts.headers.get("x-user")?.to_str().ok()?;
        Some(format!("{user} {}", parts.uri.path()))
    });
    for user in ["a", "b"] {
        for method in [method::UNARY, method::BIDI_STREAM] {
            let request = || to(method, &[("x-user", user)]);
            assert_eq!(admitted(&layer, request).await, 3);
        }
    }
    assert_eq!(admitted(&layer, || request(&[])).await, 100);
}

// CONTRACT Q6
#[tokio::test(start_paused = true)]
async fn each_peer_has_a_bucket_whatever_its_port_and_form() {
    let layer = ServerRateLimitLayer::new(hourly(3)).by_peer();
    let from = |peer: &str| {
        let remote_addr: Option<SocketAddr> = Some(peer.parse().unwrap());
        let mut request = request(&[]);
        request.extensions_mut().insert(TcpConnectInfo {
            local_addr: None,
            remote_addr,
        });
        request
    };
    assert_eq!(admitted(&layer, || from("10.0.0.1:1000")).await, 3);
    assert_eq!(admitted(&layer, || from("10.0.0.1:2000")).await, 0);
    assert_eq!(admitted(&layer, || from("[::ffff:10.0.0.1]:9")).await, 0);
    assert_eq!(admitted(&layer, || from("10.0.0.2:1000")).await, 3);
    assert_eq!(admitted(&layer, || from("[64:ff9b::10.0.0.1]:9")).await, 0);
    // A host gets a /64, and may call from each address of it.
    assert_eq!(admitted(&layer, || from("[2001:db8::1]:1")).await, 3);
    assert_eq!(admitted(&layer, || from("[2001:db8::2:3:4]:1")).await, 0);
    assert_eq!(admitted(&layer, || from("[2001:db8:0:1::1]:1")).await, 3);
    assert_eq!(admitted(&layer, || request(&[])).await, 3);
    assert_eq!(admitted(&layer, || request(&[])).await, 0);
}

#[tokio::test]
async fn a_connection_over_tcp_tells_its_peer() {
    let layer = ServerRateLimitLayer::new(hourly(3)).by_peer();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = tonic::transport::Server::builder()
        .layer(layer.clone())
        .add_service(EchoServer::new(EchoService))
        .serve_with_incoming(TcpIncoming::from(listener));
    let serving = tokio::spawn(serving);
    let mut codes = Vec::new();
    for _ in 0..5 {
        // A connection each.
        let endpoint = Endpoint::from_shared(address.clone()).unwrap();
        let mut client = EchoClient::new(endpoint.connect().await.unwrap());
        let call = client.unary(EchoRequest::default()).await;
        codes.push(call.map_or_else(|status| status.code(), |_| Code::Ok));
    }
    let over = Code::ResourceExhausted;
    assert_eq!(codes, [Code::Ok, Code::Ok, Code::Ok, over, over]);
    // The bucket of those that nothing is known of was not touched.
    new(&layer).await.unwrap();
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn tenants_that_a_caller_invents_share_one_bucket_past_the_cap() {
    let layer = ServerRateLimitLayer::new(hourly(1))
        .by_metadata("x-tenant")
        .unwrap()
        .max_keys(50);
    let mut admitted = 0;
    for tenant in 0..5_000 {
        let tenant = tenant.to_string();
        let sent = send(&layer, request(&[("x-tenant", &tenant)])).await;
        admitted += u32::from(sent.is_ok());
    }
    assert_eq!(admitted, 50 + 1);
    // Idle ones are forgotten, and there is room again.
    advance(ms(90_000_000)).await;
    let mut admitted = 0;
    for tenant in 5_000..5_040 {
        let tenant = tenant.to_string();
        let sent = send(&layer, request(&[("x-tenant", &tenant)])).await;
        admitted += u32::from(sent.is_ok());
    }
    assert!(admitted >= 25, "{admitted}");
}

#[tokio::test(start_paused = true)]
async fn clones_and_their_services_share_their_buckets_and_a_setter_makes_new_ones() {
    let layer = ServerRateLimitLayer::new(hourly(3));
    let clone = layer.clone();
    assert_eq!(admitted(&layer, || request(&[])).await, 3);
    assert_eq!(admitted(&clone, || request(&[])).await, 0);
    assert_eq!(layer.snapshot(), clone.snapshot());
    let other = clone.grace(ms(1));
    assert_eq!(admitted(&other, || request(&[])).await, 3);
}
