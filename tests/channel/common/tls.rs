//! Certificates, and servers that speak TLS.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use grpc_resilience::channel::{Certificate, Identity, TlsConfig};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use test_protos::EchoServer;
use testing::EchoService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Server;
use tonic::transport::server::Connected;

static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// Signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Each has a name of its own, as authorities have.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, format!("authority {number}"));
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn certificate(&self) -> Certificate {
        Certificate::from_pem(self.0.pem())
    }

    /// Settings that trust it.
    pub(crate) fn trusted(&self) -> TlsConfig {
        TlsConfig::new().ca_certificate(self.certificate())
    }

    pub(crate) fn sign(&self, name: &str) -> Signed {
        self.sign_until(name, 2100)
    }

    /// Valid until the beginning of this year.
    pub(crate) fn sign_until(&self, name: &str, year: i32) -> Signed {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        Signed {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

impl Signed {
    pub(crate) fn identity(&self) -> Identity {
        Identity::from_pem(&self.cert, &self.key)
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A server's settings: it has this certificate, and asks for one by this authority.
pub(crate) fn config_of(own: &Signed, clients: Option<&Authority>) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        Some(authority) => {
            let roots = Arc::new(authority.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(vec![own.der()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// What a client showed in its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) sni: Option<String>,
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

/// A server that echoes over TLS; it ends on drop.
pub(crate) struct Served {
    shown: Arc<Mutex<Vec<Shown>>>,
    open: Arc<AtomicUsize>,
    goes_on: Option<oneshot::Sender<()>>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Served {
    /// Each handshake that succeeded.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        self.shown.lock().unwrap().clone()
    }

    /// Ends it, and its connections after their calls.
    pub(crate) async fn end(mut self) {
        self.goes_on.take();
        let [accepts, serves] = &mut self.tasks;
        let _ = serves.await;
        accepts.abort();
    }

    pub(crate) fn newest(&self) -> Option<Shown> {
        self.shown.lock().unwrap().last().cloned()
    }

    /// Connections that are not over.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

/// Serves what comes in.
pub(crate) fn serve<I>(
    config: ServerConfig,
    incoming: impl Stream<Item = I> + Send + 'static,
) -> Served
where
    I: AsyncRead + AsyncWrite + Connected + Send + Unpin + 'static,
{
    let shown = Arc::<Mutex<Vec<Shown>>>::default();
    let open = Arc::<AtomicUsize>::default();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (accepting, accepted) = mpsc::unbounded_channel();
    let accepts = {
        let (shown, open) = (Arc::clone(&shown), Arc::clone(&open));
        async move {
            let mut incoming = std::pin::pin!(incoming);
            while let Some(io) = incoming.next().await {
                let accept = acceptor.accept(Counted::new(io, &open));
                let (shown, accepting) = (Arc::clone(&shown), accepting.clone());
                tokio::spawn(async move {
                    let Ok(io) = accept.await else {
                        return;
                    };
                    let (_, session) = io.get_ref();
                    let certificates = session.peer_certificates();
                    shown.lock().unwrap().push(Shown {
                        sni: session.server_name().map(str::to_owned),
                        certificate: certificates.map(|chain| chain[0].clone().into_owned()),
                    });
                    let _ = accepting.send(io);
                });
            }
        }
    };
    let accepted = UnboundedReceiverStream::new(accepted).map(io::Result::Ok);
    let router = Server::builder().add_service(EchoServer::new(EchoService));
    let (goes_on, ends) = oneshot::channel::<()>();
    let ends = async move {
        let _ = ends.await;
    };
    let serves = async move {
        let _ = router.serve_with_incoming_shutdown(accepted, ends).await;
    };
    Served {
        goes_on: Some(goes_on),
        shown,
        open,
        tasks: [tokio::spawn(accepts), tokio::spawn(serves)],
    }
}

/// On a port of loopback: the server, and `https://127.0.0.1:port`.
pub(crate) async fn serve_tcp(config: ServerConfig) -> (Served, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{}", listener.local_addr().unwrap());
    let incoming = TcpListenerStream::new(listener).filter_map(Result::ok);
    (serve(config, incoming), uri)
}

/// Counts itself while it is open.
struct Counted<I> {
    io: I,
    open: Arc<AtomicUsize>,
}

impl<I> Counted<I> {
    fn new(io: I, open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::AcqRel);
        let open = Arc::clone(open);
        Self { io, open }
    }
}

impl<I> Drop for Counted<I> {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Counted<I> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Counted<I> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.io).poll_write(cx, buf)
    }

    // As sockets do: rustls writes once what it says before it closes.
    fn poll_write_vectored(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<I: Connected> Connected for Counted<I> {
    type ConnectInfo = I::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.io.connect_info()
    }
}
