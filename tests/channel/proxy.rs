//! The connectors of hyper-util, as connectors of the channel.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use grpc_resilience::channel::{Builder, Channel, DialError, HyperConnector, Phase};
use grpc_resilience::classify::{ConnectFault, TransportError};
use http::HeaderValue;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use peer::{DeadPort, Peer};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::common::tls::{Authority, config_of, serve_tcp};
use crate::common::*;

/// A proxy that answers CONNECT (RFC 9110 section 9.3.6); it ends on drop.
struct Proxy {
    address: SocketAddr,
    /// The first line of each request.
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const PASSWORD: &str = "Basic b3JkZXJzOnNlY3JldA==";

impl Proxy {
    async fn start(password: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let task = tokio::spawn({
            let asked = Arc::clone(&asked);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(pass(client, Arc::clone(&asked), password));
                }
            }
        });
        Self {
            address,
            asked,
            task,
        }
    }

    fn tunnel(&self) -> Tunnel<HttpConnector> {
        let uri = format!("http://{}", self.address).parse().unwrap();
        Tunnel::new(uri, HttpConnector::new())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn pass(client: TcpStream, asked: Arc<Mutex<Vec<String>>>, password: Option<&str>) {
    let mut client = BufReader::new(client);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        client.read_line(&mut line).await.unwrap();
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    asked.lock().unwrap().push(head[0].clone());
    let authority = head[0].split(' ').nth(1).unwrap().to_owned();
    if let Some(password) = password
        && !head.contains(&format!("Proxy-Authorization: {password}"))
    {
        let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
        client.write_all(answer).await.unwrap();
        return;
    }
    let Ok(mut server) = TcpStream::connect(authority).await else {
        let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
        return;
    };
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

async fn dial_error(builder: Builder) -> TransportError {
    call(&builder.build().unwrap()).await.unwrap_err()
}

fn phase(error: &TransportError) -> Phase {
    let mut link: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = link {
        if let Some(dial) = error.downcast_ref::<DialError>() {
            return dial.phase();
        }
        link = error.source();
    }
    panic!("{error:?} has no dial error")
}

#[tokio::test]
async fn calls_go_through_a_tunnel_to_the_address_of_the_endpoint() {
    let (proxy, peer) = (Proxy::start(None).await, Peer::start([]).await);
    let connector = HyperConnector::new(proxy.tunnel());
    let channel = connected(builder(&peer).connector(connector)).await;
    succeeds(&channel).await;
    succeeds(&channel).await;
    let address = peer.uri().replace("http://", "");
    let expected = format!("CONNECT {address} HTTP/1.1");
    assert_eq!(proxy.asked(), [expected], "one tunnel for both calls");
}

#[tokio::test]
async fn tls_is_made_inside_the_tunnel() {
    let (proxy, authority) = (Proxy::start(Some(PASSWORD)).await, Authority::new());
    let own = authority.sign("orders.test");
    let (server, uri) = serve_tcp(config_of(&own, Some(&authority))).await;
    let client = authority.sign("client.test");
    let config = authority
        .trusted()
        .domain_name("orders.test")
        .identity(client.identity());
    let tunnel = proxy.tunnel().with_auth(HeaderValue::from_static(PASSWORD));
    let builder = Channel::builder(uri.clone())
        .connector(HyperConnector::new(tunnel))
        .tls_config(config);
    let channel = connected(builder).await;
    succeeds(&channel).await;
    let shown = server.newest().unwrap();
    assert_eq!(shown.sni.as_deref(), Some("orders.test"));
    assert_eq!(shown.certificate, Some(client.der()));
    let address = uri.replace("https://", "");
    assert_eq!(proxy.asked(), [format!("CONNECT {address} HTTP/1.1")]);
}

#[tokio::test]
async fn a_destination_is_asked_for_in_place_of_the_address() {
    let (proxy, authority) = (Proxy::start(None).await, Authority::new());
    let (_server, uri) = serve_tcp(config_of(&authority.sign("localhost"), None)).await;
    // The proxy resolves it.
    let named = uri.replace("127.0.0.1", "localhost");
    let connector = HyperConnector::new(proxy.tunnel()).destination(named.parse().unwrap());
    let builder = Channel::builder("https://192.0.2.1")
        .origin(named.parse().unwrap())
        .connector(connector)
        .tls_config(authority.trusted());
    succeeds(&connected(builder).await).await;
    let authority = named.replace("https://", "");
    assert_eq!(proxy.asked(), [format!("CONNECT {authority} HTTP/1.1")]);
}

// CONTRACT R19
#[tokio::test]
async fn a_proxy_that_wants_a_password_is_a_named_fault() {
    let (proxy, peer) = (Proxy::start(Some(PASSWORD)).await, Peer::start([]).await);
    let connector = HyperConnector::new(proxy.tunnel());
    let error = dial_error(builder(&peer).connector(connector)).await;
    assert_eq!(phase(&error), Phase::Connect);
    let fault = Some(ConnectFault::ProxyAuthentication);
    assert_eq!(error.connect_fault(), fault, "{error:?}");
}

// CONTRACT C2
#[tokio::test]
async fn a_tunnel_that_cannot_be_made_is_a_failed_dial() {
    let (proxy, port) = (Proxy::start(None).await, DeadPort::new());
    let connector = HyperConnector::new(proxy.tunnel());
    let error = dial_error(Channel::builder(port.uri()).connector(connector)).await;
    assert_eq!(phase(&error), Phase::Connect);
    let text = error.message();
    assert!(text.contains("tunnel error"), "{text}");
    assert_eq!(error.connect_fault(), None);
}
