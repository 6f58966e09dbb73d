//! FIELD.md, section 4: what tonic's channel tells about a call that its peer let fail, row by row.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod answered;
mod connecting;
mod not_http2;
mod queued;
mod reached;
mod unprocessed;

/// The peer closed the connection under a call (FIN).
const FIN: &str = r#"transport::Error > hyper::Error > io::Error(BrokenPipe of "stream closed because of a broken pipe")"#;
/// The peer reset the connection under a call (RST).
const RST: &str = "transport::Error > hyper::Error > io::Error(ConnectionReset)";
/// The call was still in hyper's queue.
const CANCELED: &str = r#"transport::Error > hyper::Error(canceled) > "connection closed""#;
/// The call was out of the queue and waited for a stream slot.
const DISPATCH_GONE: &str =
    r#"transport::Error > hyper::Error(user) > "runtime dropped the dispatch task""#;
