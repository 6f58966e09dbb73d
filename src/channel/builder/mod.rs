mod health;
mod http2;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tower_service::Service;

use super::address::Address;
use super::balance::Balancer;
use super::board::Board;
use super::config::Config;
use super::connect::{AnyConnector, OfService, PeerName, Tls, TlsConfig};

use super::core::Core;
use super::eject::Ejection;
use super::exchange::Heads;
use super::invalid_channel::InvalidChannel;
use super::lines::Lines;
use super::pick::{LeastLoaded, Picker};
use super::resolve::{ResolveSettings, Resolver};
use super::security::{Security, TlsSource};
use super::service::Channel;
use super::shared::Shared;
use super::target::{self, Target};
use crate::backoff::Backoff;
use crate::error::BoxError;
use crate::error::Faults;
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
/// | `tls_config_with_verifier` | a [`connector`](Self::connector) can bring TLS of its own |
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
    tls: TlsSource,
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
            tls: TlsSource::default(),
            resolve: ResolveSettings::default(),
            config: Config::default(),
        }
    }

    /// Connects with this service instead of sockets: in memory for tests, or through a proxy. Each
    /// dial calls a clone of it with the endpoint's [`Address`]. If the channel has TLS, it is made
    /// on top of what the service returns.
    ///
    /// The connectors of hyper-util become such services by
    #[cfg_attr(
        feature = "hyper-util",
        doc = "[`HyperConnector`](super::HyperConnector)."
    )]
    #[cfg_attr(not(feature = "hyper-util"), doc = "the feature `hyper-util`.")]
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
    ///
    /// With TLS, the certificates of all servers must be for the target's host, even if that is an
    /// IP address that the resolver does not return. For a server that has a certificate for
    /// another name, the resolver gives that name to
    /// [`ResolvedAddress::with_server_name`](super::resolve::ResolvedAddress::with_server_name).
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

    /// When an endpoint that fails calls which others answer is left out, and for how long.
    /// Default: [`Ejection::new`], because one bad server of several must not cost a part of all
    /// calls.
    pub fn ejection(mut self, ejection: Ejection) -> Self {
        self.config.ejection = Some(ejection);
        self
    }

    /// Ejects no endpoint, however many of its calls fail.
    pub fn no_ejection(mut self) -> Self {
        self.config.ejection = None;
        self
    }

    /// The `:scheme` and `:authority` of requests; with TLS, servers' certificates must be for its
    /// host unless a [`domain_name`](TlsConfig::domain_name) is set. Default: `https` with TLS,
    /// else `http`, and the target's host, its first address, or `localhost` for a Unix socket.
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

    /// The token of an access list, for the targets of Consul: `CONSUL_HTTP_TOKEN` of Consul's own
    /// programs. It is a header of the queries, and stands in no event, error or `Debug`. Default:
    /// none. Without such a target it is a fault.
    #[cfg(feature = "consul")]
    #[cfg_attr(docsrs, doc(cfg(feature = "consul")))]
    pub fn consul_token(mut self, token: impl AsRef<str>) -> Self {
        self.resolve.consul_token = Some(crate::consul::Token::new(token.as_ref()));
        self
    }

    /// Speaks TLS, with these settings. Default: TLS for a target that begins with `https:`, with
    /// the roots of [`TlsConfig::with_enabled_roots`].
    ///
    /// For a target that begins with `http:` it is a fault, and so is TLS without the feature
    /// `tls-ring` or `tls-aws-lc`.
    pub fn tls_config(mut self, config: TlsConfig) -> Self {
        self.tls = TlsSource::Fixed(config);
        self
    }

    /// Speaks TLS, with settings that may change: a certificate that is renewed, a root that is
    /// added.
    ///
    /// The receiver's value counts when the channel is built. Each later value counts for the next
    /// dial, and the connections that were made with earlier ones are replaced: each endpoint makes
    /// a new one, and closes the others after their last calls. No call fails by it.
    ///
    /// Settings that would be faults of [`build`](Self::build) change nothing, and are an event
    /// (WARN, once per cause). If no connection can be made with new settings, the earlier
    /// connections stay, and that is an event, too.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use grpc_resilience::channel::{Certificate, Channel, Identity, TlsConfig};
    /// use std::fs::read;
    /// use tokio::sync::watch;
    ///
    /// fn settings() -> std::io::Result<TlsConfig> {
    ///     let ca = Certificate::from_pem(read("/etc/orders/ca.crt")?);
    ///     let (cert, key) = (read("/etc/orders/tls.crt")?, read("/etc/orders/tls.key")?);
    ///     Ok(TlsConfig::new().ca_certificate(ca).identity(Identity::from_pem(cert, key)))
    /// }
    ///
    /// let (newest, receiver) = watch::channel(settings()?);
    /// let channel = Channel::builder("https://10.0.0.1:50051")
    ///     .tls_config_from(receiver)
    ///     .build()?;
    /// // Whenever the files have changed:
    /// newest.send_replace(settings()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tls_config_from(mut self, configs: watch::Receiver<TlsConfig>) -> Self {
        self.tls = TlsSource::Watched(configs);
        self
    }

    /// The product that the `user-agent` header names, such as `orders-client/1.0`: after that of
    /// the request, and before `grpc-resilience/..`, which is always there. Default: none.
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

    /// Limits the calls that wait for a connection or a stream. A further call fails at once with
    /// RESOURCE_EXHAUSTED (CONTRACT W7). Default: 10,000, a few seconds of a busy client's calls.
    pub fn max_waiting(mut self, calls: usize) -> Self {
        self.config.waiting.calls = calls;
        self
    }

    /// Limits the bytes of the requests of waiting calls: their headers, and of their bodies the
    /// first message, or all of it if it is one message. What a stream has not produced yet is not
    /// counted. A further call fails at once with RESOURCE_EXHAUSTED (CONTRACT W7). Default:
    /// 64 MiB, a share of memory that a container can be expected to spare.
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.config.waiting.bytes = bytes;
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

    /// The channel, which begins to connect to every endpoint.
    ///
    /// # Errors
    ///
    /// [`InvalidChannel`] names each setting that can't be, and a build outside of a tokio runtime.
    pub fn build(mut self) -> Result<Channel, InvalidChannel> {
        let mut faults = Faults::default();
        let target = match target::parse(&self.target, self.tls.is_set()) {
            Ok(target) => Some(target),
            Err(text) => {
                faults.add("builder", target::shown(&text));
                None
            }
        };
        let has_tls = target
            .as_ref()
            .map_or(self.tls.is_set(), |target| self.tls.is_on(target.is_tls));
        let authority = target.as_ref().map(|it| &it.authority);
        let heads = self.heads(authority, has_tls, &mut faults);
        let tls = std::mem::take(&mut self.tls);
        let security = has_tls.then(|| {
            let origin = self.origin.as_ref().and_then(Uri::authority);
            let is_plain = target.as_ref().is_some_and(|target| !target.is_tls);
            tls.check(is_plain, PeerName::of(origin, authority), &mut faults)
        });
        self.config.check(&mut faults);
        self.check_health(&mut faults);
        self.resolve.check(&mut faults);
        #[cfg(feature = "consul")]
        let asks_consul = target.as_ref().is_none_or(|it| it.source.asks_consul());
        #[cfg(feature = "consul")]
        self.resolve.check_consul(asks_consul, &mut faults);
        let runtime = Handle::try_current();
        faults.check("build", runtime.is_ok(), || {
            "a channel is built within the tokio runtime on which its connections run".into()
        });
        match (target, heads, runtime) {
            (Some(target), Some(heads), Ok(runtime)) if faults.is_empty() => {
                Ok(self.start(&target, heads, security.flatten(), runtime))
            }
            _ => Err(InvalidChannel::new(faults)),
        }
    }

    fn heads(
        &self,
        authority: Option<&Authority>,
        has_tls: bool,
        faults: &mut Faults,
    ) -> Option<Heads> {
        let scheme = if has_tls { Scheme::HTTPS } else { Scheme::HTTP };
        let (scheme, authority) = match &self.origin {
            Some(origin) => (origin.scheme().cloned(), origin.authority().cloned()),
            None => (Some(scheme), authority.cloned()),
        };
        if let Some(origin) = &self.origin {
            faults.check("origin", scheme.is_some() && authority.is_some(), || {
                format!("`{origin}` needs a scheme and an authority")
            });
        }
        let user_agent = match &self.user_agent {
            Some(user) => HeaderValue::try_from(format!("{user} {USER_AGENT}")),
            // A clone of a static value changes no reference count.
            None => Ok(HeaderValue::from_static(USER_AGENT)),
        };
        faults.check("user_agent", user_agent.is_ok(), || {
            let user = self.user_agent.as_deref().unwrap_or_default();
            format!("{user:?} is no value of a header")
        });
        Some(Heads::new(scheme?, authority?, user_agent.ok()?))
    }

    fn start(
        self,
        target: &Target,
        heads: Heads,
        security: Option<Security>,
        runtime: Handle,
    ) -> Channel {
        let waiting = self.config.waiting;
        let (settings, sockets) = self.config.split();
        let mut connector = self.connector.unwrap_or_else(|| Arc::new(sockets));
        let mut reload = None;
        if let Some(security) = security {
            let tls = Arc::new(Tls::new(connector, security.secure));
            reload = security.reload.map(|reload| (reload, Arc::clone(&tls)));
            connector = tls;
        }
        let lines = Arc::new(Lines::new(waiting, &runtime));
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
        let core = Arc::new(Core::new(shared, board, name, self.picker, task));
        if let Some((reload, tls)) = reload {
            reload.start(tls, &core, &core.shared.runtime);
        }
        Channel::of(core)
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
    /// | `https://orders.prod:50051` | the same, with TLS |
    /// | `unix:/run/orders.sock` | a Unix socket |
    /// | `unix-abstract:orders` | a Unix socket in Linux's abstract namespace |
    /// | `consul://127.0.0.1:8500/orders` | the service's instances that pass (feature `consul`) |
    /// | `multi:///a:1,dns:///b` | all addresses of these targets |
    ///
    /// The default port is 443 with TLS, else 80. How names are looked up,
    /// [`resolve`](super::resolve) says; for addresses from elsewhere see [`Builder::resolver`].
    pub fn builder(target: impl Into<String>) -> Builder {
        Builder::new(target.into())
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("target", &target::shown(&self.target))
            .finish_non_exhaustive()
    }
}
