//! The store's three methods, which of them are declared idempotent, and how often a worker calls each.

use rand::RngExt;

/// A method of the `Kv` service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Put,
    Get,
    Append,
}

impl Method {
    /// Draws 60 % puts, 30 % gets and 10 % appends.
    pub(crate) fn draw(dice: &mut impl RngExt) -> Self {
        match dice.random_range(0..100) {
            0..60 => Self::Put,
            60..90 => Self::Get,
            _ => Self::Append,
        }
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Put => "/failover.v1.Kv/Put",
            Self::Get => "/failover.v1.Kv/Get",
            Self::Append => "/failover.v1.Kv/Append",
        }
    }

    /// Whether a client may repeat a call that may have run.
    pub(crate) const fn is_declared(self) -> bool {
        !matches!(self, Self::Append)
    }
}
