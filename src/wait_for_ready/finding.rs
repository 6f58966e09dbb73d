use tokio::time::Instant;

/// A call for which no connection could be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pick {
    pub(super) number: u64,
    pub(super) is_test: bool,
    /// How often this happened to it in a row.
    pub(super) own: u32,
}

/// What a call finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Finding {
    Ready,
    Shutdown,
    /// One call is to test it now.
    Due,
    /// It is not to be tested before this.
    NotBefore(Instant),
}

/// What a piece of news changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// When the next test is due.
    Schedule,
    /// The phase.
    Phase,
}
