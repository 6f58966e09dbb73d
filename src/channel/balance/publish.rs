use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::member::Change;
use super::members::Members;
use crate::channel::board::{Board, Published};
use crate::channel::connectivity::Connectivity;
use crate::channel::lines::Lines;
use crate::report::SharedError;

/// Shows on the board what changed, and not more often than its length allows.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is something that changed apart from the others"
)]
pub(super) struct Publisher {
    board: Arc<Board>,
    lines: Arc<Lines>,
    shown: Published,
    error: Option<SharedError>,
    /// There is a set of addresses. `None` before the first answer.
    has_set: Option<bool>,
    /// Endpoints became ready, or are not any more.
    is_listed: bool,
    /// The addresses changed.
    is_replaced: bool,
    /// Of removed endpoints less is left.
    has_left: bool,
    /// Calls that wait are to look.
    is_news: bool,
    /// The endpoint that was used, of a channel that connects to one.
    used: Option<u64>,
    /// When the next list is not too soon.
    next: Option<Instant>,
}

/// How long the next list waits for each endpoint of this one; making a list takes a fiftieth of
/// it.
const PAUSE: Duration = Duration::from_micros(1);
/// Shorter lists never wait.
const SHORT: usize = 64;

impl Publisher {
    pub(super) fn new(board: Arc<Board>, lines: Arc<Lines>) -> Self {
        Self {
            board,
            lines,
            shown: Published::empty(Connectivity::Connecting),
            error: None,
            has_set: None,
            is_listed: false,
            is_replaced: false,
            has_left: false,
            is_news: false,
            used: None,
            next: None,
        }
    }

    /// The resolver has answered, and there is a set of addresses, or not.
    pub(super) fn resolved(&mut self, has_set: bool) {
        self.has_set = Some(has_set);
        self.is_replaced = true;
    }

    /// This is the latest reason why no connection is ready.
    pub(super) fn fail(&mut self, error: SharedError) {
        self.error = Some(error);
    }

    pub(super) fn changed(&mut self, change: Change) {
        self.is_listed |= change.is_listed;
        self.is_news |= change.is_news;
        self.has_left |= change.has_left;
        if let Some(error) = change.error {
            self.error = Some(error);
        }
    }

    /// Less is left of removed endpoints.
    pub(super) fn left(&mut self) {
        self.has_left = true;
    }

    /// Other endpoints are listed from now on, and calls that wait are to look.
    pub(super) fn relist(&mut self) {
        self.is_listed = true;
        self.is_news = true;
    }

    /// Shows what changed; when to come back, if that is too soon.
    pub(super) fn publish(&mut self, members: &mut Members, now: Instant) -> Option<Instant> {
        let used = members.used();
        self.is_listed |= std::mem::replace(&mut self.used, used) != used;
        let state = self.state(members);
        let is_idle = members.is_idle();
        let is_longer = self.is_listed || self.is_replaced || self.has_left;
        let is_urgent = self.is_replaced || state != self.shown.state;
        if is_longer && !is_urgent && self.next.is_some_and(|next| now < next) {
            return self.next;
        }
        let is_same_error = match (&self.error, &self.shown.error) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        let is_news = std::mem::take(&mut self.is_news) || is_urgent;
        if is_longer || is_urgent || is_idle != self.shown.is_idle || !is_same_error {
            self.show(members, state, is_idle, now);
        }
        if is_news {
            self.lines.wake_all();
        }
        None
    }

    fn show(&mut self, members: &Members, state: Connectivity, is_idle: bool, now: Instant) {
        let shown = &mut self.shown;
        (shown.state, shown.is_idle) = (state, is_idle);
        shown.is_health_ignored = members.is_health_ignored();
        shown.error.clone_from(&self.error);
        if std::mem::take(&mut self.is_replaced) {
            self.is_listed = true;
            self.has_left = true;
            let mut set = members.set();
            set.is_known = self.has_set == Some(true);
            shown.set = Arc::new(set);
        }
        if std::mem::take(&mut self.is_listed) {
            shown.ready = members.ready();
            let length = shown.ready.endpoints.len();
            let pause = PAUSE.saturating_mul(u32::try_from(length).unwrap_or(u32::MAX));
            self.next = (length > SHORT).then(|| now + pause);
        }
        if std::mem::take(&mut self.has_left) {
            shown.draining = members.draining();
        }
        self.board.publish(shown.clone());
    }

    /// Without a set, calls wait for the first answer, or fail with the resolver's words (CONTRACT
    /// N3).
    fn state(&self, members: &Members) -> Connectivity {
        match self.has_set {
            None => Connectivity::Connecting,
            Some(false) => Connectivity::TransientFailure,
            Some(true) => members.state(),
        }
    }
}
