use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::connectivity::Connectivity;
use super::core::Core;
use super::errors::{closed, not_ready};
use super::exchange::{Outgoing, Ready, ResponseBody};
use super::future::ResponseFuture;
use super::snapshot::ChannelSnapshot;
use super::terms::{Terms, Wishes};
use crate::call::{self, Deadline};
use crate::classify::TransportError;
use crate::error::BoxError;

/// A gRPC channel; see the [module](super).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::channel::Channel;
///
/// let channel = Channel::builder("ipv4:10.0.0.1:50051,10.0.0.2:50051").build()?;
/// // let mut orders = OrdersClient::new(channel.clone());
/// channel.close().await;
/// # Ok(())
/// # }
/// ```
///
/// Clones are the same channel. It ends with its last clone: calls under way go on, and everything
/// else is gone.
#[derive(Clone)]
pub struct Channel {
    core: Arc<Core>,
}

impl Channel {
    pub(super) fn of(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Waits until a connection is ready, no longer than this; for a program that must not start
    /// without its server.
    ///
    /// # Errors
    ///
    /// The error of the last dial if none is ready by then, or one that says that the channel is
    /// closed.
    pub async fn connected(&self, within: Duration) -> Result<(), TransportError> {
        let state = match timeout(within, self.until_ready()).await {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(closed(None)),
            Err(_) => self.state(),
        };
        Err(not_ready(state, self.core.error(None)))
    }

    /// Waits until a connection is ready, and makes one if the channel is idle.
    ///
    /// # Errors
    ///
    /// One that says that the channel is closed.
    pub async fn ready(&self) -> Result<(), TransportError> {
        if self.until_ready().await {
            Ok(())
        } else {
            Err(closed(None))
        }
    }

    /// `false` if the channel is closed.
    async fn until_ready(&self) -> bool {
        let mut states = self.core.board.states();
        loop {
            match *states.borrow_and_update() {
                Connectivity::Ready => return true,
                Connectivity::Shutdown => return false,
                _ => {}
            }
            self.core.demand();
            // The sender lives in the channel.
            if states.changed().await.is_err() {
                return false;
            }
        }
    }

    /// The state of the best endpoint.
    #[must_use]
    pub fn state(&self) -> Connectivity {
        self.core.board.published().state
    }

    /// Ends the channel in all its clones, and waits for the calls under way: new calls and those
    /// that wait for a connection fail with UNAVAILABLE at once.
    pub async fn close(&self) {
        self.core.close();
        self.core.shared.all_closed().await;
    }

    /// Dials every endpoint that waits for its next try at once, for a program that knows that the
    /// network is back.
    pub fn reset_backoff(&self) {
        self.core.reset_backoff();
    }

    /// What the channel knows now.
    #[must_use]
    pub fn snapshot(&self) -> ChannelSnapshot {
        ChannelSnapshot::of(&self.core)
    }

    /// When the call ends: by its context, its `grpc-timeout`, and the channel's own timeout.
    fn deadline<B>(&self, request: &mut Request<B>) -> Option<Deadline> {
        let deadline = call::Context::caller_deadline(request);
        let Some(longest) = self.core.shared.settings.timeout else {
            return deadline;
        };
        let now = Instant::now();
        let longest = Deadline::after(now, longest);
        let earliest = deadline.map_or(longest, |deadline| deadline.earliest(longest));
        if Some(earliest) != deadline {
            earliest.stamp(request.headers_mut(), now);
        }
        Some(earliest)
    }
}

impl<B> Service<Request<B>> for Channel
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError> + Send,
{
    type Response = Response<ResponseBody>;
    type Error = TransportError;
    type Future = ResponseFuture<B>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> ResponseFuture<B> {
        let deadline = self.deadline(&mut request);
        let context = request.extensions().get::<call::Context>();
        if let Some(context) = context {
            context.seen_by(call::Reader::Wait);
            context.seen_by(call::Reader::Channel);
            context.reach_channel();
        }
        let attempt = context.and_then(call::Context::attempt_end);
        if let (Some(attempt), Some(longest)) = (&attempt, self.core.shared.settings.timeout) {
            attempt.at_most(longest);
        }
        let is_timed = |it: &call::Context| it.is_timed() && it.deadline() == deadline;
        let terms = Terms {
            deadline,
            is_timed: context.is_some_and(is_timed),
            is_patient: context.is_some_and(call::Context::is_patient),
            wishes: context.and_then(wishes),
            may_repeat: context.is_some_and(|it| it.safety().may_repeat()),
            attempt,
            trace: context.and_then(call::Context::trace).cloned(),
        };
        let (parts, body) = request.into_parts();
        let mut head = Request::from_parts(parts, ());
        let mut extensions = std::mem::take(head.extensions_mut());
        extensions.clear();
        self.core.shared.heads.prepare(&mut head);
        let out = Outgoing {
            head: Some(head),
            ready: Ready::Nothing,
            body: Some(body),
            extensions,
        };
        ResponseFuture::new(Arc::clone(&self.core), out, terms)
    }
}

/// What the call wants of its endpoint, if anything.
#[inline]
fn wishes(context: &call::Context) -> Option<Box<Wishes>> {
    let options = context.options();
    let earlier = context.earlier();
    if earlier.is_none() && !options.chooses_endpoint() {
        return None;
    }
    Some(Box::new(Wishes {
        earlier,
        options: context.shared_options(),
    }))
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
