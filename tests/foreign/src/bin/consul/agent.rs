//! An agent for development: it is a server of Consul, too, and keeps nothing on disk.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use foreign::Failure;
use foreign::port::ReservedPort;
use foreign::process::{Process, free_port};
use tempfile::TempDir;
use tokio::process::Command;

pub(crate) struct Agent {
    program: PathBuf,
    folder: TempDir,
    http: ReservedPort,
    /// Of its configuration.
    hcl: &'static str,
    process: Option<Process>,
    starts: u32,
}

impl Agent {
    /// Starts one, and waits until it has a leader.
    pub(crate) async fn start(program: &Path, hcl: &'static str) -> Result<Self, Failure> {
        let mut agent = Self {
            program: program.to_owned(),
            folder: tempfile::tempdir()?,
            http: ReservedPort::new()?,
            hcl,
            process: None,
            starts: 0,
        };
        agent.restart().await?;
        Ok(agent)
    }

    /// The HTTP interface.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.http.number()).into()
    }

    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Err("the agent is down already".into()),
        }
    }

    /// Starts it where it was; it knows nothing of before.
    pub(crate) async fn restart(&mut self) -> Result<(), Failure> {
        let mut command = Command::new(&self.program);
        command
            .args(["agent", "-dev", "-log-level", "info"])
            .args(["-bind", "127.0.0.1", "-client", "127.0.0.1"])
            .args(["-http-port", &self.http.number().to_string()])
            .args(["-server-port", &free_port()?.to_string()])
            .args(["-serf-lan-port", &free_port()?.to_string()])
            .args(["-serf-wan-port", "-1", "-dns-port", "-1"])
            .args(["-grpc-port", "-1", "-grpc-tls-port", "-1"])
            .args(["-hcl", self.hcl]);
        self.starts += 1;
        let name = format!("agent-{}", self.starts);
        let mut process = Process::start(&name, &mut command, self.folder.path())?;
        process.says("Synced node info").await?;
        self.process = Some(process);
        Ok(())
    }
}
