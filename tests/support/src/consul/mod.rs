//! A stand-in for an agent of Consul, and faults for a real one.

mod answering;
mod http;
mod journal;
mod registry;
mod upstream;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::lock::lock;
use answering::answer;
pub use journal::ConsulQuery;
use journal::{Journal, Open};
pub use registry::ConsulInstance;
use registry::Registry;

/// An agent of Consul on loopback, as far as clients of its health and agent interfaces see one; or
/// one that stands before a real agent. It fails as a test wants, and keeps a journal of the
/// queries. It ends when it is dropped.
///
/// It runs TTL checks, and no others: a check of gRPC passes at once.
///
/// ```
/// use testing::{ConsulAgent, ConsulInstance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let agent = ConsulAgent::start().await?;
/// agent.register(ConsulInstance::new("orders", "127.0.0.1:50051".parse().unwrap()));
/// let target = format!("consul://{}/orders", agent.address());
/// # let _ = target;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ConsulAgent {
    shared: Arc<Shared>,
    /// Bound, and never listening: while the agent is stopped, its port refuses connections.
    _reserved: TcpSocket,
    serving: Mutex<Option<JoinHandle<()>>>,
}

/// What the agent does with queries for instances, in place of what they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsulFault {
    /// Answers with this status.
    Status(u16),
    /// Refuses, and sends back the headers of the query.
    Echo,
    /// Answers the first half of the JSON.
    Truncated,
    /// Answers that there is no instance.
    Empty,
    /// Closes the connection, also of queries that wait.
    Cut,
    /// Closes the connection in the middle of the answer.
    CutInBody,
    /// Does not answer.
    Silence,
    /// Leaves the index out.
    NoIndex,
    /// Says that the index is 0.
    ZeroIndex,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    /// The real agent.
    upstream: Option<SocketAddr>,
    state: Mutex<State>,
    /// Something has changed that a waiting query has to know.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    registry: Registry,
    fault: Option<ConsulFault>,
    journal: Journal,
    /// What is taken off each index.
    base: u64,
    /// The newest index that was seen.
    newest: u64,
}

const BACKLOG: u32 = 1_024;
/// How often checks are looked at.
const TICK: Duration = Duration::from_millis(10);

impl ConsulAgent {
    /// An agent that knows no service.
    ///
    /// # Errors
    ///
    /// There is no free port on loopback.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), None).await
    }

    /// The same at this address.
    ///
    /// # Errors
    ///
    /// There is no free port there.
    pub async fn start_on(ip: IpAddr) -> io::Result<Self> {
        Self::start_at(ip, None).await
    }

    /// Stands before a real agent: hands on what it is asked, and fails as a test wants.
    ///
    /// # Errors
    ///
    /// There is no free port on loopback.
    pub async fn before(agent: SocketAddr) -> io::Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), Some(agent)).await
    }

    async fn start_at(ip: IpAddr, upstream: Option<SocketAddr>) -> io::Result<Self> {
        let reserved = bound_to((ip, 0).into())?;
        let (changed, _) = watch::channel(0);
        let agent = Self {
            shared: Arc::new(Shared {
                address: reserved.local_addr()?,
                upstream,
                state: Mutex::default(),
                changed,
            }),
            _reserved: reserved,
            serving: Mutex::default(),
        };
        agent.restart().await?;
        Ok(agent)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Kills it: its port refuses, its connections are closed.
    pub async fn stop(&self) {
        let serving = lock(&self.serving).take();
        if let Some(serving) = serving {
            serving.abort();
            // It is over only once its sockets are closed.
            let _ = serving.await;
        }
    }

    /// Starts it again where it was, with all that it knew.
    ///
    /// # Errors
    ///
    /// Its port is taken.
    #[allow(clippy::unused_async, reason = "listening needs the runtime")]
    pub async fn restart(&self) -> io::Result<()> {
        let listener = bound_to(self.address())?.listen(BACKLOG)?;
        let serving = tokio::spawn(serve(listener, Arc::clone(&self.shared)));
        *lock(&self.serving) = Some(serving);
        Ok(())
    }

    /// Forgets all services, and begins to count anew, as an agent for development that is
    /// started again.
    pub fn forget(&self) {
        let mut state = lock(&self.shared.state);
        state.registry = Registry::default();
        drop(state);
        self.shared.wake();
    }

    /// Registers an instance, or replaces the one with its id; it passes.
    pub fn register(&self, instance: ConsulInstance) {
        lock(&self.shared.state).registry.register(instance, None);
        self.shared.wake();
    }

    /// Removes an instance; whether it was there.
    pub fn deregister(&self, id: &str) -> bool {
        let was_there = lock(&self.shared.state).registry.deregister(id);
        self.shared.wake();
        was_there
    }

    /// Says whether an instance passes its checks.
    pub fn set_passing(&self, id: &str, is_passing: bool) {
        let mut state = lock(&self.shared.state);
        state.registry.set_passing(id, is_passing);
        drop(state);
        self.shared.wake();
    }

    /// The instances that are registered.
    #[must_use]
    pub fn instances(&self) -> Vec<ConsulInstance> {
        lock(&self.shared.state).registry.instances()
    }

    /// Fails like this from now on, or no longer.
    pub fn set_fault(&self, fault: Option<ConsulFault>) {
        lock(&self.shared.state).fault = fault;
        self.shared.wake();
    }

    /// Counts from 1 again, as servers that lost their data; queries that wait are answered.
    pub fn rewind(&self) {
        let mut state = lock(&self.shared.state);
        let newest = state.newest.max(state.registry.index());
        state.base = newest.saturating_sub(1);
        drop(state);
        self.shared.wake();
    }

    /// The queries for instances so far.
    #[must_use]
    pub fn queries(&self) -> Vec<ConsulQuery> {
        lock(&self.shared.state).journal.queries.clone()
    }

    /// The paths and tokens of all requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, Option<String>)> {
        lock(&self.shared.state).journal.requests.clone()
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        lock(&self.shared.state).journal.open
    }
}

impl Drop for ConsulAgent {
    fn drop(&mut self) {
        if let Some(serving) = lock(&self.serving).take() {
            serving.abort();
        }
    }
}

impl Shared {
    fn wake(&self) {
        self.changed.send_modify(|change| *change += 1);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((socket, _)) = accepted {
                let shared = Arc::clone(&shared);
                let open = Open::new(&shared);
                connections.spawn(async move {
                    let _open = open;
                    // A client that leaves is no matter.
                    let _ = answer(socket, &shared).await;
                });
            },
            Some(_) = connections.join_next() => {}
            _ = ticks.tick() => if lock(&shared.state).registry.expire() {
                shared.wake();
            },
        }
    }
}

fn bound_to(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
