//! A budget for extra attempts, so that retries can't multiply an outage.
//!
//! [`BudgetLayer`] hands one budget to every call of a channel and its clones. It is an annotation:
//! alone it changes nothing, the retry layer spends it. [`TokenBucket`] is gRFC A6's retry
//! throttling; any other rule implements [`Budget`](crate::call::Budget).
//!
//! ```
//! use grpc_resilience::budget::{BudgetLayer, TokenBucket};
//! use tower::ServiceBuilder;
//!
//! let channel = ServiceBuilder::new()
//!     .layer(BudgetLayer::new(TokenBucket::new(100, 0.1)?))
//!     // a retry layer, then the channel
//!     .service(tower::service_fn(|_: http::Request<()>| async { Ok::<_, ()>(()) }));
//! # Ok::<(), grpc_resilience::budget::InvalidBudget>(())
//! ```
//!
//! - **Reads** nothing. **Writes** the budget into the [`Context`](crate::call::Context).
//! - **Interactions**: must stand above the retry layer. An inner one replaces an outer one's.
//! - **Sharing**: two channels that reach the same servers should share one:
//!   `BudgetLayer::new(Arc::clone(&bucket))`.

mod account;
mod decimals;
mod error;
mod floor;
mod layer;
mod ledger;
mod percentage;
mod service;
mod token_bucket;
mod window;

pub use error::InvalidBudget;
pub use layer::BudgetLayer;
pub use percentage::PercentageBudget;
pub use service::Budgeted;
pub use token_bucket::TokenBucket;
