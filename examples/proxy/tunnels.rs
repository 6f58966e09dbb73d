//! A small proxy for CONNECT that knows one server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Where the proxy listens, and the authority of each tunnel that it is asked for.
pub(crate) async fn start(
    name: &'static str,
    server: SocketAddr,
) -> io::Result<(SocketAddr, UnboundedReceiver<String>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let (asking, asked) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(tunnel(client, name, server, asking.clone()));
        }
    });
    Ok((address, asked))
}

async fn tunnel(
    client: TcpStream,
    name: &str,
    server: SocketAddr,
    asking: UnboundedSender<String>,
) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let mut request = String::new();
    // Up to the empty line.
    while !request.ends_with("\r\n\r\n") && client.read_line(&mut request).await? > 0 {}
    let mut words = request.split(' ');
    let authority = match (words.next(), words.next()) {
        (Some("CONNECT"), Some(authority)) => authority.to_owned(),
        _ => return client.write_all(b"HTTP/1.1 405 Not CONNECT\r\n\r\n").await,
    };
    if !authority.starts_with(name) {
        return client.write_all(b"HTTP/1.1 502 Unknown\r\n\r\n").await;
    }
    // The receiver is gone once the program ends.
    let _ = asking.send(authority);
    let mut server = TcpStream::connect(server).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
