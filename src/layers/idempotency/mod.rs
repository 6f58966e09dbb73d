//! Which methods may be repeated: declared, never guessed.
//!
//! [`IdempotencyLayer`] writes what is declared of a method into the call's context. It is an
//! annotation: alone it changes nothing, the retry layer acts on it. What nobody declared is not
//! repeated once it may have run (CONTRACT I2); what provably never ran is sent again anyway.
//!
//! # Declaring
//!
//! **A path, a glob, a closure**, in code. The closure is asked about what no path and no glob
//! matches. [`not_idempotent`](IdempotencyLayer::not_idempotent) makes an exception.
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
//! **One call**, by its own options. They stand above all that a layer declares.
//!
#![cfg_attr(feature = "tonic", doc = "```")]
#![cfg_attr(not(feature = "tonic"), doc = "```ignore")]
//! use grpc_resilience::CallOptionsExt;
//!
//! let mut request = tonic::Request::new(());
//! request.call_options().idempotent();
//! ```
//!
//! **Descriptors**: the `idempotency_level` and the kind of each method, as the proto says. The bytes
//! are a serialized `google.protobuf.FileDescriptorSet`: tonic-prost-build writes one with
//! `file_descriptor_set_path`, protox makes one too.
//!
//! ```
//! # use prost::Message as _;
//! # use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, MethodOptions};
//! # use prost_types::{ServiceDescriptorProto, method_options::IdempotencyLevel};
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
//! **A table of constants**, the same without descriptors at run time. The companion crate
//! `grpc-resilience-build` generates it; it can be written by hand too.
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
//! **A key**: one value for all attempts of a call, by which the server tells a repeated call from a
//! new one. Say [`deduplicated`](IdempotencyKey::deduplicated) if it does: then a call that carries
//! the key is idempotent. Without that word the key is sent and nothing else changes. What the caller
//! put into the header stays.
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
//! # How it acts
//!
//! - **Precedence** of safety: the call's own option; an exact path; a glob of `not_idempotent`; the
//!   other globs in the order in which they were added; closures in that order; a key that the call
//!   carries; the proto, by descriptors or a table; then nothing, which means no. Of the kind: the
//!   call's own option; an exact path; globs in that order; the proto.
//! - **The proto**: `IDEMPOTENCY_UNKNOWN` says as little as no level. Sets and tables merge; a method
//!   that two of them describe differently is an error.
//! - **Globs**: `*` any run of characters within a segment, `?` one, `[a-c]` one of these, `**` all.
//!   Braces and other characters that no path has are refused.
//! - **Patterns without effect**: if descriptors or a table describe the service of a
//!   `not_idempotent` pattern and no method of it matches, that is an error, because the method that
//!   it means would stay repeatable. Any other pattern that matches no described method, and a glob
//!   all of whose methods an exception takes out, is one WARN event when the layer is first laid over
//!   a service. Without descriptors nobody knows which methods there are; then an exception is said
//!   that no pattern of repeatable methods has a method of.
//! - **What was forgotten**: [`explain`](IdempotencyLayer::explain) tells who declared a method,
//!   [`unannotated_methods`](IdempotencyLayer::unannotated_methods) which nobody did.
//! - **Reads** the request's path, and the header of a key. **Writes**
//!   [`Safety`](crate::call::Safety) and [`MethodKind`](crate::grpc::MethodKind) into the
//!   [`Context`](crate::call::Context), and the key into its header.
//! - **Limits**: answers are not judged here. A proxy's page, or details that make tonic's client panic,
//!   need a layer that acts on calls.
//! - **Interactions**: must stand above the retry layer. Below one its declarations come too late and
//!   each attempt would get a key of its own: it warns once and writes no key.

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
