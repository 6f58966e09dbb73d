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

    /// Sets how much earlier than a served call the calls of its handler end, so that the handler
    /// can still answer their failure. Default: 5 ms. With less time left, the handler's calls fail
    /// at once.
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
