//! How fast streams of 1 MiB messages go through the whole stack, over loopback HTTP/2.
//!
//! ```console
//! $ cargo bench -p grpc-resilience-benches --bench streaming
//! $ cargo bench -p grpc-resilience-benches --bench streaming -- --write
//! ```

#[path = "streaming/call.rs"]
mod call;
#[path = "streaming/streams.rs"]
mod streams;

use std::iter::zip;
use std::time::Duration;

use benches::document::{self, short, table};
use benches::{Failure, Options, rounds, server};
use clap::Parser as _;
use grpc_resilience::Resilience;
use tokio::runtime::Builder;
use tonic::transport::Endpoint;
use tower::Layer;

use call::{Caller, Direction, Size};
use streams::Streams;

/// Each is as fast as the kernel's buffers for it happened to grow, so there are many, one after the
/// other.
const CONNECTIONS: usize = 12;
/// On each connection.
const ROUNDS: usize = 6;
const MESSAGES: u32 = 32;
/// The methods of [`Direction`].
const METHODS: &str = "/bench.v1.Streams/*";
/// What the stack is promised to leave of the bare channel's throughput.
const PROMISED: f64 = 0.98;

type Subject = (&'static str, Box<dyn Caller>);

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let endpoint = Endpoint::from_shared(server::start(Streams)?)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut rows = Vec::new();
    for direction in [Direction::ServerStream, Direction::ClientStream] {
        let mut all: Vec<(&str, Vec<Duration>)> = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut subjects = {
                let _entered = runtime.enter();
                subjects(&endpoint)?
            };
            let mut turn = |(_, caller): &mut Subject| {
                runtime.block_on(caller.stream(direction, Size::Mebibyte, MESSAGES))
            };
            subjects.iter_mut().try_for_each(&mut turn)?;
            let times = rounds::interleaved(ROUNDS, &mut subjects, turn)?;
            all.resize_with(subjects.len(), Default::default);
            for (((name, _), times), (as_named, all)) in zip(zip(subjects, times), &mut all) {
                *as_named = name;
                all.extend(times);
            }
        }
        let bare = all.first().map(|(_, times)| times.clone());
        let bare = bare.unwrap_or_default();
        let row = |(name, times): &(&str, Vec<_>)| row(direction, name, times, &bare);
        rows.extend(all.iter().map(row));
    }
    let header = [
        "streams of 1 MiB messages",
        "MiB/s",
        "of bare",
        "at least",
        "",
    ];
    let text = table(header, rows);
    println!("{text}");
    if options.write {
        document::write_section("streaming", &text)?;
    }
    Ok(())
}

/// Each over a connection of its own. The bare channel twice: what the two differ by is chance.
fn subjects(endpoint: &Endpoint) -> Result<Vec<Subject>, Failure> {
    let stack = Resilience::new()
        .default_timeout(Duration::from_secs(30))
        .idempotent(METHODS)?;
    Ok(vec![
        ("bare", Box::new(endpoint.connect_lazy())),
        ("bare, once more", Box::new(endpoint.connect_lazy())),
        ("Resilience", Box::new(stack.layer(endpoint.connect_lazy()))),
    ])
}

/// The median of the ratios of each round.
fn row(direction: Direction, name: &str, times: &[Duration], bare: &[Duration]) -> [String; 5] {
    let ratio = |(time, bare): (&Duration, &Duration)| bare.as_secs_f64() / time.as_secs_f64();
    let ratio = rounds::median(zip(times, bare).map(ratio));
    let speed = |time: &Duration| f64::from(MESSAGES) / time.as_secs_f64();
    let speed = rounds::median(times.iter().map(speed));
    let is_promised = name == "Resilience";
    let kept = if ratio >= PROMISED { "kept" } else { "BROKEN" };
    [
        format!("{}: {name}", direction.name()),
        document::whole(speed),
        format!("{ratio:.3}"),
        if is_promised {
            short(PROMISED)
        } else {
            String::new()
        },
        if is_promised {
            kept.into()
        } else {
            String::new()
        },
    ]
}
