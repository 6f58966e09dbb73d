//! A call ends at its deadline in whichever phase, and says in which: to the millisecond on a paused
//! clock, within 20 ms on a real one.

use std::time::Duration;

use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::{GiveUp, Resilience};
use testing::Server;
use tokio::time::{Instant, interval};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::IntervalStream;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::buffer::Buffer;
use tower::util::BoxService;
use tower::{BoxError, Layer as _, Service, ServiceExt as _};
use transports::{ResponseBody, Transport};

use crate::support::{Slow, Stack, client, hang_after_message, hello, message, ms};

const DEADLINE: Duration = Duration::from_millis(200);
const QUEUED: &str = "waiting for the service below to take the request";
const READING: &str = "reading the response";

/// What a call does whose channel connects: only this crate's tells that from an attempt.
fn connecting() -> &'static str {
    if Transport::current().is_ours() {
        "waiting for the channel to become ready"
    } else {
        "waiting for the answer to an attempt"
    }
}

/// How much later than its deadline a call ended; it says in which phase.
async fn lateness<T: Stack>(stack: T, phase: &str, call: impl AsyncFn(T) -> Status) -> Duration {
    let start = Instant::now();
    let status = call(stack).await;
    let took = start.elapsed();
    assert!(took >= DEADLINE, "{took:?}: {status}");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
    let said = format!("the deadline of 200ms passed while {phase}");
    assert!(status.message().starts_with(&said), "{status}");
    took.saturating_sub(DEADLINE)
}

async fn unary<T: Stack>(stack: T) -> Status {
    client(stack).unary(hello()).await.unwrap_err()
}

/// Reads to the end.
async fn stream<T: Stack>(stack: T) -> Status {
    let answers = client(stack).server_stream(hello()).await;
    let mut answers = answers.unwrap().into_inner();
    loop {
        if let Err(status) = answers.message().await {
            return status;
        }
    }
}

/// Is answered every 30 ms, as long as it asks.
async fn trickle<T: Stack>(stack: T) -> Status {
    let ticks = IntervalStream::new(interval(ms(30))).map(|_| message("tick"));
    let answers = client(stack).bidi_stream(ticks).await;
    let mut answers = answers.unwrap().into_inner();
    loop {
        if let Err(status) = answers.message().await {
            return status;
        }
    }
}

fn hanging_connector() -> Server {
    let server = Server::in_memory();
    server.set_dial_time(Duration::from_secs(3_600));
    server
}

type Request = http::Request<Body>;
type Boxed = BoxService<Request, http::Response<ResponseBody>, BoxError>;
type Full = Buffer<Request, <Boxed as Service<Request>>::Future>;

/// A buffer of one place, and the calls that take it as long as they are kept.
async fn full_buffer(server: &Server) -> (Full, [<Full as Service<Request>>::Future; 2]) {
    let never = Slow::never(server.channel()).map_err(BoxError::from);
    let mut buffer = Buffer::new(Boxed::new(never), 1);
    // The worker takes the first out of the queue, and the second stays in it.
    let first = buffer.ready().await.unwrap().call(Request::default());
    let second = buffer.ready().await.unwrap().call(Request::default());
    (buffer, [first, second])
}

/// How late each phase ends, of the layer alone and of the whole stack.
async fn latenesses(server: &Server) -> Vec<(&'static str, Duration)> {
    let alone = || DeadlineLayer::new().default_timeout(DEADLINE);
    let full = || Resilience::new().default_timeout(DEADLINE);
    let mut late = Vec::new();
    let mut note = |name, lateness| late.push((name, lateness));

    let hanging = hanging_connector();
    let stack = alone().layer(hanging.channel());
    note("connecting", lateness(stack, connecting(), unary).await);
    let stack = full().wrap(hanging.channel());
    note("connecting, stack", lateness(stack, "", unary).await);

    server.script().otherwise(hang_after_message());
    let stack = alone().layer(server.channel());
    note("stalled", lateness(stack, READING, stream).await);
    let stack = full().wrap(server.channel());
    note("stalled, stack", lateness(stack, READING, stream).await);

    server.script().clear();
    let stack = alone().layer(server.channel());
    note("trickling", lateness(stack, READING, trickle).await);
    let stack = full().wrap(server.channel());
    note("trickling, stack", lateness(stack, READING, trickle).await);

    let (buffer, _taken) = full_buffer(server).await;
    let stack = alone().layer(buffer);
    note("full buffer", lateness(stack, QUEUED, unary).await);
    late
}

// CONTRACT D5, D9
#[transports::test(start_paused = true)]
async fn in_every_phase_a_call_ends_at_its_deadline_to_the_millisecond() {
    for (phase, late) in latenesses(&Server::in_memory()).await {
        assert_eq!(late, Duration::ZERO, "{phase}");
    }
}

// CONTRACT D5, D9: a machine that is busy is forgiven once and again, a layer that is late is not
#[transports::test]
async fn in_every_phase_a_call_ends_within_20_ms_of_its_deadline_on_a_real_clock() {
    let mut best = latenesses(&Server::tcp().await).await;
    for _ in 0..10 {
        if best.iter().all(|(_, late)| *late < ms(20)) {
            break;
        }
        let again = latenesses(&Server::tcp().await).await;
        for ((_, best), (_, late)) in best.iter_mut().zip(again) {
            *best = late.min(*best);
        }
    }
    for (phase, late) in best {
        println!("{phase}: {late:?} late");
        assert!(late < ms(20), "{phase}: {late:?}");
    }
}
