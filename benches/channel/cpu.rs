//! What the machine says of this process and of its load.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use benches::Failure;
use benches::rounds::median;
use tokio::time::Instant;

/// The CPU time of all threads of this process, in ns.
pub(crate) fn time() -> Result<f64, Failure> {
    let mut sum = 0.0;
    for thread in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let nanos: f64 = text.split(' ').next().unwrap_or_default().parse()?;
        sum += nanos;
    }
    Ok(sum)
}

/// The load average of the last minute.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().filter(|it| !it.is_empty());
    first.unwrap_or("unknown").to_owned()
}

/// How long a cache line takes to another processor and back, in ns: threads that share memory cost
/// the more, the longer it takes. On a virtual machine it changes while the machine runs.
pub(crate) fn round_trip() -> f64 {
    const TRIPS: u32 = 20_000;
    let trips = || {
        let (at, start) = (AtomicU32::new(0), Instant::now());
        let player = |first| {
            for mine in (first..2 * TRIPS).step_by(2) {
                let mut looks = 0_u32;
                while at.load(Ordering::Acquire) != mine {
                    looks += 1;
                    // Both may be on one processor.
                    if looks.is_multiple_of(10_000) {
                        thread::yield_now();
                    }
                }
                at.store(mine + 1, Ordering::Release);
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| player(1));
            player(0);
        });
        start.elapsed().as_secs_f64() * 1e9 / f64::from(TRIPS)
    };
    median((0..9).map(|_| trips()))
}
