use crate::kernel::sync::Mutex;

/// Where later attempts take their services from, clones of the one that the layer was put over;
/// for whoever shares it already.
///
/// Most calls need none, and a clone of a channel takes several counters of which all its calls on
/// all threads write the same: so a call keeps the way to a clone, not a clone.
#[derive(Debug)]
pub(crate) struct Spare<S>(Mutex<S>);

impl<S: Clone> Spare<S> {
    pub(crate) fn new(service: S) -> Self {
        Self(Mutex::new(service))
    }

    /// A service whose readiness nobody knows.
    pub(crate) fn service(&self) -> S {
        self.0.lock().clone()
    }
}
