use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::http::{Request, Response, divided, header};

/// Asks a real agent for this path.
pub(super) async fn forward(
    agent: SocketAddr,
    request: &Request,
    path: &str,
) -> io::Result<Response> {
    let mut socket = TcpStream::connect(agent).await?;
    let Request { method, body, .. } = request;
    // HTTP/1.0: the answer then ends with the connection, and is in one piece.
    let mut head = format!(
        "{method} {path} HTTP/1.0\r\nhost: {agent}\r\ncontent-length: {}\r\n",
        body.len()
    );
    if let Some(token) = &request.token {
        head.extend(["x-consul-token: ", token, "\r\n"]);
    }
    head.push_str("\r\n");
    socket.write_all(&[head.as_bytes(), body].concat()).await?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await?;
    let (head, body) = divided(&bytes).ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
    Ok(Response {
        status: status.ok_or(io::ErrorKind::InvalidData)?,
        index: header(&head, "x-consul-index").and_then(|it| it.parse().ok()),
        body,
    })
}
