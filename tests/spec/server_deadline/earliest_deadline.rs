//! Which of all its deadlines a call has (CONTRACT D6), and that it must have one.

use std::time::Duration;

use grpc_resilience::__internal;
use grpc_resilience::GiveUp;
use grpc_resilience::call::{CallOptionsExt, Deadline};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::server_deadline::ServerDeadlineLayer;
use test_protos::{EchoClient, EchoRequest, EchoResponse};
use testing::Server;
use tokio::time::Instant;
use tonic::{Code, Request};
use tower::Layer as _;

use crate::support::{SECOND, hello, timeouts};

use super::closures::{Front, calls_to};
use super::inherited_deadline::within;

/// The call's option.
#[derive(Clone, Copy, Debug)]
enum Chosen {
    Nothing,
    Never,
    After(u32),
}

/// Every way in which a call can be given a time, in seconds.
#[derive(Clone, Copy, Debug)]
struct Given {
    header: Option<u32>,
    option: Chosen,
    default: Option<u32>,
    context: Option<u32>,
}

const TIMES: [Option<u32>; 3] = [None, Some(2), Some(4)];

impl Given {
    fn all() -> impl Iterator<Item = Self> {
        let options = [
            Chosen::Nothing,
            Chosen::Never,
            Chosen::After(2),
            Chosen::After(4),
        ];
        let pairs = TIMES
            .into_iter()
            .flat_map(|header| TIMES.map(|context| (header, context)));
        let more = pairs.flat_map(|pair| TIMES.map(|default| (pair, default)));
        more.flat_map(move |((header, context), default)| {
            options.map(|option| Self {
                header,
                option,
                default,
                context,
            })
        })
    }

    fn request(self) -> Request<EchoRequest> {
        let mut request = hello();
        if let Some(header) = self.header {
            request.set_timeout(header * SECOND);
        }
        match self.option {
            Chosen::Nothing => {}
            Chosen::Never => _ = request.call_options().no_timeout(),
            Chosen::After(option) => _ = request.call_options().timeout(option * SECOND),
        }
        if let Some(context) = self.context {
            let deadline = Deadline::after(Instant::now(), context * SECOND);
            __internal::bound(request.extensions_mut(), deadline);
        }
        request
    }

    fn earliest(self, served: Option<u32>) -> Option<u128> {
        let chosen = match self.option {
            Chosen::Nothing => self.default,
            Chosen::Never => None,
            Chosen::After(option) => Some(option),
        };
        let all = [self.header, chosen, self.context, served];
        all.into_iter()
            .flatten()
            .min()
            .map(|it| u128::from(it) * 1_000_000)
    }
}

// CONTRACT D6; an explicit `no_timeout()` lifts the layer's default and nothing else
#[transports::test(start_paused = true)]
async fn of_all_deadlines_that_a_call_has_the_earliest_wins() {
    for served in [None, Some(1), Some(3), Some(5)] {
        let back = Server::in_memory();
        let channel = back.channel();
        let front = Front::unary(move |_| {
            let channel = channel.clone();
            async move {
                for given in Given::all() {
                    let layer = DeadlineLayer::new();
                    let layer = match given.default {
                        Some(default) => layer.default_timeout(default * SECOND),
                        None => layer,
                    };
                    let mut to = EchoClient::new(layer.layer(channel.clone()));
                    to.unary(given.request()).await?;
                }
                Ok(EchoResponse::default())
            }
        });
        let layer = ServerDeadlineLayer::new().margin(Duration::ZERO);
        let front = front.serve_under(layer);
        let request = within(served.map(|it| it * SECOND));
        calls_to(&front).unary(request).await.unwrap();
        let sent = timeouts(&back.calls());
        assert_eq!(sent.len(), Given::all().count());
        for (given, sent) in Given::all().zip(sent) {
            assert_eq!(
                sent,
                given.earliest(served),
                "{given:?}, served: {served:?}"
            );
        }
    }
}

// CONTRACT D3, D6
#[transports::test(start_paused = true)]
async fn where_a_deadline_is_demanded_an_inherited_one_will_do() {
    let back = Server::in_memory();
    let strict = DeadlineLayer::new().forbid_missing_deadline();
    let to = EchoClient::new(strict.layer(back.channel()));
    let front = Front::passing_on(&to).serve();
    calls_to(&front).unary(within(Some(SECOND))).await.unwrap();
    assert_eq!(timeouts(&back.calls()), [Some(995_000)]);
    let status = calls_to(&front).unary(within(None)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(back.count(), 1);
}

// CONTRACT D3
#[transports::test(start_paused = true)]
async fn where_a_deadline_is_demanded_a_call_without_one_fails_at_once_and_is_never_sent() {
    let server = Server::in_memory();
    let strict = DeadlineLayer::new().forbid_missing_deadline();
    let mut bare = EchoClient::new(strict.layer(server.channel()));
    let defaulted = strict.default_timeout(SECOND).layer(server.channel());
    let status = bare.unary(hello()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(GiveUp::find(&status), Some(GiveUp::InvalidCall));
    assert!(status.message().starts_with("the call has no deadline"));
    assert_eq!((server.count(), server.dials()), (0, 0));

    let mut by_header = hello();
    by_header.set_timeout(SECOND);
    bare.unary(by_header).await.unwrap();
    bare.unary(within(Some(SECOND))).await.unwrap();
    EchoClient::new(defaulted).unary(hello()).await.unwrap();
    let mut unbounded = hello();
    unbounded.call_options().no_timeout();
    bare.unary(unbounded).await.unwrap();
    let second = Some(1_000_000);
    assert_eq!(timeouts(&server.calls()), [second, second, second, None]);
}
