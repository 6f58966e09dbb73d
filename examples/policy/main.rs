//! A retry policy of one's own, over a real server: `cargo run --example policy`.
//!
//! The policy is in `decision.rs`. The server answers two bids with ABORTED, the next with
//! UNAVAILABLE, and takes the fourth; under the standard policy the call ends at the first. If it ends
//! otherwise, the program fails.

mod decision;
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
use std::sync::atomic::{AtomicUsize, Ordering};

use grpc_resilience::retry::{BeforeAttempt, NextAttempt, Policies, RetryLayer, RetryPolicy};
use grpc_resilience::{GiveUp, Resilience};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};

use decision::Collisions;
use proto::auction_client::AuctionClient;
use proto::auction_server::{Auction, AuctionServer};
use proto::{BidReply, BidRequest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (standard, own) = (RetryPolicy::new(), Collisions::default());
    for (name, policies, code) in [
        (
            "the standard policy",
            Policies::new(standard),
            Code::Aborted,
        ),
        ("a policy of one's own", Policies::new(own), Code::Ok),
    ] {
        println!("{name}:");
        let channel = Endpoint::try_from(format!("http://{}", serve().await?))?.connect_lazy();
        if bid(channel, policies).await? != code {
            return Err(format!("under {name} the bid should end with {code:?}").into());
        }
    }
    Ok(())
}

async fn bid(channel: Channel, policies: Policies) -> Result<Code, Box<dyn Error>> {
    let start = Instant::now();
    let telling = BeforeAttempt::new(move |next: NextAttempt| async move {
        let why = next.last_failure().map(ToString::to_string);
        let why = why.map_or_else(String::new, |why| format!("after {why}"));
        println!(
            "  {:>6.1?}  attempt {}  {why}",
            start.elapsed(),
            next.number()
        );
        Ok(next)
    });
    let channel = Resilience::new()
        .idempotent("/policy.v1.Auction/Bid")?
        .retry_layer(RetryLayer::new(policies).before_attempt(telling))
        .wrap(channel);
    match AuctionClient::new(channel)
        .bid(BidRequest { amount: 7 })
        .await
    {
        Ok(_) => {
            println!("  {:>6.1?}  the bid stands\n", start.elapsed());
            Ok(Code::Ok)
        }
        Err(status) => {
            let reason = GiveUp::find(&status).map_or("", GiveUp::name);
            println!(
                "  {:>6.1?}  {:?}: {reason}\n",
                start.elapsed(),
                status.code()
            );
            Ok(status.code())
        }
    }
}

/// Collides twice, is down once, and then takes the bid.
#[derive(Default)]
struct House {
    bids: AtomicUsize,
}

#[tonic::async_trait]
impl Auction for House {
    async fn bid(&self, _: Request<BidRequest>) -> Result<Response<BidReply>, Status> {
        match self.bids.fetch_add(1, Ordering::Relaxed) {
            0..2 => Err(Status::new(Code::Aborted, "another bid came first")),
            2 => Err(Status::unavailable("the house changes its auctioneer")),
            _ => Ok(Response::new(BidReply {})),
        }
    }
}

async fn serve() -> Result<SocketAddr, Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let house = AuctionServer::new(House::default());
    let serving = Server::builder().add_service(house);
    tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    Ok(address)
}
