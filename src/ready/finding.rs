use tokio::time::Instant;

/// A call for which no connection could be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pick {
    pub(crate) number: u64,
    pub(crate) is_test: bool,
    /// How often this happened to it in a row.
    pub(crate) own: u32,
}

/// What a call finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Finding {
    Ready,
    Shutdown,
    /// One call is to test it now.
    Due,
    /// It is not to be tested before this.
    NotBefore(Instant),
}

/// What a piece of news changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// When the next test is due.
    Schedule,
    /// The phase.
    Phase,
}
