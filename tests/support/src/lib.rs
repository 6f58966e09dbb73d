//! A real tonic server for tests, whose answers are scripted call by call.
//!
//! What stands under the script is a real server with real generated code: what the script does not answer, the service
//! does. What the script answers goes out as the HTTP/2 frames a server would send, so that a client meets what it would
//! meet in the wild: Trailers-Only, HEADERS then TRAILERS, a proxy's page, silence, a connection that goes away.
//!
//! ```
//! use std::time::Duration;
//!
//! use test_protos::{EchoClient, EchoRequest};
//! use testing::{Answer, Server, method};
//! use tonic::Code;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let server = Server::in_memory();
//! server.script().on(
//!     method::UNARY,
//!     [Answer::status(Code::Unavailable, "draining").pushback("100"), Answer::handler()],
//! );
//!
//! let mut client = EchoClient::new(server.channel());
//! let status = client.unary(EchoRequest::default()).await.unwrap_err();
//! assert_eq!(status.message(), "draining");
//! assert!(client.unary(EchoRequest::default()).await.is_ok());
//!
//! let calls = server.calls_to(method::UNARY);
//! assert_eq!(calls.len(), 2);
//! assert!(!calls[0].handler_ran && calls[1].handler_ran);
//! # }
//! ```
//!
//! # Time
//!
//! [`Server::in_memory`] opens no socket and runs on the test's own runtime. With
//! `#[tokio::test(start_paused = true)]` (tokio's `test-util`) all waiting then costs no real time: tokio moves the clock
//! whenever every task waits. Do not pause the clock over [`Server::tcp`]: while bytes are on their way through the
//! kernel every task waits too, and timeouts fire early.
//!
//! # Your own service
//!
//! [`Server::builder`] takes any service that tonic generates: `Server::builder().service(OrdersServer::new(orders))`.

mod answer;
mod body;
mod builder;
mod call;
mod clocks;
mod connection;
mod consul;
mod dns;
mod echo;
mod frames;
mod heard;
mod kind;
mod layer;
mod lock;
mod log;
mod memory;
mod policies;
mod reply;
mod requests;
mod script;
mod server;
mod tcp;
mod transport;
mod wire;

pub use answer::{Answer, unavailable};
pub use builder::Builder;
pub use call::{Call, Outcome, ended};
pub use clocks::{SECOND, ms, settle};
pub use consul::{ConsulAgent, ConsulFault, ConsulInstance, ConsulQuery};
pub use dns::{DnsAnswer, DnsQuery, DnsServer, Family, Transport};
pub use echo::{EchoService, method};
pub use policies::{every, policy};
pub use requests::{declared, message, undeclared};
pub use script::Script;
pub use server::Server;
pub use wire::{details, grpc_frame, retry_info, retry_info_any};
