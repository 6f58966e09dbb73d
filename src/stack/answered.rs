use std::num::NonZero;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Uri;
use tokio::time::Instant;

use crate::body::OpenRequest;
use crate::error::Error;

use super::said::Said;
use super::span::Span;

/// An ordinary call whose answer has begun: what the layers need of it to the end.
#[derive(Debug)]
pub(super) struct Answered {
    /// Until the status has come.
    pub(super) said: Option<Arc<Said>>,
    /// That of the channel in which it went; `None` once it broke off.
    pub(super) generation: Option<NonZero<u64>>,
    pub(super) span: Span,
    /// Since when.
    pub(super) since: Instant,
    /// The request, which ends with the call at the deadline (CONTRACT R13).
    pub(super) request: Option<OpenRequest>,
}

impl Answered {
    /// The failure of the call, by the name that the deadline gives it, with its report.
    pub(super) fn named(&self, error: Error, said: &Said) -> Error {
        self.span.named(error, Some(&said.uri), Some(self.since))
    }

    fn uri(&self) -> Option<&Uri> {
        self.said.as_ref().map(|said| &said.uri)
    }

    /// The end of the call, if it has come by now.
    #[inline]
    pub(super) fn expiry(&mut self) -> Option<Error> {
        let expiry = self.span.expiry(self.uri(), Some(self.since))?;
        self.end_request();
        Some(expiry)
    }

    /// Wakes the reader when the call must end.
    #[inline]
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let home = self.said.as_ref().map(|said| &said.home);
        let uri = self.said.as_ref().map(|said| &said.uri);
        let error = ready!(self.span.poll_over(cx, home, uri, Some(self.since)));
        self.end_request();
        Poll::Ready(error)
    }

    #[cold]
    fn end_request(&mut self) {
        if let Some(request) = self.request.take() {
            request.end();
        }
    }
}
