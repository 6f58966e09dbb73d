//! A budget for extra attempts, so that retries can't multiply an outage.
//!
//! [`BudgetLayer`] hands a budget to every call of a channel and its clones. It is an annotation:
//! alone it changes nothing, the retry layer spends it.
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
//! # Which one
//!
//! | | [`TokenBucket`] | [`PercentageBudget`] |
//! |---|---|---|
//! | the rule | gRFC A6's retry throttling: a failure takes a token, a success gives a part of one back, extra attempts go while more than half are there | extra attempts are at most a percentage of the calls of a window, and a floor |
//! | what fills it | successes | calls, whatever becomes of them, and time (the floor) |
//! | in an outage | stops after `max_tokens / 2` failures until successes come back | spends what the window before it left, then goes on at its percentage and its floor |
//! | few failures | as many retries as failures, while successes outweigh them | as many, up to the percentage |
//! | idle time | changes nothing | what calls paid in is gone after the window |
//! | from cold | full: up to `max_tokens / 2` at once | the floor, one at a time |
//! | a caller of few calls | its tokens come back call by call | the floor lets it retry |
//! | take it if | other gRPC clients of the server do, or an outage should see next to no retries | the server's spare capacity is known: so much more load, and never more |
//! | default | 300 tokens, ratio 0.2 | 20 %, 10 s, floor of 10 a second |
//!
//! Any other rule implements [`Budget`](crate::call::Budget); by
//! [`Budget::snapshot`](crate::call::Budget::snapshot) it is seen like these.
//!
//! # Sharing
//!
//! | | |
//! |---|---|
//! | [`BudgetLayer::new`] | one for all calls of the channels that the layer is laid over; other layers share it by `Arc` |
//! | [`BudgetLayer::method`] | one for the methods of a path or glob |
//! | [`BudgetLayer::per_method`] | one for each method: one that fails does not use up what another needs |
//!
//! A6 wants one for each target: two channels that reach the same servers should share theirs,
//! `BudgetLayer::new(Arc::clone(&bucket))`.
//!
//! - **Reads** the method. **Writes** the budget into the [`Context`](crate::call::Context).
//! - **Errors**: [`InvalidBudget`] and [`InvalidPattern`](crate::methods::InvalidPattern), at construction. A
//!   call that is refused an attempt ends with its last real failure and
//!   [`GiveUp::BudgetExhausted`](crate::GiveUp::BudgetExhausted).
//! - **Interactions**: must stand above the retry layer; below one, and below another budget layer,
//!   whose budget it replaces, it says so by one WARN event. Each
//!   call that passes a retry layer counts as a call, also one that is not to be retried.
//! - **Permits**: an attempt whose call ends in its backoff gives back what it took, and is not
//!   spent.
//! - **Limits**: a budget lives in one process; a fleet's extra load is the sum. First attempts and
//!   transparent retries need no permit (CONTRACT T6, T7).

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
