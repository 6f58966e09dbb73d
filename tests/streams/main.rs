//! Server streams that come back, against real tonic servers over both channels (CONTRACT S).
#![cfg(test)]

mod bounds;
mod budget;
mod cuts;
mod ends;
mod hold;
mod lost;
mod net;
mod numbers;
mod one_call;
mod refused;
mod told;

use std::time::Duration;

use grpc_resilience::streams::{Builder, Event, Resumable};
use test_protos::{EchoClient, EchoRequest, EchoResponse};
use tonic::Request;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};

type Numbers = Resumable<EchoResponse, u32>;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A stream of the numbers from 1, where the server says which ones can be resumed at.
fn numbers<C>(channel: C) -> Builder<EchoRequest, EchoResponse, u32>
where
    C: GrpcService<Body, Future: Send> + Clone + Send + 'static,
    C::Error: Into<StdError> + Send,
    C::ResponseBody: HttpBody<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
{
    asked(channel, Request::new(EchoRequest::default()))
}

fn asked<C>(channel: C, request: Request<EchoRequest>) -> Builder<EchoRequest, EchoResponse, u32>
where
    C: GrpcService<Body, Future: Send> + Clone + Send + 'static,
    C::Error: Into<StdError> + Send,
    C::ResponseBody: HttpBody<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
{
    Resumable::builder(request, move |request| {
        let mut client = EchoClient::new(channel.clone());
        async move { client.server_stream(request).await }
    })
    .token(|number: &EchoResponse| (number.text == numbers::TOKEN).then_some(number.index))
    .resume(|first, number| EchoRequest {
        text: number.to_string(),
        ..first.clone()
    })
}

/// How a stream goes on: a number, `-1` for a gap, `Err` with the code for its failure.
async fn next(stream: &mut Numbers) -> Option<Result<i64, tonic::Code>> {
    let event = stream.next().await?;
    Some(match event {
        Ok(Event::Item(number)) => Ok(i64::from(number.index)),
        Ok(Event::Gap(_)) => Ok(GAP),
        Err(status) => Err(status.code()),
    })
}

const GAP: i64 = -1;

/// All that a stream has, up to its end.
async fn all(stream: &mut Numbers) -> Vec<Result<i64, tonic::Code>> {
    let mut seen = Vec::new();
    while let Some(event) = next(stream).await {
        seen.push(event);
    }
    seen
}

/// This many events.
async fn take(stream: &mut Numbers, count: usize) -> Vec<i64> {
    let mut seen = Vec::new();
    for _ in 0..count {
        seen.push(next(stream).await.unwrap().unwrap());
    }
    seen
}
