//! Methods declared by constant: what `grpc-resilience-build` makes of `orders.proto`.
//!
//! ```
//! use grpc_resilience::IdempotencyLayer;
//! use grpc_resilience_examples::orders::v1::orders_methods;
//!
//! # fn main() -> Result<(), grpc_resilience::methods::InvalidPattern> {
//! let layer = IdempotencyLayer::new().idempotent(orders_methods::REPLACE.path())?;
//! # Ok(())
//! # }
//! ```
//!
//! A misspelt constant does not compile, where a misspelt path would match nothing:
//!
//! ```compile_fail,E0425
//! use grpc_resilience::IdempotencyLayer;
//! use grpc_resilience_examples::orders::v1::orders_methods;
//!
//! # fn main() -> Result<(), grpc_resilience::methods::InvalidPattern> {
//! let layer = IdempotencyLayer::new().idempotent(orders_methods::REPLAEC.path())?;
//! # Ok(())
//! # }
//! ```
//!
//! What the proto says of all of them, as one rule:
//!
//! ```
//! use grpc_resilience::IdempotencyLayer;
//! use grpc_resilience_examples::orders::v1::orders_methods::ALL;
//!
//! let layer = IdempotencyLayer::new().idempotent_if(|path| {
//!     let method = ALL.iter().find(|method| method.path() == path)?;
//!     Some(method.safety())
//! });
//! ```

#[cfg(test)]
mod tests;

/// Generated code of `orders.proto`.
#[allow(
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    unnameable_types,
    reason = "generated"
)]
pub mod v1 {
    tonic::include_proto!("orders.v1");
}
