//! An answer in time is what it is without the layer (CONTRACT B1).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use grpc_resilience::server_deadline::ServerDeadlineLayer;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use proptest::collection::vec;
use proptest::prelude::*;
use test_protos::{EchoRequest, EchoServer};
use testing::{Answer, EchoService, Server};
use tonic::body::Body;
use tonic::service::LayerExt as _;
use tower::{Layer as _, Service as _, ServiceBuilder, service_fn};

use crate::support::{all_ended, client, message, sorted};

/// A response body: its frames, each of which may be there at the second poll only.
#[derive(Clone, Debug)]
struct Scripted {
    frames: VecDeque<(Part, bool)>,
    /// Says its size, and that it is at its end.
    outspoken: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Data(Vec<u8>),
    Trailers(u8),
    Broken,
}

#[derive(Debug, PartialEq)]
struct Broken;

impl HttpBody for Scripted {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some((_, late @ true)) = self.frames.front_mut() {
            *late = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let frame = self.frames.pop_front().map(|(part, _)| match part {
            Part::Data(data) => Ok(Frame::data(data.into())),
            Part::Trailers(code) => Ok(Frame::trailers(trailers(code))),
            Part::Broken => Err(Broken),
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.outspoken && self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.outspoken {
            let sizes = self.frames.iter().map(|(part, _)| match part {
                Part::Data(data) => data.len(),
                _ => 0,
            });
            return SizeHint::with_exact(u64::try_from(sizes.sum::<usize>()).unwrap());
        }
        SizeHint::default()
    }
}

fn trailers(code: u8) -> HeaderMap {
    let pairs = [("grpc-status", code.to_string()), ("x-end", "yes".into())];
    let parse = |(name, value): (&'static str, String)| {
        (http::HeaderName::from_static(name), value.parse().unwrap())
    };
    pairs.map(parse).into_iter().collect()
}

/// All that can be seen of a body: before each poll what it says of itself, then what came.
async fn seen<B>(mut body: B) -> Vec<String>
where
    B: HttpBody<Data = Bytes, Error = Broken> + Unpin,
{
    let mut seen = Vec::new();
    loop {
        seen.push(format!("{} {:?}", body.is_end_stream(), body.size_hint()));
        let polled = std::future::poll_fn(|cx| {
            let polled = Pin::new(&mut body).poll_frame(cx);
            Poll::Ready(polled)
        });
        match polled.await {
            Poll::Pending => seen.push("pending".to_owned()),
            Poll::Ready(None) => return seen,
            Poll::Ready(Some(frame)) => seen.push(format!("{frame:?}")),
        }
    }
}

fn any_body() -> impl Strategy<Value = Scripted> {
    let data = vec(any::<u8>(), 0..20).prop_map(Part::Data);
    let end = prop_oneof![
        3 => (0_u8..17).prop_map(|code| Some(Part::Trailers(code))),
        1 => Just(Some(Part::Broken)),
        1 => Just(None),
    ];
    let parts = (vec((data, any::<bool>()), 0..6), end, any::<(bool, bool)>());
    parts.prop_map(|(data, end, (late, outspoken))| Scripted {
        frames: data.into_iter().chain(end.map(|end| (end, late))).collect(),
        outspoken,
    })
}

proptest! {
    // CONTRACT B1
    #[test]
    fn the_layer_changes_nothing_of_an_answer_in_time(
        body in any_body(), code in 0_u8..17, timeout in proptest::option::of("[1-9][SMH]"),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let answer = body.clone();
            let handler = service_fn(move |_: Request<()>| {
                let mut response = Response::new(answer.clone());
                *response.headers_mut() = trailers(code);
                response.extensions_mut().insert(7_u32);
                async { Ok::<_, Infallible>(response) }
            });
            let mut request = Request::new(());
            if let Some(timeout) = &timeout {
                request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
            }
            let mut layered = ServerDeadlineLayer::new().layer(handler);
            let (head, layered) = layered.call(request).await.unwrap().into_parts();
            assert_eq!(head.headers, trailers(code));
            assert_eq!(head.extensions.get::<u32>(), Some(&7));
            assert_eq!(seen(layered).await, seen(body).await);
        });
    }
}

/// The server's clock is not the layer's doing.
fn undated(metadata: &tonic::metadata::MetadataMap) -> Vec<(String, String)> {
    let mut pairs = sorted(&metadata.clone().into_headers());
    pairs.retain(|(name, _)| name != "date");
    pairs
}

/// What a client sees of answers of each kind.
async fn answers(server: &Server) -> String {
    let mut text = String::new();
    let mut client = client(server.channel());
    let many = || {
        let mut request = tonic::Request::new(EchoRequest {
            repeat: 3,
            ..message("many")
        });
        request.set_timeout(60 * crate::support::SECOND);
        request
    };
    let failed = || Answer::status(tonic::Code::Aborted, "no: 100%").details("why");
    for answer in [
        Answer::handler(),
        failed(),
        Answer::handler().metadata("x-a", "b"),
    ] {
        server.script().next(answer);
        match client.server_stream(many()).await {
            Err(status) => {
                let said = (status.code(), status.message(), status.details());
                writeln!(text, "{said:?} {:?}", undated(status.metadata())).unwrap();
            }
            Ok(response) => {
                writeln!(text, "{:?}", undated(response.metadata())).unwrap();
                let mut stream = response.into_inner();
                while let Some(answer) = stream.message().await.unwrap() {
                    writeln!(text, "{answer:?}").unwrap();
                }
                writeln!(text, "{:?}", stream.trailers().await.unwrap()).unwrap();
            }
        }
    }
    let ended = all_ended(server).await;
    assert!(ended.iter().all(testing::Call::finished));
    text
}

// CONTRACT B1
#[transports::test(start_paused = true)]
async fn a_client_sees_the_same_answers_with_the_layer_and_without() {
    let boxed = |response: Response<_>| response.map(Body::new);
    let layers = ServiceBuilder::new()
        .map_response(boxed)
        .layer(ServerDeadlineLayer::new());
    let service = layers.named_layer(EchoServer::new(EchoService));
    let layered = Server::builder().service(service).in_memory();
    assert_eq!(answers(&layered).await, answers(&Server::in_memory()).await);
}
