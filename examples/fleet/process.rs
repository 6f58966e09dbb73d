//! What a server's process does.

use std::env;
use std::io::{Read, Write, stdin, stdout};
use std::net::SocketAddr;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::time::sleep;
use tonic::codegen::tokio_stream::StreamExt;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::server::health_reporter;

use super::nature::Nature;
use super::port::listen;
use super::proto::fleet_server::{Fleet, FleetServer};
use super::proto::{Answer, Question};
use crate::Failure;

/// The first argument of a server's process; its index, address, delay in milliseconds and share of
/// failures follow.
const SERVE: &str = "--serve-as-one-of-the-fleet";

/// The name of the service whose health the servers report: `SERVING` until a test changes it.
pub const HEALTH: &str = "fleet.v1.Fleet";

/// What the parent says for `SERVING`, and for `NOT_SERVING`.
pub(super) const SAYS: [u8; 2] = [b'+', b'-'];

/// Serves until the parent ends, if this process was started for that.
///
/// # Errors
///
/// It could not listen.
pub fn serve_if_asked() -> Result<bool, Failure> {
    let mut arguments = env::args().skip(1);
    if arguments.next().as_deref() != Some(SERVE) {
        return Ok(false);
    }
    let mut next = || arguments.next().ok_or("an argument is missing");
    let server = One {
        index: next()?.parse()?,
        ..One::default()
    };
    let address = next()?.parse()?;
    let nature = Nature {
        delay: Duration::from_millis(next()?.parse()?),
        failing: next()?.parse()?,
    };
    let (told, is_serving) = watch::channel(true);
    thread::spawn(move || {
        // The parent holds the other end, and says how the server is.
        let mut said = [0];
        while stdin().read(&mut said).is_ok_and(|bytes| bytes > 0) {
            told.send_replace(said == [SAYS[0]]);
        }
        exit(0);
    });
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(server.serve(address, nature, is_serving))?;
    Ok(true)
}

pub(super) fn arguments(index: u32, address: SocketAddr, nature: Nature) -> [String; 5] {
    [
        SERVE.into(),
        index.to_string(),
        address.to_string(),
        nature.delay.as_millis().to_string(),
        nature.failing.to_string(),
    ]
}

#[derive(Debug, Default)]
struct One {
    index: u32,
    nature: Nature,
    connections: Arc<AtomicU32>,
    calls: AtomicU32,
}

impl One {
    async fn serve(
        self,
        address: SocketAddr,
        nature: Nature,
        mut is_serving: watch::Receiver<bool>,
    ) -> Result<(), Failure> {
        let (reporter, health) = health_reporter();
        reporter
            .set_service_status(HEALTH, ServingStatus::Serving)
            .await;
        tokio::spawn(async move {
            while is_serving.changed().await.is_ok() {
                let status = if *is_serving.borrow_and_update() {
                    ServingStatus::Serving
                } else {
                    ServingStatus::NotServing
                };
                reporter.set_service_status(HEALTH, status).await;
            }
        });
        let listener = listen(address)?;
        let connections = Arc::clone(&self.connections);
        let incoming =
            TcpIncoming::from(listener)
                .with_nodelay(Some(true))
                .map(move |connection| {
                    connections.fetch_add(1, Relaxed);
                    connection
                });
        // The parent waits for a line.
        writeln!(stdout(), "listening")?;
        tonic::transport::Server::builder()
            .add_service(health)
            .add_service(FleetServer::new(Self { nature, ..self }))
            .serve_with_incoming(incoming)
            .await?;
        Ok(())
    }
}

#[tonic::async_trait]
impl Fleet for One {
    async fn ask(&self, question: Request<Question>) -> Result<Response<Answer>, Status> {
        let number = self.calls.fetch_add(1, Relaxed);
        let asked = Duration::from_millis(question.get_ref().millis.into());
        let delay = self.nature.delay.max(asked);
        if !delay.is_zero() {
            sleep(delay).await;
        }
        if self.nature.fails(number) {
            return Err(Status::unavailable("this answer fails"));
        }
        Ok(Response::new(Answer {
            server: self.index,
            connections: self.connections.load(Relaxed),
        }))
    }
}
