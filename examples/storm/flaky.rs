//! A server that fails a tenth of its answers, all the time.

use std::time::Duration;

use crate::Failure;
use crate::args::Args;
use crate::clients::{ATTEMPTS, Client};
use crate::faults::Faults;
use crate::load::Load;
use crate::trial::{Run, Trial};
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::series::ratio;
use grpc_resilience_examples::show::table::{Row, compare, counts};

const NAME: &str = "flaky";
const PER_SECOND: u32 = 2_000;
const SHARE: f64 = 0.1;

const LEAST_SUCCESSES: f64 = 0.9998;
const MOST_ATTEMPTS: f64 = 1.12;

/// Runs it, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let mut runs = Vec::new();
    for (client, length) in schedule(args.quick) {
        let load = Load {
            per_second: PER_SECOND,
            length,
        };
        let trial = Trial {
            experiment: NAME,
            faults: faults(args.seed),
            load,
            phases: vec![("flaky", length)],
        };
        runs.push(trial.run(client).await?);
    }
    let columns: Vec<_> = runs
        .iter()
        .map(|run| (run.client.name(), Figures::of(run, args.seed)))
        .collect();
    let title = format!("{PER_SECOND} calls/s, 10 % UNAVAILABLE");
    println!("\n{}", compare(&title, &columns, &ROWS));
    println!("{}", caption(args.seed));
    let ours = runs.iter().zip(&columns);
    let promises = ours
        .filter(|(run, _)| run.client == Client::Resilience)
        .flat_map(|(_, (_, figures))| figures.promises());
    Ok(promises.collect())
}

/// Who is under load, and for how long.
fn schedule(quick: bool) -> Vec<(Client, Duration)> {
    let lengths = if quick {
        [10, 0, 0, 0]
    } else {
        [30, 15, 15, 5]
    };
    Client::ALL
        .into_iter()
        .zip(lengths.map(Duration::from_secs))
        .filter(|(_, length)| !length.is_zero())
        .collect()
}

fn faults(seed: u64) -> Faults {
    Faults::Share { share: SHARE, seed }
}

/// How many of the first calls can't succeed, since all of their attempts fail.
fn doomed(calls: u32, seed: u64) -> u32 {
    let is_doomed = |call: &u32| {
        (1..=ATTEMPTS).all(|attempt| faults(seed).strike(Duration::ZERO, *call, attempt))
    };
    (0..calls).filter(is_doomed).fold(0, |count, _| count + 1)
}

fn caption(seed: u64) -> String {
    format!(
        "\
Whether an attempt fails depends on the seed ({seed}), the number of its call and which of the call's attempts it is: all
clients meet the same faults, and a seed gives the same figures again. By chance all {ATTEMPTS} attempts of one call in 10,000
fail, which nobody can save; twice as many may fail."
    )
}

struct Figures {
    rate: f64,
    calls: u32,
    failed: u32,
    doomed: u32,
    ok: f64,
    attempts_per_call: f64,
    by_attempt: String,
}

impl Figures {
    fn of(run: &Run, seed: u64) -> Self {
        let calls = run.record.calls();
        Self {
            rate: run.record.rate(),
            calls,
            failed: run.record.failed(),
            doomed: doomed(calls, seed),
            ok: ratio(run.record.succeeded(), calls),
            attempts_per_call: ratio(run.arrivals.attempts.total(), calls),
            by_attempt: counts(&run.arrivals.by_attempt),
        }
    }

    fn promises(&self) -> Vec<Promise> {
        let promise =
            |promised: String, seen: String, kept| Promise::new(NAME, promised, seen, kept);
        vec![
            Promise::offered(NAME, self.rate, PER_SECOND),
            promise(
                "at least 99.98 % of calls succeed, with the same budget".into(),
                format!("{:.3} % of {}", 100.0 * self.ok, self.calls),
                self.ok >= LEAST_SUCCESSES,
            ),
            promise(
                format!("at no more than {MOST_ATTEMPTS} attempts per call"),
                format!("{:.4}", self.attempts_per_call),
                self.attempts_per_call <= MOST_ATTEMPTS,
            ),
        ]
    }
}

const ROWS: [Row<Figures>; 7] = [
    ("calls offered, per second", |f| format!("{:.0}", f.rate)),
    ("calls", |f| f.calls.to_string()),
    ("calls: succeeded", |f| format!("{:.3} %", 100.0 * f.ok)),
    ("calls: failed", |f| f.failed.to_string()),
    ("calls that four attempts can't save", |f| {
        f.doomed.to_string()
    }),
    ("attempts per call", |f| {
        format!("{:.4}", f.attempts_per_call)
    }),
    ("attempts by which of its call's it was", |f| {
        f.by_attempt.clone()
    }),
];
