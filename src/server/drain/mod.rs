//! Stops a server without losing a call.
//!
//! A [`Drain`] takes the steps in which a server has to stop so that no client notices:
//!
//! | step | what happens | until |
//! |---|---|---|
//! | 1 | health turns `NOT_SERVING`; the hooks run, such as a deregistration | they end, at most 5 s |
//! | 2 | everything is served, while clients and registries hear of it | the notice time, 10 s |
//! | 3 | nothing more is accepted; GOAWAY; running calls end, and streams hear of it | they have ended |
//! | 4 | the hard stop: connections that are still open are cut off | 25 s after the beginning |
//!
//! See [`Drain`] for a whole server.

mod body;
mod builder;
mod draining;
mod drive;
mod future;
mod handle;
mod hooks;
mod incoming;
mod invalid_drain;
mod io;
mod layer;
mod machine;
mod serve;
mod service;
mod shared;

pub use body::DrainBody;
pub use builder::DrainBuilder;
pub use draining::Draining;
pub use future::ResponseFuture;
pub use handle::{Drain, HardStop};
pub use hooks::HookOutput;
pub use incoming::DrainIncoming;
pub use invalid_drain::InvalidDrain;
pub use io::DrainIo;
pub use layer::DrainLayer;
pub use serve::DrainServer;
pub use service::DrainService;
