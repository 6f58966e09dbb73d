//! HTTP/2 by hand: tonic's client would end a call with a timeout by its own clock, and no answer of
//! the server would be seen.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::server_deadline::ServerDeadlineLayer;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderValue, Request};
use test_protos::{EchoResponse, EchoServer};
use testing::grpc_frame;
use tokio::io::{AsyncRead, AsyncWrite, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::StreamExt as _;
use tonic::transport::server::Connected;
use tonic::{Code, Status};

use crate::support::message;

use super::closures::Front;

/// One connection to a server under the layer.
pub(crate) struct Raw {
    send: SendRequest<Bytes>,
    connection: JoinHandle<()>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: HeaderMap,
    pub(crate) data: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
    /// From the call to the end of the answer.
    pub(crate) took: Duration,
}

/// A call without its answer.
pub(crate) struct Open {
    answer: ResponseFuture,
    stream: SendStream<Bytes>,
    start: Instant,
}

impl Raw {
    /// Without a socket, for a paused clock.
    pub(crate) async fn in_memory(front: Front) -> Self {
        let (ours, theirs) = duplex(64 * 1024);
        serve(front, theirs);
        Self::over(ours).await
    }

    pub(crate) async fn tcp(front: Front) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap());
        let (ours, theirs) = tokio::join!(ours, listener.accept());
        let (ours, (theirs, _)) = (ours.unwrap(), theirs.unwrap());
        ours.set_nodelay(true).unwrap();
        theirs.set_nodelay(true).unwrap();
        serve(front, theirs);
        Self::over(ours).await
    }

    async fn over(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (send, connection) = h2::client::handshake(io).await.unwrap();
        let connection = tokio::spawn(async move {
            // Ends well or not, when the test does.
            let _ = connection.await;
        });
        Self { send, connection }
    }

    /// A call of a method with one request.
    pub(crate) async fn open(&self, path: &str, timeout: Option<&str>) -> Open {
        let start = Instant::now();
        let mut request = Request::post(format!("http://in-memory.test{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        if let Some(timeout) = timeout {
            let timeout = HeaderValue::from_str(timeout).unwrap();
            request.headers_mut().insert("grpc-timeout", timeout);
        }
        let mut send = self.send.clone().ready().await.unwrap();
        let (answer, mut stream) = send.send_request(request, false).unwrap();
        let hello = grpc_frame(&message("hello"));
        // A server whose time is up may have ended the stream by now.
        let _ = stream.send_data(hello, true);
        Open {
            answer,
            stream,
            start,
        }
    }

    pub(crate) async fn call(&self, path: &str, timeout: Option<&str>) -> Answer {
        self.open(path, timeout).await.answer().await
    }

    /// Breaks the connection.
    pub(crate) fn cut(self) {
        self.connection.abort();
    }
}

impl Open {
    pub(crate) async fn answer(self) -> Answer {
        let (head, mut body) = self.answer.await.unwrap().into_parts();
        let mut data = Vec::new();
        while let Some(frame) = body.data().await {
            let frame = frame.unwrap();
            body.flow_control().release_capacity(frame.len()).unwrap();
            data.extend_from_slice(&frame);
        }
        let trailers = body.trailers().await.unwrap();
        Answer {
            head: head.headers,
            data: data.into(),
            trailers,
            took: self.start.elapsed(),
        }
    }

    pub(crate) fn reset(mut self) {
        self.stream.send_reset(Reason::CANCEL);
    }
}

impl Answer {
    /// Code and message, from wherever they stand.
    pub(crate) fn status(&self) -> (Code, String) {
        let headers = self.trailers.as_ref().unwrap_or(&self.head);
        let status = Status::from_header_map(headers).unwrap();
        (status.code(), status.message().to_owned())
    }
}

fn serve(front: Front, io: impl Connected + AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let incoming = tokio_stream::once(Ok::<_, io::Error>(io)).chain(tokio_stream::pending());
    let serving = tonic::transport::Server::builder()
        .layer(ServerDeadlineLayer::new())
        .add_service(EchoServer::new(front))
        .serve_with_incoming(incoming);
    tokio::spawn(serving);
}

pub(crate) fn hello_frame() -> Bytes {
    grpc_frame(&EchoResponse {
        text: "hello".to_owned(),
        ..EchoResponse::default()
    })
}
