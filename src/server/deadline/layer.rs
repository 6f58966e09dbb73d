use std::time::Duration;

use tower_layer::Layer;

use super::{ServerDeadline, ServerDeadlinePolicy};

/// Stops the handlers of a server at their callers' deadlines; see the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerDeadlineLayer {
    policy: ServerDeadlinePolicy,
}

impl ServerDeadlineLayer {
    /// A layer with a margin of 5 ms.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How much sooner the calls end that are made on behalf of a served one, so that their failure
    /// can still be answered. Default: 5 ms. A call with less than that left makes none.
    #[must_use]
    pub fn margin(mut self, margin: Duration) -> Self {
        self.policy.margin = margin;
        self
    }
}

impl<S> Layer<S> for ServerDeadlineLayer {
    type Service = ServerDeadline<S>;

    fn layer(&self, inner: S) -> ServerDeadline<S> {
        ServerDeadline::new(inner, self.policy)
    }
}
