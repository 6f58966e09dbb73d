//! The example `blue_green`, with this agent.

use std::path::Path;

use foreign::Failure;
use foreign::promises::Promises;
use tokio::process::Command;

use crate::agent::Agent;

pub(crate) async fn run(
    example: &Path,
    agent: &Agent,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let mut command = Command::new(example);
    command.args(["--consul", &format!("http://{}", agent.address())]);
    let ended = command.kill_on_drop(true).status().await?;
    promises.check(ended.success(), format!("the example ended with {ended}"));
    Ok(())
}
