//! A tonic server on a thread of its own.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use http::{Request, Response};
use tokio::runtime::Builder;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::Service;

use crate::Failure;

/// A service of [`start`].
pub trait Handler: Clone + Send + Sync + 'static {
    /// Its name in the paths of its methods.
    const NAME: &'static str;

    /// Answers one call.
    fn answer(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send + 'static;
}

/// Starts one that serves this, and says where it is. It serves until the process ends.
///
/// # Errors
///
/// If it can't listen on loopback.
pub fn start(handler: impl Handler) -> Result<String, Failure> {
    start_on(1, handler)
}

/// The same on this number of threads.
///
/// # Errors
///
/// If it can't listen on loopback.
pub fn start_on(threads: usize, handler: impl Handler) -> Result<String, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = format!("http://{}", listener.local_addr()?);
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(threads).enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let server = Server::builder().add_service(Serving(handler));
            server.serve_with_incoming(incoming).await?;
            Ok::<_, Failure>(())
        })
    });
    Ok(address)
}

#[derive(Clone)]
struct Serving<H>(H);

impl<H: Handler> NamedService for Serving<H> {
    const NAME: &'static str = H::NAME;
}

impl<H: Handler> Service<Request<Body>> for Serving<H> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.answer(request);
        Box::pin(async { Ok(answer.await) })
    }
}
