//! Which methods wait.

use grpc_resilience::GiveUp;
use grpc_resilience::call::{CallOptionsExt, WaitMode};
use grpc_resilience::methods::InvalidPattern;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use testing::{Server, method};
use tokio::time::timeout;
use tonic::Code;
use tower::Layer;
use transports::Transport;

use crate::support::{SECOND, Stack, client, every, hello, ms, settle};

/// Whether calls of `unary` wait, on a channel that is known to be down.
async fn waits<T: Stack>(stack: &T, own: Option<WaitMode>) -> bool {
    let mut request = hello();
    match own {
        Some(WaitMode::FailFast) => request.call_options().fail_fast(),
        Some(WaitMode::WaitForReady) => request.call_options().wait_for_ready(),
        Some(other) => unreachable!("{other:?}"),
        None => request.call_options(),
    };
    match timeout(ms(500), client(stack.clone()).unary(request)).await {
        Err(_) => true,
        Ok(failed) => {
            let status = failed.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable);
            if !Transport::current().is_ours() {
                assert_eq!(GiveUp::find(&status), Some(GiveUp::NotReady));
            }
            false
        }
    }
}

async fn down(layer: WaitForReadyLayer) -> impl Stack {
    let server = Server::in_memory_unstarted();
    let stack = layer.backoff(every(60 * SECOND)).layer(server.channel());
    let mut first = hello();
    first.call_options().fail_fast();
    let _ = client(stack.clone()).unary(first).await.unwrap_err();
    settle().await;
    stack
}

// CONTRACT W4; PEER-CASES GO-service-config-ready
#[transports::test(start_paused = true)]
async fn a_call_s_own_wish_beats_its_method_s_which_beats_the_layer_s() {
    let patient = || WaitForReadyLayer::new();
    let hurried = || WaitForReadyLayer::new().fail_fast();
    for (layer, waits_by_itself) in [
        (patient(), true),
        (hurried(), false),
        (
            patient().method(method::UNARY, WaitMode::FailFast).unwrap(),
            false,
        ),
        (
            hurried()
                .method(method::UNARY, WaitMode::WaitForReady)
                .unwrap(),
            true,
        ),
        (
            hurried()
                .method("/test.*/*", WaitMode::WaitForReady)
                .unwrap(),
            true,
        ),
        (
            hurried()
                .method("/other.Service/*", WaitMode::WaitForReady)
                .unwrap(),
            false,
        ),
        (
            hurried()
                .method("/**", WaitMode::WaitForReady)
                .unwrap()
                .method(method::UNARY, WaitMode::FailFast)
                .unwrap(),
            false,
        ),
    ] {
        let said = format!("{layer:?}");
        let stack = down(layer).await;
        assert_eq!(waits(&stack, None).await, waits_by_itself, "{said}");
        assert!(waits(&stack, Some(WaitMode::WaitForReady)).await, "{said}");
        assert!(!waits(&stack, Some(WaitMode::FailFast)).await, "{said}");
    }
}

// Bad configuration is a typed error at construction
#[test]
fn a_pattern_that_matches_no_method_is_refused_at_construction() {
    let layer = WaitForReadyLayer::new();
    let refused = layer.method("orders", WaitMode::FailFast).unwrap_err();
    assert!(matches!(refused, InvalidPattern::NotAMethod(_)));
}
