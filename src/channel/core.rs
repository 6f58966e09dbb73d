use std::fmt;
use std::sync::Arc;

use tokio::task::AbortHandle;

use super::board::{Board, Published};
use super::connectivity::Connectivity;
use super::errors::{closed, no_streams, not_ready, not_ready_there, unknown_endpoint};
use super::load::since;
use super::look::{Picked, Wish, look, look_at, unready};
use super::pick::Picker;
use super::shared::Shared;
use crate::classify::TransportError;
use crate::report::SharedError;

/// A channel, as its clones and waiting calls hold it. What was sent holds its connection only.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) board: Arc<Board>,
    target: Arc<str>,
    picker: Arc<dyn Picker>,
    /// The balancer's task.
    task: AbortHandle,
}

impl Core {
    pub(super) fn new(
        shared: Arc<Shared>,
        board: Arc<Board>,
        target: Arc<str>,
        picker: Arc<dyn Picker>,
        task: AbortHandle,
    ) -> Self {
        Self {
            shared,
            board,
            target,
            picker,
            task,
        }
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// The time by the clock of the endpoints' loads.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        since(self.shared.epoch)
    }

    /// Whether an endpoint may have several connections.
    #[inline]
    pub(super) fn has_more(&self) -> bool {
        self.shared.settings.max_connections > 1
    }

    /// Looks for a slot; an error if there is none and the call does not wait.
    pub(super) fn look(&self, wish: &Wish<'_>, is_patient: bool) -> Result<Picked, TransportError> {
        let published = self.board.published();
        if self.board.is_closed() {
            return Err(closed(None));
        }
        if published.is_idle {
            self.demand();
        }
        if let Some(name) = wish.options.chosen_endpoint() {
            return Self::look_for(&published, name, wish, is_patient);
        }
        let picked = look(&published, &*self.picker, wish);
        match picked {
            Picked::NoStreams if !is_patient => Err(no_streams()),
            Picked::NotReady(state @ Connectivity::TransientFailure) if !is_patient => {
                Err(not_ready(state, published.error.clone()))
            }
            _ => Ok(picked),
        }
    }

    /// Why a call that does not wait fails now, whatever slots are free.
    #[cold]
    pub(super) fn refuses(&self) -> Option<TransportError> {
        let published = self.board.published();
        if self.board.is_closed() {
            return Some(closed(None));
        }
        let is_down = published.state == Connectivity::TransientFailure;
        (is_down && published.ready.endpoints.is_empty())
            .then(|| not_ready(published.state, published.error.clone()))
    }

    /// Whether a call would find a slot anywhere.
    #[cold]
    pub(super) fn has_free_slot(&self) -> bool {
        let published = self.board.published();
        let mut endpoints = published.ready.endpoints.iter();
        endpoints.any(|it| {
            let connections = it.connections();
            let mut connections = connections.iter();
            connections.any(|it| it.is_open() && it.slots.free() > 0)
        })
    }

    /// The same for a call that names its endpoint.
    #[cold]
    fn look_for(
        published: &Published,
        name: &str,
        wish: &Wish<'_>,
        is_patient: bool,
    ) -> Result<Picked, TransportError> {
        let Some(subchannel) = published.set.by_name.get(name) else {
            // Without a set, which endpoints there are is not known.
            return match published.set.is_known {
                true => Err(unknown_endpoint(name, published.set.all.len())),
                false if published.error.is_some() && !is_patient => {
                    Err(not_ready(published.state, published.error.clone()))
                }
                false => Ok(Picked::NotReady(published.state)),
            };
        };
        let picked = look_at(subchannel, wish);
        match picked {
            Picked::NoStreams if !is_patient => Err(no_streams()),
            Picked::NotReady(state @ Connectivity::TransientFailure) if !is_patient => {
                Err(not_ready_there(name, state, subchannel.view().error))
            }
            Picked::NotReady(Connectivity::Idle) => {
                subchannel.demand();
                Ok(picked)
            }
            _ => Ok(picked),
        }
    }

    /// Whether no connection is ready for a call that names this endpoint, or none.
    #[cold]
    pub(super) fn is_unready(&self, named: Option<&str>) -> bool {
        let published = self.board.published();
        let Some(name) = named else {
            return published.ready.endpoints.is_empty();
        };
        // Before the first set of addresses there is no endpoint.
        let subchannel = published.set.by_name.get(name);
        subchannel.is_none_or(|it| unready(it).is_some())
    }

    /// Endpoints without a connection make one.
    #[cold]
    pub(super) fn demand(&self) {
        self.shared.changes.want();
    }

    /// Every endpoint replaces its connections.
    pub(super) fn renew(&self) {
        for subchannel in &self.board.published().set.all {
            subchannel.renew();
        }
    }

    /// Why no connection is ready for a call that names this endpoint, or none.
    #[cold]
    pub(super) fn error(&self, named: Option<&str>) -> Option<SharedError> {
        let published = self.board.published();
        let subchannel = named.and_then(|name| published.set.by_name.get(name));
        match subchannel {
            Some(subchannel) => subchannel.view().error,
            None => published.error.clone(),
        }
    }

    /// The next dial of every endpoint starts at once.
    pub(super) fn reset_backoff(&self) {
        for subchannel in &self.board.published().set.all {
            subchannel.reset_backoff();
        }
    }

    /// Ends the channel: waiting calls fail, and those under way go on.
    pub(super) fn close(&self) {
        let Some(before) = self.board.close() else {
            return;
        };
        self.task.abort();
        // The balancer does the same when it is dropped, but its runtime may be busy.
        for subchannel in &before.set.all {
            subchannel.shut();
        }
        self.shared.lines.wake_all();
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
            .field("board", &self.board)
            .field("picker", &self.picker)
            .finish_non_exhaustive()
    }
}
