use crate::call::Permit;
use crate::classify::Reason;

/// The permit of an attempt, until it is known whether the attempt was sent (CONTRACT T9).
///
/// If the attempt was not sent, dropping this returns the permit's token.
#[derive(Debug, Default)]
pub(super) struct PendingPermit {
    permit: Option<Permit>,
    left: bool,
}

impl PendingPermit {
    pub(super) fn new(permit: Option<Permit>) -> Self {
        Self {
            permit,
            left: false,
        }
    }

    /// Records whether the attempt, which has no response yet, is with the channel. An attempt that
    /// loses its channel before it is sent waits for the channel again.
    pub(super) fn is_with_channel(&mut self, is: bool) {
        self.left = is;
    }

    pub(super) fn answered(&mut self) {
        self.left = true;
    }

    /// Called when the attempt failed. A failure of a layer or a hook on the client shows that the
    /// attempt was not sent; a deadline that passed on the client shows nothing new.
    pub(super) fn failed(&mut self, reason: Reason) {
        match reason {
            Reason::HookFailed => self.left = false,
            own if own.is_readiness() => self.left = false,
            Reason::DeadlineExceeded => {}
            _ => self.left = true,
        }
    }
}

impl Drop for PendingPermit {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take().filter(|_| self.left) {
            permit.start();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Whether what happens to the attempt gives its permit back.
    fn gives_back(happens: impl FnOnce(&mut PendingPermit)) -> bool {
        let refunds = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&refunds);
        let permit = Permit::refundable(Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        let mut spend = PendingPermit::new(Some(permit));
        happens(&mut spend);
        drop(spend);
        refunds.load(Ordering::Relaxed) == 1
    }

    // CONTRACT T9
    #[test]
    fn an_attempt_that_never_left_gives_its_permit_back() {
        assert!(gives_back(|_| {}));
        assert!(gives_back(|it| it.is_with_channel(false)));
        assert!(gives_back(|it| it.failed(Reason::Throttled)));
        assert!(gives_back(|it| it.failed(Reason::HookFailed)));
        assert!(gives_back(|it| it.failed(Reason::DeadlineExceeded)));
        assert!(gives_back(|it| {
            it.is_with_channel(true);
            it.is_with_channel(false);
        }));
        assert!(gives_back(|it| {
            it.is_with_channel(true);
            it.failed(Reason::NotReady);
        }));
    }

    // CONTRACT T9
    #[test]
    fn an_attempt_that_left_keeps_its_permit() {
        assert!(!gives_back(PendingPermit::answered));
        assert!(!gives_back(|it| it.is_with_channel(true)));
        assert!(!gives_back(|it| it.failed(Reason::Answered)));
        assert!(!gives_back(|it| it.failed(Reason::ConnectFailed)));
        assert!(!gives_back(|it| {
            it.is_with_channel(true);
            it.failed(Reason::DeadlineExceeded);
        }));
    }
}
