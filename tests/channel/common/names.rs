//! Addresses that a test changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use grpc_resilience::channel::resolve::{Resolution, ResolveError, Resolver};
use grpc_resilience::channel::{Address, Builder, Channel};
use tokio::sync::mpsc;

use super::net::Net;

type Answer = Result<Resolution, ResolveError>;

/// What a resolver is to say.
pub(crate) struct Names {
    answers: mpsc::UnboundedSender<Answer>,
    asked: Arc<AtomicUsize>,
}

struct Told {
    answers: mpsc::UnboundedReceiver<Answer>,
    asked: Arc<AtomicUsize>,
}

impl Resolver for Told {
    fn poll_resolution(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        self.answers.poll_recv(cx)
    }

    fn resolve_again(&mut self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }
}

fn address(name: &str) -> Address {
    Address::Unix(name.into())
}

impl Names {
    /// Nothing is said at first.
    pub(crate) fn none(net: &Net) -> (Self, Builder) {
        let (sender, answers) = mpsc::unbounded_channel();
        let asked = Arc::<AtomicUsize>::default();
        let told = Told {
            answers,
            asked: Arc::clone(&asked),
        };
        let builder = Channel::builder("unix:names")
            .connector(net.clone())
            .resolver(told);
        let names = Self {
            answers: sender,
            asked,
        };
        (names, builder)
    }

    pub(crate) fn new<N: AsRef<str>>(net: &Net, names: &[N]) -> (Self, Builder) {
        let (these, builder) = Self::none(net);
        these.set(names);
        (these, builder)
    }

    pub(crate) fn set<N: AsRef<str>>(&self, names: &[N]) {
        let addresses = names.iter().map(|name| address(name.as_ref()));
        self.say(Ok(addresses.collect()));
    }

    pub(crate) fn fail(&self, text: &str) {
        self.say(Err(ResolveError::new("the names", text)));
    }

    pub(crate) fn no_address(&self, text: &str) {
        self.say(Err(ResolveError::no_address("the names", text)));
    }

    pub(crate) fn say(&self, answer: Answer) {
        // The channel may be gone.
        let _ = self.answers.send(answer);
    }

    /// How often the resolver was asked again.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether the resolver is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.answers.is_closed()
    }
}
