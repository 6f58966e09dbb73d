//! The flow-control windows that this side gives.

use std::sync::atomic::Ordering;

use super::cell::Turn;
use super::shared::Connection;

const STEP: u32 = 1 << 20;
const MAX_WINDOW: u32 = 0x7fff_ffff;

impl Connection {
    /// A reader took this number of bytes of DATA.
    #[inline]
    pub(crate) fn took(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes of DATA that lie unread.
    pub(crate) fn unread(&self) -> u64 {
        let taken = self.taken.load(Ordering::Relaxed);
        self.facts.data().saturating_sub(taken)
    }

    /// What a reader leaves unread takes nothing of the other streams' window (CONTRACT C14).
    pub(super) fn widen(&self, turn: &mut Turn<'_>) {
        let wanted = self.wanted_window.load(Ordering::Relaxed);
        if self.stream_window.load(Ordering::Relaxed) != wanted && turn.set_stream_window(wanted) {
            self.stream_window.store(wanted, Ordering::Relaxed);
        }
        if self.slots.in_use() == 0 {
            // What cancelled calls left unread, h2 has given back.
            self.taken.store(self.facts.data(), Ordering::Relaxed);
        }
        let unread = u32::try_from(self.unread()).unwrap_or(u32::MAX) & !(STEP - 1);
        let base = self.base_window.load(Ordering::Relaxed);
        let wanted = base.saturating_add(unread).min(MAX_WINDOW);
        if self.window.load(Ordering::Relaxed) != wanted {
            self.window.store(wanted, Ordering::Relaxed);
            turn.set_window(wanted);
        }
    }

    /// The estimate finds that the connection carries more than its windows allow.
    pub(super) fn grow(&self, stream_window: u32) {
        self.wanted_window.store(stream_window, Ordering::Relaxed);
        self.base_window.fetch_max(stream_window, Ordering::Relaxed);
        self.cell.wake();
    }
}
