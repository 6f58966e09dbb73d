//! The leader's address: a TCP proxy, which does to connections what happens to those of an address
//! that moves.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use grpc_resilience_examples::Failure;
use parking_lot::Mutex;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

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
    /// Bound for as long as this lives, and never listening: while no proxy listens, connections
    /// are refused.
    _port: TcpSocket,
    leaders: Leaders,
    fate: watch::Sender<Fate>,
    accepting: Option<JoinHandle<()>>,
}

/// Where new connections lead to, in turn.
type Leaders = Arc<Mutex<Vec<SocketAddr>>>;

impl Vip {
    /// It leads to these servers in turn.
    pub(crate) fn new(leaders: &[SocketAddr]) -> Result<Self, Failure> {
        let port = bound((Ipv4Addr::LOCALHOST, 0).into())?;
        let mut vip = Self {
            address: port.local_addr()?,
            _port: port,
            leaders: Leaders::default(),
            fate: watch::Sender::new(Fate::Spared),
            accepting: None,
        };
        vip.lead_to(leaders)?;
        Ok(vip)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections lead to these servers in turn.
    pub(crate) fn lead_to(&mut self, leaders: &[SocketAddr]) -> Result<(), Failure> {
        *self.leaders.lock() = leaders.to_vec();
        if self.accepting.is_none() {
            let listener = bound(self.address)?.listen(BACKLOG)?;
            let accepting = accept(listener, Arc::clone(&self.leaders), self.fate.clone());
            self.accepting = Some(tokio::spawn(accepting));
        }
        Ok(())
    }

    /// New connections are refused, once this returns.
    pub(crate) async fn refuse(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // The listener is gone with its task, which was aborted.
            let _ = accepting.await;
        }
    }

    /// Resets the connections that there are.
    pub(crate) fn reset(&self) {
        self.fate.send_replace(Fate::Reset);
    }

    /// Nothing passes any more on the connections that there are.
    pub(crate) fn black_hole(&self) {
        self.fate.send_replace(Fate::Hole);
    }
}

impl Drop for Vip {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        self.reset();
    }
}

fn bound(address: SocketAddr) -> Result<TcpSocket, Failure> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, leaders: Leaders, fate: watch::Sender<Fate>) {
    for turn in 0.. {
        let Ok((connection, _)) = listener.accept().await else {
            return;
        };
        let leaders = leaders.lock().clone();
        if let Some(leader) = leaders.iter().cycle().nth(turn % leaders.len().max(1)) {
            // What happened before is no concern of a new one.
            tokio::spawn(forward(connection, *leader, fate.subscribe()));
        }
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
