use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use benches::{Answering, Failure, Subject, subjects::Group};

use crate::{allocations, instructions, times};

/// What a call of one subject costs; on top of a bare one, but for the bare one itself.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
    pub(crate) bytes: f64,
    pub(crate) nanoseconds: Option<f64>,
    /// Of the future of a call, in bytes.
    pub(crate) future: f64,
}

impl Measured {
    /// Measures these, of which the first is the bare service; with times, if wanted.
    pub(crate) fn all(
        subjects: &[Subject],
        answering: Answering,
        with_times: bool,
    ) -> Result<Vec<Self>, Failure> {
        let instructions = counted(subjects, answering)?;
        let times = if with_times {
            times::all(answering)?
        } else {
            BTreeMap::new()
        };
        let mut all = Vec::new();
        for (subject, instructions) in subjects.iter().zip(instructions) {
            let allocated = allocations::of(subject, answering)?;
            let future = subject.build(answering)?.future_size()?;
            all.push(Self {
                name: subject.name,
                group: subject.group,
                instructions,
                allocations: allocated.count,
                bytes: allocated.bytes,
                nanoseconds: times.get(subject.name).copied(),
                future: f64::from(u32::try_from(future)?),
            });
        }
        let Some((bare, others)) = all.split_first_mut() else {
            return Ok(all);
        };
        for other in others {
            other.instructions -= bare.instructions;
            other.allocations -= bare.allocations;
            other.bytes -= bare.bytes;
            other.future -= bare.future;
        }
        Ok(all)
    }
}

/// Several at a time: what else the machine does changes no count.
fn counted(subjects: &[Subject], answering: Answering) -> Result<Vec<f64>, Failure> {
    let next = AtomicUsize::new(0);
    let count = || {
        let mut counts = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(subject) = subjects.get(at) else {
                return Ok::<_, Failure>(counts);
            };
            counts.push((at, instructions::of(subject, answering)?));
        }
    };
    let workers = thread::available_parallelism()?.get();
    let mut counts = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(count)).collect();
        let mut all = Vec::new();
        for worker in workers {
            let counts = worker.join().map_err(|_| "a thread panicked")?;
            all.extend(counts?);
        }
        Ok::<_, Failure>(all)
    })?;
    counts.sort_by_key(|(at, _)| *at);
    Ok(counts.into_iter().map(|(_, count)| count).collect())
}
