use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::config::Settings;
use super::connect::AnyConnector;
use super::connection::Connection;
use super::connectivity::Connectivity;
use super::exchange::Heads;
use super::view::View;
use crate::kernel::rng::Rng;
use crate::kernel::sync::Mutex;
use crate::kernel::timer::Home;
use crate::ready::SlotQueue;
use crate::report::SharedError;

/// What the endpoints and the calls of a channel share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) connector: AnyConnector,
    pub(super) heads: Heads,
    pub(super) runtime: Handle,
    pub(super) home: Home,
    pub(super) rng: Rng,
    pub(super) queue: Arc<SlotQueue>,
    views: Mutex<Vec<View>>,
    published: ArcSwap<Published>,
    states: watch::Sender<Connectivity>,
    /// Connections that are not over.
    open: watch::Sender<usize>,
    is_closed: AtomicBool,
}

/// What a call picks from: replaced as a whole when it changes.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) state: Connectivity,
    /// Why the last dial failed, or the last connection was lost.
    pub(super) error: Option<SharedError>,
    pub(super) ready: Vec<ReadyEndpoint>,
}

#[derive(Debug)]
pub(super) struct ReadyEndpoint {
    /// Its place among the channel's.
    pub(super) index: usize,
    /// The oldest first.
    pub(super) connections: Vec<Arc<Connection>>,
}

impl Shared {
    pub(super) fn new(
        settings: Settings,
        connector: AnyConnector,
        heads: Heads,
        runtime: Handle,
        queue: Arc<SlotQueue>,
        endpoints: usize,
    ) -> Self {
        let published = Published {
            state: Connectivity::Idle,
            error: None,
            ready: Vec::new(),
        };
        Self {
            settings,
            connector,
            heads,
            runtime,
            home: Home::here(),
            rng: Rng::default(),
            queue,
            views: Mutex::new(vec![View::idle(); endpoints]),
            published: ArcSwap::from_pointee(published),
            states: watch::Sender::new(Connectivity::Idle),
            open: watch::Sender::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    /// An endpoint changed; whether calls that wait have to look.
    pub(super) fn publish(&self, index: usize, view: View) -> bool {
        let mut views = self.views.lock();
        let Some(place) = views.get_mut(index) else {
            return false;
        };
        let error = view.error.clone();
        let more = view.connections.len() > place.connections.len();
        *place = view;
        let before = self.published.load();
        let state = aggregate(&views.iter().map(|view| view.state));
        let is_news = more || state != before.state;
        let error = error
            .or_else(|| views.iter().find_map(|view| view.error.clone()))
            .or_else(|| before.error.clone());
        let ready = views.iter().enumerate().map(|(index, view)| ReadyEndpoint {
            index,
            connections: view.connections.clone(),
        });
        let ready = ready.filter(|it| !it.connections.is_empty());
        self.published.store(Arc::new(Published {
            state,
            error,
            ready: ready.collect(),
        }));
        drop(views);
        self.states.send_if_modified(|told| {
            let before = std::mem::replace(told, state);
            before != state
        });
        is_news
    }

    #[inline]
    pub(super) fn published(&self) -> arc_swap::Guard<Arc<Published>> {
        self.published.load()
    }

    pub(super) fn states(&self) -> watch::Receiver<Connectivity> {
        self.states.subscribe()
    }

    pub(super) fn opens(&self) {
        self.open.send_modify(|open| *open += 1);
    }

    pub(super) fn closes(&self) {
        self.open.send_modify(|open| *open -= 1);
    }

    /// Returns once all connections are over.
    pub(super) async fn all_closed(&self) {
        // The sender lives in `self`.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// No call any more; whether it was open.
    pub(super) fn close(&self) -> bool {
        !self.is_closed.swap(true, Ordering::AcqRel)
    }
}

/// gRPC's rule for the state of several endpoints.
fn aggregate(states: &(impl Iterator<Item = Connectivity> + Clone)) -> Connectivity {
    let order = [
        Connectivity::Ready,
        Connectivity::Connecting,
        Connectivity::Idle,
        Connectivity::TransientFailure,
    ];
    let mut found = order
        .into_iter()
        .filter(|state| states.clone().any(|it| it == *state));
    found.next().unwrap_or(Connectivity::Shutdown)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("published", &self.published.load())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Connectivity::{Connecting, Idle, Ready, Shutdown, TransientFailure};

    // CONTRACT C4
    #[test]
    fn a_channel_is_as_well_as_its_best_endpoint() {
        for (states, expected) in [
            (vec![TransientFailure, Ready, Connecting], Ready),
            (vec![TransientFailure, Connecting], Connecting),
            (vec![TransientFailure, Idle], Idle),
            (vec![TransientFailure, TransientFailure], TransientFailure),
            (vec![Shutdown], Shutdown),
        ] {
            assert_eq!(aggregate(&states.iter().copied()), expected, "{states:?}");
        }
    }
}
