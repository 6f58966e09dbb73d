//! The flow-control windows that this side gives.

use std::sync::atomic::Ordering;

use super::cell::Turn;
use super::shared::Connection;

/// The window grows by steps, because each is a frame to the peer.
const STEP: u32 = 1 << 20;
const MAX_WINDOW: u32 = 0x7fff_ffff;

/// The connection's window with this number of bytes unread. Less than a quarter of `base` is lost
/// to them.
fn window_for(base: u32, unread: u64) -> u32 {
    let step = (1 << (base / 4).max(1).ilog2()).min(STEP);
    let unread = u32::try_from(unread).unwrap_or(u32::MAX) & !(step - 1);
    base.saturating_add(unread).min(MAX_WINDOW)
}

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
        let base = self.base_window.load(Ordering::Relaxed);
        let wanted = window_for(base, self.unread());
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

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT C14
    #[test]
    fn unread_bytes_take_less_than_a_quarter_of_any_window() {
        const MIB: u32 = 1 << 20;
        for (base, unread, window) in [
            (5 * MIB, 0, 5 * MIB),
            (5 * MIB, MIB - 1, 5 * MIB),
            (5 * MIB, MIB, 6 * MIB),
            (16 * MIB, MIB, 17 * MIB),
            (65_535, 8_191, 65_535),
            (65_535, 65_535, 65_535 + 7 * 8_192),
            (1, 3, 4),
            (MAX_WINDOW, 5, MAX_WINDOW),
        ] {
            assert_eq!(window_for(base, unread.into()), window, "{base}, {unread}");
            let lost = u64::from(base) + u64::from(unread) - u64::from(window);
            assert!(lost <= u64::from(base / 4) || window == MAX_WINDOW);
        }
        assert_eq!(window_for(5 * MIB, u64::MAX), MAX_WINDOW);
    }
}
