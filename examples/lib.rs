//! Programs that show the crate on real systems; see each folder. [`orders`] is no program: it shows
//! methods as constants. [`Transport`] is what the clients of several programs are generic over.

pub mod orders;
mod transport;

pub use transport::Transport;
