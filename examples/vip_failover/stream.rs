//! A stream of numbers goes on over failovers, and stops at once when it is dropped.

use std::time::Duration;

use grpc_resilience::streams::{Event, OnEnd, Resumable};
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use tokio::time::{Instant, sleep, timeout};
use tonic::Request;

use crate::args::Args;
use crate::clients::Ours;
use crate::leader::Leader;
use crate::proto::leader::{Ask, Told};
use crate::vip::Vip;

const NAME: &str = "stream";
const FAILOVERS: u32 = 20;
const QUICK: u32 = 5;
/// In every tenth failover the old connections become black holes; in the others they are reset.
const HOLES: u32 = 10;
const EVERY: Duration = Duration::from_millis(300);
const DOWN: Duration = Duration::from_millis(100);
/// How long a stream may say nothing.
const IDLE: Duration = Duration::from_secs(1);
/// Longer than any failover takes.
const PATIENCE: Duration = Duration::from_secs(10);
const STOPS: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Seen {
    last: u64,
    gaps: u32,
    repeats: u32,
    longest: Duration,
}

impl Seen {
    fn add(&mut self, number: u64) {
        self.gaps += u32::from(number > self.last + 1);
        self.repeats += u32::from(number <= self.last);
        self.last = self.last.max(number);
    }
}

/// Runs it.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let leaders = [Leader::start(0).await?, Leader::start(1).await?];
    let mut vip = Vip::new(&[leaders[0].address])?;
    let ours = Ours::new(vip.address()).await?;
    let mut numbers = Resumable::builder(Request::new(Ask { number: 0 }), move |request| {
        let mut leader = ours.leader.clone();
        async move { leader.follow(request).await }
    })
    .token(|told: &Told| Some(told.number))
    .resume(|_, number| Ask { number })
    .on_end(OnEnd::Reopen)
    .idle_timeout(IDLE)
    .build()?;
    let failovers = if args.quick { QUICK } else { FAILOVERS };
    let mut seen = Seen::default();
    let work = async {
        for failover in 1..=failovers {
            read_for(&mut numbers, &mut seen, EVERY).await?;
            let next = turn(&leaders, failover);
            if failover % HOLES == 3 {
                vip.lead_to(&[next.address])?;
                vip.black_hole();
            } else {
                vip.refuse().await;
                vip.reset();
                sleep(DOWN).await;
                vip.lead_to(&[next.address])?;
            }
            let moved = Instant::now();
            while read_one(&mut numbers, &mut seen).await? != next.index() {}
            seen.longest = seen.longest.max(moved.elapsed());
        }
        read_for(&mut numbers, &mut seen, EVERY).await
    };
    watch("stream of numbers", EVERY * 2 * failovers, work).await??;
    let last = turn(&leaders, failovers);
    let dropped = Instant::now();
    drop(numbers);
    sleep(STOPS * 4).await;
    let stopped = last
        .stopped()
        .map(|it| it.saturating_duration_since(dropped));
    let is_stopped = last.stopped().is_some_and(|it| it >= dropped);
    println!(
        "\n{} numbers over {failovers} failovers; the longest silence after one: {:.2?}",
        seen.last, seen.longest
    );
    Ok(vec![
        Promise::new(
            NAME,
            format!("a stream of numbers over {failovers} failovers: no gap, no repeat"),
            format!(
                "{} gaps, {} repeats of {}",
                seen.gaps, seen.repeats, seen.last
            ),
            seen.gaps == 0 && seen.repeats == 0 && seen.last > u64::from(failovers),
        ),
        Promise::new(
            NAME,
            "it stops within 50 ms after it is dropped",
            stopped.map_or_else(|| "never".into(), |it| format!("{it:.1?}")),
            is_stopped && stopped.is_some_and(|it| it <= STOPS),
        )
        .of_times(),
    ])
}

/// The leader after this number of failovers.
fn turn([even, odd]: &[Leader; 2], failovers: u32) -> &Leader {
    if failovers.is_multiple_of(2) {
        even
    } else {
        odd
    }
}

type Numbers = Resumable<Told, u64>;

async fn read_for(numbers: &mut Numbers, seen: &mut Seen, time: Duration) -> Result<(), Failure> {
    let begin = Instant::now();
    while begin.elapsed() < time {
        read_one(numbers, seen).await?;
    }
    Ok(())
}

/// Reads the next number; which server said it.
async fn read_one(numbers: &mut Numbers, seen: &mut Seen) -> Result<u32, Failure> {
    let event = timeout(PATIENCE, numbers.next()).await?;
    match event.ok_or("the stream ended")?? {
        Event::Item(told) => {
            seen.add(told.number);
            Ok(told.leader)
        }
        Event::Gap(_) => Err("the stream has lost its place".into()),
    }
}
