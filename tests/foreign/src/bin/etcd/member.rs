//! One member of the cluster.

use std::path::Path;
use std::time::Duration;

use foreign::Failure;
use foreign::port::ReservedPort;
use foreign::process::Process;
use tokio::process::Command;
use tonic::transport::{Channel, Endpoint};

use crate::proto::StatusRequest;
use crate::proto::maintenance_client::MaintenanceClient;

/// How long a member may take to tell its status; one that is up takes a few milliseconds.
const PATIENCE: Duration = Duration::from_millis(500);

/// How much of its log is shown if it does not come up.
const LOG_LINES: usize = 5;

pub(crate) struct Member {
    name: String,
    client: ReservedPort,
    peer: ReservedPort,
    process: Option<Process>,
}

/// What a running member says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    pub(crate) id: u64,
    /// The id of the leader that it follows, or its own.
    pub(crate) leader: Option<u64>,
}

impl Member {
    pub(crate) fn new(number: usize) -> Result<Self, Failure> {
        Ok(Self {
            name: format!("m{number}"),
            client: ReservedPort::new()?,
            peer: ReservedPort::new()?,
            process: None,
        })
    }

    /// How the others reach it.
    pub(crate) fn peer(&self) -> String {
        format!("{}=http://127.0.0.1:{}", self.name, self.peer.number())
    }

    /// Starts it, or starts it again with the data that it has.
    pub(crate) fn start(
        &mut self,
        program: &Path,
        folder: &Path,
        peers: &str,
        options: &[&str],
    ) -> Result<(), Failure> {
        let client = format!("http://127.0.0.1:{}", self.client.number());
        let peer = format!("http://127.0.0.1:{}", self.peer.number());
        let mut command = Command::new(program);
        command
            .args(["--name", &self.name, "--initial-cluster", peers])
            .arg("--data-dir")
            .arg(folder.join(&self.name))
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--log-level", "warn"])
            .args(options);
        self.process = Some(Process::start(&self.name, &mut command, folder)?);
        Ok(())
    }

    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Err(format!("{} is down already", self.name).into()),
        }
    }

    /// The last lines that it logged.
    pub(crate) fn log(&self) -> String {
        let log = self.process.as_ref().map(Process::read_output);
        let lines: Vec<_> = log.iter().flat_map(|it| it.lines()).collect();
        let last = lines.split_at(lines.len().saturating_sub(LOG_LINES)).1;
        format!("{}:\n{}\n", self.name, last.join("\n"))
    }

    pub(crate) fn endpoint(&self) -> Result<Endpoint, Failure> {
        let uri = format!("http://127.0.0.1:{}", self.client.number());
        Ok(Endpoint::from_shared(uri)?)
    }

    /// Asks it over a connection of its own; none if it does not answer.
    pub(crate) async fn status(&self) -> Result<Option<Status>, Failure> {
        let endpoint = self.endpoint()?.connect_timeout(PATIENCE).timeout(PATIENCE);
        Ok(match endpoint.connect().await {
            Ok(channel) => ask(channel).await,
            Err(_) => None,
        })
    }
}

async fn ask(channel: Channel) -> Option<Status> {
    let answer = MaintenanceClient::new(channel)
        .status(StatusRequest {})
        .await;
    let status = answer.ok()?.into_inner();
    Some(Status {
        id: status.header?.member_id,
        leader: (status.leader != 0).then_some(status.leader),
    })
}
