use tokio::time::Instant;

/// A failed pick: a call for which no connection could be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pick {
    pub(crate) number: u64,
    pub(crate) is_test: bool,
    /// How often this happened in a row to the call.
    pub(crate) own: u32,
}

/// The state of the channel for a call that asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Finding {
    Ready,
    Shutdown,
    /// The call is to probe the channel now.
    Due,
    /// No probe before this instant.
    NotBefore(Instant),
}

/// The effect of a result on the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// The next probe is due at another time.
    Schedule,
    /// The state changed.
    Phase,
}
