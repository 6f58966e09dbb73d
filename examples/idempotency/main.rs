//! Each way to declare a method, and what it changes: `cargo run --example idempotency`.
//!
//! The declarations are in `declared.rs`. A depot does what each call asks for, and then the
//! connection is lost before the answer: what comes again runs again, unless the server knows its key.
//! So a call is repeated only if somebody declared it. The rows of the table say who did, what the
//! server saw, and what the caller got; a row that is not as it should be makes the program fail.

mod caller;
mod declared;
mod depot;
mod expected;
mod link;
mod proto;
mod table;

use std::error::Error;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::{CallOptionsExt, Resilience};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};

use caller::{Caller, Client};
use depot::{Book, Depot};
use link::Cut;
use proto::depot_client::DepotClient;
use proto::depot_methods::{FIND, GET_LABEL, GET_NEXT, PUT_ADDRESS, SEND, SET_WEIGHT, SHIFT};
use proto::depot_server::DepotServer;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut caller = start().await?;
    call_all(&mut caller).await;
    let rows = &caller.rows;
    let unannotated = caller.layer.unannotated_methods();
    println!("{}", table::table(rows));
    println!(
        "Each call's first attempt reached the depot and ran, and then the connection was lost.\n\
         Nobody said of these methods whether they may be repeated: {}",
        unannotated.join(", ")
    );
    let surprises = expected::surprises(rows, &unannotated);
    for surprise in &surprises {
        eprintln!("not as expected: {surprise}");
    }
    Ok(if surprises.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn call_all(caller: &mut Caller) {
    caller
        .call("idempotency_level = NO_SIDE_EFFECTS", FIND, Client::find)
        .await;
    caller
        .call(
            ".idempotent(PUT_ADDRESS.path())",
            PUT_ADDRESS,
            Client::put_address,
        )
        .await;
    caller
        .call(
            ".no_side_effects(\"/depot.v1.Depot/Get*\")",
            GET_LABEL,
            Client::get_label,
        )
        .await;
    caller
        .call(
            ".not_idempotent(GET_NEXT.path())",
            GET_NEXT,
            Client::get_next,
        )
        .await;
    caller
        .call(
            ".idempotent_if(|method| ..)",
            SET_WEIGHT,
            Client::set_weight,
        )
        .await;
    caller
        .call(".key(SEND.path(), ..)", SEND, Client::send)
        .await;
    let mut request = caller.request();
    request.call_options().idempotent();
    caller
        .send(
            "request.call_options().idempotent()",
            SHIFT,
            request,
            Client::shift,
        )
        .await;
    caller.call("nowhere", SHIFT, Client::shift).await;
}

/// A depot, the way to it, and who calls it.
async fn start() -> Result<Caller, Box<dyn Error>> {
    let (book, cut) = (Arc::<Book>::default(), Cut::default());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = link::open(listener.local_addr()?, cut.clone()).await?;
    let depot = DepotServer::new(Depot {
        book: Arc::clone(&book),
        cut,
    });
    let serving = Server::builder().add_service(depot);
    tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    let layer = declared::declared()?;
    let channel = Endpoint::try_from(format!("http://{address}"))?.connect_lazy();
    let channel = Resilience::new()
        .default_timeout(Duration::from_secs(30))
        .idempotency(layer.clone())
        .wrap(channel);
    Ok(Caller {
        client: DepotClient::new(channel),
        layer,
        book,
        rows: Vec::new(),
    })
}
