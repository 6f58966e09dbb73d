//! What a stream holds of memory while it comes back again and again.

use std::time::Duration;

use grpc_resilience::Resilience;
use grpc_resilience::streams::{OnEnd, Resumable};
use test_protos::{EchoClient, EchoRequest, EchoResponse};
use testing::{Answer, Server, grpc_frame, method};
use tonic::{Code, Request};
use transports::Transport;

use crate::ALLOCATOR;
use crate::support::alone;

const SECOND: Duration = Duration::from_secs(1);

/// One message, and then each kind of end in turn.
fn answers() -> [Answer; 3] {
    let message = || grpc_frame(&EchoResponse::default());
    [
        Answer::status_after_message(Code::Unavailable, "restarting", message()),
        Answer::status_in_trailers(Code::Ok, "").frame(message()),
        Answer::hang_after_head().frame(message()),
    ]
}

async fn a_thousand_reopens_hold_nothing() {
    let server = Server::in_memory();
    let resilience = Resilience::new().unlimited_budget();
    let channel = resilience.wrap(server.channel());
    let mut number = 0;
    let mut stream = Resumable::builder(Request::new(EchoRequest::default()), move |request| {
        let mut client = EchoClient::new(channel.clone());
        async move { client.server_stream(request).await }
    })
    .token(move |_: &EchoResponse| {
        number += 1;
        Some(number)
    })
    .resume(|first, _| first.clone())
    .on_end(OnEnd::Reopen)
    .hold_until_token()
    .idle_timeout(SECOND)
    .build()
    .unwrap();
    let report = stream.report();
    let mut used = Vec::new();
    for _ in 0..7 {
        for _ in 0..67 {
            server.script().on(method::SERVER_STREAM, answers());
            for _ in 0..3 {
                stream.next().await.unwrap().unwrap();
            }
            // The log of calls grows.
            server.clear();
        }
        used.push(ALLOCATOR.current_usage());
    }
    println!("{:?}: {used:?} bytes; {report}", Transport::current());
    assert!(report.reopens() >= 1_200);
    let grown = used[6].saturating_sub(used[1]);
    assert!(grown < 16 << 10, "{used:?}");
}

// CONTRACT S5
#[test]
fn a_thousand_reopens_hold_nothing_over_either_channel() {
    for transport in [Transport::Ours, Transport::Tonic] {
        alone(transport.run(a_thousand_reopens_hold_nothing()));
    }
}
