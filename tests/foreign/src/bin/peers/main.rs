//! Calls servers of Go, Java, Node and Python under load, while their connections age and they die.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    foreign::run(async { Ok(foreign::promises::Promises::default().verdict()) }).await
}
