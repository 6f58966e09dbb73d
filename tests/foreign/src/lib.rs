//! What the programs of this package share: processes, load, and the counts that promises are
//! held to.
//!
//! Each program starts real servers or proxies on loopback, calls them through this crate's client
//! as the README sets it up, prints a table, and exits non-zero if a promise does not hold.

pub mod echo;
pub mod hand_loop;
pub mod load;
pub mod oracle;
pub mod over;
pub mod port;
pub mod process;
pub mod promises;
pub mod table;
pub mod tally;

use std::error::Error;
use std::process::ExitCode;

/// What ends a program early: a server that does not start, a file that cannot be read.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Runs a program to its end or to Ctrl-C; either way its child processes end with it.
pub async fn run(program: impl Future<Output = Result<ExitCode, Failure>>) -> ExitCode {
    let ended = tokio::select! {
        ended = program => ended,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    ended.unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        ExitCode::FAILURE
    })
}
