//! For a second the address leads to two servers in turn, and connections break all the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::OURS;
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::table::{Row, compare};
use tokio::time::{Instant, sleep, sleep_until};

use crate::args::Args;
use crate::clients::{GUIDE, Guide, Method, Ours};
use crate::leader::Leader;
use crate::proto::leader::Ask;
use crate::vip::Vip;

const NAME: &str = "two";
const WORKERS: u64 = 16;
const CALM: Duration = Duration::from_millis(500);
const LENGTH: Duration = Duration::from_secs(2);
const RESETS: u32 = 20;
const EVERY: Duration = Duration::from_millis(50);
const AFTER_FAILURE: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Figures {
    made: u64,
    answered: u64,
    /// How many began on both servers, or twice on one.
    twice: usize,
    /// How many servers had calls.
    servers: usize,
}

/// Runs it, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let ours = through(false).await?;
    let promise = Promise::new(
        NAME,
        "two leaders for a second: each undeclared call begins once at most",
        format!("{} of {} began twice", ours.twice, ours.made),
        ours.twice == 0 && ours.servers == 2,
    );
    let mut columns = vec![(OURS, ours)];
    if !args.quick {
        columns.push((GUIDE, through(true).await?));
    }
    let title = "undeclared calls, two leaders for a second";
    println!("\n{}", compare(title, &columns, &ROWS));
    Ok(vec![promise])
}

/// One client, ours or that of the guide.
async fn through(is_guide: bool) -> Result<Figures, Failure> {
    let leaders = [Leader::start(0).await?, Leader::start(1).await?];
    let [old, new] = leaders.each_ref().map(|it| it.address);
    let mut vip = Vip::new(&[old])?;
    let ours = Ours::new(vip.address()).await?;
    let guide = Guide::new(vip.address()).await?;
    let (opening, counts) = (Instant::now(), Arc::<Counts>::default());
    let work = async {
        let append = |worker| {
            let (ours, counts) = (ours.clone(), Arc::clone(&counts));
            let guide = is_guide.then(|| guide.clone());
            tokio::spawn(append(worker, ours, guide, opening, counts))
        };
        let workers: Vec<_> = (0..WORKERS).map(append).collect();
        sleep_until(opening + CALM).await;
        vip.lead_to(&[old, new])?;
        for reset in 1..=RESETS {
            vip.reset();
            sleep_until(opening + CALM + EVERY * reset).await;
        }
        vip.lead_to(&[new])?;
        for worker in workers {
            worker.await?;
        }
        Ok::<_, Failure>(())
    };
    let name = if is_guide { GUIDE } else { OURS };
    watch(&format!("two leaders: {name}"), LENGTH, work).await??;
    let mut begun = BTreeMap::<u64, u32>::new();
    let journals = leaders.each_ref().map(Leader::appended);
    for (number, times) in journals.iter().flatten() {
        *begun.entry(*number).or_default() += times;
    }
    Ok(Figures {
        made: counts.made.load(Relaxed),
        answered: counts.answered.load(Relaxed),
        twice: begun.values().filter(|times| **times > 1).count(),
        servers: journals.iter().filter(|it| !it.is_empty()).count(),
    })
}

#[derive(Default)]
struct Counts {
    made: AtomicU64,
    answered: AtomicU64,
}

/// One worker, by the guide's client if there is one.
async fn append(
    worker: u64,
    mut ours: Ours,
    guide: Option<Guide>,
    opening: Instant,
    counts: Arc<Counts>,
) {
    let mut number = worker;
    while opening.elapsed() < LENGTH {
        let is_answered = match &guide {
            Some(guide) => guide.call(Method::Append, number).await.is_ok(),
            None => ours.leader.append(Ask { number }).await.is_ok(),
        };
        counts.made.fetch_add(1, Relaxed);
        counts.answered.fetch_add(is_answered.into(), Relaxed);
        if !is_answered {
            sleep(AFTER_FAILURE).await;
        }
        number += WORKERS;
    }
}

const ROWS: [Row<Figures>; 4] = [
    ("calls", |it| it.made.to_string()),
    ("answered", |it| it.answered.to_string()),
    ("servers that had some", |it| it.servers.to_string()),
    ("calls that began twice", |it| it.twice.to_string()),
];
