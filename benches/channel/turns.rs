//! Turns of all subjects, one after the other.

use std::fmt::Write as _;
use std::fs;

use benches::Failure;
use tokio::time::Instant;

use crate::client::{Subject, runtime};

/// What one turn took for each call, in ns.
#[derive(Clone, Copy)]
struct Turn {
    wall: f64,
    cpu: f64,
}

/// Measures every subject with this number of callers, and writes the table.
pub(crate) fn table(
    address: &str,
    callers: u32,
    turns: usize,
    workers: usize,
) -> Result<String, Failure> {
    let runtime = runtime(workers)?;
    let calls = if callers == 1 { 3_000 } else { 20_000 };
    let loads = runtime.block_on(async {
        let mut loads = Vec::new();
        for subject in Subject::ALL {
            let load = subject.connect(address).await?;
            load(callers, calls / 4).await?;
            loads.push(load);
        }
        Ok::<_, Failure>(loads)
    })?;
    let mut measured = vec![Vec::new(); loads.len()];
    for _ in 0..turns {
        for (load, turns) in loads.iter().zip(&mut measured) {
            let (start, cpu) = (Instant::now(), cpu_time()?);
            runtime.block_on(load(callers, calls))?;
            turns.push(Turn {
                wall: start.elapsed().as_secs_f64() * 1e9 / f64::from(calls),
                cpu: (cpu_time()? - cpu) / f64::from(calls),
            });
        }
    }
    let mut text = String::from("subject | us a call | calls/s to tonic | client CPU to tonic\n");
    let Some(tonic) = measured.first().cloned() else {
        return Ok(text);
    };
    for (subject, turns) in Subject::ALL.into_iter().zip(&measured) {
        let wall = median(turns.iter().map(|turn| turn.wall));
        let pairs = || tonic.iter().zip(turns);
        let speed = median(pairs().map(|(tonic, turn)| tonic.wall / turn.wall));
        let cpu = median(pairs().map(|(tonic, turn)| turn.cpu / tonic.cpu));
        let name = subject.name();
        writeln!(
            text,
            "{name} | {:.2} | {speed:.2} | {cpu:.2}",
            wall / 1_000.0
        )?;
    }
    Ok(text)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The CPU time of this process, whose server is another one, in ns.
fn cpu_time() -> Result<f64, Failure> {
    let mut sum = 0.0;
    for thread in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let nanos: f64 = text.split(' ').next().unwrap_or_default().parse()?;
        sum += nanos;
    }
    Ok(sum)
}
