//! The settings of HTTP/2, by tonic's names.

use std::time::Duration;

use super::Builder;
use crate::channel::config::Config;
use crate::channel::connection::{Http2, Keepalive};

impl Builder {
    /// HTTP/2's flow-control window of a stream, in bytes. Default: 2 MiB.
    pub fn initial_stream_window_size(mut self, bytes: impl Into<Option<u32>>) -> Self {
        self.config.http2.stream_window = bytes.into().unwrap_or(Http2::default().stream_window);
        self
    }

    /// HTTP/2's flow-control window of a connection, in bytes, besides what readers have not taken
    /// yet. Default: 5 MiB.
    pub fn initial_connection_window_size(mut self, bytes: impl Into<Option<u32>>) -> Self {
        let default = Http2::default().connection_window;
        self.config.http2.connection_window = bytes.into().unwrap_or(default);
        self
    }

    /// Lets the flow-control windows grow with the connection: PINGs measure how much arrives
    /// within a round trip, and a window that this fills is doubled, up to 16 MiB. The windows
    /// start at their set sizes and never shrink. A PING is sent only after DATA was read, and
    /// while a window stays as it is, only every 10 s at last, so servers do not count them as too
    /// many.
    ///
    /// Default: off. The default windows carry 2 MiB in a round trip on each stream, 1.6 Gbit/s
    /// over 10 ms, and a larger window lets each reader that stops hold more memory. Turn it on for
    /// large streams over long distances.
    pub fn http2_adaptive_window(mut self, enabled: bool) -> Self {
        self.config.http2.adaptive_window = enabled;
        self
    }

    /// The largest frame that the server may send, in bytes, 16,384 to 16,777,215. Default: 16,384.
    pub fn max_frame_size(mut self, bytes: impl Into<Option<u32>>) -> Self {
        self.config.http2.max_frame_size = bytes.into();
        self
    }

    /// How long nothing is read before a PING, while a call is open; at least 10 s. While nothing
    /// but answers to PINGs arrive, further ones follow after 5 minutes, or this if it is longer,
    /// because servers close connections that ping more often. Default: 30 s.
    pub fn http2_keep_alive_interval(mut self, interval: Duration) -> Self {
        self.keep_alive().time = interval;
        self
    }

    /// How long the answer to a PING may take before the connection is closed, be it one of the
    /// keepalive or of a connection on which attempts time out. Default: 10 s.
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.keep_alive().timeout = timeout;
        self
    }

    /// Sends PINGs while no call is open, too; many servers do not permit that. Default: off.
    pub fn keep_alive_while_idle(mut self, enabled: bool) -> Self {
        self.keep_alive().while_idle = enabled;
        self
    }

    /// Sends no PING to find out whether a connection is alive, even if attempts time out on it:
    /// calls go on to it until the system or the server closes it.
    pub fn no_keep_alive(mut self) -> Self {
        self.config.keepalive = None;
        self
    }

    fn keep_alive(&mut self) -> &mut Keepalive {
        self.config.keepalive.get_or_insert(Config::KEEPALIVE)
    }

    /// The size of HPACK's table for the headers of responses, in bytes. Default: 4,096.
    pub fn http2_header_table_size(mut self, bytes: u32) -> Self {
        self.config.http2.header_table_size = Some(bytes);
        self
    }

    /// The most that the headers of a response may take, in bytes. Default: 16 KiB.
    pub fn http2_max_header_list_size(mut self, bytes: u32) -> Self {
        self.config.http2.max_header_list_size = bytes;
        self
    }

    /// How many streams that this side has reset are remembered, so that late frames for them are
    /// no fault of the server's. Default: 50, as in h2.
    pub fn http2_max_concurrent_reset_streams(mut self, streams: usize) -> Self {
        self.config.http2.max_concurrent_reset_streams = Some(streams);
        self
    }

    /// How long a stream that this side has reset is remembered; see
    /// [`http2_max_concurrent_reset_streams`](Self::http2_max_concurrent_reset_streams). Default:
    /// 1 s, as in h2.
    pub fn http2_reset_stream_duration(mut self, duration: Duration) -> Self {
        self.config.http2.reset_stream_duration = Some(duration);
        self
    }

    /// How many streams this side may reset for the server's faults before it closes the
    /// connection; `None` is without a limit. Default: `None`, because an answer that crosses the
    /// reset of a dropped call counts as such a fault, and a client that drops a thousand calls at
    /// once would lose its connection. Floods have bounds of their own (CONTRACT C18).
    pub fn http2_max_local_error_reset_streams(
        mut self,
        streams: impl Into<Option<usize>>,
    ) -> Self {
        self.config.http2.max_local_error_reset_streams = streams.into();
        self
    }
}
