use std::sync::Arc;

use crate::channel::connectivity::Connectivity;
use crate::channel::subchannel::Subchannel;
use crate::channel::view::View;
use crate::report::SharedError;

/// One address of the target, and what was last seen of it.
pub(super) struct Member {
    pub(super) subchannel: Arc<Subchannel>,
    pub(super) seen: View,
}

/// What a look at one address shows.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// It is ready, or not any more.
    pub(super) is_listed: bool,
    /// It is in another state, or it has one more connection: calls that wait for it look.
    pub(super) is_news: bool,
    /// Its last dial failed, or its last connection was lost, for this reason.
    pub(super) error: Option<SharedError>,
    /// It was removed, and less is left of it.
    pub(super) has_left: bool,
}

impl Member {
    pub(super) fn new(subchannel: Arc<Subchannel>) -> Self {
        let seen = subchannel.view();
        Self { subchannel, seen }
    }

    /// Looks at it anew.
    pub(super) fn look(&mut self) -> Change {
        let before = std::mem::replace(&mut self.seen, self.subchannel.view());
        let now = &self.seen;
        let is_ready = |view: &View| view.state == Connectivity::Ready;
        let is_same = |a: &SharedError| before.error.as_ref().is_some_and(|b| Arc::ptr_eq(a, b));
        Change {
            is_listed: is_ready(&before) != is_ready(now),
            is_news: before.state != now.state || now.connections > before.connections,
            error: now.error.clone().filter(|error| !is_same(error)),
            has_left: false,
        }
    }
}
