//! Times measured in turns, so that what else the machine does meets every subject alike.

use std::time::Duration;

use tokio::time::Instant;

use crate::Failure;

/// How long each of `subjects` took in each round.
///
/// # Errors
///
/// If a turn fails.
pub fn interleaved<T>(
    rounds: usize,
    subjects: &mut [T],
    mut turn: impl FnMut(&mut T) -> Result<(), Failure>,
) -> Result<Vec<Vec<Duration>>, Failure> {
    of(rounds, subjects, |subject| {
        let start = Instant::now();
        turn(subject)?;
        Ok(start.elapsed())
    })
}

/// What a turn of each of `subjects` found in each round. A round is one turn of each, the other way
/// round every other time, and the next one begins it every other time: nobody always follows the
/// same one, nor itself more often than others do.
///
/// # Errors
///
/// If a turn fails.
pub fn of<T, R>(
    rounds: usize,
    subjects: &mut [T],
    mut turn: impl FnMut(&mut T) -> Result<R, Failure>,
) -> Result<Vec<Vec<R>>, Failure> {
    let count = subjects.len();
    let mut found: Vec<Vec<R>> = Vec::new();
    found.resize_with(count, Vec::new);
    for round in 0..rounds {
        for step in 0..count {
            let at = if round % 2 == 0 {
                step
            } else {
                count - 1 - step
            };
            let at = (at + round / 2) % count;
            let (Some(subject), Some(found)) = (subjects.get_mut(at), found.get_mut(at)) else {
                continue;
            };
            found.push(turn(subject)?);
        }
    }
    Ok(found)
}

/// The one in the middle; that of nothing is 0.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    values.get(middle).copied().unwrap_or_default()
}
