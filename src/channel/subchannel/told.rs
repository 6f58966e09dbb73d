use tokio::time::Instant;

use crate::channel::connectivity::Connectivity;
use crate::channel::view::View;
use crate::classify::{ConnectFault, display_chain};
use crate::events;

/// What events have said of an endpoint.
pub(super) struct Told {
    state: Connectivity,
    since: Instant,
    /// Since the endpoint was ready.
    fault: Option<ConnectFault>,
}

impl Told {
    pub(super) fn new() -> Self {
        Self {
            state: Connectivity::Idle,
            since: Instant::now(),
            fault: None,
        }
    }

    /// When the state became what it is.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state == Connectivity::Ready
    }

    /// A change of state is an event, and so is a fault that waiting rarely cures, once until it
    /// changes.
    pub(super) fn tell(&mut self, name: &str, view: &View) {
        let before = std::mem::replace(&mut self.state, view.state);
        if before != view.state {
            self.since = Instant::now();
        }
        let is_failure = view.state == Connectivity::TransientFailure;
        let error = view.error.as_deref().filter(|_| is_failure);
        let fault = error.and_then(|error| ConnectFault::of(error));
        // The complaints of the connections tell of a peer that breaks HTTP/2 (CONTRACT C18).
        let fault = fault.filter(|fault| *fault != ConnectFault::NotHttp2);
        let is_new_fault = fault.is_some() && fault != self.fault;
        if fault.is_some() || view.state == Connectivity::Ready {
            self.fault = fault;
        }
        if before == view.state && !is_new_fault {
            return;
        }
        let error = error.map(|error| display_chain(error));
        let fault = fault.map(ConnectFault::name);
        let delay = view.next_dial.filter(|_| is_failure);
        let delay = delay.map(|at| at.saturating_duration_since(Instant::now()));
        let (before, now) = (before.name(), view.state.name());
        events::endpoint_state(name, before, now, error.as_deref(), fault, delay);
    }
}
