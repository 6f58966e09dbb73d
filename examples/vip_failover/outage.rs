//! The leader says that it ends, its connections are reset, and its address refuses new ones, until
//! another server leads.

use std::ops::Range;
use std::time::Duration;

use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::{Call, Record, plot};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::table::{Row, compare};
use tokio::time::{Instant, sleep, sleep_until};

use crate::args::Args;
use crate::leader::Leader;
use crate::pair::Pair;
use crate::timeline::Timeline;
use crate::vip::Vip;

const NAME: &str = "outage";
const WORKERS: u32 = 8;
const CALM: Duration = Duration::from_secs(1);
/// How long the old leader refuses calls, at the begin of an outage, before its connections are
/// reset.
const DYING: Duration = Duration::from_millis(100);
const AFTER: Duration = Duration::from_secs(2);
/// So much longer than the outage a call may take.
const MORE: Duration = Duration::from_secs(1);
/// In milliseconds.
const OUTAGES: [u64; 4] = [500, 2_000, 5_000, 10_000];
/// How many of them a short run has.
const SHORT: usize = 2;

/// What became of the calls during one outage.
struct Run {
    lasts: Duration,
    records: Vec<(&'static str, Record)>,
    down: Range<Duration>,
}

/// Runs it, and prints the tables.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let mut promises = Vec::new();
    let count = if args.quick { SHORT } else { OUTAGES.len() };
    for lasts in OUTAGES.into_iter().take(count) {
        let run = one(Duration::from_millis(lasts), args.quick).await?;
        let lasts = run.lasts;
        let title = format!("no leader for {lasts:?}");
        println!("{}", compare(&title, &run.records, &ROWS));
        let records: Vec<_> = run.records.iter().map(|(name, it)| (*name, it)).collect();
        let words = ("The leader's address moves", "answers per 100 ms");
        let shaded = Some((run.down.clone(), "refused"));
        let file = format!("outage-{lasts:?}.svg");
        plot(&args.out, &file, words, shaded, &records, |call| {
            call.server.is_some()
        })?;
        let (_, ours) = run.records.first().ok_or("a client is missing")?;
        let longest = longest(ours);
        promises.push(Promise::new(
            NAME,
            format!("no leader for {lasts:?}: 0 idempotent calls fail"),
            ours.failures(),
            ours.failed() == 0 && ours.total() > 0,
        ));
        let words = format!("no leader for {lasts:?}: the longest call at most a second longer");
        let is_kept = longest <= lasts + MORE;
        promises.push(Promise::new(NAME, words, format!("{longest:.2?}"), is_kept).of_times());
    }
    Ok(promises)
}

async fn one(lasts: Duration, is_short: bool) -> Result<Run, Failure> {
    let (old, new) = (Leader::start(0).await?, Leader::start(1).await?);
    let mut vip = Vip::new(&[old.address])?;
    let clients = Pair::new(vip.address(), is_short).await?;
    let (opening, length) = (Instant::now(), CALM + lasts + AFTER);
    let mut timeline = Timeline::new(opening);
    let moving = async {
        sleep_until(opening + CALM).await;
        old.dies();
        timeline.say("the leader answers UNAVAILABLE");
        sleep(DYING).await;
        vip.refuse().await;
        vip.reset();
        let begin = timeline.say("connections are reset, and new ones refused");
        sleep_until(opening + CALM + lasts).await;
        vip.lead_to(&[new.address])?;
        let end = timeline.say("the address leads to another server");
        Ok::<_, Failure>(begin..end)
    };
    let load = clients.work(WORKERS, opening, length);
    let work = async { tokio::join!(load, moving) };
    let (records, down) = watch(&format!("outage of {lasts:?}"), length, work).await?;
    let down = down?;
    for (name, record) in &records {
        if let Some(back) = record.first_answer(1, Duration::ZERO) {
            timeline.add(back, format!("{name}: the first answer of the new leader"));
        }
    }
    println!("\n{timeline}");
    Ok(Run {
        lasts,
        records,
        down,
    })
}

fn longest(record: &Record) -> Duration {
    let latencies = record.calls().iter().map(Call::latency);
    latencies.max().unwrap_or_default()
}

const ROWS: [Row<Record>; 3] = [
    ("calls", |it| it.total().to_string()),
    ("failed", Record::failures),
    ("longest", |it| format!("{:.2?}", longest(it))),
];
