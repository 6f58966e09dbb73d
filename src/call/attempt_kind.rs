/// The cause of an extra attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttemptKind {
    /// An earlier attempt failed.
    Retry,
    /// An earlier attempt is slow.
    Hedge,
}

impl AttemptKind {
    /// All kinds.
    pub(crate) const ALL: [Self; 2] = [Self::Retry, Self::Hedge];

    /// A stable name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Hedge => "hedge",
        }
    }
}

/// One value for each kind of attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PerKind<T> {
    retry: T,
    hedge: T,
}

impl<T> PerKind<T> {
    pub(crate) fn new(make: impl Fn(AttemptKind) -> T) -> Self {
        Self {
            retry: make(AttemptKind::Retry),
            hedge: make(AttemptKind::Hedge),
        }
    }

    pub(crate) fn of(&self, kind: AttemptKind) -> &T {
        match kind {
            AttemptKind::Retry => &self.retry,
            AttemptKind::Hedge => &self.hedge,
        }
    }

    pub(super) fn of_mut(&mut self, kind: AttemptKind) -> &mut T {
        match kind {
            AttemptKind::Retry => &mut self.retry,
            AttemptKind::Hedge => &mut self.hedge,
        }
    }
}
