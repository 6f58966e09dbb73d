//! Programs that show the crate on real systems; see each folder. [`orders`] is no program: it
//! shows methods as constants. The rest is shared by several programs: [`Transport`] is what their
//! clients are generic over, [`fleet`] has servers that can be killed, [`show`] tables and plots.

pub mod fleet;
pub mod orders;
pub mod show;
mod transport;

pub use transport::Transport;

/// Why a program could not do its work.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
