//! What a call takes while other threads make calls through the same stack.
//!
//! ```console
//! $ cargo bench -p grpc-resilience-benches --bench threads
//! $ cargo bench -p grpc-resilience-benches --bench threads -- --write
//! ```

#[path = "threads/stacks.rs"]
mod stacks;

use benches::document::{self, table, whole};
use benches::{Failure, Options, rounds};
use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};

use stacks::{Stack, Subject};

const THREADS: [u32; 2] = [1, 2];
/// By each thread in a turn: a few milliseconds.
const CALLS: u32 = 5_000;
const ROUNDS: usize = 61;

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let mut columns = Vec::new();
    let mut names = Vec::new();
    for threads in THREADS {
        let runtime = Builder::new_multi_thread()
            .worker_threads(usize::try_from(threads)?)
            .enable_time()
            .build()?;
        let mut subjects = {
            let _entered = runtime.enter();
            stacks::all()?
        };
        names = subjects.iter().map(|subject| subject.name).collect();
        columns.push(over_bare(&runtime, threads, &mut subjects)?);
    }
    let rows = names.iter().enumerate().map(|(row, name)| {
        let mut cells = columns.iter().filter_map(|column| column.get(row));
        let mut cell = || cells.next().map_or_else(String::new, |ns| whole(*ns));
        [(*name).to_owned(), cell(), cell()]
    });
    let text = table(["ns on top of bare", "1 thread", "2 threads"], rows);
    println!("{text}");
    if options.write {
        document::write_section("threads", &text)?;
    }
    Ok(())
}

/// Nanoseconds a call, more than the bare service took in the same round; those of that itself first.
fn over_bare(
    runtime: &Runtime,
    threads: u32,
    subjects: &mut [Subject],
) -> Result<Vec<f64>, Failure> {
    let times = rounds::interleaved(ROUNDS, subjects, |subject| {
        runtime.block_on(on_threads(&*subject.stack, threads))
    })?;
    let ns: Vec<Vec<f64>> = times
        .iter()
        .map(|times| {
            times
                .iter()
                .map(|it| it.as_secs_f64() * 1e9 / f64::from(CALLS))
                .collect()
        })
        .collect();
    let (bare, others) = ns.split_first().ok_or("there is no subject")?;
    let over = others.iter().map(|ns| {
        let differences = ns.iter().zip(bare).map(|(one, bare)| one - bare);
        rounds::median(differences)
    });
    let first = rounds::median(bare.iter().copied());
    Ok(std::iter::once(first).chain(over).collect())
}

/// The same calls by each of so many tasks, a thread for each.
async fn on_threads(stack: &dyn Stack, threads: u32) -> Result<(), Failure> {
    let tasks: Vec<_> = (0..threads)
        .map(|_| tokio::spawn(stack.calls(CALLS)))
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}
