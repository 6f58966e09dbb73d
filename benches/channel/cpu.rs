//! What the machine says of this process and of its load.

use std::fs;

use benches::Failure;

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
