//! One of three servers is ten times as slow as the others.

use std::time::Duration;

use grpc_resilience::channel::pick::{LeastLoaded, Random, RoundRobin};
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::{
    Nature, OURS, Port, Record, Server, TONIC, declared, ours, plot, tonic, workers,
};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::table::{Row, compare};
use tokio::time::Instant;

use crate::args::Args;
use crate::clients::{addresses, to};

const NAME: &str = "slow";
const WORKERS: u32 = 32;
const DELAYS: [Duration; 3] = [
    Duration::from_millis(5),
    Duration::from_millis(5),
    Duration::from_millis(50),
];
const SLOW: u32 = 2;

const MOST_TO_THE_SLOW: f64 = 8.0;
const LEAST_GAIN: f64 = 2.0;

/// Runs it, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let mut servers = Vec::new();
    for (index, delay) in (0..).zip(DELAYS) {
        servers.push(Server::start(index, Port::reserve()?, Nature::slow(delay)).await?);
    }
    let length = Duration::from_secs(if args.quick { 3 } else { 5 });
    let mut columns = vec![
        (OURS, picked(&servers, length, "least loaded").await?),
        ("ours, random", picked(&servers, length, "random").await?),
    ];
    if !args.quick {
        let robin = picked(&servers, length, "round robin").await?;
        columns.push(("ours, round robin", robin));
        let client = tonic(addresses(&servers)?, |endpoint| endpoint).await?;
        let work = workers(&client, WORKERS, Instant::now(), length);
        let record = watch("slow: tonic's balance_list", length, work).await?;
        columns.push((TONIC, record));
    }
    let title = "servers of 5, 5 and 50 ms, 32 workers";
    println!("\n{}", compare(title, &columns, &ROWS));
    let lines: Vec<_> = columns.iter().map(|(name, it)| (*name, it)).collect();
    let words = ("Servers of 5, 5 and 50 ms", "answers per 100 ms");
    plot(&args.out, "slow.svg", words, None, &lines, |call| {
        call.server.is_some()
    })?;
    let [(_, ours), (_, random), ..] = &columns[..] else {
        return Err("a client is missing".into());
    };
    Ok(promises(ours, random))
}

async fn picked(
    servers: &[Server],
    length: Duration,
    picker: &'static str,
) -> Result<Record, Failure> {
    let builder = to(servers)?;
    let builder = match picker {
        "random" => builder.picker(Random::new()),
        "round robin" => builder.picker(RoundRobin::new()),
        _ => builder.picker(LeastLoaded::new()),
    };
    let (client, _) = ours(&declared()?, &builder.build()?, servers.len()).await?;
    let work = workers(&client, WORKERS, Instant::now(), length);
    watch(&format!("slow: {picker}"), length, work).await
}

fn promises(ours: &Record, random: &Record) -> Vec<Promise> {
    let share = to_the_slow(ours);
    let gain = ours.throughput() / random.throughput().max(f64::MIN_POSITIVE);
    vec![
        Promise::new(
            NAME,
            "the slow one of three servers gets at most 8 % of the calls",
            format!("{share:.1} %"),
            share <= MOST_TO_THE_SLOW,
        )
        .of_times(),
        Promise::new(
            NAME,
            "at least twice the calls a second that random picks give",
            format!("{gain:.2} x"),
            gain >= LEAST_GAIN,
        )
        .of_times(),
    ]
}

fn to_the_slow(record: &Record) -> f64 {
    record.share(SLOW..SLOW + 1, Duration::ZERO..Duration::MAX)
}

const ROWS: [Row<Record>; 5] = [
    ("calls a second", |it| format!("{:.0}", it.throughput())),
    ("calls to the slow server", |it| {
        format!("{:.1} %", to_the_slow(it))
    }),
    ("p50 (ms)", |it| quantile(it, 0.5)),
    ("p99 (ms)", |it| quantile(it, 0.99)),
    ("failed", Record::failures),
];

fn quantile(record: &Record, share: f64) -> String {
    let quantile = record.quantile(share, Duration::ZERO..Duration::MAX);
    format!("{:.1}", 1000.0 * quantile.as_secs_f64())
}
