//! Half of all answers fail: what a budget lets through.

use std::time::Duration;

use grpc_resilience::{PercentageBudget, Resilience};
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::{self, Nature, Record, Server, declared, open, ours};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::series::ratio;
use grpc_resilience_examples::show::table::{Row, compare};
use tokio::time::Instant;

use crate::clients::to;

const NAME: &str = "budget";
const SHARE: f64 = 0.5;
const PER_SECOND: u32 = 1_000;
/// Long enough for the shares to be sure.
const LENGTH: Duration = Duration::from_secs(4);

const MOST_WITH: f64 = 1.25;
const LEAST_WITHOUT: f64 = 1.8;

struct Figures {
    record: Record,
    attempts: u32,
}

/// Runs it, and prints the table.
pub(crate) async fn run() -> Result<Vec<Promise>, Failure> {
    let servers = fleet::start(3, Nature::failing(SHARE)).await?;
    let with = declared()?.budget(PercentageBudget::new(20.0)?);
    let without = declared()?.unlimited_budget();
    let columns = [
        ("a budget of 20 %", under(&servers, &with).await?),
        ("no budget", under(&servers, &without).await?),
    ];
    let title = format!("{PER_SECOND} calls/s, half of all answers UNAVAILABLE");
    println!("\n{}", compare(&title, &columns, &ROWS));
    let [(_, with), (_, without)] = &columns;
    let (load, free) = (per_call(with), per_call(without));
    let rate = with.record.rate();
    Ok(vec![
        Promise::offered(NAME, rate, PER_SECOND),
        Promise::new(
            NAME,
            "under a budget of 20 % the servers get at most 1.25 x the calls",
            format!("{load:.3} x"),
            load <= MOST_WITH,
        ),
        Promise::new(
            NAME,
            "(without a budget they get at least 1.8 x)",
            format!("{free:.3} x"),
            free >= LEAST_WITHOUT,
        ),
    ])
}

async fn under(servers: &[Server], resilience: &Resilience) -> Result<Figures, Failure> {
    let channel = to(servers)?.build()?;
    let (client, attempts) = ours(resilience, &channel, servers.len()).await?;
    let work = open(&client, PER_SECOND, Instant::now(), LENGTH);
    let record = watch("budget: half of all answers fail", LENGTH, work).await?;
    let attempts = attempts.made();
    Ok(Figures { record, attempts })
}

fn per_call(figures: &Figures) -> f64 {
    ratio(figures.attempts, figures.record.total())
}

const ROWS: [Row<Figures>; 4] = [
    ("calls", |it| it.record.total().to_string()),
    ("attempts", |it| it.attempts.to_string()),
    ("attempts per call", |it| format!("{:.3}", per_call(it))),
    ("failed", |it| it.record.failures()),
];
