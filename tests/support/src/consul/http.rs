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
        let end = loop {
            if let Some(end) = find(&bytes, END) {
                break end + END.len();
            }
            more(socket, &mut bytes).await?;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = header(&head, "content-length").and_then(|it| it.parse().ok());
        let length: usize = length.unwrap_or(0);
        while bytes.len() < end + length {
            more(socket, &mut bytes).await?;
        }
        let mut words = head.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        Ok(Self {
            method: word(),
            path: word(),
            token: header(&head, "x-consul-token").map(str::to_owned),
            body: bytes[end..].to_vec(),
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
            bytes.push_str(&format!("X-Consul-Index: {index}\r\n"));
        }
        bytes.push_str("\r\n");
        let bytes = [bytes.as_bytes(), &body[..part]].concat();
        socket.write_all(&bytes).await?;
        socket.shutdown().await
    }
}

pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let pairs = head.lines().filter_map(|line| line.split_once(':'));
    let mut pairs = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    pairs.next().map(|(_, value)| value.trim())
}

pub(super) fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|it| it == part)
}

async fn more(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    if socket.read_buf(bytes).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}
