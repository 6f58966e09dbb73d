//! Streams of messages over each channel.

use std::iter::zip;
use std::time::Duration;

use benches::document::{self, whole};
use benches::{Failure, rounds, server};
use grpc_resilience::channel::Channel;
use tonic::transport::Endpoint;

use call::{Caller, Direction, Size};
use service::Streams;

use crate::subjects::{AGAIN, BARE};

#[path = "../streaming/call.rs"]
mod call;
#[path = "../streaming/streams.rs"]
mod service;

/// Each is as fast as the kernel's buffers for it happened to grow, so there are many, one after
/// the other.
const CONNECTIONS: usize = 6;
/// On each connection.
const ROUNDS: usize = 4;
/// What our channel is to have of tonic's throughput.
const GOAL: f64 = 0.93;
const OURS: &str = "our channel";

type Subject = (&'static str, Box<dyn Caller>);

/// The throughput of streams, of that over tonic's channel.
pub(crate) fn table(is_quick: bool) -> Result<String, Failure> {
    let address = server::start(Streams)?;
    let mut rows = Vec::new();
    for (size, messages) in [(Size::Kibibyte, 4_096), (Size::Mebibyte, 32)] {
        let messages = if is_quick { 2 } else { messages };
        for direction in [Direction::ServerStream, Direction::ClientStream] {
            let all = times(&address, direction, size, messages, is_quick)?;
            let bare = all.first().map(|(_, times)| times.clone());
            let bare = bare.unwrap_or_default();
            rows.extend(all.iter().map(|(name, times)| {
                let stream = format!("{}, {}: {name}", direction.name(), size.name());
                row(stream, messages, times, &bare, *name == OURS)
            }));
        }
    }
    let header = ["streams", "messages/s", "of tonic", "at least", ""];
    Ok(format!("{}\n", document::table(header, rows)))
}

/// How long each stream took over each channel.
fn times(
    address: &str,
    direction: Direction,
    size: Size,
    messages: u32,
    is_quick: bool,
) -> Result<Vec<(&'static str, Vec<Duration>)>, Failure> {
    let runtime = crate::runtime(0)?;
    let (connections, rounds) = if is_quick {
        (1, 1)
    } else {
        (CONNECTIONS, ROUNDS)
    };
    let mut all: Vec<(&str, Vec<Duration>)> = Vec::new();
    for _ in 0..connections {
        let mut subjects = {
            let _entered = runtime.enter();
            subjects(address)?
        };
        let mut turn =
            |(_, caller): &mut Subject| runtime.block_on(caller.stream(direction, size, messages));
        subjects.iter_mut().try_for_each(&mut turn)?;
        let times = rounds::interleaved(rounds, &mut subjects, turn)?;
        all.resize_with(subjects.len(), Default::default);
        for (((name, _), times), (as_named, all)) in zip(zip(subjects, times), &mut all) {
            *as_named = name;
            all.extend(times);
        }
    }
    Ok(all)
}

/// Each over a connection of its own.
fn subjects(address: &str) -> Result<Vec<Subject>, Failure> {
    let tonic = Endpoint::from_shared(address.to_owned())?;
    let ours = Channel::builder(address).max_connections(1).build()?;
    Ok(vec![
        (BARE, Box::new(tonic.connect_lazy())),
        (AGAIN, Box::new(tonic.connect_lazy())),
        (OURS, Box::new(ours)),
    ])
}

/// The median of the ratios of each round.
fn row(
    name: String,
    messages: u32,
    times: &[Duration],
    bare: &[Duration],
    is_aimed_at: bool,
) -> [String; 5] {
    let ratio = |(time, bare): (&Duration, &Duration)| bare.as_secs_f64() / time.as_secs_f64();
    let ratio = rounds::median(zip(times, bare).map(ratio));
    let speed = |time: &Duration| f64::from(messages) / time.as_secs_f64();
    let speed = rounds::median(times.iter().map(speed));
    let kept = if ratio >= GOAL { "kept" } else { "BROKEN" };
    let aimed_at = |text: String| if is_aimed_at { text } else { String::new() };
    [
        name,
        whole(speed),
        format!("{ratio:.3}"),
        aimed_at(GOAL.to_string()),
        aimed_at(kept.into()),
    ]
}
