//! A fleet of servers, each a process of its own, and load for it.
//!
//! A program starts itself as its servers ([`serve_if_asked`]), so that they can be killed and
//! frozen as real ones are.

mod attempts;
mod clients;
mod load;
mod nature;
mod plots;
mod port;
mod process;
pub mod proto;
mod record;
mod server;

pub use attempts::{Attempts, Counted};
pub use clients::{OURS, Ours, TONIC, connected_to, declared, ours, tonic, warmed};
pub use load::{Caller, each, open, workers};
pub use nature::Nature;
pub use plots::plot;
pub use port::Port;
pub use process::{HEALTH, serve_if_asked};
pub use record::{Call, Record};
pub use server::Server;

use crate::Failure;

/// A number of servers on loopback that behave alike.
///
/// # Errors
///
/// One could not be started.
pub async fn start(count: u32, nature: Nature) -> Result<Vec<Server>, Failure> {
    let mut servers = Vec::new();
    for index in 0..count {
        servers.push(Server::start(index, Port::reserve()?, nature).await?);
    }
    Ok(servers)
}
