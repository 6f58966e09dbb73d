//! One of three servers is frozen for five seconds: its connection stands, and it says nothing.

use std::ops::Range;
use std::time::Duration;

use grpc_resilience::AttemptTimeoutLayer;
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

const NAME: &str = "freeze";
const PER_SECOND: u32 = 1_500;
const VICTIM: u32 = 1;
const CALM: Duration = Duration::from_secs(2);
const FROZEN_FOR: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(2);
/// Of ours, and of all that tonic's client may take for a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(500);

const MOST_P99: Duration = Duration::from_millis(1_200);

struct Figures {
    record: Record,
    frozen: Range<Duration>,
}

/// Runs it, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let servers = fleet::start(3, Nature::default()).await?;
    let resilience = declared()?.attempt_timeout(AttemptTimeoutLayer::new(ATTEMPT_TIMEOUT)?);
    let channel = to(&servers)?.build()?;
    let (client, _) = ours(&resilience, &channel, servers.len()).await?;
    let mut columns = vec![(OURS, through(&client, &servers, "this crate").await?)];
    if !args.quick {
        let client = tonic(addresses(&servers)?, |endpoint| {
            endpoint.timeout(ATTEMPT_TIMEOUT)
        })
        .await?;
        let figures = through(&client, &servers, "tonic's balance_list").await?;
        columns.push((TONIC, figures));
    }
    let title = format!("{PER_SECOND} calls/s, one of three servers frozen");
    println!("\n{}", compare(&title, &columns, &ROWS));
    let records: Vec<_> = columns
        .iter()
        .map(|(name, it)| (*name, &it.record))
        .collect();
    let Some((_, ours)) = columns.first() else {
        return Err("a client is missing".into());
    };
    let words = (
        "One of three servers is frozen",
        "answers of all servers per 100 ms",
    );
    let shaded = Some((ours.frozen.clone(), "it is frozen"));
    plot(&args.out, "freeze.svg", words, shaded, &records, |call| {
        call.server.is_some()
    })?;
    let p99 = p99(&ours.record);
    Ok(vec![
        Promise::offered(NAME, ours.record.rate(), PER_SECOND),
        Promise::new(
            NAME,
            "one of three servers frozen for 5 s, attempts of at most 500 ms: 0 failed",
            ours.record.failures(),
            ours.record.failed() == 0,
        ),
        Promise::new(
            NAME,
            "p99 of all calls at most 1.2 s",
            format!("{p99:.1?}"),
            p99 <= MOST_P99,
        )
        .of_times(),
    ])
}

async fn through(client: &impl Caller, servers: &[Server], name: &str) -> Result<Figures, Failure> {
    let victim = servers.get(VICTIM as usize).ok_or("no such server")?;
    let length = CALM + FROZEN_FOR + AFTER;
    let opening = Instant::now();
    let freezing = async {
        sleep_until(opening + CALM).await;
        let frozen = victim.freeze().await?;
        sleep_until(frozen + FROZEN_FOR).await;
        let thawed = victim.thaw().await?;
        Ok::<_, Failure>(frozen - opening..thawed - opening)
    };
    let work = async { tokio::join!(open(client, PER_SECOND, opening, length), freezing) };
    let (record, frozen) = watch(&format!("freeze: {name}"), length, work).await?;
    Ok(Figures {
        record,
        frozen: frozen?,
    })
}

fn p99(record: &Record) -> Duration {
    record.quantile(0.99, Duration::ZERO..Duration::MAX)
}

const ROWS: [Row<Figures>; 4] = [
    ("calls", |it| it.record.total().to_string()),
    ("failed", |it| it.record.failures()),
    ("p99", |it| format!("{:.1?}", p99(&it.record))),
    ("answers of the frozen server while it is frozen", |it| {
        let answers = it.record.count(|call| {
            call.server == Some(VICTIM)
                && it.frozen.contains(&call.started)
                && it.frozen.contains(&call.ended)
        });
        answers.to_string()
    }),
];
