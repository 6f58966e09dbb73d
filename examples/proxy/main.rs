//! Through a proxy, with TLS inside the tunnel: `cargo run --example proxy`.
//!
//! The client can neither reach nor resolve `auction.internal`; the proxy can. The channel asks it
//! for a tunnel by way of hyper-util's connector, and speaks TLS with the server inside: the proxy
//! sees no request. If the bid fails, or goes another way, the program fails.

mod tunnels;

mod proto {
    //! Generated code of `auction.proto`.
    #![allow(
        clippy::pedantic,
        missing_docs,
        unreachable_pub,
        unnameable_types,
        reason = "generated"
    )]
    tonic::include_proto!("policy.v1");
}

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use grpc_resilience::Resilience;
use grpc_resilience::channel::{Certificate, Channel, HyperConnector, TlsConfig};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use rcgen::CertifiedKey;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use proto::auction_client::AuctionClient;
use proto::auction_server::{Auction, AuctionServer};
use proto::{BidReply, BidRequest};

const NAME: &str = "auction.internal";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let signed = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let trusted = Certificate::from_pem(signed.cert.pem());
    let server = serve(&signed).await?;
    let (proxy, mut asked) = tunnels::start(NAME, server).await?;

    let tunnel = Tunnel::new(format!("http://{proxy}").parse()?, HttpConnector::new());
    let uri = format!("https://{NAME}:443");
    // The address is never used: the proxy is asked for the name.
    let channel = Channel::builder("https://192.0.2.1")
        .origin(uri.parse()?)
        .connector(HyperConnector::new(tunnel).destination(uri.parse()?))
        .tls_config(TlsConfig::new().ca_certificate(trusted))
        .build()?;
    let mut auction = AuctionClient::new(Resilience::new().wrap(channel));
    auction.bid(BidRequest { amount: 7 }).await?;

    let asked = asked.recv().await.ok_or("the proxy was not asked")?;
    println!("the proxy was asked for {asked}");
    println!("the bid stands");
    if asked != format!("{NAME}:443") {
        return Err("the proxy was asked for another server".into());
    }
    Ok(())
}

/// Takes each bid.
struct House;

#[tonic::async_trait]
impl Auction for House {
    async fn bid(&self, _: Request<BidRequest>) -> Result<Response<BidReply>, Status> {
        Ok(Response::new(BidReply {}))
    }
}

async fn serve(signed: &CertifiedKey<rcgen::KeyPair>) -> Result<SocketAddr, Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let identity = Identity::from_pem(signed.cert.pem(), signed.signing_key.serialize_pem());
    let serving = Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))?
        .add_service(AuctionServer::new(House));
    tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(address)
}
