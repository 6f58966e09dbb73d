use crate::grpc::Status;

/// What a [`Resumable`](super::Resumable) hands on.
///
/// ```
/// use grpc_resilience::streams::Event;
///
/// fn apply(event: Event<&str, u64>) -> String {
///     match event {
///         Event::Item(change) => format!("apply {change}"),
///         Event::Gap(gap) => format!("read everything again: lost what follows {:?}", gap.from),
///     }
/// }
/// assert_eq!(apply(Event::Item("a=1")), "apply a=1");
/// ```
#[derive(Clone, Debug)]
pub enum Event<T, Token> {
    /// A message of the server.
    Item(T),
    /// Messages were lost, and the stream goes on after them; see [`Gap`].
    Gap(Gap<T, Token>),
}

impl<T, Token> Event<T, Token> {
    /// The message; `None` for a gap.
    #[must_use]
    pub fn into_item(self) -> Option<T> {
        match self {
            Self::Item(item) => Some(item),
            Self::Gap(_) => None,
        }
    }
}

/// Messages that the stream can't get any more, because the server no longer has the place at which
/// it was to resume. The next messages come from a stream that begins anew.
///
/// Before the next message is asked for, [`resume_from`](super::Resumable::resume_from) can choose
/// another place.
///
/// ```
/// use grpc_resilience::streams::Gap;
///
/// fn warn(gap: &Gap<String, u64>) -> String {
///     let why = match (&gap.message, &gap.status) {
///         (Some(message), _) => message.clone(),
///         (None, Some(status)) => status.message().to_owned(),
///         (None, None) => "the server ended the stream".to_owned(),
///     };
///     format!("lost what follows {:?}: {why}", gap.from)
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Gap<T, Token> {
    /// The last token before the gap. `None` if none came.
    pub from: Option<Token>,
    /// The message by which the server told it, if [`lost`](super::Builder::lost) recognised one.
    pub message: Option<T>,
    /// The status by which the server told it.
    pub status: Option<Status>,
}
