use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use tokio::runtime::Handle;
use tower_service::Service;

use super::address::Address;
use super::balance::Balancer;
use super::board::Board;
use super::config::Config;
use super::connect::{AnyConnector, OfService};
use super::connection::{Http2, Keepalive, Most};
use super::core::Core;
use super::exchange::Heads;
use super::fault::{Faults, InvalidChannel};
use super::lines::Lines;
use super::pick::{LeastLoaded, Picker};
use super::resolve::{ResolveSettings, Resolver};
use super::service::Channel;
use super::shared::Shared;
use super::target::{self, Target};
use crate::backoff::Backoff;
use crate::error::BoxError;
use crate::kernel::sync::Mutex;

/// Configures a [`Channel`]. Setters never fail; [`build`](Self::build) reports all faults at once.
///
/// The settings of tonic's `Endpoint` have its names. These of them are not here:
///
/// | tonic's | why |
/// |---|---|
/// | `buffer_size` | there is no buffer: a call goes to its connection itself |
/// | `executor` | connections live on the runtime in which the channel is built |
/// | `concurrency_limit`, `rate_limit` | layers of tower's do that, where you see them |
/// | `http2_adaptive_window` | the windows are large; set them to bandwidth x round trip |
/// | `tls_config` | no TLS yet; a [`connector`](Self::connector) can bring its own |
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::channel::Channel;
/// use std::time::Duration;
///
/// let channel = Channel::builder("ipv4:10.0.0.1:50051,10.0.0.2:50051")
///     .connect_timeout(Duration::from_secs(2))
///     .user_agent("orders-client/1.0")
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a channel is made by `build`"]
pub struct Builder {
    target: String,
    connector: Option<AnyConnector>,
    resolver: Option<Box<dyn Resolver>>,
    picker: Arc<dyn Picker>,
    origin: Option<Uri>,
    user_agent: Option<String>,
    resolve: ResolveSettings,
    config: Config,
}

const USER_AGENT: &str = concat!("grpc-resilience/", env!("CARGO_PKG_VERSION"));

impl Builder {
    pub(super) fn new(target: String) -> Self {
        Self {
            target,
            connector: None,
            resolver: None,
            picker: Arc::new(LeastLoaded::new()),
            origin: None,
            user_agent: None,
            resolve: ResolveSettings::default(),
            config: Config::default(),
        }
    }

    /// Connects with this service instead of sockets: in memory for tests, through a proxy, or with
    /// TLS of your own. Each dial calls a clone of it with the endpoint's [`Address`].
    pub fn connector<S>(mut self, connector: S) -> Self
    where
        S: Service<Address> + Clone + Send + 'static,
        S::Response: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        self.connector = Some(Arc::new(OfService(Mutex::new(connector))));
        self
    }

    /// Which endpoint each call goes to. Default: [`LeastLoaded`], because a slow server then gets
    /// fewer calls.
    pub fn picker(mut self, picker: impl Picker) -> Self {
        self.picker = Arc::new(picker);
        self
    }

    /// Where the addresses come from, instead of the target. The target still says what the
    /// `:authority` is.
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Some(Box::new(resolver));
        self
    }

    /// The longest time that calls may go on at an endpoint whose address was removed; then they
    /// fail with UNAVAILABLE. Default: no limit, because one would end watches whenever DNS names
    /// another part of a large set.
    ///
    /// New calls go there no more from the moment of the removal. If the address comes back before,
    /// its calls are not ended.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.config.drain_timeout = Some(timeout);
        self
    }

    /// The `:scheme` and `:authority` of requests. Default: `http`, and the target's first address,
    /// or `localhost` for a Unix socket.
    pub fn origin(mut self, origin: Uri) -> Self {
        self.origin = Some(origin);
        // All servers are of that name.
        self.resolve.names_servers = false;
        self
    }

    /// The least time for which an answer of DNS counts as fresh, 1 s to 5 min; records with a
    /// shorter TTL are looked up again after this time. Default: 5 s.
    #[cfg(feature = "dns")]
    #[cfg_attr(docsrs, doc(cfg(feature = "dns")))]
    pub fn dns_min_ttl(mut self, ttl: Duration) -> Self {
        self.resolve.min_ttl = ttl;
        self
    }

    /// What stands in `user-agent` before this crate's own word, and after that of a request.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// The most that a call may take, to the end of its response; its own deadline, if earlier,
    /// counts. Servers are told of it. Default: none.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.config.timeout = Some(timeout);
        self
    }

    /// The most that making a connection may take, from the first packet to the answer to the first
    /// HTTP/2 PING. Default: 5 s (gRPC's is 20 s).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout = timeout;
        self
    }

    /// The connection backoff. Default:
    /// [`ConnectionBackoff`](crate::backoff::ConnectionBackoff); gRPC's is
    /// [`Exponential::grpc`](crate::backoff::Exponential::grpc).
    pub fn backoff(mut self, backoff: impl Backoff + 'static) -> Self {
        self.config.backoff = Arc::new(backoff);
        self
    }

    /// The most connections to one endpoint. Default: 4.
    ///
    /// The second one is made when more than 32 calls are on the first, and further ones when all
    /// streams that the server allows are in use. One without a call for 10 s is closed, the first
    /// one aside.
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.config.max_connections = connections;
        self
    }

    /// The most streams at a time on a connection, if the server allows more. Default: the server's
    /// limit.
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.config.http2.max_streams = streams;
        self
    }

    /// Closes connections that had no call for this long, up to a quarter more; the next call makes
    /// a new one. Default: connections stay.
    pub fn max_idle(mut self, idle: Duration) -> Self {
        self.config.max_idle = Some(idle);
        self
    }

    /// The most calls that wait for a connection or a stream; further ones fail with
    /// RESOURCE_EXHAUSTED. Default: 10,000.
    pub fn max_waiting(mut self, calls: usize) -> Self {
        self.config.max_waiting = calls;
        self
    }

    /// Sets `TCP_NODELAY`. Default: on.
    pub fn tcp_nodelay(mut self, enabled: bool) -> Self {
        self.config.sockets.nodelay = enabled;
        self
    }

    /// How long a socket is quiet before TCP's own keepalive begins. Default: no TCP keepalive.
    pub fn tcp_keepalive(mut self, time: Option<Duration>) -> Self {
        self.config.sockets.keepalive = time;
        self
    }

    /// The time between TCP's keepalive packets. Default: the platform's.
    pub fn tcp_keepalive_interval(mut self, interval: Option<Duration>) -> Self {
        self.config.sockets.keepalive_interval = interval;
        self
    }

    /// How many of TCP's keepalive packets may stay unanswered. Default: the platform's.
    pub fn tcp_keepalive_retries(mut self, retries: Option<u32>) -> Self {
        self.config.sockets.keepalive_retries = retries;
        self
    }

    /// The local address of TCP connections. Default: the platform chooses.
    pub fn local_address(mut self, address: impl Into<Option<IpAddr>>) -> Self {
        self.config.sockets.local_address = address.into();
        self
    }

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

    /// How long the answer to a PING may take before the connection is closed. Default: 10 s.
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.keep_alive().timeout = timeout;
        self
    }

    /// Sends PINGs while no call is open, too; many servers do not permit that. Default: off.
    pub fn keep_alive_while_idle(mut self, enabled: bool) -> Self {
        self.keep_alive().while_idle = enabled;
        self
    }

    /// Sends no PING to find out whether a connection is alive.
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
    /// no fault of the server's. Default: h2's.
    pub fn http2_max_concurrent_reset_streams(mut self, streams: usize) -> Self {
        self.config.http2.max_concurrent_reset_streams = Some(streams);
        self
    }

    /// How long they are remembered. Default: h2's.
    pub fn http2_reset_stream_duration(mut self, duration: Duration) -> Self {
        self.config.http2.reset_stream_duration = Some(duration);
        self
    }

    /// How many streams this side may reset for the server's faults before it closes the
    /// connection; `None` is without a limit. Default: h2's.
    pub fn http2_max_local_error_reset_streams(
        mut self,
        streams: impl Into<Option<usize>>,
    ) -> Self {
        self.config.http2.max_local_error_reset_streams = Most::Is(streams.into());
        self
    }

    /// The channel, which begins to connect to every endpoint.
    ///
    /// # Errors
    ///
    /// [`InvalidChannel`] names each setting that can't be, and a build outside of a tokio runtime.
    pub fn build(self) -> Result<Channel, InvalidChannel> {
        let mut faults = Faults::default();
        let target = match target::parse(&self.target, false) {
            Ok(target) if target.is_tls => {
                let text = "`https` needs TLS, which this channel does not have yet";
                faults.add("builder", text);
                None
            }
            Ok(target) => Some(target),
            Err(text) => {
                faults.add("builder", text);
                None
            }
        };
        let authority = target.as_ref().map(|it| &it.authority);
        let heads = self.heads(authority, &mut faults);
        self.config.check(&mut faults);
        self.resolve.check(&mut faults);
        let runtime = Handle::try_current();
        faults.check("build", runtime.is_ok(), || {
            "a channel is built within the tokio runtime on which its connections run".into()
        });
        match (target, heads, runtime, faults.into_error()) {
            (Some(target), Some(heads), Ok(runtime), None) => {
                Ok(self.start(&target, heads, runtime))
            }
            (_, _, _, error) => Err(error.unwrap_or_default()),
        }
    }

    fn heads(&self, authority: Option<&Authority>, faults: &mut Faults) -> Option<Heads> {
        let (scheme, authority) = match &self.origin {
            Some(origin) => (origin.scheme().cloned(), origin.authority().cloned()),
            None => (Some(Scheme::HTTP), authority.cloned()),
        };
        if let Some(origin) = &self.origin {
            faults.check("origin", scheme.is_some() && authority.is_some(), || {
                format!("`{origin}` needs a scheme and an authority")
            });
        }
        let text = match &self.user_agent {
            Some(user) => format!("{user} {USER_AGENT}"),
            None => USER_AGENT.into(),
        };
        let user_agent = HeaderValue::from_str(&text);
        faults.check("user_agent", user_agent.is_ok(), || {
            format!("{text:?} is no value of a header")
        });
        Some(Heads {
            scheme: scheme?,
            authority: authority?,
            user_agent: user_agent.ok()?,
        })
    }

    fn start(self, target: &Target, heads: Heads, runtime: Handle) -> Channel {
        let max_waiting = self.config.max_waiting;
        let (settings, sockets) = self.config.split();
        let connector = self.connector.unwrap_or_else(|| Arc::new(sockets));
        let lines = Arc::new(Lines::new(max_waiting, &runtime));
        let name: Arc<str> = self.target.into();
        let resolver = self
            .resolver
            .unwrap_or_else(|| target.source.resolver(&self.resolve));
        let shared = Arc::new(Shared::new(settings, connector, heads, runtime, lines));
        let board = Arc::new(Board::new());
        let balancer = Balancer::new(
            Arc::clone(&shared),
            Arc::clone(&board),
            Arc::clone(&name),
            resolver,
            self.picker.connect(),
        );
        let task = shared.runtime.spawn(balancer).abort_handle();
        Channel::of(Arc::new(Core::new(shared, board, name, self.picker, task)))
    }
}

impl Channel {
    /// A channel to a target, still to be configured:
    ///
    /// | target | connects to |
    /// |---|---|
    /// | `orders.prod:50051` | all addresses of the name; the port is needed |
    /// | `dns:///orders.prod:50051` | the same; the port may be left out |
    /// | `dns://10.0.0.53/orders.prod:50051` | the same, by this DNS server (feature `dns`) |
    /// | `ipv4:10.0.0.1:50051,10.0.0.2:50051` | these addresses; the port may be left out |
    /// | `ipv6:[::1]:50051,[::2]` | the same |
    /// | `http://orders.prod:50051` | all addresses of the name, or this address |
    /// | `unix:/run/orders.sock` | a Unix socket |
    /// | `unix-abstract:orders` | a Unix socket in Linux's abstract namespace |
    /// | `multi:///a:1,dns:///b` | all addresses of these targets |
    ///
    /// The default port is 80. How names are looked up, [`resolve`](super::resolve) says; for
    /// addresses from elsewhere see [`Builder::resolver`].
    pub fn builder(target: impl Into<String>) -> Builder {
        Builder::new(target.into())
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
