/// What follows when the server ends the stream with OK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnEnd {
    /// The stream is complete. The default.
    #[default]
    Done,
    /// The server ends its streams now and then, and the next one goes on after the last token. It
    /// is opened at once if this one brought a new token, else after the backoff.
    Reopen,
}

/// What follows when the server no longer has the place at which the stream is to resume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLost {
    /// The stream fails with the server's status, and with
    /// [`GiveUp::TokenLost`](crate::GiveUp::TokenLost). The default.
    #[default]
    Fail,
    /// The stream hands on a [`Gap`](super::Gap) and begins anew, with the original request.
    Restart,
    /// As `Restart`, but without the gap in the stream: only the WARN event and the report tell it.
    Skip,
}

impl OnLost {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Restart => "restart",
            Self::Skip => "skip",
        }
    }
}
