//! A server of the chain: it asks the next one, or works for ever.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::deadline::Deadline;
use grpc_resilience::grpc::Code;
use grpc_resilience::{DeadlineLayer, ServerDeadlineLayer};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tower_layer::Layer as _;

use crate::chain::said;
use crate::proto::link_client::LinkClient;
use crate::proto::link_server::{self, LinkServer};
use crate::proto::{Done, Task};

pub(crate) type Client = LinkClient<Deadline<Channel>>;

/// What one server has to say of one call.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) run: u64,
    /// `grpc-timeout`, as it came.
    pub(crate) timeout: Option<Duration>,
    /// When the handler ended or was stopped.
    pub(crate) ended: Instant,
    /// How its own call ended; `None` if it made none, or was stopped first.
    pub(crate) heard: Option<(Code, String)>,
}

/// Shared with the server.
pub(crate) type Book = Arc<Mutex<Vec<Seen>>>;

pub(crate) struct Link {
    /// `None` for the last one.
    next: Option<Client>,
    book: Book,
}

/// Writes down when it is dropped, whatever the reason.
struct Entry {
    book: Book,
    seen: Seen,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.seen.ended = Instant::now();
        self.book.lock().push(self.seen.clone());
    }
}

impl Link {
    fn entry(&self, request: &Request<Task>) -> Entry {
        let timeout = request.metadata().get("grpc-timeout");
        Entry {
            book: Arc::clone(&self.book),
            seen: Seen {
                run: request.get_ref().run,
                timeout: timeout.and_then(|it| parse(it.to_str().ok()?)),
                ended: Instant::now(),
                heard: None,
            },
        }
    }
}

/// A number and a unit, as gRPC writes a timeout.
fn parse(timeout: &str) -> Option<Duration> {
    let (number, unit) = timeout.split_at_checked(timeout.len().checked_sub(1)?)?;
    let number: u32 = number.parse().ok()?;
    let unit = match unit {
        "H" => Duration::from_secs(3_600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    Some(unit * number)
}

#[tonic::async_trait]
impl link_server::Link for Link {
    async fn work(&self, request: Request<Task>) -> Result<Response<Done>, Status> {
        let mut entry = self.entry(&request);
        let Some(mut next) = self.next.clone() else {
            loop {
                sleep(Duration::from_millis(1)).await;
            }
        };
        // Nothing is said of a deadline: the call inherits the one that is served here.
        let answer = next.work(request.into_inner()).await;
        entry.seen.heard = answer.as_ref().err().map(said);
        answer
    }
}

/// A server on a free port, and what it sees.
pub(crate) async fn serve(next: Option<Client>) -> std::io::Result<(SocketAddr, Book)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let book = Book::default();
    let link = Link {
        next,
        book: Arc::clone(&book),
    };
    let serving = Server::builder()
        .layer(ServerDeadlineLayer::new())
        .add_service(LinkServer::new(link));
    tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    Ok((address, book))
}

pub(crate) fn client(address: SocketAddr) -> Result<Client, tonic::transport::Error> {
    let channel = Endpoint::try_from(format!("http://{address}"))?.connect_lazy();
    Ok(LinkClient::new(DeadlineLayer::new().layer(channel)))
}
