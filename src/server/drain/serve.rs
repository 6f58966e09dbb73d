use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tower_service::Service;

use super::builder::LONGER_THAN_ZERO;
use super::invalid_drain::InvalidDrain;
use super::shared::Shared;
use super::{Drain, DrainIo};
use crate::error::BoxError;
use crate::error::Faults;
use crate::kernel::rng::Rng;

/// A tonic server whose connections end by age, and by its drain; [`Drain::server`] makes it.
///
/// tonic itself gives all connections the same age, so that clients which connected together
/// return together; and with a grace it cuts connections off without a GOAWAY (`guide::rollouts`
/// has the measurement).
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::Drain;
/// use std::time::Duration;
/// use tonic::service::Routes;
/// use tonic::transport::Server;
/// use tonic::transport::server::TcpIncoming;
///
/// let (_, health) = tonic_health::server::health_reporter();
/// let drain = Drain::builder().build()?;
/// drain.start_on_sigterm()?;
/// let routes = Routes::new(health); // .add_service(OrdersServer::new(orders))
/// let server = drain
///     .server(Server::builder())
///     .max_connection_age(Duration::from_secs(30 * 60))
///     .max_connection_age_grace(Duration::from_secs(60))
///     .serve(routes, TcpIncoming::bind("0.0.0.0:50051".parse()?)?)?;
/// drain.run(server).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "it serves by `serve`"]
#[derive(Clone, Debug)]
pub struct DrainServer {
    drain: Drain,
    server: Server,
    ages: Ages,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ages {
    age: Option<Duration>,
    grace: Option<Duration>,
}

/// After `accept` has failed: most often no file descriptor is left, and at once none is free.
const AFTER_A_FAILURE: Duration = Duration::from_millis(50);

impl Drain {
    /// Serves by tonic with this drain, and ends each connection at an age of its own.
    ///
    /// A server without ages needs only [`incoming`](Self::incoming) and [`goaway`](Self::goaway).
    pub fn server(&self, server: Server) -> DrainServer {
        DrainServer::new(self.clone(), server)
    }
}

impl DrainServer {
    fn new(drain: Drain, server: Server) -> Self {
        let ages = Ages::default();
        Self {
            drain,
            server,
            ages,
        }
    }

    /// How old a connection gets before it receives a GOAWAY, so that clients connect anew and find
    /// servers that were added; 10 % more or less at random for each connection, so that they do
    /// not return together (gRFC A9). Default: no limit.
    pub fn max_connection_age(mut self, age: Duration) -> Self {
        self.ages.age = Some(age);
        self
    }

    /// How long the calls of a connection may go on after the GOAWAY for its age; then it is cut
    /// off. Default: no limit (gRFC A9).
    pub fn max_connection_age_grace(mut self, grace: Duration) -> Self {
        self.ages.grace = Some(grace);
        self
    }

    /// Serves until the drain's GOAWAY, and returns when all connections are closed: at the hard
    /// stop at the latest.
    ///
    /// The service is tonic's `Routes`, one service, or an axum `Router`;
    /// layers go around it, because those of a tonic server would be made for each connection anew.
    /// It is wrapped in the drain's [`layer`](Drain::layer). The tonic server brings its settings
    /// of HTTP/2 and TLS.
    ///
    /// # Errors
    ///
    /// All settings that can't be.
    pub fn serve<S, R, I, IO, E>(
        self,
        service: S,
        incoming: I,
    ) -> Result<impl Future<Output = ()>, InvalidDrain>
    where
        S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send + 'static,
        R: HttpBody<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
        I: Stream<Item = Result<IO, E>>,
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let faults = self.ages.faults();
        if !faults.is_empty() {
            return Err(InvalidDrain::new(faults));
        }
        let Self {
            drain,
            server,
            ages,
        } = self;
        let service = tower_layer::Layer::layer(&drain.layer(), service);
        Ok(async move {
            let shared = &drain.shared;
            shared.knows_connections();
            {
                // Dropped at the GOAWAY, which closes the listener.
                let mut incoming = pin!(incoming);
                while let Some(accepted) = next(&mut incoming, shared).await {
                    let Ok(io) = accepted else {
                        sleep(AFTER_A_FAILURE).await;
                        continue;
                    };
                    let (server, service) = (server.clone(), service.clone());
                    tokio::spawn(ages.serve(server, service, io, Arc::clone(shared)));
                }
            }
            shared.all_ended().await;
        })
    }
}

/// The next connection; `None` from the GOAWAY on.
async fn next<I: Stream>(incoming: &mut Pin<&mut I>, shared: &Shared) -> Option<I::Item> {
    tokio::select! {
        biased;
        () = shared.goaway.cancelled() => None,
        accepted = std::future::poll_fn(|cx| incoming.as_mut().poll_next(cx)) => accepted,
    }
}

impl Ages {
    fn faults(self) -> Faults {
        let settings = [
            ("max_connection_age", self.age),
            ("max_connection_age_grace", self.grace),
        ];
        let mut faults = Faults::default();
        for (setter, time) in settings {
            faults.check(setter, time != Some(Duration::ZERO), || {
                LONGER_THAN_ZERO.into()
            });
        }
        let has_effect = self.age.is_some() || self.grace.is_none();
        faults.check("max_connection_age_grace", has_effect, || {
            "it has no effect without a max_connection_age".into()
        });
        faults
    }

    /// One connection. It has a tonic server of its own, because only the whole server of tonic's
    /// can be told to send GOAWAY, and none of its connections.
    fn serve<S, R, IO>(
        self,
        server: Server,
        service: S,
        io: IO,
        shared: Arc<Shared>,
    ) -> impl Future<Output = ()> + Send
    where
        S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send + 'static,
        R: HttpBody<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let (closed, aged) = (CancellationToken::new(), CancellationToken::new());
        let stop = shared.stop.child_token();
        let io = DrainIo::until(io, &shared, &stop).tell(closed.clone());
        let goaway = {
            let (shared, aged) = (Arc::clone(&shared), aged.clone());
            async move {
                tokio::select! {
                    () = shared.goaway.cancelled() => {}
                    () = aged.cancelled() => {}
                    // The server of this connection has nothing left to wait for.
                    () = closed.cancelled() => {}
                }
            }
        };
        let serve = server.serve_with_incoming_shutdown(service, One(Some(io)), goaway);
        async move {
            let mut serve = pin!(serve);
            tokio::select! {
                _ = &mut serve => return,
                // The hard stop of the drain bounds it from now on.
                () = shared.goaway.cancelled() => {}
                () = sleep_if(self.age.map(|age| spread(age, Rng::default().unit()))) => {
                    aged.cancel();
                    tokio::select! {
                        _ = &mut serve => return,
                        () = sleep_if(self.grace) => stop.cancel(),
                    }
                }
            }
            // An error of a connection is its client's concern.
            let _ = serve.await;
        }
    }
}

/// gRFC A9: 10 % more or less.
fn spread(age: Duration, unit: f64) -> Duration {
    let spread = age.as_secs_f64() * unit.mul_add(0.2, 0.9);
    Duration::try_from_secs_f64(spread).unwrap_or(Duration::MAX)
}

async fn sleep_if(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

/// One connection, and no end: a server that has no more to accept stops.
struct One<IO>(Option<IO>);

impl<IO: Unpin> Stream for One<IO> {
    type Item = Result<IO, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.take() {
            Some(io) => Poll::Ready(Some(Ok(io))),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PEER A9-age
    #[test]
    fn an_age_is_spread_by_a_tenth_to_both_sides() {
        let ms = Duration::from_millis;
        let near = |age: Duration, expected| age.abs_diff(expected) < ms(1);
        assert!(near(spread(ms(1_000), 0.0), ms(900)));
        assert!(near(spread(ms(1_000), 0.5), ms(1_000)));
        assert!(near(spread(ms(1_000), 1.0), ms(1_100)));
        assert_eq!(spread(Duration::MAX, 1.0), Duration::MAX);
    }
}
