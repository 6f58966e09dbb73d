//! The bytes of calls over a socket, and as little around them as can be.
//!
//! Any client has to write, to wait and to read. This one does nothing else: it knows its requests
//! beforehand, and looks only where a frame of an answer ends. So with one caller it shows which
//! part of a call no channel can save. With several it takes turns with the server: all that was
//! answered in one read is sent again in one write.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use benches::{Failure, call};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::subjects::Subject;
use crate::turn::{Caller, Load, Turn};

pub(crate) const FLOOR: &str = "the bytes alone";

/// One task makes all calls, over one connection.
pub(crate) fn subject(server: &str) -> Subject {
    let caller = Floor {
        server: server.to_owned(),
        socket: Mutex::default(),
    };
    Subject {
        name: FLOOR,
        retries: false,
        caller: Box::new(caller),
    }
}

struct Floor {
    server: String,
    /// Between two turns, if the first one was made.
    socket: Mutex<Option<Socket>>,
}

impl Caller for Floor {
    fn run(&self, load: Load) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + '_>> {
        Box::pin(async move { self.turn(load).await.map(|_| ()) })
    }

    fn turn(&self, load: Load) -> Pin<Box<dyn Future<Output = Result<Turn, Failure>> + '_>> {
        let kept = || self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(async move {
            let before = kept().take();
            let socket = match before {
                Some(socket) => socket,
                None => Socket::connect(&self.server).await?,
            };
            let start = Instant::now();
            let (socket, times) = tokio::spawn(socket.call(load)).await??;
            let turn = Turn::new(load, start.elapsed(), times);
            *kept() = Some(socket);
            Ok(turn)
        })
    }
}

/// The body of each request: the message, and the five bytes of its head.
fn body() -> Vec<u8> {
    let length = u8::try_from(call::MESSAGE.len()).unwrap_or(u8::MAX);
    [&[0, 0, 0, 0, length], &call::MESSAGE[..]].concat()
}

/// Frames of HTTP/2, and their flags (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Settings by their ids.
const MAX_CONCURRENT_STREAMS: [u8; 2] = [0, 3];
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];

struct Socket {
    io: TcpStream,
    read: BytesMut,
    write: Vec<u8>,
    /// The fields of each request, as HPACK has them, and its body.
    fields: Vec<u8>,
    body: Vec<u8>,
    next: u32,
    /// As many streams as the server allows.
    limit: u32,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: BytesMut,
}

impl Socket {
    /// A connection whose windows are so large that none of them is ever used up.
    async fn connect(server: &str) -> Result<Self, Failure> {
        let host = server.trim_start_matches("http://");
        let io = TcpStream::connect(host).await?;
        io.set_nodelay(true)?;
        let mut socket = Self {
            io,
            read: BytesMut::new(),
            write: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            fields: fields(host),
            body: body(),
            next: 1,
            limit: u32::MAX,
        };
        let window = (1_u32 << 30).to_be_bytes();
        let setting = [&INITIAL_WINDOW_SIZE, &window[..]].concat();
        frame(&mut socket.write, SETTINGS, 0, 0, &setting);
        frame(&mut socket.write, WINDOW_UPDATE, 0, 0, &window);
        socket.flush().await?;
        let settings = loop {
            let frame = socket.frame().await?;
            if frame.kind == SETTINGS && frame.flags & ACK == 0 {
                break frame.payload;
            }
        };
        for setting in settings.chunks_exact(6) {
            if let Some((&MAX_CONCURRENT_STREAMS, value)) = setting.split_first_chunk()
                && let Ok(value) = value.try_into()
            {
                socket.limit = u32::from_be_bytes(value);
            }
        }
        frame(&mut socket.write, SETTINGS, ACK, 0, &[]);
        Ok(socket)
    }

    /// Makes the calls, and says how long each took. As many requests leave in a write as answers
    /// came in a read.
    async fn call(mut self, load: Load) -> Result<(Self, Vec<Duration>), Failure> {
        let most = load.at_once.min(self.limit);
        let (mut left, mut open) = (load.calls, HashMap::new());
        let mut times = Vec::new();
        while left > 0 || !open.is_empty() {
            let now = Instant::now();
            while left > 0 && open.len() < usize::try_from(most)? {
                open.insert(self.next, now);
                self.begin();
                left -= 1;
            }
            self.flush().await?;
            let mut frame = Some(self.frame().await?);
            while let Some(Frame {
                kind,
                flags,
                stream,
                ..
            }) = frame
            {
                if matches!(kind, RST_STREAM | GO_AWAY) {
                    return Err("the server ended the stream or the connection".into());
                }
                let may_end = matches!(kind, DATA | HEADERS);
                if may_end && flags & END_STREAM != 0 {
                    times.extend(open.remove(&stream).map(|start| start.elapsed()));
                }
                frame = self.buffered()?;
            }
        }
        Ok((self, times))
    }

    fn begin(&mut self) {
        let stream = self.next;
        self.next += 2;
        frame(&mut self.write, HEADERS, END_HEADERS, stream, &self.fields);
        frame(&mut self.write, DATA, END_STREAM, stream, &self.body);
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        self.io.write_all(&self.write).await?;
        self.write.clear();
        Ok(())
    }

    /// The next frame.
    async fn frame(&mut self) -> Result<Frame, Failure> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(frame);
            }
            self.read.reserve(1 << 16);
            if self.io.read_buf(&mut self.read).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }

    /// The next frame, if it is there whole.
    fn buffered(&mut self) -> Result<Option<Frame>, Failure> {
        let Some((head, rest)) = self.read.split_first_chunk::<9>() else {
            return Ok(None);
        };
        let [a, b, c, kind, flags, stream @ ..] = *head;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c]))?;
        if rest.len() < length {
            return Ok(None);
        }
        let mut payload = self.read.split_to(head.len() + length);
        Ok(Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
            payload: payload.split_off(9),
        }))
    }
}

/// Those of a call, each a literal that goes into no table (RFC 7541 section 6.2.2).
fn fields(host: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", host),
        (":path", call::METHOD),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ] {
        fields.push(0);
        for text in [name, value] {
            // All are shorter than a length of one byte can say.
            fields.push(u8::try_from(text.len()).unwrap_or(0x7f) & 0x7f);
            fields.extend(text.as_bytes());
        }
    }
    fields
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let [_, length @ ..] = length.to_be_bytes();
    out.extend(length);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}
