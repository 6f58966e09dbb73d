use std::sync::Arc;
use std::time::Duration;

use super::connection::{Http2, Keepalive};
use crate::backoff::Backoff;

/// What a channel was built with, checked.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) http2: Http2,
    pub(super) keepalive: Option<Keepalive>,
    pub(super) connect_timeout: Duration,
    pub(super) backoff: Arc<dyn Backoff>,
    pub(super) max_connections: u32,
    pub(super) max_idle: Option<Duration>,
    /// The longest time that a call may take.
    pub(super) timeout: Option<Duration>,
}
