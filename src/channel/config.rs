use std::sync::Arc;
use std::time::Duration;

use super::connect::Sockets;
use super::connection::{Http2, Keepalive};
use super::eject::{Ejection, Rules};
use crate::backoff::{Backoff, ConnectionBackoff};
use crate::error::Faults;
use crate::ready::Bounds;

/// What a channel was built with, checked.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) http2: Http2,
    pub(super) keepalive: Option<Keepalive>,
    pub(super) connect_timeout: Duration,
    pub(super) backoff: Arc<dyn Backoff>,
    pub(super) max_connections: u32,
    pub(super) max_idle: Option<Duration>,
    /// The longest time that the calls of a removed endpoint go on.
    pub(super) drain_timeout: Option<Duration>,
    /// The longest time that a call may take.
    pub(super) timeout: Option<Duration>,
    /// The service whose health is asked for.
    pub(super) health_check: Option<Arc<str>>,
    /// The fraction of healthy endpoints below which health does not count.
    pub(super) panic_below: Option<f64>,
    /// When endpoints are ejected.
    pub(super) ejection: Option<Rules>,
}

/// What a builder was given, not checked yet.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) sockets: Sockets,
    pub(super) http2: Http2,
    pub(super) keepalive: Option<Keepalive>,
    pub(super) connect_timeout: Duration,
    pub(super) timeout: Option<Duration>,
    pub(super) backoff: Arc<dyn Backoff>,
    pub(super) max_connections: u32,
    pub(super) max_idle: Option<Duration>,
    pub(super) drain_timeout: Option<Duration>,
    pub(super) waiting: Bounds,
    pub(super) health_check: Option<Arc<str>>,
    pub(super) panic_below: Option<f64>,
    pub(super) ejection: Option<Ejection>,
}

/// The least time before a PING: servers cut off clients that ping more often.
const LEAST_KEEPALIVE: Duration = Duration::from_secs(10);
const MAX_WINDOW: u32 = 0x7fff_ffff;

impl Default for Config {
    fn default() -> Self {
        Self {
            sockets: Sockets {
                nodelay: true,
                keepalive: None,
                keepalive_interval: None,
                keepalive_retries: None,
                local_address: None,
                user_timeout: None,
            },
            http2: Http2::default(),
            keepalive: Some(Self::KEEPALIVE),
            connect_timeout: Duration::from_secs(5),
            timeout: None,
            backoff: Arc::new(ConnectionBackoff::new()),
            max_connections: 4,
            max_idle: None,
            drain_timeout: None,
            waiting: Bounds::default(),
            health_check: None,
            panic_below: None,
            ejection: Some(Ejection::new()),
        }
    }
}

impl Config {
    pub(super) const KEEPALIVE: Keepalive = Keepalive {
        time: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
        while_idle: false,
    };

    /// What the channel needs, and what dials.
    pub(super) fn split(mut self) -> (Settings, Sockets) {
        self.sockets.user_timeout = self.keepalive.map(|it| it.time.saturating_add(it.timeout));
        let settings = Settings {
            http2: self.http2,
            keepalive: self.keepalive,
            connect_timeout: self.connect_timeout,
            backoff: self.backoff,
            max_connections: self.max_connections,
            max_idle: self.max_idle,
            drain_timeout: self.drain_timeout,
            timeout: self.timeout,
            health_check: self.health_check,
            panic_below: self.panic_below,
            ejection: self.ejection.map(|it| it.rules()),
        };
        (settings, self.sockets)
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        if let Some(ejection) = &self.ejection {
            ejection.check(faults);
        }
        for (setter, duration) in [
            ("timeout", self.timeout),
            ("connect_timeout", Some(self.connect_timeout)),
            ("max_idle", self.max_idle),
            ("drain_timeout", self.drain_timeout),
            ("tcp_keepalive", self.sockets.keepalive),
            ("tcp_keepalive_interval", self.sockets.keepalive_interval),
            ("keep_alive_timeout", self.keepalive.map(|it| it.timeout)),
            (
                "http2_reset_stream_duration",
                self.http2.reset_stream_duration,
            ),
        ] {
            faults.check(setter, duration != Some(Duration::ZERO), || {
                "it must be longer than zero".into()
            });
        }
        for (setter, number) in [
            ("max_connections", Some(self.max_connections)),
            ("max_concurrent_streams", Some(self.http2.max_streams)),
            ("tcp_keepalive_retries", self.sockets.keepalive_retries),
            (
                "http2_max_header_list_size",
                Some(self.http2.max_header_list_size),
            ),
        ] {
            faults.check(setter, number != Some(0), || {
                "it must be greater than zero".into()
            });
        }
        for (setter, bound) in [
            ("max_waiting", self.waiting.calls),
            ("max_waiting_bytes", self.waiting.bytes),
        ] {
            faults.check(setter, bound != 0, || "it must be greater than zero".into());
        }
        for (setter, window) in [
            ("initial_stream_window_size", self.http2.stream_window),
            (
                "initial_connection_window_size",
                self.http2.connection_window,
            ),
        ] {
            let is_window = (1..=MAX_WINDOW).contains(&window);
            faults.check(setter, is_window, || {
                format!("{window} bytes: a window has 1 to {MAX_WINDOW}")
            });
        }
        if let Some(size) = self.http2.max_frame_size {
            let is_size = (16_384..=16_777_215).contains(&size);
            faults.check("max_frame_size", is_size, || {
                format!("{size} bytes: a frame has 16384 to 16777215 at most")
            });
        }
        if let Some(Keepalive { time, .. }) = self.keepalive {
            faults.check("http2_keep_alive_interval", time >= LEAST_KEEPALIVE, || {
                format!("{time:?} is below {LEAST_KEEPALIVE:?}, and servers cut off such clients")
            });
        }
    }
}
