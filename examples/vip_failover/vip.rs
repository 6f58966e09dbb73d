//! The leader's address: a TCP proxy, which does to connections what happens to those of an address
//! that moves.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use grpc_resilience_examples::Failure;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const BACKLOG: u32 = 1_024;
/// Longer than any run.
const FOR_EVER: Duration = Duration::from_secs(3_600);

/// What happens to the connections that there are.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// They go on.
    Spared,
    /// They are reset.
    Reset,
    /// Nothing passes any more, and nothing says so.
    Hole,
}

/// An address that leads to a server.
pub(crate) struct Vip {
    address: SocketAddr,
    /// Bound for as long as this lives, and never listening: while no proxy listens, connections are
    /// refused.
    _port: TcpSocket,
    fate: watch::Sender<Fate>,
    accepting: Option<JoinHandle<()>>,
}

impl Vip {
    /// It leads to these servers in turn.
    pub(crate) fn new(leaders: &[SocketAddr]) -> Result<Self, Failure> {
        let port = bound((Ipv4Addr::LOCALHOST, 0).into())?;
        let mut vip = Self {
            address: port.local_addr()?,
            _port: port,
            fate: watch::Sender::new(Fate::Spared),
            accepting: None,
        };
        vip.lead_to(leaders)?;
        Ok(vip)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections lead to these servers in turn; when that began.
    pub(crate) fn lead_to(&mut self, leaders: &[SocketAddr]) -> Result<Instant, Failure> {
        self.refuse();
        let listener = bound(self.address)?.listen(BACKLOG)?;
        let accepting = accept(listener, leaders.to_vec(), self.fate.clone());
        self.accepting = Some(tokio::spawn(accepting));
        Ok(Instant::now())
    }

    /// New connections are refused; since when.
    pub(crate) fn refuse(&mut self) -> Instant {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
        Instant::now()
    }

    /// Resets the connections that there are.
    pub(crate) fn reset(&self) {
        self.fate.send_replace(Fate::Reset);
    }

    /// Nothing passes any more on the connections that there are; since when.
    pub(crate) fn black_hole(&self) -> Instant {
        self.fate.send_replace(Fate::Hole);
        Instant::now()
    }
}

impl Drop for Vip {
    fn drop(&mut self) {
        self.refuse();
        self.reset();
    }
}

fn bound(address: SocketAddr) -> Result<TcpSocket, Failure> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, leaders: Vec<SocketAddr>, fate: watch::Sender<Fate>) {
    for leader in leaders.iter().cycle() {
        let Ok((connection, _)) = listener.accept().await else {
            return;
        };
        // What happened before is no concern of a new one.
        tokio::spawn(forward(connection, *leader, fate.subscribe()));
    }
}

async fn forward(mut client: TcpStream, leader: SocketAddr, mut fate: watch::Receiver<Fate>) {
    let Ok(mut server) = TcpStream::connect(leader).await else {
        return;
    };
    // It sends the same bytes with or without it.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = fate.changed() => {}
    }
    let is_hole = matches!(*fate.borrow(), Fate::Hole);
    if is_hole {
        // Both ends stay open, and the systems take what is sent.
        sleep(FOR_EVER).await;
    } else {
        let _ = client.set_zero_linger();
    }
}
