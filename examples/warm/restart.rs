//! A server dies and comes back after two seconds: when it has its share of the calls again.

use std::ops::Range;
use std::time::Duration;

use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::{
    Caller, OURS, Record, TONIC, declared, ours, plot, tonic, workers,
};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::table::{Row, compare};
use tokio::time::{Instant, sleep_until};

use crate::args::Args;
use crate::clients::{WARM, channel, warm};
use crate::dns::{Fleet, NAMED};

const NAME: &str = "restart";
const WORKERS: u32 = 16;
const VICTIM: u32 = 1;
const CALM: Duration = Duration::from_secs(1);
const DEAD_FOR: Duration = Duration::from_secs(2);
/// After the restart; the share is that of the last second of it.
const AFTER: Duration = Duration::from_secs(5);

const LEAST_SHARE: f64 = 15.0;

struct Figures {
    record: Record,
    dead: Range<Duration>,
}

/// Runs it, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let mut fleet = Fleet::start().await?;
    let target = fleet.target()?;
    let channel = channel(target)?;
    let (client, _) = ours(&declared()?, &channel, NAMED).await?;
    let mut columns = vec![(OURS, through(&client, &mut fleet, "this crate").await?)];
    if !args.quick {
        let client = tonic(fleet.addresses(0..NAMED)?, |endpoint| endpoint).await?;
        columns.push((TONIC, through(&client, &mut fleet, TONIC).await?));
        let (client, _worker) = warm(target).await?;
        columns.push((WARM, through(&client, &mut fleet, WARM).await?));
    }
    let title = "one of three servers dead for 2 s";
    println!("\n{}", compare(title, &columns, &ROWS));
    let records: Vec<_> = columns
        .iter()
        .map(|(name, it)| (*name, &it.record))
        .collect();
    let Some((_, ours)) = columns.first() else {
        return Err("a client is missing".into());
    };
    let words = ("A server comes back", "answers of that server per 100 ms");
    let shaded = Some((ours.dead.clone(), "it is dead"));
    plot(&args.out, "restart.svg", words, shaded, &records, |call| {
        call.server == Some(VICTIM)
    })?;
    let share = fifth_second(ours);
    Ok(vec![
        Promise::new(
            NAME,
            "one of three servers dead for 2 s under 16 workers: 0 failed",
            ours.record.failures(),
            ours.record.failed() == 0,
        ),
        Promise::new(
            NAME,
            "in the fifth second after its restart it has at least 15 % of the calls",
            format!("{share:.1} %"),
            share >= LEAST_SHARE,
        ),
    ])
}

async fn through(client: &impl Caller, fleet: &mut Fleet, name: &str) -> Result<Figures, Failure> {
    let victim = fleet.servers.get_mut(VICTIM as usize);
    let victim = victim.ok_or("no such server")?;
    let opening = Instant::now();
    let length = CALM + DEAD_FOR + AFTER;
    let killing = async {
        sleep_until(opening + CALM).await;
        let killed = victim.kill().await?;
        sleep_until(killed + DEAD_FOR).await;
        let back = victim.restart().await?;
        Ok::<_, Failure>(killed - opening..back - opening)
    };
    let work = async { tokio::join!(workers(client, WORKERS, opening, length), killing) };
    let (record, dead) = watch(&format!("restart: {name}"), length, work).await?;
    Ok(Figures {
        record,
        dead: dead?,
    })
}

fn fifth_second(figures: &Figures) -> f64 {
    let begin = figures.dead.end + Duration::from_secs(4);
    let second = begin..begin + Duration::from_secs(1);
    figures.record.share(VICTIM..VICTIM + 1, second)
}

const ROWS: [Row<Figures>; 4] = [
    ("calls a second", |it| {
        format!("{:.0}", it.record.throughput())
    }),
    ("failed", |it| it.record.failures()),
    ("its share in the fifth second", |it| {
        format!("{:.1} %", fifth_second(it))
    }),
    ("used again after", |it| {
        let unused = it.record.first_answer(VICTIM, it.dead.end);
        unused.map_or_else(|| "never".into(), |unused| format!("{unused:.0?}"))
    }),
];
