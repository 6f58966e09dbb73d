//! The figures of a quota, and what is promised of them.

use std::time::Duration;

use grpc_resilience::rate_limit::RateLimitSnapshot;

use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::series::ratio;
use grpc_resilience_examples::show::table::{Row, counts};

use super::{LOAD, NAME, QUOTA, Run};

const LEAST_USED: f64 = 0.99;
const MOST_ATTEMPTS: f64 = 2.2;

/// What is told of a run.
pub(super) struct Figures {
    rate: f64,
    calls: u32,
    succeeded: u32,
    last_success: Duration,
    used: f64,
    attempts: u32,
    attempts_per_success: f64,
    by_previous: String,
    limit: RateLimitSnapshot,
}

impl Figures {
    pub(super) fn of(run: &Run) -> Self {
        let (record, attempts) = (&run.record, run.arrivals.attempts.total());
        let last_success = record
            .successes
            .ends()
            .map_or(Duration::ZERO, |(_, last)| last);
        // Each call that was let through succeeds.
        let free = f64::from(QUOTA) * (1.0 + last_success.as_secs_f64());
        Self {
            rate: record.rate(),
            calls: record.calls(),
            succeeded: record.succeeded(),
            last_success,
            used: f64::from(record.succeeded()) / free,
            attempts,
            attempts_per_success: ratio(attempts, record.succeeded()),
            by_previous: counts(&run.arrivals.by_previous),
            limit: run.limit,
        }
    }

    pub(super) fn promises(&self) -> Vec<Promise> {
        let promise =
            |promised: String, seen: String, kept| Promise::new(NAME, promised, seen, kept);
        vec![
            Promise::offered(NAME, self.rate, LOAD.per_second),
            promise(
                "all calls succeed".into(),
                format!("{} of {}", self.succeeded, self.calls),
                self.succeeded == self.calls,
            ),
            promise(
                "at least 99 % of the quota is used".into(),
                format!("{:.2} %", 100.0 * self.used),
                self.used >= LEAST_USED,
            ),
            promise(
                format!("at no more than {MOST_ATTEMPTS} attempts per success"),
                format!("{:.3}", self.attempts_per_success),
                self.attempts_per_success <= MOST_ATTEMPTS,
            ),
        ]
    }
}

/// The figures as rows of the table.
pub(super) const ROWS: [Row<Figures>; 10] = [
    ("calls offered, per second", |f| format!("{:.0}", f.rate)),
    ("calls: succeeded of all", |f| {
        format!("{} of {}", f.succeeded, f.calls)
    }),
    ("the last success after", |f| {
        format!("{:.2} s", f.last_success.as_secs_f64())
    }),
    ("quota used until then", |f| {
        format!("{:.2} %", 100.0 * f.used)
    }),
    ("attempts", |f| f.attempts.to_string()),
    ("attempts per success", |f| {
        format!("{:.3}", f.attempts_per_success)
    }),
    ("attempts that were let through", |f| {
        f.limit.admitted.to_string()
    }),
    ("attempts that were refused", |f| {
        f.limit.refused.to_string()
    }),
    ("promises of a cell that were kept", |f| {
        format!("{} of {}", f.limit.kept, f.limit.promised)
    }),
    ("attempts by grpc-previous-rpc-attempts", |f| {
        f.by_previous.clone()
    }),
];
