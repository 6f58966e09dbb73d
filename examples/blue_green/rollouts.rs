//! Blue replaces green, green replaces blue, and so on.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use grpc_resilience_examples::Failure;
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::plot::{Line, Plot, points};
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::table::{Row, compare};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::agent::Registry;
use crate::args::Args;
use crate::calls::{Seen, load};
use crate::client::Client;
use crate::process::{Instance, Life};

const NAME: &str = "rollouts";
/// From one change to the next.
const STEP: Duration = Duration::from_millis(1_100);
/// From a change that is made to the next at least, as the agent is asked at most once a second.
const APART: Duration = Duration::from_secs(1);
/// An instance drains in a second.
const CALM: Duration = Duration::from_secs(2);
const TTL: Duration = Duration::from_secs(5);
const PROMPT: Duration = Duration::from_millis(300);
const ROLLOUTS: u32 = 10;
const QUICK: u32 = 2;
/// Of the calls, a rollout; 5,000 in ten.
const LEAST_CALLS: u32 = 500;
const PLACES: [&str; 6] = [
    "blue 1", "blue 2", "blue 3", "green 1", "green 2", "green 3",
];

struct Figures {
    seen: Seen,
    /// Of the instances that drained.
    lives: Vec<Life>,
    length: Duration,
}

/// Runs them, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let rollouts = if args.quick { QUICK } else { ROLLOUTS };
    let registry = Registry::start(args).await?;
    let first = Instance::start_three(&registry, TTL).await?;
    let client = Client::new(&registry, 3).await?;
    let opening = Instant::now();
    let length = STEP * 6 * rollouts + CALM;
    let work = async {
        tokio::join!(
            load(&client, opening, length),
            roll(&registry, first, rollouts, opening)
        )
    };
    let (seen, rolled) = watch("rollouts: blue to green and back", length, work).await?;
    let (lives, last) = rolled?;
    drop(last);
    let figures = Figures {
        seen,
        lives,
        length,
    };
    let columns = [("seen", figures)];
    let title = format!("{rollouts} rollouts of three instances");
    println!("\n{}", compare(&title, &columns, &ROWS));
    let [(_, figures)] = columns;
    draw(args, &figures)?;
    Ok(promises(&figures, rollouts))
}

/// Three new instances, one by one; then the three old ones drain, one by one. The last ones come
/// back with what the others did, for calls may still run on them.
async fn roll(
    registry: &Registry,
    mut old: Vec<Instance>,
    rollouts: u32,
    opening: Instant,
) -> Result<(Vec<Life>, Vec<Instance>), Failure> {
    let mut draining = JoinSet::new();
    let mut pace = Pace {
        due: opening,
        made: opening,
    };
    for rollout in 0..rollouts {
        // Blue is there at first.
        let base = if rollout % 2 == 0 { 3 } else { 0 };
        let mut new = Vec::new();
        for place in base..base + 3 {
            pace.next().await;
            new.push(Instance::start(registry, place, TTL).await?);
            pace.made = Instant::now();
        }
        for mut instance in old {
            pace.next().await;
            instance.leave().await?;
            pace.made = Instant::now();
            draining.spawn(instance.ended());
        }
        old = new;
    }
    let lives = draining
        .join_all()
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    Ok((lives, old))
}

/// When changes are made. One that takes long moves the next, but not all that follow.
struct Pace {
    due: Instant,
    /// The last one.
    made: Instant,
}

impl Pace {
    /// Waits until the next change may be.
    async fn next(&mut self) {
        sleep_until(self.due.max(self.made + APART)).await;
        self.due += STEP;
    }
}

fn longest(figures: &Figures, of: impl Fn(&Life) -> Duration) -> Duration {
    figures.lives.iter().map(of).max().unwrap_or_default()
}

/// The first three were there before the load.
fn until_used(figures: &Figures) -> Option<Duration> {
    let new = figures.lives.iter().filter_map(|life| life.until_used);
    new.max()
}

fn promises(figures: &Figures, rollouts: u32) -> Vec<Promise> {
    let calls = figures.seen.record.total();
    let least = LEAST_CALLS * rollouts;
    let sum = |of: fn(&Life) -> u64| figures.lives.iter().map(of).sum::<u64>();
    let (started, finished) = (sum(|it| it.started), sum(|it| it.finished));
    let still = longest(figures, |it| it.still_used);
    let used = figures.lives.iter().all(|it| it.until_used.is_some());
    let soon = until_used(figures).unwrap_or_default();
    let mut promises = vec![Promise::new(
        NAME,
        format!("(the load: at least {least} calls)"),
        calls.to_string(),
        calls >= least,
    )];
    promises.extend(figures.seen.none_failed(NAME, "instances are replaced"));
    promises.extend([
        Promise::new(
            NAME,
            "what started on a draining instance finished",
            format!("{finished} of {started}"),
            started == finished && started > 0,
        ),
        Promise::new(
            NAME,
            "a new instance is used at most 300 ms after it passes",
            format!("{soon:?}, {} instances", figures.lives.len()),
            used && soon <= PROMPT,
        )
        .of_times(),
        Promise::new(
            NAME,
            "an old instance is unused 300 ms after it left",
            format!("{still:?}"),
            still <= PROMPT,
        )
        .of_times(),
    ]);
    promises
}

fn draw(args: &Args, figures: &Figures) -> Result<(), Failure> {
    let lines = (0..).zip(PLACES).map(|(place, name)| {
        let ends = figures.seen.record.ends(|call| call.server == Some(place));
        let per_second = |(x, y): (f64, f64)| (x, y * 10.0);
        let points = points(&ends, figures.length);
        Line {
            name,
            is_ours: place < 3,
            points: points.into_iter().map(per_second).collect(),
        }
    });
    let plot = Plot {
        title: "Blue replaces green, and green replaces blue".into(),
        x: "seconds",
        y: "calls a second",
        shaded: None,
        lines: lines.collect(),
    };
    println!("{}", plot.write(&args.out, "rollouts.svg")?.display());
    Ok(())
}

const ROWS: [Row<Figures>; 6] = [
    ("calls", |it| it.seen.record.total().to_string()),
    ("calls failed", |it| it.seen.record.failures()),
    ("streams opened", |it| {
        it.seen.streams.opened.load(Relaxed).to_string()
    }),
    ("streams failed", |it| it.seen.streams.failures()),
    ("first call after passing, longest", |it| {
        format!("{:?}", until_used(it).unwrap_or_default())
    }),
    ("last call after leaving, longest", |it| {
        format!("{:?}", longest(it, |life| life.still_used))
    }),
];
