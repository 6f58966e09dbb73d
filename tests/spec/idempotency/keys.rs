//! Idempotency keys: one value for all attempts of a call. CONTRACT I5.

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::idempotency::{IdempotencyKey, IdempotencyLayer, InvalidKeyHeader};
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::{GiveUp, Resilience};
use http::HeaderValue;
use test_protos::{EchoClient, EchoRequest};
use testing::{Call, Server, method};
use tokio::time::sleep;
use tonic::{Code, Request};
use tower::{Layer as _, ServiceBuilder};

use super::declared::{Client, client, layer};
use crate::support::{failures, ms, policy, unavailable, undeclared};

const HEADER: &str = "idempotency-key";

fn keyed(key: IdempotencyKey) -> IdempotencyLayer {
    layer().key("/**", key).unwrap()
}

fn deduplicated() -> IdempotencyKey {
    IdempotencyKey::random().deduplicated()
}

/// A server that is down, and a client of it.
fn down(layer: IdempotencyLayer) -> (Server, Client) {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("down"));
    let client = client(&server, layer, policy());
    (server, client)
}

fn keys(calls: &[Call]) -> Vec<Option<&str>> {
    calls.iter().map(|call| call.header(HEADER)).collect()
}

fn with_key(value: &'static str) -> Request<EchoRequest> {
    let mut request = undeclared();
    let value = value.parse().unwrap();
    request.metadata_mut().insert(HEADER, value);
    request
}

#[transports::test(start_paused = true)]
async fn all_attempts_of_a_call_carry_one_key_and_another_call_another() {
    let (server, mut client) = down(keyed(deduplicated()));
    client.unary(undeclared()).await.unwrap_err();
    client.unary(undeclared()).await.unwrap_err();
    let calls = server.calls();
    let keys = keys(&calls);
    assert_eq!(keys.len(), 8);
    let (first, second) = (keys[0].unwrap(), keys[4].unwrap());
    assert_eq!(keys[..4], [Some(first); 4]);
    assert_eq!(keys[4..], [Some(second); 4]);
    assert_ne!(first, second);

    // A UUID v4 as RFC 9562 writes it.
    let groups: Vec<_> = first.split('-').collect();
    let lengths: Vec<_> = groups.iter().map(|group| group.len()).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert!(groups[2].starts_with('4'), "{first}");
    assert!(groups[3].starts_with(['8', '9', 'a', 'b']), "{first}");
    assert!(first.chars().all(|it| it == '-' || it.is_ascii_hexdigit()));
}

// CONTRACT I2, I4: a header alone makes nothing safe
#[transports::test(start_paused = true)]
async fn a_key_promotes_only_if_the_user_says_that_the_server_deduplicates() {
    let (server, mut client) = down(keyed(IdempotencyKey::random()));
    let status = client.unary(undeclared()).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
    assert!(server.calls()[0].header(HEADER).is_some());
    assert_eq!(server.count(), 1);
}

#[transports::test(start_paused = true)]
async fn only_the_methods_of_the_pattern_carry_a_key() {
    let layer = layer().key(method::UNARY, deduplicated()).unwrap();
    let narrow = IdempotencyKey::random().header("x-once").unwrap();
    let layer = layer.key("/*/Unary?*", narrow).unwrap();
    let (server, mut client) = down(layer.key("/*/Unary*", deduplicated()).unwrap());
    client.unary(undeclared()).await.unwrap_err();
    client.server_stream(undeclared()).await.unwrap_err();
    client.unary_unknown(undeclared()).await.unwrap_err();
    assert_eq!(server.calls_to(method::UNARY).len(), 4);
    let unkeyed = server.calls_to(method::SERVER_STREAM);
    assert_eq!(keys(&unkeyed), [None]);
    let first_glob = server.calls_to(method::UNARY_UNKNOWN);
    assert_eq!(keys(&first_glob), [None]);
    assert!(first_glob[0].header("x-once").is_some());
}

#[transports::test(start_paused = true)]
async fn a_key_which_the_caller_sends_is_kept_and_promotes_too() {
    let (server, mut client) = down(keyed(deduplicated()));
    client.unary(with_key("order-7")).await.unwrap_err();
    assert_eq!(keys(&server.calls()), [Some("order-7"); 4]);

    // Also where no key would be made; but an empty one tells no calls apart.
    let none = IdempotencyKey::from_request(|_| None).deduplicated();
    let (server, mut client) = down(keyed(none));
    client.unary(with_key("order-7")).await.unwrap_err();
    assert_eq!(keys(&server.calls()), [Some("order-7"); 4]);
    server.clear();
    client.unary(with_key("")).await.unwrap_err();
    assert_eq!(keys(&server.calls()), [Some("")]);
}

#[transports::test(start_paused = true)]
async fn a_value_of_the_user_s_own_is_made_from_the_request_once_a_call() {
    let key = IdempotencyKey::from_request(|request| {
        let order = request.headers.get("x-order")?.to_str().ok()?;
        HeaderValue::try_from(format!("{}:{order}", request.uri.path())).ok()
    });
    let (server, mut client) = down(keyed(key.header("X-Once").unwrap().deduplicated()));
    let mut request = undeclared();
    request
        .metadata_mut()
        .insert("x-order", "7".parse().unwrap());
    client.unary(request).await.unwrap_err();
    let calls = server.calls();
    assert_eq!(calls.len(), 4);
    for call in &calls {
        assert_eq!(call.header("x-once"), Some("/test.v1.Echo/Unary:7"));
        assert_eq!(call.header(HEADER), None);
    }

    // Without a value there is no key, and nothing to de-duplicate on.
    server.clear();
    let status = client.unary(undeclared()).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
    assert_eq!(server.calls()[0].header("x-once"), None);
    assert_eq!(server.count(), 1);
}

// CONTRACT I5: whoever says that a call is not to be repeated wins
#[transports::test(start_paused = true)]
async fn an_exception_and_the_call_s_own_word_beat_the_promotion() {
    for pattern in [method::UNARY, "/test.v1.Echo/*"] {
        let layer = keyed(deduplicated()).not_idempotent(pattern).unwrap();
        let (server, mut client) = down(layer);
        client.unary(undeclared()).await.unwrap_err();
        assert_eq!(server.count(), 1);
        assert!(server.calls()[0].header(HEADER).is_some());
    }
    let (server, mut client) = down(keyed(deduplicated()));
    let mut request = undeclared();
    request.call_options().not_idempotent();
    client.unary(request).await.unwrap_err();
    assert_eq!(server.count(), 1);
}

#[transports::test(start_paused = true)]
async fn redials_and_attempts_of_the_whole_stack_carry_one_key() {
    let server = Server::in_memory_unstarted();
    server.script().on(method::UNARY, failures(2));
    let stack = Resilience::new().key("/**", deduplicated()).unwrap();
    let stack = stack.retry(policy()).wrap(server.channel());
    let call = tokio::spawn(async move { EchoClient::new(stack).unary(undeclared()).await });
    sleep(ms(5_000)).await;
    assert!(server.dials() > 1);
    server.start().await;
    call.await.unwrap().unwrap();
    let calls = server.calls();
    let first = calls[0].header(HEADER).unwrap();
    assert_eq!(keys(&calls), [Some(first); 3]);
}

// Each attempt would carry its own, which is worse than none.
#[transports::test(start_paused = true)]
async fn below_a_retry_layer_no_key_is_made() {
    let by =
        IdempotencyKey::from_request(|_| Some(HeaderValue::from_static("mine"))).deduplicated();
    for key in [deduplicated(), by] {
        let server = Server::in_memory();
        server.script().otherwise(unavailable("down"));
        let channel = ServiceBuilder::new()
            .layer(RetryLayer::new(policy().assume_idempotent()))
            .layer(keyed(key))
            .service(server.channel());
        let mut client = EchoClient::new(channel);
        client.unary(undeclared()).await.unwrap_err();
        assert_eq!(keys(&server.calls()), [None; 4]);
        server.clear();
        client.unary(with_key("order-7")).await.unwrap_err();
        assert_eq!(keys(&server.calls()), [Some("order-7"); 4]);
    }
}

// A key needs no retry layer: a user's own loop sends it too.
#[transports::test(start_paused = true)]
async fn alone_the_layer_sends_a_key() {
    let server = Server::in_memory();
    let mut client = EchoClient::new(keyed(IdempotencyKey::random()).layer(server.channel()));
    client.unary(undeclared()).await.unwrap();
    let status = client.unary(with_key("order-7")).await;
    assert_eq!(status.map_err(|status| status.code()).err(), None::<Code>);
    let calls = server.calls();
    assert!(calls[0].header(HEADER).is_some());
    assert_eq!(calls[1].header(HEADER), Some("order-7"));
}

// Bad configuration is a typed error at construction
#[test]
fn a_header_that_can_not_carry_a_key_is_refused() {
    let refusal = |name| IdempotencyKey::random().header(name).unwrap_err();
    for name in ["", "with space", "käse", ":path", "a\nb"] {
        assert_eq!(refusal(name), InvalidKeyHeader::NotAName(name.to_owned()));
    }
    for name in [
        "grpc-timeout",
        "grpc-key-bin",
        "Grpc-Anything",
        "te",
        "Content-Type",
        "content-length",
        "user-agent",
        "host",
        "connection",
        "transfer-encoding",
    ] {
        let refused = refusal(name);
        assert!(matches!(refused, InvalidKeyHeader::Reserved(_)), "{name}");
        let name = name.to_lowercase();
        assert!(refused.to_string().starts_with(&name), "{refused}");
    }
    assert!(matches!(refusal("key-bin"), InvalidKeyHeader::Binary(_)));
    IdempotencyKey::random().header("x-request-id").unwrap();
    layer()
        .key("shop.v1.Orders", IdempotencyKey::random())
        .unwrap_err();
}
