//! What choosing an endpoint costs, alone: instructions, memory, and how it scales over threads.
//!
//! ```console
//! $ cargo bench -p grpc-resilience-benches --bench pick
//! ```

use std::hint::black_box;
use std::process::Command;

use benches::Failure;
use clap::{Parser, Subcommand, ValueEnum};
use grpc_resilience::__internal::Endpoints;
use grpc_resilience::channel::pick::{LeastLoaded, PickFirst, Picker, Random, RoundRobin, Shard};

/// What choosing an endpoint costs.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    part: Option<Part>,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Part {
    /// Picks, for callgrind.
    #[command(hide = true)]
    Picks {
        subject: Subject,
        endpoints: u32,
        picks: u32,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Subject {
    LeastLoaded,
    RoundRobin,
    Random,
    Shard,
    PickFirst,
}

impl Subject {
    fn picker(self) -> Box<dyn Picker> {
        match self {
            Self::LeastLoaded => Box::new(LeastLoaded::new()),
            Self::RoundRobin => Box::new(RoundRobin::new()),
            Self::Random => Box::new(Random::new()),
            Self::Shard => Box::new(Shard::new()),
            Self::PickFirst => Box::new(PickFirst::new()),
        }
    }

    fn argument(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

fn picks(picker: &dyn Picker, endpoints: &Endpoints, picks: u32) {
    for number in 0..picks {
        black_box(endpoints.pick(picker, &number.to_be_bytes()));
    }
}

/// Instructions of one pick: a run of many, less one of few.
fn instructions(subject: Subject, endpoints: u32) -> Result<f64, Failure> {
    let (few, many) = (1_000, 11_000);
    let difference = collected(subject, endpoints, many)? - collected(subject, endpoints, few)?;
    Ok(difference / f64::from(many - few))
}

fn collected(subject: Subject, endpoints: u32, picks: u32) -> Result<f64, Failure> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["picks", &subject.argument()])
        .args([endpoints.to_string(), picks.to_string()])
        .output()
        .map_err(|error| format!("can't run valgrind, which counts the instructions: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    match line.map(|(_, count)| count.trim().parse()) {
        Some(Ok(count)) if output.status.success() => Ok(count),
        _ => Err(format!("callgrind failed on {subject:?}:\n{said}").into()),
    }
}

/// The CPU time of this thread in nanoseconds: on a busy machine it says more than a clock.
fn cpu_time() -> f64 {
    let read = std::fs::read_to_string("/proc/thread-self/schedstat");
    let first = read.ok().and_then(|it| it.split(' ').next()?.parse().ok());
    first.unwrap_or(f64::NAN)
}

/// Picks by this number of threads in a nanosecond of CPU time of each.
fn rate(subject: Subject, endpoints: &Endpoints, threads: u32) -> f64 {
    const PICKS: u32 = 2_000_000;
    let picker = subject.picker();
    let pick = || {
        let start = cpu_time();
        picks(&*picker, endpoints, PICKS);
        f64::from(PICKS) / (cpu_time() - start)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(pick)).collect();
        let rates = threads.into_iter().map(|it| it.join().unwrap_or(f64::NAN));
        rates.sum()
    })
}

/// The median of the ratios of two threads to one, taken in turns.
fn scaling(subject: Subject, endpoints: &Endpoints) -> f64 {
    let ratio = |_| rate(subject, endpoints, 2) / rate(subject, endpoints, 1);
    let mut ratios: Vec<f64> = (0..9).map(ratio).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(4).copied().unwrap_or_default()
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    if let Some(Part::Picks {
        subject,
        endpoints,
        picks: count,
    }) = options.part
    {
        picks(&*subject.picker(), &Endpoints::new(endpoints), count);
        return Ok(());
    }
    for subject in Subject::value_variants() {
        for count in [10, 1_000] {
            let endpoints = Endpoints::new(count);
            let picker = subject.picker();
            // The thread's generator is made with its first number.
            picks(&*picker, &endpoints, 1);
            let memory = allocation_counter::measure(|| picks(&*picker, &endpoints, 1_000));
            println!(
                "{subject:?} of {count}: {:.0} instructions, {} allocations, two threads {:.2} of one",
                instructions(*subject, count)?,
                memory.count_total,
                match subject {
                    Subject::Shard if count > 10 => f64::NAN,
                    _ => scaling(*subject, &endpoints),
                }
            );
        }
    }
    Ok(())
}
