//! Declares which methods may be repeated. The layer never guesses.
//!
//! [`IdempotencyLayer`] writes the declaration of a method into the call's context. It is an
//! annotation: alone it changes nothing, the retry layer acts on it. A call of an undeclared
//! method is not repeated once it may have run (CONTRACT I2); a call that provably never ran is
//! sent again anyway.
//!
//! # Declaring
//!
//! **A path, a glob, a closure**, in code. The closure decides for methods that no path and no
//! glob matches. [`not_idempotent`](IdempotencyLayer::not_idempotent) declares an exception.
//!
//! ```
//! use grpc_resilience::call::Safety;
//! use grpc_resilience::idempotency::IdempotencyLayer;
//!
//! let layer = IdempotencyLayer::new()
//!     .idempotent("/orders.v1.Orders/Put")?
//!     .no_side_effects("/orders.v1.Orders/Get*")?
//!     .not_idempotent("/orders.v1.Orders/GetAndLock")?
//!     .idempotent_if(|method| method.ends_with("/List").then_some(Safety::NoSideEffects))
//!     .unary("/orders.v1.Orders/*")?;
//! # Ok::<(), grpc_resilience::methods::InvalidPattern>(())
//! ```
//!
//! **One call**, by its own options. They override all declarations of a layer.
//!
#![cfg_attr(feature = "tonic", doc = "```")]
#![cfg_attr(not(feature = "tonic"), doc = "```ignore")]
//! use grpc_resilience::CallOptionsExt;
//!
//! let mut request = tonic::Request::new(());
//! request.call_options().idempotent();
//! ```
//!
//! **Descriptors**: the `idempotency_level` and the kind of each method, from the proto. The bytes
//! are a serialized `google.protobuf.FileDescriptorSet`. tonic-prost-build writes one with
//! `file_descriptor_set_path`; protox creates one as well.
//!
//! ```
//! # use prost::Message as _;
//! # use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto};
//! # use prost_types::{MethodOptions, ServiceDescriptorProto, method_options::IdempotencyLevel};
//! # let mut options = MethodOptions::default();
//! # options.set_idempotency_level(IdempotencyLevel::NoSideEffects);
//! # let get = MethodDescriptorProto {
//! #     name: Some("Get".to_owned()),
//! #     options: Some(options),
//! #     ..Default::default()
//! # };
//! # let create = MethodDescriptorProto { name: Some("Create".to_owned()), ..Default::default() };
//! # let service = ServiceDescriptorProto {
//! #     name: Some("Orders".to_owned()),
//! #     method: vec![get, create],
//! #     ..Default::default()
//! # };
//! # let file = FileDescriptorProto {
//! #     package: Some("orders.v1".to_owned()),
//! #     service: vec![service],
//! #     ..Default::default()
//! # };
//! # let bytes = FileDescriptorSet { file: vec![file] }.encode_to_vec();
//! # #[allow(non_snake_case)]
//! # let FILE_DESCRIPTOR_SET = &bytes;
//! use grpc_resilience::idempotency::IdempotencyLayer;
//!
//! let layer = IdempotencyLayer::from_descriptors(FILE_DESCRIPTOR_SET)?;
//! assert_eq!(
//!     layer.explain("/orders.v1.Orders/Get").to_string(),
//!     "/orders.v1.Orders/Get: safe to repeat (no side effects), by its proto; unary, by its proto"
//! );
//! assert_eq!(layer.unannotated_methods(), ["/orders.v1.Orders/Create"]);
//! # Ok::<(), grpc_resilience::idempotency::InvalidDescriptors>(())
//! ```
//!
//! **A table of constants** has the content of descriptors without reading them at run time. The
//! companion crate `grpc-resilience-build` generates it; you can also write it by hand.
//!
//! ```
//! use grpc_resilience::call::{Method, Safety};
//! use grpc_resilience::grpc::MethodKind;
//! use grpc_resilience::idempotency::IdempotencyLayer;
//!
//! mod orders_methods {
//! #   use super::*;
//!     pub const GET: Method =
//!         Method::new("/orders.v1.Orders/Get", MethodKind::Unary, Safety::NoSideEffects);
//!     pub const ALL: [Method; 1] = [GET];
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = IdempotencyLayer::new()
//!     .methods(orders_methods::ALL)?
//!     .not_idempotent(orders_methods::GET.path())?;
//! # Ok(())
//! # }
//! ```
//!
//! **A key**: one value for all attempts of a call, by which the server recognizes a repeated
//! call. If the server removes duplicates, declare it with
//! [`deduplicated`](IdempotencyKey::deduplicated): a call that carries the key then is idempotent.
//! Without that declaration the key is sent and nothing else changes. A value that the caller put
//! into the header stays.
//!
//! ```
//! use grpc_resilience::idempotency::{IdempotencyKey, IdempotencyLayer};
//! use http::HeaderValue;
//!
//! let order = IdempotencyKey::from_request(|request| request.headers.get("x-order-id").cloned());
//! let layer = IdempotencyLayer::new()
//!     .key("/orders.v1.Orders/Create", IdempotencyKey::random().deduplicated())?
//!     .key("/orders.v1.Orders/Change*", order.header("x-request-id")?.deduplicated())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Behaviour
//!
//! - **Precedence** of safety: the call's own option; an exact path; a glob of `not_idempotent`;
//!   the other globs in the order of addition; closures in the order of addition; a key that the
//!   call carries; the proto, by descriptors or a table. Otherwise it is not safe to repeat.
//!   Precedence of the kind: the call's own option; an exact path; globs in the order of addition;
//!   the proto.
//! - **The proto**: `IDEMPOTENCY_UNKNOWN` counts as no level. Sets and tables merge; two different
//!   descriptions of a method are an error.
//! - **Globs**: `*` matches any characters within a segment, `?` one character, `[a-c]` one of
//!   these, `**` everything. Braces and other characters that never occur in a path are refused.
//! - **Patterns without effect**: if descriptors or a table describe the service of a
//!   `not_idempotent` pattern and the pattern matches none of its methods, that is an error,
//!   because the intended method would stay repeatable. Any other pattern that matches no
//!   described method, and a glob whose methods are all covered by an exception, causes one WARN
//!   event when the layer first wraps a service. Without descriptors the set of methods is
//!   unknown; then an exception causes the event if no pattern of repeatable methods can match a
//!   method that the exception matches.
//! - **Missing declarations**: [`explain`](IdempotencyLayer::explain) returns the source of a
//!   method's declaration, [`unannotated_methods`](IdempotencyLayer::unannotated_methods) the
//!   methods without one.
//! - **Reads** the request's path, and the header of a key. **Writes**
//!   [`Safety`](crate::call::Safety) and [`MethodKind`](crate::grpc::MethodKind) into the
//!   [`Context`](crate::call::Context), and the key into its header.
//! - **Limits**: this layer does not inspect responses. Protection against a proxy's HTML page, or
//!   against status details that make tonic's client panic, needs a layer that acts on calls.
//! - **Interactions**: must stand above the retry layer. Below it, declarations come too late and
//!   each attempt would get a different key: the layer warns once and writes no key.

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

pub use error::{InvalidDescriptors, InvalidKeyHeader};
pub use explain::{Explanation, Source};
pub use key::IdempotencyKey;
pub use layer::IdempotencyLayer;
use policy::IdempotencyPolicy;
pub use service::Idempotency;
