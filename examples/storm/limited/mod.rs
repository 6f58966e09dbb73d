//! A server limited to 500 calls a second, and clients that offer it 1,000.

mod figures;

use std::time::Duration;

use grpc_resilience::rate_limit::{Quota, RateLimitSnapshot, ServerRateLimitLayer};
use grpc_resilience::{Resilience, RetryPolicy};
use tokio::time::{Instant, sleep_until};
use tonic::Code;

use crate::Failure;
use crate::args::Args;
use crate::arrivals::Arrivals;
use crate::clients::{Caller, connect};
use crate::faults::Faults;
use crate::load::Load;
use crate::progress::Progress;
use crate::proto::storm_client::StormClient;
use crate::record::Record;
use crate::server::{Server, Setup};
use crate::trial::LEAD;
use grpc_resilience_examples::show::plot::{Line, Plot, points};
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::series::BUCKET;
use grpc_resilience_examples::show::table::compare;

use figures::{Figures, ROWS};

const NAME: &str = "limited";
/// Calls a second that are let through; a burst of as many.
const QUOTA: u32 = 500;
const LOAD: Load = Load {
    per_second: 1_000,
    length: Duration::from_secs(5),
};
/// Long enough for all.
const DEADLINE: Duration = Duration::from_secs(30);

const CAPTION: &str = "\
The server is under ServerRateLimitLayer::new(Quota::per_second(500)), which has a burst of 500; attempts are counted above it,
refused ones too. The clients are Resilience::new() with a timeout of 30 s, all methods declared idempotent, and
RetryPolicy::until_deadline() on RESOURCE_EXHAUSTED; no budget, which is there for servers in trouble: this one refuses
most callers once on purpose, and tells when they shall come. The quota is what was free from the first call to the last
success.";

/// What came of it, from both ends.
struct Run {
    is_hinted: bool,
    record: Record,
    arrivals: Arrivals,
    limit: RateLimitSnapshot,
}

impl Run {
    fn name(&self) -> &'static str {
        name(self.is_hinted)
    }
}

fn name(is_hinted: bool) -> &'static str {
    if is_hinted {
        "with hints"
    } else {
        "without_hints()"
    }
}

/// Runs it, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let all = if args.quick {
        &[true][..]
    } else {
        &[true, false]
    };
    let mut runs = Vec::new();
    for &is_hinted in all {
        runs.push(try_out(is_hinted).await?);
    }
    let columns: Vec<_> = runs
        .iter()
        .map(|run| (run.name(), Figures::of(run)))
        .collect();
    let title = format!("{} calls/s for 5 s, a quota of {QUOTA}/s", LOAD.per_second);
    println!("\n{}", compare(&title, &columns, &ROWS));
    println!("{CAPTION}");
    let path = plot(&runs).write(&args.out, "limited.svg")?;
    println!("plot: {}", path.display());
    let ours = runs.iter().zip(&columns);
    let promises = ours
        .filter(|(run, _)| run.is_hinted)
        .flat_map(|(_, (_, figures))| figures.promises());
    Ok(promises.collect())
}

async fn try_out(is_hinted: bool) -> Result<Run, Failure> {
    let limit = ServerRateLimitLayer::new(Quota::per_second(QUOTA)?);
    let limit = if is_hinted {
        limit
    } else {
        limit.without_hints()
    };
    let setup = Setup {
        faults: Faults::None,
        limit: limit.clone(),
    };
    let opening = Instant::now() + LEAD;
    let server = Server::start(setup, opening)?;
    let channel = Resilience::new()
        .default_timeout(DEADLINE)
        .idempotent("/**")?
        .unlimited_budget()
        .retry(RetryPolicy::until_deadline().retry_on(Code::ResourceExhausted))
        .wrap(connect(server.address()).await?);
    let record = load(name(is_hinted), &StormClient::new(channel), opening).await?;
    Ok(Run {
        is_hinted,
        record,
        arrivals: server.stop()?,
        limit: limit.snapshot(),
    })
}

async fn load(name: &str, caller: &impl Caller, opening: Instant) -> Result<Record, Failure> {
    let phases = vec![("offered", LOAD.length)];
    let progress = Progress::start(format!("{NAME}: {name}"), phases, LOAD.calls())?;
    sleep_until(opening).await;
    let record = LOAD.offer(caller, opening, &progress).await;
    progress.finish();
    Ok(record)
}

fn plot(runs: &[Run]) -> Plot {
    let last = |run: &Run| run.arrivals.attempts.ends().map(|(_, last)| last);
    let end = runs.iter().filter_map(last).max().unwrap_or_default() + BUCKET;
    let line = |run: &Run| Line {
        name: run.name(),
        is_ours: run.is_hinted,
        points: points(&run.arrivals.attempts, end),
    };
    let quota = f64::from(QUOTA) * BUCKET.as_secs_f64();
    let quota = Line {
        name: "quota",
        is_ours: false,
        points: vec![(0.0, quota), (end.as_secs_f64(), quota)],
    };
    Plot {
        title: format!(
            "Attempts that reach a server limited to {QUOTA}/s, {} calls/s offered",
            LOAD.per_second
        ),
        x: "time (s)",
        y: "attempts per 100 ms",
        shaded: Some((0.0..LOAD.length.as_secs_f64(), "calls are offered")),
        lines: runs.iter().map(line).chain([quota]).collect(),
    }
}
