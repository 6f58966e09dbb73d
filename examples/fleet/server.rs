//! One server, as the program that started it sees it.

use std::env::current_exe;
use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::nature::Nature;
use super::port::Port;
use super::process::{SAYS, arguments};
use crate::Failure;

/// A server in a process of its own, which ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    index: u32,
    port: Port,
    nature: Nature,
    process: Option<Child>,
}

impl Server {
    /// Starts it, and waits until it listens.
    ///
    /// # Errors
    ///
    /// The process could not be started, or could not listen.
    pub async fn start(index: u32, port: Port, nature: Nature) -> Result<Self, Failure> {
        let mut server = Self {
            index,
            port,
            nature,
            process: None,
        };
        server.restart().await?;
        Ok(server)
    }

    /// What its answers call it.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn address(&self) -> Result<SocketAddr, Failure> {
        Ok(self.port.address()?)
    }

    /// Starts it again where it was; when it listened.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub async fn restart(&mut self) -> Result<Instant, Failure> {
        let mut process = Command::new(current_exe()?)
            .args(arguments(self.index, self.port.address()?, self.nature))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().ok_or("a server without stdout")?;
        let listening = BufReader::new(stdout).lines().next_line().await?;
        listening.ok_or("a server could not listen")?;
        self.process = Some(process);
        Ok(Instant::now())
    }

    /// Kills it with SIGKILL; when it died.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub async fn kill(&mut self) -> Result<Instant, Failure> {
        let mut process = self.process.take().ok_or("the server is dead already")?;
        process.kill().await?;
        Ok(Instant::now())
    }

    /// Its health service says `SERVING` from now on, or `NOT_SERVING`; when it was told so.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub async fn says(&mut self, is_serving: bool) -> Result<Instant, Failure> {
        let process = self.process.as_mut();
        let stdin = process.and_then(|it| it.stdin.as_mut());
        let stdin = stdin.ok_or("the server does not run")?;
        let [serving, not_serving] = SAYS;
        let word = if is_serving { serving } else { not_serving };
        stdin.write_all(&[word]).await?;
        stdin.flush().await?;
        Ok(Instant::now())
    }

    /// Stops its process, as SIGSTOP does: it is connected, and says nothing.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub async fn freeze(&self) -> Result<Instant, Failure> {
        self.signal("STOP").await
    }

    /// Lets a frozen one go on.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub async fn thaw(&self) -> Result<Instant, Failure> {
        self.signal("CONT").await
    }

    async fn signal(&self, signal: &str) -> Result<Instant, Failure> {
        let id = self.process.as_ref().and_then(Child::id);
        let id = id.ok_or("the server does not run")?;
        // The shell has `kill` built in; a system call of ours would be unsafe.
        let mut shell = Command::new("sh");
        let sent = shell.args(["-c", &format!("kill -{signal} {id}")]).status();
        if !sent.await?.success() {
            return Err(format!("no {signal} could be sent to process {id}").into());
        }
        Ok(Instant::now())
    }
}
