//! The parts of an answer.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tonic::Status;

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Handler,
    TrailersOnly(Status),
    Stream(Vec<Bytes>, End),
    Http(Page),
    Hang,
    DropConnection,
}

/// What comes after the data of a response.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Status(Status),
    Hang,
}

/// An answer that is not gRPC.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

/// How much of the request is read before the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    Nothing,
    Messages(usize),
    Everything,
}
