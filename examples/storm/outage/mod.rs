//! A server that fails everything for five seconds, and is well again at once.

mod figures;

use std::time::Duration;

use crate::Failure;
use crate::args::Args;
use crate::clients::Client;
use crate::faults::Faults;
use crate::load::Load;
use crate::trial::{Run, Trial};
use grpc_resilience_examples::show::plot::{Line, Plot, points};
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::table::compare;

use figures::{Figures, ROWS};

const NAME: &str = "outage";
const PER_SECOND: u32 = 2_000;
const SECOND: Duration = Duration::from_secs(1);

const CAPTION: &str = "\
Attempts are those that reached the server, in the time in which they reached it; a call counts in the time in which it
started. A spike is the fullest 100 ms over the calls offered in them. The full rate is back at the end of the first
100 ms that hold 98 % of the offered calls as successes. tower's budget remembers 10 s: what it saved up before the
outage it spends in it, so its figures grow with --healthy up to 10.";

/// When what happens, since the load began. All ends lie between two buckets.
#[derive(Clone, Copy)]
struct Timeline {
    outage: Duration,
    recovery: Duration,
    end: Duration,
}

impl Timeline {
    fn new(args: &Args) -> Self {
        let recovery = if args.quick { 2 } else { 5 };
        let healthy = args.healthy;
        Self {
            outage: SECOND * healthy,
            recovery: SECOND * (healthy + 5),
            end: SECOND * (healthy + 5 + recovery),
        }
    }

    fn trial(self) -> Trial {
        Trial {
            experiment: NAME,
            faults: Faults::Outage {
                from: self.outage,
                until: self.recovery,
            },
            load: Load {
                per_second: PER_SECOND,
                length: self.end,
            },
            phases: vec![
                ("healthy", self.outage),
                ("outage", self.recovery),
                ("recovery", self.end),
            ],
        }
    }
}

/// Runs it, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let timeline = Timeline::new(args);
    let clients = if args.quick {
        &[Client::Resilience, Client::TowerRetry][..]
    } else {
        &Client::ALL
    };
    let trial = timeline.trial();
    let mut runs = Vec::new();
    for &client in clients {
        runs.push(trial.run(client).await?);
    }
    let columns: Vec<_> = runs
        .iter()
        .map(|run| (run.client.name(), Figures::of(run, timeline)))
        .collect();
    let title = format!("{PER_SECOND} calls/s, UNAVAILABLE for 5 s");
    println!("\n{}", compare(&title, &columns, &ROWS));
    println!("{CAPTION}");
    let path = plot(&runs, timeline).write(&args.out, "outage.svg")?;
    println!("plot: {}", path.display());
    let ours = runs.iter().zip(&columns);
    let promises = ours
        .filter(|(run, _)| run.client == Client::Resilience)
        .flat_map(|(_, (_, figures))| figures.promises());
    Ok(promises.collect())
}

fn plot(runs: &[Run], timeline: Timeline) -> Plot {
    let line = |run: &Run| Line {
        name: run.client.name(),
        is_ours: run.client == Client::Resilience,
        points: points(&run.arrivals.attempts, timeline.end),
    };
    Plot {
        title: format!("Attempts that reach a server, {PER_SECOND} calls/s offered"),
        x: "time (s)",
        y: "attempts per 100 ms",
        shaded: Some((
            timeline.outage.as_secs_f64()..timeline.recovery.as_secs_f64(),
            "outage",
        )),
        lines: runs.iter().map(line).collect(),
    }
}
