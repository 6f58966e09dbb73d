//! Allocations of a call, counted in this process.

use allocation_counter::measure;
use benches::{Answering, Failure, Subject};

const WARM_UP: u32 = 200;
const CALLS: u32 = 1_000;

/// How often a call asks for memory, and for how many bytes in all.
pub(crate) struct Allocations {
    pub(crate) count: f64,
    pub(crate) bytes: f64,
}

pub(crate) fn of(subject: &Subject, answering: Answering) -> Result<Allocations, Failure> {
    let mut driven = subject.build(answering)?;
    driven.run(WARM_UP)?;
    let mut outcome = Ok(());
    let counted = measure(|| outcome = driven.run(CALLS));
    outcome?;
    let per_call =
        |total: u64| Ok::<_, Failure>(f64::from(u32::try_from(total)?) / f64::from(CALLS));
    Ok(Allocations {
        count: per_call(counted.count_total)?,
        bytes: per_call(counted.bytes_total)?,
    })
}
