//! Programs that show the crate on real systems; see each folder. [`orders`] is no program: it
//! shows methods as constants. The rest is shared by several programs: [`Transport`] is what their
//! clients are generic over, [`fleet`] has servers that can be killed, [`show`] tables and plots.

pub mod fleet;
pub mod orders;
pub mod show;
mod transport;

use tokio::runtime::Builder;

pub use transport::Transport;

/// Why a program could not do its work.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs a program on two threads, however many processors there are, so that figures of different
/// machines can be compared.
///
/// # Errors
///
/// The program's own; or the threads can't be started.
pub fn on_two_threads<T>(program: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build()?;
    runtime.block_on(program)
}
