//! The chain of the example `deadline_chain`: A asks B, which asks C.

use std::time::Duration;

use grpc_resilience_examples::Failure;
use grpc_resilience_examples::show::promise::Promise;

use crate::chain::{Chain, End};
use crate::report;

const NAME: &str = "chain";
const RUNS: usize = 5;

/// Runs it, and prints the table.
pub(crate) async fn run() -> Result<Vec<Promise>, Failure> {
    let mut chain = Chain::start().await.map_err(|error| error.to_string())?;
    let ends = [
        End::Deadline(Duration::from_millis(300)),
        End::Dropped(Duration::from_millis(100)),
    ];
    let mut runs = Vec::new();
    for end in ends {
        for _ in 0..RUNS {
            runs.push(chain.run(end).await);
        }
    }
    println!("\nA deadline of 300 ms through A, B and C; then a call dropped after 100 ms (ms)");
    println!("{}", report::figures(&runs));
    if let Some(run) = runs.first() {
        println!("{}", report::heard(run));
    }
    let surprises = report::surprises(&runs);
    let seen = match surprises.first() {
        None => format!("in {} of {} runs", runs.len(), runs.len()),
        Some(first) => format!("{} surprises: {first}", surprises.len()),
    };
    Ok(vec![
        Promise::new(
            NAME,
            "grpc-timeout shrinks at each hop, and C stops within 50 ms after A's deadline",
            seen,
            surprises.is_empty(),
        )
        .of_times(),
    ])
}
