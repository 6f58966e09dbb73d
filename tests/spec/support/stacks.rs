//! Stacks of layers, and clients over them.

use grpc_resilience::BoxError;
use grpc_resilience::retry::{Retry, RetryLayer, RetryPolicy};
use test_protos::EchoClient;
use testing::Server;
use tonic::body::Body;
use tonic::client::GrpcService;
use tower::Layer as _;
use transports::Channel;

/// What a generated client takes, and a task may hold: any of our stacks.
pub(crate) trait Stack:
    GrpcService<
        Body,
        Error: Into<BoxError> + Send,
        Future: Send,
        ResponseBody: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError> + Send>
                          + Send
                          + 'static,
    > + Clone
    + Send
    + 'static
{
}

impl<T> Stack for T
where
    T: GrpcService<Body> + Clone + Send + 'static,
    T::Error: Send,
    T::Future: Send,
    T::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<BoxError> + Send,
{
}

pub(crate) fn client<T: Stack>(stack: T) -> EchoClient<T> {
    EchoClient::new(stack)
}

/// A client whose channel has the retry layer and no other.
pub(crate) fn retrying(server: &Server, policy: RetryPolicy) -> EchoClient<Retry<Channel>> {
    EchoClient::new(RetryLayer::new(policy).layer(server.channel()))
}

/// Runs the body with the name and each stack over the channel: every layer by itself with nothing
/// to do, then stacks, in the usual order and in others.
macro_rules! for_each_stack {
    ($channel:expr, |$name:ident, $stack:ident| $body:expr) => {{
        use tower::Layer as _;

        use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
        use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
        use grpc_resilience::budget::{BudgetLayer, TokenBucket};
        use grpc_resilience::deadline::DeadlineLayer;
        use grpc_resilience::idempotency::IdempotencyLayer;
        use grpc_resilience::retry::{RetryLayer, RetryPolicy};
        use grpc_resilience::wait_for_ready::WaitForReadyLayer;

        let minute = || DeadlineLayer::new().default_timeout(60 * $crate::support::SECOND);
        let declared = || IdempotencyLayer::new().idempotent("/test.v1.Echo/*").unwrap();
        let one_message = || declared().unary("/test.v1.Echo/Unary*").unwrap();
        let retry = || RetryLayer::new(RetryPolicy::new());
        let waiting = WaitForReadyLayer::new;
        let attempt = || AttemptTimeoutLayer::new(60 * $crate::support::SECOND).unwrap();
        // Nothing that is answered makes it hold the next call back.
        let calm = || AdaptiveThrottleLayer::new().refused_only_on(Vec::<tonic::Code>::new());
        let mut run = Vec::new();
        for_each_stack!(@one run, $name, $stack, $body,
            "deadline, none" => DeadlineLayer::new().layer($channel),
            "deadline" => minute().layer($channel),
            "idempotency" => declared().layer($channel),
            "budget" => BudgetLayer::new(TokenBucket::default()).layer($channel),
            "retry" => retry().layer($channel),
            "wait for ready" => waiting().layer($channel),
            "fail fast" => waiting().fail_fast().layer($channel),
            "attempt timeout, none" => AttemptTimeoutLayer::default().layer($channel),
            "attempt timeout" => attempt().layer($channel),
            "attempt timeout, first message" => attempt().until_first_message().layer($channel),
            "adaptive throttle" => calm().layer($channel),
            "the stack" => grpc_resilience::Resilience::new().wrap($channel),
            "the stack, declared" => grpc_resilience::Resilience::new()
                .default_timeout(60 * $crate::support::SECOND)
                .idempotent("/test.v1.Echo/*").unwrap()
                .unary("/test.v1.Echo/Unary*").unwrap()
                .wrap($channel),
            "wait for ready, retry" => waiting().layer(one_message().layer(retry().layer($channel))),
            "retry, deadline" => one_message().layer(retry().layer(minute().layer($channel))),
            "retry, attempt timeout" => one_message().layer(
                retry().layer(attempt().until_first_message().layer($channel)),
            ),
            "wait, retry, deadline" => waiting().layer(retry().layer(minute().layer($channel))),
        );
        run
    }};
    (@one $run:ident, $name:ident, $stack:ident, $body:expr, $($text:literal => $made:expr),+ $(,)?) => {
        $({
            let $name = $text;
            let $stack = $made;
            $run.push($name);
            $body
        })+
    };
}
pub(crate) use for_each_stack;
