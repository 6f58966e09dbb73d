//! What the benches share: the calls, the stacks that are compared, and how numbers become tables,
//! plots and the sections of `BENCHMARKS.md`.

pub mod call;
pub mod document;
pub mod plot;
pub mod rounds;
pub mod server;
pub mod subjects;

pub mod collect;
mod driven;
mod noop;
mod options;
mod pass_through;
pub mod peer_stacks;
pub mod tower_retry;

pub use driven::{Driven, call_often};
pub use noop::{Answering, NoOp, Reading};
pub use options::Options;
pub use server::Handler;
pub use subjects::Subject;

/// Whatever went wrong; a bench then ends with it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
