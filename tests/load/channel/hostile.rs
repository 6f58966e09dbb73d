//! What a hostile server costs a client (CONTRACT C18). The clock stands still, so that a peer has
//! its first 100 frames, and none by the second.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::channel::Channel;
use grpc_resilience::classify::{Progress, Reason};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use tonic::body::Body;
use tower::ServiceExt as _;

use super::raw::{PIPE, channel, frame};
use crate::ALLOCATOR;
use crate::support::alone;

const MIB: usize = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);

fn request() -> Request<Body> {
    Request::post("/test.v1.Echo/Unary")
        .header("content-type", "application/grpc")
        .body(Body::new(Full::new(Bytes::from_static(&[0; 5]))))
        .unwrap()
}

/// How far a flood gets.
struct Met {
    /// Bytes that the peer wrote before it was closed.
    written: usize,
    /// The most memory, beyond what was there before.
    peak: usize,
    error: Option<grpc_resilience::classify::TransportError>,
}

/// A call that meets a flood of 32 MiB, at most.
async fn met(first: Vec<u8>, bytes: Vec<u8>) -> Met {
    let written = Arc::<Mutex<Option<usize>>>::default();
    let said = Arc::clone(&written);
    let most = if bytes.len() == 1 { 100_000 } else { 32 * MIB };
    let flood = Arc::new((first, bytes));
    let builder = channel(move |raw| {
        let (flood, said) = (Arc::clone(&flood), Arc::clone(&said));
        async move {
            let written = raw.flood(&flood.0, &flood.1, most).await;
            said.lock().unwrap().get_or_insert(written);
        }
    });
    let channel: Channel = builder.build().unwrap();
    channel.connected(SECOND).await.unwrap();
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let answer = channel.clone().oneshot(request()).await;
    let ended = match answer {
        Ok(answer) => answer.into_body().collect().await.map(drop),
        Err(error) => Err(error),
    };
    let peak = ALLOCATOR.peak_usage() - before;
    channel.close().await;
    tokio::time::sleep(SECOND).await;
    let written = written.lock().unwrap().unwrap();
    Met {
        written,
        peak,
        error: ended.err(),
    }
}

/// The frames of a flood get no further than this, whose first bytes are `first`.
fn is_bounded(name: &str, first: Vec<u8>, bytes: Vec<u8>, frames: usize) {
    let size = bytes.len();
    alone(async move {
        let Met {
            written,
            peak,
            error,
        } = met(first, bytes).await;
        println!(
            "{name}: {} frames written, {} KiB",
            written / size,
            peak >> 10
        );
        // What the pipe and one read of h2 hold was not looked at, and is dropped.
        let most = frames * size + 2 * PIPE;
        assert!(written <= most, "{name}: {written} bytes, at most {most}");
        assert!(peak <= MIB, "{name}: {peak} bytes of memory");
        let error = error.expect(name);
        assert_eq!(error.progress(), Progress::Reached, "{name}: {error:?}");
        assert_eq!(
            error.verdict().reason,
            Reason::ConnectionLost,
            "{name}: {error:?}"
        );
    });
}

// CONTRACT C18
#[test]
fn frames_that_no_call_asked_for_end_the_connection_after_a_hundred() {
    is_bounded("PING", vec![], frame(6, 0, 0, &[7; 8]), 200);
    is_bounded("PONG", vec![], frame(6, 1, 0, &[7; 8]), 200);
    is_bounded("SETTINGS", vec![], frame(4, 0, 0, &[]), 19);
    is_bounded("WINDOW_UPDATE", vec![], frame(8, 0, 0, &[0, 0, 0, 1]), 200);
    is_bounded("PRIORITY", vec![], frame(2, 0, 1, &[0, 0, 0, 0, 9]), 200);
    is_bounded("unknown", vec![], frame(200, 0, 0, &[7; 16_000]), 11);
}

// CONTRACT C18
#[test]
fn bytes_that_arrive_one_by_one_end_the_connection_after_a_hundred() {
    // The head of a frame of 4 KiB, and its payload.
    let head = vec![0, 16, 0, 200, 0, 0, 0, 0, 0];
    is_bounded("bytes", head, vec![7], 200);
}

// CONTRACT C18
#[test]
fn interim_responses_end_the_connection_after_eight() {
    // `:status` 103, and 460 headers without a value: 16 KiB as HTTP/2 counts them.
    let mut block = vec![0x08, 0x03, b'1', b'0', b'3'];
    for header in 0..460_u32 {
        let name = format!("{header:03}");
        block.extend([0x00, 3]);
        block.extend(name.as_bytes());
        block.push(0);
    }
    is_bounded("interim responses", vec![], frame(1, 4, 1, &block), 12);
}

// CONTRACT C18
#[test]
fn h2_ends_continuations_and_resets_of_unknown_streams() {
    let first = frame(1, 0, 1, &[0x88]);
    is_bounded("CONTINUATION", first, frame(9, 0, 1, &[0x40; 1_024]), 100);
    is_bounded("RST_STREAM", vec![], frame(3, 0, 1_001, &[0, 0, 0, 8]), 10);
}

// CONTRACT C18
#[test]
fn empty_data_frames_end_the_connection() {
    let first = frame(1, 4, 1, &[0x88]);
    is_bounded("empty DATA", first, frame(0, 0, 1, &[]), 200);
}
