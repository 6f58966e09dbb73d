use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A request, whole.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// With its parameters.
    pub(super) path: String,
    /// As they came.
    pub(super) headers: String,
    pub(super) token: Option<String>,
    pub(super) body: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) index: Option<u64>,
    pub(super) body: Vec<u8>,
}

const END: &[u8] = b"\r\n\r\n";

impl Request {
    pub(super) async fn read(socket: &mut TcpStream) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let (head, mut body) = loop {
            if let Some(parts) = divided(&bytes) {
                break parts;
            }
            more(socket, &mut bytes).await?;
        };
        let length = header(&head, "content-length").and_then(|it| it.parse().ok());
        let length: usize = length.unwrap_or(0);
        while body.len() < length {
            more(socket, &mut body).await?;
        }
        let mut words = head.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        Ok(Self {
            method: word(),
            path: word(),
            token: header(&head, "x-consul-token").map(str::to_owned),
            body,
            headers: head,
        })
    }

    /// The path without its parameters.
    pub(super) fn place(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// The values of a parameter.
    pub(super) fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|it| it.split_once('='));
        pairs.filter(move |(key, _)| *key == name).map(|(_, it)| it)
    }

    pub(super) fn index(&self) -> Option<u64> {
        self.parameters("index").next()?.parse().ok()
    }
}

impl Response {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            index: None,
            body: body.into(),
        }
    }

    pub(super) async fn write(&self, socket: &mut TcpStream) -> io::Result<()> {
        self.write_part(socket, self.body.len()).await
    }

    /// The head and this much of the body.
    pub(super) async fn write_part(&self, socket: &mut TcpStream, part: usize) -> io::Result<()> {
        let Self { status, body, .. } = self;
        let length = body.len();
        let mut bytes = format!(
            "HTTP/1.1 {status} Status\r\ncontent-length: {length}\r\nconnection: close\r\n"
        );
        if let Some(index) = self.index {
            bytes.extend(["X-Consul-Index: ", &index.to_string(), "\r\n"]);
        }
        bytes.push_str("\r\n");
        let body = body.get(..part).unwrap_or(body);
        let bytes = [bytes.as_bytes(), body].concat();
        socket.write_all(&bytes).await?;
        socket.shutdown().await
    }
}

pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let pairs = head.lines().filter_map(|line| line.split_once(':'));
    let mut pairs = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    pairs.next().map(|(_, value)| value.trim())
}

/// A head, and what is there of the body after it.
pub(super) fn divided(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let end = bytes.windows(END.len()).position(|it| it == END)?;
    let (head, rest) = bytes.split_at_checked(end + END.len())?;
    Some((String::from_utf8_lossy(head).into_owned(), rest.to_vec()))
}

async fn more(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    if socket.read_buf(bytes).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}
