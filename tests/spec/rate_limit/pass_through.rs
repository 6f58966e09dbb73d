//! What is let through is what it is without the layer. CONTRACT B1.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use grpc_resilience::rate_limit::{Quota, ServerRateLimitLayer};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use proptest::collection::vec;
use proptest::prelude::*;
use tower::{Layer as _, Service as _, service_fn};

/// A body that says of itself what it is told to.
#[derive(Clone, Debug)]
struct Outspoken {
    frames: VecDeque<Vec<u8>>,
    size: u64,
    ended: bool,
}

#[derive(Debug, PartialEq)]
struct Broken;

impl Body for Outspoken {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let next = self.frames.pop_front();
        // An empty one stands for a failure.
        let frame = next.map(|data| match data.as_slice() {
            [] => Err(Broken),
            [code] => Ok(Frame::trailers(trailers(*code))),
            _ => Ok(Frame::data(data.into())),
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.size)
    }
}

fn trailers(code: u8) -> HeaderMap {
    let name = http::HeaderName::from_static("grpc-status");
    HeaderMap::from_iter([(name, code.to_string().parse().unwrap())])
}

async fn frames<B: Body<Data = Bytes, Error = Broken> + Unpin>(mut body: B) -> Vec<String> {
    let mut seen = vec![format!("{} {:?}", body.is_end_stream(), body.size_hint())];
    while let Some(frame) = body.frame().await {
        seen.push(format!("{frame:?}"));
    }
    seen
}

proptest! {
    // CONTRACT B1
    #[test]
    fn the_layer_changes_nothing_of_what_it_lets_through(
        data in vec(vec(any::<u8>(), 0..4), 0..6), size in any::<u64>(), ended: bool,
        value in "[ -~]{0,10}", key in 0..4,
    ) {
        let body = Outspoken { frames: data.into(), size, ended };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let heard = Arc::new(Mutex::new(None));
            let (answer, hearing) = (body.clone(), Arc::clone(&heard));
            let handler = service_fn(move |request: Request<u64>| {
                *hearing.lock().unwrap() = Some(request);
                let mut response = Response::new(answer.clone());
                response.headers_mut().insert("x-a", "b".parse().unwrap());
                response.extensions_mut().insert(7_u32);
                async { Ok::<_, Infallible>(response) }
            });
            let layer = ServerRateLimitLayer::new(Quota::per_second(9).unwrap());
            let layer = match key {
                0 => layer,
                1 => layer.by_metadata("x-tenant").unwrap(),
                2 => layer.by_peer(),
                _ => layer.key_by(|_| None),
            };
            let request = Request::post("http://host/test.v1.Echo/Unary")
                .version(http::Version::HTTP_2)
                .header("x-tenant", value.as_str())
                .header("grpc-timeout", value.as_str())
                .header("grpc-previous-rpc-attempts", value.as_str())
                .extension(size)
                .body(size)
                .unwrap();
            let sent = format!("{request:?}");
            let (head, layered) = layer.layer(handler).call(request).await.unwrap().into_parts();
            let heard = heard.lock().unwrap().take().unwrap();
            assert_eq!(format!("{heard:?}"), sent);
            assert_eq!(heard.extensions().get::<u64>(), Some(&size));
            assert_eq!(head.headers.len(), 1);
            assert_eq!(head.extensions.get::<u32>(), Some(&7));
            assert_eq!(frames(layered).await, frames(body).await);
        });
    }
}
