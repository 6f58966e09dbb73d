//! [Consul](https://developer.hashicorp.com/consul): servers that register themselves, for clients
//! that find them.
//!
//! A server registers itself with its local agent, and deregisters itself as the first step of its
//! drain, while it still serves:
//!
//! ```no_run
//! use grpc_resilience::consul::{Check, Registration};
//! use std::time::Duration;
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let registered = Registration::new("orders", "10.0.0.7:50051".parse()?)
//!     .tag("blue")
//!     .check(Check::grpc(Duration::from_secs(5)))
//!     .register()
//!     .await?;
//! // At SIGTERM: no new client finds the server. Those that know it need some time to hear of it,
//! // so it goes on to serve, and only then stops.
//! registered.deregister().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A client's channel takes the target `consul://127.0.0.1:8500/orders`; the page of
#![cfg_attr(
    feature = "channel",
    doc = "[`channel::resolve`](crate::channel::resolve)"
)]
//! says what it does.
//!
//! Both speak HTTP without TLS, which is how a local agent listens: on loopback. An agent that
//! takes HTTPS from other machines can keep that interface, by `addresses { http = "127.0.0.1" }`
//! in its configuration. Each request has a connection of its own, so that no broken one is used
//! again. The token of an access list is a header of the requests, and stands in no event, error or
//! `Debug`.

mod address;
mod agent;
mod agent_error;
mod answer;
mod check;
mod error;
mod keeper;
mod registered;
mod registration;
mod service;
mod steps;
mod token;

pub(crate) use address::AgentAddress;
pub(crate) use agent::Agent;
pub(crate) use agent_error::AgentError;
pub use check::Check;
pub use error::{InvalidRegistration, RegistrationError};
pub use registered::Registered;
pub use registration::Registration;
pub(crate) use token::{InvalidToken, Token};
