//! Many threads at once: no cell is given twice, and none is promised twice.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use grpc_resilience::rate_limit::{Quota, ServerRateLimitLayer};

use super::raw_service::{new, request, send};

const THREADS: usize = 8;
const CALLS: usize = 500;

/// All answers of all threads, each in a runtime of its own.
fn ask<T: Send>(call: impl AsyncFn(usize) -> T + Sync) -> Vec<T> {
    let begin = Barrier::new(THREADS);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = { runtime }.build().unwrap();
                    begin.wait();
                    runtime.block_on(async {
                        let mut answers = Vec::new();
                        for number in 0..CALLS {
                            answers.push(call(number).await);
                        }
                        answers
                    })
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.flatten().collect()
    })
}

#[test]
fn no_cell_is_given_twice_and_none_is_promised_twice() {
    let hour = Duration::from_secs(3_600);
    let quota = Quota::every(hour).unwrap().burst(1_000).unwrap();
    let layer = ServerRateLimitLayer::new(quota).longest_promise(Duration::MAX);
    let answers = ask(async |_| new(&layer).await);
    let admitted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(admitted, 1_000);
    let refused = answers.into_iter().filter_map(Result::err);
    // Hours from now, less the moment since the first one.
    let hours = |delay: Duration| delay.as_secs().div_ceil(3_600);
    let told: BTreeSet<u64> = refused.map(|it| hours(it.retry_info.unwrap())).collect();
    let expected: BTreeSet<u64> = (1..=3_000).collect();
    assert_eq!(told, expected);
}

#[test]
fn keys_that_come_and_go_under_many_threads_get_what_is_theirs() {
    let hour = Duration::from_secs(3_600);
    let layer = ServerRateLimitLayer::new(Quota::every(hour).unwrap().burst(3).unwrap());
    let layer = layer.by_metadata("x-tenant").unwrap();
    let answers = ask(async |number| {
        let tenant = (number % 50).to_string();
        send(&layer, request(&[("x-tenant", &tenant)])).await
    });
    let admitted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(admitted, 50 * 3);
}
