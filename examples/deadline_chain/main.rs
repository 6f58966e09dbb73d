//! A deadline on its way through three servers: `cargo run --example deadline_chain`.
//!
//! A caller asks A, which asks B, which asks C, which works for ever in steps of a millisecond. The
//! clients have a `DeadlineLayer`, the servers a `ServerDeadlineLayer` (both in `link.rs`), and no
//! handler says a word of deadlines. The caller's call ends by its deadline or is dropped, ten times
//! each. If C stops more than 50 ms after that, if the timeouts do not fall on the way, or if a task
//! is left, the program fails.

mod chain;
mod link;
mod proto;
mod report;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use chain::{Chain, End};

const RUNS: usize = 10;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut chain = Chain::start().await?;
    let mut surprises = Vec::new();
    let deadline = End::Deadline(Duration::from_millis(300));
    let dropped = End::Dropped(Duration::from_millis(100));
    for (title, end) in [
        ("A has 300 ms; `ended` counts from A's deadline", deadline),
        (
            "The caller drops its call to A after 100 ms; `ended` counts from then",
            dropped,
        ),
    ] {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(chain.run(end).await);
        }
        println!("{title}, a minus is before it. All times are milliseconds.");
        println!("{}", report::figures(&runs));
        if let Some(run) = runs.first() {
            println!("What was heard on the way in the first of these runs:");
            println!("{}\n", report::heard(run));
        }
        surprises.extend(report::surprises(&runs));
    }
    for surprise in &surprises {
        eprintln!("not as expected: {surprise}");
    }
    Ok(if surprises.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
