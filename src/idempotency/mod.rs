//! Which methods may be repeated: declared, never guessed.
//!
//! [`IdempotencyLayer`] writes what is declared of a method into the call's context. It is an
//! annotation: alone it changes nothing, the retry layer acts on it. What nobody declared is not
//! repeated once it may have run (CONTRACT I2); what provably never ran is sent again anyway.
//!
//! ```
//! use grpc_resilience::call::Safety;
//! use grpc_resilience::idempotency::IdempotencyLayer;
//!
//! let layer = IdempotencyLayer::new()
//!     .idempotent("/orders.v1.Orders/Put")?
//!     .no_side_effects("/orders.v1.Orders/Get*")?
//!     .not_idempotent("/orders.v1.Orders/GetAndLock")?
//!     .by(|method| method.ends_with("/List").then_some(Safety::NoSideEffects))
//!     .unary("/orders.v1.Orders/*")?;
//! # Ok::<(), grpc_resilience::idempotency::InvalidPattern>(())
//! ```
//!
//! - **Precedence**: the call's own option; an exact path; a glob of `not_idempotent`; the other globs
//!   in the order in which they were added; closures in that order; then nothing, which means no.
//! - **Globs**: `*` any run of characters within a segment, `?` one, `[a-c]` one of these, `**` all.
//! - **Reads** the request's path. **Writes** [`Safety`](crate::call::Safety) and
//!   [`MethodKind`](crate::grpc::MethodKind) into the [`Context`](crate::call::Context).
//! - **Interactions**: must stand above the retry layer.

mod called;
mod described;
mod descriptors;
mod error;
mod explain;
mod key;
mod layer;
mod policy;
mod service;
#[cfg(test)]
mod tests;

pub use crate::grpc::InvalidPattern;
pub use error::{InvalidDescriptors, InvalidKeyHeader};
pub use explain::{Explanation, Source};
pub use key::IdempotencyKey;
pub use layer::IdempotencyLayer;
pub use policy::IdempotencyPolicy;
pub use service::Idempotency;
