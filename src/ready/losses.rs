/// Connections lost in a row before any call on them was answered (CONTRACT W9).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Losses {
    pub(crate) count: u32,
    /// The number of the first of these connections.
    pub(crate) first: u64,
    /// The last connection left a request behind.
    left_behind: bool,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Lost,
    /// By the server's GOAWAY.
    GoAway,
    /// Before the request was sent: it was queued in the transport.
    Queued,
}

impl Losses {
    /// Adds a connection lost under the call with this number. Returns whether the next dial has to
    /// wait: the first loss in a row is replaced at once.
    pub(crate) fn add(&mut self, number: u64, end: End) -> bool {
        // hyper takes one more request after a GOAWAY and returns it; that does not count as
        // another connection.
        if end == End::Queued && self.count > 0 && !self.left_behind {
            self.left_behind = true;
            return false;
        }
        self.left_behind = false;
        self.count = self.count.saturating_add(1);
        if self.count == 1 {
            self.first = number;
        }
        self.count > 1
    }
}
