//! One of three servers is killed for three seconds.

use std::ops::Range;
use std::time::Duration;

use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::{
    self, Caller, Nature, OURS, Record, Server, TONIC, declared, open, ours, plot, tonic,
};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::table::{Row, compare};
use tokio::time::{Instant, sleep_until};

use crate::args::Args;
use crate::clients::{addresses, to};

const NAME: &str = "kill";
const PER_SECOND: u32 = 1_500;
const VICTIM: u32 = 1;
const DOWN_FOR: Duration = Duration::from_secs(3);

const MOST_P99: Duration = Duration::from_millis(10);
const MOST_UNUSED: Duration = Duration::from_secs(1);

pub(crate) struct Figures {
    record: Record,
    /// From the kill to when the server listened again.
    down: Range<Duration>,
}

/// Runs it, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let mut servers = fleet::start(3, Nature::default()).await?;
    let channel = to(&servers)?.build()?;
    let (client, _) = ours(&declared()?, &channel, servers.len()).await?;
    let mut columns = vec![(
        OURS,
        through(args, &client, &mut servers, "this crate").await?,
    )];
    if !args.quick {
        let client = tonic(addresses(&servers)?, |endpoint| endpoint).await?;
        let figures = through(args, &client, &mut servers, "tonic's balance_list").await?;
        columns.push((TONIC, figures));
    }
    let title = format!("{PER_SECOND} calls/s, one of three servers killed");
    println!("\n{}", compare(&title, &columns, &ROWS));
    let records: Vec<_> = columns
        .iter()
        .map(|(name, it)| (*name, &it.record))
        .collect();
    let Some((_, ours)) = columns.first() else {
        return Err("a client is missing".into());
    };
    let words = (
        "One of three servers is killed",
        "answers of that server per 100 ms",
    );
    let shaded = Some((ours.down.clone(), "it is dead"));
    plot(&args.out, "kill.svg", words, shaded, &records, |call| {
        call.server == Some(VICTIM)
    })?;
    Ok(promises(ours))
}

async fn through(
    args: &Args,
    client: &impl Caller,
    servers: &mut [Server],
    name: &str,
) -> Result<Figures, Failure> {
    let victim = servers.get_mut(VICTIM as usize).ok_or("no such server")?;
    let (calm, after) = if args.quick { (1, 2) } else { (4, 5) };
    let length = Duration::from_secs(calm + after) + DOWN_FOR;
    let opening = Instant::now();
    let killing = async {
        sleep_until(opening + Duration::from_secs(calm)).await;
        let killed = victim.kill().await?;
        sleep_until(killed + DOWN_FOR).await;
        let back = victim.restart().await?;
        Ok::<_, Failure>(killed - opening..back - opening)
    };
    let work = async { tokio::join!(open(client, PER_SECOND, opening, length), killing) };
    let (record, down) = watch(&format!("kill: {name}"), length, work).await?;
    Ok(Figures {
        record,
        down: down?,
    })
}

fn promises(ours: &Figures) -> Vec<Promise> {
    let Figures { record, down } = ours;
    let p99 = record.quantile(0.99, down.clone());
    let unused = record.first_answer(VICTIM, down.end);
    vec![
        Promise::offered(NAME, record.rate(), PER_SECOND),
        Promise::new(
            NAME,
            "one of three servers killed under 1,500 calls/s: 0 failed",
            record.failures(),
            record.failed() == 0,
        ),
        Promise::new(
            NAME,
            "p99 at most 10 ms while it is down",
            format!("{p99:.1?} ({:.1?} before)", calm_p99(ours)),
            p99 <= MOST_P99,
        )
        .of_times(),
        Promise::new(
            NAME,
            "the server is used again within 1 s of coming back",
            shown(unused),
            unused.is_some_and(|unused| unused <= MOST_UNUSED),
        )
        .of_times(),
    ]
}

fn calm_p99(figures: &Figures) -> Duration {
    let calm = Duration::ZERO..figures.down.start;
    figures.record.quantile(0.99, calm)
}

fn shown(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".into(), |time| format!("{time:.0?}"))
}

const ROWS: [Row<Figures>; 5] = [
    ("calls", |it| it.record.total().to_string()),
    ("failed", |it| it.record.failures()),
    ("p99 before", |it| format!("{:.1?}", calm_p99(it))),
    ("p99 while it is down", |it| {
        format!("{:.1?}", it.record.quantile(0.99, it.down.clone()))
    }),
    ("used again after", |it| {
        shown(it.record.first_answer(VICTIM, it.down.end))
    }),
];
