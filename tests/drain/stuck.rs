//! Peers that never let go of a connection.

use std::future::poll_fn;
use std::pin::pin;

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use http::Request;
use tokio::io::{AsyncReadExt as _, DuplexStream};

use crate::site::{FLOOD, Site};

/// A client that began a call and whose connection is no longer polled: it reads nothing, writes
/// nothing and answers no PING, and its socket stays open.
pub(crate) struct Frozen {
    _connection: Connection<DuplexStream>,
    _requests: SendRequest<Bytes>,
    _response: ResponseFuture,
    _request: h2::SendStream<Bytes>,
}

/// A client that never reads what the server sends without an end, so that the server's writes
/// block.
pub(crate) async fn dead_reader(site: &Site) -> Frozen {
    begin(site, FLOOD, true).await
}

/// A client that vanished in the middle of its request.
pub(crate) async fn half_open(site: &Site) -> Frozen {
    begin(site, "/test.v1.Echo/Unary", false).await
}

async fn begin(site: &Site, path: &str, is_whole: bool) -> Frozen {
    let (started, _) = site.count.both();
    let mut http2 = Builder::new();
    http2
        .initial_window_size(i32::MAX.cast_unsigned())
        .initial_connection_window_size(i32::MAX.cast_unsigned());
    let (mut requests, connection) = http2.handshake(site.dial().unwrap()).await.unwrap();
    let mut connection = Box::pin(connection);
    let request = Request::post(format!("http://old{path}"));
    let request = request.body(()).unwrap();
    let (response, request) = requests.send_request(request, is_whole).unwrap();
    // Its handler runs before the client stops.
    poll_fn(|cx| {
        assert!(pin!(&mut connection).as_mut().poll(cx).is_pending());
        if site.count.both().0 > started {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
    Frozen {
        _connection: *std::pin::Pin::into_inner(connection),
        _requests: requests,
        _response: response,
        _request: request,
    }
}

/// Whether the server has closed its end, once all that it sent is read.
pub(crate) async fn is_closed(mut socket: DuplexStream) -> bool {
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.is_ok()
}
