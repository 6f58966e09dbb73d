//! Connections that can't be made for a reason that waiting rarely cures.
//!
//! Over tonic alone: the words are those of its connectors.

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::classify::ConnectFault;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{GiveUp, Resilience};
use peer::connector::failing_with;
use peer::{Connection, Peer, Step, Stream};
use testing::{Answer, Server, method};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::Layer;

use crate::support::{client, hello, ms};

fn channel(words: &'static str) -> Channel {
    Endpoint::from_static("http://orders.test").connect_with_connector_lazy(failing_with(words))
}

// CONTRACT R19
#[tokio::test(start_paused = true)]
async fn a_call_that_waits_in_vain_says_what_to_do() {
    for (words, fault, advice) in [
        (
            "invalid peer certificate: UnknownIssuer",
            ConnectFault::UntrustedCertificate,
            "authority",
        ),
        (
            "invalid peer certificate: certificate not valid for name \"stock.test\"",
            ConnectFault::WrongName,
            "domain_name",
        ),
        (
            "received fatal alert: HandshakeFailure",
            ConnectFault::TlsRefused,
            "TLS versions",
        ),
        (
            "tunnel error: proxy authorization required",
            ConnectFault::ProxyAuthentication,
            "password",
        ),
    ] {
        let stack = Resilience::new().wrap(channel(words));
        let mut waiting = hello();
        waiting.call_options().timeout(ms(500));
        let waited = client(stack.clone()).unary(waiting).await.unwrap_err();
        assert_eq!(waited.code(), Code::DeadlineExceeded);
        assert_named(&waited, words, fault, advice);

        let mut hurried = hello();
        hurried.call_options().fail_fast().never_retry();
        let hurried = client(stack.clone()).unary(hurried).await.unwrap_err();
        assert_eq!(hurried.code(), Code::Unavailable);
        assert_named(&hurried, words, fault, advice);

        let now = stack.readiness().snapshot();
        assert_eq!(now.connect_fault, Some(fault));
        assert!(now.to_string().contains(advice), "{now}");
    }
}

fn assert_named(status: &Status, words: &str, fault: ConnectFault, advice: &str) {
    assert_eq!(ConnectFault::find(status), Some(fault), "{status:?}");
    for part in [words, "waiting rarely cures this", advice] {
        assert!(status.message().contains(part), "{part}: {status:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_no_fault_and_what_a_server_answers_is_none() {
    let server = Server::in_memory_unstarted();
    let stack = Resilience::new()
        .wait_for_ready(WaitForReadyLayer::new().fail_fast())
        .wrap(server.channel());
    let mut once = hello();
    once.call_options().never_retry();
    let status = client(stack.clone()).unary(once).await.unwrap_err();
    assert_eq!(ConnectFault::find(&status), None);
    assert_eq!(stack.readiness().snapshot().connect_fault, None);
    let words = "backend: invalid peer certificate: UnknownIssuer";
    let answer = Answer::status(Code::Internal, words);
    server.script().on(method::UNARY, [answer]);
    server.start().await;
    let mut waiting = hello();
    waiting.call_options().wait_for_ready();
    let status = client(stack).unary(waiting).await.unwrap_err();
    assert_eq!(status.message(), words);
    assert_eq!(ConnectFault::find(&status), None);
}

// CONTRACT R19: a TLS server that hangs up on `http://` looks like one that dies
#[tokio::test]
async fn a_server_that_hangs_up_before_any_answer_may_want_tls() {
    let hint = "if it speaks TLS, use `https://`";
    let hangs_up =
        || Connection::new().other_streams(Stream::from([Step::AwaitRequest, Step::Abort]));
    let fast = Resilience::new().wait_for_ready(WaitForReadyLayer::new().fail_fast());
    for layers in [Resilience::new(), fast] {
        let peer = Peer::always(hangs_up()).await;
        let stack = layers.wrap(lazy(&peer));
        let status = client(stack.clone()).unary(hello()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains(hint), "{status:?}");
        assert_eq!(ConnectFault::find(&status), None);
        assert!(stack.readiness().snapshot().to_string().contains(hint));
    }
    // One that has answered does not want TLS.
    let peer = Peer::start([Connection::new()
        .streams([Stream::ok(b"")])
        .other_streams(Stream::from([Step::AwaitRequest, Step::Abort]))])
    .await;
    let stack = Resilience::new().wrap(lazy(&peer));
    client(stack.clone()).unary(hello()).await.unwrap();
    let status = client(stack).unary(hello()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!status.message().contains(hint), "{status:?}");
}

// CONTRACT R19: `Endpoint::from_static("127.0.0.1:50051")`
#[tokio::test(start_paused = true)]
async fn an_endpoint_without_a_scheme_is_named_and_no_call_waits_for_it() {
    let endpoint = || Endpoint::from_static("127.0.0.1:50051").connect_lazy();
    let mut request = hello();
    request
        .call_options()
        .idempotent()
        .retry_on(Code::InvalidArgument);
    let status = client(Resilience::new().wrap(endpoint()))
        .unary(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(ConnectFault::find(&status), Some(ConnectFault::InvalidUri));
    assert_eq!(GiveUp::find(&status), Some(GiveUp::InvalidCall));
    let advice = "give the endpoint's URI a scheme";
    assert!(status.message().contains(advice), "{status:?}");
    let alone = WaitForReadyLayer::new().layer(endpoint());
    let status = client(alone).unary(hello()).await.unwrap_err();
    assert_eq!(ConnectFault::find(&status), Some(ConnectFault::InvalidUri));
    assert!(status.message().contains(advice), "{status:?}");
}

fn lazy(peer: &Peer) -> Channel {
    Endpoint::from_shared(peer.uri()).unwrap().connect_lazy()
}
