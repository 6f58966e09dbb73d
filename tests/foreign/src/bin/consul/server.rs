//! A server with a health service, and what a channel knows of it.

use std::net::SocketAddr;
use std::time::Duration;

use foreign::Failure;
use foreign::echo;
use grpc_resilience::channel::{Channel, Connectivity};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic_health::server::{HealthReporter, health_reporter};

/// More than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server in this process, which ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) health: HealthReporter,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (health, checked) = health_reporter();
        let (service, _) = echo::service();
        let server = tonic::transport::Server::builder()
            .add_service(checked)
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(async move {
            let _ = server.await;
        });
        Ok(Self {
            address,
            health,
            task,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The addresses that a channel has now, and connections to.
pub(crate) fn ready(channel: &Channel) -> Vec<String> {
    let endpoints = channel.snapshot().endpoints.into_iter();
    let ready = endpoints.filter(|it| !it.is_removed && it.state == Connectivity::Ready);
    let mut names: Vec<_> = ready.map(|it| it.name.clone()).collect();
    names.sort();
    names
}

/// How long it takes until the channel is connected to these and no others.
pub(crate) async fn until_ready(
    channel: &Channel,
    servers: &[&Server],
) -> Result<Duration, Failure> {
    let mut expected: Vec<_> = servers.iter().map(|it| it.address.to_string()).collect();
    expected.sort();
    let start = Instant::now();
    let waits = async {
        while ready(channel) != expected {
            sleep(Duration::from_millis(1)).await;
        }
    };
    if timeout(PATIENCE, waits).await.is_err() {
        return Err(format!("not {expected:?}, but {}", channel.snapshot()).into());
    }
    Ok(start.elapsed())
}
