//! What a token costs when several threads want one at once.
//!
//! ```console
//! $ cargo bench -p grpc-resilience-benches --bench budget
//! $ cargo bench -p grpc-resilience-benches --bench budget -- --write
//! ```

use std::iter::zip;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use benches::document::{self, short, table};
use benches::plot::{self, Line};
use benches::{Failure, Options, rounds};
use clap::Parser as _;
use grpc_resilience::TokenBucket;
use grpc_resilience::call::{AttemptKind, Budget as _};
use tower::retry::budget::{Budget as _, TpsBudget};
use tower_resilience::retry::{RetryBudget, RetryBudgetBuilder};

const THREADS: [u32; 4] = [1, 2, 4, 8];
/// Enough that starting the threads does not count.
const CALLS: u32 = 400_000;
const ROUNDS: usize = 31;

/// Nine calls that succeed, then one that fails once and asks for another attempt.
trait Calls: Sync {
    fn succeed(&self);
    fn fail(&self);
}

impl Calls for TokenBucket {
    fn succeed(&self) {
        self.call_started();
        self.succeeded();
    }

    fn fail(&self) {
        self.call_started();
        self.failed();
        if let Some(permit) = self.permit(AttemptKind::Retry) {
            permit.start();
        }
    }
}

impl Calls for TpsBudget {
    fn succeed(&self) {
        self.deposit();
    }

    fn fail(&self) {
        self.withdraw();
    }
}

struct Theirs(Arc<dyn RetryBudget>);

impl Calls for Theirs {
    fn succeed(&self) {
        self.0.deposit();
    }

    fn fail(&self) {
        self.0.try_withdraw();
    }
}

type Subject = (&'static str, Box<dyn Calls>);

fn subjects() -> Result<Vec<Subject>, Failure> {
    let theirs = RetryBudgetBuilder::new().token_bucket().build()?;
    Ok(vec![
        ("TokenBucket", Box::new(TokenBucket::default())),
        ("tower TpsBudget", Box::new(TpsBudget::default())),
        ("tower-resilience token bucket", Box::new(Theirs(theirs))),
    ])
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let mut subjects = subjects()?;
    let mut lines: Vec<Line> = subjects
        .iter()
        .map(|(name, _)| ((*name).into(), vec![]))
        .collect();
    for threads in THREADS {
        let times = rounds::interleaved(ROUNDS, &mut subjects, |(_, calls)| {
            contend(calls.as_ref(), threads);
            Ok(())
        })?;
        for ((_, points), times) in zip(&mut lines, times) {
            points.push((f64::from(threads), nanoseconds(&times, threads)));
        }
    }
    let rows = lines.iter().map(|(name, points)| {
        let mut cells = points.iter().map(|(_, ns)| short(*ns));
        let mut cell = || cells.next().unwrap_or_default();
        [name.clone(), cell(), cell(), cell(), cell()]
    });
    let text = table(["ns a call", "1 thread", "2", "4", "8"], rows);
    println!("{text}");
    if options.write {
        document::write_section("budget", &text)?;
        let title = "The time that a call spends on its budget";
        plot::lines("budget", title, ("threads", "ns a call"), &lines)?;
    }
    Ok(())
}

/// The same calls, divided among the threads.
fn contend(calls: &dyn Calls, threads: u32) {
    let share = CALLS / threads;
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for call in 0..share {
                    if call % 10 == 9 {
                        calls.fail();
                    } else {
                        calls.succeed();
                    }
                }
            });
        }
    });
}

/// By the wall clock.
fn nanoseconds(times: &[Duration], threads: u32) -> f64 {
    let calls = f64::from(CALLS / threads * threads);
    rounds::median(times.iter().map(|time| time.as_secs_f64() * 1e9 / calls))
}
