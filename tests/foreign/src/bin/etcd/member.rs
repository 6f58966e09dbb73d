//! One member of the cluster.

use std::path::Path;
use std::time::Duration;

use foreign::Failure;
use foreign::port::ReservedPort;
use foreign::process::Process;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

use crate::proto::StatusRequest;
use crate::proto::maintenance_client::MaintenanceClient;

/// How long a member may take to tell its status; one that is up takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// How much of its log is shown if it does not come up.
const LOG_LINES: usize = 5;

pub(crate) struct Member {
    name: String,
    client: ReservedPort,
    peer: ReservedPort,
    /// Where it serves its metrics, also before it is ready.
    metrics: ReservedPort,
    process: Option<Process>,
}

/// What a running member says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    pub(crate) id: u64,
    /// The id of the leader that it follows, or its own.
    pub(crate) leader: Option<u64>,
}

/// How far a member has come that may not be ready yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    committed: u64,
    applied: u64,
}

impl Member {
    pub(crate) fn new(number: usize) -> Result<Self, Failure> {
        Ok(Self {
            name: format!("m{number}"),
            client: ReservedPort::new()?,
            peer: ReservedPort::new()?,
            metrics: ReservedPort::new()?,
            process: None,
        })
    }

    /// How the others reach it.
    pub(crate) fn peer(&self) -> String {
        format!("{}={}", self.name, uri(&self.peer))
    }

    /// Where clients reach it.
    pub(crate) fn uri(&self) -> String {
        uri(&self.client)
    }

    /// Starts it, or starts it again with the data that it has.
    pub(crate) fn start(
        &mut self,
        program: &Path,
        folder: &Path,
        peers: &str,
        options: &[&str],
    ) -> Result<(), Failure> {
        let (client, peer) = (self.uri(), uri(&self.peer));
        let mut command = Command::new(program);
        command
            .args(["--name", &self.name, "--initial-cluster", peers])
            .arg("--data-dir")
            .arg(folder.join(&self.name))
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--listen-metrics-urls", &uri(&self.metrics)])
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

    /// Stops its process, or lets it go on.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let process = self.process.as_ref();
        process.ok_or("a member is down")?.signal(signal)
    }

    /// The last lines that it logged.
    pub(crate) fn log(&self) -> String {
        let log = self.process.as_ref().map(Process::read_output);
        let lines: Vec<_> = log.iter().flat_map(|it| it.lines()).collect();
        let last = lines.split_at(lines.len().saturating_sub(LOG_LINES)).1;
        format!("{}:\n{}\n", self.name, last.join("\n"))
    }

    /// How far it has come, as its metrics say; zeros if it does not answer.
    pub(crate) async fn progress(&self) -> Progress {
        let text = timeout(PATIENCE, self.metrics()).await;
        let text = text.ok().and_then(Result::ok).unwrap_or_default();
        let value = |name: &str| {
            let line = text.lines().find_map(|it| it.strip_prefix(name));
            let value = line.and_then(|it| it.trim().parse::<f64>().ok());
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "an index of the log, which Prometheus writes as a float"
            )]
            value.map_or(0, |it| it as u64)
        };
        Progress {
            committed: value("etcd_server_proposals_committed_total "),
            applied: value("etcd_server_proposals_applied_total "),
        }
    }

    async fn metrics(&self) -> Result<String, Failure> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.metrics.number())).await?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

/// Asks the member at this URI over a connection of its own; none if it does not answer.
pub(crate) async fn status(uri: String) -> Result<Option<Status>, Failure> {
    let endpoint = Endpoint::from_shared(uri)?
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE);
    Ok(match endpoint.connect().await {
        Ok(channel) => ask(channel).await,
        Err(_) => None,
    })
}

fn uri(port: &ReservedPort) -> String {
    format!("http://127.0.0.1:{}", port.number())
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
