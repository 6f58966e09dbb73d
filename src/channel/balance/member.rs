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

    /// Whether calls may go there, if it is not ejected. Without regard to its health if too few
    /// endpoints are healthy (CONTRACT L8).
    pub(super) fn is_ready(&self, is_health_ignored: bool) -> bool {
        let View {
            state,
            is_connected,
            ..
        } = self.seen;
        state == Connectivity::Ready || is_health_ignored && is_connected
    }

    /// Looks at it anew.
    pub(super) fn look(&mut self) -> Change {
        let before = std::mem::replace(&mut self.seen, self.subchannel.view());
        let now = &self.seen;
        let is_ready = |view: &View| view.state == Connectivity::Ready;
        let is_same = |a: &SharedError| before.error.as_ref().is_some_and(|b| Arc::ptr_eq(a, b));
        Change {
            is_listed: is_ready(&before) != is_ready(now)
                || before.is_connected != now.is_connected,
            is_news: is_news(&before, now),
            error: now.error.clone().filter(|error| !is_same(error)),
            has_left: false,
        }
    }
}

fn is_news(before: &View, now: &View) -> bool {
    before.state != now.state || now.made > before.made
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn view(state: Connectivity, made: u64) -> View {
        View {
            state,
            made,
            is_connected: false,
            health: None,
            error: None,
            is_dialling: false,
            is_at_rest: false,
            next_dial: None,
            since: Instant::now(),
            go_aways: 0,
        }
    }

    // CONTRACT W11, L7
    #[test]
    fn a_connection_that_came_as_another_left_wakes_the_calls_that_wait() {
        use Connectivity::{Ready, TransientFailure};
        assert!(is_news(&view(Ready, 1), &view(Ready, 2)));
        assert!(is_news(&view(Ready, 1), &view(TransientFailure, 1)));
        assert!(!is_news(&view(Ready, 2), &view(Ready, 2)));
    }
}
