//! Sockets whose clients never let go.

use std::net::Ipv4Addr;

use foreign::Failure;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The largest window, less the first one of a connection.
const MORE_WINDOW: u32 = 0x7fff_ffff - 65_535;

/// Five that say nothing, one that reads nothing of a stream without an end, and one that stops in
/// the middle of its request.
#[derive(Debug)]
pub(crate) struct Stuck {
    _sockets: Vec<TcpStream>,
}

impl Stuck {
    pub(crate) async fn connect(port: u16) -> Result<Self, Failure> {
        let mut sockets = Vec::new();
        for _ in 0..7 {
            sockets.push(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?);
        }
        let calls = [
            ("/test.v1.Echo/Flood", END_STREAM),
            ("/test.v1.Echo/BidiStream", 0),
        ];
        for (socket, (path, end)) in sockets.iter_mut().zip(calls) {
            socket.write_all(&call(path, end)).await?;
        }
        Ok(Self { _sockets: sockets })
    }
}

/// All that a client sends for a call whose answer it does not wait for.
fn call(path: &str, end: u8) -> Vec<u8> {
    let window = [&[0, 4][..], &0x7fff_ffff_u32.to_be_bytes()].concat();
    // HPACK: POST and http by their index; path, authority and content type as literals.
    let mut head = vec![0x83, 0x86];
    for (name, value) in [
        (&[0x04][..], path),
        (&[0x01], "drain"),
        (&[0x0f, 0x10], "application/grpc"),
    ] {
        head.extend_from_slice(name);
        head.push(u8::try_from(value.len()).unwrap_or(0));
        head.extend_from_slice(value.as_bytes());
    }
    [
        PREFACE.to_vec(),
        frame(SETTINGS, 0, 0, &window),
        frame(WINDOW_UPDATE, 0, 0, &MORE_WINDOW.to_be_bytes()),
        frame(HEADERS, END_HEADERS | end, 1, &head),
    ]
    .concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut frame = length.to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
