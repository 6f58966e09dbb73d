//! What a channel holds of memory (CONTRACT C15).
//!
//! ```sh
//! cargo test --test load -- channel:: --nocapture --test-threads 1
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::Channel;
use http::Request;
use http_body_util::Full;
use tokio::task::JoinSet;
use tonic::body::Body;
use tower::ServiceExt as _;

use super::raw::{bare, channel};
use crate::ALLOCATOR;
use crate::support::alone;

const SECOND: Duration = Duration::from_secs(1);
const MANY: usize = 1_000;

fn request() -> Request<Body> {
    let mut request = Request::post("/test.v1.Echo/Unary")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::new(Bytes::from_static(&[0; 5]))))
        .unwrap();
    request.call_options().wait_for_ready();
    request
}

async fn connected() -> Channel {
    let channel = channel(super::raw::Raw::silent).build().unwrap();
    channel.connected(SECOND).await.unwrap();
    channel
}

fn calls(channel: &Channel) -> JoinSet<()> {
    (0..MANY)
        .map(|_| {
            let call = channel.clone().oneshot(request());
            async move {
                let _ = call.await;
            }
        })
        .collect()
}

// CONTRACT C15
#[test]
fn an_idle_connection_holds_little_beyond_h2_s_own() {
    alone(async {
        let ready = Arc::<AtomicUsize>::default();
        let before = ALLOCATOR.current_usage();
        let mut connections = Vec::new();
        for _ in 0..MANY {
            connections.push(bare(Arc::clone(&ready)).await);
        }
        tokio::time::sleep(SECOND).await;
        assert_eq!(ready.load(Ordering::Acquire), MANY);
        let bare = (ALLOCATOR.current_usage() - before) / MANY;
        drop(connections);
        tokio::time::sleep(SECOND).await;

        let before = ALLOCATOR.current_usage();
        let mut channels = Vec::new();
        for _ in 0..MANY {
            channels.push(connected().await);
        }
        tokio::time::sleep(SECOND).await;
        let ours = (ALLOCATOR.current_usage() - before) / MANY;
        println!(
            "an idle channel of one connection: {ours} bytes, {bare} of them h2's and the pipe's"
        );
        assert!(ours - bare < 8 << 10, "{ours} {bare}");
    });
}

// CONTRACT C15
#[test]
fn a_waiting_call_holds_its_request_and_little_else() {
    alone(async {
        let refused = tower::service_fn(|_| {
            std::future::ready(Err::<tokio::io::DuplexStream, _>(std::io::Error::other(
                "no",
            )))
        });
        let channel = Channel::builder("unix:none")
            .connector(refused)
            .build()
            .unwrap();
        tokio::time::sleep(SECOND).await;
        let before = ALLOCATOR.current_usage();
        let mut waiting = calls(&channel);
        tokio::time::sleep(SECOND).await;
        assert_eq!(channel.snapshot().waiting, MANY);
        let each = (ALLOCATOR.current_usage() - before) / MANY;
        println!("a waiting call: {each} bytes, its task among them");
        assert!(each < 4 << 10, "{each}");
        waiting.shutdown().await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(channel.snapshot().waiting, 0);
        let left = ALLOCATOR.current_usage().saturating_sub(before);
        assert!(left < 64 << 10, "{left} bytes are left");
    });
}

// CONTRACT C15
#[test]
fn a_call_in_flight_holds_little() {
    alone(async {
        let channel = connected().await;
        // The tables of h2 and of the channel grow once.
        drop(calls(&channel));
        tokio::time::sleep(SECOND).await;
        let before = ALLOCATOR.current_usage();
        let mut flying = calls(&channel);
        tokio::time::sleep(SECOND).await;
        let in_flight: u32 = channel
            .snapshot()
            .endpoints
            .iter()
            .flat_map(|it| &it.connections)
            .map(|it| it.in_flight)
            .sum();
        assert_eq!(in_flight as usize, MANY);
        let each = (ALLOCATOR.current_usage() - before) / MANY;
        println!("a call in flight: {each} bytes, its task among them");
        assert!(each < 6 << 10, "{each}");
        flying.shutdown().await;
    });
}

// CONTRACT C15: a timer that goes off wakes the task of its connection, which then polls the
// transport. So no poll of a transport within a day means that none of 1,000 channels has a timer.
#[test]
fn a_thousand_idle_channels_hold_no_timer() {
    alone(async {
        let polls = Arc::<AtomicUsize>::default();
        let mut channels = Vec::new();
        for _ in 0..MANY {
            let polls = Arc::clone(&polls);
            let channel = super::counted::channel(polls).build().unwrap();
            channel.connected(SECOND).await.unwrap();
            // A call, whose keepalive has a timer until it finds the connection without calls.
            let call = channel.clone().oneshot(request());
            let _ = tokio::time::timeout(SECOND, call).await;
            channels.push(channel);
        }
        tokio::time::sleep(60 * SECOND).await;
        let before = polls.load(Ordering::Acquire);
        assert!(before > MANY);
        tokio::time::sleep(86_400 * SECOND).await;
        assert_eq!(polls.load(Ordering::Acquire), before);
    });
}

// CONTRACT C10, C15
#[test]
fn twenty_thousand_dropped_calls_give_their_memory_back() {
    alone(async {
        let channel = connected().await;
        let mut used = Vec::new();
        for round in 0..20 {
            let mut flying = calls(&channel);
            for _ in 0..round % 5 {
                tokio::task::yield_now().await;
            }
            flying.shutdown().await;
            // h2 remembers the streams that it reset for a second.
            tokio::time::sleep(5 * SECOND).await;
            used.push(ALLOCATOR.current_usage());
        }
        println!("after each thousand dropped calls: {used:?} bytes");
        let grown = used[19].saturating_sub(used[9]);
        assert!(grown < 64 << 10, "{used:?}");
    });
}
