use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::connectivity::Connectivity;
use super::errors::{closed, no_streams, not_ready};
use super::pick::{Picked, Wish, pick};
use super::shared::Shared;
use super::subchannel::Subchannel;
use crate::classify::TransportError;
use crate::report::SharedError;

/// A channel, as its clones and waiting calls hold it. What was sent holds its connection only.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) endpoints: Vec<Arc<Subchannel>>,
    turn: AtomicUsize,
}

impl Core {
    pub(super) fn new(shared: Arc<Shared>, endpoints: Vec<Arc<Subchannel>>) -> Self {
        Self {
            shared,
            endpoints,
            turn: AtomicUsize::new(0),
        }
    }

    /// Looks for a slot; an error if there is none and the call does not wait.
    pub(super) fn look(&self, wish: Wish<'_>, is_patient: bool) -> Result<Picked, TransportError> {
        let published = self.shared.published();
        if self.shared.is_closed() {
            return Err(closed(None));
        }
        let turn = match &*published.ready {
            [_] => 0,
            _ => self.turn.fetch_add(1, Ordering::Relaxed),
        };
        let more = |index: usize| {
            if self.shared.settings.max_connections > 1
                && let Some(endpoint) = self.endpoints.get(index)
            {
                endpoint.demand_more();
            }
        };
        let picked = pick(&published, turn, wish, more);
        match picked {
            Picked::NoStreams if !is_patient => Err(no_streams()),
            Picked::NotReady(Connectivity::TransientFailure) if !is_patient => Err(not_ready(
                Connectivity::TransientFailure,
                published.error.clone(),
            )),
            Picked::NotReady(Connectivity::Idle) => {
                self.demand();
                Ok(picked)
            }
            _ => Ok(picked),
        }
    }

    /// Every endpoint without a connection makes one.
    pub(super) fn demand(&self) {
        for endpoint in &self.endpoints {
            endpoint.demand();
        }
    }

    /// Every endpoint replaces its connections.
    pub(super) fn renew(&self) {
        for endpoint in &self.endpoints {
            endpoint.renew();
        }
    }

    /// Why the last dial failed.
    pub(super) fn error(&self) -> Option<SharedError> {
        self.shared.published().error.clone()
    }

    /// Ends the channel: waiting calls fail, and those under way go on.
    pub(super) fn close(&self) {
        if self.shared.close() {
            for endpoint in &self.endpoints {
                endpoint.shut();
            }
            self.shared.queue.wake_all();
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}
