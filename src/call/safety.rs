/// Whether a call may reach the application more than once.
///
/// The words are those of `google.protobuf.MethodOptions.IdempotencyLevel`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Safety {
    /// Not declared. Only a request that provably never ran is sent again (CONTRACT I1, I2).
    #[default]
    Unknown,
    /// Several calls have the effect of one call.
    Idempotent,
    /// The call changes nothing.
    NoSideEffects,
}

impl std::fmt::Display for Safety {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unknown => "not repeated once it may have run",
            Self::Idempotent => "safe to repeat (idempotent)",
            Self::NoSideEffects => "safe to repeat (no side effects)",
        })
    }
}

impl Safety {
    /// Whether a call that may have run may be sent again.
    #[must_use]
    pub fn may_repeat(self) -> bool {
        self != Self::Unknown
    }
}
