//! B1 and B2 as laws over random frames, on a real connection, below any client.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use grpc_resilience::BoxError;
use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
use grpc_resilience::call::{self, CallOptionsExt};
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt as _, StreamBody};
use proptest::collection::vec;
use proptest::prelude::*;
use testing::{Answer, Call, Server, method};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::{Code, Request, Status};
use tower::Layer as _;

use crate::support::{Stack, all_ended, every, ms, paused_runtime, sorted};

/// A request body: its frames, and what it says of itself.
#[derive(Clone, Debug)]
struct Asked {
    /// The size of each frame, and whether it is there only at the second poll.
    frames: Vec<(usize, bool)>,
    /// Sent through a channel while the call runs.
    live: bool,
    /// Says its size.
    sized: bool,
    /// Says that it is at its end before it is polled there.
    ends_early: bool,
    kind: Option<MethodKind>,
}

/// How a call is answered.
#[derive(Clone, Debug)]
enum Reply {
    TrailersOnly(Code),
    Stream(Vec<usize>, Code),
}

/// Why the layer has nothing to do.
#[derive(Clone, Copy, Debug)]
enum Idle {
    Fine,
    NeverRetried,
    Undeclared,
}

/// How an attempt fails before the last.
#[derive(Clone, Copy, Debug)]
enum Fault {
    AfterAll,
    AtOnce,
    AfterOneMessage,
    Proxy,
    Dropped,
    /// Retried only where the method answers with one message.
    InTrailers,
}

/// Bytes that tell one frame and its place from another.
fn data(seed: usize, size: usize) -> Bytes {
    let byte = |index| u8::try_from((seed * 31 + index) % 251).unwrap();
    (0..size).map(byte).collect()
}

struct Scripted {
    frames: VecDeque<(Bytes, bool)>,
    asked: Asked,
}

impl Scripted {
    fn left(&self) -> u64 {
        let sizes = self.frames.iter().map(|(data, _)| data.len());
        u64::try_from(sizes.sum::<usize>()).unwrap()
    }
}

impl HttpBody for Scripted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some((_, late @ true)) = self.frames.front_mut() {
            *late = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let frame = self.frames.pop_front();
        Poll::Ready(frame.map(|(data, _)| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.asked.ends_early && self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.asked.sized {
            return SizeHint::with_exact(self.left());
        }
        SizeHint::default()
    }
}

impl Asked {
    fn bytes(&self) -> Vec<u8> {
        let frames = self.frames.iter().enumerate();
        frames
            .flat_map(|(seed, (size, _))| data(seed, *size))
            .collect()
    }

    fn body(&self) -> Body {
        let frames = self.frames.iter().enumerate();
        let frames: VecDeque<_> = frames
            .map(|(seed, (size, late))| (data(seed, *size), *late))
            .collect();
        if !self.live {
            let asked = self.clone();
            return Body::new(Scripted { frames, asked });
        }
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            for (data, late) in frames {
                if late {
                    tokio::time::sleep(ms(3)).await;
                }
                if sender.send(data).await.is_err() {
                    return;
                }
            }
        });
        let frames = ReceiverStream::new(receiver);
        Body::new(
            StreamBody::new(frames.map(|data| Ok::<_, Infallible>(Frame::data(data))))
                .map_err(|never| match never {}),
        )
    }

    fn request(&self, tune: impl FnOnce(&mut call::CallOptions)) -> http::Request<Body> {
        let mut options = Request::new(());
        if let Some(kind) = self.kind {
            options.call_options().kind(kind);
        }
        tune(options.call_options());
        let context = options.extensions_mut().remove::<call::Context>();
        let mut request = http::Request::post(format!("http://in-memory.test{}", method::UNARY))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("x-caller", "1")
            .body(self.body())
            .unwrap();
        request.extensions_mut().insert(context.unwrap());
        request
    }
}

impl Reply {
    fn answer(&self) -> Answer {
        let answer = match self {
            Self::TrailersOnly(code) => Answer::status(*code, "in the head"),
            Self::Stream(sizes, code) => {
                let answer = Answer::status_in_trailers(*code, "in the trailers");
                let frames = sizes.iter().enumerate();
                frames.fold(answer, |answer, (seed, size)| {
                    answer.frame(data(seed + 100, *size))
                })
            }
        };
        answer
            .header_raw("x-head", "h")
            .header_raw("x-head", "i")
            .metadata("x-with-status", "s")
            .metadata("x-bin-bin", "AAEC")
            .reading_request()
    }

    fn code(&self) -> Code {
        match self {
            Self::TrailersOnly(code) | Self::Stream(_, code) => *code,
        }
    }
}

impl Fault {
    fn answer(self) -> Answer {
        let down = Answer::status(Code::Unavailable, "a failed attempt");
        let answer = match self {
            Self::AfterAll => down.reading_request(),
            Self::AtOnce => down,
            Self::AfterOneMessage => down.reading_messages(1),
            Self::Proxy => Answer::http(http::StatusCode::BAD_GATEWAY, "text/html", "sorry"),
            Self::Dropped => return Answer::drop_connection().reading_request(),
            Self::InTrailers => Answer::status_in_trailers(Code::Unavailable, "a failed attempt"),
        };
        answer.metadata("x-of-a-failed-attempt", "1")
    }
}

/// What a caller sees of a call.
#[derive(Debug, PartialEq)]
struct Seen {
    data: Vec<Bytes>,
    end: End,
}

#[derive(Debug, PartialEq)]
enum End {
    /// The head, and the trailers if there were any.
    Fine(String, Option<Vec<(String, String)>>),
    /// A failure may come as a head, as trailers or as an error that says the same: the code, the
    /// message, and all metadata without the status's own.
    Failed(Code, String, Vec<(String, String)>),
}

impl End {
    fn failed(status: &Status, head: &http::HeaderMap) -> Self {
        let mut metadata = sorted(&status.metadata().clone().into_headers());
        metadata.extend(sorted(head));
        metadata.retain(|(name, _)| !name.starts_with("grpc-") && name != "date");
        metadata.sort();
        metadata.dedup();
        Self::Failed(status.code(), status.message().to_owned(), metadata)
    }
}

async fn see<T: Stack>(stack: T, request: http::Request<Body>) -> Seen {
    let answer = stack_call(stack, request).await;
    let (mut head, body) = match answer {
        Ok(answer) => answer.into_parts(),
        Err(error) => {
            let status = Status::from_error(error);
            let end = End::failed(&status, &http::HeaderMap::new());
            let data = Vec::new();
            return Seen { data, end };
        }
    };
    head.headers.remove("date");
    let mut body = Box::pin(body);
    let mut data = Vec::new();
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let frame = match frame.map_err(Into::<BoxError>::into) {
            Ok(frame) => frame,
            Err(error) => {
                let end = End::failed(&Status::from_error(error), &head.headers);
                return Seen { data, end };
            }
        };
        match frame.into_data() {
            Ok(bytes) => data.push(bytes),
            Err(frame) => trailers = Some(frame.into_trailers().unwrap()),
        }
    }
    let said = trailers.as_ref().unwrap_or(&head.headers);
    let status = Status::from_header_map(said).filter(|status| status.code() != Code::Ok);
    let end = match status {
        Some(status) => End::failed(&status, &head.headers),
        None => End::Fine(
            format!(
                "{} {:?} {:?}",
                head.status,
                head.version,
                sorted(&head.headers)
            ),
            trailers.as_ref().map(sorted),
        ),
    };
    Seen { data, end }
}

async fn stack_call<T: Stack>(
    mut stack: T,
    request: http::Request<Body>,
) -> Result<http::Response<T::ResponseBody>, BoxError> {
    let ready = std::future::poll_fn(|cx| stack.poll_ready(cx)).await;
    ready.map_err(Into::into)?;
    stack.call(request).await.map_err(Into::into)
}

fn on_a_paused_clock<T>(test: impl Future<Output = T>) -> T {
    paused_runtime().block_on(async { tokio::time::timeout(ms(600_000), test).await.unwrap() })
}

fn retry() -> RetryLayer {
    let policy = RetryPolicy::new().backoff(every(ms(10)));
    RetryLayer::new(policy.max_attempts(5).unwrap())
}

#[derive(Clone, Copy, Debug)]
enum Over {
    Bare,
    Retry,
    AdaptiveThrottle,
}

fn idle_call(asked: &Asked, reply: &Reply, idle: Idle, over: Over) -> (Seen, Call) {
    on_a_paused_clock(async {
        let server = Server::in_memory();
        server.script().otherwise(reply.answer());
        let request = asked.request(|options| match idle {
            Idle::Fine => {
                options.idempotent();
            }
            Idle::NeverRetried => {
                options.idempotent().never_retry();
            }
            Idle::Undeclared => {}
        });
        let channel = server.channel();
        let seen = match over {
            Over::Bare => see(channel, request).await,
            Over::Retry => see(retry().layer(channel), request).await,
            Over::AdaptiveThrottle => {
                see(AdaptiveThrottleLayer::new().layer(channel), request).await
            }
        };
        let mut calls = all_ended(&server).await;
        assert_eq!(calls.len(), 1);
        (seen, calls.remove(0))
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let kind = prop::option::of(prop_oneof![
        Just(MethodKind::Unary),
        Just(MethodKind::ServerStreaming),
        Just(MethodKind::ClientStreaming),
        Just(MethodKind::BidiStreaming),
    ]);
    let size = prop_oneof![1 => Just(0), 6 => 0..2_000_usize];
    let frames = vec((size, any::<bool>()), 0..8);
    (frames, any::<[bool; 3]>(), kind).prop_map(|(frames, flags, kind)| Asked {
        frames,
        live: flags[0],
        sized: flags[1],
        ends_early: flags[2],
        kind,
    })
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1 => Just(0), 6 => 0..2_000_usize], 0..8)
}

fn reply(code: impl Strategy<Value = Code> + Clone) -> impl Strategy<Value = Reply> {
    prop_oneof![
        1 => code.clone().prop_map(Reply::TrailersOnly),
        3 => (sizes(), code).prop_map(|(sizes, code)| Reply::Stream(sizes, code)),
    ]
}

fn idle() -> impl Strategy<Value = (Idle, Reply)> {
    let code = || {
        prop_oneof![
            2 => Just(Code::Ok),
            2 => Just(Code::Unavailable),
            1 => Just(Code::Internal),
            1 => Just(Code::Cancelled),
        ]
    };
    prop_oneof![
        reply(Just(Code::Ok)).prop_map(|reply| (Idle::Fine, reply)),
        reply(code()).prop_map(|reply| (Idle::NeverRetried, reply)),
        reply(code()).prop_map(|reply| (Idle::Undeclared, reply)),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::AfterAll),
        2 => Just(Fault::AtOnce),
        2 => Just(Fault::AfterOneMessage),
        1 => Just(Fault::Proxy),
        1 => Just(Fault::Dropped),
        1 => Just(Fault::InTrailers),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    // CONTRACT B1, B3
    #[test]
    fn a_layer_with_nothing_to_do_changes_nothing_of_what_both_sides_see(
        asked in asked(),
        (idle, reply) in idle(),
    ) {
        let (bare, bare_call) = idle_call(&asked, &reply, idle, Over::Bare);
        for over in [Over::Retry, Over::AdaptiveThrottle] {
            let (layered, call) = idle_call(&asked, &reply, idle, over);
            prop_assert_eq!(&layered, &bare, "{:?}", over);
            if let Reply::Stream(sizes, _) = &reply {
                let sent = sizes.iter().enumerate();
                let sent: Vec<u8> = sent.flat_map(|(seed, size)| data(seed + 100, *size)).collect();
                prop_assert_eq!(layered.data.concat(), sent);
            }
            prop_assert_eq!(&call.request, &bare_call.request);
            prop_assert_eq!(&call.request[..], asked.bytes());
            prop_assert!(call.request_ended);
            prop_assert_eq!(call.outcome, bare_call.outcome);
            prop_assert_eq!(sorted(&call.metadata), sorted(&bare_call.metadata));
        }
    }

    // CONTRACT B2, B3, R6, R9
    #[test]
    fn after_failed_attempts_the_caller_sees_the_last_one_s_frames_and_each_read_the_same_request(
        asked in asked(),
        faults in vec(fault(), 1..=3),
        reply in reply(prop_oneof![Just(Code::Ok), Just(Code::Internal)]),
    ) {
        let once = asked.kind.is_some_and(MethodKind::answers_once);
        let retried = |fault: &Fault| once || !matches!(fault, Fault::InTrailers);
        let faults: Vec<_> = faults.into_iter().filter(retried).collect();
        let (bare, bare_call) = idle_call(&asked, &reply, Idle::Fine, Over::Bare);
        let (seen, calls) = on_a_paused_clock(async {
            let server = Server::in_memory();
            let answers = faults.iter().map(|fault| fault.answer());
            server.script().on(method::UNARY, answers);
            server.script().otherwise(reply.answer());
            let request = asked.request(|options| {
                options.idempotent();
            });
            let seen = see(retry().layer(server.channel()), request).await;
            (seen, all_ended(&server).await)
        });
        prop_assert_eq!(&seen, &bare);
        prop_assert_eq!(calls.len(), faults.len() + 1);
        let whole = asked.bytes();
        for (index, call) in calls.iter().enumerate() {
            prop_assert!(whole.starts_with(&call.request), "attempt {}", index + 1);
            prop_assert!(!call.request_ended || call.request[..] == whole[..]);
            let mut headers = sorted(&call.metadata);
            headers.retain(|(name, _)| name != "grpc-previous-rpc-attempts");
            prop_assert_eq!(headers, sorted(&bare_call.metadata));
        }
        let last = calls.last().unwrap();
        prop_assert!(last.request_ended);
        prop_assert_eq!(last.outcome, bare_call.outcome);
        prop_assert_eq!(seen_code(&seen), reply.code());
    }
}

fn seen_code(seen: &Seen) -> Code {
    match &seen.end {
        End::Fine(..) => Code::Ok,
        End::Failed(code, ..) => *code,
    }
}
