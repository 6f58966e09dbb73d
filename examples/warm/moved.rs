//! The name moves from three servers to three others; the old ones still answer.

use std::time::Duration;

use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::{Caller, OURS, Record, declared, ours, plot, workers};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::table::{Row, compare};
use tokio::time::{Instant, sleep_until};

use crate::args::Args;
use crate::clients::{WARM, channel, warm};
use crate::dns::{Fleet, NAMED, SERVERS};

const NAME: &str = "moved";
const WORKERS: u32 = 16;
/// The first three are the old ones.
const FIRST_NEW: u32 = 3;
const CALM: Duration = Duration::from_secs(2);
/// The records' TTL and a second.
const BY: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(4);
/// `warm_channels` looks a name up again after 10 s at the earliest.
const AFTER_FOR_WARM: Duration = Duration::from_secs(11);

const LEAST_SHARE: f64 = 95.0;

struct Figures {
    record: Record,
    moved: Duration,
}

/// Runs it, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let fleet = Fleet::start().await?;
    let target = fleet.target()?;
    let channel = channel(target)?;
    let (client, _) = ours(&declared()?, &channel, NAMED).await?;
    let mut columns = vec![(OURS, through(&client, &fleet, AFTER, OURS).await?)];
    if !args.quick {
        fleet.name(0..NAMED)?;
        let (client, _worker) = warm(target).await?;
        columns.push((WARM, through(&client, &fleet, AFTER_FOR_WARM, WARM).await?));
    }
    let title = "the name moves to three other servers, TTL 1 s";
    println!("\n{}", compare(title, &columns, &ROWS));
    println!("tonic looks a name up when it connects; its balanced channels are of addresses.");
    let records: Vec<_> = columns
        .iter()
        .map(|(name, it)| (*name, &it.record))
        .collect();
    let Some((_, ours)) = columns.first() else {
        return Err("a client is missing".into());
    };
    let words = ("A name moves", "answers of the new servers per 100 ms");
    let shaded = Some((ours.moved..ours.moved + BY, "TTL + 1 s"));
    plot(&args.out, "moved.svg", words, shaded, &records, |call| {
        call.server.is_some_and(is_new)
    })?;
    let share = on_the_new(ours);
    Ok(vec![
        Promise::new(
            NAME,
            "a name that moves: 0 failed",
            ours.record.failures(),
            ours.record.failed() == 0,
        ),
        Promise::new(
            NAME,
            "by TTL + 1 s at least 95 % of the calls go to the new servers",
            format!("{share:.1} %"),
            share >= LEAST_SHARE,
        )
        .of_times(),
    ])
}

async fn through(
    client: &impl Caller,
    fleet: &Fleet,
    after: Duration,
    name: &str,
) -> Result<Figures, Failure> {
    let opening = Instant::now();
    let moving = async {
        sleep_until(opening + CALM).await;
        fleet.name(NAMED..usize::from(SERVERS))?;
        Ok::<_, Failure>(opening.elapsed())
    };
    let length = CALM + after;
    let work = async { tokio::join!(workers(client, WORKERS, opening, length), moving) };
    let (record, moved) = watch(&format!("moved: {name}"), length, work).await?;
    Ok(Figures {
        record,
        moved: moved?,
    })
}

fn is_new(server: u32) -> bool {
    server >= FIRST_NEW
}

/// Of the calls that end later than TTL + 1 s.
fn on_the_new(figures: &Figures) -> f64 {
    let later = figures.moved + BY..Duration::MAX;
    figures.record.share(FIRST_NEW..u32::from(SERVERS), later)
}

const ROWS: [Row<Figures>; 3] = [
    ("calls", |it| it.record.total().to_string()),
    ("failed", |it| it.record.failures()),
    ("on the new servers after TTL + 1 s", |it| {
        format!("{:.1} %", on_the_new(it))
    }),
];
