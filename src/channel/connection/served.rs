//! Whether a connection has served a call, as the responses on it show (CONTRACT C3, G4).

use std::sync::atomic::{AtomicBool, Ordering};

use crate::kernel::sync::Mutex;

#[derive(Debug, Default)]
pub(super) struct Served {
    has_served: AtomicBool,
    watch: Mutex<WatchStream>,
}

/// The stream of the health watch, which is no call.
#[derive(Debug, Default)]
struct WatchStream {
    /// The last one's, and the one's before, whose end may still come if this side has ended it.
    /// 0: none was opened.
    ids: [u32; 2],
    /// It has been given to h2, perhaps, and its id is not known here yet. Another thread may read
    /// its response meanwhile.
    is_opening: bool,
    /// A stream whose response began meanwhile: of a call, or of the watch. 0: none.
    unsure: u32,
}

impl Served {
    pub(super) fn has_served(&self) -> bool {
        self.has_served.load(Ordering::Acquire)
    }

    /// A response has begun on this stream.
    #[cold]
    pub(super) fn responded(&self, stream: u32) {
        let mut watch = self.watch.lock();
        if watch.ids.contains(&stream) || watch.unsure == stream {
            return;
        }
        if watch.is_opening && watch.unsure == 0 {
            watch.unsure = stream;
            return;
        }
        // Of two streams that answer while a watch is opened, one is a call's.
        self.has_served.store(true, Ordering::Release);
    }

    /// A watch is being opened.
    pub(super) fn watch_opens(&self) {
        self.watch.lock().is_opening = true;
    }

    /// It is this stream, or was not opened; whether it is known only now that a call was served.
    pub(super) fn watch_opened(&self, stream: Option<u32>) -> bool {
        let mut watch = self.watch.lock();
        watch.is_opening = false;
        if let Some(stream) = stream {
            let [last, _] = watch.ids;
            watch.ids = [stream, last];
        }
        let unsure = std::mem::take(&mut watch.unsure);
        let is_call = unsure != 0 && !watch.ids.contains(&unsure);
        is_call && !self.has_served.swap(true, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT C3
    #[test]
    fn the_response_of_a_watch_is_none_of_a_call_whenever_it_is_read() {
        let served = Served::default();
        for (stream, is_early) in [(1, true), (3, false), (5, true)] {
            served.watch_opens();
            if is_early {
                served.responded(stream);
            }
            assert!(!served.watch_opened(Some(stream)), "{stream}");
            served.responded(stream);
            assert!(!served.has_served(), "{stream}");
        }
        served.responded(7);
        assert!(served.has_served());
    }

    // CONTRACT C3
    #[test]
    fn the_response_of_a_call_that_is_read_while_a_watch_is_opened_counts() {
        let served = Served::default();
        served.watch_opens();
        served.responded(1);
        assert!(!served.has_served(), "it may be the watch's");
        assert!(served.watch_opened(Some(3)), "it is not");
        assert!(served.has_served());
        assert!(!served.watch_opened(Some(3)), "that is known");

        let served = Served::default();
        served.watch_opens();
        served.responded(1);
        served.responded(1);
        assert!(!served.has_served());
        served.responded(3);
        assert!(served.has_served(), "one of two is a call's");
        assert!(!served.watch_opened(Some(3)));

        let served = Served::default();
        served.watch_opens();
        served.responded(1);
        assert!(served.watch_opened(None), "no watch was opened");
    }

    // CONTRACT C3
    #[test]
    fn the_end_of_an_earlier_watch_is_no_call_while_the_next_one_is_opened() {
        let served = Served::default();
        served.watch_opens();
        served.watch_opened(Some(1));
        served.watch_opens();
        served.responded(1);
        assert!(!served.watch_opened(Some(3)));
        served.responded(1);
        assert!(!served.has_served());
    }
}
