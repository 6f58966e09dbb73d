use std::sync::Arc;

use crate::dispatch::Spare;

use super::settings::Settings;

/// Shared by the clones of a service and by every call that may be repeated.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    pub(super) spare: Spare<S>,
    pub(super) settings: Settings,
}

/// A handle with a reference count of its own, which only one thread writes.
#[derive(Debug)]
pub(crate) struct CoreHandle<S>(pub(super) Arc<Shared<S>>);
