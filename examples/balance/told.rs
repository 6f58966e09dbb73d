//! A resolver whose answers the experiment gives.

use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use grpc_resilience::channel::resolve::{Resolution, ResolveError, Resolver};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Answer = Result<Resolution, ResolveError>;

/// Answers what it is told, when it is told.
pub(crate) struct Told(UnboundedReceiver<Answer>);

/// Tells it.
pub(crate) struct Teller(UnboundedSender<Answer>);

impl Told {
    pub(crate) fn new() -> (Teller, Self) {
        let (sender, receiver) = unbounded_channel();
        (Teller(sender), Self(receiver))
    }
}

impl Teller {
    pub(crate) fn are(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        self.tell(Ok(addresses.into_iter().collect()));
    }

    pub(crate) fn is_down(&self) {
        self.tell(Err(ResolveError::new("fleet", "the registry is down")));
    }

    fn tell(&self, answer: Answer) {
        // The channel is gone only if the run was broken off.
        let _ = self.0.send(answer);
    }
}

impl Resolver for Told {
    fn poll_resolution(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Resolution, ResolveError>>> {
        let answer = ready!(self.0.poll_recv(cx));
        Poll::Ready(answer)
    }
}
