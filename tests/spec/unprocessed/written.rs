//! Server layers write it into what they refuse, and take it out of what handlers return.

use std::convert::Infallible;
use std::time::Duration;

use grpc_resilience::rate_limit::{Quota, ServerRateLimitLayer};
use grpc_resilience::server_deadline::ServerDeadlineLayer;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use testing::method;
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};

use super::WORD;
use crate::rate_limit::raw_service::to;
use crate::support::ms;

type Bytes = bytes::Bytes;

/// A handler that hands on somebody else's status: in the head and in trailers.
fn forwarding() -> impl Service<
    Request<()>,
    Response = Response<impl http_body::Body<Data = Bytes, Error = Infallible> + Unpin>,
    Error = Infallible,
    Future: Send,
> + Clone {
    service_fn(|request: Request<()>| async move {
        let path = HeaderValue::from_str(request.uri().path()).unwrap();
        let word = HeaderName::from_static(WORD);
        let trailers: HeaderMap = [
            (
                HeaderName::from_static("grpc-status"),
                "14".parse().unwrap(),
            ),
            (HeaderName::from_static("x-zone"), "b".parse().unwrap()),
            (word.clone(), path.clone()),
        ]
        .into_iter()
        .collect();
        let body = Full::new(Bytes::from_static(b"x"));
        let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
        let mut response = Response::new(Box::pin(body));
        response.headers_mut().insert(word, path);
        Ok::<_, Infallible>(response)
    })
}

/// The head and the trailers that come back.
async fn answered<S, R>(mut service: S, request: Request<()>) -> (HeaderMap, Option<HeaderMap>)
where
    S: Service<Request<()>, Response = Response<R>, Error = Infallible>,
    R: http_body::Body<Data = Bytes, Error = Infallible> + Unpin,
{
    let Ok(response) = service.ready().await.unwrap().call(request).await;
    let (parts, body) = response.into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned();
    (parts.headers, trailers)
}

fn none_at_all() -> ServerRateLimitLayer {
    let quota = Quota::every(Duration::from_secs(3_600)).unwrap();
    ServerRateLimitLayer::new(quota.burst(1).unwrap())
}

fn with_timeout(timeout: &str) -> Request<()> {
    to(method::UNARY, &[("grpc-timeout", timeout)])
}

// CONTRACT I7
#[tokio::test(start_paused = true)]
async fn a_rate_limit_writes_it_into_each_refusal_with_hints_or_without() {
    for layer in [none_at_all(), none_at_all().without_hints()] {
        let service = layer.layer(forwarding());
        let (admitted, _) = answered(service.clone(), to(method::UNARY, &[])).await;
        assert!(!admitted.contains_key(WORD));
        let (refused, trailers) = answered(service, to(method::UNARY_IDEMPOTENT, &[])).await;
        assert_eq!(refused["grpc-status"], "8");
        assert_eq!(refused[WORD], method::UNARY_IDEMPOTENT);
        assert_eq!(trailers, None);
    }
}

// CONTRACT I7
#[tokio::test(start_paused = true)]
async fn a_deadline_layer_writes_it_for_what_has_expired_when_it_comes_and_for_nothing_else() {
    let service = || ServerDeadlineLayer::new().layer(forwarding());
    let (expired, _) = answered(service(), with_timeout("0m")).await;
    assert_eq!(expired["grpc-status"], "4");
    assert_eq!(expired[WORD], method::UNARY);
    let (malformed, _) = answered(service(), with_timeout("soon")).await;
    assert_eq!(malformed["grpc-status"], "13");
    assert!(!malformed.contains_key(WORD));
    let hangs = service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let stopped = ServerDeadlineLayer::new().layer(hangs);
    let (stopped, _) = answered(stopped, with_timeout("50m")).await;
    assert_eq!(stopped["grpc-status"], "4");
    assert!(!stopped.contains_key(WORD), "the handler had begun");
}

// CONTRACT I7
#[tokio::test(start_paused = true)]
async fn what_a_handler_returns_loses_it_in_head_and_trailers() {
    let plenty = ServerRateLimitLayer::unlimited();
    let deadline = ServerDeadlineLayer::new();
    let of_handler = |(head, trailers): (HeaderMap, Option<HeaderMap>)| {
        assert!(!head.contains_key(WORD));
        let trailers = trailers.unwrap();
        assert!(!trailers.contains_key(WORD));
        assert_eq!(
            (&trailers["grpc-status"], &trailers["x-zone"]),
            (&"14".parse().unwrap(), &"b".parse().unwrap())
        );
    };
    of_handler(answered(plenty.layer(forwarding()), to(method::UNARY, &[])).await);
    of_handler(answered(deadline.layer(forwarding()), to(method::UNARY, &[])).await);
    of_handler(answered(deadline.layer(forwarding()), with_timeout("9S")).await);
}

// CONTRACT I7
#[tokio::test(start_paused = true)]
async fn two_layers_of_ours_leave_each_other_s_in_either_order() {
    let deadline = || ServerDeadlineLayer::new();
    let limit_inside = ServiceBuilder::new().layer(deadline()).layer(none_at_all());
    let service = limit_inside.service(forwarding());
    answered(service.clone(), with_timeout("9S")).await;
    let (refused, _) = answered(service, with_timeout("9S")).await;
    assert_eq!(refused["grpc-status"], "8");
    assert_eq!(refused[WORD], method::UNARY);

    let limit_outside = ServiceBuilder::new().layer(none_at_all()).layer(deadline());
    let (expired, _) = answered(limit_outside.service(forwarding()), with_timeout("0m")).await;
    assert_eq!(expired["grpc-status"], "4");
    assert_eq!(expired[WORD], method::UNARY);
    let _ = ms(0);
}
