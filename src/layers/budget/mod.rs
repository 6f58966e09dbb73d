//! Budgets for extra attempts, so that retries do not amplify an outage.
//!
//! [`BudgetLayer`] attaches a budget to every call of a channel and its clones. It is an
//! annotation: alone it changes nothing, the retry layer spends the budget.
//!
//! ```
//! use grpc_resilience::budget::{BudgetLayer, PercentageBudget, TokenBucket};
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//!
//! let reports = PercentageBudget::new(5.0)?.window(Duration::from_secs(30))?.floor(1);
//! let budgets = BudgetLayer::new(TokenBucket::new(100, 0.1)?)
//!     .method("/reports.v1.Reports/*", reports)?;
//! let channel = ServiceBuilder::new()
//!     .layer(budgets.clone())
//!     // a retry layer, then the channel
//!     .service(tower::service_fn(|_: http::Request<()>| async { Ok::<_, ()>(()) }));
//! for (methods, snapshot) in budgets.snapshots() {
//!     println!("{methods}: {snapshot}"); // /**: 100.000 tokens, retry: 2 spent, 0 denied
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Choosing a budget
//!
//! | | [`TokenBucket`] | [`PercentageBudget`] |
//! |---|---|---|
//! | rule | gRFC A6's retry throttling | a percentage of recent calls, and a floor |
//! | filled by | successes | calls with any outcome, and time (the floor) |
//! | in an outage | stops after `max_tokens / 2` failures | the last window's rest, then its rate |
//! | few failures | as many retries as failures | as many, up to the percentage |
//! | idle time | changes nothing | calls stop counting after the window |
//! | at the start | full: up to `max_tokens / 2` at once | the floor, one at a time |
//! | a caller with few calls | its tokens return call by call | the floor lets it retry |
//! | default | 300 tokens, ratio 0.2 | 20 %, 10 s, floor of 10 a second |
//!
//! A token bucket loses one token with a failure and regains a part of one with a success; extra
//! attempts are permitted while more than half of the tokens are left. It permits every retry while
//! successes outweigh failures, and stops in an outage until successes return. Choose it if other
//! gRPC clients of the server use this rule, or if an outage should cause nearly no retries.
//!
//! A percentage budget permits extra attempts up to a percentage of the calls in a window, and a
//! floor. Choose it if the server's spare capacity is known: it bounds the extra load at all times.
//!
//! Other rules implement [`Budget`](crate::call::Budget);
//! [`Budget::snapshot`](crate::call::Budget::snapshot) makes them visible like these.
//!
//! # Sharing
//!
//! | constructor or setter | budgets |
//! |---|---|
//! | [`BudgetLayer::new`] | one for all calls of all channels that the layer wraps |
//! | [`BudgetLayer::method`] | one for the methods of a path or glob |
//! | [`BudgetLayer::per_method`] | one for each method, independent of the others |
//!
//! gRFC A6 has one budget for each target. Two channels to the same servers should share theirs:
//! `BudgetLayer::new(Arc::clone(&bucket))`.
//!
//! - **Reads** the method. **Writes** the budget into the [`Context`](crate::call::Context).
//! - **Errors**: [`InvalidBudget`] and [`InvalidPattern`](crate::methods::InvalidPattern), at
//!   construction. A call whose extra attempt is denied ends with its last real failure and
//!   [`GiveUp::BudgetExhausted`](crate::GiveUp::BudgetExhausted).
//! - **Interactions**: must stand above the retry layer. Below a retry layer, and below another
//!   budget layer, whose budget it replaces, it emits one WARN event. Each call that passes a retry
//!   layer counts as a call, even if it is not retried.
//! - **Permits**: if a call ends during the backoff before an attempt, the budget gets the permit
//!   back, and the attempt does not count as spent.
//! - **Limits**: a budget covers one process; the extra loads of several processes add up. First
//!   attempts and transparent retries need no permit (CONTRACT T6, T7).

mod account;
mod budgets;
mod decimals;
mod error;
mod floor;
mod layer;
mod ledger;
mod log;
mod per_method;
mod percentage;
mod service;
mod token_bucket;
mod units;

pub use error::InvalidBudget;
pub use layer::BudgetLayer;
pub use percentage::PercentageBudget;
pub use service::Budget;
pub use token_bucket::TokenBucket;
