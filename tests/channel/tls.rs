//! TLS: handshakes, and the errors of those that fail.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::{
    Builder, Certificate, Channel, Connectivity, DialError, Identity, Phase, TlsConfig,
};
use grpc_resilience::classify::{ConnectFault, Reason, TransportError};
use grpc_resilience::{BoxError, Resilience};
use test_protos::{EchoClient, EchoRequest};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixListener;
use tokio_rustls::rustls::ServerConfig;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{UnboundedReceiverStream, UnixListenerStream};
use tonic::Code;

use crate::common::log::Ear;
use crate::common::net::Net;
use crate::common::tls::{Authority, Served, config_of, serve, serve_tcp};
use crate::common::*;

/// A server in memory at 10.0.0.1.
fn serve_at(net: &Net, address: &str, config: ServerConfig) -> Served {
    serve(config, UnboundedReceiverStream::new(net.accept(address)))
}

fn to(net: &Net, config: TlsConfig) -> Builder {
    Channel::builder("https://10.0.0.1")
        .connector(net.clone())
        .connect_timeout(200 * MS)
        .tls_config(config)
}

const SERVER: &str = "10.0.0.1:443";

fn dial(error: &TransportError) -> &DialError {
    let mut link: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = link {
        if let Some(dial) = error.downcast_ref::<DialError>() {
            return dial;
        }
        link = error.source();
    }
    panic!("{error:?} has no dial error")
}

async fn dial_error(builder: Builder) -> TransportError {
    let channel = builder.build().unwrap();
    // A call waits for the first dial, and fails with its error.
    call(&channel).await.unwrap_err()
}

// CONTRACT C1
#[tokio::test]
async fn calls_go_to_a_server_that_a_given_root_trusts() {
    let authority = Authority::new();
    let (server, uri) = serve_tcp(config_of(&authority.sign("orders.test"), None)).await;
    let config = authority.trusted().domain_name("orders.test");
    let channel = connected(Channel::builder(uri).tls_config(config)).await;
    for _ in 0..10 {
        succeeds(&channel).await;
    }
    let shown = server.shown();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].sni.as_deref(), Some("orders.test"));
    assert_eq!(shown[0].certificate, None);
}

#[tokio::test(start_paused = true)]
async fn a_root_that_is_given_as_an_anchor_is_trusted() {
    let (net, authority) = (Net::default(), Authority::new());
    let _server = serve_at(&net, SERVER, config_of(&authority.sign("10.0.0.1"), None));
    let anchors = authority.roots().roots;
    let config = TlsConfig::new().trust_anchors(anchors.clone());
    succeeds(&connected(to(&net, config)).await).await;
    let config = TlsConfig::new().trust_anchor(anchors[0].clone());
    succeeds(&connected(to(&net, config)).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_may_have_several_roots() {
    let (net, authority) = (Net::default(), Authority::new());
    let _server = serve_at(&net, SERVER, config_of(&authority.sign("10.0.0.1"), None));
    let (one, other) = (Authority::new().certificate(), authority.certificate());
    let bundle = Certificate::from_pem([one.as_ref(), other.as_ref()].concat());
    let config = TlsConfig::new().ca_certificate(bundle);
    succeeds(&connected(to(&net, config)).await).await;
}

// CONTRACT N1
#[tokio::test(start_paused = true)]
async fn requests_have_the_scheme_https_and_the_target_as_their_authority() {
    let (net, authority) = (Net::default(), Authority::new());
    let mut accepted = net.accept(SERVER);
    let config = config_of(&authority.sign("10.0.0.1"), None);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let channel = to(&net, authority.trusted()).build().unwrap();
    let _call = spawn(&channel);
    let io = acceptor
        .accept(accepted.recv().await.unwrap())
        .await
        .unwrap();
    let mut server = h2::server::handshake(io).await.unwrap();
    let (request, _) = server.accept().await.unwrap().unwrap();
    let uri = request.uri().to_string();
    assert!(uri.starts_with("https://10.0.0.1/"), "{uri}");
}

// CONTRACT C2
#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_may_have_tls() {
    let authority = Authority::new();
    let folder = std::env::temp_dir().join(format!("grpc-resilience-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("orders.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let incoming = UnixListenerStream::new(listener).filter_map(Result::ok);
    let server = serve(config_of(&authority.sign("localhost"), None), incoming);
    let target = format!("unix:{}", path.display());
    let builder = Channel::builder(target).tls_config(authority.trusted());
    let channel = connected(builder).await;
    std::fs::remove_dir_all(folder).unwrap();
    succeeds(&channel).await;
    assert_eq!(server.newest().unwrap().sni.as_deref(), Some("localhost"));
}

#[tokio::test(start_paused = true)]
async fn a_client_certificate_is_sent_to_a_server_that_asks_for_one() {
    let (net, authority) = (Net::default(), Authority::new());
    let own = authority.sign("10.0.0.1");
    let server = serve_at(&net, SERVER, config_of(&own, Some(&authority)));
    let client = authority.sign("client.test");
    let config = authority.trusted().identity(client.identity());
    let channel = connected(to(&net, config)).await;
    succeeds(&channel).await;
    assert_eq!(server.newest().unwrap().certificate, Some(client.der()));
}

// CONTRACT R19
#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_a_client_without_a_certificate_is_a_named_fault() {
    let (net, authority) = (Net::default(), Authority::new());
    let own = authority.sign("10.0.0.1");
    let _server = serve_at(&net, SERVER, config_of(&own, Some(&authority)));
    let error = dial_error(to(&net, authority.trusted())).await;
    // The client's part of the handshake is done before the server looks at it (TLS 1.3).
    assert_eq!(dial(&error).phase(), Phase::Settings);
    assert_eq!(error.connect_fault(), Some(ConnectFault::TlsRefused));
    let text = error.message();
    assert!(text.contains("CertificateRequired"), "{text}");
}

// CONTRACT C2, C17, R19; GO-bad-certificates
#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_not_trusted_is_a_fault_with_its_remedy() {
    let authority = Authority::new();
    for (name, year, trusted, fault, remedy) in [
        (
            "10.0.0.1",
            2100,
            &Authority::new(),
            ConnectFault::UntrustedCertificate,
            "authority",
        ),
        (
            "stock.test",
            2100,
            &authority,
            ConnectFault::WrongName,
            "domain_name",
        ),
        (
            "10.0.0.2",
            2100,
            &authority,
            ConnectFault::WrongName,
            "domain_name",
        ),
        (
            "10.0.0.1",
            2020,
            &authority,
            ConnectFault::CertificateExpired,
            "renew",
        ),
    ] {
        let net = Net::default();
        let _server = serve_at(
            &net,
            SERVER,
            config_of(&authority.sign_until(name, year), None),
        );
        let builder = || to(&net, trusted.trusted());

        let error = dial_error(builder()).await;
        assert_eq!(dial(&error).phase(), Phase::Tls);
        assert_eq!(dial(&error).endpoint(), SERVER);
        assert!(!dial(&error).is_timeout());
        assert_eq!(error.verdict().reason, Reason::ConnectFailed);
        assert_named(&error, error.message(), fault, remedy);
        let text = error.message();
        assert!(text.contains("doing the TLS handshake"), "{text}");

        // A call that waits may see a new certificate, so it waits, and then names the fault.
        let channel = builder().build().unwrap();
        let mut patient = request();
        patient
            .call_options()
            .wait_for_ready()
            .timeout(Duration::from_secs(3));
        let error = send(&channel, patient).await.unwrap_err();
        assert_eq!(error.verdict().reason, Reason::TransportTimedOut);
        assert_named(&error, error.message(), fault, remedy);

        let stack = Resilience::new().wrap(builder().build().unwrap());
        let mut patient = tonic::Request::new(EchoRequest::default());
        patient
            .call_options()
            .wait_for_ready()
            .timeout(Duration::from_secs(3));
        let status = EchoClient::new(stack).unary(patient).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_named(&status, status.message(), fault, remedy);

        let stack = Resilience::new().wrap(builder().build().unwrap());
        let mut hurried = tonic::Request::new(EchoRequest::default());
        hurried.call_options().fail_fast().never_retry();
        let status = EchoClient::new(stack).unary(hurried).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_named(&status, status.message(), fault, remedy);
    }
}

fn assert_named(
    error: &(dyn std::error::Error + 'static),
    text: &str,
    fault: ConnectFault,
    remedy: &str,
) {
    assert_eq!(ConnectFault::find(error), Some(fault), "{error:?}");
    assert!(text.contains("invalid peer certificate"), "{text}");
    let remedies = text.matches("waiting rarely cures this").count();
    assert_eq!(remedies, 1, "{text}");
    assert!(text.contains(remedy), "{text}");
}

// CONTRACT R19
#[tokio::test(start_paused = true)]
async fn a_fault_that_waiting_rarely_cures_is_one_warning_until_it_changes() {
    let ear = Ear::new();
    let (net, authority) = (Net::default(), Authority::new());
    let channel = to(&net, authority.trusted()).build().unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(
        ear.count("WARN"),
        0,
        "a server that is down: {}",
        ear.text()
    );
    let right = config_of(&authority.sign("10.0.0.1"), None);
    let untrusted = config_of(&Authority::new().sign("10.0.0.1"), None);
    let misnamed = config_of(&authority.sign("stock.test"), None);
    let mut warnings = Vec::new();
    for (config, fault) in [
        (untrusted, Some("untrusted_certificate")),
        (misnamed.clone(), Some("wrong_name")),
        (right, None),
        (misnamed, Some("wrong_name")),
    ] {
        let server = serve_at(&net, SERVER, config);
        tokio::time::sleep(Duration::from_secs(60)).await;
        warnings.extend(fault.map(|fault| format!("fault=\"{fault}\"")));
        let text = ear.text();
        let told: Vec<_> = text.lines().filter(|it| it.contains("WARN")).collect();
        assert_eq!(told.len(), warnings.len(), "{text}");
        let mut pairs = told.iter().zip(&warnings);
        assert!(pairs.all(|(told, fault)| told.contains(fault)), "{text}");
        assert_eq!(channel.state() == Connectivity::Ready, fault.is_none());
        // In between it is down, which is no fault.
        net.refuse(SERVER);
        server.end().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

// Where the environment is set: it is the process's, so that another one is needed.
#[tokio::test]
async fn keys_are_written_to_the_file_that_the_environment_names() {
    const FILE: &str = "SSLKEYLOGFILE";
    let Ok(path) = std::env::var(FILE) else {
        let name = format!("grpc-resilience-keys-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let this = "tls::keys_are_written_to_the_file_that_the_environment_names";
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this])
            .env(FILE, &path)
            .output()
            .unwrap();
        let _ = std::fs::remove_file(path);
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && text.contains("1 passed"), "{text}");
        return;
    };
    let (net, authority) = (Net::default(), Authority::new());
    let _server = serve_at(&net, SERVER, config_of(&authority.sign("10.0.0.1"), None));
    succeeds(&connected(to(&net, authority.trusted())).await).await;
    assert!(!std::path::Path::new(&path).exists());
    succeeds(&connected(to(&net, authority.trusted().use_key_log())).await).await;
    let keys = std::fs::read_to_string(path).unwrap();
    assert!(keys.contains("CLIENT_TRAFFIC_SECRET_0"), "{keys}");
}

// CONTRACT C2, R19
#[tokio::test]
async fn a_server_that_does_not_offer_http2_is_a_named_fault() {
    let authority = Authority::new();
    for (protocols, word) in [
        (vec![], "did not negotiate HTTP/2 by ALPN"),
        (vec![b"http/1.1".to_vec()], "NoApplicationProtocol"),
    ] {
        let mut config = config_of(&authority.sign("127.0.0.1"), None);
        config.alpn_protocols = protocols;
        let (_server, uri) = serve_tcp(config).await;
        let builder = Channel::builder(uri).tls_config(authority.trusted());
        let error = dial_error(builder).await;
        assert_eq!(dial(&error).phase(), Phase::Tls);
        let fault = Some(ConnectFault::Http2NotNegotiated);
        assert_eq!(error.connect_fault(), fault, "{error:?}");
        let text = error.message();
        assert!(
            text.contains(word) && text.contains("assume_http2"),
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_by_alpn_is_taken_for_one_of_http2_on_request() {
    let (net, authority) = (Net::default(), Authority::new());
    let mut config = config_of(&authority.sign("10.0.0.1"), None);
    config.alpn_protocols.clear();
    let _server = serve_at(&net, SERVER, config);
    let assumed = authority.trusted().assume_http2(true);
    succeeds(&connected(to(&net, assumed)).await).await;
}

// CONTRACT C18, R19
#[tokio::test(start_paused = true)]
async fn tls_to_a_plain_server_is_a_named_fault() {
    let (net, authority) = (Net::default(), Authority::new());
    let _server = net.serve(SERVER);
    let error = dial_error(to(&net, authority.trusted())).await;
    assert_eq!(dial(&error).phase(), Phase::Tls);
    assert_eq!(
        error.connect_fault(),
        Some(ConnectFault::NotTls),
        "{error:?}"
    );
}

// CONTRACT C18, R19
#[tokio::test(start_paused = true)]
async fn no_tls_to_a_tls_server_is_a_named_fault() {
    let (net, authority) = (Net::default(), Authority::new());
    let _server = serve_at(
        &net,
        "10.0.0.1:80",
        config_of(&authority.sign("10.0.0.1"), None),
    );
    let builder = Channel::builder("http://10.0.0.1").connector(net.clone());
    let error = dial_error(builder).await;
    assert_eq!(dial(&error).phase(), Phase::Settings);
    assert_eq!(
        error.connect_fault(),
        Some(ConnectFault::NotHttp2),
        "{error:?}"
    );
}

// CONTRACT C2
#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_in_the_tls_handshake_is_given_up_with_the_connect_timeout() {
    let (net, authority) = (Net::default(), Authority::new());
    let mut accepted = net.accept(SERVER);
    let begin = tokio::time::Instant::now();
    let error = dial_error(to(&net, authority.trusted())).await;
    assert_eq!(dial(&error).phase(), Phase::Tls);
    assert!(dial(&error).is_timeout());
    let taken = begin.elapsed();
    assert!(taken >= 200 * MS && taken < 210 * MS, "{taken:?}");
    assert!(accepted.recv().await.is_some());
}

// CONTRACT N1
#[tokio::test(start_paused = true)]
async fn an_ip_address_is_checked_and_not_sent_as_a_name() {
    let authority = Authority::new();
    for domain_name in [None, Some("10.0.0.1")] {
        let net = Net::default();
        let server = serve_at(&net, SERVER, config_of(&authority.sign("10.0.0.1"), None));
        let mut config = authority.trusted();
        if let Some(name) = domain_name {
            config = config.domain_name(name);
        }
        succeeds(&connected(to(&net, config)).await).await;
        assert_eq!(server.newest().unwrap().sni, None);
    }
}

// CONTRACT N1
#[tokio::test(start_paused = true)]
async fn each_address_of_a_list_has_a_certificate_of_its_own() {
    let (net, authority) = (Net::default(), Authority::new());
    let names = ["10.0.0.1", "10.0.0.2"];
    let servers = names.map(|name| {
        let config = config_of(&authority.sign(name), None);
        serve_at(&net, &format!("{name}:443"), config)
    });
    let builder = Channel::builder("ipv4:10.0.0.1,10.0.0.2")
        .connector(net.clone())
        .tls_config(authority.trusted());
    let channel = builder.build().unwrap();
    until(|| connections(&channel) == 2).await;
    assert!(servers.iter().all(|server| server.shown().len() == 1));
    // One name for all is none of them.
    let builder = Channel::builder("ipv4:10.0.0.1,10.0.0.2")
        .connector(net.clone())
        .tls_config(authority.trusted().domain_name("10.0.0.1"));
    let channel = builder.build().unwrap();
    until(|| {
        channel
            .snapshot()
            .endpoints
            .get(1)
            .is_some_and(|it| it.error.is_some())
    })
    .await;
    assert_eq!(connections(&channel), 1);
}

// CONTRACT N1
#[tokio::test(start_paused = true)]
async fn the_host_of_an_origin_is_the_server_s_name() {
    let (net, authority) = (Net::default(), Authority::new());
    let server = serve_at(
        &net,
        SERVER,
        config_of(&authority.sign("orders.test"), None),
    );
    let origin = "https://orders.test:7000".parse().unwrap();
    let builder = to(&net, authority.trusted()).origin(origin);
    succeeds(&connected(builder).await).await;
    assert_eq!(server.newest().unwrap().sni.as_deref(), Some("orders.test"));
}

// rustls panics where two providers are built in, and none is the default
#[cfg(feature = "tls-aws-lc")]
#[tokio::test(start_paused = true)]
async fn a_process_with_two_providers_and_no_default_has_tls_all_the_same() {
    use tokio_rustls::rustls::crypto::CryptoProvider;

    assert!(CryptoProvider::get_default().is_none());
    let has_none = std::panic::catch_unwind(tokio_rustls::rustls::ClientConfig::builder);
    assert!(has_none.is_err(), "rustls has a default provider");
    let (net, authority) = (Net::default(), Authority::new());
    let _server = serve_at(&net, SERVER, config_of(&authority.sign("10.0.0.1"), None));
    succeeds(&connected(to(&net, authority.trusted())).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_target_with_https_alone_trusts_the_roots_of_the_features() {
    let (net, authority) = (Net::default(), Authority::new());
    let _server = serve_at(&net, SERVER, config_of(&authority.sign("10.0.0.1"), None));
    let builder = Channel::builder("https://10.0.0.1").connector(net.clone());
    let error = dial_error(builder).await;
    let fault = Some(ConnectFault::UntrustedCertificate);
    assert_eq!(error.connect_fault(), fault);
    // They are added to those that are given.
    for config in [
        authority.trusted().with_enabled_roots(),
        authority.trusted().with_webpki_roots(),
        authority.trusted().with_native_roots(),
    ] {
        succeeds(&connected(to(&net, config)).await).await;
    }
}

fn faults(builder: Builder) -> Vec<String> {
    let error = builder.build().unwrap_err();
    error.faults().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn settings_that_cannot_be_are_faults_all_at_once() {
    let (authority, net) = (Authority::new(), Net::default());
    let (one, other) = (authority.sign("one.test"), authority.sign("other.test"));
    let nothing = Certificate::from_pem("nothing");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (config, expected) in [
        (TlsConfig::new(), &["tls_config: it trusts no root"][..]),
        (
            TlsConfig::new()
                .ca_certificates([nothing.clone(), Certificate::from_pem(broken)])
                .domain_name("not a name")
                .identity(Identity::from_pem("nothing", "nothing")),
            &[
                "tls_config: `domain_name`: \"not a name\" is no name",
                "tls_config: `ca_certificate`: there is no certificate",
                "tls_config: `ca_certificate`: invalid peer certificate: BadEncoding",
                "tls_config: `identity`: there is no certificate",
                "tls_config: `identity`: the private key",
            ],
        ),
        (
            authority
                .trusted()
                .identity(Identity::from_pem(&one.cert, &other.key)),
            &["tls_config: `identity`: keys may not be consistent"],
        ),
    ] {
        let found = faults(to(&net, config));
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }
    let everything = Channel::builder("orders").tls_config(TlsConfig::new());
    let found = faults(everything);
    assert!(found[0].contains("is no target"), "{found:?}");
    assert!(found[1].contains("it trusts no root"), "{found:?}");
    let plain = Channel::builder("http://10.0.0.1").tls_config(authority.trusted());
    let found = faults(plain);
    assert!(found[0].contains("the target says `http`"), "{found:?}");
    assert_eq!(found.len(), 1);
}

// A transport that is TLS already
#[tokio::test(start_paused = true)]
async fn a_connector_may_bring_tls_of_its_own() {
    let (net, authority) = (Net::default(), Authority::new());
    let server = serve_at(
        &net,
        "10.0.0.1:80",
        config_of(&authority.sign("orders.test"), None),
    );
    let mut client = tokio_rustls::rustls::ClientConfig::builder_with_provider(
        tokio_rustls::rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(authority.roots())
    .with_no_client_auth();
    client.alpn_protocols.push(b"h2".to_vec());
    let tls = tokio_rustls::TlsConnector::from(Arc::new(client));
    let connector = tower::service_fn(move |address| {
        let (mut net, tls) = (net.clone(), tls.clone());
        async move {
            let io = tower::Service::call(&mut net, address).await?;
            let name = "orders.test".try_into()?;
            Ok::<_, BoxError>(tls.connect(name, io).await?)
        }
    });
    let builder = Channel::builder("ipv4:10.0.0.1").connector(connector);
    succeeds(&connected(builder).await).await;
    assert_eq!(server.newest().unwrap().sni.as_deref(), Some("orders.test"));
}

/// A transport that fails each write once it is broken, and says nothing more.
struct Broken<I> {
    io: I,
    is_broken: Arc<AtomicBool>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Broken<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_broken.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Broken<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_broken.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

// CONTRACT C16
#[tokio::test(start_paused = true)]
async fn a_write_that_fails_after_the_handshake_ends_the_connection() {
    let (net, authority) = (Net::default(), Authority::new());
    let _server = serve_at(&net, SERVER, config_of(&authority.sign("10.0.0.1"), None));
    let is_broken = Arc::<AtomicBool>::default();
    let connector = {
        let (net, is_broken) = (net.clone(), Arc::clone(&is_broken));
        tower::service_fn(move |address| {
            let (mut net, is_broken) = (net.clone(), Arc::clone(&is_broken));
            async move {
                let io = tower::Service::call(&mut net, address).await?;
                Ok::<_, BoxError>(Broken { io, is_broken })
            }
        })
    };
    let builder = to(&net, authority.trusted()).connector(connector);
    let channel = connected(builder).await;
    is_broken.store(true, Ordering::Release);
    let begin = tokio::time::Instant::now();
    let error = call(&channel).await.unwrap_err();
    assert_eq!(
        error.verdict().code,
        grpc_resilience::grpc::Code::Unavailable
    );
    let taken = begin.elapsed();
    // No keepalive PING is needed to find out.
    assert!(taken < Duration::from_secs(5), "{taken:?}");
}
