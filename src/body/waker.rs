use std::sync::{Arc, LazyLock};
use std::task::{Wake, Waker};

/// The waker of the polls by which a body is captured, which wakes nobody. Ours rather than
/// `Waker::noop()`, so that a body can tell these polls from a transport's.
pub(super) static CAPTURING: LazyLock<Waker> = LazyLock::new(|| Arc::new(Nobody).into());

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}
