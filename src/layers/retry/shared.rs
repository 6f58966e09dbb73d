use std::sync::Arc;

use crate::dispatch::Spare;

use super::settings::Settings;

/// What the clones of a service share, and every call that may be repeated.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    pub(super) spare: Spare<S>,
    pub(super) settings: Settings,
}

/// A way to it with a counter of its own, which one thread writes.
#[derive(Debug)]
pub(crate) struct CoreHandle<S>(pub(super) Arc<Shared<S>>);
