use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use crate::kernel::sync::Mutex;

/// What the balancer has to look at: written by endpoints and calls, read by its task.
#[derive(Debug, Default)]
pub(super) struct Changes {
    inside: Mutex<Inside>,
    /// A call found an idle endpoint. Asked by each call, so it is no part of what the lock guards.
    is_wanted: AtomicBool,
    /// An endpoint fails too many calls.
    is_suspect: AtomicBool,
}

#[derive(Debug, Default)]
struct Inside {
    changed: Vec<u64>,
    is_stale: bool,
    task: Option<Waker>,
}

/// What has happened since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// Endpoints, by number.
    pub(super) endpoints: Vec<u64>,
    /// A connection was lost, or a dial failed: the addresses may be stale (CONTRACT N5).
    pub(super) is_stale: bool,
    /// Idle endpoints are to connect.
    pub(super) is_wanted: bool,
    /// Ejection has to decide.
    pub(super) is_suspect: bool,
}

impl Changes {
    /// This endpoint changed.
    pub(super) fn add(&self, endpoint: u64, is_stale: bool) {
        let mut inside = self.inside.lock();
        inside.changed.push(endpoint);
        inside.is_stale |= is_stale;
        let task = inside.task.take();
        drop(inside);
        task.into_iter().for_each(Waker::wake);
    }

    /// Idle endpoints are to connect.
    pub(super) fn want(&self) {
        self.wake_by(&self.is_wanted);
    }

    /// An endpoint fails too many calls, or a call that probed one has ended.
    pub(super) fn judge(&self) {
        self.wake_by(&self.is_suspect);
    }

    fn wake_by(&self, what: &AtomicBool) {
        if !what.swap(true, Ordering::AcqRel) {
            let task = self.inside.lock().task.take();
            task.into_iter().for_each(Waker::wake);
        }
    }

    /// Takes what there is; the next change wakes the task.
    pub(super) fn take(&self, cx: &Context<'_>) -> Changed {
        let mut inside = self.inside.lock();
        inside.task = Some(cx.waker().clone());
        Changed {
            endpoints: std::mem::take(&mut inside.changed),
            is_stale: std::mem::take(&mut inside.is_stale),
            is_wanted: self.is_wanted.swap(false, Ordering::AcqRel),
            is_suspect: self.is_suspect.swap(false, Ordering::AcqRel),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn many_changes_wake_the_task_once() {
        let (changes, woken) = (Changes::default(), Arc::<Woken>::default());
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        assert_eq!(changes.take(&cx), Changed::default());
        changes.add(1, false);
        changes.add(2, true);
        changes.want();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        let expected = Changed {
            endpoints: vec![1, 2],
            is_stale: true,
            is_wanted: true,
            is_suspect: false,
        };
        assert_eq!(changes.take(&cx), expected);
        changes.want();
        changes.want();
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        assert!(changes.take(&cx).is_wanted);
        changes.judge();
        changes.judge();
        assert_eq!(woken.0.load(Ordering::Relaxed), 3);
        assert!(changes.take(&cx).is_suspect);
    }
}
