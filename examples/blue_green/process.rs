//! One instance, as the program that started it sees it.

use std::env::current_exe;
use std::net::SocketAddr;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use grpc_resilience_examples::Failure;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::agent::Registry;
use crate::instance::Order;

/// An instance in a process of its own, which ends when this is dropped.
pub(crate) struct Instance {
    pub(crate) address: SocketAddr,
    /// When it began to pass its check, in microseconds.
    passes: u64,
    /// When it was deregistered.
    left: u64,
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What an instance says of its life when it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) started: u64,
    pub(crate) finished: u64,
    /// From the time it passed to the start of its first call.
    pub(crate) until_used: Option<Duration>,
    /// From its deregistration to the start of its last call.
    pub(crate) still_used: Duration,
}

/// More than any instance takes to drain.
const PATIENCE: Duration = Duration::from_secs(20);

impl Instance {
    /// Starts it, and waits until it passes its check.
    pub(crate) async fn start(
        registry: &Registry,
        place: u32,
        ttl: Duration,
    ) -> Result<Self, Failure> {
        let order = Order {
            place,
            agent: registry.agent.address(),
            service: registry.service.clone(),
            ttl,
        };
        let mut process = Command::new(current_exe()?)
            .args(order.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().ok_or("an instance without stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = said(&mut lines, "listens").await?;
        let passes = said(&mut lines, "passes").await?;
        Ok(Self {
            address,
            passes,
            left: 0,
            process,
            lines,
        })
    }

    /// Three of them, one after another.
    pub(crate) async fn start_three(
        registry: &Registry,
        ttl: Duration,
    ) -> Result<Vec<Self>, Failure> {
        let mut instances = Vec::new();
        for place in 0..3 {
            instances.push(Self::start(registry, place, ttl).await?);
        }
        Ok(instances)
    }

    /// Sends SIGTERM, on which it drains, and waits until it is deregistered.
    pub(crate) async fn leave(&mut self) -> Result<(), Failure> {
        let id = self.process.id().ok_or("the instance does not run")?;
        // The shell has `kill` built in; a system call of ours would be unsafe.
        let mut shell = Command::new("sh");
        let sent = shell.args(["-c", &format!("kill -TERM {id}")]).status();
        if !sent.await?.success() {
            return Err(format!("no SIGTERM could be sent to process {id}").into());
        }
        self.left = said(&mut self.lines, "left").await?;
        Ok(())
    }

    /// Waits until it has drained, once it has left.
    pub(crate) async fn ended(mut self) -> Result<Life, Failure> {
        let started = said(&mut self.lines, "started").await?;
        let finished = said(&mut self.lines, "finished").await?;
        let first: u64 = said(&mut self.lines, "first").await?;
        let last: u64 = said(&mut self.lines, "last").await?;
        let status = timeout(PATIENCE, self.process.wait()).await??;
        if !status.success() {
            return Err(format!("an instance ended with {status}").into());
        }
        let between = |from: u64, to: u64| Duration::from_micros(to.saturating_sub(from));
        Ok(Life {
            started,
            finished,
            until_used: (first > 0).then(|| between(self.passes, first)),
            still_used: between(self.left, last),
        })
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(mut self) -> Result<(), Failure> {
        Ok(self.process.kill().await?)
    }
}

/// The value of the next line, which has this name.
async fn said<T>(lines: &mut Lines<BufReader<ChildStdout>>, name: &str) -> Result<T, Failure>
where
    T: FromStr<Err: Into<Failure>>,
{
    let line = timeout(PATIENCE, lines.next_line()).await??;
    let line = line.ok_or_else(|| format!("an instance ended before it said `{name}`"))?;
    let value = line.strip_prefix(name);
    let value = value.ok_or_else(|| format!("an instance said `{line}` in place of `{name}`"))?;
    value.trim().parse().map_err(Into::into)
}
