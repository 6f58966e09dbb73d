//! Opens the health watch of a connection.

use std::task::Waker;

use bytes::Bytes;
use h2::client::ResponseFuture;
use http::Request;

use super::sent::{First, Sent, Why, copy};
use super::shared::Connection;

/// Why no watch was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwatched {
    /// The connection takes no new stream.
    Gone,
    /// The peer has lowered its limit, and h2 holds a stream.
    Held,
}

impl Connection {
    /// Opens a watch with this request.
    pub(crate) fn watch(
        &self,
        head: &Request<()>,
        request: Bytes,
    ) -> Result<ResponseFuture, Unwatched> {
        // The connection's task looks at it when the stream is there.
        self.watched.begins();
        // Its response proves nothing of calls (CONTRACT C3).
        self.facts.watch_opens();
        let sent = self.send(copy(head), First::Whole(request));
        let stream = match &sent {
            Sent::Yes(response, _) => Some(response.stream_id().as_u32()),
            Sent::No(_) | Sent::Malformed(_) => None,
        };
        if self.facts.watch_opened(stream) {
            self.cell.wake();
        }
        match sent {
            Sent::Yes(response, _) => {
                self.watched.opened();
                Ok(response)
            }
            Sent::No(unsent) if unsent.why == Why::Held => {
                self.watch_ended();
                Err(Unwatched::Held)
            }
            Sent::No(_) | Sent::Malformed(_) => {
                self.watch_ended();
                Err(Unwatched::Gone)
            }
        }
    }

    /// The stream of the watch is over.
    pub(crate) fn watch_ended(&self) {
        self.watched.ended();
    }

    /// Wakes this task once the watch is to end, or may begin.
    pub(crate) fn watch_by(&self, task: &Waker) {
        self.watched.run_by(task);
    }
}
