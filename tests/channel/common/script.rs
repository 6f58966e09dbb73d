//! A transport on which a test decides when something is read, for calls that it polls by hand.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use grpc_resilience::channel::{Address, Builder};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service as _;

use super::net::{End, Net};

/// What happens on the connections of a channel.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    at_read: Option<Box<dyn FnOnce() + Send>>,
    answers: VecDeque<Bytes>,
}

impl Script {
    /// A channel to `unix:host` whose connections follow this.
    pub(crate) fn builder(&self, net: &Net) -> Builder {
        let (script, net) = (self.clone(), net.clone());
        net.builder()
            .connector(tower::service_fn(move |address: Address| {
                let (script, mut net) = (script.clone(), net.clone());
                async move {
                    let io = net.call(address).await?;
                    Ok::<_, io::Error>(Scripted { io, script })
                }
            }))
    }

    /// When h2 reads next, it finds nothing, and meanwhile this happens.
    pub(crate) fn at_read(&self, happens: impl FnOnce() + Send + 'static) {
        self.0.lock().unwrap().at_read = Some(Box::new(happens));
    }

    /// Then it reads these bytes.
    pub(crate) fn answer(&self, bytes: impl Into<Bytes>) {
        self.0.lock().unwrap().answers.push_back(bytes.into());
    }
}

/// A connection.
struct Scripted {
    io: End,
    script: Script,
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let happens = self.script.0.lock().unwrap().at_read.take();
        if let Some(happens) = happens {
            happens();
        } else if let Some(bytes) = self.script.0.lock().unwrap().answers.pop_front() {
            buf.put_slice(&bytes);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
