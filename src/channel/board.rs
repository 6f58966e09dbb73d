use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;
use tokio::sync::watch;

use super::connectivity::Connectivity;
use super::endpoint::ReadyEndpoint;
use super::subchannel::Subchannel;
use crate::kernel::sync::Mutex;
use crate::report::SharedError;

/// Where the balancer shows what calls pick from.
pub(super) struct Board {
    published: ArcSwap<Published>,
    states: watch::Sender<Connectivity>,
    is_closed: AtomicBool,
    /// Held while the board is written: what is closed stays closed.
    writing: Mutex<()>,
    #[cfg(test)]
    lists: std::sync::atomic::AtomicUsize,
}

/// What a call picks from; immutable, and replaced when it changes. What changes with each call is
/// in the endpoints.
#[derive(Clone)]
pub(super) struct Published {
    pub(super) state: Connectivity,
    /// Why the last dial failed, the last connection was lost, or there is no address.
    pub(super) error: Option<SharedError>,
    /// An endpoint has no connection and makes none until a call wants one.
    pub(super) is_idle: bool,
    /// Endpoints that are not healthy are listed, too (CONTRACT L8).
    pub(super) is_health_ignored: bool,
    /// Those that take calls.
    pub(super) ready: Ready,
    /// All addresses.
    pub(super) set: Arc<Set>,
    /// Removed endpoints whose calls go on.
    pub(super) draining: Arc<[Arc<Subchannel>]>,
}

/// The endpoints that take calls, and what makes their connections: under the same index.
#[derive(Clone, Default)]
pub(super) struct Ready {
    pub(super) endpoints: Arc<[Arc<ReadyEndpoint>]>,
    pub(super) subchannels: Arc<[Arc<Subchannel>]>,
    /// Ready ones whose ejection is over: one call decides about each (CONTRACT O3).
    pub(super) probed: Arc<[Arc<Subchannel>]>,
}

/// All addresses of the target.
#[derive(Default)]
pub(super) struct Set {
    /// There was one: an address that is not in it is unknown.
    pub(super) is_known: bool,
    /// In the resolver's order.
    pub(super) all: Vec<Arc<Subchannel>>,
    pub(super) by_name: FxHashMap<Arc<str>, Arc<Subchannel>>,
}

impl Board {
    pub(super) fn new() -> Self {
        // No address is known yet, and the resolver is asked.
        let state = Connectivity::Connecting;
        Self {
            published: ArcSwap::from_pointee(Published::empty(state)),
            states: watch::Sender::new(state),
            is_closed: AtomicBool::new(false),
            writing: Mutex::default(),
            #[cfg(test)]
            lists: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    #[inline]
    pub(super) fn published(&self) -> arc_swap::Guard<Arc<Published>> {
        self.published.load()
    }

    pub(super) fn states(&self) -> watch::Receiver<Connectivity> {
        self.states.subscribe()
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Shows this from now on.
    pub(super) fn publish(&self, published: Published) {
        let _writing = self.writing.lock();
        if !self.is_closed() {
            self.write(published);
        }
    }

    /// How many lists of ready endpoints were shown.
    #[cfg(test)]
    pub(super) fn lists(&self) -> usize {
        self.lists.load(Ordering::Relaxed)
    }

    fn write(&self, published: Published) {
        #[cfg(test)]
        if !Arc::ptr_eq(
            &self.published().ready.endpoints,
            &published.ready.endpoints,
        ) {
            self.lists.fetch_add(1, Ordering::Relaxed);
        }
        let state = published.state;
        self.published.store(Arc::new(published));
        self.states
            .send_if_modified(|told| std::mem::replace(told, state) != state);
    }

    /// No call any more. What was shown, if it was open.
    pub(super) fn close(&self) -> Option<Arc<Published>> {
        let _writing = self.writing.lock();
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return None;
        }
        let before = self.published.load_full();
        let set = Arc::clone(&before.set);
        self.write(Published {
            set,
            ..Published::empty(Connectivity::Shutdown)
        });
        Some(before)
    }
}

impl Published {
    pub(super) fn empty(state: Connectivity) -> Self {
        Self {
            state,
            error: None,
            is_idle: false,
            is_health_ignored: false,
            ready: Ready::default(),
            set: Arc::default(),
            draining: Arc::default(),
        }
    }
}

impl Set {
    pub(super) fn new(all: Vec<Arc<Subchannel>>) -> Self {
        let named = all
            .iter()
            .map(|it| (Arc::clone(it.endpoint.shared_name()), Arc::clone(it)));
        Self {
            is_known: true,
            by_name: named.collect(),
            all,
        }
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board")
            .field("state", &self.published().state)
            .finish_non_exhaustive()
    }
}
