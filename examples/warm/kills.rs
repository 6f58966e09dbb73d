//! Every second one of three servers is killed, and is back half a second later.

use std::time::Duration;

use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::{
    Attempts, Caller, OURS, Record, TONIC, declared, ours, plot, tonic, workers,
};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::table::{Row, compare};
use tokio::time::{Instant, sleep_until};

use crate::args::Args;
use crate::clients::{WARM, channel, warm};
use crate::dns::{Fleet, NAMED};

const NAME: &str = "kills";
const WORKERS: u32 = 16;
const EVERY: Duration = Duration::from_secs(1);
const DEAD_FOR: Duration = Duration::from_millis(500);
/// How long a channel may send to a server that is dead.
const GRACE: Duration = Duration::from_millis(50);

const CAPTION: &str = "\
After a failure a worker pauses for 10 ms, lest a client that fails at once makes more calls.
warm_channels leaves TCP_NODELAY off: most of its calls wait 40 ms for an acknowledgement.";

/// A server's death, from when it was dead to when it was started again.
struct Death {
    server: String,
    killed: Instant,
    restarted: Instant,
}

struct Figures {
    record: Record,
    kills: u32,
    /// Attempts that failed, and those of them on a server that was dead for 50 ms; `None`: this
    /// client does not say where it sends them.
    attempts: Option<(usize, usize)>,
}

/// Runs it, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let mut fleet = Fleet::start().await?;
    let kills = if args.quick { 5 } else { 20 };
    let target = fleet.target()?;
    let channel = channel(target)?;
    let (client, attempts) = ours(&declared()?, &channel, NAMED).await?;
    let (record, deaths) = through(&client, &mut fleet, kills, "this crate").await?;
    let late = to_the_dead(&attempts, &deaths);
    let promises = vec![
        Promise::new(
            NAME,
            format!("one of three servers killed every second, {kills} times: 0 failed"),
            record.failures(),
            record.failed() == 0 && record.total() > 0,
        ),
        Promise::new(
            NAME,
            "no attempt on a dead address later than 50 ms after its death",
            format!("{late} of {} that failed", attempts.failed().len()),
            late == 0,
        )
        .of_times(),
    ];
    let mut columns = vec![(
        OURS,
        Figures {
            record,
            kills,
            attempts: Some((attempts.failed().len(), late)),
        },
    )];
    if !args.quick {
        let kills = kills * 2 / 5;
        let client = tonic(fleet.addresses(0..NAMED)?, |endpoint| endpoint).await?;
        columns.push((TONIC, peer(&client, &mut fleet, kills, TONIC).await?));
        let (client, _worker) = warm(target).await?;
        columns.push((WARM, peer(&client, &mut fleet, kills, WARM).await?));
    }
    let title = "one of three servers killed every second";
    println!("\n{}", compare(title, &columns, &ROWS));
    if !args.quick {
        println!("{CAPTION}");
    }
    let records: Vec<_> = columns
        .iter()
        .map(|(name, it)| (*name, &it.record))
        .collect();
    let words = ("A server is killed every second", "answers per 100 ms");
    plot(&args.out, "kills.svg", words, None, &records, |call| {
        call.server.is_some()
    })?;
    Ok(promises)
}

async fn peer(
    client: &impl Caller,
    fleet: &mut Fleet,
    kills: u32,
    name: &str,
) -> Result<Figures, Failure> {
    let (record, _) = through(client, fleet, kills, name).await?;
    Ok(Figures {
        record,
        kills,
        attempts: None,
    })
}

async fn through(
    client: &impl Caller,
    fleet: &mut Fleet,
    kills: u32,
    name: &str,
) -> Result<(Record, Vec<Death>), Failure> {
    let opening = Instant::now();
    let length = EVERY * (kills + 1);
    let killing = async {
        let mut deaths = Vec::new();
        for kill in 1..=kills {
            sleep_until(opening + EVERY * kill).await;
            let victim = fleet.servers.get_mut(kill as usize % NAMED);
            let victim = victim.ok_or("no such server")?;
            let killed = victim.kill().await?;
            sleep_until(killed + DEAD_FOR).await;
            let restarted = Instant::now();
            victim.restart().await?;
            deaths.push(Death {
                server: victim.address()?.to_string(),
                killed,
                restarted,
            });
        }
        Ok::<_, Failure>(deaths)
    };
    let work = async { tokio::join!(workers(client, WORKERS, opening, length), killing) };
    let (record, deaths) = watch(&format!("kills: {name}"), length, work).await?;
    Ok((record, deaths?))
}

fn to_the_dead(attempts: &Attempts, deaths: &[Death]) -> usize {
    let is_late = |began: Instant, server: &str| {
        let mut of_server = deaths.iter().filter(|death| death.server == server);
        of_server.any(|death| (death.killed + GRACE..death.restarted).contains(&began))
    };
    let failed = attempts.failed();
    let late = failed
        .iter()
        .filter(|(began, server)| is_late(*began, server));
    late.count()
}

const ROWS: [Row<Figures>; 5] = [
    ("kills", |it| it.kills.to_string()),
    ("calls a second", |it| {
        format!("{:.0}", it.record.throughput())
    }),
    ("failed", |it| it.record.failures()),
    ("failed, in percent", |it| {
        format!("{:.2}", it.record.failed_percent())
    }),
    (
        "attempts that failed, and of them 50 ms after a death",
        |it| {
            let attempts = it.attempts.map(|(all, late)| format!("{all}, {late}"));
            attempts.unwrap_or_else(|| "not known".into())
        },
    ),
];
