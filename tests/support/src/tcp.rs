//! Real sockets on the loopback address.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use tokio::net::{TcpListener, TcpSocket};
use tokio_stream::Stream;

use crate::{
    connection::{Connections, ServerIo},
    lock::lock,
};

/// As long as the standard library's queue of connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// A port that listens while the server runs, and refuses connections while it does not.
#[derive(Debug)]
pub(crate) struct Port {
    addr: SocketAddr,
    connections: Connections,
    state: Mutex<State>,
}

/// A socket that is bound and does not listen refuses connections, and keeps the port from others.
#[derive(Debug)]
struct State {
    reserved: Option<TcpSocket>,
    listener: Option<TcpListener>,
    /// Who accepts.
    accepting: Option<Waker>,
    /// How often it was opened.
    sessions: u64,
}

impl Port {
    /// Takes a free port, without listening.
    pub(crate) fn reserve(connections: Connections) -> io::Result<Self> {
        let socket = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self {
            addr: socket.local_addr()?,
            connections,
            state: Mutex::new(State {
                reserved: Some(socket),
                listener: None,
                accepting: None,
                sessions: 0,
            }),
        })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Listens.
    pub(crate) fn open(self: &Arc<Self>) -> io::Result<Accepted> {
        let mut state = lock(&self.state);
        let socket = match state.reserved.take() {
            Some(socket) => socket,
            None => bind(self.addr)?,
        };
        // While neither socket listens, Linux lets a second one have the port. It holds the place for the time after
        // `close`. Where it may not, `close` has to bind anew, and the port is free for a moment.
        state.reserved = bind(self.addr).ok();
        state.listener = Some(socket.listen(BACKLOG)?);
        state.sessions += 1;
        Ok(Accepted {
            port: Arc::clone(self),
            session: state.sessions,
        })
    }

    /// Refuses connections from here on.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.listener = None;
        if state.reserved.is_none() {
            state.reserved = bind(self.addr).ok();
        }
        let accepting = state.accepting.take();
        drop(state);
        if let Some(waker) = accepting {
            waker.wake();
        }
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Without it, connections of before the stop (TIME_WAIT) would keep the port.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

/// The connections that come in until the port closes.
#[derive(Debug)]
pub(crate) struct Accepted {
    port: Arc<Port>,
    session: u64,
}

impl Stream for Accepted {
    type Item = io::Result<ServerIo>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = lock(&self.port.state);
        let listener = match &state.listener {
            // Not one of a later session, where another accepts.
            Some(listener) if state.sessions == self.session => listener,
            _ => return Poll::Ready(None),
        };
        match listener.poll_accept(cx) {
            Poll::Ready(Ok((stream, _))) => {
                stream.set_nodelay(true)?;
                // Under the lock, so that whoever closes the port finds the connection among those to sever.
                Poll::Ready(Some(Ok(self.port.connections.admit(stream))))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            Poll::Pending => {
                state.accepting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
