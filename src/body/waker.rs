use std::sync::{Arc, LazyLock};
use std::task::{Wake, Waker};

/// A waker without effect, for the polls that capture a body. It differs from `Waker::noop()`, so a
/// body can tell these polls from a transport's.
pub(super) static CAPTURING: LazyLock<Waker> = LazyLock::new(|| Arc::new(Nobody).into());

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}
