//! One of three addresses becomes another, again and again; then the resolver is down.

use std::net::SocketAddr;
use std::time::Duration;

use grpc_resilience::channel::Channel;
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::proto::fleet_client::FleetClient;
use grpc_resilience_examples::fleet::{
    self, Nature, OURS, Record, TONIC, declared, ours, warmed, workers,
};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::table::{Row, compare};
use tokio::time::{Instant, sleep_until};
use tonic::transport::channel::Change;
use tonic::transport::{self, Endpoint};

use crate::args::Args;
use crate::clients::addresses;
use crate::told::Told;

const NAME: &str = "swap";
const WORKERS: u32 = 16;
const IN_USE: usize = 3;
const EVERY: Duration = Duration::from_millis(500);
const DOWN: Duration = Duration::from_secs(5);
/// How long an answer takes: each swap meets calls that are under way.
const DELAY: Duration = Duration::from_millis(2);

struct Figures {
    record: Record,
    swaps: u32,
}

/// Runs it, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let servers = fleet::start(4, Nature::slow(DELAY)).await?;
    let all = addresses(&servers)?;
    let swaps = if args.quick { 10 } else { 40 };
    let length = EVERY * (swaps + 1);
    let (teller, told) = Told::new();
    teller.are(all.iter().copied().take(IN_USE));
    let channel = Channel::builder("dns:///fleet:80").resolver(told).build()?;
    let (client, _) = ours(&declared()?, &channel, IN_USE).await?;

    let opening = Instant::now();
    let mut set = Set::new(&all);
    let swapping = async {
        for swap in 1..=swaps {
            sleep_until(opening + EVERY * swap).await;
            set.swap();
            teller.are(set.in_use.iter().copied());
        }
    };
    let work = async { tokio::join!(workers(&client, WORKERS, opening, length), swapping) };
    let (swapped, ()) = watch("swap: this crate", length, work).await?;

    let opening = Instant::now();
    let failing = async {
        for second in 0..5 {
            sleep_until(opening + Duration::from_secs(second)).await;
            teller.is_down();
        }
    };
    let work = async { tokio::join!(workers(&client, WORKERS, opening, DOWN), failing) };
    let (down, ()) = watch("swap: the resolver is down", DOWN, work).await?;

    let promises = vec![
        none_failed(
            format!("one of three addresses swapped {swaps} times under 16 workers: 0 failed"),
            &swapped,
        ),
        none_failed("the resolver down for 5 s: 0 failed".into(), &down),
    ];
    let record = swapped;
    let mut columns = vec![(OURS, Figures { record, swaps })];
    if !args.quick {
        let swaps = swaps / 2;
        let record = tonic(&all, swaps).await?;
        columns.push((TONIC, Figures { record, swaps }));
    }
    println!(
        "\n{}",
        compare("an address swapped every 500 ms", &columns, &ROWS)
    );
    Ok(promises)
}

/// tonic's `balance_channel`, told the same.
async fn tonic(all: &[SocketAddr], swaps: u32) -> Result<Record, Failure> {
    let (channel, changes) = transport::Channel::balance_channel(64);
    let mut set = Set::new(all);
    for address in &set.in_use {
        changes.send(insert(*address)?).await?;
    }
    let client = FleetClient::new(channel);
    warmed(&client).await?;
    let opening = Instant::now();
    let swapping = async {
        for swap in 1..=swaps {
            sleep_until(opening + EVERY * swap).await;
            let (removed, added) = set.swap();
            changes.send(insert(added)?).await?;
            changes.send(Change::Remove(removed)).await?;
        }
        Ok::<_, Failure>(())
    };
    let length = EVERY * (swaps + 1);
    let work = async { tokio::join!(workers(&client, WORKERS, opening, length), swapping) };
    let (record, swapped) = watch("swap: tonic's balance_channel", length, work).await?;
    swapped?;
    Ok(record)
}

fn insert(address: SocketAddr) -> Result<Change<SocketAddr, Endpoint>, Failure> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(Change::Insert(address, endpoint))
}

fn none_failed(promised: String, record: &Record) -> Promise {
    let kept = record.failed() == 0 && record.total() > 0;
    Promise::new(NAME, promised, record.failures(), kept)
}

/// Three addresses in use, the longest in use first, and a spare one.
struct Set {
    in_use: Vec<SocketAddr>,
    spare: Vec<SocketAddr>,
}

impl Set {
    fn new(all: &[SocketAddr]) -> Self {
        let (in_use, spare) = all.split_at(IN_USE.min(all.len()));
        Self {
            in_use: in_use.to_vec(),
            spare: spare.to_vec(),
        }
    }

    /// Which leaves, and which comes.
    fn swap(&mut self) -> (SocketAddr, SocketAddr) {
        let (removed, added) = (self.in_use.remove(0), self.spare.remove(0));
        self.in_use.push(added);
        self.spare.push(removed);
        (removed, added)
    }
}

const ROWS: [Row<Figures>; 3] = [
    ("swaps", |it| it.swaps.to_string()),
    ("calls a second", |it| {
        format!("{:.0}", it.record.throughput())
    }),
    ("failed", |it| it.record.failures()),
];
