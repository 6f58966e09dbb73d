//! Connectors that a user could have written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A connection that never was.
pub(crate) enum Nowhere {}

impl hyper::rt::Read for Nowhere {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match *self {}
    }
}

impl hyper::rt::Write for Nowhere {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match *self {}
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }
}

/// A connector that can't even get ready: it kills the channel's worker.
#[derive(Clone)]
pub(crate) struct Broken;

impl tower::Service<http::Uri> for Broken {
    type Response = Nowhere;
    type Error = io::Error;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Err(io::Error::other("the connector is broken")))
    }

    fn call(&mut self, _uri: http::Uri) -> Self::Future {
        std::future::ready(Err(io::Error::other("called though broken")))
    }
}
