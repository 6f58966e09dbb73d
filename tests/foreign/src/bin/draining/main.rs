//! A tonic server in a process of its own, which SIGTERM stops: by `Drain`, or as tonic does.
//!
//! The program `peers` starts it. It prints a line when it serves, one at its first call, and the
//! counts of its unary calls when it ends.

mod service;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use foreign::Failure;
use grpc_resilience::Drain;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use crate::service::{Count, service};

/// A server that SIGTERM stops.
#[derive(Debug, Parser)]
struct Args {
    /// The port of loopback, which other servers may have, too.
    #[arg(long)]
    port: u16,
    /// Stops as tonic's `serve_with_incoming_shutdown` does by itself.
    #[arg(long)]
    plain: bool,
    /// How long it serves on, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    notice: u64,
    /// When it stops at the latest, in milliseconds.
    #[arg(long, default_value_t = 3_000)]
    grace: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    foreign::run(serve(Args::parse())).await
}

async fn serve(args: Args) -> Result<ExitCode, Failure> {
    let incoming = TcpListenerStream::new(listen(args.port)?);
    let count = Count::default();
    let service = service(count.clone());
    if args.plain {
        let mut sigterm = signal(SignalKind::terminate())?;
        println!("serves");
        let stop = async {
            sigterm.recv().await;
        };
        let server = Server::builder();
        let serve = server.serve_with_incoming_shutdown(service, incoming, stop);
        serve.await?;
    } else {
        let millis = Duration::from_millis;
        let drain = Drain::builder()
            .notice(millis(args.notice))
            .grace(millis(args.grace))
            .hook_timeout(millis(500))
            .build()?;
        drain.start_on_sigterm()?;
        println!("serves");
        let server = Server::builder().layer(drain.layer());
        let incoming = drain.incoming(incoming);
        let serve = server.serve_with_incoming_shutdown(service, incoming, drain.goaway());
        drain.run(serve).await??;
    }
    println!("{count}");
    Ok(ExitCode::SUCCESS)
}

/// Two servers share the port while one of them drains, as two pods share an address.
fn listen(port: u16) -> Result<TcpListener, Failure> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    Ok(TcpListener::from_std(socket.into())?)
}
