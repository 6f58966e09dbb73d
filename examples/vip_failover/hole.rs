//! The address moves, and the connections to the old leader are black holes.

use std::time::Duration;

use grpc_resilience::channel::{Channel, EndpointSnapshot};
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::{OURS, Record, plot};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::table::{Row, compare};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::args::Args;
use crate::leader::Leader;
use crate::pair::Pair;
use crate::timeline::Timeline;
use crate::vip::Vip;

const NAME: &str = "hole";
/// One caller finds out with its own attempts only.
const CALLERS: [u32; 2] = [1, 8];
const CALM: Duration = Duration::from_secs(1);
const LENGTH: Duration = Duration::from_secs(12);
const QUICK: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(5);
/// Two attempts of a second, and the pauses between them.
const BACK: Duration = Duration::from_millis(2_500);

struct Figures {
    record: Record,
    moved: Duration,
}

impl Figures {
    /// How long after the move the new leader answered first.
    fn back(&self) -> Option<Duration> {
        let answers = self.record.calls().iter();
        let answers = answers.filter(|call| call.server == Some(1));
        let first = answers.map(|call| call.ended).min()?;
        Some(first.saturating_sub(self.moved))
    }

    fn back_in_words(&self) -> String {
        let back = self.back().map(|it| format!("{it:.2?}"));
        back.unwrap_or_else(|| "never".into())
    }
}

/// Runs it, and prints the tables.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let mut promises = Vec::new();
    for callers in CALLERS {
        let columns = one(callers, args).await?;
        let (_, ours) = columns.first().ok_or("a client is missing")?;
        promises.push(Promise::new(
            NAME,
            format!("{callers} callers, old connections are black holes: 0 calls fail"),
            ours.record.failures(),
            ours.record.failed() == 0 && ours.record.total() > 0,
        ));
        promises.push(
            Promise::new(
                NAME,
                format!("{callers} callers: back within 2.5 s, with attempts of 1 s"),
                ours.back_in_words(),
                ours.back().is_some_and(|it| it <= BACK),
            )
            .of_times(),
        );
    }
    Ok(promises)
}

async fn one(callers: u32, args: &Args) -> Result<Vec<(&'static str, Figures)>, Failure> {
    let (old, new) = (Leader::start(0).await?, Leader::start(1).await?);
    let mut vip = Vip::new(&[old.address])?;
    let clients = Pair::new(vip.address(), args.quick).await?;
    let length = if args.quick { QUICK } else { LENGTH };
    let opening = Instant::now();
    let mut timeline = Timeline::new(opening);
    let moving = async {
        sleep_until(opening + CALM).await;
        vip.lead_to(&[new.address])?;
        vip.black_hole();
        let moved = timeline.say("the address moves, and nothing passes on old connections");
        if let Ok(seen) = timeout(length, replaced(&clients.ours.channel)).await {
            timeline.say(format!("{OURS}: {seen}"));
        }
        Ok::<_, Failure>(moved)
    };
    let load = clients.work(callers, opening, length);
    let name = format!("black hole, {callers} callers");
    let work = async { tokio::join!(load, moving) };
    let (records, moved) = watch(&name, length, work).await?;
    let moved = moved?;
    let figures = records.into_iter();
    let figures = figures.map(|(name, record)| (name, Figures { record, moved }));
    let columns: Vec<_> = figures.collect();
    for (name, figures) in &columns {
        if let Some(back) = figures.back() {
            let words = format!("{name}: the first answer of the new leader");
            timeline.add(moved + back, words);
        }
    }
    println!("\n{timeline}");
    println!("{}", compare(&name, &columns, &ROWS));
    draw(callers, &columns, moved, args)?;
    Ok(columns)
}

/// What the channel shows of its endpoint once a silent connection has a replacement.
async fn replaced(channel: &Channel) -> EndpointSnapshot {
    loop {
        let mut endpoints = channel.snapshot().endpoints.into_iter();
        let is_replaced = |it: &EndpointSnapshot| {
            !it.silent.is_empty() && it.connections.iter().any(|it| it.streams > 0)
        };
        if let Some(endpoint) = endpoints.find(is_replaced) {
            return endpoint;
        }
        sleep(GLANCE).await;
    }
}

fn draw(
    callers: u32,
    columns: &[(&'static str, Figures)],
    moved: Duration,
    args: &Args,
) -> Result<(), Failure> {
    let records = columns.iter().map(|(name, it)| (*name, &it.record));
    let records: Vec<_> = records.collect();
    let words = ("Old connections are black holes", "answers per 100 ms");
    let file = format!("hole-{callers}.svg");
    let shaded = Some((moved..moved + BACK, "2.5 s"));
    plot(&args.out, &file, words, shaded, &records, |call| {
        call.server.is_some()
    })
}

const ROWS: [Row<Figures>; 3] = [
    ("calls", |it| it.record.total().to_string()),
    ("failed", |it| it.record.failures()),
    ("back after", Figures::back_in_words),
];
